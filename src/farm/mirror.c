/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "farm/mirror.h"

#include "base/mem.h"
#include "farm/cause.h"
#include "farm/mirror_private.h"
#include "farm/order.h"

#include <stdlib.h>

/* ---- lists of nodes ---- */

static void
list_add(struct node_list *list, struct node *node)
{
  if (list->count == list->capacity) {
    list->capacity = list->capacity ? list->capacity * 2 : 4;
    list->items = mem_resize(list->items, list->capacity, sizeof(struct node *));
  }
  list->items[list->count++] = node;
  node->refs++;
}

static void
node_unref(struct node *node)
{
  node->refs--;
  if (node->refs > 0 || !node->gone)
    return;
  free(node->needs.items);
  free(node->dependents.items);
  free(node);
}

static void
list_clear(struct node_list *list)
{
  for (uint32_t i = 0; i < list->count; i++)
    node_unref(list->items[i]);
  list->count = 0;
}

static void
list_free(struct node_list *list)
{
  list_clear(list);
  free(list->items);
  *list = (struct node_list) { 0 };
}

static bool
list_has(const struct node_list *list, const struct node *node)
{
  for (uint32_t i = 0; i < list->count; i++)
    if (list->items[i] == node)
      return true;
  return false;
}

/* ---- order ---- */

/* Higher priority, then older, then lower id. */
static bool
goes_before(const struct node *a, const struct node *b)
{
  if (a->priority != b->priority)
    return a->priority > b->priority;
  if (a->created_at != b->created_at)
    return a->created_at < b->created_at;
  return a->id < b->id;
}

static bool
wakes_before(const struct node *a, const struct node *b)
{
  return a->retry_at_ms != b->retry_at_ms ? a->retry_at_ms < b->retry_at_ms : a->id < b->id;
}

/* ---- making and freeing ---- */

struct mirror *
mirror_new(const struct mirror_options *options)
{
  struct mirror *mirror = mem_alloc(sizeof *mirror);
  mirror->options = *options;
  mirror->resting.before = wakes_before;
  mirror->next_attempt_id = 1;
  return mirror;
}

static void
free_nodes(struct mirror *mirror)
{
  struct node_list all = { 0 };
  size_t position = 0;
  for (struct node *node; (node = int_map_next(&mirror->nodes, &position)) != NULL;)
    list_add(&all, node);
  for (uint32_t i = 0; i < all.count; i++) {
    all.items[i]->gone = true;
    list_clear(&all.items[i]->needs);
    list_clear(&all.items[i]->dependents);
  }
  list_free(&mirror->dirty);
  list_free(&all);
  int_map_free(&mirror->nodes);
}

static void
free_agents(struct mirror *mirror)
{
  size_t position = 0;
  for (struct attempt *attempt; (attempt = int_map_next(&mirror->attempts, &position)) != NULL;)
    free(attempt);
  int_map_free(&mirror->attempts);
  for (size_t i = 0; i < mirror->fleet_count; i++) {
    free(mirror->fleet[i]->name);
    free(mirror->fleet[i]->systems);
    free(mirror->fleet[i]->attempts);
    free(mirror->fleet[i]);
  }
  free(mirror->fleet);
  int_map_free(&mirror->agents);
}

void
mirror_free(struct mirror *mirror)
{
  if (mirror == NULL)
    return;
  free_nodes(mirror);
  free_agents(mirror);
  for (size_t i = 0; i < mirror->systems_count; i++) {
    queue_free(&mirror->systems[i]->ready);
    free(mirror->systems[i]->name);
    free(mirror->systems[i]);
  }
  free(mirror->systems);
  queue_free(&mirror->resting);
  changes_free(&mirror->changes);
  free(mirror);
}

struct system *
mirror_system(struct mirror *mirror, struct str name)
{
  for (size_t i = 0; i < mirror->systems_count; i++)
    if (str_equal(name, str_of(mirror->systems[i]->name)))
      return mirror->systems[i];
  struct system *system = mem_alloc(sizeof *system);
  system->name = mem_strndup(name.data, name.size);
  system->ready.before = goes_before;
  mem_grow(&mirror->systems, &mirror->systems_capacity, mirror->systems_count + 1,
           sizeof(struct system *));
  mirror->systems[mirror->systems_count++] = system;
  return system;
}

/* ---- what changed ---- */

void
node_touch(struct mirror *mirror, struct node *node)
{
  if (node->dirty)
    return;
  node->dirty = true;
  list_add(&mirror->dirty, node);
}

