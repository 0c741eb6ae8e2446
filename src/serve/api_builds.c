/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The API of builds: doc/api.md. */
#include <errno.h>
#include <stdlib.h>

#include "serve/api_list.h"
#include "serve/filters.h"

/* ---- lists ---- */

struct list_question
{
  struct arena *arena;
  struct build_filter filter;
  struct serve_builds_rows rows;
};

static int
read_list(struct db *db, void *context, struct error *err)
{
  struct list_question *question = context;
  return build_filter_run(db, &question->filter, question->arena, &question->rows, err);
}

void
build_write(struct json *json, const struct serve_builds_row *row)
{
  json_put_i64(json, "id", row->id);
  json_put_text(json, "name", row->name);
  json_put_text(json, "derivation", row->derivation);
  json_put_text(json, "system", row->system);
  json_put_text(json, "state", row->state);
  json_put_i64(json, "priority", row->priority);
  json_put_i64(json, "timeout_s", row->timeout_s);
  json_put_i64(json, "max_silent_s", row->max_silent_s);
  json_put_time(json, "created_at", row->created_at, false);
  json_put_time(json, "finished_at", row->finished_at, row->finished_at_null);
  json_put_id(json, "failed_build", row->failed_build_id);
}

static int
tell_builds(struct http_request *request, void *context, struct error *err)
{
  struct serve_context *serve = context;
  struct list_question question = { .arena = http_arena(request) };
  int r = build_filter_read(request, API_LIST_DEFAULT, &question.filter, err);
  if (r == 0)
    r = db_pool_run(serve->pool, DB_READ, read_list, &question, err);
  if (r < 0)
    return r;
  CLEANUP_BUF struct buf body = { 0 };
  struct json json = json_begin(&body);
  api_list_open(&json);
  for (size_t i = 0; i < question.rows.count; i++) {
    json_object_open(&json);
    build_write(&json, &question.rows.items[i]);
    json_object_close(&json);
  }
  return api_list_reply(request, &json, &body,
                        question.filter.has_more ? question.filter.last : NULL);
}

/* It may look at many builds for a few. */
static int
get_builds(struct http_request *request, void *context, struct error *err)
{
  (void) err;
  return serve_later(context, request, tell_builds);
}

/* ---- log ---- */

struct log_question
{
  int64_t build_id;
  int64_t attempt_id; /* 0 = see serve_attempt_of_build */
  int64_t from;       /* byte */
  bool follow;
  bool is_running;
  bool has_failed;
};

static int
tell_no_attempt(struct db *db, const struct log_question *question, struct error *err)
{
  CLEANUP_ARENA struct arena arena = { 0 };
  struct serve_builds_row build;
  int r = build_find(db, question->build_id, &arena, &build, NULL, err);
  if (r < 0)
    return r;
  if (question->attempt_id != 0)
    return error_set(err, -ENOENT, "build %lld has no attempt %lld", (long long) question->build_id,
                     (long long) question->attempt_id);
  return error_set(err, -ENOENT, "build %lld has not been begun: there is no log (yet)",
                   (long long) question->build_id);
}

static int
find_attempt(struct db *db, void *context, struct error *err)
{
  struct log_question *question = context;
  const int64_t *given = question->attempt_id != 0 ? &question->attempt_id : NULL;
  struct serve_attempt_of_build_row row;
  int r = serve_attempt_of_build(db, question->build_id, given, &row, err);
  if (r <= 0)
    return r < 0 ? r : tell_no_attempt(db, question, err);
  question->attempt_id = row.id;
  question->is_running = row.is_running;
  question->has_failed = row.has_failed;
  return 0;
}

/* An attempt that has said nothing has no log yet, and it takes one to wait at. When
   the attempt ends before we look again, nobody else will finish it. */
