/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The attempts that run, as server threads may see them: who may speak for
   which. Also when each agent was last heard of. */
#pragma once

#include "base/map.h"
#include "farm/batch.h"

#include <pthread.h>

struct open_attempt
{
  int64_t id;
  int64_t fence;
  int64_t token_id;
  int64_t build_id;
  int64_t derivation_id;
  struct batch_outputs outputs;
};

struct open_attempts
{
  pthread_mutex_t lock;
  struct int_map attempts;
  struct int_map heard; /* by token id: struct heard */
  bool active;          /* false = nobody schedules here: nothing is known */
};

void open_init(struct open_attempts *open);
void open_free(struct open_attempts *open);

/* By the scheduler. Copied; _put replaces. */
void open_put(struct open_attempts *open, const struct open_attempt *attempt);
void open_remove(struct open_attempts *open, int64_t attempt_id);
void open_set_active(struct open_attempts *open, bool active); /* false empties it */

enum open_result
{
  OPEN_FOUND,
  OPEN_GONE,     /* not running, or not under that token and fence */
  OPEN_INACTIVE, /* ask another process, or later */
};

/* *RET is a copy in ARENA. */
enum open_result open_get(struct open_attempts *open, int64_t attempt_id, int64_t token_id,
                          int64_t fence, struct arena *arena, struct open_attempt *ret);

/* A sign of life of the agent with that token, and when the last one was
   (monotonic; 0 = never). */
void open_hear(struct open_attempts *open, int64_t token_id);
int64_t open_heard_ms(struct open_attempts *open, int64_t token_id);

/* The output with that basename, or NULL. */
const struct batch_output *open_output(const struct open_attempt *attempt, struct str basename);
