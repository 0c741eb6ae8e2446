/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "farm/batch.h"

#include "farm/farm_sql.h"
#include "farm/tell.h"

#include <errno.h>

void
batch_free(struct batch *batch)
{
  changes_free(&batch->changes);
  int_map_free(&batch->facts);
  int_map_free(&batch->outputs);
  arena_free(&batch->arena);
  *batch = (struct batch) { 0 };
}

bool
batch_is_empty(const struct batch *batch)
{
  return changes_are_empty(&batch->changes) && batch->orders.count == 0
         && batch->sessions_count == 0 && batch->items_count == 0;
}

bool
batch_spares(const struct batch *batch, const struct change_start *start)
{
  const struct batch_facts *facts = int_map_get(&batch->facts, start->build_id);
  return facts == NULL || facts->offered;
}

/* ---- facts ---- */

static int
read_facts(struct batch *batch, struct db *db, struct error *err)
{
  size_t capacity = batch->changes.events.count + batch->changes.starts.count;
  int64_t *ids = arena_array(&batch->arena, capacity, sizeof *ids);
  size_t count = 0;
  for (size_t i = 0; i < batch->changes.events.count; i++)
    if (batch->changes.events.items[i].build_id != 0)
      ids[count++] = batch->changes.events.items[i].build_id;
  for (size_t i = 0; i < batch->changes.starts.count; i++)
    ids[count++] = batch->changes.starts.items[i].build_id;
  if (count == 0)
    return 0;
  struct farm_batch_facts_rows rows;
  int r = farm_batch_facts(db, (struct db_i64s) { ids, count }, &batch->arena, &rows, err);
  for (size_t i = 0; r == 0 && i < rows.count; i++) {
    struct batch_facts *facts = arena_alloc(&batch->arena, sizeof *facts);
    *facts = (struct batch_facts) { .derivation_id = rows.items[i].derivation_id,
                                    .derivation = rows.items[i].basename,
                                    .system = rows.items[i].system,
                                    .offered = rows.items[i].offered };
    int_map_put(&batch->facts, rows.items[i].id, facts);
  }
  return r;
}

int
batch_read_outputs(struct db *db, struct db_i64s derivation_ids, struct arena *arena,
                   struct int_map *ret, struct error *err)
{
  struct farm_batch_outputs_rows rows;
  int r = farm_batch_outputs(db, derivation_ids, arena, &rows, err);
  struct batch_output *all = r < 0 ? NULL : arena_array(arena, rows.count, sizeof *all);
  struct batch_outputs *outputs = NULL;
  for (size_t i = 0; r == 0 && i < rows.count; i++) {
    const struct farm_batch_outputs_row *row = &rows.items[i];
    all[i] = (struct batch_output) { row->name, row->basename };
    if (i == 0 || row->derivation_id != rows.items[i - 1].derivation_id) {
      outputs = arena_alloc(arena, sizeof *outputs);
      outputs->items = &all[i];
      int_map_put(ret, row->derivation_id, outputs);
    }
    outputs->count++;
  }
  return r;
}

static int
prepare(struct db *db, void *context, struct error *err)
{
  struct batch *batch = context;
  int_map_free(&batch->facts);
  int_map_free(&batch->outputs);
  arena_free(&batch->arena);
  int r = read_facts(batch, db, err);
  size_t count = batch->changes.starts.count;
  if (r < 0 || count == 0)
    return r;
  int64_t *ids = arena_array(&batch->arena, count, sizeof *ids);
  for (size_t i = 0; i < count; i++)
    ids[i] = batch->changes.starts.items[i].derivation_id;
  return batch_read_outputs(db, (struct db_i64s) { ids, count }, &batch->arena, &batch->outputs,
                            err);
}

int
batch_prepare(struct batch *batch, struct db *db, struct error *err)
{
  if (batch->changes.events.count == 0)
    return 0;
  return db_run(db, DB_READ, prepare, batch, err);
}

/* ---- writing ---- */

struct writing
{
  struct batch *batch;
  struct cache *cache;
  int64_t epoch;
  int64_t number;
  struct arena arena;
};

static void
writing_free(struct writing *writing)
{
  arena_free(&writing->arena);
}

#define COLUMN(writing, type, count) arena_array(&(writing)->arena, count, sizeof(type))

static bool
is_unfinished(int state)
{
  return state == FARM_BUILD_WAITING || state == FARM_BUILD_RUNNING;
}

