/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The log of an attempt, a window of lines at a time. */
#include <errno.h>

#include "serve/filters.h"
#include "serve/routes.h"
#include "serve/serve_pages.h"
#include "serve/views.h"
#include "ui/ui.h"

#define LINES_BEFORE 100 /* shown before one that was asked for */

struct log_page_question
{
  struct arena *arena;
  int64_t id;
  int64_t attempt_id; /* 0 = the one whose log people want */
  int64_t from;       /* line; 0 = the end; -1 = not said */
  int64_t mark_from, mark_to;
  bool unfold;
  struct log_view view;
};

/* `line`: "12" or "12-20". What somebody typed and is neither is told beside its field. */
static void
read_mark(struct http_request *request, struct log_page_question *question)
{
  struct str first, rest = http_query(request, "line");
  if (rest.size == 0)
    return;
  (void) str_split(&rest, '-', &first);
  struct str last = rest.data != NULL ? rest : first;
  if (str_to_i64(str_trim(first), &question->mark_from) < 0
      || str_to_i64(str_trim(last), &question->mark_to) < 0 || question->mark_from < 1
      || question->mark_to < question->mark_from) {
    question->mark_from = question->mark_to = 0;
    question->view.line_typed = http_query(request, "line");
  }
}

static int
read_question(struct http_request *request, struct log_page_question *ret, struct error *err)
{
  int r = http_param_id(request, "id", &ret->id, err);
  if (r == 0)
    r = http_query_i64(request, "attempt", 0, INT64_MAX, 0, &ret->attempt_id, err);
  if (r == 0)
    r = http_query_i64(request, "from", 0, INT64_MAX, -1, &ret->from, err);
  struct str unfold = http_query(request, "unfold");
  ret->unfold = str_equal(unfold, STR("yes"));
  if (r == 0 && unfold.size > 0 && !ret->unfold)
    r = error_set(err, -EINVAL, "unfold must be \"yes\"");
  read_mark(request, ret);
  return r;
}

static int
read_build(struct db *db, void *context, struct error *err)
{
  struct log_page_question *question = context;
  struct log_view *view = &question->view;
  int r = build_find(db, question->id, question->arena, &view->build, NULL, err);
  if (r == 0)
    r = serve_read_attempts(db, question->id, question->arena, &view->attempts, err);
  if (r == 0)
    r = serve_read_attempt(db, question->id, question->attempt_id, question->arena, &view->attempt,
                           err);
  if (r == 0 && question->attempt_id != 0 && view->attempt.row.id == 0)
    r = error_set(err, -ENOENT, "build %lld has no such attempt", (long long) question->id);
  return r;
}

/* What succeeded is read from its beginning, anything else from its end. */
static int64_t
first_line(const struct log_page_question *question)
{
  if (question->from >= 0)
    return question->from;
  if (question->mark_from > 0)
    return question->mark_from > LINES_BEFORE ? question->mark_from - LINES_BEFORE : 1;
  return str_equal(question->view.attempt.row.state, STR("succeeded")) ? 1 : 0;
}

static void
fill_pager(struct log_view *view, bool is_running)
{
  const struct log_window *window = &view->window;
  if (window->lines.count > 0) {
    view->first = window->lines.items[0].number;
    view->last = window->lines.items[window->lines.count - 1].number;
  }
  if (view->first > 1)
    view->earlier = view->first > LOG_WINDOW_LINES ? view->first - LOG_WINDOW_LINES : 1;
  if (view->last < window->lines_count)
    view->later = view->last + 1;
  view->is_followed = view->later == 0 && (is_running || window->is_live);
}

static void
fill_folds(struct log_view *view, bool unfold, struct arena *arena)
{
  view->folds = log_window_fold(&view->window, arena);
  view->unfolded = unfold && view->folds.closed > 0;
  for (size_t i = 0; i < view->folds.count && unfold; i++)
    view->folds.items[i].is_open = true;
}

/* Long lines before the one that was asked for may have left no room for it. */
static int
read_window(struct serve_context *serve, const struct log_page_question *question,
            struct log_window *ret, struct error *err)
{
  struct log_window_question asked = {
    .attempt_id = question->view.attempt.row.id,
    .line = first_line(question),
    .mark_from = question->mark_from,
    .mark_to = question->mark_to,
    .has_failed = str_equal(question->view.attempt.row.state, STR("failed")),
  };
  int r = log_window_read(&serve->log_scans, serve->cache, &asked, question->arena, ret, err);
  bool is_missing = r == 0 && question->from < 0 && question->mark_from > 0 && ret->lines.count > 0
                    && question->mark_from > ret->lines.items[ret->lines.count - 1].number;
  asked.line = question->mark_from;
  return is_missing
             ? log_window_read(&serve->log_scans, serve->cache, &asked, question->arena, ret, err)
             : r;
}

static int
read_log(struct serve_context *serve, struct log_page_question *question, struct error *err)
{
  struct log_view *view = &question->view;
  bool is_running = str_equal(view->attempt.row.state, STR("running"));
  int64_t attempt_id = view->attempt.row.id;
  if (!is_running && cache_log_is_live(serve->cache, attempt_id))
    (void) farm_log_close(serve->farm, attempt_id, NULL);
  int r = read_window(serve, question, &view->window, err);
  if (r < 0 && r != -ENOENT) /* what printed nothing has no log */
    return r;
  fill_pager(view, is_running);
  fill_folds(view, question->unfold, question->arena);
  return 0;
}

/* Without an attempt it says why there is none. */
static int
show_log(struct http_request *request, void *context, struct error *err)
{
  struct serve_context *serve = context;
  struct log_page_question question = { .arena = http_arena(request) };
  struct log_view *view = &question.view;
  int r = read_question(request, &question, err);
  if (r == 0)
    r = db_pool_run(serve->pool, DB_READ, read_build, &question, err);
  if (r == 0 && view->attempt.row.id != 0)
    r = read_log(serve, &question, err);
  else if (r == 0)
    serve_read_now(serve, &view->build, question.arena, &view->now);
  if (r < 0)
    return r;
  CLEANUP_BUF struct buf page = { 0 };
  struct ui_frame frame;
  accounts_frame(request, serve->pool, &frame);
  log_page(&page, view, &frame);
  return ui_reply_status(request, &frame, view->line_typed.size > 0 ? 400 : 200, &page);
}

/* A log must be unpacked. */
static int
get_log(struct http_request *request, void *context, struct error *err)
{
  (void) err;
  return serve_later(context, request, show_log);
}

static const struct http_route routes[] = {
  { "GET", "/builds/{id}/log", get_log, .summary = "What its builder printed" },
};

struct http_routes
serve_log_page(struct serve_context *context)
{
  return (struct http_routes) { routes, ARRAY_SIZE(routes), context };
}
