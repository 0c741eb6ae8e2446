/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What an attempt asks and tells before its result. */
#include "farm/agent_routes.h"

#include "base/mem.h"
#include "farm/reply.h"

#include <errno.h>
#include <stdlib.h>

/* ---- the closure ---- */

struct closure
{
  struct db *db;
  struct arena *arena;
  int64_t *graph; /* derivations and their sources, references first */
  size_t graph_count;
  struct str *graph_names;
  int64_t *items; /* sources and the outputs that the builder reads */
  size_t items_count;
};

/* Derivations name their sources, so importing one needs all sources too. */
static int
read_graph(struct closure *closure, int64_t derivation_id, struct error *err)
{
  struct arena *arena = closure->arena;
  int64_t *inputs;
  size_t inputs_count;
  int r = graph_derivation_closure(closure->db, derivation_id, arena, &closure->graph,
                                   &closure->graph_count, err);
  if (r == 0)
    r = graph_derivation_inputs(closure->db, derivation_id, arena, &inputs, &inputs_count, err);
  if (r < 0)
    return r;
  closure->graph_names = arena_array(arena, closure->graph_count, sizeof(struct str));
  r = graph_path_basenames(closure->db, closure->graph, closure->graph_count, arena,
                           closure->graph_names, err);
  if (r < 0)
    return r;
  closure->items = arena_array(arena, closure->graph_count + inputs_count, sizeof(int64_t));
  for (size_t i = 0; i < closure->graph_count; i++)
    if (!str_ends(closure->graph_names[i], STR(".drv")))
      closure->items[closure->items_count++] = closure->graph[i];
  if (inputs_count > 0)
    memcpy(closure->items + closure->items_count, inputs, inputs_count * sizeof *inputs);
  closure->items_count += inputs_count;
  return 0;
}

/* Those of ITEMS that are not offered. */
static int
find_lacking(struct closure *closure, struct str **ret, size_t *ret_count, struct error *err)
{
  size_t count = closure->items_count, lacking = 0;
  bool *offered = arena_array(closure->arena, count, sizeof *offered);
  int64_t *ids = arena_array(closure->arena, count, sizeof *ids);
  int r = cache_offered(closure->db, closure->items, count, offered, err);
  for (size_t i = 0; r == 0 && i < count; i++)
    if (!offered[i])
      ids[lacking++] = closure->items[i];
  *ret = arena_array(closure->arena, lacking, sizeof(struct str));
  *ret_count = lacking;
  return r < 0 || lacking == 0
             ? r
             : graph_path_basenames(closure->db, ids, lacking, closure->arena, *ret, err);
}

/* The closure of the items, then what is left of the graph; each once. */
static int
put_together(struct closure *closure, struct str **ret, size_t *ret_count, struct error *err)
{
  int64_t *ids;
  size_t count;
  int r = cache_closure(closure->db, closure->items, closure->items_count, closure->arena, &ids,
                        &count, err);
  if (r < 0)
    return r;
  struct str *names = arena_array(closure->arena, count + closure->graph_count, sizeof *names);
  r = graph_path_basenames(closure->db, ids, count, closure->arena, names, err);
  PN_CLEANUP(int_map_free) struct int_map seen = { 0 };
  for (size_t i = 0; i < count; i++)
    int_map_put(&seen, ids[i], closure);
  for (size_t i = 0; i < closure->graph_count; i++)
    if (int_map_get(&seen, closure->graph[i]) == NULL)
      names[count++] = closure->graph_names[i];
  *ret = names;
  *ret_count = count;
  return r;
}

static int
ask_closure(struct asking *asking, struct db *db, struct error *err)
{
  struct closure closure = { .db = db, .arena = http_arena(asking->request) };
  struct str *paths;
  size_t count;
  int r = read_graph(&closure, asking->attempt.derivation_id, err);
  if (r == 0)
    r = find_lacking(&closure, &paths, &count, err);
  if (r < 0)
    return r;
  if (count > 0) {
    reply_paths(asking->request, 409, "missing", paths, count);
    return 0;
  }
  r = put_together(&closure, &paths, &count, err);
  if (r == 0)
    reply_paths(asking->request, 200, "paths", paths, count);
  return r;
}

