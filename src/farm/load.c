/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "farm/load.h"

#include "base/map.h"
#include "base/mem.h"
#include "farm/cause.h"
#include "farm/farm_sql.h"

#include <stdlib.h>

/* Builds asked about at once: bounds what one result takes of memory. All of Guix
   are 72,000 builds with 1.6 million edges, which are joined faster together. */
#define CHUNK 100000
/* From so many on, whole tables are joined instead of walking along indexes. */
#define MANY 10000

/* A build that is read because it is new, ordered or needed. */
struct found
{
  int64_t id;
  struct mirror_build build;
  bool fetched; /* `build` and `offered` are known */
  bool offered;
  bool restart; /* failed ones below it are wanted anew too */
  bool revive;  /* itself wanted anew, whatever its state */
};

struct edge
{
  int64_t from;
  int64_t needs;
  int64_t culprit; /* needs has failed for good on account of that build; 0 = no */
};

#define LIST(type, name) \
  struct                 \
  {                      \
    type *items;         \
    size_t count;        \
    size_t capacity;     \
  } name

struct reading
{
  struct db *db;
  const struct mirror *mirror;
  int64_t horizon;
  struct db_i64s again;
  struct arena arena;
  struct int_map found; /* by id */
  LIST(int64_t, order); /* ids in the order found */
  size_t explored;      /* of these: what they need is known */
  LIST(struct edge, edges);
  struct farm_load_orders_rows orders;
  struct farm_load_agents_rows agents;     /* at first, and when one is not known */
  struct farm_load_attempts_rows attempts; /* at first */
  int64_t next_horizon;
  bool agents_wanted;
};

#define APPEND(list, element)                                                          \
  do {                                                                                 \
    mem_grow(&(list).items, &(list).capacity, (list).count + 1, sizeof *(list).items); \
    (list).items[(list).count++] = (element);                                          \
  } while (0)

static void
reading_clear(struct reading *reading)
{
  arena_free(&reading->arena);
  int_map_free(&reading->found);
  reading->order.count = reading->edges.count = reading->explored = 0;
  reading->agents.count = reading->attempts.count = 0;
}

static void
reading_free(struct reading *reading)
{
  reading_clear(reading);
  free(reading->order.items);
  free(reading->edges.items);
}

/* ---- collecting ---- */

static struct found *
find(struct reading *reading, int64_t id)
{
  struct found *found = int_map_get(&reading->found, id);
  if (found != NULL)
    return found;
  found = arena_alloc(&reading->arena, sizeof *found);
  found->id = id;
  int_map_put(&reading->found, id, found);
  APPEND(reading->order, id);
  return found;
}

static bool
is_in_mirror(const struct reading *reading, int64_t id)
{
  return mirror_find(reading->mirror, id) != NULL;
}

static int
read_orders(struct reading *reading, struct error *err)
{
  int r = farm_load_orders(reading->db, &reading->arena, &reading->orders, err);
  for (size_t i = 0; r == 0 && i < reading->orders.count; i++) {
    const struct farm_load_orders_row *order = &reading->orders.items[i];
    reading->agents_wanted |=
        !order->agent_id_null && int_map_get(&reading->mirror->agents, order->agent_id) == NULL;
    if (order->build_id_null || order->kind == ORDER_CANCEL || order->kind == ORDER_WITHDRAW
        || order->kind == ORDER_LIMITS
        || (order->kind == ORDER_WISH && is_in_mirror(reading, order->build_id)))
      continue;
    struct found *found = find(reading, order->build_id);
    found->revive |= order->kind != ORDER_WISH;
    found->restart |= order->kind == ORDER_RESTART;
  }
  return r;
}

static int
read_wanted(struct reading *reading, struct error *err)
{
  struct farm_load_wanted_rows rows;
  int r = farm_load_wanted(reading->db, reading->horizon, &reading->arena, &rows, err);
  for (size_t i = 0; r == 0 && i < rows.count; i++)
    if (!is_in_mirror(reading, rows.items[i].id))
      find(reading, rows.items[i].id);
  return r;
}

