/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The overview. */
#include <errno.h>

#include "serve/counts.h"
#include "serve/routes.h"
#include "serve/serve_pages.h"
#include "serve/views.h"
#include "ui/ui.h"

#define SHOWN 10       /* builds of a kind */
#define STRIP_SHOWN 12 /* evaluations of a specification */

struct overview_question
{
  struct serve_context *serve;
  struct arena *arena;
  struct overview_view view;
};

/* Of specifications, then of agents. */
static int
read_troubles(struct db *db, struct overview_question *question, struct error *err)
{
  struct overview_view *view = &question->view;
  struct overview_troubles_rows rows;
  size_t first = 0;
  int r = overview_troubles(db, question->arena, &rows, err);
  if (r < 0)
    return r;
  while (first < rows.count && !rows.items[first].is_agent)
    first++;
  view->troubles = (struct overview_troubles_rows) { rows.items, first };
  view->away = (struct overview_troubles_rows) { rows.items + first, rows.count - first };
  return 0;
}

/* Those that run, then those that failed. */
static int
read_builds(struct db *db, struct overview_question *question, struct error *err)
{
  struct overview_view *view = &question->view;
  struct overview_builds_rows rows;
  size_t running = 0;
  int r = overview_builds(db, SHOWN, question->arena, &rows, err);
  if (r < 0)
    return r;
  while (running < rows.count && rows.items[running].runs)
    running++;
  view->running = (struct overview_builds_rows) { rows.items, running };
  view->failed = (struct overview_builds_rows) { rows.items + running, rows.count - running };
  return 0;
}

static int
read_overview(struct db *db, void *context, struct error *err)
{
  struct overview_question *question = context;
  struct arena *arena = question->arena;
  struct overview_view *view = &question->view;
  int r = read_troubles(db, question, err);
  if (r == 0)
    r = overview_news(db, arena, &view->news, err);
  if (r == 0)
    r = overview_broken(db, SHOWN, arena, &view->broken, err);
  if (r == 0)
    r = page_specifications(db, arena, &view->specifications, err);
  if (r == 0)
    r = page_strips(db, STRIP_SHOWN, str_of(NULL), arena, &view->strips, err);
  if (r == 0)
    r = read_builds(db, question, err);
  return r;
}

static int
show_overview(struct http_request *request, void *context, struct error *err)
{
  struct serve_context *serve = context;
  struct overview_question question = { .serve = serve, .arena = http_arena(request) };
  int r = counts_get(serve, &question.view.counts, err);
  if (r == 0)
    r = db_pool_run(serve->pool, DB_READ, read_overview, &question, err);
  if (r < 0)
    return r;
  evaluations_trouble(serve->evaluations, &question.view.trouble);
  CLEANUP_BUF struct buf page = { 0 };
  struct ui_frame frame;
  accounts_frame(request, serve->pool, &frame);
  overview_page(&page, &question.view, &frame);
  return ui_reply(request, &frame, &page);
}

static int
get_overview(struct http_request *request, void *context, struct error *err)
{
  (void) err;
  return serve_later(context, request, show_overview);
}

static const struct http_route routes[] = {
  { "GET", "/", get_overview, .summary = "Overview" },
};

struct http_routes
serve_overview_page(struct serve_context *context)
{
  return (struct http_routes) { routes, ARRAY_SIZE(routes), context };
}
