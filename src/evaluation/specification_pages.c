/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Specifications, and one of them. */
#include <errno.h>

#include "evaluation/evaluation_pages.h"
#include "evaluation/evaluation_private.h"
#include "evaluation/pages.h"
#include "ui/ui.h"

#define EVALUATIONS_SHOWN 50
#define STRIP_SHOWN 12      /* evaluations, in the list of specifications */
#define LONG_STRIP_SHOWN 40 /* on the page of one */

/* ---- all specifications ---- */

struct specifications_query
{
  struct arena *arena;
  struct specifications_view view;
};

static int
read_specifications(struct db *db, void *context, struct error *err)
{
  struct specifications_query *query = context;
  int r = page_specifications(db, query->arena, &query->view.specifications, err);
  if (r == 0)
    r = page_strips(db, STRIP_SHOWN, str_of(NULL), query->arena, &query->view.strips, err);
  return r;
}

static int
get_specifications(struct http_request *request, void *context, struct error *err)
{
  struct evaluations *evaluations = context;
  struct specifications_query query = { .arena = http_arena(request) };
  int r = db_pool_run(evaluations->options.pool, DB_READ, read_specifications, &query, err);
  if (r < 0)
    return r;
  CLEANUP_BUF struct buf page = { 0 };
  struct ui_frame frame;
  accounts_frame(request, evaluations->options.pool, &frame);
  specifications_page(&page, &query.view, &frame);
  return ui_reply(request, &frame, &page);
}

/* ---- one specification ---- */

struct specification_query
{
  struct arena *arena;
  struct str name;
  int64_t before;
  struct specification_view view;
};

static int
read_specification(struct db *db, void *context, struct error *err)
{
  struct specification_query *query = context;
  struct specification_view *view = &query->view;
  int r = page_specification(db, query->name, query->arena, &view->specification, err);
  if (r == 0)
    return error_set(err, -ENOENT, "there is no specification \"%.*s\"", STR_FMT(query->name));
  if (r < 0)
    return r;
  r = page_channels(db, view->specification.id, query->arena, &view->channels, err);
  if (r == 0)
    r = page_strips(db, LONG_STRIP_SHOWN, query->name, query->arena, &view->strip, err);
  if (r == 0)
    r = page_evaluations(db, query->name, query->before, EVALUATIONS_SHOWN, query->arena,
                         &view->evaluations, err);
  size_t count = view->evaluations.count;
  view->next = count == EVALUATIONS_SHOWN ? view->evaluations.items[count - 1].id : 0;
  return r;
}

static int
get_specification(struct http_request *request, void *context, struct error *err)
{
  struct evaluations *evaluations = context;
  struct specification_query query = { .arena = http_arena(request),
                                       .name = http_param(request, "name") };
  int r = http_query_i64(request, "before", 1, INT64_MAX, INT64_MAX, &query.before, err);
  if (r == 0)
    r = db_pool_run(evaluations->options.pool, DB_READ, read_specification, &query, err);
  if (r < 0)
    return r;
  CLEANUP_BUF struct buf page = { 0 };
  struct ui_frame frame;
  accounts_frame(request, evaluations->options.pool, &frame);
  specification_page(&page, &query.view, &frame);
  return ui_reply(request, &frame, &page);
}

static const struct http_route routes[] = {
  { "GET", "/specifications", get_specifications, .summary = "Specifications" },
  { "GET", "/specifications/{name}", get_specification, .summary = "A specification" },
};

struct http_routes
evaluations_specification_pages(struct evaluations *evaluations)
{
  return (struct http_routes) { routes, ARRAY_SIZE(routes), evaluations };
}
