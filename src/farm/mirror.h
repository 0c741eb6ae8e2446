/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The scheduler's memory and all its rules: which build may start, what a
   result sets free, what a failure stops. No input or output here: time is
   given, and what changed is taken out as `struct changes`. One thread. */
#pragma once

#include "base/map.h"
#include "farm/changes.h"
#include "farm/node.h"

struct mirror_options
{
  int attempts_limit;     /* tries after causes that are retried */
  int losses_limit;       /* attempts whose agent was lost */
  int64_t grace_ms;       /* an agent away for longer has lost its attempts */
  int64_t retry_pause_ms; /* before the second try; four times as long before each further one */
};

struct mirror
{
  struct mirror_options options;
  int64_t now_ms;          /* set by the caller before anything else (monotonic) */
  struct int_map nodes;    /* by build id */
  struct int_map attempts; /* running ones, by id */
  struct int_map agents;   /* by id; never removed */
  struct agent **fleet;    /* the same, in order of appearance */
  size_t fleet_count;
  size_t fleet_capacity;
  struct system **systems;
  size_t systems_count;
  size_t systems_capacity;
  struct queue resting; /* waiting builds before their retry_at_ms */
  struct node_list dirty;
  struct changes changes;  /* since mirror_take */
  int64_t next_attempt_id; /* reserved ids: up to last_attempt_id */
  int64_t last_attempt_id;
};

struct mirror *mirror_new(const struct mirror_options *options);
void mirror_free(struct mirror *mirror); /* NULL is fine */

/* Moves what changed since the last call into RET (emptied before). */
void mirror_take(struct mirror *mirror, struct changes *ret);

/* ---- builds ---- */

/* A build as the database has it. */
struct mirror_build
{
  int64_t id;
  int64_t derivation_id;
  int64_t created_at;
  int64_t timeout_s;
  int64_t max_silent_s;
  int32_t priority;
  int32_t tries;
  int32_t losses;
  enum farm_build_state state;
  enum farm_cause cause;
  bool direct;
  struct str system;
};

struct node *mirror_find(const struct mirror *mirror, int64_t build_id); /* NULL = not here */

/* Adds a build that is not here. Running ones are added as waiting (see
   mirror_resume); failed ones stay so; any other finished one is wanted anew. */
struct node *mirror_add(struct mirror *mirror, const struct mirror_build *build);

/* FROM needs NEEDS; told twice is fine. Priorities are handed down. */
void mirror_need(struct mirror *mirror, struct node *from, struct node *needs);

/* NODE needs what failed on account of build CULPRIT_ID. */
void mirror_dependency_failed(struct mirror *mirror, struct node *node, int64_t culprit_id);

/* The outputs are offered, by whatever way. No attempt may run. */
void mirror_offered(struct mirror *mirror, struct node *node);

/* A wish of its own for a build that is here. It never lowers what another wish of
   its own said; limits of what was only needed so far are the wish's. A build that
   failed by a limit which is larger now is tried anew; one that stays as it is, failed,
   and that nobody waits for, leaves. */
void mirror_wish(struct mirror *mirror, struct node *node, int32_t priority, int64_t timeout_s,
                 int64_t max_silent_s);

/* Cancels it, what cannot be built without it, and what only these needed and
   nobody wished for. */
void mirror_cancel(struct mirror *mirror, struct node *node);
/* Nobody wishes for it any more: cancels it, and what only it needed, unless others need it;
   then it goes with the last of these. */
void mirror_withdraw(struct mirror *mirror, struct node *node);

/* A failed build that is here waits again, with all its tries. */
void mirror_restart(struct mirror *mirror, struct node *node);

/* ---- agents and attempts ---- */

struct mirror_agent
{
  int64_t id;
  int64_t token_id;
  struct str name;
  const struct str *systems;
  size_t systems_count;
  int jobs;
  bool paused;
  bool released; /* its token was revoked */
};

struct mirror_claim /* an attempt that an agent says it has */
{
  int64_t attempt_id;
  int64_t fence;
};

/* An agent that is not connected; one that is known stays as it is. */
struct agent *mirror_agent(struct mirror *mirror, const struct mirror_agent *facts);

/* A running attempt from the database; its agent has the grace time to come.
   NODE NULL, or one that runs already: it is ended as lost. */
void mirror_resume(struct mirror *mirror, int64_t attempt_id, int64_t fence, struct node *node,
                   struct agent *agent);

/* A new session (number SESSION) of an agent, which replaces its old one. What
   the agent runs but did not claim is lost, and all of it when the agent enrolled
   again: its attempts were begun under another token. RET_UNKNOWN (COUNT places) gets the
   attempts that it claims and shall stop. NULL: this token of it was revoked
   meanwhile, and nothing has changed. */
struct agent *mirror_connect(struct mirror *mirror, const struct mirror_agent *facts,
                             int64_t session, const struct mirror_claim *claims, size_t count,
                             int64_t *ret_unknown, size_t *ret_unknown_count);

/* The agent's session goes on in a mirror that was loaded meanwhile, and so do the
   attempts that it runs. */
void mirror_attach(struct mirror *mirror, int64_t agent_id, int64_t session);

/* The end of session SESSION; nothing when a newer one has replaced it. */
void mirror_disconnect(struct mirror *mirror, int64_t agent_id, int64_t session);

void mirror_pause(struct mirror *mirror, struct agent *agent, bool paused);

/* Its token was revoked: its session is over and what it runs is lost, with the next
   mirror_tick. Not so when it has come already with VALID_TOKEN_ID, which it got since
   (0 = none). */
void mirror_release(struct mirror *mirror, struct agent *agent, int64_t valid_token_id);

/* The running attempt of that agent's token with that fence, or NULL. */
struct attempt *mirror_attempt(const struct mirror *mirror, int64_t attempt_id, int64_t token_id,
                               int64_t fence);

void mirror_builder_started(struct mirror *mirror, struct attempt *attempt);
void mirror_succeeded(struct mirror *mirror, struct attempt *attempt, int64_t log_size);
void mirror_failed(struct mirror *mirror, struct attempt *attempt, enum farm_cause cause,
                   struct str message, int64_t log_size);
/* What its agent delivered is refused: that may be the agent's fault, so that the
   build is tried again whatever CAUSE is, as long as it has tries. */
void mirror_refused(struct mirror *mirror, struct attempt *attempt, enum farm_cause cause,
                    struct str message, int64_t log_size);

/* The outputs of a build that was just started turned out to be offered: its
   attempt was neither written nor told to the agent. */
void mirror_start_spared(struct mirror *mirror, int64_t attempt_id);

/* What is due at now_ms: attempts of agents away for too long, ends of rests. */
void mirror_tick(struct mirror *mirror);
/* When mirror_tick is next needed; INT64_MAX = never. */
int64_t mirror_due(const struct mirror *mirror);

/* Gives waiting builds to free agents, as far as reserved ids last. */
void mirror_dispatch(struct mirror *mirror);

/* How many ready builds of its system go before NODE; -1 when it is not ready. */
int64_t mirror_place(const struct node *node);
