/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The thread that follows the feed: one connection that listens and reads. */
#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/eventfd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "events/events_private.h"
#include "events/events_sql.h"

#define BATCH 500
#define WATCHERS_MAX 16
#define LONGEST_WAIT_MS 2000
#define SHORTEST_TICK_MS 500

/* Events behind a transaction that still runs become visible without any
   notification when it ends: look again after this, then twice that ... */
#define HELD_BACK_WAIT_MS 20

/* Pauses after failures: this, then twice that, up to the longest wait. */
#define FIRST_BACK_OFF_MS 100

struct events_feed
{
  pthread_t thread;
  struct db *db; /* the thread's */
  int stop;      /* eventfd: readable = end */
  int64_t ticked_at_ms;
  atomic_bool stopping;

  pthread_mutex_t mutex; /* guards what follows; not held while watchers run */
  struct events_position position;
  struct events_watcher watchers[WATCHERS_MAX];
  size_t watchers_count;
};

/* ---- telling ---- */

/* Watchers are only ever added, so the first COUNT do not move or change. */
static size_t
count_watchers(struct events_feed *feed)
{
  pthread_mutex_lock(&feed->mutex);
  size_t count = feed->watchers_count;
  pthread_mutex_unlock(&feed->mutex);
  return count;
}

static void
tell(struct events_feed *feed, const struct events_event *event)
{
  pthread_mutex_lock(&feed->mutex);
  size_t count = feed->watchers_count;
  feed->position = event->position;
  pthread_mutex_unlock(&feed->mutex);
  for (size_t i = 0; i < count; i++)
    feed->watchers[i].receive(feed->watchers[i].context, event);
}

static void
tick(struct events_feed *feed)
{
  int64_t now = clock_monotonic_ms();
  if (now - feed->ticked_at_ms < SHORTEST_TICK_MS)
    return;
  feed->ticked_at_ms = now;
  size_t count = count_watchers(feed);
  for (size_t i = 0; i < count; i++)
    if (feed->watchers[i].tick != NULL)
      feed->watchers[i].tick(feed->watchers[i].context);
}

/* ---- following ---- */

/* Reads and tells a batch; returns how many events there were. */
static int
follow_batch(struct events_feed *feed, struct error *err)
{
  CLEANUP_ARENA struct arena arena = { 0 };
  struct events_page page;
  int r = events_read(feed->db, feed->position, STR(""), BATCH, &arena, &page, err);
  if (r < 0)
    return r;
  for (size_t i = 0; i < page.count && !feed->stopping; i++)
    tell(feed, &page.items[i]);
  return (int) page.count;
}

static int
follow_all(struct events_feed *feed, struct error *err)
{
  int count;
  do
    count = follow_batch(feed, err);
  while (count == BATCH && !feed->stopping);
  return count < 0 ? count : 0;
}

/* How long to wait for a notification: not long while something is held back. */
static int
choose_wait(struct events_feed *feed, int *held_back_ms, struct error *err)
{
  struct events_held_back_row held_back = { 0 };
  int r =
      events_held_back(feed->db, feed->position.transaction, feed->position.id, &held_back, err);
  if (r < 0)
    return r;
  if (!held_back.any)
    *held_back_ms = 0;
  else
    *held_back_ms = *held_back_ms == 0 ? HELD_BACK_WAIT_MS : *held_back_ms * 2;
  if (*held_back_ms > LONGEST_WAIT_MS)
    *held_back_ms = LONGEST_WAIT_MS;
  return held_back.any ? *held_back_ms : LONGEST_WAIT_MS;
}

/* Until the feed stops (0) or something fails. */
static int
follow(struct events_feed *feed, struct error *err)
{
  int held_back_ms = 0;
  while (!feed->stopping) {
    int r = follow_all(feed, err);
    int wait_ms = r < 0 ? r : choose_wait(feed, &held_back_ms, err);
    r = wait_ms < 0 ? wait_ms : db_wait(feed->db, wait_ms, feed->stop, err);
    if (r < 0)
      return r;
    tick(feed);
  }
  return 0;
}

/* Listens again, on a new connection if the old one is lost, and reads what
   came meanwhile from where it stood. */
static int
resume(struct events_feed *feed, struct error *err)
{
  int r = db_listen(feed->db, EVENTS_CHANNEL, err);
  return r < 0 ? r : follow_all(feed, err);
}

static void
back_off(struct events_feed *feed, int *pause_ms)
{
  struct pollfd watch = { .fd = feed->stop, .events = POLLIN };
  (void) poll(&watch, 1, *pause_ms);
  *pause_ms = *pause_ms * 2 < LONGEST_WAIT_MS ? *pause_ms * 2 : LONGEST_WAIT_MS;
  tick(feed);
}

static void *
feed_main(void *context)
{
  struct events_feed *feed = context;
  struct error err = { 0 };
  while (!feed->stopping && follow(feed, &err) < 0) {
    log_failure("events", &err, "the feed of events stands still");
    int pause_ms = FIRST_BACK_OFF_MS;
    do
      back_off(feed, &pause_ms);
    while (!feed->stopping && resume(feed, &err) < 0);
    if (!feed->stopping)
      log_info("events", "the feed of events goes on");
  }
  return NULL;
}

/* ---- the public face ---- */

/* All that commits from now on is of the horizon's transaction or a later one. */
static int
open_feed(struct events_feed *feed, const char *uri, struct error *err)
{
  struct events_horizon_row horizon = { 0 };
  int r = db_open(uri, &feed->db, err);
  if (r == 0)
    r = db_listen(feed->db, EVENTS_CHANNEL, err);
  if (r == 0)
    r = events_horizon(feed->db, &horizon, err);
  if (r < 0)
    return r;
  feed->position.transaction = horizon.transaction;
  feed->stop = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (feed->stop < 0)
    return error_set_errno(err, "cannot make an eventfd");
  r = pthread_create(&feed->thread, NULL, feed_main, feed);
  return r != 0 ? error_set(err, -r, "cannot start the feed's thread") : 0;
}

static void
feed_free(struct events_feed *feed)
{
  for (size_t i = 0; i < feed->watchers_count; i++)
    if (feed->watchers[i].free != NULL)
      feed->watchers[i].free(feed->watchers[i].context);
  db_close(feed->db);
  file_closep(&feed->stop);
  pthread_mutex_destroy(&feed->mutex);
  free(feed);
}

int
events_feed_start(const char *uri, struct events_feed **ret, struct error *err)
{
  struct error own = { 0 };
  err = err != NULL ? err : &own;
  struct events_feed *feed = mem_alloc(sizeof *feed);
  feed->stop = -1;
  pthread_mutex_init(&feed->mutex, NULL);
  int r = open_feed(feed, uri, err);
  if (r < 0) {
    feed_free(feed);
    return error_prefix(err, "cannot follow the feed of events");
  }
  *ret = feed;
  return 0;
}

void
events_feed_stop(struct events_feed *feed)
{
  if (feed == NULL)
    return;
  feed->stopping = true;
  (void) eventfd_write(feed->stop, 1);
  pthread_join(feed->thread, NULL);
  feed_free(feed);
}

struct events_position
events_feed_watch(struct events_feed *feed, const struct events_watcher *watcher)
{
  pthread_mutex_lock(&feed->mutex);
  assert(feed->watchers_count < WATCHERS_MAX);
  feed->watchers[feed->watchers_count++] = *watcher;
  struct events_position position = feed->position;
  pthread_mutex_unlock(&feed->mutex);
  return position;
}
