/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The mirror's agents and attempts: who is there, who runs what, who gets what. */
#include "base/file.h"
#include "base/mem.h"
#include "farm/cause.h"
#include "farm/mirror_private.h"
#include "farm/order.h"

#include <stdlib.h>

/* How many builds at the head of a queue are looked at for one that an agent
   need not avoid. */
#define CANDIDATES_MAX 64

#define RETRY_PAUSE_MAX_MS (10 * 60 * 1000)

/* ---- agents ---- */

static struct change_event *
tell_agent(struct mirror *mirror, enum change_event_kind kind, const struct agent *agent)
{
  struct change_event *event = changes_add_event(&mirror->changes, kind, agent->id);
  event->agent = arena_str(&mirror->changes.arena, str_of(agent->name));
  return event;
}

static void
touch_agent(struct mirror *mirror, const struct agent *agent)
{
  *changes_add_agent(&mirror->changes) = (struct change_agent) { .id = agent->id,
                                                                 .connected = agent->session != 0,
                                                                 .paused = agent->paused,
                                                                 .released = agent->released };
}

static void
set_facts(struct mirror *mirror, struct agent *agent, const struct mirror_agent *facts)
{
  agent->token_id = facts->token_id;
  agent->jobs = facts->jobs;
  agent->systems = mem_resize(agent->systems, facts->systems_count + 1, sizeof(struct system *));
  agent->systems_count = facts->systems_count;
  for (size_t i = 0; i < facts->systems_count; i++)
    agent->systems[i] = mirror_system(mirror, facts->systems[i]);
}

struct agent *
mirror_agent(struct mirror *mirror, const struct mirror_agent *facts)
{
  struct agent *agent = int_map_get(&mirror->agents, facts->id);
  if (agent != NULL)
    return agent;
  agent = mem_alloc(sizeof *agent);
  agent->id = facts->id;
  agent->name = mem_strndup(facts->name.data, facts->name.size);
  agent->paused = facts->paused;
  agent->released = facts->released;
  agent->lost_at_ms = mirror->now_ms + (facts->released ? 0 : mirror->options.grace_ms);
  set_facts(mirror, agent, facts);
  int_map_put(&mirror->agents, agent->id, agent);
  mem_grow(&mirror->fleet, &mirror->fleet_capacity, mirror->fleet_count + 1,
           sizeof(struct agent *));
  mirror->fleet[mirror->fleet_count++] = agent;
  return agent;
}

void
mirror_pause(struct mirror *mirror, struct agent *agent, bool paused)
{
  if (agent->paused == paused)
    return;
  agent->paused = paused;
  touch_agent(mirror, agent);
  tell_agent(mirror, paused ? EVENT_AGENT_PAUSED : EVENT_AGENT_RESUMED, agent);
}

void
mirror_release(struct mirror *mirror, struct agent *agent, int64_t valid_token_id)
{
  if (agent->token_id == valid_token_id)
    return;
  agent->released = true;
  agent->session = 0;
  agent->lost_at_ms = mirror->now_ms;
  touch_agent(mirror, agent);
}

/* ---- attempts ---- */

static struct attempt *
attempt_add(struct mirror *mirror, int64_t id, int64_t fence, struct node *node,
            struct agent *agent)
{
  struct attempt *attempt = mem_alloc(sizeof *attempt);
  *attempt = (struct attempt) { .id = id,
                                .fence = fence,
                                .node = node,
                                .agent = agent,
                                .timeout_s = node->timeout_s,
                                .max_silent_s = node->max_silent_s,
                                .slot = (uint32_t) agent->attempts_count };
  mem_grow(&agent->attempts, &agent->attempts_capacity, agent->attempts_count + 1,
           sizeof(struct attempt *));
  agent->attempts[agent->attempts_count++] = attempt;
  int_map_put(&mirror->attempts, id, attempt);
  node->attempt = attempt;
  node->state = FARM_BUILD_RUNNING;
  node_settle(mirror, node);
  return attempt;
}

static void
attempt_free(struct mirror *mirror, struct attempt *attempt)
{
  struct agent *agent = attempt->agent;
  struct attempt *last = agent->attempts[--agent->attempts_count];
  agent->attempts[attempt->slot] = last;
  last->slot = attempt->slot;
  int_map_remove(&mirror->attempts, attempt->id);
  attempt->node->attempt = NULL;
  free(attempt);
}

struct change_end *
attempt_end(struct mirror *mirror, struct attempt *attempt, enum farm_cause cause,
            struct str message)
{
  struct change_end *end = changes_add_end(&mirror->changes);
  end->attempt_id = attempt->id;
  end->cause = cause;
  end->message = arena_str(&mirror->changes.arena, message);
  attempt_free(mirror, attempt);
  return end;
}

