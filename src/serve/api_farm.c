/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The API of agents, tokens, the key and the state of the whole: doc/api.md. */
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/mem.h"
#include "serve/api_list.h"
#include "serve/counts.h"
#include "serve/views.h"

/* ---- status and key ---- */

static int
tell_status(struct http_request *request, void *context, struct error *err)
{
  struct serve_context *serve = context;
  struct serve_counts_row counts = { 0 };
  int r = counts_get(serve, &counts, err);
  if (r < 0)
    return r;
  CLEANUP_BUF struct buf body = { 0 };
  struct json json = json_begin(&body);
  json_object_open(&json);
  json_put_cstr(&json, "version", PANOPLY_VERSION);
  json_put_bool(&json, "scheduler", counts.scheduler);
  counts_write(&json, &counts);
  json_put_i64(&json, "losses_met", cache_losses_met(serve->cache));
  json_put_bool(&json, "key_exposed", cache_key_is_exposed(serve->cache));
  json_object_close(&json);
  return http_reply_json(request, 200, &body);
}

static int
get_status(struct http_request *request, void *context, struct error *err)
{
  (void) err;
  return serve_later(context, request, tell_status);
}

static int
get_key(struct http_request *request, void *context, struct error *err)
{
  (void) err;
  struct serve_context *serve = context;
  CLEANUP_BUF struct buf key = { 0 };
  CLEANUP_BUF struct buf body = { 0 };
  guix_key_public_text(cache_key(serve->cache), &key);
  struct json json = json_begin(&body);
  json_object_open(&json);
  json_put_text(&json, "public_key", buf_str(&key));
  json_object_close(&json);
  return http_reply_json(request, 200, &body);
}

/* ---- agents ---- */

struct agents_facts
{
  struct arena *arena;
  struct str name;  /* data NULL = all */
  struct str after; /* the last one of the page before */
  int64_t limit;
  struct serve_agents_rows agents;
  struct serve_running_rows running;
};

static int
read_agents(struct db *db, void *context, struct error *err)
{
  struct agents_facts *facts = context;
  int r = serve_agents(db, facts->name, facts->after, facts->limit + 1, facts->arena,
                       &facts->agents, err);
  return r < 0 ? r : serve_running(db, facts->name, facts->arena, &facts->running, err);
}

static void
write_running(struct json *json, const struct agents_facts *facts, int64_t agent_id)
{
  json_key(json, "running_attempts");
  json_array_open(json);
  const struct serve_running_rows running = serve_running_of(&facts->running, agent_id);
  for (size_t i = 0; i < running.count; i++) {
    const struct serve_running_row *row = &running.items[i];
    json_object_open(json);
    json_put_i64(json, "id", row->attempt);
    json_put_i64(json, "build", row->build);
    json_put_text(json, "name", row->name);
    json_put_time(json, "created_at", row->created_at, false);
    json_object_close(json);
  }
  json_array_close(json);
}

static void
write_condition(struct json *json, const struct serve_agents_row *row)
{
  json_key(json, "condition");
  if (row->told_at_null) {
    json_none(json);
    return;
  }
  CLEANUP_FREE char *load = mem_printf("%.2f", row->load);
  json_object_open(json);
  json_put_time(json, "told_at", row->told_at, false);
  json_key(json, "load");
  json_raw(json, str_of(load));
  json_put_i64(json, "memory_free", row->memory_free);
  json_put_i64(json, "disk_free", row->disk_free);
  json_put_i64(json, "disk_size", row->disk_size);
  json_object_close(json);
}

static void
write_agent(struct json *json, const struct agents_facts *facts, const struct serve_agents_row *row)
{
  json_object_open(json);
  json_put_text(json, "name", row->name);
  json_key(json, "systems");
  json_array_open(json);
  for (size_t i = 0; i < row->systems_list.count; i++)
    json_text(json, row->systems_list.items[i]);
  json_array_close(json);
  json_put_i64(json, "places", row->jobs);
  json_put_bool(json, "paused", row->paused);
  json_put_bool(json, "released", row->released);
  json_put_bool(json, "connected", row->connected);
  json_put_time(json, "connected_at", row->connected_at, row->connected_at_null);
  json_put_time(json, "seen_at", row->seen_at, row->seen_at_null);
  json_put_time(json, "enrolled_at", row->enrolled_at, false);
  json_key(json, "facts");
  json_raw(json, row->facts);
  write_condition(json, row);
  write_running(json, facts, row->id);
  json_object_close(json);
}

