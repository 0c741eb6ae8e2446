/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The API of builds: doc/api.md. */
#include <errno.h>
#include <stdlib.h>

#include "base/json.h"
#include "serve/filters.h"

#define LIST_DEFAULT 100

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

/* The members of a build in a list, into an open object. */
static void
write_row(struct json *json, const struct serve_builds_row *row)
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
get_builds(struct http_request *request, void *context, struct error *err)
{
  struct serve_context *serve = context;
  struct list_question question = { .arena = http_arena(request) };
  int r = build_filter_read(request, LIST_DEFAULT, &question.filter, err);
  if (r == 0)
    r = db_pool_run(serve->pool, DB_READ, read_list, &question, err);
  if (r < 0)
    return r;
  CLEANUP_BUF struct buf body = { 0 };
  struct json json = json_begin(&body);
  json_object_open(&json);
  json_key(&json, "items");
  json_array_open(&json);
  for (size_t i = 0; i < question.rows.count; i++) {
    json_object_open(&json);
    write_row(&json, &question.rows.items[i]);
    json_object_close(&json);
  }
  json_array_close(&json);
  int64_t next = build_filter_next(&question.filter, &question.rows);
  const char *cursor = next == 0 ? NULL : arena_printf(question.arena, "%lld", (long long) next);
  json_put_cstr(&json, "next", cursor);
  json_object_close(&json);
  return http_reply_page(request, &body, str_of(cursor));
}

/* ---- one ---- */

struct build_facts
{
  struct arena *arena;
  int64_t id;
  struct serve_builds_row build;
  struct build_outputs outputs;
  struct serve_build_attempts_rows attempts;
  struct serve_build_dependencies_rows dependencies;
  struct serve_build_dependents_rows dependents;
  struct serve_build_jobs_rows jobs;
};

static int
read_facts(struct db *db, void *context, struct error *err)
{
  struct build_facts *facts = context;
  struct arena *arena = facts->arena;
  int r = build_find(db, facts->id, arena, &facts->build, &facts->outputs, err);
  int64_t derivation_id = r == 0 ? facts->build.derivation_id : 0;
  if (r == 0)
    r = serve_build_attempts(db, facts->id, arena, &facts->attempts, err);
  if (r == 0)
    r = serve_build_dependencies(db, derivation_id, arena, &facts->dependencies, err);
  if (r == 0)
    r = serve_build_dependents(db, derivation_id, arena, &facts->dependents, err);
  if (r == 0)
    r = serve_build_jobs(db, facts->id, arena, &facts->jobs, err);
  return r;
}

static void
write_outputs(struct json *json, const struct build_outputs *outputs)
{
  json_key(json, "outputs");
  json_array_open(json);
  for (size_t i = 0; i < outputs->count; i++) {
    const struct build_output *row = &outputs->items[i];
    json_object_open(json);
    json_put_text(json, "name", row->name);
    json_put_text(json, "path", row->path);
    json_put_bool(json, "available", row->available);
    json_key(json, "nar_size");
    if (row->available)
      json_i64(json, row->nar_size);
    else
      json_none(json);
    json_object_close(json);
  }
  json_array_close(json);
}

static void
write_attempts(struct json *json, const struct serve_build_attempts_rows *attempts)
{
  json_key(json, "attempts");
  json_array_open(json);
  for (size_t i = 0; i < attempts->count; i++) {
    const struct serve_build_attempts_row *row = &attempts->items[i];
    bool has_cause = row->cause != FARM_CAUSE_NONE;
    json_object_open(json);
    json_put_i64(json, "id", row->id);
    json_put_text(json, "agent", row->agent);
    json_put_text(json, "state", row->state);
    json_put_cstr(json, "cause", has_cause ? farm_cause_name((enum farm_cause) row->cause) : NULL);
    json_put_words(json, "message", row->message);
    json_put_time(json, "created_at", row->created_at, false);
    json_put_time(json, "started_at", row->started_at, row->started_at_null);
    json_put_time(json, "finished_at", row->finished_at, row->finished_at_null);
    json_put_i64(json, "log_size", row->log_size);
    json_object_close(json);
  }
  json_array_close(json);
}

static void
write_neighbour(struct json *json, int64_t id, struct str name, struct str state)
{
  json_object_open(json);
  json_put_i64(json, "id", id);
  json_put_text(json, "name", name);
  json_put_text(json, "state", state);
  json_object_close(json);
}

static void
write_neighbours(struct json *json, const struct build_facts *facts)
{
  json_key(json, "dependencies");
  json_array_open(json);
  for (size_t i = 0; i < facts->dependencies.count; i++) {
    const struct serve_build_dependencies_row *row = &facts->dependencies.items[i];
    write_neighbour(json, row->id, row->name, row->state);
  }
  json_array_close(json);
  json_key(json, "dependents");
  json_array_open(json);
  for (size_t i = 0; i < facts->dependents.count; i++) {
    const struct serve_build_dependents_row *row = &facts->dependents.items[i];
    write_neighbour(json, row->id, row->name, row->state);
  }
  json_array_close(json);
}

static void
write_jobs(struct json *json, const struct serve_build_jobs_rows *jobs)
{
  json_key(json, "jobs");
  json_array_open(json);
  for (size_t i = 0; i < jobs->count; i++) {
    json_object_open(json);
    json_put_text(json, "specification", jobs->items[i].specification);
    json_put_i64(json, "evaluation", jobs->items[i].evaluation);
    json_put_text(json, "name", jobs->items[i].name);
    json_object_close(json);
  }
  json_array_close(json);
}

static void
write_build(struct json *json, const struct build_facts *facts)
{
  json_object_open(json);
  write_row(json, &facts->build);
  write_outputs(json, &facts->outputs);
  write_attempts(json, &facts->attempts);
  write_neighbours(json, facts);
  write_jobs(json, &facts->jobs);
  json_object_close(json);
}

static int
get_build(struct http_request *request, void *context, struct error *err)
{
  struct serve_context *serve = context;
  struct build_facts facts = { .arena = http_arena(request) };
  int r = http_param_id(request, "id", &facts.id, err);
  if (r == 0)
    r = db_pool_run(serve->pool, DB_READ, read_facts, &facts, err);
  if (r < 0)
    return r;
  CLEANUP_BUF struct buf body = { 0 };
  struct json json = json_begin(&body);
  write_build(&json, &facts);
  return http_reply_json(request, 200, &body);
}

/* ---- log ---- */

struct log_question
{
  int64_t build_id;
  int64_t attempt_id; /* 0 = see serve_attempt_of_build */
  int64_t from;       /* byte */
  bool follow;
  bool is_running;
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
    .query = "before evaluation limit name state system", .reply = "Builds" },
  { "GET", HTTP_API "/builds/{id}", get_build, .summary = "One build", .reply = "Build" },
  { "GET", HTTP_API "/builds/{id}/log", get_log, .summary = "What its builder printed",
    .query = "attempt follow? from", .type = "text/plain" },
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
