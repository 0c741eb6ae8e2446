/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Builds, and one of them. */
#include <errno.h>

#include "serve/filters.h"
#include "serve/routes.h"
#include "serve/serve_pages.h"
#include "serve/views.h"
#include "ui/ui.h"

#define BUILDS_SHOWN 100
#define LOG_SHOWN (64 << 10) /* bytes of a log's end */

/* ---- builds ---- */

struct builds_question
{
  struct serve_context *serve;
  struct arena *arena;
  struct build_filter filter;
  struct builds_view view;
};

static int
read_builds(struct db *db, void *context, struct error *err)
{
  struct builds_question *question = context;
  return build_filter_run(db, &question->filter, question->arena, &question->view.builds, err);
}

static int
get_builds(struct http_request *request, void *context, struct error *err)
{
  struct serve_context *serve = context;
  struct builds_question question = { .serve = serve, .arena = http_arena(request) };
  int r = build_filter_read(request, BUILDS_SHOWN, &question.filter, err);
  if (r == 0)
    r = db_pool_run(serve->pool, DB_READ, read_builds, &question, err);
  if (r < 0)
    return r;
  struct builds_view *view = &question.view;
  view->state = question.filter.state != NULL
                    ? farm_build_state_name((enum farm_build_state) question.filter.state_value)
                    : "";
  view->name = question.filter.name;
  view->next = build_filter_next(&question.filter, &view->builds);
  CLEANUP_BUF struct buf page = { 0 };
  struct ui_frame frame;
  accounts_frame(request, serve->pool, &frame);
  builds_page(&page, view, &frame);
  return ui_reply(request, &frame, &page);
}

/* ---- one build ---- */

struct build_question
{
  struct serve_context *serve;
  struct arena *arena;
  int64_t id;
  struct build_view view;
  struct serve_attempt_of_build_row logged; /* its log is shown; id 0 = there is none */
};

static int
read_build(struct db *db, void *context, struct error *err)
{
  struct build_question *question = context;
  struct arena *arena = question->arena;
  struct build_view *view = &question->view;
  int r = build_find(db, question->id, arena, &view->build, err);
  if (r == 0)
    r = serve_build_outputs(db, view->build.derivation_id, arena, &view->outputs, err);
  if (r == 0)
    r = serve_build_attempts(db, question->id, arena, &view->attempts, err);
  if (r == 0)
    r = serve_build_dependencies(db, view->build.derivation_id, arena, &view->dependencies, err);
  if (r == 0)
    r = serve_build_dependents(db, view->build.derivation_id, arena, &view->dependents, err);
  if (r == 0)
    r = serve_build_jobs(db, question->id, arena, &view->jobs, err);
  if (r == 0)
    r = serve_attempt_of_build(db, question->id, NULL, &question->logged, err);
  return r < 0 ? r : 0;
}

/* What is shown of a long log begins with a whole line. */
static struct str
shown_log(struct build_view *view, struct str text)
{
  view->log_is_cut = view->log_from > (int64_t) text.size;
  const char *newline = view->log_is_cut ? memchr(text.data, '\n', text.size) : NULL;
  return newline == NULL ? text : str_from(text, (size_t) (newline + 1 - text.data));
}

/* A missing log is an empty one: a page is no place to fail for it. One whose closing
   was missed is closed now, or the page would follow it for ever. */
static void
read_log(struct build_question *question, struct buf *room)
{
  const struct serve_context *serve = question->serve;
  struct build_view *view = &question->view;
  view->cause = "";
  if (view->attempts.count == 0)
    return;
  int newest_cause = view->attempts.items[0].cause;
  if (newest_cause != FARM_CAUSE_NONE)
    view->cause = farm_cause_name((enum farm_cause) newest_cause);
  view->attempt_id = question->logged.id;
  bool is_running = question->logged.is_running;
  if (!is_running && cache_log_is_live(serve->cache, view->attempt_id))
    (void) farm_log_close(serve->farm, view->attempt_id, NULL);
  (void) cache_log_tail(serve->cache, view->attempt_id, LOG_SHOWN, room, &view->log_from,
                        &view->log_is_live, NULL);
  view->log_is_live |= is_running;
  view->log = shown_log(view, buf_str(room));
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
  CLEANUP_BUF struct buf log = { 0 };
  CLEANUP_BUF struct buf page = { 0 };
  struct ui_frame frame;
  accounts_frame(request, serve->pool, &frame);
  read_log(&question, &log);
  build_page(&page, &question.view, &frame);
  return ui_reply(request, &frame, &page);
}

/* Finding the end of a finished log takes unpacking all of it. */
static int
get_build(struct http_request *request, void *context, struct error *err)
{
  (void) err;
  return serve_later(context, request, show_build);
}

static const struct http_route routes[] = {
  { "GET", "/builds", get_builds, .summary = "Builds" },
  { "GET", "/builds/{id}", get_build, .summary = "A build" },
};

struct http_routes
serve_build_pages(struct serve_context *context)
{
  return (struct http_routes) { routes, ARRAY_SIZE(routes), context };
}
