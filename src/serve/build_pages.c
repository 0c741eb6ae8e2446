/* SPDX-License-Identifier: GPL-3.0-or-later */
/* One build, and what can be done with it. */
#include <errno.h>

#include "serve/filters.h"
#include "serve/routes.h"
#include "serve/serve_pages.h"
#include "serve/views.h"
#include "ui/ui.h"

#define FORM_LIMIT 8192
#define NEIGHBOURS_SHOWN 20 /* of each side */
#define ATTEMPTS_SHOWN 100
#define JOBS_SHOWN 20
#define LINES_SHOWN 40 /* of a log's end */

/* ---- reading ---- */

struct build_question
{
  struct serve_context *serve;
  struct arena *arena;
  int64_t id;
  struct build_view view;
};

/* How the newest evaluation that asked for it names it: its history, and how it was made. */
static int
read_job(struct db *db, struct build_question *question, struct error *err)
{
  struct build_view *view = &question->view;
  struct arena *arena = question->arena;
  if (view->jobs.count == 0)
    return 0;
  const struct serve_build_jobs_row *job = &view->jobs.items[0];
  struct serve_job_history_rows history;
  int r = serve_job_history(db, job->specification_id, HISTORY_EVALUATIONS, job->name_id, arena,
                            &history, err);
  if (r < 0)
    return r;
  view->history = history_of(&history, HISTORY_SHOWN, arena);
  view->reproduction = reproduction_of(job, view->build.name, view->build.system, arena);
  return 0;
}

/* The newest COUNT behind BEFORE. */
static int
read_attempts(struct db *db, int64_t build_id, int64_t before, int64_t count, struct arena *arena,
              struct attempts_view *ret, struct error *err)
{
  struct serve_build_attempts_rows rows;
  int r = serve_build_attempts(db, build_id, before, count, arena, &rows, err);
  if (r < 0)
    return r;
  ret->count = rows.count;
  ret->items = arena_array(arena, rows.count, sizeof *ret->items);
  for (size_t i = 0; i < rows.count; i++)
    ret->items[i] =
        (struct attempt_view) { .row = rows.items[i],
                                .words = cause_words((enum farm_cause) rows.items[i].cause) };
  return 0;
}

int
serve_read_attempts(struct db *db, int64_t build_id, struct arena *arena, struct attempts_view *ret,
                    struct error *err)
{
  return read_attempts(db, build_id, INT64_MAX, ATTEMPTS_SHOWN, arena, ret, err);
}

int
serve_read_attempt(struct db *db, int64_t build_id, int64_t attempt_id, struct arena *arena,
                   struct attempt_view *ret, struct error *err)
{
  struct serve_attempt_of_build_row wanted;
  struct attempts_view one = { 0 };
  *ret = (struct attempt_view) { 0 };
  int r = serve_attempt_of_build(db, build_id, attempt_id != 0 ? &attempt_id : NULL, &wanted, err);
  if (r > 0)
    r = read_attempts(db, build_id, wanted.id + 1, 1, arena, &one, err);
  if (r == 0 && one.count > 0)
    *ret = one.items[0];
  return r;
}

static void
count_neighbours(struct build_view *view)
{
  for (size_t i = 0; i < view->neighbours.count; i++) {
    const struct serve_build_neighbours_row *row = &view->neighbours.items[i];
    *(str_equal(row->side, STR("needs")) ? &view->needs : &view->needed_by) = row->count;
  }
}

static int
read_build(struct db *db, void *context, struct error *err)
{
  struct build_question *question = context;
  struct arena *arena = question->arena;
  struct build_view *view = &question->view;
  int r = build_find(db, question->id, arena, &view->build, &view->outputs, err);
  if (r == 0)
    r = serve_read_attempts(db, question->id, arena, &view->attempts, err);
  if (r == 0 && view->attempts.count > 0)
    r = serve_read_attempt(db, question->id, 0, arena, &view->logged, err);
  if (r == 0)
    r = serve_build_neighbours(db, view->build.derivation_id, BUILD_NEIGHBOURS_MAX,
                               NEIGHBOURS_SHOWN, arena, &view->neighbours, err);
  if (r == 0)
    r = serve_build_jobs(db, question->id, INT64_MAX, 0, JOBS_SHOWN, arena, &view->jobs, err);
  if (r == 0)
    r = read_job(db, question, err);
  return r;
}

