/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "serve/log_scan.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "serve/ansi.h"

#define SPACING_LEAST 1000 /* lines */
#define BYTES_LEAST (1 << 20)
/* So that those which bytes make necessary take half the places at most, however many lines. */
#define BYTES_SHARE (LOG_PLACES_MAX / 4)
#define BEGUN_MAX 4096 /* bytes of a line that are looked at, when it comes in pieces */

void
log_scan_free(struct log_scan *scan)
{
  free(scan->phases.items);
  buf_free(&scan->begun);
  buf_free(&scan->plain);
  *scan = (struct log_scan) { 0 };
}

/* ---- errors ---- */

/* "error:" with a word before it, or none: "foo.c:1:2: error: ...", not "perror:". */
static bool
has_word_error(struct str line)
{
  const char *at = line.data, *end = line.data + line.size;
  while ((at = memmem(at, (size_t) (end - at), "rror:", 5)) != NULL) {
    if (at > line.data && (at[-1] == 'e' || at[-1] == 'E')) {
      const char *before = at - 1;
      if (before == line.data || strchr(" \t:([m", before[-1]) != NULL)
        return true;
    }
    at += 5;
  }
  return false;
}

static bool
has(struct str line, const char *text)
{
  return memmem(line.data, line.size, text, strlen(text)) != NULL;
}

bool
log_is_error(struct str line)
{
  if (line.size == 0)
    return false;
  if (has_word_error(line) || has(line, "ERROR:") || has(line, "FAILED") || has(line, "*** "))
    return true;
  if (!has(line, "failed"))
    return has(line, "Traceback (most recent call last)");
  return has(line, "' failed after") || has(line, "builder for `") || has(line, "' failed with");
}

bool
log_is_verdict(struct str line)
{
  return has(line, "builder for `") && has(line, "' failed ");
}

/* As programs without the word "error" put it. */
static bool
is_likely(struct str line)
{
  static const char *const words[] = {
    "No such file or directory", "cannot ", "can't ", "not found", "denied", "Unbound variable"
  };
  for (size_t i = 0; i < ARRAY_SIZE(words); i++)
    if (has(line, words[i]))
      return true;
  return false;
}

static void
note_guess(struct log_scan *scan, struct log_guess *guess, struct str line)
{
  guess->line = scan->lines + 1;
  guess->size = line.size < sizeof guess->text ? line.size : sizeof guess->text;
  memcpy(guess->text, line.data, guess->size);
}

static void
note_error(struct log_scan *scan, struct str line)
{
  size_t size = line.size < LOG_ERROR_SIZE ? line.size : LOG_ERROR_SIZE - 1;
  scan->error_line = scan->lines + 1;
  for (size_t i = 0; i < size; i++) /* a text for a link: steering is left out */
    scan->error[i] = (unsigned char) line.data[i] < ' ' ? ' ' : line.data[i];
  scan->error[size] = '\0';
  str_mend_utf8(scan->error);
}

/* The verdict is the error only when nothing before it may be. */
static void
note_verdict(struct log_scan *scan, struct str line)
{
  const struct log_guess *guess = scan->likely.line != 0 ? &scan->likely : &scan->last;
  note_error(scan, guess->line != 0 ? str_make(guess->text, guess->size) : line);
  if (guess->line != 0)
    scan->error_line = guess->line;
}

static void
look_for_error(struct log_scan *scan, struct str line)
{
  if (log_is_verdict(line))
    note_verdict(scan, line);
  else if (log_is_error(line))
    note_error(scan, line);
  else if (is_likely(line))
    note_guess(scan, &scan->likely, line);
  else if (str_trim(line).size > 0)
    note_guess(scan, &scan->last, line);
}

/* ---- phases ---- */

/* What stands between ` and ' at the beginning of TEXT behind PREFIX; *RET_REST: behind it. */
static bool
read_quoted(struct str text, struct str prefix, struct str *ret_name, struct str *ret_rest)
{
  if (!str_starts(text, prefix))
    return false;
  struct str rest = str_from(text, prefix.size);
  ptrdiff_t end = str_find(rest, '\'');
  if (end <= 0 || end >= LOG_NAME_SIZE)
    return false;
  *ret_name = str_make(rest.data, (size_t) end);
  *ret_rest = str_from(rest, (size_t) end + 1);
  return true;
}

static void
begin_phase(struct log_scan *scan, struct str name)
{
  if (scan->phases.count == LOG_PHASES_MAX)
    return;
  mem_grow(&scan->phases.items, &scan->phases_capacity, scan->phases.count + 1,
           sizeof *scan->phases.items);
  struct log_phase *phase = &scan->phases.items[scan->phases.count++];
  *phase = (struct log_phase) { .line = scan->lines + 1 };
  memcpy(phase->name, name.data, name.size);
  str_mend_utf8(phase->name);
}

