/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What threads that must not wait are told when the database is away. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
/* cmocka needs the three above first. */
#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/thread.h"
#include "db/test_cluster.h"

struct haste
{
  pthread_t thread;
  struct db_pool *pool;
  void (*forbid)(void);
  int result;
  int64_t took_ms;
  struct error err;
};

static void *
haste_main(void *context)
{
  struct haste *haste = context;
  struct db *db = NULL;
  haste->forbid();
  int64_t start = clock_monotonic_ms();
  haste->result = db_pool_get(haste->pool, &db, &haste->err);
  haste->took_ms = clock_monotonic_ms() - start;
  db_pool_put(haste->pool, db);
  return NULL;
}

static struct haste
get(struct db_pool *pool, void (*forbid)(void))
{
  struct haste haste = { .pool = pool, .forbid = forbid };
  pthread_create(&haste.thread, NULL, haste_main, &haste);
  pthread_join(haste.thread, NULL);
  return haste;
}

static struct haste
get_in_haste(struct db_pool *pool)
{
  return get(pool, thread_forbid_waiting);
}

static void
test_in_haste_an_absent_server_is_told_at_once(void **state)
{
  (void) state;
  void (*const forbids[])(void) = { thread_forbid_waiting, thread_forbid_outages };
  for (size_t i = 0; i < 2; i++) {
    struct db_pool *pool = db_pool_new("postgresql://127.0.0.1:1/x", 1);
    struct haste haste = get(pool, forbids[i]);
    assert_int_equal(haste.result, -DB_ERROR_LOST);
    assert_in_range(haste.took_ms, 0, 5000); /* the patient give up after 9 s */
    db_pool_free(pool);
  }
}

/* It takes connections and says nothing: only one caller finds that out. */
static void
test_in_haste_a_silent_server_holds_up_one(void **state)
{
  (void) state;
  struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
  socklen_t size = sizeof address;
  CLEANUP_FD int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  assert_int_equal(bind(listener, (struct sockaddr *) &address, size), 0);
  assert_int_equal(listen(listener, 9), 0);
  assert_int_equal(getsockname(listener, (struct sockaddr *) &address, &size), 0);
  CLEANUP_FREE char *uri =
      mem_printf("postgresql://127.0.0.1:%d/x?sslmode=disable", ntohs(address.sin_port));
  struct db_pool *pool = db_pool_new(uri, 1);
  struct haste haste = get_in_haste(pool);
  assert_int_equal(haste.result, -DB_ERROR_LOST);
  assert_in_range(haste.took_ms, 1000, 20000);
  haste = get_in_haste(pool);
  assert_int_equal(haste.result, -DB_ERROR_LOST);
  assert_in_range(haste.took_ms, 0, 999);
  db_pool_free(pool);
}

static void
test_in_haste_a_busy_pool_is_told_soon(void **state)
{
  struct test_database *database = *state;
  struct db *taken[4];
  for (size_t i = 0; i < 4; i++)
    assert_int_equal(db_pool_get(database->pool, &taken[i], NULL), 0);
  struct haste haste = get_in_haste(database->pool);
  assert_int_equal(haste.result, -EBUSY);
  assert_in_range(haste.took_ms, 500, 10000);
  db_pool_put(database->pool, taken[0]);
  assert_int_equal(get_in_haste(database->pool).result, 0);
  for (size_t i = 1; i < 4; i++)
    db_pool_put(database->pool, taken[i]);
}

struct late
{
  pthread_t thread;
  struct db_pool *pool;
  struct db *db;
};

static void *
late_main(void *context)
{
  struct late *late = context;
  clock_sleep_ms(1500); /* longer than those in haste wait */
  db_pool_put(late->pool, late->db);
  return NULL;
}

/* Others that use the database are no outage. */
static void
test_without_haste_a_busy_pool_is_waited_for(void **state)
{
  struct test_database *database = *state;
  struct db *taken[4];
  for (size_t i = 0; i < 4; i++)
    assert_int_equal(db_pool_get(database->pool, &taken[i], NULL), 0);
  struct late late = { .pool = database->pool, .db = taken[0] };
  pthread_create(&late.thread, NULL, late_main, &late);
  assert_int_equal(get(database->pool, thread_forbid_outages).result, 0);
  pthread_join(late.thread, NULL);
  for (size_t i = 1; i < 4; i++)
    db_pool_put(database->pool, taken[i]);
}

int
main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_in_haste_an_absent_server_is_told_at_once),
    cmocka_unit_test(test_in_haste_a_silent_server_holds_up_one),
    cmocka_unit_test_setup_teardown(test_in_haste_a_busy_pool_is_told_soon, test_database_setup,
                                    test_database_teardown),
    cmocka_unit_test_setup_teardown(test_without_haste_a_busy_pool_is_waited_for,
                                    test_database_setup, test_database_teardown),
  };
  return cmocka_run_group_tests(tests, NULL, test_cluster_teardown);
}