static void
copy_row(struct changes *changes, const struct node *node)
{
  *changes_add_build(changes) = (struct change_build) {
    .id = node->id,
    .failed_id = node->failed_id,
    .timeout_s = node->timeout_s,
    .max_silent_s = node->max_silent_s,
    .priority = node->priority,
    .tries = node->tries,
    .losses = node->losses,
    .state = node->state,
    .cause = node->cause,
    .direct = node->direct,
  };
}

void
mirror_take(struct mirror *mirror, struct changes *ret)
{
  changes_free(ret);
  for (uint32_t i = 0; i < mirror->dirty.count; i++) {
    mirror->dirty.items[i]->dirty = false;
    copy_row(&mirror->changes, mirror->dirty.items[i]);
  }
  list_clear(&mirror->dirty);
  *ret = mirror->changes;
  mirror->changes = (struct changes) { 0 };
}

static struct change_event *
tell_build(struct mirror *mirror, enum change_event_kind kind, const struct node *node)
{
  struct change_event *event = changes_add_event(&mirror->changes, kind, node->id);
  event->build_id = node->id;
  event->cause = node->cause;
  event->failed_id = node->failed_id;
  return event;
}

/* ---- one node ---- */

struct node *
mirror_find(const struct mirror *mirror, int64_t build_id)
{
  return int_map_get(&mirror->nodes, build_id);
}

static struct queue *
queue_for(struct mirror *mirror, const struct node *node)
{
  if (node->gone || node->state != FARM_BUILD_WAITING || node->pending > 0)
    return NULL;
  return node->retry_at_ms > mirror->now_ms ? &mirror->resting : &node->system->ready;
}

void
node_settle(struct mirror *mirror, struct node *node)
{
  struct queue *queue = queue_for(mirror, node);
  if (node->queue == queue && queue != NULL)
    queue_moved(queue, node);
  if (node->queue == queue)
    return;
  if (node->queue != NULL)
    queue_remove(node->queue, node);
  if (queue != NULL)
    queue_put(queue, node);
}

void
node_rest(struct mirror *mirror, struct node *node, int64_t pause_ms)
{
  node->state = FARM_BUILD_WAITING;
  node->retry_at_ms = mirror->now_ms + pause_ms;
  node_touch(mirror, node);
  node_settle(mirror, node);
}

/* Whatever end it came to: what needs it waits for it no longer. */
static void
release_dependents(struct mirror *mirror, struct node *node)
{
  for (uint32_t i = 0; i < node->dependents.count; i++) {
    struct node *dependent = node->dependents.items[i];
    if (dependent->gone)
      continue;
    dependent->pending--;
    node_settle(mirror, dependent);
  }
}

/* Leaves the mirror in its present, final state. May free NODE. */
static void
node_retire(struct mirror *mirror, struct node *node)
{
  int_map_remove(&mirror->nodes, node->id);
  node->gone = true;
  node->refs++;
  node_settle(mirror, node);
  release_dependents(mirror, node);
  list_free(&node->needs);
  list_free(&node->dependents);
  node_unref(node);
}

static bool
node_is_live(const struct node *node)
{
  return !node->gone && (node->state == FARM_BUILD_WAITING || node->state == FARM_BUILD_RUNNING);
}

static bool
has_live_dependent(const struct node *node)
{
  for (uint32_t i = 0; i < node->dependents.count; i++)
    if (node_is_live(node->dependents.items[i]))
      return true;
  return false;
}

/* Adds what NODE needs and what failed by a fault not its own. */
static void
add_held_up(struct node_list *held_up, const struct node *node)
{
  for (uint32_t i = 0; i < node->needs.count; i++) {
    struct node *needed = node->needs.items[i];
    bool again = held_up->count > 0 && held_up->items[held_up->count - 1] == needed;
    if (!needed->gone && needed->state == FARM_BUILD_FAILED && !again)
      list_add(held_up, needed);
  }
}

/* Frees the list. With its nodes go those that stayed, failed, only for them. */
static void
retire_all(struct mirror *mirror, struct node_list *doomed)
{
  struct node_list held_up = { 0 };
  for (uint32_t i = 0; i < doomed->count; i++) {
    add_held_up(&held_up, doomed->items[i]);
    node_retire(mirror, doomed->items[i]);
  }
  for (uint32_t i = 0; i < held_up.count; i++) {
    struct node *node = held_up.items[i];
    if (node->gone || has_live_dependent(node))
      continue;
    add_held_up(&held_up, node);
    node_retire(mirror, node);
  }
  list_free(&held_up);
  list_free(doomed);
}

