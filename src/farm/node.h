/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the mirror holds: builds as nodes of a graph, agents, attempts. Only the
   scheduler's thread touches them, and only mirror.c and fleet.c change them. */
#pragma once

#include "farm/farm.h"
#include "farm/queue.h"

struct node_list
{
  struct node **items;
  uint32_t count;
  uint32_t capacity;
};

/* Builds of one system that only wait for an agent. */
struct system
{
  char *name;
  struct queue ready;
};

/* A build that is unfinished, or that failed by a fault not its own while
   others still wait for it. `needs` and `dependents` may name nodes that are
   gone: `refs` counts the lists that name this one, and it is freed when gone
   and named by none. */
struct node
{
  int64_t id;
  int64_t derivation_id;
  int64_t created_at; /* microseconds */
  int64_t timeout_s;
  int64_t max_silent_s;
  int64_t failed_id;   /* the build whose failure is the reason; 0 = none */
  int64_t retry_at_ms; /* not before (monotonic) */
  int64_t avoid_agent; /* failed there for no fault of its own; 0 = none */
  struct system *system;
  struct attempt *attempt; /* the one that runs, in state RUNNING only */
  struct queue *queue;     /* where it stands, and at which place */
  uint32_t place;
  uint32_t pending; /* needs that are in the mirror */
  struct node_list needs;
  struct node_list dependents;
  int32_t priority;
  int32_t tries;
  int32_t losses; /* attempts whose agent was lost: no tries */
  uint32_t refs;
  uint8_t state; /* enum farm_build_state */
  uint8_t cause; /* enum farm_cause */
  bool direct;
  bool dirty; /* its row has to be written */
  bool gone;  /* left the mirror */
};

struct attempt
{
  int64_t id;
  int64_t fence;
  struct node *node;
  struct agent *agent;
  int64_t timeout_s; /* as its agent was told: the build's may be larger by now */
  int64_t max_silent_s;
  uint32_t slot; /* in the agent's list */
};

struct agent
{
  int64_t id;
  int64_t token_id;
  int64_t session;    /* number of its present session; 0 = not connected */
  int64_t lost_at_ms; /* when its attempts are given up, while not connected */
  char *name;
  struct system **systems;
  size_t systems_count;
  struct attempt **attempts;
  size_t attempts_count;
  size_t attempts_capacity;
  int jobs;
  bool paused;
  bool released; /* token_id was revoked: it gets nothing until it comes with another */
};
