/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Worker threads, for what a thread of the HTTP server (or another that must not
   wait) hands on. */
#pragma once

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>

/* Head of a piece of work; the rest follows in the struct that has it first. */
struct work
{
  struct work *next;
  /* CONTEXT: the pool's. Frees WORK. STOPPING: only answer that this is the end. */
  void (*run)(void *context, struct work *work, bool stopping);
};

#define WORK_THREADS_MAX 8

struct work_pool
{
  void *context;
  pthread_mutex_t lock;
  pthread_cond_t wake;
  struct work *first;
  struct work **last;
  size_t waiting; /* how many */
  bool stopping;
  pthread_t threads[WORK_THREADS_MAX];
  int threads_count;
};

void work_pool_init(struct work_pool *pool, void *context);

/* Negative errno when not even one thread could be started. */
int work_pool_start(struct work_pool *pool, int threads);

void work_pool_put(struct work_pool *pool, struct work *work);
/* The same, unless MOST wait already: then false, and nothing comes of WORK. */
bool work_pool_offer(struct work_pool *pool, struct work *work, size_t most);

/* Ends after the work under way; what waits is told that it is the end. Work that
   comes later is run by whoever brings it. */
void work_pool_stop(struct work_pool *pool);
void work_pool_free(struct work_pool *pool);
