/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What messages change. Nothing is answered yet. */
#include "base/mem.h"
#include "farm/scheduler.h"

static void
plan_session(struct scheduler *scheduler, struct message *message)
{
  struct message_session *hello = message->hello;
  hello->unknown = arena_array(&scheduler->arena, hello->claims_count, sizeof(int64_t));
  if (mirror_connect(scheduler->mirror, &hello->agent, message->session, hello->claims,
                     hello->claims_count, hello->unknown, &hello->unknown_count)
      == NULL) {
    message->verdict = VERDICT_GONE;
    return;
  }
  struct batch_session session = { .agent_id = hello->agent.id,
                                   .systems = { hello->agent.systems, hello->agent.systems_count },
                                   .jobs = hello->agent.jobs,
                                   .facts = hello->facts };
  SCHEDULER_APPEND(scheduler->hellos, session);
}

static void
plan_session_end(struct scheduler *scheduler, struct message *message)
{
  mirror_disconnect(scheduler->mirror, message->agent_id, message->session);
}

static struct attempt *
attempt_of(struct scheduler *scheduler, const struct message *message)
{
  return mirror_attempt(scheduler->mirror, message->attempt_id, message->token_id, message->fence);
}

static void
plan_started(struct scheduler *scheduler, struct message *message)
{
  struct attempt *attempt = attempt_of(scheduler, message);
  if (attempt == NULL)
    message->verdict = VERDICT_GONE;
  else
    mirror_builder_started(scheduler->mirror, attempt);
}

static void
plan_success(struct scheduler *scheduler, struct message *message, struct attempt *attempt)
{
  struct batch_items items = { message->result->items, message->result->items_count };
  SCHEDULER_APPEND(scheduler->items, items);
  SCHEDULER_APPEND(scheduler->uploaders, message);
  mirror_succeeded(scheduler->mirror, attempt, message->result->log_size);
}

static void
plan_result(struct scheduler *scheduler, struct message *message)
{
  const struct message_result *result = message->result;
  struct attempt *attempt = attempt_of(scheduler, message);
  if (attempt == NULL) {
    message->verdict = VERDICT_LOOK_UP;
    return;
  }
  if (result->cause == FARM_CAUSE_NONE) {
    plan_success(scheduler, message, attempt);
    return;
  }
  if (result->cause == FARM_CAUSE_MISSING_INPUT) {
    message->heal_id = attempt->node->derivation_id;
    message->build_id = attempt->node->id;
  }
  if (result->refused_count > 0) {
    mirror_refused(scheduler->mirror, attempt, result->cause, result->message, result->log_size);
    return;
  }
  mirror_failed(scheduler->mirror, attempt, result->cause, result->message, result->log_size);
}

static void
plan_healed(struct scheduler *scheduler, struct message *message)
{
  SCHEDULER_APPEND(scheduler->healed, message->build_id);
  scheduler->news_wanted = true;
  scheduler->again = true;
}

void
plan_messages(struct scheduler *scheduler)
{
  static void (*const plans[])(struct scheduler *, struct message *) = {
    [MESSAGE_SESSION] = plan_session, [MESSAGE_SESSION_END] = plan_session_end,
    [MESSAGE_STARTED] = plan_started, [MESSAGE_RESULT] = plan_result,
    [MESSAGE_HEALED] = plan_healed,
  };
  for (struct message *message = scheduler->messages; message != NULL; message = message->next)
    plans[message->kind](scheduler, message);
}
