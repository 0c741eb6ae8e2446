/* SPDX-License-Identifier: GPL-3.0-or-later */
/* One evaluation: what changed, by which commits, its jobs, errors and log. */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "evaluation/comparison.h"
#include "evaluation/evaluation_pages.h"
#include "evaluation/revisions.h"
#include "ui/ui.h"

#define JOBS_SHOWN 200
#define BROKEN_SHOWN 20
#define ERRORS_SHOWN 25
#define MESSAGE_SHOWN 2000   /* bytes of an error */
#define LONG_MESSAGE 200     /* bytes from which on the rest is folded */
#define LOG_SHOWN (16 << 10) /* bytes of the log's end */

struct evaluation_query
{
  struct changes_question changes;
  struct comparison_page page;
  struct ui_list list;
  struct ui_sort sort;
  struct str errors; /* "new", "gone", else all */
  int64_t errors_after;
  struct page_revisions_rows revisions;
  struct page_errors_rows errors_rows;
  struct evaluation_view view;
};

/* ---- reading ---- */

static int
read_errors(struct db *db, struct evaluation_query *query, struct error *err)
{
  const struct changes_head_row *head = &query->changes.head;
  struct evaluation_view *view = &query->view;
  int64_t against = query->changes.comparison->against_id;
  bool gone = str_equal(query->errors, STR("gone")) && against != 0;
  bool fresh = str_equal(query->errors, STR("new")) && against != 0;
  view->errors_shown = gone ? "gone" : fresh ? "new" : "all";
  int r =
      page_errors(db, gone ? head->id : against, gone ? against : head->id, query->errors_after,
                  gone || fresh, ERRORS_SHOWN + 1, query->changes.arena, &query->errors_rows, err);
  struct changes_errors_count_row count = { 0 };
  if (r == 0 && against != 0)
    r = changes_errors_count(db, head->id, against, &count, err);
  view->errors_added = count.added;
  view->errors_gone = count.gone;
  return r < 0 ? r : 0;
}

/* When it will end, by those before it. */
static int
read_pace(struct db *db, struct evaluation_query *query, struct error *err)
{
  const struct changes_head_row *head = &query->changes.head;
  struct evaluation_view *view = &query->view;
  struct page_pace_row pace = { 0 };
  int r = page_pace(db, head->id, &pace, err);
  if (r <= 0)
    return r;
  view->elapsed = clock_now_us() - pace.started_at;
  view->jobs_expected = pace.jobs;
  view->usually_took = pace.took;
  view->ends_at = pace.ends_at;
  return 0;
}

/* One that cannot be held against the other that was asked for is shown all the same. */
static int
read_changes(struct db *db, struct evaluation_query *query, struct error *err)
{
  struct error why = { 0 };
  int r = changes_read(db, &query->changes, &why);
  if (r == -ENOENT && query->changes.against != NULL) {
    query->changes.against = NULL;
    query->view.problem = arena_str(query->changes.arena, str_of(why.message));
    return changes_read(db, &query->changes, err);
  }
  if (r < 0)
    *err = why;
  return r;
}

static int
read_evaluation(struct db *db, void *context, struct error *err)
{
  struct evaluation_query *query = context;
  int r = read_changes(db, query, err);
  if (r == 0)
    r = page_revisions(db, query->changes.head.against, query->changes.id, query->changes.arena,
                       &query->revisions, err);
  if (r == 0)
    r = read_errors(db, query, err);
  if (r == 0)
    r = read_pace(db, query, err);
  return r;
}

/* ---- jobs ---- */

/* What the counts say, in their order; the first ones need something to be held against. */
static const struct
{
  const char *show, *label, *mark;
  bool is_change;
  bool always; /* also when there are none */
} chips[] = {
  { "broken", "broken", "broken", true, true },
  { "fixed", "fixed", "fixed", true, true },
  { "failing", "still failing", "failing", true, false },
  { "added", "new", "added", true, false },
  { "removed", "removed", "removed", true, false },
  { "unfinished", "not decided yet", "waiting", true, false },
  { "succeeded", "succeeded", "succeeded", false, true },
  { "failed", "failed", "failed", false, false },
  { "dependency-failed", "dependency-failed", "dependency-failed", false, false },
  { "running", "running", "running", false, false },
  { "waiting", "waiting", "waiting", false, false },
  { "cancelled", "cancelled", "cancelled", false, false },
};