void
mirror_resume(struct mirror *mirror, int64_t attempt_id, int64_t fence, struct node *node,
              struct agent *agent)
{
  if (node != NULL && node->state == FARM_BUILD_WAITING) {
    attempt_add(mirror, attempt_id, fence, node, agent);
    return;
  }
  struct change_end *end = changes_add_end(&mirror->changes);
  end->attempt_id = attempt_id;
  end->cause = FARM_CAUSE_AGENT_LOST;
  end->message = STR("its build had ended");
}

struct attempt *
mirror_attempt(const struct mirror *mirror, int64_t attempt_id, int64_t token_id, int64_t fence)
{
  struct attempt *attempt = int_map_get(&mirror->attempts, attempt_id);
  bool fits = attempt != NULL && attempt->agent->token_id == token_id && attempt->fence == fence;
  return fits ? attempt : NULL;
}

void
mirror_builder_started(struct mirror *mirror, struct attempt *attempt)
{
  changes_add_builder(&mirror->changes, attempt->id);
}

void
mirror_succeeded(struct mirror *mirror, struct attempt *attempt, int64_t log_size)
{
  struct node *node = attempt->node;
  int64_t id = attempt->id;
  struct str agent = str_of(attempt->agent->name);
  struct change_end *end = attempt_end(mirror, attempt, FARM_CAUSE_NONE, STR(""));
  end->log_size = log_size;
  end->reported = true;
  node_succeed(mirror, node, id, agent);
}

/* 1, 4, 16 ... times the pause. A machine that went away, or gave its work back,
   tells nothing against starting at once on another; nor does a limit that has gone. */
static int64_t
pause_before_retry(const struct mirror *mirror, const struct node *node, enum farm_cause cause)
{
  int64_t pause = mirror->options.retry_pause_ms;
  if (cause == FARM_CAUSE_AGENT_LOST || cause == FARM_CAUSE_CANCELLED || cause == FARM_CAUSE_TIMEOUT
      || cause == FARM_CAUSE_SILENCE)
    return 0;
  for (int32_t i = 1; i < node->tries && pause < RETRY_PAUSE_MAX_MS; i++)
    pause *= 4;
  return pause < RETRY_PAUSE_MAX_MS ? pause : RETRY_PAUSE_MAX_MS;
}

static void
tell_attempt(struct mirror *mirror, const struct attempt *attempt, enum farm_cause cause,
             struct str message)
{
  bool lost = cause == FARM_CAUSE_AGENT_LOST;
  struct change_event *event = changes_add_event(
      &mirror->changes, lost ? EVENT_ATTEMPT_LOST : EVENT_ATTEMPT_FAILED, attempt->id);
  event->cause = cause;
  event->attempt_id = attempt->id;
  event->build_id = attempt->node->id;
  event->agent = arena_str(&mirror->changes.arena, str_of(attempt->agent->name));
  event->message = arena_str(&mirror->changes.arena, message);
}

/* Its beginning counted as a try. What was given back is none, however often agents are
   restarted; nor is what was lost, which has a count of its own: a machine may go for
   any reason, but a build that takes one down each time must end some day too. */
static void
count_end(struct node *node, enum farm_cause cause)
{
  node->tries -= cause == FARM_CAUSE_CANCELLED || cause == FARM_CAUSE_AGENT_LOST;
  node->losses += cause == FARM_CAUSE_AGENT_LOST;
}

/* RETRIED: another try may help against the cause. */
static bool
may_go_on(const struct mirror *mirror, const struct attempt *attempt, enum farm_cause cause,
          bool retried)
{
  const struct node *node = attempt->node;
  if (cause == FARM_CAUSE_AGENT_LOST)
    return node->losses < mirror->options.losses_limit;
  if (cause == FARM_CAUSE_TIMEOUT)
    return limit_is_larger(node->timeout_s, attempt->timeout_s);
  if (cause == FARM_CAUSE_SILENCE)
    return limit_is_larger(node->max_silent_s, attempt->max_silent_s);
  return retried && node->tries < mirror->options.attempts_limit;
}

