/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Wishes: a walk down from derivations, a query a level, that stops where the
   cache offers what is read or where a build is under way or has failed. Missing
   builds are inserted at once; existing rows are never touched, the scheduler
   is asked to (farm_order). */
#include "farm/order.h"

#include "base/json.h"
#include "base/map.h"
#include "farm/farm_sql.h"

#include <errno.h>
#include <inttypes.h>

/* Limits of what was not wished for itself: those of whoever needs it say
   nothing about it. */
#define DEPENDENCY_TIMEOUT_S 72000
#define DEPENDENCY_MAX_SILENT_S 3600

/* A set of outputs that the walk came by. */
struct wanted
{
  int64_t derivation_id;
  int64_t output_key;
  int64_t build_id; /* 0 = has none yet */
  int64_t timeout_s;
  int64_t max_silent_s;
  int32_t priority;
  bool direct;
  bool offered; /* all of its outputs; known for wishes only */
  enum farm_build_state state;
};

struct walk
{
  struct db *db;
  struct arena arena;
  struct int_map wanted;   /* by output key; nothing is ever taken out */
  struct int_map walked;   /* derivations */
  struct db_i64s frontier; /* derivations whose inputs come next */
  int32_t priority;        /* of what is found on the way: the scheduler raises it */
};

static void
walk_free(struct walk *walk)
{
  int_map_free(&walk->wanted);
  int_map_free(&walk->walked);
  arena_free(&walk->arena);
}

/* ---- the walk ---- */

/* What a build in that state needs is to be looked after too. Builds under way
   have been looked after; failed ones stay failed. */
static bool
leads_on(const struct wanted *wanted)
{
  if (wanted->offered)
    return false;
  return wanted->build_id == 0 || wanted->state == FARM_BUILD_CANCELLED
         || wanted->state == FARM_BUILD_SUCCEEDED;
}

/* True the first time. */
static bool
mark_walked(struct walk *walk, int64_t derivation_id)
{
  return int_map_put(&walk->walked, derivation_id, walk) == NULL;
}

/* Derivations with equal outputs share one, the first that was found. */
static struct wanted *
want(struct walk *walk, const struct wanted *found)
{
  struct wanted *wanted = int_map_get(&walk->wanted, found->output_key);
  if (wanted != NULL)
    return wanted;
  wanted = arena_alloc(&walk->arena, sizeof *wanted);
  *wanted = *found;
  int_map_put(&walk->wanted, found->output_key, wanted);
  return wanted;
}

/* Takes one level in; what leads on becomes the next frontier. */
static void
take_level(struct walk *walk, const struct farm_wish_below_rows *rows)
{
  int64_t *frontier = arena_array(&walk->arena, rows->count + 1, sizeof *frontier);
  size_t count = 0;
  for (size_t i = 0; i < rows->count; i++) {
    const struct farm_wish_below_row *row = &rows->items[i];
    struct wanted found = { .derivation_id = row->derivation_id,
                            .output_key = row->output_key,
                            .build_id = row->build_id,
                            .state = (enum farm_build_state) row->state,
                            .priority = walk->priority,
                            .timeout_s = DEPENDENCY_TIMEOUT_S,
                            .max_silent_s = DEPENDENCY_MAX_SILENT_S };
    const struct wanted *wanted = want(walk, &found);
    if (leads_on(wanted) && mark_walked(walk, wanted->derivation_id))
      frontier[count++] = wanted->derivation_id;
  }
  walk->frontier = (struct db_i64s) { frontier, count };
}

static int
walk_down(struct walk *walk, struct error *err)
{
  while (walk->frontier.count > 0) {
    CLEANUP_ARENA struct arena arena = { 0 };
    struct farm_wish_below_rows rows;
    int r = farm_wish_below(walk->db, walk->frontier, &arena, &rows, err);
    if (r < 0)
      return r;
    take_level(walk, &rows);
  }
  return 0;
}

/* ---- what is wished for itself ---- */

/* Of several wishes for the same outputs the highest priority counts, and the
   largest limits. */