static int
tell_agents(struct http_request *request, void *context, struct error *err)
{
  struct serve_context *serve = context;
  struct str before = http_query(request, "before");
  struct agents_facts facts = { .arena = http_arena(request),
                                .after = before.data != NULL ? before : STR("") };
  int r = api_limit(request, &facts.limit, err);
  if (r == 0)
    r = db_pool_run(serve->pool, DB_READ, read_agents, &facts, err);
  if (r < 0)
    return r;
  bool has_more = api_cut(&facts.agents.count, facts.limit);
  CLEANUP_BUF struct buf body = { 0 };
  struct json json = json_begin(&body);
  api_list_open(&json);
  for (size_t i = 0; i < facts.agents.count; i++)
    write_agent(&json, &facts, &facts.agents.items[i]);
  return api_list_reply(request, &json, &body,
                        has_more ? facts.agents.items[facts.limit - 1].name.data : NULL);
}

/* All that they work on. */
static int
get_agents(struct http_request *request, void *context, struct error *err)
{
  (void) err;
  return serve_later(context, request, tell_agents);
}

static int
get_agent(struct http_request *request, void *context, struct error *err)
{
  struct serve_context *serve = context;
  struct agents_facts facts = {
    .arena = http_arena(request), .name = http_param(request, "name"), .after = STR(""), .limit = 1
  };
  int r = db_pool_run(serve->pool, DB_READ, read_agents, &facts, err);
  if (r == 0 && facts.agents.count == 0)
    r = error_set(err, -ENOENT, "there is no agent \"%.*s\"", STR_FMT(facts.name));
  if (r < 0)
    return r;
  CLEANUP_BUF struct buf body = { 0 };
  struct json json = json_begin(&body);
  write_agent(&json, &facts, &facts.agents.items[0]);
  return http_reply_json(request, 200, &body);
}

/* Waits for its effect: on a worker. */
static int
set_paused(struct http_request *request, struct serve_context *serve, bool paused,
           struct error *err)
{
  int r = farm_agent_pause(serve->farm, http_param(request, "name"), paused, err);
  return r < 0 ? r : http_reply_accepted(request);
}

static int
pause_agent(struct http_request *request, void *context, struct error *err)
{
  return set_paused(request, context, true, err);
}

static int
post_pause(struct http_request *request, void *context, struct error *err)
{
  (void) err;
  return serve_later(context, request, pause_agent);
}

static int
resume_agent(struct http_request *request, void *context, struct error *err)
{
  return set_paused(request, context, false, err);
}

static int
post_resume(struct http_request *request, void *context, struct error *err)
{
  (void) err;
  return serve_later(context, request, resume_agent);
}

static int
release_agent(struct http_request *request, void *context, struct error *err)
{
  struct serve_context *serve = context;
  int r = farm_agent_release(serve->farm, http_param(request, "name"), err);
  return r < 0 ? r : http_reply_accepted(request);
}

static int
post_release(struct http_request *request, void *context, struct error *err)
{
  (void) err;
  return serve_later(context, request, release_agent);
}

static const struct http_route routes[] = {
  { "GET", HTTP_API "/status", get_status, .summary = "State of the whole", .reply = "Status" },
  { "GET", HTTP_API "/key", get_key, .summary = "The key that signs substitutes", .reply = "Key" },
  { "GET", HTTP_API "/agents", get_agents, .summary = "Agents, by name", .query = "before limit",
    .reply = "Agents" },
  { "GET", HTTP_API "/agents/{name}", get_agent, .summary = "One agent", .reply = "Agent" },
  { "POST", HTTP_API "/agents/{name}/pause", post_pause, .body_limit = 1024, .role = "admin",
    .summary = "Give it no new work", .status = 202 },
  { "POST", HTTP_API "/agents/{name}/resume", post_resume, .body_limit = 1024, .role = "admin",
    .summary = "Give it work again", .status = 202 },
  { "POST", HTTP_API "/agents/{name}/release", post_release, .body_limit = 1024, .role = "admin",
    .summary = "Shut it out; its name may be enrolled anew", .status = 202 },
  { "POST", HTTP_API "/cache/check", serve_check_cache, .body_limit = 1024, .role = "admin",
    .query = "withdraw? force?", .summary = "Look whether all that is offered is there",
    .reply = "Losses" },
};

struct http_routes
serve_api_farm(struct serve_context *context)
{
  return (struct http_routes) { routes, ARRAY_SIZE(routes), context };
}