/* Ends the attempt, whoever found it out, and decides about its build. */
static struct change_end *
give_up(struct mirror *mirror, struct attempt *attempt, enum farm_cause cause, bool retried,
        struct str message)
{
  struct node *node = attempt->node;
  struct attempt ended = *attempt;
  count_end(node, cause);
  bool again = may_go_on(mirror, attempt, cause, retried);
  if (again || cause == FARM_CAUSE_AGENT_LOST)
    tell_attempt(mirror, attempt, cause, message);
  struct change_end *end = attempt_end(mirror, attempt, cause, message);
  node->avoid_agent = ended.agent->id;
  if (again)
    node_rest(mirror, node, pause_before_retry(mirror, node, cause));
  else
    node_fail(mirror, node, cause, &ended, message);
  return end;
}

void
mirror_failed(struct mirror *mirror, struct attempt *attempt, enum farm_cause cause,
              struct str message, int64_t log_size)
{
  struct change_end *end = give_up(mirror, attempt, cause, cause_is_retried(cause), message);
  end->log_size = log_size;
  end->reported = true;
}

void
mirror_refused(struct mirror *mirror, struct attempt *attempt, enum farm_cause cause,
               struct str message, int64_t log_size)
{
  struct change_end *end = give_up(mirror, attempt, cause, true, message);
  end->log_size = log_size;
  end->reported = true;
}

void
mirror_start_spared(struct mirror *mirror, int64_t attempt_id)
{
  struct attempt *attempt = int_map_get(&mirror->attempts, attempt_id);
  struct node *node = attempt->node;
  attempt_free(mirror, attempt);
  node_succeed(mirror, node, 0, (struct str) { 0 });
}

static void
lose(struct mirror *mirror, struct attempt *attempt, const char *why)
{
  give_up(mirror, attempt, FARM_CAUSE_AGENT_LOST, true, str_of(why));
}

/* ---- sessions ---- */

static bool
is_claimed(const struct attempt *attempt, const struct mirror_claim *claims, size_t count)
{
  for (size_t i = 0; i < count; i++)
    if (claims[i].attempt_id == attempt->id && claims[i].fence == attempt->fence)
      return true;
  return false;
}

static void
lose_unclaimed(struct mirror *mirror, struct agent *agent, const struct mirror_claim *claims,
               size_t count)
{
  for (size_t i = agent->attempts_count; i-- > 0;)
    if (!is_claimed(agent->attempts[i], claims, count))
      lose(mirror, agent->attempts[i], "the agent came back without it");
}

struct agent *
mirror_connect(struct mirror *mirror, const struct mirror_agent *facts, int64_t session,
               const struct mirror_claim *claims, size_t count, int64_t *ret_unknown,
               size_t *ret_unknown_count)
{
  struct agent *agent = mirror_agent(mirror, facts);
  bool same_token = agent->token_id == facts->token_id;
  if (agent->released && same_token)
    return NULL;
  size_t credible = same_token ? count : 0;
  agent->released = false;
  set_facts(mirror, agent, facts);
  agent->session = session;
  touch_agent(mirror, agent);
  tell_agent(mirror, EVENT_AGENT_CONNECTED, agent);
  lose_unclaimed(mirror, agent, claims, credible);
  *ret_unknown_count = 0;
  for (size_t i = 0; i < count; i++) {
    const struct attempt *known =
        mirror_attempt(mirror, claims[i].attempt_id, agent->token_id, claims[i].fence);
    if (known == NULL)
      ret_unknown[(*ret_unknown_count)++] = claims[i].attempt_id;
  }
  return agent;
}

void
mirror_attach(struct mirror *mirror, int64_t agent_id, int64_t session)
{
  struct agent *agent = int_map_get(&mirror->agents, agent_id);
  if (agent != NULL && !agent->released)
    agent->session = session;
}

void
mirror_disconnect(struct mirror *mirror, int64_t agent_id, int64_t session)
{
  struct agent *agent = int_map_get(&mirror->agents, agent_id);
  if (agent == NULL || agent->session != session)
    return;
  agent->session = 0;
  agent->lost_at_ms = mirror->now_ms + mirror->options.grace_ms;
  touch_agent(mirror, agent);
  tell_agent(mirror, EVENT_AGENT_DISCONNECTED, agent);
}

/* ---- time ---- */

static bool
is_waited_for(const struct agent *agent)
{
  return agent->session == 0 && agent->attempts_count > 0;
}

static void
lose_agent(struct mirror *mirror, struct agent *agent)
{
  const char *why = agent->released ? "the agent was released" : "the agent did not come back";
  if (!agent->released)
    tell_agent(mirror, EVENT_AGENT_LOST, agent);
  while (agent->attempts_count > 0)
    lose(mirror, agent->attempts[agent->attempts_count - 1], why);
}

