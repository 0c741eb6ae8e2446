/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What follows once a round is committed: answers, messages to agents, work for
   others. */
#include "base/log.h"
#include "base/mem.h"
#include "farm/farm_sql.h"
#include "farm/reply.h"
#include "farm/scheduler.h"
#include "farm/tell.h"

#include <errno.h>
#include <stdlib.h>

/* ---- was it repeated? ---- */

struct look_up
{
  struct work work;
  struct message *message;
};

static int
attempt_ended_so(struct db *db, const struct message *message, struct error *err)
{
  struct farm_attempt_ended_row row;
  int r = farm_attempt_ended(db, message->attempt_id, message->fence, message->token_id, &row, err);
  if (r <= 0)
    return r;
  bool succeeded = row.state == 1;
  return succeeded == (message->result->cause == FARM_CAUSE_NONE)
         && row.cause == (int16_t) message->result->cause;
}

static void
look_up(void *context, struct work *work, bool stopping)
{
  struct farm *farm = context;
  struct message *message = ((struct look_up *) work)->message;
  struct error err = { 0 };
  struct db *db = NULL;
  int r = stopping ? error_set(&err, -EBUSY, "the server stops")
                   : db_pool_get(farm->options.pool, &db, &err);
  if (r == 0)
    r = attempt_ended_so(db, message, &err);
  db_pool_put(farm->options.pool, db);
  if (r < 0)
    http_reply_failure(message->request, &err);
  else if (r == 1)
    reply_done(message->request);
  else
    reply_gone(message->request);
  free(message);
  free(work);
}

void
farm_look_up(struct farm *farm, struct message *message)
{
  struct look_up *work = mem_alloc(sizeof *work);
  *work = (struct look_up) { .work = { .run = look_up }, .message = message };
  work_pool_put(&farm->quick, &work->work);
}

/* ---- healing ---- */

struct heal
{
  struct work work;
  int64_t derivation_id;
  int64_t build_id;
};

static int
heal_body(struct db *db, void *context, struct error *err)
{
  const struct heal *heal = context;
  return wish_below(db, heal->derivation_id, err);
}

static void
heal(void *context, struct work *work, bool stopping)
{
  struct farm *farm = context;
  struct heal *heal = (struct heal *) work;
  struct error err = { 0 };
  int r = stopping ? 0 : db_pool_run(farm->options.pool, DB_WRITE, heal_body, heal, &err);
  if (r < 0)
    log_failure("farm", &err, "cannot wish for what build %lld lacks", (long long) heal->build_id);
  struct message *message = mem_alloc(sizeof *message);
  message->kind = MESSAGE_HEALED;
  message->build_id = heal->build_id;
  farm_post(farm, message);
  free(heal);
}

static void
start_healing(struct scheduler *scheduler, const struct message *message)
{
  struct heal *work = mem_alloc(sizeof *work);
  *work = (struct heal) { .work = { .run = heal },
                          .derivation_id = message->heal_id,
                          .build_id = message->build_id };
  work_pool_put(&scheduler->farm->quick, &work->work);
}

/* ---- messages ---- */

static void
answer_done(const struct message *message)
{
  const struct message_result *result = message->result;
  if (result == NULL || result->refused_count == 0)
    reply_done(message->request);
  else
    reply_refused(message->request, result->message, result->refused, result->refused_count);
}

static void
answer(struct scheduler *scheduler, struct message *message)
{
  if (message->kind == MESSAGE_SESSION && message->verdict == VERDICT_DONE) {
    sessions_open(scheduler, message);
    free(message);
    return;
  }
  if (message->heal_id != 0)
    start_healing(scheduler, message);
  if (message->request != NULL)
    switch (message->verdict) {
    case VERDICT_DONE:
      answer_done(message);
      break;
    case VERDICT_GONE:
      reply_gone(message->request);
      break;
    case VERDICT_LOOK_UP:
      farm_look_up(scheduler->farm, message);
      return;
    }
  free(message);
}

static void
answer_all(struct scheduler *scheduler)
{
  struct message *next;
  for (struct message *message = scheduler->messages; message != NULL; message = next) {
    next = message->next;
    answer(scheduler, message);
  }
  scheduler->messages = NULL;
}

/* ---- attempts ---- */