static int
begin_log(const struct serve_context *serve, struct log_question *question, struct error *err)
{
  int64_t size;
  int r = cache_log_append(serve->cache, question->attempt_id, 0, STR(""), &size, err);
  if (r == 0)
    r = db_pool_run(serve->pool, DB_READ, find_attempt, question, err);
  if (r == 0 && !question->is_running)
    r = cache_log_finish(serve->cache, question->attempt_id, &size, err);
  return r == -ESTALE ? 0 : r;
}

static int
read_log_question(struct http_request *request, const struct serve_context *serve,
                  struct log_question *ret, struct error *err)
{
  ret->follow = str_equal(http_query(request, "follow"), STR("yes"));
  int r = http_param_id(request, "id", &ret->build_id, err);
  if (r == 0)
    r = http_query_i64(request, "attempt", 1, INT64_MAX, 0, &ret->attempt_id, err);
  if (r == 0)
    r = http_query_i64(request, "from", 0, INT64_MAX, 0, &ret->from, err);
  if (r == 0)
    r = db_pool_run(serve->pool, DB_READ, find_attempt, ret, err);
  return r;
}

static int
reply_log(struct http_request *request, const struct serve_context *serve,
          struct log_question *question, struct error *err)
{
  struct cache *cache = serve->cache;
  int r =
      cache_log_reply(cache, request, question->attempt_id, question->from, question->follow, err);
  if (r != -ENOENT)
    return r;
  if (!question->follow || !question->is_running)
    return http_reply_text(request, 200, "text/plain; charset=utf-8", "");
  r = begin_log(serve, question, err);
  return r < 0 ? r
               : cache_log_reply(cache, request, question->attempt_id, question->from, true, err);
}

/* On a worker: the server was killed before it closed this log, say. */
static int
get_unclosed_log(struct http_request *request, void *context, struct error *err)
{
  struct serve_context *serve = context;
  struct log_question question = { 0 };
  int r = read_log_question(request, serve, &question, err);
  if (r == 0 && !question.is_running)
    r = farm_log_close(serve->farm, question.attempt_id, err);
  return r < 0 ? r : reply_log(request, serve, &question, err);
}

static int
get_log(struct http_request *request, void *context, struct error *err)
{
  struct serve_context *serve = context;
  struct log_question question = { 0 };
  int r = read_log_question(request, serve, &question, err);
  if (r < 0)
    return r;
  if (!question.is_running && cache_log_is_live(serve->cache, question.attempt_id))
    return serve_later(serve, request, get_unclosed_log);
  return reply_log(request, serve, &question, err);
}

/* ---- what a log holds ---- */

static void
put_phase(struct json *json, struct arena *arena, const struct log_phase *phase)
{
  const char *duration = arena_printf(arena, "%.6f", (double) phase->duration / 1e6);
  json_object_open(json);
  json_put_cstr(json, "name", phase->name);
  json_put_i64(json, "line", phase->line);
  json_put_cstr(json, "state",
                !phase->has_ended   ? "running"
                : phase->has_failed ? "failed"
                                    : "succeeded");
  json_key(json, "duration_s");
  if (phase->has_ended)
    json_raw(json, str_of(duration));
  else
    json_none(json);
  json_object_close(json);
}

static void
put_outline(struct json *json, struct arena *arena, int64_t attempt_id, struct log_window *log)
{
  json_object_open(json);
  json_put_i64(json, "attempt", attempt_id);
  json_put_i64(json, "log_size", log->size);
  json_put_i64(json, "lines_count", log->lines_count);
  json_put_bool(json, "growing", log->is_live);
  json_put_id(json, "error_line", log->error_line);
  json_put_words(json, "error", str_of(log->error));
  json_key(json, "phases");
  json_array_open(json);
  for (size_t i = 0; i < log->phases.count; i++)
    put_phase(json, arena, &log->phases.items[i]);
  json_array_close(json);
  json_object_close(json);
}

