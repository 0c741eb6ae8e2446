/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The API of an agent's past: doc/api.md. */
#include <errno.h>

#include "serve/agent_day.h"
#include "serve/api_list.h"
#include "serve/routes.h"
#include "serve/views.h"

struct past
{
  struct arena *arena;
  struct str name;
  struct serve_agents_row agent;
  int64_t limit;
  const int16_t *state;
  const int64_t *before; /* NULL = the newest */
  int64_t before_time, before_id;
  struct agent_day_rows day;
  struct agent_attempts_rows attempts;
};

/* ---- its last day ---- */

static int
query_day(struct db *db, void *context, struct error *err)
{
  struct past *past = context;
  int r = serve_find_agent(db, past->name, past->arena, &past->agent, err);
  return r < 0 ? r : agent_day(db, past->agent.id, AGENT_DAY_STEP_S, past->arena, &past->day, err);
}

static void
put_step(struct json *json, struct arena *arena, const struct agent_day_row *step)
{
  json_object_open(json);
  json_put_time(json, "begins_at", step->begins_at, false);
  json_key(json, "busy_places");
  json_raw(json, str_of(arena_printf(arena, "%.3f", (double) step->busy / 1000)));
  json_put_i64(json, "failures_count", step->failures);
  json_object_close(json);
}

static int
tell_day(struct http_request *request, void *context, struct error *err)
{
  struct serve_context *serve = context;
  struct past past = { .arena = http_arena(request), .name = http_param(request, "name") };
  int r = db_pool_run(serve->pool, DB_READ, query_day, &past, err);
  if (r < 0)
    return r;
  const struct agent_day_sum sum = agent_day_sum(&past.day, past.agent.jobs);
  CLEANUP_BUF struct buf body = { 0 };
  struct json json = json_begin(&body);
  json_object_open(&json);
  json_put_text(&json, "agent", past.name);
  json_put_i64(&json, "places", past.agent.jobs);
  json_put_i64(&json, "busy_percent", sum.busy_percent);
  json_put_i64(&json, "failures_count", sum.failures);
  json_put_i64(&json, "step_s", AGENT_DAY_STEP_S);
  json_key(&json, "items");
  json_array_open(&json);
  for (size_t i = 0; i < past.day.count; i++)
    put_step(&json, past.arena, &past.day.items[i]);
  return api_list_reply(request, &json, &body, NULL);
}

static int
get_day(struct http_request *request, void *context, struct error *err)
{
  (void) err;
  return serve_later(context, request, tell_day);
}

/* ---- its attempts ---- */

static int
query_attempts(struct db *db, void *context, struct error *err)
{
  struct past *past = context;
  struct serve_plan_anew_row plan;
  int r = serve_find_agent(db, past->name, past->arena, &past->agent, err);
  if (r == 0)
    r = serve_plan_anew(db, past->arena, &plan, err);
  return r < 0 ? r
               : agent_attempts(db, past->agent.id, past->state, past->before, past->before_id,
                                past->limit + 1, past->arena, &past->attempts, err);
}

static void
put_attempt(struct json *json, const struct agent_attempts_row *row)
{
  bool has_cause = row->cause != FARM_CAUSE_NONE;
  json_object_open(json);
  json_put_i64(json, "id", row->id);
  json_put_i64(json, "build", row->build);
  json_put_text(json, "name", row->name);
  json_put_text(json, "state", row->state);
  json_put_cstr(json, "cause", has_cause ? farm_cause_name((enum farm_cause) row->cause) : NULL);
  json_put_words(json, "message", row->message);
  json_put_time(json, "created_at", row->created_at, false);
  json_put_time(json, "finished_at", row->finished_at, row->finished_at_null);
  json_object_close(json);
}

/* `state`, as attempts have it. */
static int
read_state(struct http_request *request, struct past *past, struct error *err)
{
  static const int16_t succeeded = 1, failed = 2;
  struct str state = http_query(request, "state");
  if (str_equal(state, STR("succeeded")))
    past->state = &succeeded;
  else if (str_equal(state, STR("failed")))
    past->state = &failed;
  else if (state.size > 0)
    return error_set(err, -EINVAL,
                     "attempts that have ended are \"succeeded\" or \"failed\", not \"%.*s\"",
                     STR_FMT(state));
  return 0;
}

/* The cursor says when the last one that was shown ended, and which it is. */
static int
read_attempts_question(struct http_request *request, struct past *ret, struct error *err)
{
  int r = api_limit(request, &ret->limit, err);
  if (r == 0)
    r = api_pair(request, &ret->before_time, &ret->before_id, err);
  if (r == 0 && http_query(request, "before").data != NULL)
    ret->before = &ret->before_time;
  return r < 0 ? r : read_state(request, ret, err);
}

static int
tell_attempts(struct http_request *request, void *context, struct error *err)
{
  struct serve_context *serve = context;
  struct past past = { .arena = http_arena(request), .name = http_param(request, "name") };
  struct agent_attempts_rows *rows = &past.attempts;
  int r = read_attempts_question(request, &past, err);
  if (r == 0)
    r = db_pool_run(serve->pool, DB_READ, query_attempts, &past, err);
  if (r < 0)
    return r;
  const char *next = NULL;
  if (api_cut(&rows->count, past.limit)) {
    const struct agent_attempts_row *last = &rows->items[rows->count - 1];
    next =
        arena_printf(past.arena, "%lld/%lld", (long long) last->finished_at, (long long) last->id);
  }
  CLEANUP_BUF struct buf body = { 0 };
  struct json json = json_begin(&body);
  api_list_open(&json);
  for (size_t i = 0; i < rows->count; i++)
    put_attempt(&json, &rows->items[i]);
  return api_list_reply(request, &json, &body, next);
}

static int
get_attempts(struct http_request *request, void *context, struct error *err)
{
  (void) err;
  return serve_later(context, request, tell_attempts);
}

static const struct http_route routes[] = {
  { "GET", HTTP_API "/agents/{name}/attempts", get_attempts,
    .summary = "Its attempts that have ended, newest first", .query = "before limit state",
    .reply = "AttemptsOfAgent" },
  { "GET", HTTP_API "/agents/{name}/day", get_day, .summary = "How busy it was in the last day",
    .reply = "AgentDay" },
};

struct http_routes
serve_api_agents(struct serve_context *context)
{
  return (struct http_routes) { routes, ARRAY_SIZE(routes), context };
}