static void
begin_attempt(struct scheduler *scheduler, const struct change_start *start)
{
  const struct batch_facts *facts = int_map_get(&scheduler->batch.facts, start->build_id);
  const struct batch_outputs *outputs =
      int_map_get(&scheduler->batch.outputs, start->derivation_id);
  struct open_attempt attempt = { .id = start->attempt_id,
                                  .fence = start->fence,
                                  .token_id = start->token_id,
                                  .build_id = start->build_id,
                                  .derivation_id = start->derivation_id };
  if (outputs != NULL)
    attempt.outputs = *outputs;
  open_put(&scheduler->farm->open, &attempt);
  CLEANUP_BUF struct buf line = { 0 };
  tell_build(&line, start, facts, outputs);
  sessions_write(scheduler, start->session, buf_str(&line));
}

static void
begin_attempts(struct scheduler *scheduler)
{
  const struct changes *changes = &scheduler->batch.changes;
  for (size_t i = 0; i < changes->starts.count; i++) {
    const struct change_start *start = &changes->starts.items[i];
    if (!batch_spares(&scheduler->batch, start)) {
      begin_attempt(scheduler, start);
      continue;
    }
    pthread_mutex_lock(&scheduler->farm->mirror_lock);
    mirror_start_spared(scheduler->mirror, start->attempt_id);
    pthread_mutex_unlock(&scheduler->farm->mirror_lock);
    scheduler->again = true;
  }
}

static void
end_attempts(struct scheduler *scheduler)
{
  const struct changes *changes = &scheduler->batch.changes;
  for (size_t i = 0; i < changes->ends.count; i++) {
    const struct change_end *end = &changes->ends.items[i];
    open_remove(&scheduler->farm->open, end->attempt_id);
    if (end->session != 0) {
      CLEANUP_BUF struct buf line = { 0 };
      tell_cancel(&line, end->attempt_id);
      sessions_write(scheduler, end->session, buf_str(&line));
    }
    if (!end->reported)
      logs_close(scheduler->farm, end->attempt_id);
  }
}

static void
end_released(struct scheduler *scheduler)
{
  const struct changes *changes = &scheduler->batch.changes;
  for (size_t i = 0; i < changes->agents.count; i++)
    if (changes->agents.items[i].released)
      sessions_end_agent(scheduler, changes->agents.items[i].id);
}

void
conclude_round(struct scheduler *scheduler)
{
  end_attempts(scheduler);
  end_released(scheduler);
  answer_all(scheduler); /* opens sessions, before anything is pushed into them */
  begin_attempts(scheduler);
}

static void
take_out(struct scheduler *scheduler, const struct message *message)
{
  struct message **link = &scheduler->messages;
  while (*link != message)
    link = &(*link)->next;
  *link = message->next;
}

void
conclude_refusal(struct scheduler *scheduler, struct message *message)
{
  size_t count = message->result->items_count;
  struct str *missing = arena_array(&scheduler->arena, count, sizeof *missing);
  for (size_t i = 0; i < count; i++)
    missing[i] = message->result->items[i].basename;
  take_out(scheduler, message);
  reply_unfit(message->request, NULL, 0, missing, count);
  free(message);
}

void
conclude_failure(struct scheduler *scheduler)
{
  struct message *next;
  for (struct message *message = scheduler->messages; message != NULL; message = next) {
    next = message->next;
    if (message->request != NULL)
      reply_busy(message->request);
    free(message);
  }
  scheduler->messages = NULL;
}

int
conclude_open_running(struct scheduler *scheduler, struct error *err)
{
  CLEANUP_ARENA struct arena arena = { 0 };
  PN_CLEANUP(int_map_free) struct int_map outputs = { 0 };
  const struct int_map *attempts = &scheduler->mirror->attempts;
  int64_t *ids = arena_array(&arena, attempts->count, sizeof *ids);
  size_t count = 0, position = 0;
  const struct attempt *attempt;
  while ((attempt = int_map_next(attempts, &position)) != NULL)
    ids[count++] = attempt->node->derivation_id;
  if (count == 0)
    return 0;
  int r = batch_read_outputs(scheduler->db, (struct db_i64s) { ids, count }, &arena, &outputs, err);
  position = 0;
  while (r == 0 && (attempt = int_map_next(attempts, &position)) != NULL) {
    const struct batch_outputs *found = int_map_get(&outputs, attempt->node->derivation_id);
    struct open_attempt open = { .id = attempt->id,
                                 .fence = attempt->fence,
                                 .token_id = attempt->agent->token_id,
                                 .build_id = attempt->node->id,
                                 .derivation_id = attempt->node->derivation_id };
    if (found != NULL)
      open.outputs = *found;
    open_put(&scheduler->farm->open, &open);
  }
  return r;
}
