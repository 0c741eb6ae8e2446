/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Orders from people: stored, and carried out by whichever process schedules.
   When that is this one, the caller sees the effect. */
#include "farm/order.h"

#include "base/json.h"
#include "base/thread.h"
#include "farm/farm_private.h"
#include "farm/farm_sql.h"

#include <errno.h>
#include <inttypes.h>
#include <time.h>

#define WAIT_S 2 /* for the effect; the order stands anyway */

/* ---- rounds ---- */

void
rounds_init(struct farm_rounds *rounds)
{
  *rounds = (struct farm_rounds) { 0 };
  pthread_mutex_init(&rounds->lock, NULL);
  pthread_condattr_t monotonic;
  pthread_condattr_init(&monotonic);
  pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
  pthread_cond_init(&rounds->moved, &monotonic);
  pthread_condattr_destroy(&monotonic);
}

void
rounds_free(struct farm_rounds *rounds)
{
  pthread_cond_destroy(&rounds->moved);
  pthread_mutex_destroy(&rounds->lock);
}

bool
rounds_begin(struct farm_rounds *rounds, uint64_t *ret_ticket)
{
  pthread_mutex_lock(&rounds->lock);
  *ret_ticket = rounds->asked;
  bool asked = rounds->asked > rounds->served;
  pthread_mutex_unlock(&rounds->lock);
  return asked;
}

void
rounds_serve(struct farm_rounds *rounds, uint64_t ticket)
{
  pthread_mutex_lock(&rounds->lock);
  rounds->served = ticket;
  pthread_cond_broadcast(&rounds->moved);
  pthread_mutex_unlock(&rounds->lock);
}

static bool
is_active(struct farm *farm)
{
  pthread_mutex_lock(&farm->open.lock);
  bool active = farm->open.active;
  pthread_mutex_unlock(&farm->open.lock);
  return active;
}

/* Wants a round that begins from now on; under the lock. */
static uint64_t
ask_for_round(struct farm *farm)
{
  mailbox_wake(&farm->mailbox);
  return ++farm->rounds.asked;
}

static void
hurry(struct farm *farm)
{
  pthread_mutex_lock(&farm->rounds.lock);
  ask_for_round(farm);
  pthread_mutex_unlock(&farm->rounds.lock);
}

/* Waits until it is committed. */
static void
await_round(struct farm *farm)
{
  struct farm_rounds *rounds = &farm->rounds;
  struct timespec deadline;
  clock_gettime(CLOCK_MONOTONIC, &deadline);
  deadline.tv_sec += WAIT_S;
  pthread_mutex_lock(&rounds->lock);
  uint64_t ticket = ask_for_round(farm);
  int r = 0;
  while (rounds->served < ticket && r == 0)
    r = pthread_cond_timedwait(&rounds->moved, &rounds->lock, &deadline);
  pthread_mutex_unlock(&rounds->lock);
}

/* ---- orders ---- */

struct order
{
  enum farm_order_kind kind;
  int64_t build_id;
  struct str agent;
  bool dependents;
  struct db_i64s builds; /* items NULL = it is of one build, or of an agent */
};

static int
check_build(struct db *db, const struct order *order, struct error *err)
{
  struct farm_order_build_row row;
  int r = farm_order_build(db, order->build_id, &row, err);
  if (r < 0)
    return r;
  if (r == 0)
    return error_set(err, -ENOENT, "there is no build %" PRId64, order->build_id);
  bool unfinished = row.state == FARM_BUILD_WAITING || row.state == FARM_BUILD_RUNNING;
  const char *name = farm_build_state_name((enum farm_build_state) row.state);
  if (order->kind == ORDER_CANCEL && !unfinished)
    return error_set(err, -EEXIST, "build %" PRId64 " cannot be cancelled: it is %s",
                     order->build_id, name);
  if (order->kind == ORDER_RESTART && (unfinished || row.state == FARM_BUILD_SUCCEEDED))
    return error_set(err, -EEXIST, "build %" PRId64 " cannot be restarted: it is %s",
                     order->build_id, name);
  return 0;
}

static int
store_build_order(struct db *db, const struct order *order, struct error *err)
{
  int r = check_build(db, order, err);
  if (r == 0)
    r = farm_order_add(db, (int16_t) order->kind, order->build_id, err);
  if (r >= 0 && order->dependents)
    r = farm_order_add_dependents(db, ORDER_RESTART_DEPENDENT, order->build_id, err);
  return r < 0 ? r : 0;
}

static int
store_restarts(struct db *db, const struct order *order, struct error *err)
{
  static const int16_t failed[] = { FARM_BUILD_FAILED, FARM_BUILD_DEPENDENCY_FAILED };
  int r = farm_order_restart_failed(db, ORDER_RESTART, order->builds,
                                    (struct db_i16s) { failed, ARRAY_SIZE(failed) }, err);
  return r < 0 ? r : farm_order_restart_dependents(db, ORDER_RESTART_DEPENDENT, order->builds, err);
}

