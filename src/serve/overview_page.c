/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The overview. */
#include <errno.h>

#include "base/json.h"
#include "base/mem.h"
#include "serve/counts.h"
#include "serve/routes.h"
#include "serve/serve_pages.h"
#include "serve/views.h"
#include "ui/ui.h"

#define SHOWN 10 /* builds of a kind */
#define ATTENTION_SHOWN 20
#define ATTENTION_MAX 1000 /* in the API */
#define STRIP_SHOWN 12     /* evaluations of a specification */

struct overview_question
{
  struct serve_context *serve;
  struct arena *arena;
  struct overview_view view;
};

/* Of specifications, then of agents. */
static int
read_troubles(struct db *db, struct overview_question *question, int64_t limit, struct error *err)
{
  struct overview_view *view = &question->view;
  struct overview_troubles_rows rows;
  size_t first = 0;
  int r = overview_troubles(db, limit, question->arena, &rows, err);
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

/* What needs attention: at most LIMIT of each kind. */
static int
read_attention(struct db *db, struct overview_question *question, int64_t limit, int64_t builds,
               struct error *err)
{
  struct arena *arena = question->arena;
  struct overview_view *view = &question->view;
  int r = read_troubles(db, question, limit, err);
  if (r == 0)
    r = overview_news(db, limit, arena, &view->news, err);
  if (r == 0)
    r = overview_broken(db, builds, arena, &view->broken, err);
  return r;
}

static int
read_overview(struct db *db, void *context, struct error *err)
{
  struct overview_question *question = context;
  struct arena *arena = question->arena;
  struct overview_view *view = &question->view;
  int r = read_attention(db, question, ATTENTION_SHOWN, SHOWN, err);
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

/* ---- the API ---- */

static void
put_trouble(struct json *json, const struct error *trouble)
{
  CLEANUP_FREE char *text = mem_printf("%s. %s", trouble->message, trouble->hint);
  json_put_cstr(json, "evaluations_trouble", trouble->code != 0 ? text : NULL);
}

static void
put_troubles(struct json *json, const struct overview_troubles_rows *rows)
{
  json_key(json, "failing_specifications");
  json_array_open(json);
  for (size_t i = 0; i < rows->count; i++) {
    const struct overview_troubles_row *row = &rows->items[i];
    json_object_open(json);
    json_put_text(json, "specification", row->name);
    json_put_words(json, "failure", row->failure);
    json_put_id(json, "evaluation", row->evaluation_id);
    json_put_words(json, "message", row->message);
    json_object_close(json);
  }
  json_array_close(json);
}

static void
put_news(struct json *json, const struct overview_news_rows *rows)
{
  json_key(json, "worse_evaluations");
  json_array_open(json);
  for (size_t i = 0; i < rows->count; i++) {
    const struct overview_news_row *row = &rows->items[i];
    json_object_open(json);
    json_put_text(json, "specification", row->specification);
    json_put_i64(json, "evaluation", row->evaluation);
    json_put_id(json, "against", row->before);
    json_put_i64(json, "errors_new_count", row->errors_new);
    json_put_text(json, "summary", row->summary);
    json_object_close(json);
  }
  json_array_close(json);
}

/* The rows of one breakage stand together. */
static void
put_broken(struct json *json, const struct overview_broken_rows *rows)
{
  json_key(json, "breakages");
  json_array_open(json);
  for (size_t i = 0; i < rows->count;) {
    const struct overview_broken_row *first = &rows->items[i];
    json_object_open(json);
    json_put_text(json, "specification", first->specification);
    json_put_i64(json, "evaluation", first->evaluation);
    json_put_time(json, "created_at", first->since, false);
    json_put_i64(json, "jobs_count", first->jobs);
    json_key(json, "jobs");
    json_array_open(json);
    for (; i < rows->count && rows->items[i].evaluation == first->evaluation; i++) {
      json_object_open(json);
      json_put_text(json, "name", rows->items[i].name);
      json_put_i64(json, "build", rows->items[i].build);
      json_object_close(json);
    }
    json_array_close(json);
    json_object_close(json);
  }
  json_array_close(json);
}

static void
put_away(struct json *json, const struct overview_troubles_rows *rows)
{
  json_key(json, "agents_away");
  json_array_open(json);
  for (size_t i = 0; i < rows->count; i++) {
    json_object_open(json);
    json_put_text(json, "agent", rows->items[i].name);
    json_put_time(json, "seen_at", rows->items[i].seen_at, rows->items[i].seen_at_null);
    json_object_close(json);
  }
  json_array_close(json);
}

static int
read_all_attention(struct db *db, void *context, struct error *err)
{
  return read_attention(db, context, ATTENTION_MAX, ATTENTION_MAX, err);
}

static int
tell_overview(struct http_request *request, void *context, struct error *err)
{
  struct serve_context *serve = context;
  struct overview_question question = { .serve = serve, .arena = http_arena(request) };
  struct overview_view *view = &question.view;
  int r = counts_get(serve, &view->counts, err);
  if (r == 0)
    r = db_pool_run(serve->pool, DB_READ, read_all_attention, &question, err);
  if (r < 0)
    return r;
  evaluations_trouble(serve->evaluations, &view->trouble);
  CLEANUP_BUF struct buf body = { 0 };
  struct json json = json_begin(&body);
  json_object_open(&json);
  json_put_bool(&json, "scheduler", view->counts.scheduler);
  counts_write(&json, &view->counts);
  put_trouble(&json, &view->trouble);
  put_troubles(&json, &view->troubles);
  put_news(&json, &view->news);
  put_broken(&json, &view->broken);
  put_away(&json, &view->away);
  json_object_close(&json);
  return http_reply_json(request, 200, &body);
}

static int
get_api_overview(struct http_request *request, void *context, struct error *err)
{
  (void) err;
  return serve_later(context, request, tell_overview);
}

static const struct http_route routes[] = {
  { "GET", HTTP_API "/overview", get_api_overview, .summary = "What needs attention",
    .reply = "Overview" },
  { "GET", "/", get_overview, .summary = "Overview" },
};

struct http_routes
serve_overview_page(struct serve_context *context)
{
  return (struct http_routes) { routes, ARRAY_SIZE(routes), context };
}
