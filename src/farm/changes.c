/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "farm/changes.h"

#include "base/mem.h"

#include <stdlib.h>

static void *
add(void *items, size_t *count, size_t *capacity, size_t size)
{
  mem_grow(items, capacity, *count + 1, size);
  char *added = *(char **) items + size * (*count)++;
  memset(added, 0, size);
  return added;
}

#define ADD(list) add(&(list).items, &(list).count, &(list).capacity, sizeof *(list).items)

bool
changes_are_empty(const struct changes *changes)
{
  return changes->builds.count == 0 && changes->limits.count == 0 && changes->starts.count == 0
         && changes->builders.count == 0 && changes->ends.count == 0 && changes->agents.count == 0
         && changes->events.count == 0;
}

void
changes_free(struct changes *changes)
{
  arena_free(&changes->arena);
  free(changes->builds.items);
  free(changes->limits.items);
  free(changes->starts.items);
  free(changes->builders.items);
  free(changes->ends.items);
  free(changes->agents.items);
  free(changes->events.items);
  *changes = (struct changes) { 0 };
}

struct change_build *
changes_add_build(struct changes *changes)
{
  return ADD(changes->builds);
}

struct change_limits *
changes_add_limits(struct changes *changes)
{
  return ADD(changes->limits);
}

struct change_start *
changes_add_start(struct changes *changes)
{
  return ADD(changes->starts);
}

void
changes_add_builder(struct changes *changes, int64_t attempt_id)
{
  int64_t *added = ADD(changes->builders);
  *added = attempt_id;
}

struct change_end *
changes_add_end(struct changes *changes)
{
  return ADD(changes->ends);
}

struct change_agent *
changes_add_agent(struct changes *changes)
{
  return ADD(changes->agents);
}

struct change_event *
changes_add_event(struct changes *changes, enum change_event_kind kind, int64_t subject)
{
  struct change_event *event = ADD(changes->events);
  event->kind = kind;
  event->subject = subject;
  return event;
}