static int
write_builds(struct writing *writing, struct db *db, struct error *err)
{
  const struct change_build *items = writing->batch->changes.builds.items;
  size_t count = writing->batch->changes.builds.count;
  if (count == 0)
    return 0;
  int64_t *ids = COLUMN(writing, int64_t, count), *failed = COLUMN(writing, int64_t, count);
  int64_t *timeouts = COLUMN(writing, int64_t, count), *silents = COLUMN(writing, int64_t, count);
  int32_t *priorities = COLUMN(writing, int32_t, count), *tries = COLUMN(writing, int32_t, count);
  int32_t *losses = COLUMN(writing, int32_t, count);
  int16_t *states = COLUMN(writing, int16_t, count), *causes = COLUMN(writing, int16_t, count);
  bool *direct = COLUMN(writing, bool, count), *unfinished = COLUMN(writing, bool, count);
  for (size_t i = 0; i < count; i++) {
    ids[i] = items[i].id;
    failed[i] = items[i].failed_id;
    timeouts[i] = items[i].timeout_s;
    silents[i] = items[i].max_silent_s;
    priorities[i] = items[i].priority;
    tries[i] = items[i].tries;
    losses[i] = items[i].losses;
    states[i] = items[i].state;
    causes[i] = items[i].cause;
    direct[i] = items[i].direct;
    unfinished[i] = is_unfinished(items[i].state);
  }
  return farm_batch_builds(
      db, (struct db_i64s) { ids, count }, (struct db_i16s) { states, count },
      (struct db_i16s) { causes, count }, (struct db_i32s) { priorities, count },
      (struct db_i32s) { tries, count }, (struct db_i32s) { losses, count },
      (struct db_bools) { direct, count }, (struct db_i64s) { timeouts, count },
      (struct db_i64s) { silents, count }, (struct db_i64s) { failed, count },
      (struct db_bools) { unfinished, count }, err);
}

static int
write_limits(struct writing *writing, struct db *db, struct error *err)
{
  const struct change_limits *items = writing->batch->changes.limits.items;
  size_t count = writing->batch->changes.limits.count;
  if (count == 0)
    return 0;
  int64_t *ids = COLUMN(writing, int64_t, count);
  int64_t *timeouts = COLUMN(writing, int64_t, count), *silents = COLUMN(writing, int64_t, count);
  for (size_t i = 0; i < count; i++) {
    ids[i] = items[i].build_id;
    timeouts[i] = items[i].timeout_s;
    silents[i] = items[i].max_silent_s;
  }
  return farm_batch_limits(db, (struct db_i64s) { ids, count },
                           (struct db_i64s) { timeouts, count },
                           (struct db_i64s) { silents, count }, err);
}

static int
write_starts(struct writing *writing, struct db *db, struct error *err)
{
  const struct batch *batch = writing->batch;
  size_t capacity = batch->changes.starts.count, count = 0;
  int64_t *ids = COLUMN(writing, int64_t, capacity), *builds = COLUMN(writing, int64_t, capacity);
  int64_t *agents = COLUMN(writing, int64_t, capacity),
          *fences = COLUMN(writing, int64_t, capacity);
  for (size_t i = 0; i < capacity; i++) {
    const struct change_start *start = &batch->changes.starts.items[i];
    if (batch_spares(batch, start))
      continue;
    ids[count] = start->attempt_id;
    builds[count] = start->build_id;
    agents[count] = start->agent_id;
    fences[count++] = start->fence;
  }
  if (count == 0)
    return 0;
  return farm_batch_starts(db, (struct db_i64s) { ids, count }, (struct db_i64s) { builds, count },
                           (struct db_i64s) { agents, count }, (struct db_i64s) { fences, count },
                           err);
}

static int
write_builders(struct writing *writing, struct db *db, struct error *err)
{
  const struct changes *changes = &writing->batch->changes;
  if (changes->builders.count == 0)
    return 0;
  struct db_i64s ids = { changes->builders.items, changes->builders.count };
  return farm_batch_builders(db, ids, err);
}