int
agent_closure(struct http_request *request, void *context, struct error *err)
{
  struct open_attempt attempt;
  int r = agent_route_attempt(request, context, &attempt, err);
  return r <= 0 ? r : asking_start(asking_new(context, request, &attempt, ask_closure));
}

/* ---- what is missing of the outputs ---- */

static int
ask_missing(struct asking *asking, struct db *db, struct error *err)
{
  struct arena *arena = http_arena(asking->request);
  struct str *missing, *strangers;
  size_t missing_count, strangers_count;
  int r =
      cache_missing(db, asking->paths, asking->paths_count, arena, &missing, &missing_count, err);
  if (r == 0)
    r = agent_strangers(db, &asking->attempt, missing, missing_count, arena, &strangers,
                        &strangers_count, err);
  if (r < 0)
    return r;
  if (strangers_count > 0)
    return error_set(err, -EPERM, "%.*s is neither an output nor part of what it is built from",
                     STR_FMT(strangers[0]));
  reply_paths(asking->request, 200, "missing", missing, missing_count);
  return 0;
}

int
agent_missing(struct http_request *request, void *context, struct error *err)
{
  struct open_attempt attempt;
  json_t *body;
  int r = agent_route_attempt(request, context, &attempt, err);
  if (r <= 0)
    return r;
  struct str *paths;
  size_t count;
  r = http_body_json(request, &body, err);
  if (r == 0)
    r = agent_read_paths(http_arena(request), json_object_get(body, "paths"), &paths, &count, err);
  if (r < 0)
    return r;
  struct asking *asking = asking_new(context, request, &attempt, ask_missing);
  asking->paths = paths;
  asking->paths_count = count;
  return asking_start(asking);
}

/* ---- inputs ---- */

int
agent_bundle(struct http_request *request, void *context, struct error *err)
{
  struct farm *farm = context;
  struct open_attempt attempt;
  struct str *paths;
  size_t count;
  int64_t id;
  json_t *body;
  int r = http_body_json(request, &body, err);
  if (r == 0)
    r = agent_read_number(body, "attempt", 1, INT64_MAX, &id, err);
  if (r == 0)
    r = agent_read_paths(http_arena(request), json_object_get(body, "paths"), &paths, &count, err);
  if (r == 0)
    r = agent_attempt(request, farm, id, &attempt, err);
  return r <= 0 ? r : cache_send_bundle(farm->options.cache, request, paths, count, err);
}

/* ---- progress ---- */

int
agent_started(struct http_request *request, void *context, struct error *err)
{
  struct open_attempt attempt;
  int r = agent_route_attempt(request, context, &attempt, err);
  if (r <= 0)
    return r;
  struct message *message = mem_alloc(sizeof *message);
  *message = (struct message) { .kind = MESSAGE_STARTED,
                                .request = request,
                                .token_id = attempt.token_id,
                                .attempt_id = attempt.id,
                                .fence = attempt.fence };
  http_defer(request);
  farm_post(context, message);
  return 0;
}

/* A piece for a log that is closed, by a result that is being looked at: compressing it
   may be under way. */
static int
ask_log_size(struct asking *asking, struct db *db, struct error *err)
{
  struct farm *farm = asking->farm;
  int64_t size;
  (void) db;
  int r = cache_log_finish(farm->options.cache, asking->attempt.id, &size, err);
  if (r == 0)
    reply_number(asking->request, 200, "size", size);
  return r;
}

int
agent_log(struct http_request *request, void *context, struct error *err)
{
  struct farm *farm = context;
  struct cache *cache = farm->options.cache;
  struct open_attempt attempt;
  int64_t offset, size;
  int r = agent_route_attempt(request, farm, &attempt, err);
  if (r <= 0)
    return r;
  r = http_query_i64(request, "offset", 0, INT64_MAX / 2, 0, &offset, err);
  if (r < 0)
    return r;
  r = cache_log_append(cache, attempt.id, offset, http_body(request), &size, err);
  int status = r == -EINVAL ? 409 : 200; /* after a gap: where to go on */
  if (r == -EINVAL)
    r = 0;
  if (r == -ESTALE)
    return asking_start(asking_new(farm, request, &attempt, ask_log_size));
  if (r == 0)
    reply_number(request, status, "size", size);
  return r;
}
