/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The scheduler's thread, in parts: scheduler.c waits and writes, plan.c turns
   messages into changes of the mirror, conclude.c acts on what was committed,
   sessions.c speaks to agents. */
#pragma once

#include "farm/batch.h"
#include "farm/farm_private.h"
#include "farm/load.h"

struct session
{
  int64_t number;
  int64_t agent_id;
  int64_t token_id;
  int64_t since_ms;
  struct http_stream *stream;
};

#define SCHEDULER_LIST(type, name) \
  struct                           \
  {                                \
    type *items;                   \
    size_t count;                  \
    size_t capacity;               \
  } name

struct scheduler
{
  struct farm *farm;
  struct db *db; /* holds the lock, listens and writes */
  struct mirror *mirror;
  int64_t epoch;
  int64_t number; /* of the last batch */
  int64_t horizon;
  bool news_wanted; /* wishes or orders may have come */
  bool again;       /* the next round need not wait for anything */
  int64_t ping_at_ms;
  int64_t news_at_ms;              /* when they are read unasked */
  int64_t seen_at_ms;              /* when it is next noted which agents are there */
  SCHEDULER_LIST(int64_t, healed); /* builds whose needs are to be read anew */
  SCHEDULER_LIST(struct session, sessions);

  /* The round under way. */
  struct arena arena;
  struct message *messages;
  struct batch batch;
  SCHEDULER_LIST(struct batch_session, hellos);
  SCHEDULER_LIST(struct batch_items, items);
  SCHEDULER_LIST(struct message *, uploaders); /* whose items these are */
};

#define SCHEDULER_APPEND(list, element)                                                \
  do {                                                                                 \
    mem_grow(&(list).items, &(list).capacity, (list).count + 1, sizeof *(list).items); \
    (list).items[(list).count++] = (element);                                          \
  } while (0)

/* plan.c: what the round's messages change. */
void plan_messages(struct scheduler *scheduler);

/* conclude.c: after the commit. */
void conclude_round(struct scheduler *scheduler);
/* The items of a result were refused (not: could not be written): they are asked for
   again, or its agent would bring the same for ever. Takes MESSAGE out of the round. */
void conclude_refusal(struct scheduler *scheduler, struct message *message);
/* The round will not be written: its messages are to be repeated. */
void conclude_failure(struct scheduler *scheduler);
/* Attempts that ran before this scheduler became active. */
int conclude_open_running(struct scheduler *scheduler, struct error *err);

/* sessions.c */
void sessions_open(struct scheduler *scheduler, struct message *message);
/* Tells a mirror that was just loaded which agents are here. */
void sessions_attach(struct scheduler *scheduler);
/* Nothing happens when that session is gone. */
void sessions_write(struct scheduler *scheduler, int64_t number, struct str line);
/* Pings, and ends the sessions of agents that are silent. */
void sessions_tick(struct scheduler *scheduler);
/* The agents with a session, and for how long each has been silent, in ARENA. */
void sessions_agents(const struct scheduler *scheduler, struct arena *arena,
                     struct db_i64s *ret_ids, struct db_i64s *ret_silent_ms);
void sessions_end_agent(struct scheduler *scheduler, int64_t agent_id);
void sessions_end_all(struct scheduler *scheduler);
