/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Builds, attempts and agents; the scheduler. One thread owns a compact mirror
   of all that is unfinished and never queries to decide; what it decides is
   written in batches and acknowledged after commit. */
#pragma once

#include "accounts/accounts.h"
#include "cache/cache.h"

/* Numbers stand in the database: never change them. */
enum farm_build_state
{
  FARM_BUILD_WAITING = 0,           /* for dependencies or for an agent */
  FARM_BUILD_RUNNING = 1,           /* an attempt runs */
  FARM_BUILD_SUCCEEDED = 2,         /* outputs are offered by the cache */
  FARM_BUILD_FAILED = 3,            /* its own builder failed */
  FARM_BUILD_DEPENDENCY_FAILED = 4, /* something it needs failed */
  FARM_BUILD_CANCELLED = 5,
  FARM_BUILD_STATE_MAX,
};

enum farm_cause
{
  FARM_CAUSE_NONE = 0,
  FARM_CAUSE_BUILD = 1, /* the builder failed; this and a hash mismatch propagate */
  FARM_CAUSE_TIMEOUT = 2,
  FARM_CAUSE_SILENCE = 3,
  FARM_CAUSE_OUT_OF_MEMORY = 4,
  FARM_CAUSE_DISK_FULL = 5,
  FARM_CAUSE_MISSING_INPUT = 6, /* the closure could not be had */
  FARM_CAUSE_AGENT_LOST = 7,
  FARM_CAUSE_CANCELLED = 8,
  FARM_CAUSE_DAEMON = 9,         /* the agent's guix-daemon failed or refused */
  FARM_CAUSE_HASH_MISMATCH = 10, /* fixed output with another hash */
  FARM_CAUSE_UPLOAD = 11,        /* outputs could not be stored */
  FARM_CAUSE_MAX,
};

const char *farm_build_state_name(enum farm_build_state state); /* "waiting", ... */
const char *farm_cause_name(enum farm_cause cause);             /* "build", "timeout", ... */
/* The negative -EINVAL for an unknown name. */
int farm_cause_parse(struct str name);

struct farm;

struct farm_options
{
  const char *uri; /* for the scheduler's own connections */
  struct db_pool *pool;
  struct cache *cache;
  int agent_grace_s;  /* a silent agent counts as lost after this; 0 = 60 */
  int attempts_limit; /* tries after causes that are not the build's own; 0 = 3 */
  bool passive;       /* never schedules: for processes that only give orders */
};

/* Starts the scheduler thread (waits for the advisory lock: one is active). */
int farm_start(const struct farm_options *options, struct farm **ret, struct error *err);
/* Stop the HTTP server that serves farm_agent_routes first, the cache afterwards.
   NULL is fine. Agents work on; the next scheduler takes their attempts over. */
void farm_stop(struct farm *farm);

/* Routes below /agent/v1 (doc/agent-protocol.md). */
struct http_routes farm_agent_routes(struct farm *farm);

/* ---- wishes: inside the caller's transaction ---- */

struct farm_wish
{
  int64_t derivation_id;
  int32_t priority;
  int64_t timeout_s;
  int64_t max_silent_s;
};

/* Wishes for derivations and, transitively, for what they need and what is not
   offered by the cache yet. RET_BUILD_IDS: a build for each wish (equal outputs
   share one). Existing unfinished builds keep the higher priority; failed ones
   stay failed (cancelled ones, and those whose outputs are gone, are wanted anew).
   Builds whose outputs are all offered are born succeeded. What existed before is
   changed by the scheduler, after the commit. -ENOENT: no such derivation. */
int farm_wish(struct db *db, const struct farm_wish *wishes, size_t count, int64_t *ret_build_ids,
              struct error *err);

/* Orders the builds that had succeeded and whose outputs are among these items, which
   are no longer offered. RET_BUILDS: how many. */
int farm_rebuild(struct db *db, const int64_t *path_ids, size_t count, struct arena *arena,
                 size_t *ret_builds, struct error *err);

/* After that commit: tells the scheduler (of any process). */
int farm_wake(struct db *db, struct error *err);

/* ---- actions (each with its own transaction); asked by API and pages ---- */

/* They store an order for the active scheduler, in whatever process that is;
   when it is this one, and the calling thread may wait (base/thread.h), the effect
   is there on return. -ENOENT: no such build or agent; -EEXIST: its state does not
   allow it. */

/* Cancels it, what cannot be built without it, and what only these needed and
   nobody wished for. Cancelled ones are built when they are wished for again. */
int farm_build_cancel(struct farm *farm, int64_t build_id, struct error *err);
/* Nobody wishes for these any more: those that have not ended are cancelled, and what only they
   needed, but for what others need that are wished for. */
int farm_builds_withdraw(struct farm *farm, const int64_t *build_ids, size_t count,
                         struct error *err);
/* Failed, dependency-failed or cancelled builds only, and with it those that
   failed below it; DEPENDENTS: also those that failed or were cancelled with it. */
int farm_build_restart(struct farm *farm, int64_t build_id, bool dependents, struct error *err);
/* The same, with dependents, for those among many that failed or are dependency-failed. */
int farm_builds_restart(struct farm *farm, const int64_t *build_ids, size_t count,
                        struct error *err);
/* -EEXIST also for one that was released. */
int farm_agent_pause(struct farm *farm, struct str name, bool paused, struct error *err);
/* Revokes the agent's token: its session ends, and what it builds is lost and built
   elsewhere. The name may be enrolled anew, and keeps its history. */
int farm_agent_release(struct farm *farm, struct str name, struct error *err);

/* Finishes the log of an attempt that has ended, in case that was missed, and notes
   its size. Takes its time: not for server threads. */
int farm_log_close(struct farm *farm, int64_t attempt_id, struct error *err);

/* Why a build waits, as one JSON object, appended to RET: "explanation" in doc/api.md.
   -ENOENT. */
int farm_build_explain(struct farm *farm, int64_t build_id, struct buf *ret, struct error *err);

/* The same for a page. */
struct farm_need /* a build that another waits for */
{
  int64_t build_id;
  struct str name; /* the derivation's, without ".drv" */
  const char *state;
  const char *cause; /* "" = none */
};

/* An agent for a build's system. */
struct farm_candidate
{
  struct str name;
  const char *word; /* "away", "paused", "busy", "free" */
  int64_t seen_at;  /* 0 = never */
  bool builds_it;
};

/* Where waiting for others ends: a build that needs no other any more; often the very one
   that was asked about. */
struct farm_root
{
  int64_t build_id;
  struct str name;
  struct str system;
  const char *reason; /* as below, or "running"; "dependencies" = the end is farther than we look */
  const char *state;
  int64_t retry_in_ms; /* -1 = it does not rest */
  struct
  {
    struct farm_candidate *items;
    size_t count;
  } agents;
};

struct farm_explanation
{
  const char *reason; /* a word of doc/api.md */
  int64_t ahead;      /* builds that go first; -1 = not known */
  struct farm_root root;
  struct
  {
    struct farm_need *items;
    size_t count; /* at most 20 */
  } needs;
  int64_t needs_count; /* of all */
};

/* Of a build that waits. In ARENA. -ENOENT. */
int farm_build_reasons(struct farm *farm, int64_t build_id, struct arena *arena,
                       struct farm_explanation *ret, struct error *err);
