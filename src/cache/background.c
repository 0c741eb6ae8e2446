/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What can wait: second compressions, and clearing files that nothing uses. One
   thread at the lowest priority. */
#include <errno.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "cache/cache_private.h"

#define ROUND_S 60           /* between looks without a wake */
#define LINGER_S 1           /* after a wake: its transaction is to commit first */
#define SWEEP_S 3600         /* between sweeps */
#define UPLOAD_KEPT_S 604800 /* an agent may come back after days */
/* Far longer than from the check of an upload to its registration. */
#define NAR_KEPT_S 86400
#define NICENESS 19

struct cache_background
{
  struct cache *cache;
  pthread_t thread;
  pthread_mutex_t mutex; /* of all below */
  pthread_cond_t wake;
  bool is_due;
  bool stopping;
  int64_t swept_ms; /* monotonic; of the thread alone */
};

static void
recompress(struct cache *cache)
{
  struct error err = { 0 };
  int64_t after = 0;
  int done = 1;
  while (done > 0 && !cache_is_stopping(cache))
    if (cache_recompress(cache, &after, &done, &err) < 0) {
      log_failure("cache", &err, "second compressions wait");
      return;
    }
}

static void
sweep(struct cache_background *background)
{
  struct error err = { 0 };
  int64_t now = clock_monotonic_ms();
  if (background->swept_ms != 0 && now - background->swept_ms < SWEEP_S * 1000)
    return;
  background->swept_ms = now;
  int r = cache_sweep_uploads(background->cache, UPLOAD_KEPT_S, &err);
  if (r == 0)
    r = cache_sweep_nars(background->cache, NAR_KEPT_S, &err);
  if (r < 0)
    log_failure("cache", &err, "cannot clear files that nothing uses");
}

/* Waits for SECONDS or, WAKEABLE, for a wake; false when it is to stop. */
static bool
rest(struct cache_background *background, int seconds, bool wakeable)
{
  struct timespec until;
  clock_gettime(CLOCK_MONOTONIC, &until);
  until.tv_sec += seconds;
  pthread_mutex_lock(&background->mutex);
  int r = 0;
  while (r == 0 && !background->stopping && !(wakeable && background->is_due))
    r = pthread_cond_timedwait(&background->wake, &background->mutex, &until);
  if (wakeable)
    background->is_due = false;
  bool goes_on = !background->stopping;
  pthread_mutex_unlock(&background->mutex);
  return goes_on;
}

static void *
run_background(void *context)
{
  struct cache_background *background = context;
  (void) setpriority(PRIO_PROCESS, (id_t) gettid(), NICENESS); /* of this thread only */
  while (rest(background, ROUND_S, true) && rest(background, LINGER_S, false)) {
    recompress(background->cache);
    sweep(background);
  }
  return NULL;
}

void
cache_background_wake(struct cache *cache)
{
  struct cache_background *background = cache->background;
  if (background == NULL)
    return; /* stopped */
  pthread_mutex_lock(&background->mutex);
  background->is_due = true;
  pthread_cond_signal(&background->wake);
  pthread_mutex_unlock(&background->mutex);
}

int
cache_background_start(struct cache *cache, struct error *err)
{
  struct cache_background *background = mem_alloc(sizeof *background);
  background->cache = cache;
  background->is_due = true;
  pthread_condattr_t monotonic;
  pthread_condattr_init(&monotonic);
  pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
  pthread_mutex_init(&background->mutex, NULL);
  pthread_cond_init(&background->wake, &monotonic);
  pthread_condattr_destroy(&monotonic);
  int r = pthread_create(&background->thread, NULL, run_background, background);
  if (r != 0) {
    free(background);
    return error_set(err, -r, "cannot start a thread");
  }
  cache->background = background;
  return 0;
}

void
cache_background_stop(struct cache *cache)
{
  struct cache_background *background = cache->background;
  if (background == NULL)
    return;
  pthread_mutex_lock(&background->mutex);
  background->stopping = true;
  pthread_cond_signal(&background->wake);
  pthread_mutex_unlock(&background->mutex);
  pthread_join(background->thread, NULL);
  pthread_cond_destroy(&background->wake);
  pthread_mutex_destroy(&background->mutex);
  free(background);
  cache->background = NULL;
}
