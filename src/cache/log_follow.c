/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Following live logs. One thread copies from the files to the streams of all
   followers, as far as each takes it: a slow browser costs a small buffer and never
   holds up the agent that writes, nor other readers. */
#include <errno.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "base/mem.h"
#include "cache/cache_private.h"

#define STREAM_LIMIT (4 * CACHE_PIECE)
#define RETRY_MS 100 /* when a follower is behind and takes nothing */

struct follower
{
  struct follower *next;
  struct cache_log *log;
  struct http_stream *stream;
  int64_t position;
};

struct cache_pump
{
  struct cache *cache;
  pthread_t thread;
  pthread_mutex_t mutex; /* of all below; the list belongs to the thread, but newcomers */
  pthread_cond_t wake;
  struct follower *newcomers;
  bool is_due; /* something has grown or ended */
  bool stopping;
};

enum progress
{
  PROGRESS_IDLE,   /* has all that is there */
  PROGRESS_BEHIND, /* takes no more at present */
  PROGRESS_ENDED,
  PROGRESS_BROKEN, /* there is more, but it cannot be had or is not wanted */
};

static void
read_end(struct cache_log *log, int64_t *ret_size, bool *ret_finished)
{
  pthread_mutex_lock(&log->mutex);
  *ret_size = log->size;
  *ret_finished = log->finished;
  pthread_mutex_unlock(&log->mutex);
}

/* Copies what there is and what the stream takes. */
static enum progress
advance(struct follower *follower, char *room)
{
  int64_t size;
  bool finished;
  read_end(follower->log, &size, &finished);
  while (follower->position < size) {
    int r = http_stream_wait(follower->stream, CACHE_PIECE, 0);
    if (r == -ETIMEDOUT)
      return PROGRESS_BEHIND;
    int64_t left = size - follower->position;
    ssize_t got = r < 0
                      ? r
                      : pread(follower->log->fd, room,
                              left < CACHE_PIECE ? (size_t) left : CACHE_PIECE, follower->position);
    if (got <= 0 || http_stream_write(follower->stream, str_make(room, (size_t) got)) < 0)
      return PROGRESS_BROKEN;
    follower->position += got;
  }
  if (finished)
    return PROGRESS_ENDED;
  return http_stream_is_open(follower->stream) ? PROGRESS_IDLE : PROGRESS_BROKEN;
}

static void
follower_free(struct cache *cache, struct follower *follower, bool is_whole)
{
  if (is_whole)
    http_stream_close(follower->stream);
  else
    http_stream_fail(follower->stream);
  cache_log_unref(cache, follower->log);
  free(follower);
}

/* Serves all once; true when some are behind. Those that ended leave the list. */
static bool
serve_all(struct cache *cache, struct follower **list, char *room)
{
  bool is_behind = false;
  while (*list != NULL) {
    struct follower *follower = *list;
    enum progress progress = advance(follower, room);
    is_behind |= progress == PROGRESS_BEHIND;
    if (progress == PROGRESS_IDLE || progress == PROGRESS_BEHIND) {
      list = &follower->next;
      continue;
    }
    *list = follower->next;
    follower_free(cache, follower, progress == PROGRESS_ENDED);
  }
  return is_behind;
}

static void
wait_until_due(struct cache_pump *pump, bool is_behind)
{
  struct timespec until;
  clock_gettime(CLOCK_MONOTONIC, &until);
  until.tv_nsec += RETRY_MS * 1000000L;
  until.tv_sec += until.tv_nsec / 1000000000L;
  until.tv_nsec %= 1000000000L;
  while (!pump->is_due && !pump->stopping) {
    int r = is_behind ? pthread_cond_timedwait(&pump->wake, &pump->mutex, &until)
                      : pthread_cond_wait(&pump->wake, &pump->mutex);
    if (r == ETIMEDOUT)
      return;
  }
}

/* Newcomers join the list; false when the pump stops. */
static bool
take_newcomers(struct cache_pump *pump, struct follower **list, bool is_behind)
{
  pthread_mutex_lock(&pump->mutex);
  wait_until_due(pump, is_behind);
  pump->is_due = false;
  while (pump->newcomers != NULL) {
    struct follower *follower = pump->newcomers;
    pump->newcomers = follower->next;
    follower->next = *list;
    *list = follower;
  }
  bool goes_on = !pump->stopping;
  pthread_mutex_unlock(&pump->mutex);
  return goes_on;
}

static void *
run_pump(void *context)
{
  struct cache_pump *pump = context;
  CLEANUP_FREE char *room = mem_alloc(CACHE_PIECE);
  struct follower *list = NULL;
  bool is_behind = false;
  while (take_newcomers(pump, &list, is_behind))
    is_behind = serve_all(pump->cache, &list, room);
  while (list != NULL) {
    struct follower *follower = list;
    list = follower->next;
    follower_free(pump->cache, follower, false);
  }
  return NULL;
}

/* ---- from other threads ---- */

void
cache_pump_wake(struct cache *cache)
{
  struct cache_pump *pump = cache->pump;
  pthread_mutex_lock(&pump->mutex);
  pump->is_due = true;
  pthread_cond_signal(&pump->wake);
  pthread_mutex_unlock(&pump->mutex);
}

/* The client has gone: the thread is to notice, even if the log stays silent. */
static void
stream_closed(void *context)
{
  cache_pump_wake(context);
}

int
cache_log_follow(struct cache *cache, struct cache_log *log, struct http_request *request,
                 int64_t from)
{
  struct http_stream *stream;
  int r = http_reply_stream(request, 200, CACHE_LOG_TYPE, STREAM_LIMIT, &stream);
  if (r < 0)
    return r;
  http_stream_on_close(stream, stream_closed, cache);
  struct follower *follower = mem_alloc(sizeof *follower);
  *follower = (struct follower) { .log = log, .stream = stream, .position = from };
  pthread_mutex_lock(&cache->mutex);
  log->users++;
  pthread_mutex_unlock(&cache->mutex);

  struct cache_pump *pump = cache->pump;
  pthread_mutex_lock(&pump->mutex);
  follower->next = pump->newcomers;
  pump->newcomers = follower;
  pthread_mutex_unlock(&pump->mutex);
  cache_pump_wake(cache);
  return 0;
}

/* ---- start and stop ---- */

int
cache_pump_start(struct cache *cache, struct error *err)
{
  struct cache_pump *pump = mem_alloc(sizeof *pump);
  pump->cache = cache;
  pthread_condattr_t monotonic;
  pthread_condattr_init(&monotonic);
  pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
  pthread_mutex_init(&pump->mutex, NULL);
  pthread_cond_init(&pump->wake, &monotonic);
  pthread_condattr_destroy(&monotonic);
  int r = pthread_create(&pump->thread, NULL, run_pump, pump);
  if (r != 0) {
    free(pump);
    return error_set(err, -r, "cannot start a thread");
  }
  cache->pump = pump;
  return 0;
}

void
cache_pump_stop(struct cache *cache)
{
  struct cache_pump *pump = cache->pump;
  if (pump == NULL)
    return;
  pthread_mutex_lock(&pump->mutex);
  pump->stopping = true;
  pthread_cond_signal(&pump->wake);
  pthread_mutex_unlock(&pump->mutex);
  pthread_join(pump->thread, NULL);
  pthread_cond_destroy(&pump->wake);
  pthread_mutex_destroy(&pump->mutex);
  free(pump);
  cache->pump = NULL;
}