static void
take_row(struct reading *reading, const struct farm_load_builds_row *row)
{
  struct found *found = find(reading, row->id);
  found->fetched = true;
  found->offered = row->offered;
  found->build = (struct mirror_build) {
    .id = row->id,
    .derivation_id = row->derivation_id,
    .created_at = row->created_at,
    .timeout_s = row->timeout_s,
    .max_silent_s = row->max_silent_s,
    .priority = row->priority,
    .tries = row->tries,
    .losses = row->losses,
    .state = (enum farm_build_state) row->state,
    .cause = (enum farm_cause) row->cause,
    .direct = row->direct,
    .system = row->system,
  };
}

/* The rows of what was found since, as far as the mirror does not have it. */
static int
fetch(struct reading *reading, struct db_i64s ids, struct error *err)
{
  struct farm_load_builds_rows rows;
  int r = farm_load_builds(reading->db, ids, &reading->arena, &rows, err);
  for (size_t i = 0; r == 0 && i < rows.count; i++)
    if (!is_in_mirror(reading, rows.items[i].id))
      take_row(reading, &rows.items[i]);
  return r;
}

/* ---- edges ---- */

/* Failed in a way that what needs it shares. */
static bool
is_dead(int state, int cause)
{
  return state == FARM_BUILD_DEPENDENCY_FAILED
         || (state == FARM_BUILD_FAILED && cause_propagates((enum farm_cause) cause));
}

static int
read_edges(struct reading *reading, struct db_i64s ids, struct error *err)
{
  CLEANUP_ARENA struct arena arena = { 0 };
  struct farm_load_edges_rows rows;
  int r = farm_load_edges(reading->db, ids, &arena, &rows, err);
  for (size_t i = 0; r == 0 && i < rows.count; i++)
    for (size_t j = 0; j < rows.items[i].needs.count; j++) {
      struct edge edge = { .from = rows.items[i].id, .needs = rows.items[i].needs.items[j] };
      if (!is_in_mirror(reading, edge.needs))
        find(reading, edge.needs);
      APPEND(reading->edges, edge);
    }
  return r;
}

/* A needed build that is finished without being of use. Cancelled ones, and
   those whose outputs went, are wanted anew; a failure stays one unless what
   needs it is restarted; one that failed by no fault of its own holds up. */
static void
take_obstacle(struct reading *reading, const struct farm_load_obstacles_row *row)
{
  const struct found *from = int_map_get(&reading->found, row->id);
  struct edge edge = { .from = row->id, .needs = row->needs_id };
  bool restart = from != NULL && from->restart;
  if (is_dead(row->state, row->cause))
    edge.culprit = row->failed_build_id_null ? row->needs_id : row->failed_build_id;
  APPEND(reading->edges, edge);
  if (is_in_mirror(reading, row->needs_id) || (edge.culprit != 0 && !restart))
    return;
  struct found *needed = find(reading, row->needs_id);
  needed->revive |= restart;
  needed->restart |= restart;
}

static int
read_obstacles(struct reading *reading, struct db_i64s ids, struct error *err)
{
  CLEANUP_ARENA struct arena arena = { 0 };
  struct farm_load_obstacles_rows rows;
  int r = farm_load_obstacles(reading->db, ids, &arena, &rows, err);
  for (size_t i = 0; r == 0 && i < rows.count; i++)
    take_obstacle(reading, &rows.items[i]);
  return r;
}

/* How PostgreSQL is to go about it: the planner cannot know. */
static int
choose_way(struct reading *reading, size_t count, struct error *err)
{
  struct farm_load_few_row few;
  struct farm_load_many_row many;
  int r = count >= MANY ? farm_load_many(reading->db, &reading->arena, &many, err)
                        : farm_load_few(reading->db, &reading->arena, &few, err);
  return r < 0 ? r : 0;
}