/* An attempt that said nothing has no log: that is an empty one. */
static int
tell_outline(struct http_request *request, void *context, struct error *err)
{
  struct serve_context *serve = context;
  struct arena *arena = http_arena(request);
  struct log_question question = { 0 };
  struct log_window log = { 0 };
  int r = read_log_question(request, serve, &question, err);
  if (r < 0)
    return r;
  if (!question.is_running && cache_log_is_live(serve->cache, question.attempt_id))
    (void) farm_log_close(serve->farm, question.attempt_id, NULL);
  const struct log_window_question asked = { .attempt_id = question.attempt_id,
                                             .lines_max = 1,
                                             .has_failed = question.has_failed };
  r = log_window_read(&serve->log_scans, serve->cache, &asked, arena, &log, err);
  if (r < 0 && r != -ENOENT)
    return r;
  log.is_live |= question.is_running;
  CLEANUP_BUF struct buf body = { 0 };
  struct json json = json_begin(&body);
  put_outline(&json, arena, question.attempt_id, &log);
  return http_reply_json(request, 200, &body);
}

/* A log must be unpacked. */
static int
get_outline(struct http_request *request, void *context, struct error *err)
{
  (void) err;
  return serve_later(context, request, tell_outline);
}

/* ---- actions ---- */

static int
get_explain(struct http_request *request, void *context, struct error *err)
{
  struct serve_context *serve = context;
  CLEANUP_BUF struct buf body = { 0 };
  int64_t id = 0;
  int r = http_param_id(request, "id", &id, err);
  if (r == 0)
    r = farm_build_explain(serve->farm, id, &body, err);
  return r < 0 ? r : http_reply_json(request, 200, &body);
}

/* Orders wait for their effect: on a worker. */

static int
cancel_build(struct http_request *request, void *context, struct error *err)
{
  struct serve_context *serve = context;
  int64_t id = 0;
  int r = http_param_id(request, "id", &id, err);
  if (r == 0)
    r = farm_build_cancel(serve->farm, id, err);
  return r < 0 ? r : http_reply_accepted(request);
}

static int
post_cancel(struct http_request *request, void *context, struct error *err)
{
  (void) err;
  return serve_later(context, request, cancel_build);
}

static int
restart_build(struct http_request *request, void *context, struct error *err)
{
  struct serve_context *serve = context;
  bool dependents = str_equal(http_query(request, "dependents"), STR("yes"));
  int64_t id = 0;
  int r = http_param_id(request, "id", &id, err);
  if (r == 0)
    r = farm_build_restart(serve->farm, id, dependents, err);
  return r < 0 ? r : http_reply_accepted(request);
}

static int
post_restart(struct http_request *request, void *context, struct error *err)
{
  (void) err;
  return serve_later(context, request, restart_build);
}

static const struct http_route routes[] = {
  { "GET", HTTP_API "/builds", get_builds, .summary = "Builds, newest first",
    .query = "agent before evaluation limit name specification state system", .reply = "Builds" },
  { "GET", HTTP_API "/builds/{id}/log", get_log, .summary = "What its builder printed",
    .query = "attempt follow? from", .type = "text/plain" },
  { "GET", HTTP_API "/builds/{id}/log/outline", get_outline,
    .summary = "Its log's size, phases and first error", .query = "attempt",
    .reply = "LogOutline" },
  { "GET", HTTP_API "/builds/{id}/explain", get_explain, .summary = "Why it waits",
    .reply = "Explanation" },
  { "POST", HTTP_API "/builds/{id}/cancel", post_cancel, .body_limit = 1024, .role = "admin",
    .summary = "Cancel a build", .status = 202 },
  { "POST", HTTP_API "/builds/{id}/restart", post_restart, .body_limit = 1024, .role = "admin",
    .summary = "Build again what failed", .query = "dependents?", .status = 202 },
};

struct http_routes
serve_api_builds(struct serve_context *context)
{
  return (struct http_routes) { routes, ARRAY_SIZE(routes), context };
}