static const struct ui_column columns[] = {
  { "Job", "name", false, false },
  { "Build", "state", false, false },
  { "Change", NULL, false, false },
};

enum
{
  COLUMN_NAME,
  COLUMN_STATE, /* what broke first */
};

static void
show_chips(struct evaluation_query *query)
{
  struct evaluation_view *view = &query->view;
  view->show = query->page.show < 0 ? "" : job_shows[query->page.show].name;
  view->show_label = view->show;
  view->all_address = ui_list_address(&query->list, "show", STR(""));
  for (size_t i = 0; i < ARRAY_SIZE(chips); i++) {
    struct job_chips *row = chips[i].is_change ? &view->changes : &view->states;
    bool is_current = strcmp(view->show, chips[i].show) == 0;
    int64_t count = comparison_count(query->changes.comparison, chips[i].show);
    if (is_current)
      view->show_label = chips[i].label;
    if (count > 0 || is_current || chips[i].always)
      row->items[row->count++] = (struct job_chip) {
        .label = chips[i].label,
        .address = ui_list_address(&query->list, "show", str_of(chips[i].show)),
        .mark = chips[i].mark,
        .count = count,
        .is_current = is_current,
      };
  }
}

static const char *
state_name(int16_t state)
{
  return state < 0 ? "" : farm_build_state_name((enum farm_build_state) state);
}

/* A part of the list; *RET_LAST is the index of its last job when there are more, else -1. */
static struct job_lines
read_lines(const struct evaluation_query *query, const struct comparison_page *page,
           ptrdiff_t *ret_last)
{
  const struct comparison *comparison = query->changes.comparison;
  struct arena *arena = query->changes.arena;
  size_t *list = arena_array(arena, page->limit, sizeof *list);
  bool more;
  size_t count = comparison_list(comparison, page, list, &more);
  struct job_lines lines = { arena_array(arena, count + 1, sizeof *lines.items), count };
  for (size_t i = 0; i < count; i++) {
    const struct compared_job *job = &comparison->jobs[list[i]];
    enum job_change change = comparison->changes[list[i]];
    lines.items[i] = (struct job_line) {
      .name = arena_str(arena, job->name), /* outlives the comparison */
      .build_id = job->build_id,
      .state = state_name(comparison->states[list[i]]),
      .before_id = job->before_id,
      .before = state_name(comparison->before[list[i]]),
      .change = change == JOB_SAME ? "" : job_change_name(change),
      .change_word = job_change_word(change),
    };
  }
  *ret_last = more ? (ptrdiff_t) list[count - 1] : -1;
  return lines;
}

static void
show_broken(struct evaluation_query *query)
{
  struct evaluation_view *view = &query->view;
  struct comparison_page page = { .limit = BROKEN_SHOWN };
  ptrdiff_t last = -1;
  view->broken_count = comparison_count(query->changes.comparison, "broken");
  view->all_broken = ui_list_address(&query->list, "show", STR("broken"));
  (void) job_show_parse(STR("broken"), &page.show, NULL);
  if (view->broken_count > 0)
    view->broken = read_lines(query, &page, &last);
  view->has_more_broken = last >= 0;
}

static void
show_jobs(struct evaluation_query *query)
{
  const struct comparison *comparison = query->changes.comparison;
  struct arena *arena = query->changes.arena;
  struct evaluation_view *view = &query->view;
  ptrdiff_t last;
  view->jobs = read_lines(query, &query->page, &last);
  view->jobs_present = comparison->present;
  view->is_compared = comparison->against_id != 0;
  view->name = query->page.name;
  view->heads = ui_list_heads(&query->list, columns, ARRAY_SIZE(columns), &query->sort);
  view->sort = http_query(query->list.request, "sort");
  view->next_jobs = "";
  if (last >= 0) {
    struct str cursor = query->page.by_rank
                            ? comparison_rank_cursor(comparison, (size_t) last, arena)
                            : comparison_cursor(comparison, (size_t) last, arena);
    struct ui_list further = query->list;
    further.anchor = "#list";
    view->next_jobs = ui_list_address(&further, "after", cursor);
  }
}

