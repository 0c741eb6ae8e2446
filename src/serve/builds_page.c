/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The list of builds. Its order and filters stand in the address. */
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
  int r = serve_build_choices(db, question->arena, &view->choices, err);
  return r < 0 ? r : build_filter_run(db, &question->filter, question->arena, &view->builds, err);
}

/* ---- order ---- */

static const struct ui_column columns[] = {
  { "State", NULL, false, false },  { "Name", "name", false, false },
  { "System", NULL, false, false }, { "Wanted", "wanted", true, false },
  { "Took", "took", true, true },
};

enum
{
  COLUMN_NAME = 1,
  COLUMN_WANTED = 3,
  COLUMN_TOOK = 4,
};

static const char *const kept[] = {
  "state", "name", "system", "specification", "evaluation", "agent", "sort", "limit", NULL,
};

static int
read_order(struct http_request *request, struct build_filter *filter, struct ui_sort *ret,
           struct error *err)
{
  *ret = (struct ui_sort) { COLUMN_WANTED, true };
  int r = ui_sort_read(request, columns, ARRAY_SIZE(columns), ret, err);
  filter->rises = !ret->falls;
  filter->order = ret->column == COLUMN_NAME   ? BUILDS_BY_NAME
                  : ret->column == COLUMN_TOOK ? BUILDS_BY_TOOK
                                               : BUILDS_BY_ID;
  return r;
}

/* ---- links ---- */

/* Of all builds, whatever else is asked for. */
static void
fill_chips(const struct serve_counts_row *counts, const struct ui_list *list,
           struct builds_view *view)
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
  view->all_address = ui_list_address(list, "state", STR(""));
  for (int state = 0; state < FARM_BUILD_STATE_MAX; state++) {
    struct str name = str_of(farm_build_state_name((enum farm_build_state) state));
    view->all += of_state[state];
    view->chips.items[view->chips.count++] = (struct state_chip) {
      .state = name,
      .count = of_state[state],
      .address = ui_list_address(list, "state", name),
      .is_chosen = str_equal(name, view->state),
    };
  }
}

static const char *
cursor_address(const struct ui_list *list, const char *name, const char *cursor)
{
  return cursor != NULL ? ui_list_address(list, name, str_of(cursor)) : "";
}

/* A page that was come to has others behind it. */
static void
fill_pager(const struct build_filter *filter, const struct ui_list *list, struct builds_view *view)
{
  bool is_backwards = filter->after.size > 0;
  bool has_more = is_backwards || filter->has_more;
  bool has_less = is_backwards ? filter->has_more : filter->before.size > 0;
  view->is_partial = filter->is_partial;
  view->first = is_backwards || filter->before.size > 0 ? ui_list_address(list, NULL, STR("")) : "";
  view->previous = has_less ? cursor_address(list, "after", filter->first) : "";
  view->next = has_more ? cursor_address(list, "before", filter->last) : "";
}

/* ---- the page ---- */

static void
fill_filter(const struct build_filter *filter, struct http_request *request,
            struct builds_view *view)
{
  view->state = http_query(request, "state");
  view->name = filter->name;
  view->system = filter->system;
  view->specification = filter->specification;
  view->agent = filter->agent;
  view->sort = http_query(request, "sort");
  view->evaluation = filter->evaluation_value;
  view->is_counted =
      view->name.size + view->system.size + view->specification.size + view->agent.size == 0
      && view->evaluation == 0;
  view->is_narrowed = !view->is_counted || view->state.size > 0;
}

static int
show_builds(struct http_request *request, void *context, struct error *err)
{
  struct serve_context *serve = context;
  struct builds_question question = { .serve = serve, .arena = http_arena(request) };
  struct builds_view *view = &question.view;
  const struct ui_list list = { request, "/builds", NULL, kept };
  struct serve_counts_row counts = { 0 };
  struct ui_sort sort;
  int r = build_filter_read(request, BUILDS_SHOWN, &question.filter, err);
  if (r == 0)
    r = read_order(request, &question.filter, &sort, err);
  if (r == 0)
    r = counts_get(serve, &counts, err);
  if (r == 0)
    r = db_pool_run(serve->pool, DB_READ, read_builds, &question, err);
  if (r < 0)
    return r;
  fill_filter(&question.filter, request, view);
  fill_chips(&counts, &list, view);
  fill_pager(&question.filter, &list, view);
  view->by_time = question.filter.order == BUILDS_BY_ID && sort.falls;
  view->unsorted =
      question.filter.order == BUILDS_BY_TOOK ? ui_list_address(&list, "sort", STR("")) : "";
  view->heads = ui_list_heads(&list, columns, ARRAY_SIZE(columns), &sort);
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