struct node *
mirror_add(struct mirror *mirror, const struct mirror_build *build)
{
  struct node *node = mem_alloc(sizeof *node);
  *node = (struct node) {
    .id = build->id,
    .derivation_id = build->derivation_id,
    .created_at = build->created_at,
    .timeout_s = build->timeout_s,
    .max_silent_s = build->max_silent_s,
    .priority = build->priority,
    .tries = build->tries,
    .losses = build->losses,
    .state = build->state == FARM_BUILD_RUNNING ? FARM_BUILD_WAITING : (uint8_t) build->state,
    .cause = (uint8_t) build->cause,
    .direct = build->direct,
    .system = mirror_system(mirror, build->system),
  };
  int_map_put(&mirror->nodes, node->id, node);
  bool anew = build->state != FARM_BUILD_WAITING && build->state != FARM_BUILD_RUNNING
              && build->state != FARM_BUILD_FAILED;
  if (anew)
    mirror_restart(mirror, node);
  else
    node_settle(mirror, node);
  return node;
}

/* ---- priorities and edges ---- */

static void
set_priority(struct mirror *mirror, struct node *node, int32_t priority)
{
  node->priority = priority;
  node_touch(mirror, node);
  node_settle(mirror, node);
}

/* Hands the priority down to all that NODE needs. */
static void
raise(struct mirror *mirror, struct node *node, int32_t priority)
{
  struct node_list stack = { 0 };
  if (node->priority < priority)
    list_add(&stack, node);
  while (stack.count > 0) {
    struct node *raised = stack.items[--stack.count];
    raised->refs--; /* stays alive: it is in the mirror */
    if (raised->priority >= priority)
      continue;
    set_priority(mirror, raised, priority);
    for (uint32_t i = 0; i < raised->needs.count; i++)
      if (!raised->needs.items[i]->gone && raised->needs.items[i]->priority < priority)
        list_add(&stack, raised->needs.items[i]);
  }
  list_free(&stack);
}

void
mirror_need(struct mirror *mirror, struct node *from, struct node *needs)
{
  if (from == needs || list_has(&from->needs, needs))
    return;
  list_add(&from->needs, needs);
  list_add(&needs->dependents, from);
  from->pending++;
  node_settle(mirror, from);
  raise(mirror, needs, from->priority);
}

/* ---- ends ---- */

void
node_succeed(struct mirror *mirror, struct node *node, int64_t attempt_id, struct str agent)
{
  node->state = FARM_BUILD_SUCCEEDED;
  node->cause = FARM_CAUSE_NONE;
  node->failed_id = 0;
  node_touch(mirror, node);
  struct change_event *event = tell_build(mirror, EVENT_BUILD_SUCCEEDED, node);
  event->attempt_id = attempt_id;
  if (agent.data != NULL)
    event->agent = arena_str(&mirror->changes.arena, agent);
  struct node_list done = { 0 };
  list_add(&done, node);
  retire_all(mirror, &done);
}

void
mirror_offered(struct mirror *mirror, struct node *node)
{
  node_succeed(mirror, node, 0, (struct str) { 0 });
}

/* What stops: nodes that leave together, each alive until the list is freed. */
static void
doom(struct mirror *mirror, struct node_list *doomed, struct node *node,
     enum farm_build_state state)
{
  node->state = (uint8_t) state;
  node_touch(mirror, node);
  node_settle(mirror, node);
  list_add(doomed, node);
}

/* Adds all live nodes that need, directly or not, those in DOOMED from FIRST on. */
static void
doom_dependents(struct mirror *mirror, struct node_list *doomed, enum farm_build_state state,
                int64_t culprit_id)
{
  for (uint32_t i = 0; i < doomed->count; i++)
    for (uint32_t j = 0; j < doomed->items[i]->dependents.count; j++) {
      struct node *dependent = doomed->items[i]->dependents.items[j];
      if (dependent->gone || dependent->state != FARM_BUILD_WAITING)
        continue;
      dependent->failed_id = culprit_id;
      doom(mirror, doomed, dependent, state);
    }
}

static void
tell_from(struct mirror *mirror, const struct node_list *doomed, uint32_t first,
          enum change_event_kind kind)
{
  for (uint32_t i = first; i < doomed->count; i++)
    tell_build(mirror, kind, doomed->items[i]);
}

void
mirror_dependency_failed(struct mirror *mirror, struct node *node, int64_t culprit_id)
{
  struct node_list doomed = { 0 };
  node->failed_id = culprit_id;
  doom(mirror, &doomed, node, FARM_BUILD_DEPENDENCY_FAILED);
  doom_dependents(mirror, &doomed, FARM_BUILD_DEPENDENCY_FAILED, culprit_id);
  tell_from(mirror, &doomed, 0, EVENT_BUILD_DEPENDENCY_FAILED);
  retire_all(mirror, &doomed);
}