/* What there is to restart: all that failed, and what of it the list is narrowed to. */
static void
show_restarts(struct evaluation_query *query)
{
  const struct comparison *comparison = query->changes.comparison;
  struct evaluation_view *view = &query->view;
  struct ui_list restart = query->list;
  restart.anchor = NULL;
  restart.path = arena_printf(query->changes.arena, "/evaluations/%lld/restart",
                              (long long) query->changes.id);
  view->has_failed =
      comparison_count(comparison, "failed") + comparison_count(comparison, "dependency-failed")
      > 0;
  view->is_filtered = query->page.show >= 0 || query->page.name.size > 0;
  view->restart_all =
      view->has_failed ? ui_list_address(&restart, "all", view->is_filtered ? STR("yes") : STR(""))
                       : "";
  view->restart_these = "";
  if (!view->is_filtered || !view->has_failed)
    return;
  view->failed_these = (int64_t) comparison_failed(comparison, &query->page, NULL);
  if (view->failed_these > 0)
    view->restart_these = ui_list_address(&restart, NULL, STR(""));
}

/* ---- errors ---- */

static struct str
shortened(struct str text)
{
  size_t size = text.size < MESSAGE_SHOWN ? text.size : MESSAGE_SHOWN;
  while (size > 0 && size < text.size && ((unsigned char) text.data[size] & 0xc0) == 0x80)
    size--;
  return str_make(text.data, size);
}

static void
show_errors(struct evaluation_query *query)
{
  struct arena *arena = query->changes.arena;
  struct evaluation_view *view = &query->view;
  const struct page_errors_rows *rows = &query->errors_rows;
  bool gone = strcmp(view->errors_shown, "gone") == 0;
  size_t count = rows->count < ERRORS_SHOWN ? rows->count : ERRORS_SHOWN;
  struct error_line *lines = arena_array(arena, count + 1, sizeof *lines);
  for (size_t i = 0; i < count; i++) {
    struct error_line *line = &lines[i];
    *line = (struct error_line) { .row = rows->items[i], .url = STR("") };
    line->message = shortened(line->row.message);
    line->is_long = line->row.message.size > LONG_MESSAGE;
    line->is_cut = line->message.size < line->row.message.size;
    if (!gone) /* those of the other one stood in other commits */
      line->url = revisions_file_url(&query->revisions, line->row.file, line->row.line, arena);
  }
  view->errors.items = lines;
  view->errors.count = count;
  view->errors_next = rows->count > count ? lines[count - 1].row.id : 0;
}

/* ---- the log ---- */

/* Its end, from a whole line on. A missing log is an empty one: a page is no place to
   fail for it. */
static void
show_log(struct evaluation_query *query)
{
  struct evaluation_view *view = &query->view;
  CLEANUP_FREE char *path = workspace_log_path(query->changes.evaluations, query->changes.id);
  CLEANUP_FD int fd = open(path, O_RDONLY | O_CLOEXEC);
  struct stat status;
  if (fd < 0 || fstat(fd, &status) != 0)
    return;
  off_t start = status.st_size > LOG_SHOWN ? status.st_size - LOG_SHOWN : 0;
  char *text = arena_alloc(query->changes.arena, LOG_SHOWN + 1);
  ssize_t got = pread(fd, text, LOG_SHOWN, start);
  if (got <= 0)
    return;
  const char *newline = start > 0 ? memchr(text, '\n', (size_t) got) : NULL;
  view->log_is_cut = start > 0;
  view->log_from = start + got;
  for (ssize_t i = 0; i < got; i++)
    if (text[i] == '\0')
      text[i] = '?';
  str_mend_utf8(text);
  view->log = str_of(newline == NULL ? text : newline + 1);
}

/* ---- the page ---- */

/* One that was never begun names the newer one, as evaluation.sql has it. */
static void
show_end(struct evaluation_view *view)
{
  static const struct str words = { "superseded by evaluation ", 25 };
  struct str message = view->evaluation.message;
  if (!view->evaluation.started_at_null || !str_starts(message, words)
      || str_to_i64(str_from(message, words.size), &view->superseded_by) < 0)
    return;
  view->evaluation.message = STR("");
}

