/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The streams over which work is pushed to agents. */
#include "base/clock.h"
#include "base/mem.h"
#include "farm/scheduler.h"
#include "farm/tell.h"

#include <stdlib.h>

/* What may wait for a slow reader: some ten thousand messages. */
#define STREAM_LIMIT ((size_t) 4 << 20)

/* For the callback at the stream's end, which may come at any time. */
struct session_end
{
  struct farm *farm;
  int64_t agent_id;
  int64_t number;
};

/* On a server thread. */
static void
on_close(void *context)
{
  struct session_end *end = context;
  struct message *message = mem_alloc(sizeof *message);
  message->kind = MESSAGE_SESSION_END;
  message->agent_id = end->agent_id;
  message->session = end->number;
  farm_post(end->farm, message);
  free(end);
}

static void
drop(struct scheduler *scheduler, size_t place)
{
  http_stream_close(scheduler->sessions.items[place].stream);
  scheduler->sessions.items[place] = scheduler->sessions.items[--scheduler->sessions.count];
}

static ptrdiff_t
find(const struct scheduler *scheduler, int64_t number)
{
  for (size_t i = 0; i < scheduler->sessions.count; i++)
    if (scheduler->sessions.items[i].number == number)
      return (ptrdiff_t) i;
  return -1;
}

void
sessions_end_agent(struct scheduler *scheduler, int64_t agent_id)
{
  for (size_t i = scheduler->sessions.count; i-- > 0;)
    if (scheduler->sessions.items[i].agent_id == agent_id)
      drop(scheduler, i);
}

/* Whether the end of one that has ended was told to the old mirror is not known. */
void
sessions_attach(struct scheduler *scheduler)
{
  pthread_mutex_lock(&scheduler->farm->mirror_lock);
  for (size_t i = 0; i < scheduler->sessions.count; i++) {
    const struct session *session = &scheduler->sessions.items[i];
    mirror_attach(scheduler->mirror, session->agent_id, session->number);
    if (!http_stream_is_open(session->stream))
      mirror_disconnect(scheduler->mirror, session->agent_id, session->number);
  }
  pthread_mutex_unlock(&scheduler->farm->mirror_lock);
}

/* The first lines: made before the reply, which frees the message's texts. */
static void
greet(const struct farm *farm, const struct message_session *hello, struct buf *lines)
{
  tell_welcome(lines, hello->agent.name, str_of(farm->key), farm->options.agent_grace_s);
  for (size_t i = 0; i < hello->unknown_count; i++)
    tell_cancel(lines, hello->unknown[i]);
}

void
sessions_open(struct scheduler *scheduler, struct message *message)
{
  struct session session = { .number = message->session,
                             .agent_id = message->hello->agent.id,
                             .token_id = message->token_id,
                             .since_ms = clock_monotonic_ms() };
  struct session_end *end = mem_alloc(sizeof *end);
  *end = (struct session_end) { scheduler->farm, session.agent_id, session.number };
  CLEANUP_BUF struct buf lines = { 0 };
  greet(scheduler->farm, message->hello, &lines);
  sessions_end_agent(scheduler, session.agent_id); /* an older one */
  int r = http_reply_stream(message->request, 200, "application/x-ndjson", STREAM_LIMIT,
                            &session.stream);
  if (r < 0) {
    on_close(end);
    return;
  }
  http_stream_write(session.stream, buf_str(&lines));
  SCHEDULER_APPEND(scheduler->sessions, session);
  http_stream_on_close(session.stream, on_close, end);
}

void
sessions_write(struct scheduler *scheduler, int64_t number, struct str line)
{
  ptrdiff_t place = find(scheduler, number);
  /* A failure is the end of the stream, which on_close tells. */
  if (place >= 0)
    http_stream_write(scheduler->sessions.items[place].stream, line);
}

static int64_t
silence_ms(const struct scheduler *scheduler, const struct session *session, int64_t now_ms)
{
  int64_t heard_ms = open_heard_ms(&scheduler->farm->open, session->token_id);
  return now_ms - (heard_ms < session->since_ms ? session->since_ms : heard_ms);
}

void
sessions_agents(const struct scheduler *scheduler, struct arena *arena, struct db_i64s *ret_ids,
                struct db_i64s *ret_silent_ms)
{
  size_t count = scheduler->sessions.count;
  int64_t now_ms = clock_monotonic_ms();
  int64_t *ids = arena_array(arena, count, sizeof *ids);
  int64_t *silent = arena_array(arena, count, sizeof *silent);
  for (size_t i = 0; i < count; i++) {
    ids[i] = scheduler->sessions.items[i].agent_id;
    silent[i] = silence_ms(scheduler, &scheduler->sessions.items[i], now_ms);
  }
  *ret_ids = (struct db_i64s) { ids, count };
  *ret_silent_ms = (struct db_i64s) { silent, count };
}

void
sessions_end_all(struct scheduler *scheduler)
{
  while (scheduler->sessions.count > 0)
    drop(scheduler, scheduler->sessions.count - 1);
}

void
sessions_tick(struct scheduler *scheduler)
{
  int64_t now_ms = clock_monotonic_ms();
  if (now_ms < scheduler->ping_at_ms)
    return;
  scheduler->ping_at_ms = now_ms + FARM_PING_MS;
  CLEANUP_BUF struct buf ping = { 0 };
  tell_ping(&ping);
  for (size_t i = scheduler->sessions.count; i-- > 0;)
    if (silence_ms(scheduler, &scheduler->sessions.items[i], now_ms) > FARM_SILENCE_MS)
      drop(scheduler, i);
    else
      http_stream_write(scheduler->sessions.items[i].stream, buf_str(&ping));
}
