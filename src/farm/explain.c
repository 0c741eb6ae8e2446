/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Why a build waits. Facts come from the database, so any process can tell; the
   place in the queue is known to the active scheduler alone. */
#include "farm/explain.h"
#include "base/clock.h"
#include "base/json.h"
#include "farm/farm_private.h"
#include "farm/farm_sql.h"
#include "farm/mirror.h"

#include <errno.h>
#include <inttypes.h>
#include <time.h>

#define LOCK_WAIT_MS 200 /* the mirror is locked for long only while much is loaded */

struct explain_place
explain_place(struct farm *farm, int64_t build_id)
{
  struct explain_place place = { -1, -1 };
  struct timespec deadline;
  clock_gettime(CLOCK_REALTIME, &deadline);
  deadline.tv_nsec += LOCK_WAIT_MS * 1000000L;
  deadline.tv_sec += deadline.tv_nsec / 1000000000L;
  deadline.tv_nsec %= 1000000000L;
  if (pthread_mutex_timedlock(&farm->mirror_lock, &deadline) != 0)
    return place;
  const struct node *node = farm->mirror == NULL ? NULL : mirror_find(farm->mirror, build_id);
  if (node != NULL) {
    place.ahead = mirror_place(node);
    if (node->queue == &farm->mirror->resting)
      place.retry_in_ms = node->retry_at_ms - clock_monotonic_ms();
  }
  pthread_mutex_unlock(&farm->mirror_lock);
  return place;
}

struct explanation
{
  int64_t build_id;
  struct arena *arena;
  struct farm_explain_build_row build;
  struct farm_explain_needs_rows needs;
  struct farm_explain_agents_rows agents;
  struct farm_explain_attempt_row attempt;
  bool runs;
};

static int
read_all(struct db *db, void *context, struct error *err)
{
  struct explanation *all = context;
  int r = farm_explain_build(db, all->build_id, all->arena, &all->build, err);
  if (r == 0)
    return error_set(err, -ENOENT, "there is no build %" PRId64, all->build_id);
  if (r > 0)
    r = farm_explain_needs(db, all->build_id, all->arena, &all->needs, err);
  if (r == 0)
    r = farm_explain_agents(db, all->build.system, all->arena, &all->agents, err);
  if (r == 0)
    r = farm_explain_attempt(db, all->build_id, all->arena, &all->attempt, err);
  all->runs = r == 1;
  return r < 0 ? r : 0;
}

/* ---- the one reason ---- */

void
explain_seats_add(struct explain_seats *seats, bool is_connected, bool is_paused, int64_t free)
{
  bool works = is_connected && !is_paused;
  seats->agents++;
  seats->connected += is_connected;
  seats->working += works;
  seats->free += works && free > 0 ? free : 0;
}

const char *
explain_ready(const struct explain_seats *seats, const struct explain_place *place)
{
  if (place->retry_in_ms >= 0)
    return "retry-pause";
  if (seats->agents == 0)
    return "no-agent";
  if (seats->connected == 0)
    return "agents-away";
  if (seats->working == 0)
    return "agents-paused";
  return seats->free == 0 ? "agents-busy" : "queue";
}

static struct explain_seats
count_seats(const struct farm_explain_agents_rows *agents)
{
  struct explain_seats seats = { 0 };
  for (size_t i = 0; i < agents->count; i++) {
    const struct farm_explain_agents_row *agent = &agents->items[i];
    explain_seats_add(&seats, agent->connected, agent->paused, agent->jobs - agent->running);
  }
  return seats;
}

static bool
is_held_up(const struct farm_explain_needs_rows *needs)
{
  return needs->count > 0 && needs->items[0].finished;
}

static const char *
reason_of_waiting(const struct explanation *all, const struct explain_place *place)
{
  struct explain_seats seats = count_seats(&all->agents);
  if (is_held_up(&all->needs))
    return "held-up"; /* by a build that failed by no fault of its own: restart it */
  if (all->needs.count > 0)
    return "dependencies";
  return explain_ready(&seats, place);
}

