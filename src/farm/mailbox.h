/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What server threads and workers tell the scheduler. */
#pragma once

#include "farm/farm.h"
#include "farm/mirror.h"

#include <pthread.h>

enum message_kind
{
  MESSAGE_SESSION,     /* an agent dialled */
  MESSAGE_SESSION_END, /* its connection is gone */
  MESSAGE_STARTED,     /* a builder runs */
  MESSAGE_RESULT,      /* an attempt's outcome; what it uploaded is verified */
  MESSAGE_HEALED,      /* the missing builds below a build exist now */
};

/* How the request is answered when the batch is committed. */
enum message_verdict
{
  VERDICT_DONE,
  VERDICT_GONE,
  VERDICT_LOOK_UP, /* not running: the database knows whether it ended just so */
};

struct message_session
{
  struct mirror_agent agent;
  struct str facts; /* JSON */
  struct mirror_claim *claims;
  size_t claims_count;
  int64_t *unknown; /* as many places as claims: attempts it shall stop */
  size_t unknown_count;
};

struct message_result
{
  enum farm_cause cause; /* NONE = succeeded */
  struct str message;
  int64_t log_size;
  struct cache_item *items;
  size_t items_count;
  struct str *refused; /* items whose contents cannot be theirs: why, in MESSAGE */
  size_t refused_count;
};

/* Texts lie in the arena of `request`, which lives until it is answered. */
struct message
{
  struct message *next;
  enum message_kind kind;
  struct http_request *request; /* deferred; NULL = nobody waits */
  int64_t token_id;
  int64_t attempt_id;
  int64_t fence;
  int64_t agent_id; /* SESSION_END */
  int64_t session;  /* SESSION, SESSION_END */
  int64_t build_id; /* HEALED */
  struct message_session *hello;
  struct message_result *result;
  enum message_verdict verdict;
  int64_t heal_id; /* set by the plan: derivation below which builds are lacking */
};

struct mailbox
{
  pthread_mutex_t lock;
  struct message *first;
  struct message **last;
  bool open;
  int wake; /* eventfd: readable when something came; the scheduler waits on it */
};

void mailbox_init(struct mailbox *mailbox);
void mailbox_free(struct mailbox *mailbox);

/* While it is closed nothing is taken: false, and MESSAGE stays the caller's. */
bool mailbox_put(struct mailbox *mailbox, struct message *message);
void mailbox_open(struct mailbox *mailbox);

/* All that came, oldest first, linked by `next`; also those after closing. */
struct message *mailbox_take(struct mailbox *mailbox);
struct message *mailbox_close(struct mailbox *mailbox);

/* Wakes the scheduler without a message; forgets that it was woken. */
void mailbox_wake(struct mailbox *mailbox);
void mailbox_calm(struct mailbox *mailbox);
