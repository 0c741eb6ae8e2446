/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "serve/log_window.h"

#include <errno.h>
#include <stdlib.h>

#include "base/mem.h"

/* ---- what is known of logs ---- */

struct log_known
{
  int64_t attempt_id;
  int users;            /* under the list's lock, as are: */
  int64_t looked_at;    /* on the list's clock */
  int64_t scanned;      /* bytes, when it was put back */
  bool is_slow;         /* its user has much to go through: others do not wait for that */
  pthread_mutex_t lock; /* of the scan */
  struct log_scan scan;
};

void
log_scans_init(struct log_scans *scans)
{
  *scans = (struct log_scans) { 0 };
  pthread_mutex_init(&scans->lock, NULL);
}

static void
known_free(struct log_known *known)
{
  if (known == NULL)
    return;
  log_scan_free(&known->scan);
  pthread_mutex_destroy(&known->lock);
  free(known);
}

void
log_scans_free(struct log_scans *scans)
{
  for (size_t i = 0; i < LOG_SCANS_KEPT; i++)
    known_free(scans->items[i]);
  pthread_mutex_destroy(&scans->lock);
}

static struct log_known *
known_new(const struct log_window_question *question)
{
  struct log_known *known = mem_alloc(sizeof *known);
  *known = (struct log_known) { .attempt_id = question->attempt_id,
                                .scan = { .wants_error = question->has_failed } };
  pthread_mutex_init(&known->lock, NULL);
  return known;
}

/* A scan that did not look for errors is of no use to who wants them. */
static bool
serves(const struct log_known *known, const struct log_window_question *question)
{
  return known != NULL && known->attempt_id == question->attempt_id
         && (known->scan.wants_error || !question->has_failed);
}

/* The free place, or that of the one not looked at for longest; NULL when all are in use. */
static struct log_known **
find_place(struct log_scans *scans)
{
  struct log_known **best = NULL;
  for (size_t i = 0; i < LOG_SCANS_KEPT; i++) {
    struct log_known **place = &scans->items[i];
    if (*place == NULL)
      return place;
    if ((*place)->users == 0 && (best == NULL || (*place)->looked_at < (*best)->looked_at))
      best = place;
  }
  return best;
}

/* SIZE: of the log now. A hostile one takes seconds: of those few are gone through at a time, each
   by one, so that the other workers are left to other pages. */
static bool
may_use(struct log_scans *scans, struct log_known *known, int64_t size)
{
  if (known->is_slow)
    return false;
  if (size - known->scanned <= LOG_SLOW_BYTES)
    return true;
  if (known->users > 0 || scans->slow == LOG_SLOW_MAX)
    return false;
  scans->slow++;
  return known->is_slow = true;
}

/* With a use for the caller; NULL when too many are in use. */
static struct log_known *
get_known(struct log_scans *scans, const struct log_window_question *question, int64_t size)
{
  struct log_known *known = NULL;
  pthread_mutex_lock(&scans->lock);
  for (size_t i = 0; i < LOG_SCANS_KEPT && known == NULL; i++)
    if (serves(scans->items[i], question))
      known = scans->items[i];
  struct log_known **place = known == NULL ? find_place(scans) : NULL;
  if (place != NULL) {
    known_free(*place);
    known = *place = known_new(question);
  }
  if (known != NULL && !may_use(scans, known, size))
    known = NULL;
  if (known != NULL) {
    known->users++;
    known->looked_at = ++scans->clock;
  }
  pthread_mutex_unlock(&scans->lock);
  return known;
}

static void
put_known(struct log_scans *scans, struct log_known *known, int64_t scanned)
{
  pthread_mutex_lock(&scans->lock);
  known->users--;
  if (known->scanned < scanned)
    known->scanned = scanned;
  if (known->is_slow) {
    known->is_slow = false;
    scans->slow--;
  }
  pthread_mutex_unlock(&scans->lock);
}

static int
feed(void *state, struct str piece)
{
  log_scan_feed(state, piece);
  return 0;
}

/* ---- reading a part ---- */

struct part
{
  int64_t skip;         /* lines yet to be passed over */
  int64_t lines, bytes; /* that may yet be taken */
  int64_t log_left;     /* bytes up to where the scan was */
  int64_t begin;        /* byte of the log where the text begins */
  struct buf text;
};

static void
part_free(struct part *part)
{
  buf_free(&part->text);
}

static struct str
skip_lines(struct part *part, struct str piece)
{
  while (part->skip > 0 && piece.size > 0) {
    ptrdiff_t end = str_find(piece, '\n');
    size_t size = end < 0 ? piece.size : (size_t) end + 1;
    part->skip -= end >= 0;
    part->begin += (int64_t) size;
    piece = str_from(piece, size);
  }
  return piece;
}

static int
take_part(void *state, struct str piece)
{
  struct part *part = state;
  if ((int64_t) piece.size > part->log_left)
    piece.size = (size_t) part->log_left;
  part->log_left -= (int64_t) piece.size;
  piece = skip_lines(part, piece);
  while (piece.size > 0 && part->lines > 0 && part->bytes > 0) {
    ptrdiff_t end = str_find(piece, '\n');
    size_t size = end < 0 ? piece.size : (size_t) end + 1;
    bool is_cut = (int64_t) size > part->bytes;
    buf_append(&part->text, piece.data, is_cut ? (size_t) part->bytes : size);
    part->lines -= end >= 0;
    part->bytes -= (int64_t) size;
    piece = str_from(piece, size);
  }
  return part->lines <= 0 || part->bytes <= 0 || part->log_left == 0;
}