static const char *
reason_of(const struct explanation *all, const struct explain_place *place)
{
  if (all->build.state == FARM_BUILD_WAITING)
    return reason_of_waiting(all, place);
  return all->build.state == FARM_BUILD_RUNNING ? "running" : "finished";
}

/* ---- as JSON ---- */

/* "/gnu/store/<32 digits>-NAME.drv" */
struct str
explain_name(struct str derivation)
{
  struct str name = str_from(derivation, strlen("/gnu/store/") + 33);
  if (str_ends(name, STR(".drv")))
    name.size -= 4;
  return name;
}

static void
put_state(struct json *json, int state, int cause)
{
  bool has_cause = cause != FARM_CAUSE_NONE;
  json_put_cstr(json, "state", farm_build_state_name((enum farm_build_state) state));
  json_put_cstr(json, "cause", has_cause ? farm_cause_name((enum farm_cause) cause) : NULL);
}

static void
put_needs(struct json *json, const struct farm_explain_needs_rows *needs)
{
  json_put_i64(json, "missing_count", needs->count > 0 ? needs->items[0].count : 0);
  json_key(json, "missing");
  json_array_open(json);
  for (size_t i = 0; i < needs->count; i++) {
    json_object_open(json);
    json_put_i64(json, "id", needs->items[i].id);
    json_put_text(json, "name", explain_name(needs->items[i].derivation));
    put_state(json, needs->items[i].state, needs->items[i].cause);
    json_object_close(json);
  }
  json_array_close(json);
}

static void
put_agents(struct json *json, const struct farm_explain_agents_rows *agents)
{
  json_key(json, "agents");
  json_array_open(json);
  for (size_t i = 0; i < agents->count; i++) {
    json_object_open(json);
    json_put_text(json, "name", agents->items[i].name);
    json_put_bool(json, "connected", agents->items[i].connected);
    json_put_bool(json, "paused", agents->items[i].paused);
    json_put_i64(json, "places", agents->items[i].jobs);
    json_put_i64(json, "running_count", agents->items[i].running);
    json_object_close(json);
  }
  json_array_close(json);
}

static void
put_attempt(struct json *json, const struct farm_explain_attempt_row *attempt, bool runs)
{
  json_key(json, "running_attempt");
  if (!runs) {
    json_none(json);
    return;
  }
  json_object_open(json);
  json_put_i64(json, "id", attempt->id);
  json_put_text(json, "agent", attempt->agent);
  json_put_time(json, "created_at", attempt->created_at, false);
  json_put_time(json, "started_at", attempt->started_at, attempt->started_at_null);
  json_object_close(json);
}

/* -1 = null. */
static void
put_known(struct json *json, const char *name, int64_t number)
{
  json_key(json, name);
  if (number < 0)
    json_none(json);
  else
    json_i64(json, number);
}

static void
put_all(struct json *json, const struct explanation *all, const struct explain_place *place)
{
  json_object_open(json);
  json_put_i64(json, "build", all->build.id);
  json_put_text(json, "derivation", all->build.derivation);
  json_put_text(json, "system", all->build.system);
  put_state(json, all->build.state, all->build.cause);
  json_put_cstr(json, "reason", reason_of(all, place));
  json_put_i64(json, "priority", all->build.priority);
  json_put_i64(json, "tries", all->build.tries);
  json_put_id(json, "failed_build", all->build.failed_build_id);
  put_known(json, "ahead_count", place->ahead);
  put_known(json, "retry_in_s", place->retry_in_ms < 0 ? -1 : (place->retry_in_ms + 999) / 1000);
  put_attempt(json, &all->attempt, all->runs);
  put_needs(json, &all->needs);
  put_agents(json, &all->agents);
  json_object_close(json);
}

int
farm_build_explain(struct farm *farm, int64_t build_id, struct buf *ret, struct error *err)
{
  CLEANUP_ARENA struct arena arena = { 0 };
  struct explanation all = { .build_id = build_id, .arena = &arena };
  int r = db_pool_run(farm->options.pool, DB_READ, read_all, &all, err);
  if (r < 0)
    return r;
  struct explain_place place = explain_place(farm, build_id);
  struct json json = json_begin(ret);
  put_all(&json, &all, &place);
  return 0;
}