/* ---- the end of its log ---- */

/* A missing log is an empty one: a page is no place to fail for it. One whose closing
   was missed is closed now, or the page would follow it for ever. */
static void
read_log(struct build_question *question)
{
  struct serve_context *serve = question->serve;
  struct build_view *view = &question->view;
  int64_t attempt_id = view->logged.row.id;
  view->log = (struct log_window) { .error = "", .follow_style = "", .follow_line = 1 };
  if (attempt_id == 0)
    return;
  bool is_running = str_equal(view->logged.row.state, STR("running"));
  if (!is_running && cache_log_is_live(serve->cache, attempt_id))
    (void) farm_log_close(serve->farm, attempt_id, NULL);
  const struct log_window_question asked = {
    .attempt_id = attempt_id,
    .lines_max = LINES_SHOWN,
    .has_failed = str_equal(view->build.state, STR("failed")),
  };
  (void) log_window_read(&serve->log_scans, serve->cache, &asked, question->arena, &view->log,
                         NULL);
  view->log_is_live = view->log.is_live || is_running;
}

/* ---- the page ---- */

struct name_question
{
  struct arena *arena;
  int64_t id;
  struct str name;
};

static int
read_failed_name(struct db *db, void *context, struct error *err)
{
  struct name_question *question = context;
  struct serve_graph_builds_rows rows;
  int r =
      serve_graph_builds(db, (struct db_i64s) { &question->id, 1 }, question->arena, &rows, err);
  if (r == 0 && rows.count > 0)
    question->name = rows.items[0].name;
  return r;
}

void
serve_read_now(struct serve_context *serve, const struct serve_builds_row *build,
               struct arena *arena, struct build_now *ret)
{
  *ret = (struct build_now) { .waits = str_equal(build->state, STR("waiting")),
                              .runs = str_equal(build->state, STR("running")) };
  ret->why.reason = ret->why.root.reason = ret->why.root.state = "";
  if (ret->waits)
    (void) farm_build_reasons(serve->farm, build->id, arena, &ret->why, NULL);
  if (build->failed_build_id_null)
    return;
  struct name_question question = { .arena = arena, .id = build->failed_build_id };
  (void) db_pool_run(serve->pool, DB_READ, read_failed_name, &question, NULL);
  ret->failed_name = question.name;
}

static bool
can_restart(struct str state)
{
  return str_equal(state, STR("failed")) || str_equal(state, STR("cancelled"))
         || str_equal(state, STR("dependency-failed"));
}

static int
show_build(struct http_request *request, void *context, struct error *err)
{
  struct serve_context *serve = context;
  struct build_question question = { .serve = serve, .arena = http_arena(request) };
  int r = http_param_id(request, "id", &question.id, err);
  if (r == 0)
    r = db_pool_run(serve->pool, DB_READ, read_build, &question, err);
  if (r < 0)
    return r;
  CLEANUP_BUF struct buf page = { 0 };
  struct ui_frame frame;
  accounts_frame(request, serve->pool, &frame);
  count_neighbours(&question.view);
  question.view.is_drawn = serve->drawings.is_possible;
  question.view.can_restart = can_restart(question.view.build.state);
  serve_read_now(serve, &question.view.build, question.arena, &question.view.now);
  read_log(&question);
  build_page(&page, &question.view, &frame);
  return ui_reply(request, &frame, &page);
}

/* A log must be unpacked. */
static int
get_build(struct http_request *request, void *context, struct error *err)
{
  (void) err;
  return serve_later(context, request, show_build);
}

/* ---- what can be done: on a worker, as orders wait for their effect ---- */

static const char *
build_path(struct http_request *request, int64_t id)
{
  return arena_printf(http_arena(request), "/builds/%lld", (long long) id);
}