static int
store_builds_order(struct db *db, const struct order *order, struct error *err)
{
  int r = order->kind == ORDER_WITHDRAW
              ? farm_order_withdraw(db, ORDER_WITHDRAW, order->builds, err)
              : store_restarts(db, order, err);
  return r < 0 ? r : 0;
}

static int
tell_released(struct db *db, int64_t agent_id, struct str name, struct error *err)
{
  CLEANUP_BUF struct buf facts = { 0 };
  struct json json = json_begin(&facts);
  json_object_open(&json);
  json_put_text(&json, "agent", name);
  json_object_close(&json);
  return events_append(db, "agent.released", agent_id, buf_str(&facts), err);
}

static int
refuse_released(const struct order *order, struct error *err)
{
  if (order->kind == ORDER_RELEASE)
    return error_set(err, -EEXIST, "agent '%.*s' was released before", STR_FMT(order->agent));
  return error_set(err, -EEXIST,
                   "agent '%.*s' was released: it gets no work until it is enrolled anew",
                   STR_FMT(order->agent));
}

/* Releasing: whoever has the token is shut out from the commit on. */
static int
store_agent_order(struct db *db, const struct order *order, struct error *err)
{
  struct farm_agent_named_row row;
  int r = farm_agent_named(db, order->agent, &row, err);
  if (r == 0)
    return error_set(err, -ENOENT, "there is no agent '%.*s'", STR_FMT(order->agent));
  if (r > 0 && row.released)
    return refuse_released(order, err);
  r = r < 0 ? r : farm_order_add_agent(db, (int16_t) order->kind, row.id, err);
  if (r < 0 || order->kind != ORDER_RELEASE)
    return r < 0 ? r : 0;
  r = accounts_token_revoke(db, "agent", row.token_id, err);
  return r < 0 ? r : tell_released(db, row.id, order->agent, err);
}

static int
store_order(struct db *db, void *context, struct error *err)
{
  const struct order *order = context;
  if (order->builds.items != NULL)
    return store_builds_order(db, order, err);
  return order->agent.data != NULL ? store_agent_order(db, order, err)
                                   : store_build_order(db, order, err);
}

static int
give_order(struct farm *farm, struct order *order, struct error *err)
{
  struct db *db = NULL;
  int r = db_pool_get(farm->options.pool, &db, err);
  if (r == 0)
    r = db_run(db, DB_WRITE, store_order, order, err);
  bool here = r == 0 && is_active(farm);
  if (r == 0 && !here)
    (void) farm_wake(db, NULL); /* it stands: the scheduler looks by itself after a while */
  db_pool_put(farm->options.pool, db);
  if (here && thread_may_wait())
    await_round(farm);
  else if (here)
    hurry(farm);
  return r;
}

int
farm_build_cancel(struct farm *farm, int64_t build_id, struct error *err)
{
  struct order order = { .kind = ORDER_CANCEL, .build_id = build_id };
  return give_order(farm, &order, err);
}

int
farm_build_restart(struct farm *farm, int64_t build_id, bool dependents, struct error *err)
{
  struct order order = { .kind = ORDER_RESTART, .build_id = build_id, .dependents = dependents };
  return give_order(farm, &order, err);
}

int
farm_builds_restart(struct farm *farm, const int64_t *build_ids, size_t count, struct error *err)
{
  struct order order = { .kind = ORDER_RESTART, .builds = { build_ids, count } };
  return count == 0 ? 0 : give_order(farm, &order, err);
}

int
farm_builds_withdraw(struct farm *farm, const int64_t *build_ids, size_t count, struct error *err)
{
  struct order order = { .kind = ORDER_WITHDRAW, .builds = { build_ids, count } };
  return count == 0 ? 0 : give_order(farm, &order, err);
}

int
farm_agent_release(struct farm *farm, struct str name, struct error *err)
{
  struct order order = { .kind = ORDER_RELEASE, .agent = name };
  return give_order(farm, &order, err);
}

int
farm_agent_pause(struct farm *farm, struct str name, bool paused, struct error *err)
{
  struct order order = { .kind = paused ? ORDER_PAUSE : ORDER_RESUME, .agent = name };
  return give_order(farm, &order, err);
}

/* ---- building again what was lost ---- */

int
farm_rebuild(struct db *db, const int64_t *path_ids, size_t count, struct arena *arena,
             size_t *ret_builds, struct error *err)
{
  struct farm_order_rebuild_rows rows = { 0 };
  int r = farm_order_rebuild(db, ORDER_WISH, FARM_BUILD_SUCCEEDED,
                             (struct db_i64s) { path_ids, count }, arena, &rows, err);
  *ret_builds = rows.count;
  return r < 0 ? r : 0;
}