static int64_t
count_newlines(struct str text)
{
  int64_t count = 0;
  struct str line;
  while (str_split(&text, '\n', &line) && text.data != NULL)
    count++;
  return count;
}

/* Of the last bytes, the last lines that are there from their beginning. RET_LINE: the
   number of the first. */
static struct str
last_lines(const struct log_scan *scan, const struct part *part, int64_t lines_max,
           int64_t *ret_line)
{
  struct str text = buf_str(&part->text);
  bool is_whole = part->begin == 0;
  int64_t there = count_newlines(text) + (scan->size > scan->line_start);
  int64_t skip = !is_whole && there > 1; /* what has no beginning, unless it is all */
  if (there - skip > lines_max)
    skip = there - lines_max;
  *ret_line = log_scan_lines(scan) - (there - skip) + 1;
  for (; skip > 0; skip--)
    text = str_from(text, (size_t) str_find(text, '\n') + 1);
  return text;
}

/* ---- as the page wants it ---- */

static void
split_lines(struct str text, const struct log_window_question *question, struct arena *arena,
            struct log_window *ret)
{
  int64_t number = question->line;
  struct ansi_style style = { 0 }, before = { 0 };
  struct str line, rest = text;
  size_t most = (size_t) count_newlines(text) + 1;
  ret->lines.items = arena_array(arena, most, sizeof *ret->lines.items);
  while (rest.size > 0 && str_split(&rest, '\n', &line)) {
    before = style;
    ret->lines.items[ret->lines.count++] = (struct log_line) {
      .number = number,
      .runs = ansi_read(line, &style, arena),
      .is_marked = number >= question->mark_from && number <= question->mark_to,
    };
    number++;
  }
  ret->follow_style = ansi_classes(ret->has_begun ? &before : &style, arena);
}

static void
copy_facts(const struct log_scan *scan, struct arena *arena, struct log_window *ret)
{
  ret->lines_count = log_scan_lines(scan);
  ret->size = scan->size;
  ret->error_line = scan->error_line;
  ret->error = arena_printf(arena, "%s", scan->error);
  ret->has_begun = scan->size > scan->line_start;
  ret->follow_from = scan->line_start;
  ret->follow_line = scan->lines + 1;
  ret->phases.count = scan->phases.count;
  ret->phases.items = arena_array(arena, scan->phases.count, sizeof *ret->phases.items);
  if (scan->phases.count > 0)
    memcpy(ret->phases.items, scan->phases.items, scan->phases.count * sizeof *ret->phases.items);
}

/* Under the scan's lock. */
static int
read_part(const struct log_scan *scan, struct cache *cache,
          const struct log_window_question *question, struct part *part, struct error *err)
{
  bool is_live;
  int64_t line = question->line;
  part->lines = question->lines_max;
  part->bytes = LOG_WINDOW_BYTES;
  if (line > 0) {
    part->begin = log_scan_place(scan, &line);
    part->skip = question->line - line;
  } else {
    part->begin = scan->size > LOG_WINDOW_BYTES ? scan->size - LOG_WINDOW_BYTES : 0;
    part->lines = INT64_MAX;
  }
  part->log_left = scan->size - part->begin;
  return cache_log_read(cache, question->attempt_id, part->begin, take_part, part, &is_live, err);
}

static int
read_window(struct log_known *known, struct cache *cache,
            const struct log_window_question *question, struct arena *arena, struct log_window *ret,
            struct error *err)
{
  struct log_scan *scan = &known->scan;
  int r = cache_log_read(cache, question->attempt_id, scan->size, feed, scan, &ret->is_live, err);
  if (r < 0)
    return r;
  struct log_window_question asked = *question;
  if (asked.lines_max == 0)
    asked.lines_max = LOG_WINDOW_LINES;
  if (asked.line > log_scan_lines(scan))
    asked.line = 0;
  PN_CLEANUP(part_free) struct part part = { 0 };
  r = read_part(scan, cache, &asked, &part, err);
  if (r < 0)
    return r;
  copy_facts(scan, arena, ret);
  struct str text = buf_str(&part.text);
  if (asked.line == 0)
    text = last_lines(scan, &part, asked.lines_max, &asked.line);
  ret->is_cut = asked.line > 1;
  split_lines(arena_str(arena, text), &asked, arena, ret);
  if (part.bytes < 0 && ret->lines.count > 0)
    ret->lines.items[ret->lines.count - 1].is_cut = true;
  return 0;
}

int
log_window_read(struct log_scans *scans, struct cache *cache,
                const struct log_window_question *question, struct arena *arena,
                struct log_window *ret, struct error *err)
{
  *ret = (struct log_window) { .error = "", .follow_style = "", .follow_line = 1 };
  CLEANUP_BUF struct buf end = { 0 };
  int64_t size = 0;
  int r = cache_log_tail(cache, question->attempt_id, 1, &end, &size, &ret->is_live, err);
  if (r < 0)
    return r;
  struct log_known *known = get_known(scans, question, size);
  if (known == NULL)
    return error_set(err, -EBUSY, "too many logs are being looked at");
  pthread_mutex_lock(&known->lock);
  r = read_window(known, cache, question, arena, ret, err);
  int64_t scanned = known->scan.size;
  pthread_mutex_unlock(&known->lock);
  put_known(scans, known, scanned);
  return r;
}