static void
apply_wish(struct walk *walk, const struct farm_wish *wish, struct wanted *wanted)
{
  if (!wanted->direct || wanted->priority < wish->priority)
    wanted->priority = wish->priority;
  if (!wanted->direct || limit_is_larger(wish->timeout_s, wanted->timeout_s))
    wanted->timeout_s = wish->timeout_s;
  if (!wanted->direct || limit_is_larger(wish->max_silent_s, wanted->max_silent_s))
    wanted->max_silent_s = wish->max_silent_s;
  wanted->direct = true;
  if (wish->priority < walk->priority)
    walk->priority = wish->priority;
}

/* Fills RET_WANTED (a place for each wish) and the first frontier. */
static int
look(struct walk *walk, const struct farm_wish *wishes, size_t count, struct wanted **ret_wanted,
     struct error *err)
{
  int64_t *ids = arena_array(&walk->arena, count, sizeof *ids);
  for (size_t i = 0; i < count; i++)
    ids[i] = wishes[i].derivation_id;
  struct farm_wish_look_rows rows;
  int r = farm_wish_look(walk->db, (struct db_i64s) { ids, count }, &walk->arena, &rows, err);
  if (r < 0)
    return r;
  PN_CLEANUP(int_map_free) struct int_map by_derivation = { 0 };
  for (size_t i = 0; i < rows.count; i++)
    int_map_put(&by_derivation, rows.items[i].wished_id, &rows.items[i]);

  int64_t *frontier = arena_array(&walk->arena, count + 1, sizeof *frontier);
  size_t frontier_count = 0;
  for (size_t i = 0; i < count; i++) {
    const struct farm_wish_look_row *row = int_map_get(&by_derivation, wishes[i].derivation_id);
    if (row == NULL)
      return error_set(err, -ENOENT, "there is no derivation with the id %" PRId64,
                       wishes[i].derivation_id);
    struct wanted found = { .derivation_id = row->derivation_id,
                            .output_key = row->output_key,
                            .build_id = row->build_id,
                            .offered = row->offered,
                            .state = (enum farm_build_state) row->state };
    ret_wanted[i] = want(walk, &found);
    apply_wish(walk, &wishes[i], ret_wanted[i]);
    if (leads_on(ret_wanted[i]) && mark_walked(walk, ret_wanted[i]->derivation_id))
      frontier[frontier_count++] = ret_wanted[i]->derivation_id;
  }
  walk->frontier = (struct db_i64s) { frontier, frontier_count };
  return 0;
}

/* ---- writing ---- */

struct columns
{
  int64_t *derivation_ids, *output_keys, *timeouts_s, *max_silents_s;
  int32_t *priorities;
  int16_t *states;
  bool *flags;
  size_t count;
};

static struct columns
columns_new(struct arena *arena, size_t count)
{
  return (struct columns) {
    .derivation_ids = arena_array(arena, count, sizeof(int64_t)),
    .output_keys = arena_array(arena, count, sizeof(int64_t)),
    .timeouts_s = arena_array(arena, count, sizeof(int64_t)),
    .max_silents_s = arena_array(arena, count, sizeof(int64_t)),
    .priorities = arena_array(arena, count, sizeof(int32_t)),
    .states = arena_array(arena, count, sizeof(int16_t)),
    .flags = arena_array(arena, count, sizeof(bool)),
  };
}

static void
columns_add(struct columns *columns, const struct wanted *wanted, bool flag)
{
  size_t i = columns->count++;
  columns->derivation_ids[i] = wanted->derivation_id;
  columns->output_keys[i] = wanted->output_key;
  columns->timeouts_s[i] = wanted->timeout_s;
  columns->max_silents_s[i] = wanted->max_silent_s;
  columns->priorities[i] = wanted->priority;
  columns->states[i] = wanted->offered ? FARM_BUILD_SUCCEEDED : FARM_BUILD_WAITING;
  columns->flags[i] = flag;
}

#define I64S(items) ((struct db_i64s) { items, columns.count })