/* Follows what was found to what it needs, until nothing new turns up. */
static int
explore(struct reading *reading, struct error *err)
{
  int r = 0;
  while (r == 0 && reading->explored < reading->order.count) {
    size_t count = reading->order.count - reading->explored;
    if (count > CHUNK)
      count = CHUNK;
    int64_t *ids = arena_array(&reading->arena, count, sizeof *ids);
    memcpy(ids, reading->order.items + reading->explored, count * sizeof *ids);
    struct db_i64s chunk = { ids, count };
    reading->explored += count;
    r = choose_way(reading, count, err);
    if (r == 0)
      r = fetch(reading, chunk, err);
    if (r == 0)
      r = read_edges(reading, chunk, err);
    if (r == 0)
      r = read_obstacles(reading, chunk, err);
  }
  return r;
}

static bool
is_first(const struct reading *reading)
{
  return reading->horizon == 0;
}

static int
read_fleet(struct reading *reading, struct error *err)
{
  int r = 0;
  if (reading->agents_wanted)
    r = farm_load_agents(reading->db, &reading->arena, &reading->agents, err);
  if (r == 0 && is_first(reading))
    r = farm_load_attempts(reading->db, &reading->arena, &reading->attempts, err);
  return r;
}

static int
read_news(struct db *db, void *context, struct error *err)
{
  struct reading *reading = context;
  struct farm_load_horizon_row horizon;
  reading_clear(reading);
  reading->db = db;
  int r = choose_way(reading, 0, err);
  if (r == 0)
    r = farm_load_horizon(db, &horizon, err);
  if (r < 0)
    return r;
  reading->next_horizon = horizon.horizon;
  reading->agents_wanted = is_first(reading);
  for (size_t i = 0; i < reading->again.count; i++)
    if (is_in_mirror(reading, reading->again.items[i]))
      find(reading, reading->again.items[i]);
  r = read_orders(reading, err);
  if (r == 0)
    r = read_wanted(reading, err);
  if (r == 0)
    r = explore(reading, err);
  return r < 0 ? r : read_fleet(reading, err);
}

/* ---- into the mirror ---- */

/* A wish changes nothing about what failed or is there. */
static bool
is_of_use(const struct found *found)
{
  if (!found->fetched)
    return false;
  if (found->build.state == FARM_BUILD_SUCCEEDED)
    return !found->offered;
  return found->revive || !is_dead(found->build.state, found->build.cause);
}

static void
add_found(struct mirror *mirror, const struct reading *reading)
{
  for (size_t i = 0; i < reading->order.count; i++) {
    const struct found *found = int_map_get(&reading->found, reading->order.items[i]);
    if (!is_of_use(found))
      continue;
    struct node *node = mirror_add(mirror, &found->build);
    if (found->revive)
      mirror_restart(mirror, node);
  }
}

/* What is here after all (it is wanted anew) is no culprit. */
static void
add_edges(struct mirror *mirror, struct reading *reading)
{
  for (size_t i = 0; i < reading->edges.count; i++) {
    struct edge *edge = &reading->edges.items[i];
    struct node *from = mirror_find(mirror, edge->from);
    struct node *needs = mirror_find(mirror, edge->needs);
    if (needs != NULL)
      edge->culprit = 0;
    if (from != NULL && needs != NULL)
      mirror_need(mirror, from, needs);
  }
}

static void
add_fleet(struct mirror *mirror, const struct reading *reading)
{
  for (size_t i = 0; i < reading->agents.count; i++) {
    const struct farm_load_agents_row *row = &reading->agents.items[i];
    struct mirror_agent facts = { .id = row->id,
                                  .token_id = row->token_id,
                                  .name = row->name,
                                  .systems = row->systems.items,
                                  .systems_count = row->systems.count,
                                  .jobs = row->jobs,
                                  .paused = row->paused,
                                  .released = row->released };
    mirror_agent(mirror, &facts);
  }
  for (size_t i = 0; i < reading->attempts.count; i++) {
    const struct farm_load_attempts_row *row = &reading->attempts.items[i];
    struct node *node = mirror_find(mirror, row->build_id);
    struct agent *agent = int_map_get(&mirror->agents, row->agent_id);
    mirror_resume(mirror, row->id, row->fence, node, agent);
  }
}