static int
restart_build(struct http_request *request, void *context, struct error *err)
{
  struct serve_context *serve = context;
  bool dependents = str_equal(http_form(request, "dependents"), STR("yes"));
  int64_t id = 0;
  int r = http_param_id(request, "id", &id, err);
  if (r == 0)
    r = farm_build_restart(serve->farm, id, dependents, err);
  if (r < 0)
    return r;
  return ui_done(request, build_path(request, id), "Build %lld was restarted%s.", (long long) id,
                 dependents ? ", and so was what failed with it" : "");
}

static int
post_restart(struct http_request *request, void *context, struct error *err)
{
  (void) err;
  return serve_later(context, request, restart_build);
}

struct cancel_question
{
  struct arena *arena;
  int64_t id;
  struct serve_builds_row build;
  struct serve_build_hold_row hold;
};

static int
read_hold(struct db *db, void *context, struct error *err)
{
  struct cancel_question *question = context;
  int r = build_find(db, question->id, question->arena, &question->build, NULL, err);
  if (r == 0 && !question->build.finished_at_null)
    r = error_set(err, -EEXIST, "build %lld has ended: there is nothing to cancel",
                  (long long) question->id);
  if (r == 0)
    r = serve_build_hold(db, question->id, &question->hold, err);
  return r < 0 ? r : 0;
}

static const char *
words_of_hold(struct arena *arena, int64_t count)
{
  if (count == 0)
    return "No other build waits for it. It can be restarted later.";
  if (count == 1)
    return "One more build waits for it and is cancelled too. Both can be restarted later.";
  return arena_printf(arena,
                      "%s%lld builds wait for it, directly or by others, and are cancelled too. "
                      "All can be restarted later.",
                      count >= 1000 ? "More than " : "", (long long) count);
}

static int
ask_cancel(struct http_request *request, void *context, struct error *err)
{
  const struct serve_context *serve = context;
  struct cancel_question question = { .arena = http_arena(request) };
  int r = http_param_id(request, "id", &question.id, err);
  if (r == 0)
    r = db_pool_run(serve->pool, DB_READ, read_hold, &question, err);
  if (r < 0)
    return r;
  struct arena *arena = question.arena;
  struct ui_frame frame;
  accounts_frame(request, serve->pool, &frame);
  const struct ui_question asked = {
    .title = str_of(arena_printf(arena, "Cancel %.*s?", STR_FMT(question.build.name))),
    .what = str_of(words_of_hold(arena, question.hold.count)),
    .button = STR("Cancel it"),
    .action = arena_printf(arena, "%s/cancel", build_path(request, question.id)),
    .back = build_path(request, question.id),
  };
  return ui_ask(request, &frame, &asked);
}

static int
get_cancel(struct http_request *request, void *context, struct error *err)
{
  (void) err;
  return serve_later(context, request, ask_cancel);
}

static int
cancel_build(struct http_request *request, void *context, struct error *err)
{
  struct serve_context *serve = context;
  int64_t id = 0;
  int r = http_param_id(request, "id", &id, err);
  if (r == 0)
    r = farm_build_cancel(serve->farm, id, err);
  return r < 0 ? r
               : ui_done(request, build_path(request, id), "Build %lld is cancelled.",
                         (long long) id);
}

static int
post_cancel(struct http_request *request, void *context, struct error *err)
{
  (void) err;
  return serve_later(context, request, cancel_build);
}

static const struct http_route routes[] = {
  { "GET", "/builds/{id}", get_build, .summary = "A build" },
  { "POST", "/builds/{id}/restart", post_restart, .form = true, .role = "admin",
    .body_limit = FORM_LIMIT, .members = "dependents?", .summary = "Build it again" },
  { "GET", "/builds/{id}/cancel", get_cancel, .role = "admin", .summary = "Cancel it?" },
  { "POST", "/builds/{id}/cancel", post_cancel, .form = true, .role = "admin",
    .body_limit = FORM_LIMIT, .summary = "Cancel it, and what needs it" },
};

struct http_routes
serve_build_pages(struct serve_context *context)
{
  return (struct http_routes) { routes, ARRAY_SIZE(routes), context };
}