/* Returns how many were new. */
static int
insert_missing(struct walk *walk, struct error *err)
{
  struct columns columns = columns_new(&walk->arena, walk->wanted.count);
  size_t position = 0;
  for (const struct wanted *wanted; (wanted = int_map_next(&walk->wanted, &position)) != NULL;)
    if (wanted->build_id == 0)
      columns_add(&columns, wanted, wanted->direct);
  if (columns.count == 0)
    return 0;
  return farm_wish_insert(walk->db, FARM_BUILD_SUCCEEDED, I64S(columns.derivation_ids),
                          I64S(columns.output_keys),
                          (struct db_i16s) { columns.states, columns.count },
                          (struct db_i32s) { columns.priorities, columns.count },
                          (struct db_bools) { columns.flags, columns.count },
                          I64S(columns.timeouts_s), I64S(columns.max_silents_s), err);
}

static int
order_existing(struct walk *walk, struct error *err)
{
  struct columns columns = columns_new(&walk->arena, walk->wanted.count);
  size_t position = 0;
  for (const struct wanted *wanted; (wanted = int_map_next(&walk->wanted, &position)) != NULL;)
    if (wanted->direct)
      columns_add(&columns, wanted, wanted->offered);
  return farm_wish_order(
      walk->db, FARM_BUILD_CANCELLED, FARM_BUILD_SUCCEEDED, FARM_BUILD_FAILED, FARM_CAUSE_TIMEOUT,
      FARM_CAUSE_SILENCE, ORDER_WISH, ORDER_LIMITS, I64S(columns.output_keys),
      (struct db_i32s) { columns.priorities, columns.count }, I64S(columns.timeouts_s),
      I64S(columns.max_silents_s), (struct db_bools) { columns.flags, columns.count }, err);
}

static int
find_builds(struct walk *walk, struct wanted *const *wanted, size_t count, int64_t *ret_ids,
            struct error *err)
{
  int64_t *keys = arena_array(&walk->arena, count, sizeof *keys);
  for (size_t i = 0; i < count; i++)
    keys[i] = wanted[i]->output_key;
  struct farm_wish_builds_rows rows;
  int r = farm_wish_builds(walk->db, (struct db_i64s) { keys, count }, &walk->arena, &rows, err);
  if (r < 0)
    return r;
  for (size_t i = 0; i < rows.count; i++) {
    struct wanted *found = int_map_get(&walk->wanted, rows.items[i].output_key);
    found->build_id = rows.items[i].id;
  }
  for (size_t i = 0; i < count; i++)
    ret_ids[i] = wanted[i]->build_id;
  return 0;
}

static int
tell_queued(struct db *db, int64_t build_id, int created, struct error *err)
{
  CLEANUP_BUF struct buf facts = { 0 };
  struct json json = json_begin(&facts);
  json_object_open(&json);
  json_put_i64(&json, "builds_count", created);
  json_object_close(&json);
  return events_append(db, "build.queued", build_id, buf_str(&facts), err);
}

int
farm_wish(struct db *db, const struct farm_wish *wishes, size_t count, int64_t *ret_build_ids,
          struct error *err)
{
  if (count == 0)
    return 0;
  PN_CLEANUP(walk_free) struct walk walk = { .db = db, .priority = INT32_MAX };
  struct wanted **wanted = arena_array(&walk.arena, count, sizeof(struct wanted *));
  int r = look(&walk, wishes, count, wanted, err);
  if (r == 0)
    r = walk_down(&walk, err);
  if (r < 0)
    return r;
  int created = insert_missing(&walk, err);
  if (created < 0)
    return created;
  r = order_existing(&walk, err);
  if (r >= 0)
    r = find_builds(&walk, wanted, count, ret_build_ids, err);
  if (r == 0 && created > 0)
    r = tell_queued(db, ret_build_ids[0], created, err);
  return r;
}

int
wish_below(struct db *db, int64_t derivation_id, struct error *err)
{
  PN_CLEANUP(walk_free)
  struct walk walk = { .db = db, .frontier = { &derivation_id, 1 } };
  int r = walk_down(&walk, err);
  return r < 0 ? r : insert_missing(&walk, err);
}

int
farm_wake(struct db *db, struct error *err)
{
  return db_notify(db, FARM_CHANNEL, err);
}