void
node_fail(struct mirror *mirror, struct node *node, enum farm_cause cause,
          const struct attempt *attempt, struct str message)
{
  struct node_list doomed = { 0 };
  node->cause = (uint8_t) cause;
  node->failed_id = 0;
  doom(mirror, &doomed, node, FARM_BUILD_FAILED);
  struct change_event *event = tell_build(mirror, EVENT_BUILD_FAILED, node);
  event->attempt_id = attempt->id;
  event->agent = arena_str(&mirror->changes.arena, str_of(attempt->agent->name));
  event->message = arena_str(&mirror->changes.arena, message);
  if (!cause_propagates(cause) && has_live_dependent(node)) {
    list_free(&doomed); /* stays: they wait until somebody restarts it */
    return;
  }
  if (cause_propagates(cause))
    doom_dependents(mirror, &doomed, FARM_BUILD_DEPENDENCY_FAILED, node->id);
  tell_from(mirror, &doomed, 1, EVENT_BUILD_DEPENDENCY_FAILED);
  retire_all(mirror, &doomed);
}

/* ---- cancelling and restarting ---- */

/* Waiting builds that only doomed ones needed and nobody wished for. */
static void
doom_orphans(struct mirror *mirror, struct node_list *doomed)
{
  for (uint32_t i = 0; i < doomed->count; i++)
    for (uint32_t j = 0; j < doomed->items[i]->needs.count; j++) {
      struct node *needed = doomed->items[i]->needs.items[j];
      if (needed->gone || needed->state != FARM_BUILD_WAITING || needed->direct
          || has_live_dependent(needed))
        continue;
      doom(mirror, doomed, needed, FARM_BUILD_CANCELLED);
    }
}

static void
stop_attempt(struct mirror *mirror, struct node *node)
{
  if (node->attempt == NULL)
    return;
  int64_t session = node->attempt->agent->session;
  attempt_end(mirror, node->attempt, FARM_CAUSE_CANCELLED, STR(""))->session = session;
}

void
mirror_cancel(struct mirror *mirror, struct node *node)
{
  struct node_list doomed = { 0 };
  if (!node_is_live(node))
    return;
  stop_attempt(mirror, node);
  doom(mirror, &doomed, node, FARM_BUILD_CANCELLED);
  doom_dependents(mirror, &doomed, FARM_BUILD_CANCELLED, node->id);
  doom_orphans(mirror, &doomed);
  tell_from(mirror, &doomed, 0, EVENT_BUILD_CANCELLED);
  retire_all(mirror, &doomed);
}

void
mirror_withdraw(struct mirror *mirror, struct node *node)
{
  node->direct = false;
  node_touch(mirror, node);
  if (!has_live_dependent(node))
    mirror_cancel(mirror, node);
}

void
mirror_restart(struct mirror *mirror, struct node *node)
{
  if (node_is_live(node))
    return;
  node->cause = FARM_CAUSE_NONE;
  node->failed_id = 0;
  node->tries = 0;
  node->losses = 0;
  node->avoid_agent = 0;
  tell_build(mirror, EVENT_BUILD_RESTARTED, node);
  node_rest(mirror, node, 0);
}

/* ---- wishes for what is here ---- */

/* What ended it, a larger limit may spare it. */
static bool
is_spared(const struct node *node, bool longer, bool quieter)
{
  return (node->cause == FARM_CAUSE_TIMEOUT && longer)
         || (node->cause == FARM_CAUSE_SILENCE && quieter);
}

void
mirror_wish(struct mirror *mirror, struct node *node, int32_t priority, int64_t timeout_s,
            int64_t max_silent_s)
{
  bool longer = limit_is_larger(timeout_s, node->timeout_s);
  bool quieter = limit_is_larger(max_silent_s, node->max_silent_s);
  if (!node->direct || longer)
    node->timeout_s = timeout_s;
  if (!node->direct || quieter)
    node->max_silent_s = max_silent_s;
  if (!node->direct || longer || quieter)
    node_touch(mirror, node);
  node->direct = true;
  raise(mirror, node, priority);
  if (node->state != FARM_BUILD_FAILED)
    return;
  if (is_spared(node, longer, quieter))
    mirror_restart(mirror, node);
  else if (!has_live_dependent(node)) {
    struct node_list idle = { 0 };
    list_add(&idle, node);
    retire_all(mirror, &idle);
  }
}

int64_t
mirror_place(const struct node *node)
{
  if (node->queue == NULL || node->queue != &node->system->ready)
    return -1;
  int64_t place = 0;
  for (size_t i = 0; i < node->queue->count; i++)
    place += goes_before(node->queue->items[i], node);
  return place;
}
