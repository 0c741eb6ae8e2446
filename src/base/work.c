/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "base/work.h"

#include <stdint.h>

void
work_pool_init(struct work_pool *pool, void *context)
{
  *pool = (struct work_pool) { .context = context };
  pool->last = &pool->first;
  pthread_mutex_init(&pool->lock, NULL);
  pthread_cond_init(&pool->wake, NULL);
}

void
work_pool_free(struct work_pool *pool)
{
  pthread_cond_destroy(&pool->wake);
  pthread_mutex_destroy(&pool->lock);
}

/* Waits; NULL when the pool stops and nothing is left. */
static struct work *
take(struct work_pool *pool, bool *ret_stopping)
{
  pthread_mutex_lock(&pool->lock);
  while (pool->first == NULL && !pool->stopping)
    pthread_cond_wait(&pool->wake, &pool->lock);
  struct work *work = pool->first;
  if (work != NULL) {
    pool->first = work->next;
    pool->waiting--;
  }
  if (pool->first == NULL)
    pool->last = &pool->first;
  *ret_stopping = pool->stopping;
  pthread_mutex_unlock(&pool->lock);
  return work;
}

static void *
worker_main(void *context)
{
  struct work_pool *pool = context;
  bool stopping;
  for (struct work *work; (work = take(pool, &stopping)) != NULL;)
    work->run(pool->context, work, stopping);
  return NULL;
}

int
work_pool_start(struct work_pool *pool, int threads)
{
  int r = 0;
  for (int i = 0; r == 0 && i < threads && i < WORK_THREADS_MAX; i++) {
    r = pthread_create(&pool->threads[i], NULL, worker_main, pool);
    pool->threads_count += r == 0;
  }
  return pool->threads_count > 0 ? 0 : -r;
}

bool
work_pool_offer(struct work_pool *pool, struct work *work, size_t most)
{
  pthread_mutex_lock(&pool->lock);
  bool stopping = pool->stopping;
  bool is_taken = stopping || pool->waiting < most;
  if (is_taken && !stopping) {
    work->next = NULL;
    *pool->last = work;
    pool->last = &work->next;
    pool->waiting++;
    pthread_cond_signal(&pool->wake);
  }
  pthread_mutex_unlock(&pool->lock);
  if (stopping)
    work->run(pool->context, work, true);
  return is_taken;
}

void
work_pool_put(struct work_pool *pool, struct work *work)
{
  (void) work_pool_offer(pool, work, SIZE_MAX);
}

void
work_pool_stop(struct work_pool *pool)
{
  pthread_mutex_lock(&pool->lock);
  pool->stopping = true;
  pthread_cond_broadcast(&pool->wake);
  pthread_mutex_unlock(&pool->lock);
  for (int i = 0; i < pool->threads_count; i++)
    pthread_join(pool->threads[i], NULL);
  pool->threads_count = 0;
}