static void
show(struct evaluation_query *query)
{
  struct evaluation_view *view = &query->view;
  view->evaluation = query->changes.head;
  view->against = query->changes.head.against;
  view->is_open = query->changes.head.finished_at_null;
  show_end(view);
  show_chips(query);
  show_broken(query);
  show_jobs(query);
  show_restarts(query);
  revisions_tell(query->changes.evaluations, &query->revisions, query->changes.arena,
                 &view->revisions);
  show_errors(query);
  show_log(query);
}

static int
check_errors_word(struct str word, struct error *err)
{
  static const char *const words[] = { "all", "new", "gone" };
  bool known = word.size == 0;
  for (size_t i = 0; i < ARRAY_SIZE(words); i++)
    known |= str_equal(word, str_of(words[i]));
  return known ? 0 : error_set(err, -EINVAL, "no errors are called \"%.*s\"", STR_FMT(word));
}

static int
read_list(struct http_request *request, struct evaluation_query *query, struct error *err)
{
  query->page = (struct comparison_page) { .limit = JOBS_SHOWN };
  query->page.name = http_query(request, "name");
  query->sort = (struct ui_sort) { COLUMN_STATE, false };
  int r = ui_sort_read(request, columns, ARRAY_SIZE(columns), &query->sort, err);
  query->page.by_rank = query->sort.column == COLUMN_STATE;
  query->page.falls = query->sort.falls;
  if (r == 0)
    r = comparison_cursor_parse(http_query(request, "after"), &query->page, err);
  return r < 0 ? r : job_show_parse(http_query(request, "show"), &query->page.show, err);
}

/* What is typed into the field may be no number: the page then says so. */
static int
read_against(struct http_request *request, struct evaluations *evaluations,
             struct evaluation_query *query, struct error *err)
{
  int r = changes_ask(request, evaluations, &query->changes, err);
  if (r != -EINVAL)
    return r;
  query->changes.against = NULL;
  query->view.problem = STR("It must be the number of an evaluation.");
  return 0;
}

static int
read_query(struct http_request *request, struct evaluations *evaluations,
           struct evaluation_query *ret, struct error *err)
{
  *ret = (struct evaluation_query) { .errors = http_query(request, "errors") };
  int r = read_against(request, evaluations, ret, err);
  if (r == 0)
    r = read_list(request, ret, err);
  if (r == 0)
    r = check_errors_word(ret->errors, err);
  if (r == 0)
    r = http_query_i64(request, "errors_after", 0, INT64_MAX, 0, &ret->errors_after, err);
  ret->list = (struct ui_list) {
    .request = request,
    .path = arena_printf(ret->changes.arena, "/evaluations/%lld", (long long) ret->changes.id),
    .anchor = "#jobs",
    .kept = comparison_page_kept,
  };
  return r;
}

/* The field for the other evaluation says what was typed, or which one it is. */
static void
show_against(struct http_request *request, struct evaluation_view *view)
{
  struct str typed = http_query(request, "against");
  view->asked_against = view->problem.size > 0 ? STR("") : typed;
  view->against_typed = typed;
  if (typed.size == 0 && view->against != 0)
    view->against_typed =
        str_of(arena_printf(http_arena(request), "%lld", (long long) view->against));
}

static int
answer_page(struct http_request *request, void *context, struct error *err)
{
  struct evaluations *evaluations = context;
  struct evaluation_query query;
  int r = read_query(request, evaluations, &query, err);
  if (r == 0)
    r = db_pool_run(evaluations->options.pool, DB_READ, read_evaluation, &query, err);
  if (r == 0) {
    show(&query);
    show_against(request, &query.view);
  }
  comparison_drop(query.changes.comparison);
  if (r < 0)
    return r;
  CLEANUP_BUF struct buf page = { 0 };
  struct ui_frame frame;
  accounts_frame(request, evaluations->options.pool, &frame);
  evaluation_page(&page, &query.view, &frame);
  return ui_reply_status(request, &frame, query.view.problem.size > 0 ? 400 : 200, &page);
}

/* It asks a clone and reads a log, and may count a hundred thousand jobs. */
static int
get_evaluation(struct http_request *request, void *context, struct error *err)
{
  (void) err;
  return evaluations_later(context, request, answer_page);
}

static const struct http_route routes[] = {
  { "GET", "/evaluations/{id}", get_evaluation, .summary = "An evaluation" },
};

struct http_routes
evaluations_page(struct evaluations *evaluations)
{
  return (struct http_routes) { routes, ARRAY_SIZE(routes), evaluations };
}
