/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "farm/open.h"

#include "base/clock.h"
#include "base/mem.h"

#include <stdlib.h>

/* An entry of the table: everything in one arena. */
struct entry
{
  struct open_attempt attempt;
  struct arena arena;
};

struct heard
{
  int64_t at_ms;
};

static void
entry_free(struct entry *entry)
{
  if (entry == NULL)
    return;
  arena_free(&entry->arena);
  free(entry);
}

static struct open_attempt
copy_attempt(struct arena *arena, const struct open_attempt *attempt)
{
  struct open_attempt copy = *attempt;
  copy.outputs.items = arena_array(arena, copy.outputs.count, sizeof *copy.outputs.items);
  for (size_t i = 0; i < copy.outputs.count; i++) {
    copy.outputs.items[i].name = arena_str(arena, attempt->outputs.items[i].name);
    copy.outputs.items[i].basename = arena_str(arena, attempt->outputs.items[i].basename);
  }
  return copy;
}

void
open_init(struct open_attempts *open)
{
  *open = (struct open_attempts) { 0 };
  pthread_mutex_init(&open->lock, NULL);
}

static void
forget_attempts(struct open_attempts *open)
{
  size_t position = 0;
  for (struct entry *entry; (entry = int_map_next(&open->attempts, &position)) != NULL;)
    entry_free(entry);
  int_map_free(&open->attempts);
}

void
open_free(struct open_attempts *open)
{
  forget_attempts(open);
  size_t position = 0;
  for (struct heard *heard; (heard = int_map_next(&open->heard, &position)) != NULL;)
    free(heard);
  int_map_free(&open->heard);
  pthread_mutex_destroy(&open->lock);
}

void
open_put(struct open_attempts *open, const struct open_attempt *attempt)
{
  struct entry *entry = mem_alloc(sizeof *entry);
  entry->attempt = copy_attempt(&entry->arena, attempt);
  pthread_mutex_lock(&open->lock);
  entry_free(int_map_put(&open->attempts, attempt->id, entry));
  pthread_mutex_unlock(&open->lock);
}

void
open_remove(struct open_attempts *open, int64_t attempt_id)
{
  pthread_mutex_lock(&open->lock);
  entry_free(int_map_remove(&open->attempts, attempt_id));
  pthread_mutex_unlock(&open->lock);
}

void
open_set_active(struct open_attempts *open, bool active)
{
  pthread_mutex_lock(&open->lock);
  open->active = active;
  if (!active)
    forget_attempts(open);
  pthread_mutex_unlock(&open->lock);
}

enum open_result
open_get(struct open_attempts *open, int64_t attempt_id, int64_t token_id, int64_t fence,
         struct arena *arena, struct open_attempt *ret)
{
  enum open_result result = OPEN_GONE;
  pthread_mutex_lock(&open->lock);
  const struct entry *entry = int_map_get(&open->attempts, attempt_id);
  if (!open->active)
    result = OPEN_INACTIVE;
  else if (entry != NULL && entry->attempt.token_id == token_id && entry->attempt.fence == fence)
    result = OPEN_FOUND;
  if (result == OPEN_FOUND)
    *ret = copy_attempt(arena, &entry->attempt);
  pthread_mutex_unlock(&open->lock);
  return result;
}

void
open_hear(struct open_attempts *open, int64_t token_id)
{
  pthread_mutex_lock(&open->lock);
  struct heard *heard = int_map_get(&open->heard, token_id);
  if (heard == NULL) {
    heard = mem_alloc(sizeof *heard);
    int_map_put(&open->heard, token_id, heard);
  }
  heard->at_ms = clock_monotonic_ms();
  pthread_mutex_unlock(&open->lock);
}

int64_t
open_heard_ms(struct open_attempts *open, int64_t token_id)
{
  pthread_mutex_lock(&open->lock);
  const struct heard *heard = int_map_get(&open->heard, token_id);
  int64_t at_ms = heard == NULL ? 0 : heard->at_ms;
  pthread_mutex_unlock(&open->lock);
  return at_ms;
}

const struct batch_output *
open_output(const struct open_attempt *attempt, struct str basename)
{
  for (size_t i = 0; i < attempt->outputs.count; i++)
    if (str_equal(attempt->outputs.items[i].basename, basename))
      return &attempt->outputs.items[i];
  return NULL;
}