/* " succeeded after 1.2 seconds" */
static void
end_phase(struct log_scan *scan, struct str name, struct str how)
{
  struct log_phase *phase =
      scan->phases.count > 0 ? &scan->phases.items[scan->phases.count - 1] : NULL;
  bool has_failed = str_starts(how, STR(" failed after "));
  if (phase == NULL || !str_equal(name, str_of(phase->name))
      || (!has_failed && !str_starts(how, STR(" succeeded after "))))
    return;
  struct str whole, number = str_from(how, has_failed ? 14 : 17);
  (void) str_split(&number, ' ', &whole);
  struct str fraction = whole;
  int64_t seconds = 0, tenths = 0;
  if (!str_split(&fraction, '.', &whole) || str_to_i64(whole, &seconds) < 0)
    return;
  if (fraction.size > 0)
    (void) !str_to_i64(str_make(fraction.data, 1), &tenths);
  phase->has_ended = true;
  phase->has_failed = has_failed;
  if (seconds >= 0 && seconds < 100000000)
    phase->duration = seconds * 1000000 + tenths * 100000;
}

static void
look_at_line(struct log_scan *scan, struct str line)
{
  struct str name, rest;
  if (line.size > 8 && (line.data[0] == 's' || line.data[0] == 'p')) {
    if (read_quoted(line, STR("starting phase `"), &name, &rest))
      begin_phase(scan, name);
    else if (read_quoted(line, STR("phase `"), &name, &rest))
      end_phase(scan, name, rest);
  }
  if (scan->wants_error && scan->error_line == 0) {
    buf_clear(&scan->plain);
    look_for_error(scan, ansi_plain(line, &scan->plain));
  }
}

/* ---- lines ---- */

/* Whether what is between two places is no more than may be gone through for a line: lines
   are short or a gigabyte long. */
static bool
is_near(const struct log_scan *scan, const struct log_place *from, const struct log_place *to)
{
  return to->line - from->line <= scan->spacing
         && to->byte - from->byte <= BYTES_LEAST + scan->size / BYTES_SHARE;
}

/* Forgets each place between two that are near enough without it. */
static void
thin_places(struct log_scan *scan)
{
  size_t kept = 1;
  for (size_t i = 1; i + 1 < scan->places_count; i++)
    if (!is_near(scan, &scan->places[kept - 1], &scan->places[i + 1]))
      scan->places[kept++] = scan->places[i];
  scan->places[kept++] = scan->places[scan->places_count - 1];
  scan->places_count = kept;
}

/* The next line begins at BYTE. */
static void
note_place(struct log_scan *scan, int64_t byte)
{
  const struct log_place here = { scan->lines + 1, byte };
  const struct log_place behind = { here.line + 1, byte + 1 };
  if (scan->places_count > 0 && is_near(scan, &scan->places[scan->places_count - 1], &behind))
    return;
  while (scan->places_count == LOG_PLACES_MAX) {
    scan->spacing *= 2;
    thin_places(scan);
  }
  scan->places[scan->places_count++] = here;
}

static void
end_line(struct log_scan *scan, struct str line, int64_t next_start)
{
  look_at_line(scan, line);
  scan->lines++;
  scan->line_start = next_start;
  note_place(scan, next_start);
}

static void
keep_beginning(struct log_scan *scan, struct str part)
{
  size_t room = BEGUN_MAX - scan->begun.size;
  buf_append(&scan->begun, part.data, part.size < room ? part.size : room);
}

void
log_scan_feed(struct log_scan *scan, struct str piece)
{
  if (scan->places_count == 0) {
    scan->spacing = SPACING_LEAST;
    note_place(scan, 0);
  }
  while (piece.size > 0) {
    ptrdiff_t end = str_find(piece, '\n');
    struct str part = str_make(piece.data, end < 0 ? piece.size : (size_t) end);
    scan->size += (int64_t) part.size + (end >= 0);
    if (end < 0) {
      keep_beginning(scan, part);
      return;
    }
    if (scan->begun.size > 0) {
      keep_beginning(scan, part);
      part = buf_str(&scan->begun);
    }
    end_line(scan, part, scan->size);
    buf_clear(&scan->begun);
    piece = str_from(piece, (size_t) end + 1);
  }
}

int64_t
log_scan_lines(const struct log_scan *scan)
{
  return scan->lines + (scan->size > scan->line_start);
}

int64_t
log_scan_place(const struct log_scan *scan, int64_t *line)
{
  struct log_place found = { 1, 0 };
  size_t low = 0, high = scan->places_count;
  while (low < high) {
    size_t middle = low + (high - low) / 2;
    if (scan->places[middle].line > *line) {
      high = middle;
    } else {
      found = scan->places[middle];
      low = middle + 1;
    }
  }
  *line = found.line;
  return found.byte;
}
