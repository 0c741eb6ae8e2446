/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The list of builds. */
#include <errno.h>

#include "serve/counts.h"
#include "serve/filters.h"
#include "serve/routes.h"
#include "serve/serve_pages.h"
#include "serve/views.h"
#include "ui/ui.h"

#define BUILDS_SHOWN 100

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
  struct builds_view *view = &question->view;
  int r = serve_systems(db, question->arena, &view->systems, err);
  return r < 0 ? r : build_filter_run(db, &question->filter, question->arena, &view->builds, err);
}

/* Of all builds, whatever else is asked for. */
static void
fill_chips(const struct serve_counts_row *counts, struct builds_view *view)
{
  const int64_t of_state[FARM_BUILD_STATE_MAX] = {
    [FARM_BUILD_WAITING] = counts->waiting,
    [FARM_BUILD_RUNNING] = counts->running,
    [FARM_BUILD_SUCCEEDED] = counts->succeeded,
    [FARM_BUILD_FAILED] = counts->failed,
    [FARM_BUILD_DEPENDENCY_FAILED] = counts->dependency_failed,
    [FARM_BUILD_CANCELLED] = counts->cancelled,
  };
  view->chips.items = view->chip_room;
  for (int state = 0; state < FARM_BUILD_STATE_MAX; state++) {
    const char *name = farm_build_state_name((enum farm_build_state) state);
    view->all += of_state[state];
    view->chips.items[view->chips.count++] = (struct state_chip) {
      .state = str_of(name), .count = of_state[state], .is_chosen = strcmp(name, view->state) == 0
    };
  }
}

/* A page that was come to has others behind it. */
static void
fill_cursors(const struct build_filter *filter, struct builds_view *view)
{
  const struct serve_builds_rows *rows = &view->builds;
  bool is_forward = filter->after > 0;
  bool has_older = is_forward || filter->has_more;
  bool has_newer = is_forward ? filter->has_more : filter->before < INT64_MAX;
  view->is_paged = is_forward || filter->before < INT64_MAX;
  if (rows->count == 0)
    return;
  view->older = has_older ? rows->items[rows->count - 1].id : 0;
  view->newer = has_newer ? rows->items[0].id : 0;
}

static int
show_builds(struct http_request *request, void *context, struct error *err)
{
  struct serve_context *serve = context;
  struct builds_question question = { .serve = serve, .arena = http_arena(request) };
  struct serve_counts_row counts = { 0 };
  int r = build_filter_read(request, BUILDS_SHOWN, &question.filter, err);
  if (r == 0)
    r = counts_get(serve, &counts, err);
  if (r == 0)
    r = db_pool_run(serve->pool, DB_READ, read_builds, &question, err);
  if (r < 0)
    return r;
  struct builds_view *view = &question.view;
  view->state = question.filter.state != NULL
                    ? farm_build_state_name((enum farm_build_state) question.filter.state_value)
                    : "";
  view->name = question.filter.name;
  view->system = question.filter.system;
  view->evaluation = question.filter.evaluation_value;
  fill_chips(&counts, view);
  fill_cursors(&question.filter, view);
  CLEANUP_BUF struct buf page = { 0 };
  struct ui_frame frame;
  accounts_frame(request, serve->pool, &frame);
  builds_page(&page, view, &frame);
  return ui_reply(request, &frame, &page);
}

/* Counting may have to wait. */
static int
get_builds(struct http_request *request, void *context, struct error *err)
{
  (void) err;
  return serve_later(context, request, show_builds);
}

static const struct http_route routes[] = {
  { "GET", "/builds", get_builds, .summary = "Builds" },
};

struct http_routes
serve_builds_page(struct serve_context *context)
{
  return (struct http_routes) { routes, ARRAY_SIZE(routes), context };
}