void
mirror_tick(struct mirror *mirror)
{
  for (size_t i = 0; i < mirror->fleet_count; i++)
    if (is_waited_for(mirror->fleet[i]) && mirror->fleet[i]->lost_at_ms <= mirror->now_ms)
      lose_agent(mirror, mirror->fleet[i]);
  while (mirror->resting.count > 0 && mirror->resting.items[0]->retry_at_ms <= mirror->now_ms)
    node_settle(mirror, mirror->resting.items[0]);
}

int64_t
mirror_due(const struct mirror *mirror)
{
  int64_t due = mirror->resting.count > 0 ? mirror->resting.items[0]->retry_at_ms : INT64_MAX;
  for (size_t i = 0; i < mirror->fleet_count; i++)
    if (is_waited_for(mirror->fleet[i]) && mirror->fleet[i]->lost_at_ms < due)
      due = mirror->fleet[i]->lost_at_ms;
  return due;
}

/* ---- giving out work ---- */

static bool
agent_has(const struct agent *agent, const struct system *system)
{
  for (size_t i = 0; i < agent->systems_count; i++)
    if (agent->systems[i] == system)
      return true;
  return false;
}

static bool
agent_works(const struct agent *agent)
{
  return agent->session != 0 && !agent->paused;
}

static bool
another_works(const struct mirror *mirror, const struct agent *agent, const struct system *system)
{
  for (size_t i = 0; i < mirror->fleet_count; i++)
    if (mirror->fleet[i] != agent && agent_works(mirror->fleet[i])
        && agent_has(mirror->fleet[i], system))
      return true;
  return false;
}

/* The first of QUEUE that AGENT may have. */
static struct node *
first_for(const struct mirror *mirror, const struct system *system, const struct agent *agent)
{
  const struct queue *queue = &system->ready;
  struct node *best = NULL;
  if (queue->count == 0)
    return NULL;
  if (queue->items[0]->avoid_agent != agent->id || !another_works(mirror, agent, system))
    return queue->items[0];
  for (size_t i = 1; i < queue->count && i < CANDIDATES_MAX; i++)
    if (queue->items[i]->avoid_agent != agent->id
        && (best == NULL || queue->before(queue->items[i], best)))
      best = queue->items[i];
  return best;
}

static struct node *
pick(const struct mirror *mirror, const struct agent *agent)
{
  struct node *best = NULL;
  for (size_t i = 0; i < agent->systems_count; i++) {
    struct node *node = first_for(mirror, agent->systems[i], agent);
    if (node != NULL && (best == NULL || node->queue->before(node, best)))
      best = node;
  }
  return best;
}

static int64_t
new_fence(void)
{
  uint64_t fence;
  file_random(&fence, sizeof fence);
  return (int64_t) (fence >> 1) | 1;
}

static void
start(struct mirror *mirror, struct agent *agent, struct node *node)
{
  int64_t id = mirror->next_attempt_id++;
  struct attempt *attempt = attempt_add(mirror, id, new_fence(), node, agent);
  node->tries++;
  node_touch(mirror, node);
  *changes_add_start(&mirror->changes) = (struct change_start) {
    .attempt_id = id,
    .fence = attempt->fence,
    .build_id = node->id,
    .derivation_id = node->derivation_id,
    .agent_id = agent->id,
    .token_id = agent->token_id,
    .session = agent->session,
    .timeout_s = node->timeout_s,
    .max_silent_s = node->max_silent_s,
  };
  struct change_event *event = changes_add_event(&mirror->changes, EVENT_BUILD_STARTED, node->id);
  event->build_id = node->id;
  event->attempt_id = id;
  event->agent = arena_str(&mirror->changes.arena, str_of(agent->name));
}

static bool
anything_is_ready(const struct mirror *mirror)
{
  for (size_t i = 0; i < mirror->systems_count; i++)
    if (mirror->systems[i]->ready.count > 0)
      return true;
  return false;
}

/* One build for each agent with a free slot: spreads the load. */
static bool
dispatch_round(struct mirror *mirror)
{
  bool progress = false;
  for (size_t i = 0; i < mirror->fleet_count; i++) {
    struct agent *agent = mirror->fleet[i];
    if (!agent_works(agent) || agent->attempts_count >= (size_t) agent->jobs
        || mirror->next_attempt_id > mirror->last_attempt_id)
      continue;
    struct node *node = pick(mirror, agent);
    if (node == NULL)
      continue;
    start(mirror, agent, node);
    progress = true;
  }
  return progress;
}

void
mirror_dispatch(struct mirror *mirror)
{
  while (anything_is_ready(mirror) && dispatch_round(mirror))
    ;
}
