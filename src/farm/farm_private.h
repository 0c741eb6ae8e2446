/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Inside the farm room: the parts that threads share. The scheduler's thread
   owns the mirror; server threads and workers talk to it by messages, and see
   of it only the table of open attempts. */
#pragma once

#include "base/work.h"
#include "farm/farm.h"
#include "farm/mailbox.h"
#include "farm/open.h"

#include <pthread.h>
#include <stdatomic.h>

struct mirror;

#define FARM_PING_MS 15000    /* between pings of a session */
#define FARM_SILENCE_MS 45000 /* without a sign of life the session is ended */

/* For those who gave orders and want to see them carried out: a round of the
   scheduler that began after a ticket was drawn serves it. */
struct farm_rounds
{
  pthread_mutex_t lock;
  pthread_cond_t moved;
  uint64_t asked;
  uint64_t served;
};

struct farm
{
  struct farm_options options;
  char *uri;
  char *key; /* text of the server's public key */
  struct mailbox mailbox;
  struct open_attempts open;
  struct work_pool quick; /* database look-ups */
  struct work_pool slow;  /* reading outputs whole, compressing logs */
  struct farm_rounds rounds;
  pthread_mutex_t mirror_lock; /* held while the mirror changes, never over a write */
  struct mirror *mirror;       /* NULL = not active */
  atomic_int_least64_t last_session;
  atomic_bool stopping;
  pthread_t thread;
  bool thread_runs;
};

/* scheduler.c: the thread. */
void *scheduler_main(void *farm);

/* Gives a message to the scheduler; while none is active here, its request is
   answered with 503. Takes it over. */
void farm_post(struct farm *farm, struct message *message);

/* conclude.c: answers a result of an attempt that does not run: repeated, or
   stale. Takes the message over. */
void farm_look_up(struct farm *farm, struct message *message);

/* logs.c: closes the log of an attempt that ended, on a worker; and all that a
   server before this one has left open. */
void logs_close(struct farm *farm, int64_t attempt_id);
void logs_close_leftovers(struct farm *farm);

/* order.c: see struct farm_rounds. */
void rounds_init(struct farm_rounds *rounds);
void rounds_free(struct farm_rounds *rounds);
/* By the scheduler: true when somebody waits for the round that begins now, and
   its number, to be served once it is committed. */
bool rounds_begin(struct farm_rounds *rounds, uint64_t *ret_ticket);
void rounds_serve(struct farm_rounds *rounds, uint64_t ticket);
