/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The pool: at most MAXIMUM connections, handed out most recently used first,
   so that few stay warm. */
#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/thread.h"
#include "db/db_private.h"

/* How long a caller may wait for another to put one back; and one that must not
   wait. */
#define WAIT_S 30
#define WAIT_HASTY_S 1
/* Between tries to reach a server that is away, by those that must not wait for it. */
#define PROBE_MS 1000

struct db_pool
{
  char *uri;
  int maximum;
  pthread_mutex_t mutex; /* guards what follows */
  pthread_cond_t put_back;
  int out;          /* handed out and not yet put back */
  int idle_count;   /* out + idle_count <= maximum */
  struct db **idle; /* a stack; may hold some that are not connected */

  /* The server could not be reached: one caller at a time tries again, the others
     that must not wait need not, for where packets vanish a try takes seconds. */
  bool away;
  bool probing;
  int64_t probe_at_ms;
};

struct db_pool *
db_pool_new(const char *uri, int maximum)
{
  assert(maximum >= 1);
  struct db_pool *pool = mem_alloc(sizeof *pool);
  pool->uri = mem_strdup(uri);
  pool->maximum = maximum;
  pool->idle = mem_array((size_t) maximum, sizeof(struct db *));
  pthread_mutex_init(&pool->mutex, NULL);
  pthread_condattr_t monotonic;
  pthread_condattr_init(&monotonic);
  pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
  pthread_cond_init(&pool->put_back, &monotonic);
  pthread_condattr_destroy(&monotonic);
  return pool;
}

void
db_pool_free(struct db_pool *pool)
{
  if (pool == NULL)
    return;
  assert(pool->out == 0);
  for (int i = 0; i < pool->idle_count; i++)
    db_close(pool->idle[i]);
  pthread_cond_destroy(&pool->put_back);
  pthread_mutex_destroy(&pool->mutex);
  free(pool->idle);
  free(pool->uri);
  free(pool);
}

/* NULL when all stay out for too long. */
static struct db *
take(struct db_pool *pool, int wait_s)
{
  struct timespec deadline;
  clock_gettime(CLOCK_MONOTONIC, &deadline);
  deadline.tv_sec += wait_s;
  struct db *db = NULL;
  int waited = 0;
  pthread_mutex_lock(&pool->mutex);
  while (pool->out == pool->maximum && waited != ETIMEDOUT)
    waited = pthread_cond_timedwait(&pool->put_back, &pool->mutex, &deadline);
  if (pool->out < pool->maximum) {
    pool->out++;
    db = pool->idle_count > 0 ? pool->idle[--pool->idle_count] : db_new(pool->uri);
  }
  pthread_mutex_unlock(&pool->mutex);
  return db;
}

static bool
may_try(struct db_pool *pool)
{
  pthread_mutex_lock(&pool->mutex);
  bool may = !pool->away || (!pool->probing && clock_monotonic_ms() >= pool->probe_at_ms);
  pool->probing |= may;
  pthread_mutex_unlock(&pool->mutex);
  return may;
}

static void
note_try(struct db_pool *pool, bool away)
{
  pthread_mutex_lock(&pool->mutex);
  pool->away = away;
  pool->probing = false;
  pool->probe_at_ms = clock_monotonic_ms() + PROBE_MS;
  pthread_mutex_unlock(&pool->mutex);
}

/* db_ready for a caller that must not wait for the server to come back. */
static int
ready_at_once(struct db_pool *pool, struct db *db, struct error *err)
{
  if (db_is_usable(db))
    return 0;
  if (!may_try(pool))
    return error_set(err, -DB_ERROR_LOST, "the database could not be reached a moment ago");
  int r = db_ready(db, err);
  note_try(pool, r == -DB_ERROR_LOST);
  return r;
}

int
db_pool_get(struct db_pool *pool, struct db **ret, struct error *err)
{
  int wait_s = thread_may_wait() ? WAIT_S : WAIT_HASTY_S;
  struct db *db = take(pool, wait_s);
  if (db == NULL)
    return error_set(err, -EBUSY, "all %d connections to the database were in use for %d s",
                     pool->maximum, wait_s);
  int r = thread_may_sit_out_outages() ? db_ready_patiently(db, err) : ready_at_once(pool, db, err);
  if (r < 0) {
    db_pool_put(pool, db);
    return r;
  }
  *ret = db;
  return 0;
}

/* Somebody else must not inherit a transaction, a pipeline, a COPY or a lock. */
static bool
is_clean(const struct db *db)
{
  return db->connection != NULL && !db->in_transaction && !db->in_pipeline && !db->copy_active
         && !db->holds_lock && PQtransactionStatus(db->connection) == PQTRANS_IDLE;
}

void
db_pool_put(struct db_pool *pool, struct db *db)
{
  if (db == NULL)
    return;
  if (!is_clean(db)) {
    db_lose(db);
    db->in_transaction = db->holds_lock = false;
  }
  pthread_mutex_lock(&pool->mutex);
  pool->out--;
  pool->idle[pool->idle_count++] = db;
  pthread_cond_signal(&pool->put_back);
  pthread_mutex_unlock(&pool->mutex);
}

int
db_pool_run(struct db_pool *pool, enum db_mode mode, db_body *body, void *context,
            struct error *err)
{
  struct db *db = NULL;
  int r = db_pool_get(pool, &db, err);
  if (r < 0)
    return r;
  r = db_run(db, mode, body, context, err);
  db_pool_put(pool, db);
  return r;
}
