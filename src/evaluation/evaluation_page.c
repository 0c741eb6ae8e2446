/* SPDX-License-Identifier: GPL-3.0-or-later */
/* One evaluation. */
#include <errno.h>

#include "evaluation/evaluation_pages.h"
#include "evaluation/evaluation_private.h"
#include "evaluation/pages.h"
#include "ui/ui.h"

#define JOBS_SHOWN 200
#define ERRORS_SHOWN 500

struct evaluation_query
{
  struct arena *arena;
  int64_t id;
  int16_t state;
  const int16_t *wanted; /* state, or NULL */
  struct str after_name;
  int64_t after_id;
  struct evaluation_view view;
};

static int
read_head(struct db *db, struct evaluation_query *query, struct error *err)
{
  struct page_evaluations_rows found;
  int r = page_evaluations(db, str_of(NULL), query->id + 1, 1, query->arena, &found, err);
  if (r < 0)
    return r;
  if (found.count == 0 || found.items[0].id != query->id)
    return error_set(err, -ENOENT, "there is no evaluation %lld", (long long) query->id);
  query->view.evaluation = found.items[0];
  return 0;
}

static void
set_cursor(struct evaluation_query *query)
{
  const struct page_evaluation_jobs_rows *jobs = &query->view.jobs;
  if (jobs->count < JOBS_SHOWN)
    return;
  const struct page_evaluation_jobs_row *last = &jobs->items[jobs->count - 1];
  query->view.cursor = str_of(arena_printf(query->arena, "%.*s/%lld", STR_FMT(last->name),
                                           (long long) last->derivation_id));
}

static int
read_evaluation(struct db *db, void *context, struct error *err)
{
  struct evaluation_query *query = context;
  struct evaluation_view *view = &query->view;
  struct arena *arena = query->arena;
  int r = read_head(db, query, err);
  if (r == 0)
    r = page_evaluation_revisions(db, query->id, arena, &view->revisions, err);
  if (r == 0)
    r = page_evaluation_builds(db, query->id, arena, &view->builds, err);
  if (r == 0)
    r = page_evaluation_errors(db, query->id, ERRORS_SHOWN, arena, &view->errors, err);
  if (r == 0)
    r = page_evaluation_jobs(db, query->id, query->after_name, query->after_id, query->wanted,
                             JOBS_SHOWN, arena, &view->jobs, err);
  if (r == 0)
    set_cursor(query);
  return r;
}

static int
get_evaluation(struct http_request *request, void *context, struct error *err)
{
  struct evaluations *evaluations = context;
  struct evaluation_query query = { .arena = http_arena(request) };
  int r = http_param_id(request, "id", &query.id, err);
  if (r == 0)
    r = evaluation_job_cursor(http_query(request, "after"), &query.after_name, &query.after_id,
                              err);
  if (r == 0)
    r = evaluation_build_state(http_query(request, "state"), &query.state, &query.wanted, err);
  query.view.state =
      query.wanted != NULL ? farm_build_state_name((enum farm_build_state) query.state) : "";
  if (r == 0)
    r = db_pool_run(evaluations->options.pool, DB_READ, read_evaluation, &query, err);
  if (r < 0)
    return r;
  CLEANUP_BUF struct buf page = { 0 };
  struct ui_frame frame;
  accounts_frame(request, evaluations->options.pool, &frame);
  evaluation_page(&page, &query.view, &frame);
  return ui_reply(request, &frame, &page);
}

static const struct http_route routes[] = {
  { "GET", "/evaluations/{id}", get_evaluation, .summary = "An evaluation" },
};

struct http_routes
evaluations_page(struct evaluations *evaluations)
{
  return (struct http_routes) { routes, ARRAY_SIZE(routes), evaluations };
}
