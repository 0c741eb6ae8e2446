/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
/* cmocka needs the three above first. */
#include <cmocka.h>

#include <semaphore.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>

#include "base/mem.h"
#include "base/work.h"

#define DEADLINE_S 30

struct site
{
  struct work_pool pool;
  sem_t begun; /* posted by each piece that runs */
  sem_t gate;  /* taken by each that waits */
  atomic_int done;
  atomic_int told_to_stop;
  int order[100]; /* by one thread only */
};

struct piece
{
  struct work work;
  int number;
  bool waits;
};

static void
run(void *context, struct work *work, bool stopping)
{
  struct site *site = context;
  struct piece *piece = (struct piece *) work;
  sem_post(&site->begun);
  if (piece->waits && !stopping)
    while (sem_wait(&site->gate) != 0)
      continue;
  if (stopping)
    atomic_fetch_add(&site->told_to_stop, 1);
  int place = atomic_fetch_add(&site->done, 1);
  if (place < 100)
    site->order[place] = piece->number;
  free(piece);
}

static void
put(struct site *site, int number, bool waits)
{
  struct piece *piece = mem_alloc(sizeof *piece);
  *piece = (struct piece) { .work.run = run, .number = number, .waits = waits };
  work_pool_put(&site->pool, &piece->work);
}

static void
await_begun(struct site *site)
{
  struct timespec until;
  clock_gettime(CLOCK_REALTIME, &until);
  until.tv_sec += DEADLINE_S;
  assert_int_equal(sem_timedwait(&site->begun, &until), 0);
}

static int
setup(void **state)
{
  struct site *site = mem_alloc(sizeof *site);
  sem_init(&site->begun, 0, 0);
  sem_init(&site->gate, 0, 0);
  work_pool_init(&site->pool, site);
  *state = site;
  return 0;
}

static int
teardown(void **state)
{
  struct site *site = *state;
  work_pool_free(&site->pool);
  sem_destroy(&site->begun);
  sem_destroy(&site->gate);
  free(site);
  return 0;
}

static void
test_one_thread_works_in_order(void **state)
{
  struct site *site = *state;
  for (int i = 0; i < 50; i++) /* before it starts, and after */
    put(site, i, false);
  assert_int_equal(work_pool_start(&site->pool, 1), 0);
  for (int i = 50; i < 100; i++)
    put(site, i, false);
  for (int i = 0; i < 100; i++)
    await_begun(site);
  work_pool_stop(&site->pool);
  assert_int_equal(atomic_load(&site->done), 100);
  assert_int_equal(atomic_load(&site->told_to_stop), 0);
  for (int i = 0; i < 100; i++)
    assert_int_equal(site->order[i], i);
}

static void
test_threads_work_side_by_side(void **state)
{
  struct site *site = *state;
  assert_int_equal(work_pool_start(&site->pool, 3), 0);
  for (int i = 0; i < 3; i++)
    put(site, i, true);
  for (int i = 0; i < 3; i++)
    await_begun(site); /* all have begun, none can end */
  assert_int_equal(atomic_load(&site->done), 0);
  for (int i = 0; i < 3; i++)
    sem_post(&site->gate);
  work_pool_stop(&site->pool);
  assert_int_equal(atomic_load(&site->done), 3);
}

static void *
stop_main(void *context)
{
  struct site *site = context;
  work_pool_stop(&site->pool);
  return NULL;
}

/* What is under way ends as it would; what waits is only told; and so is, at once, what
   comes later. */
static void
test_stopping(void **state)
{
  struct site *site = *state;
  assert_int_equal(work_pool_start(&site->pool, 1), 0);
  put(site, 0, true);
  await_begun(site);
  put(site, 1, true);
  put(site, 2, true);
  pthread_t stopper;
  assert_int_equal(pthread_create(&stopper, NULL, stop_main, site), 0);
  for (int i = 0; i < DEADLINE_S * 1000; i++) {
    pthread_mutex_lock(&site->pool.lock);
    bool stopping = site->pool.stopping;
    pthread_mutex_unlock(&site->pool.lock);
    if (stopping)
      break;
    nanosleep(&(struct timespec) { 0, 1000000 }, NULL);
  }
  assert_int_equal(atomic_load(&site->done), 0);
  sem_post(&site->gate);
  pthread_join(stopper, NULL);
  assert_int_equal(atomic_load(&site->done), 3);
  assert_int_equal(atomic_load(&site->told_to_stop), 2);
  put(site, 3, true);
  assert_int_equal(atomic_load(&site->done), 4);
  assert_int_equal(atomic_load(&site->told_to_stop), 3);
}

static void
test_more_threads_than_there_is_room_for(void **state)
{
  struct site *site = *state;
  assert_int_equal(work_pool_start(&site->pool, 1000), 0);
  assert_int_equal(site->pool.threads_count, WORK_THREADS_MAX);
  work_pool_stop(&site->pool);
  assert_int_equal(site->pool.threads_count, 0);
}

#define ON_SITE(function) cmocka_unit_test_setup_teardown(function, setup, teardown)

/* What is not taken is still the caller's. */
static void
test_offers_beyond_the_most_are_refused(void **state)
{
  struct site *site = *state;
  struct piece one = { .work.run = run, .number = 1 };
  struct piece *other = mem_alloc(sizeof *other);
  *other = (struct piece) { .work.run = run, .number = 2 };
  assert_true(work_pool_offer(&site->pool, &other->work, 1)); /* no thread takes it yet */
  assert_false(work_pool_offer(&site->pool, &one.work, 1));
  assert_int_equal(work_pool_start(&site->pool, 1), 0);
  await_begun(site);
  put(site, 3, false);
  await_begun(site);
  work_pool_stop(&site->pool);
  assert_int_equal(site->done, 2);
}

int
main(void)
{
  const struct CMUnitTest tests[] = {
    ON_SITE(test_one_thread_works_in_order),
    ON_SITE(test_threads_work_side_by_side),
    ON_SITE(test_stopping),
    ON_SITE(test_more_threads_than_there_is_room_for),
    ON_SITE(test_offers_beyond_the_most_are_refused),
  };
  return cmocka_run_group_tests_name("work", tests, NULL, NULL);
}
