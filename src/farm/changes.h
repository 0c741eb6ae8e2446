/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What one batch has to write and to tell: plain values copied out of the
   mirror, so that a transaction may be tried again at leisure. */
#pragma once

#include "farm/farm.h"

struct node;

/* A row of `build` as it is to be. */
struct change_build
{
  int64_t id;
  int64_t failed_id;
  int64_t timeout_s;
  int64_t max_silent_s;
  int32_t priority;
  int32_t tries;
  int32_t losses;
  int16_t state;
  int16_t cause;
  bool direct;
};

/* A build that is not in the mirror gets limits at least as large as these. */
struct change_limits
{
  int64_t build_id;
  int64_t timeout_s;
  int64_t max_silent_s;
};

struct change_start
{
  int64_t attempt_id;
  int64_t fence;
  int64_t build_id;
  int64_t derivation_id;
  int64_t agent_id;
  int64_t token_id; /* of the agent */
  int64_t session;
  int64_t timeout_s;
  int64_t max_silent_s;
};

struct change_end
{
  int64_t attempt_id;
  int64_t session; /* of an agent that must be told to stop; 0 = nobody */
  int64_t log_size;
  enum farm_cause cause; /* NONE = succeeded */
  struct str message;
  bool reported; /* by its agent: the log is finished already */
};

struct change_agent
{
  int64_t id;
  bool connected;
  bool paused;
  bool released; /* its stream must end */
};

enum change_event_kind
{
  EVENT_BUILD_STARTED,
  EVENT_BUILD_SUCCEEDED,
  EVENT_BUILD_FAILED,
  EVENT_BUILD_DEPENDENCY_FAILED,
  EVENT_BUILD_CANCELLED,
  EVENT_BUILD_RESTARTED,
  EVENT_ATTEMPT_FAILED, /* and the build is tried again */
  EVENT_ATTEMPT_LOST,
  EVENT_AGENT_CONNECTED,
  EVENT_AGENT_DISCONNECTED,
  EVENT_AGENT_LOST,
  EVENT_AGENT_PAUSED,
  EVENT_AGENT_RESUMED,
  EVENT_KIND_MAX,
};

struct change_event
{
  enum change_event_kind kind;
  enum farm_cause cause;
  int64_t subject; /* id of a build, an attempt or an agent */
  int64_t build_id;
  int64_t attempt_id;
  int64_t failed_id;
  struct str agent; /* its name; data NULL = none */
  struct str message;
};

#define CHANGE_LIST(type, name) \
  struct                        \
  {                             \
    type *items;                \
    size_t count;               \
    size_t capacity;            \
  } name

/* Zero-initialise; free with changes_free. */
struct changes
{
  struct arena arena; /* texts */
  CHANGE_LIST(struct change_build, builds);
  CHANGE_LIST(struct change_limits, limits);
  CHANGE_LIST(struct change_start, starts);
  CHANGE_LIST(int64_t, builders); /* attempts whose builder runs now */
  CHANGE_LIST(struct change_end, ends);
  CHANGE_LIST(struct change_agent, agents);
  CHANGE_LIST(struct change_event, events);
};

bool changes_are_empty(const struct changes *changes);
void changes_free(struct changes *changes); /* empties it; may be used again */

/* Adds a zeroed element; a pointer valid until the next one. */
struct change_build *changes_add_build(struct changes *changes);
struct change_limits *changes_add_limits(struct changes *changes);
struct change_start *changes_add_start(struct changes *changes);
void changes_add_builder(struct changes *changes, int64_t attempt_id);
struct change_end *changes_add_end(struct changes *changes);
struct change_agent *changes_add_agent(struct changes *changes);
struct change_event *changes_add_event(struct changes *changes, enum change_event_kind kind,
                                       int64_t subject);
