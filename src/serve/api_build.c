/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The API of one build, and of what belongs to it: doc/api.md. */
#include <errno.h>

#include "serve/api_list.h"
#include "serve/filters.h"
#include "serve/story.h"

/* In the build itself, of each; the lists of their own have all. */
#define ATTEMPTS_FIRST 100
#define NEIGHBOURS_FIRST 100
#define JOBS_FIRST 20

/* ---- items ---- */

static void
put_attempt(struct json *json, const struct serve_build_attempts_row *row)
{
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

static void
put_neighbour(struct json *json, int64_t id, struct str name, struct str state)
{
  json_object_open(json);
  json_put_i64(json, "id", id);
  json_put_text(json, "name", name);
  json_put_text(json, "state", state);
  json_object_close(json);
}

static void
put_job(struct json *json, const struct serve_build_jobs_row *row)
{
  json_object_open(json);
  json_put_text(json, "specification", row->specification);
  json_put_i64(json, "evaluation", row->evaluation);
  json_put_text(json, "name", row->name);
  json_object_close(json);
}

/* ---- a build ---- */

struct build_facts
{
  struct arena *arena;
  int64_t id;
  struct serve_builds_row build;
  struct build_outputs outputs;
  struct serve_build_attempts_rows attempts;
  struct serve_build_neighbours_rows neighbours;
  struct serve_build_jobs_rows jobs;
};

static int
read_facts(struct db *db, void *context, struct error *err)
{
  struct build_facts *facts = context;
  struct arena *arena = facts->arena;
  int r = build_find(db, facts->id, arena, &facts->build, &facts->outputs, err);
  if (r == 0)
    r = serve_build_attempts(db, facts->id, INT64_MAX, ATTEMPTS_FIRST, arena, &facts->attempts,
                             err);
  if (r == 0)
    r = serve_build_neighbours(db, facts->build.derivation_id, BUILD_NEIGHBOURS_MAX,
                               NEIGHBOURS_FIRST, arena, &facts->neighbours, err);
  if (r == 0)
    r = serve_build_jobs(db, facts->id, INT64_MAX, 0, JOBS_FIRST, arena, &facts->jobs, err);
  return r;
}

static void
put_outputs(struct json *json, const struct build_outputs *outputs)
{
  json_key(json, "outputs");
  json_array_open(json);
  for (size_t i = 0; i < outputs->count; i++) {
    const struct build_output *row = &outputs->items[i];
    json_object_open(json);
    json_put_text(json, "name", row->name);
    json_put_text(json, "path", row->path);
    json_put_bool(json, "available", row->available);
    json_put_id(json, "nar_size", row->available ? row->nar_size : 0);
    json_put_words(json, "narinfo", row->available ? row->narinfo : STR(""));
    json_object_close(json);
  }
  json_array_close(json);
}

static void
put_attempts(struct json *json, const struct serve_build_attempts_rows *rows)
{
  json_put_i64(json, "attempts_count", rows->count > 0 ? rows->items[0].count : 0);
  json_key(json, "attempts");
  json_array_open(json);
  for (size_t i = 0; i < rows->count; i++)
    put_attempt(json, &rows->items[i]);
  json_array_close(json);
}

/* SIDE: as serve_build_neighbours calls it. */
static void
put_side(struct json *json, const char *count_name, const char *name, const char *side,
         const struct serve_build_neighbours_rows *rows)
{
  int64_t count = 0;
  json_key(json, name);
  json_array_open(json);
  for (size_t i = 0; i < rows->count; i++) {
    const struct serve_build_neighbours_row *row = &rows->items[i];
    if (!str_equal(row->side, str_of(side)))
      continue;
    put_neighbour(json, row->id, row->name, row->state);
    count = row->count;
  }
  json_array_close(json);
  json_put_i64(json, count_name, count);
}

static void
put_jobs(struct json *json, const struct serve_build_jobs_rows *rows)
{
  json_put_i64(json, "jobs_count", rows->count > 0 ? rows->items[0].count : 0);
  json_key(json, "jobs");
  json_array_open(json);
  for (size_t i = 0; i < rows->count; i++)
    put_job(json, &rows->items[i]);
  json_array_close(json);
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
  json_object_open(&json);
  build_write(&json, &facts.build);
  put_outputs(&json, &facts.outputs);
  put_attempts(&json, &facts.attempts);
  put_side(&json, "dependencies_count", "dependencies", "needs", &facts.neighbours);
  put_side(&json, "dependents_count", "dependents", "needed by", &facts.neighbours);
  put_jobs(&json, &facts.jobs);
  json_object_close(&json);
  return http_reply_json(request, 200, &body);
}

/* ---- its lists, whole, in pages ---- */

struct list_question
{
  struct arena *arena;
  int64_t id;
  int64_t limit, before, after;
  struct build_facts facts; /* those that were asked for; one more than the limit */
  bool wants_dependents;
  struct serve_build_side_rows side;
};

/* Runs QUERY for the build of `{id}`. */
static int
ask_list(struct http_request *request, const struct serve_context *serve, db_body *query,
         struct list_question *question, struct error *err)
{
  question->arena = http_arena(request);
  int r = http_param_id(request, "id", &question->id, err);
  return r < 0 ? r : db_pool_run(serve->pool, DB_READ, query, question, err);
}

static const char *
cursor_of(struct arena *arena, bool has_more, int64_t id)
{
  return has_more ? arena_printf(arena, "%lld", (long long) id) : NULL;
}

static int
query_attempts(struct db *db, void *context, struct error *err)
{
  struct list_question *question = context;
  int r = build_find(db, question->id, question->arena, &question->facts.build, NULL, err);
  return r < 0 ? r
               : serve_build_attempts(db, question->id, question->before, question->limit + 1,
                                      question->arena, &question->facts.attempts, err);
}

static int
get_attempts(struct http_request *request, void *context, struct error *err)
{
  struct list_question question = { 0 };
  struct serve_build_attempts_rows *rows = &question.facts.attempts;
  int r = api_page(request, &question.limit, &question.before, err);
  if (r == 0)
    r = ask_list(request, context, query_attempts, &question, err);
  if (r < 0)
    return r;
  bool has_more = api_cut(&rows->count, question.limit);
  CLEANUP_BUF struct buf body = { 0 };
  struct json json = json_begin(&body);
  api_list_open(&json);
  for (size_t i = 0; i < rows->count; i++)
    put_attempt(&json, &rows->items[i]);
  return api_list_reply(
      request, &json, &body,
      cursor_of(question.arena, has_more, has_more ? rows->items[rows->count - 1].id : 0));
}

static int
query_side(struct db *db, void *context, struct error *err)
{
  struct list_question *question = context;
  int r = build_find(db, question->id, question->arena, &question->facts.build, NULL, err);
  return r < 0 ? r
               : serve_build_side(db, question->wants_dependents,
                                  question->facts.build.derivation_id, question->after,
                                  question->limit + 1, question->arena, &question->side, err);
}

/* These go on upwards: the cursor is the last one that was shown. */
static int
read_upwards(struct http_request *request, struct list_question *question, struct error *err)
{
  int r = api_limit(request, &question->limit, err);
  return r < 0 ? r : http_query_i64(request, "before", 1, INT64_MAX, 0, &question->after, err);
}

static int
reply_side(struct http_request *request, const struct serve_context *serve, bool dependents,
           struct error *err)
{
  struct list_question question = { .wants_dependents = dependents };
  struct serve_build_side_rows *rows = &question.side;
  int r = read_upwards(request, &question, err);
  if (r == 0)
    r = ask_list(request, serve, query_side, &question, err);
  if (r < 0)
    return r;
  bool has_more = api_cut(&rows->count, question.limit);
  CLEANUP_BUF struct buf body = { 0 };
  struct json json = json_begin(&body);
  api_list_open(&json);
  for (size_t i = 0; i < rows->count; i++)
    put_neighbour(&json, rows->items[i].id, rows->items[i].name, rows->items[i].state);
  return api_list_reply(
      request, &json, &body,
      cursor_of(question.arena, has_more, has_more ? rows->items[rows->count - 1].id : 0));
}

static int
get_dependencies(struct http_request *request, void *context, struct error *err)
{
  return reply_side(request, context, false, err);
}

static int
get_dependents(struct http_request *request, void *context, struct error *err)
{
  return reply_side(request, context, true, err);
}

static int
query_jobs(struct db *db, void *context, struct error *err)
{
  struct list_question *question = context;
  int r = build_find(db, question->id, question->arena, &question->facts.build, NULL, err);
  return r < 0 ? r
               : serve_build_jobs(db, question->id, question->before, question->after,
                                  question->limit + 1, question->arena, &question->facts.jobs, err);
}

static int
get_jobs(struct http_request *request, void *context, struct error *err)
{
  struct list_question question = { .before = INT64_MAX };
  struct serve_build_jobs_rows *rows = &question.facts.jobs;
  int r = api_limit(request, &question.limit, err);
  if (r == 0)
    r = api_pair(request, &question.before, &question.after, err);
  if (r == 0)
    r = ask_list(request, context, query_jobs, &question, err);
  if (r < 0)
    return r;
  const char *next = NULL;
  if (api_cut(&rows->count, question.limit)) {
    const struct serve_build_jobs_row *last = &rows->items[rows->count - 1];
    next = arena_printf(question.arena, "%lld/%lld", (long long) last->evaluation,
                        (long long) last->name_id);
  }
  CLEANUP_BUF struct buf body = { 0 };
  struct json json = json_begin(&body);
  api_list_open(&json);
  for (size_t i = 0; i < rows->count; i++)
    put_job(&json, &rows->items[i]);
  return api_list_reply(request, &json, &body, next);
}

/* ---- how its job went before, and how others make the same ---- */

struct story
{
  struct arena *arena;
  int64_t id;
  struct serve_builds_row build;
  struct serve_build_jobs_rows jobs; /* of these the newest; may be empty */
  struct serve_job_history_rows history;
};

static int
query_story(struct db *db, void *context, struct error *err)
{
  struct story *story = context;
  struct arena *arena = story->arena;
  story->history.count = 0;
  int r = build_find(db, story->id, arena, &story->build, NULL, err);
  if (r == 0)
    r = serve_build_jobs(db, story->id, INT64_MAX, 0, 1, arena, &story->jobs, err);
  if (r < 0 || story->jobs.count == 0)
    return r;
  const struct serve_build_jobs_row *job = &story->jobs.items[0];
  return serve_job_history(db, job->specification_id, HISTORY_EVALUATIONS, job->name_id, arena,
                           &story->history, err);
}

static void
put_history(struct json *json, const struct history *history)
{
  const char *outcome = history->fails ? "failed" : history->succeeds ? "succeeded" : NULL;
  json_put_cstr(json, "outcome", outcome);
  json_put_id(json, "since_evaluation", history->since_evaluation);
  json_put_time(json, "outcome_since", history->since, outcome == NULL);
  json_put_bool(json, "perhaps_longer", history->is_longer);
  json_key(json, "items");
  json_array_open(json);
  for (size_t i = history->count; i-- > 0;) {
    const struct history_mark *mark = &history->items[i];
    json_object_open(json);
    json_put_i64(json, "build", mark->build);
    json_put_text(json, "name", mark->name);
    json_put_text(json, "state", mark->state);
    json_put_i64(json, "evaluation", mark->evaluation);
    json_put_time(json, "created_at", mark->created_at, false);
    json_object_close(json);
  }
  json_array_close(json);
  json_put_cstr(json, "next", NULL);
}

static int
ask_story(struct http_request *request, const struct serve_context *serve, struct story *ret,
          struct error *err)
{
  *ret = (struct story) { .arena = http_arena(request) };
  int r = http_param_id(request, "id", &ret->id, err);
  return r < 0 ? r : db_pool_run(serve->pool, DB_READ, query_story, ret, err);
}

static int
get_history(struct http_request *request, void *context, struct error *err)
{
  struct story story;
  int r = ask_story(request, context, &story, err);
  if (r < 0)
    return r;
  const struct history history = history_of(&story.history, HISTORY_EVALUATIONS, story.arena);
  bool has_job = story.jobs.count > 0;
  CLEANUP_BUF struct buf body = { 0 };
  struct json json = json_begin(&body);
  json_object_open(&json);
  json_put_i64(&json, "build", story.id);
  json_put_words(&json, "specification", has_job ? story.jobs.items[0].specification : STR(""));
  json_put_words(&json, "job", has_job ? story.jobs.items[0].name : STR(""));
  put_history(&json, &history);
  json_object_close(&json);
  return http_reply_json(request, 200, &body);
}

static int
get_reproduction(struct http_request *request, void *context, struct error *err)
{
  struct story story;
  struct reproduction made = { 0 };
  int r = ask_story(request, context, &story, err);
  if (r < 0)
    return r;
  if (story.jobs.count > 0)
    made = reproduction_of(&story.jobs.items[0], story.build.name, story.build.system, story.arena);
  CLEANUP_BUF struct buf body = { 0 };
  struct json json = json_begin(&body);
  json_object_open(&json);
  json_put_i64(&json, "build", story.id);
  json_put_cstr(&json, "build_command",
                arena_printf(story.arena, "guix build %.*s", STR_FMT(story.build.derivation)));
  json_put_words(&json, "time_machine_command", made.command);
  json_put_words(&json, "channels_scm", made.channels);
  json_put_bool(&json, "same_guix", made.is_whole);
  json_object_close(&json);
  return http_reply_json(request, 200, &body);
}

static const struct http_route routes[] = {
  { "GET", HTTP_API "/builds/{id}", get_build, .summary = "One build", .reply = "Build" },
  { "GET", HTTP_API "/builds/{id}/attempts", get_attempts, .summary = "Its attempts, newest first",
    .query = "before limit", .reply = "Attempts" },
  { "GET", HTTP_API "/builds/{id}/dependencies", get_dependencies,
    .summary = "Builds that it needs, oldest first", .query = "before limit",
    .reply = "Neighbours" },
  { "GET", HTTP_API "/builds/{id}/dependents", get_dependents,
    .summary = "Builds that need it, oldest first", .query = "before limit",
    .reply = "Neighbours" },
  { "GET", HTTP_API "/builds/{id}/jobs", get_jobs,
    .summary = "What it was wished for by, newest evaluations first", .query = "before limit",
    .reply = "JobsOfBuild" },
  { "GET", HTTP_API "/builds/{id}/history", get_history,
    .summary = "How its job went in the latest evaluations", .reply = "History" },
  { "GET", HTTP_API "/builds/{id}/reproduction", get_reproduction,
    .summary = "How others make the same", .reply = "Reproduction" },
};

struct http_routes
serve_api_build(struct serve_context *context)
{
  return (struct http_routes) { routes, ARRAY_SIZE(routes), context };
}