static int
write_ends(struct writing *writing, struct db *db, struct error *err)
{
  const struct change_end *items = writing->batch->changes.ends.items;
  size_t count = writing->batch->changes.ends.count;
  if (count == 0)
    return 0;
  int64_t *ids = COLUMN(writing, int64_t, count), *sizes = COLUMN(writing, int64_t, count);
  int16_t *causes = COLUMN(writing, int16_t, count);
  struct str *messages = COLUMN(writing, struct str, count);
  for (size_t i = 0; i < count; i++) {
    ids[i] = items[i].attempt_id;
    sizes[i] = items[i].log_size;
    causes[i] = (int16_t) items[i].cause;
    messages[i] = items[i].message;
  }
  return farm_batch_ends(db, (struct db_i64s) { ids, count }, (struct db_i16s) { causes, count },
                         (struct db_strs) { messages, count }, (struct db_i64s) { sizes, count },
                         err);
}

/* An agent may come and go within one batch: its last state counts. */
static bool
is_last_of_agent(const struct changes *changes, size_t place)
{
  for (size_t i = place + 1; i < changes->agents.count; i++)
    if (changes->agents.items[i].id == changes->agents.items[place].id)
      return false;
  return true;
}

static int
write_agents(struct writing *writing, struct db *db, struct error *err)
{
  const struct changes *changes = &writing->batch->changes;
  size_t capacity = changes->agents.count, count = 0;
  int64_t *ids = COLUMN(writing, int64_t, capacity);
  bool *connected = COLUMN(writing, bool, capacity), *paused = COLUMN(writing, bool, capacity);
  for (size_t i = 0; i < capacity; i++) {
    if (!is_last_of_agent(changes, i))
      continue;
    ids[count] = changes->agents.items[i].id;
    connected[count] = changes->agents.items[i].connected;
    paused[count++] = changes->agents.items[i].paused;
  }
  if (count == 0)
    return 0;
  return farm_batch_agents(db, (struct db_i64s) { ids, count },
                           (struct db_bools) { connected, count },
                           (struct db_bools) { paused, count }, err);
}

static int
write_sessions(struct writing *writing, struct db *db, struct error *err)
{
  int r = 0;
  for (size_t i = 0; r >= 0 && i < writing->batch->sessions_count; i++) {
    const struct batch_session *session = &writing->batch->sessions[i];
    r = farm_batch_session(db, session->systems, session->jobs, session->facts, session->agent_id,
                           err);
  }
  return r;
}

static int
write_items(struct writing *writing, struct db *db, struct error *err)
{
  struct batch *batch = writing->batch;
  int r = 0;
  for (size_t i = 0; r == 0 && i < batch->items_count; i++) {
    batch->refused = i + 1;
    r = cache_register(writing->cache, db, batch->items[i].items, batch->items[i].count, err);
  }
  if (r == 0)
    batch->refused = 0;
  return r;
}

static int
write_orders(struct writing *writing, struct db *db, struct error *err)
{
  if (writing->batch->orders.count == 0)
    return 0;
  return farm_batch_orders_done(db, writing->batch->orders, err);
}

static int
write_events(struct writing *writing, struct db *db, struct error *err)
{
  return tell_events(writing->batch, db, err);
}

/* 1 = ours to write, 0 = written already. The row lock keeps an epoch from
   beginning before this transaction ends. */
static int
claim(struct writing *writing, struct db *db, struct error *err)
{
  int r = farm_batch_claim(db, writing->number, writing->epoch, err);
  if (r != 0)
    return r;
  struct farm_batch_last_row last;
  r = farm_batch_last(db, &last, err);
  if (r < 0)
    return r;
  if (r == 1 && last.epoch == writing->epoch && last.batch == writing->number)
    return 0;
  return error_set(err, -ESTALE, "another scheduler has become active");
}

static int
write_all(struct db *db, void *context, struct error *err)
{
  static int (*const steps[])(struct writing *, struct db *, struct error *) = {
    write_builds, write_limits,   write_starts, write_builders, write_ends,
    write_agents, write_sessions, write_items,  write_orders,   write_events
  };
  struct writing *writing = context;
  arena_free(&writing->arena);
  writing->batch->refused = 0;
  int r = claim(writing, db, err);
  if (r <= 0)
    return r;
  for (size_t i = 0; r >= 0 && i < ARRAY_SIZE(steps); i++)
    r = steps[i](writing, db, err);
  return r < 0 ? r : 0;
}

int
batch_write(struct batch *batch, struct db *db, struct cache *cache, int64_t epoch, int64_t number,
            struct error *err)
{
  PN_CLEANUP(writing_free)
  struct writing writing = { .batch = batch, .cache = cache, .epoch = epoch, .number = number };
  return db_run(db, DB_WRITE, write_all, &writing, err);
}
