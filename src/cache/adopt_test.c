/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Adopting texts, which need no daemon: it is asked only about items that do not
   prove themselves (tests/cache has those). */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/mem.h"
#include "cache/test_house.h"

#define TEXTS 3000 /* several batches */
#define RIVALS 3

struct adopter
{
  struct house *house;
  struct test_store *store;
  struct str texts[TEXTS];
  int result;
};

static void *
adopt_all(void *context)
{
  struct adopter *adopter = context;
  struct error err = { 0 };
  adopter->result =
      cache_adopt(adopter->house->cache, adopter->store->root, NULL, adopter->texts, TEXTS, &err);
  if (adopter->result < 0)
    fprintf(stderr, "adopter: %s\n", err.message);
  return NULL;
}

/* Several evaluations bring the same sources, each in another order. */
static void
test_adopters_at_once(void **state)
{
  static struct adopter adopters[RIVALS];
  struct house *house = *state;
  struct test_store *store = test_store_new();
  pthread_t threads[RIVALS];
  for (size_t i = 0; i < TEXTS; i++) {
    const char *name = arena_printf(&store->arena, "text-%zu", i);
    adopters[0].texts[i] = test_store_text(store, name, name);
  }
  for (size_t i = 0; i < RIVALS; i++) {
    adopters[i].house = house;
    adopters[i].store = store;
    for (size_t j = 0; j < TEXTS; j++)
      adopters[i].texts[j] = adopters[0].texts[i == 0 ? j : (j * 7 + i * 1013) % TEXTS];
    assert_int_equal(pthread_create(&threads[i], NULL, adopt_all, &adopters[i]), 0);
  }
  for (size_t i = 0; i < RIVALS; i++) {
    pthread_join(threads[i], NULL);
    assert_int_equal(adopters[i].result, 0);
  }
  for (size_t i = 0; i < TEXTS; i += 100)
    assert_true(house_offers(house, guix_path_basename(adopters[0].texts[i])));
  test_store_free(store);
}

/* What is there is not read again; what is not small goes to a file. A nar that is too
   large to be proved goes to the daemon: tests/cache. */
static void
test_adopt(void **state)
{
  struct house *house = *state;
  struct error err = { 0 };
  struct test_store *store = test_store_new();
  CLEANUP_FREE char *contents = mem_alloc(600001);
  unsigned seed = 1;
  for (size_t i = 0; i < 600000; i++)
    contents[i] = (char) ('0' + (rand_r(&seed) >> 8) % 64);
  struct str texts[] = { test_store_text(store, "small", "x"),
                         test_store_text(store, "middle", contents + 500000) };
  assert_int_equal(cache_adopt(house->cache, store->root, NULL, texts, 2, &err), 0);
  assert_int_equal(remove(test_store_file(store, texts[0])), 0);
  assert_int_equal(cache_adopt(house->cache, store->root, NULL, texts, 2, &err), 0);
  for (size_t i = 0; i < 2; i++)
    assert_true(house_offers(house, guix_path_basename(texts[i])));

  struct str gone = test_store_text(store, "gone", "y");
  assert_int_equal(remove(test_store_file(store, gone)), 0);
  assert_int_equal(cache_adopt(house->cache, store->root, NULL, &gone, 1, &err), -ENOENT);
  assert_false(house_offers(house, guix_path_basename(gone)));
  struct str bad = STR("/gnu/store/../../etc/passwd");
  assert_int_equal(cache_adopt(house->cache, store->root, NULL, &bad, 1, &err), -EINVAL);
  test_store_free(store);
}

#define IN_HOUSE(test) cmocka_unit_test_setup_teardown(test, house_setup, house_teardown)

int
main(void)
{
  const struct CMUnitTest tests[] = {
    IN_HOUSE(test_adopters_at_once),
    IN_HOUSE(test_adopt),
  };
  return cmocka_run_group_tests(tests, NULL, test_cluster_teardown);
}