static void
settle_offered(struct mirror *mirror, const struct reading *reading)
{
  for (size_t i = 0; i < reading->order.count; i++) {
    const struct found *found = int_map_get(&reading->found, reading->order.items[i]);
    struct node *node = found->offered ? mirror_find(mirror, found->id) : NULL;
    if (node != NULL && node->attempt == NULL)
      mirror_offered(mirror, node);
  }
}

static void
settle_dead(struct mirror *mirror, const struct reading *reading)
{
  for (size_t i = 0; i < reading->edges.count; i++) {
    const struct edge *edge = &reading->edges.items[i];
    struct node *node = edge->culprit != 0 ? mirror_find(mirror, edge->from) : NULL;
    if (node != NULL && node->state == FARM_BUILD_WAITING)
      mirror_dependency_failed(mirror, node, edge->culprit);
  }
}

static void
order_build(struct mirror *mirror, const struct farm_load_orders_row *order)
{
  struct node *node = mirror_find(mirror, order->build_id);
  if (node == NULL) {
    if (order->kind == ORDER_LIMITS)
      *changes_add_limits(&mirror->changes) =
          (struct change_limits) { order->build_id, order->timeout_s, order->max_silent_s };
    return;
  }
  switch ((enum farm_order_kind) order->kind) {
  case ORDER_WISH:
  case ORDER_LIMITS:
    mirror_wish(mirror, node, order->priority, order->timeout_s, order->max_silent_s);
    break;
  case ORDER_RESTART:
  case ORDER_RESTART_DEPENDENT:
    mirror_restart(mirror, node);
    break;
  case ORDER_CANCEL:
    mirror_cancel(mirror, node);
    break;
  case ORDER_WITHDRAW:
    mirror_withdraw(mirror, node);
    break;
  case ORDER_PAUSE:
  case ORDER_RESUME:
  case ORDER_RELEASE:
    break;
  }
}

static void
order_agent(struct mirror *mirror, const struct farm_load_orders_row *order)
{
  struct agent *agent = int_map_get(&mirror->agents, order->agent_id);
  if (agent == NULL)
    return;
  if (order->kind == ORDER_RELEASE)
    mirror_release(mirror, agent, order->valid_token_id_null ? 0 : order->valid_token_id);
  else
    mirror_pause(mirror, agent, order->kind == ORDER_PAUSE);
}

static int64_t *
carry_out(struct mirror *mirror, const struct reading *reading, struct arena *arena)
{
  int64_t *ids = arena_array(arena, reading->orders.count, sizeof *ids);
  for (size_t i = 0; i < reading->orders.count; i++) {
    const struct farm_load_orders_row *order = &reading->orders.items[i];
    ids[i] = order->id;
    if (order->agent_id_null)
      order_build(mirror, order);
    else
      order_agent(mirror, order);
  }
  return ids;
}

int
load_news(struct db *db, struct mirror *mirror, struct load *load, struct arena *arena,
          struct error *err)
{
  PN_CLEANUP(reading_free)
  struct reading reading = { .mirror = mirror, .horizon = load->horizon, .again = load->again };
  int r = db_run(db, DB_READ, read_news, &reading, err);
  if (r < 0)
    return r;
  add_found(mirror, &reading);
  add_edges(mirror, &reading);
  add_fleet(mirror, &reading);
  settle_offered(mirror, &reading);
  settle_dead(mirror, &reading);
  int64_t *done = carry_out(mirror, &reading, arena);
  load->orders = (struct db_i64s) { done, reading.orders.count };
  load->horizon = reading.next_horizon;
  return 0;
}
