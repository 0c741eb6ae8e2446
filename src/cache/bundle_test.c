/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Bundles, read back by the reader of export streams. */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "cache/test_house.h"
#include "http/test_wire.h"

struct received
{
  struct arena arena;
  struct str paths[512];
  size_t references[512];
  struct guix_hash hashes[512];
  size_t count;
};

static int
note_item(void *context, const struct guix_archive_item *item)
{
  struct received *received = context;
  received->paths[received->count] = arena_str(&received->arena, item->path);
  received->references[received->count] = item->references_count;
  received->hashes[received->count++] = item->nar_hash;
  return 0;
}

static struct wire_reply
ask_for(struct house *house, const struct str *names, size_t count)
{
  CLEANUP_BUF struct buf target = { 0 };
  buf_append_text(&target, "/bundle?items=");
  for (size_t i = 0; i < count; i++)
    buf_printf(&target, "%s%.*s", i == 0 ? "" : "+", STR_FMT(names[i]));
  CLEANUP_WIRE struct wire wire = wire_open(house->port);
  return wire_ask(&wire, "GET", buf_text(&target), "");
}

/* Reads a bundle; every item must be signed by the house's key. */
static int
read_bundle(struct house *house, struct str bytes, struct received *ret, struct error *err)
{
  static const struct guix_archive_visitor visitor = { .item = note_item };
  struct guix_acl *acl;
  const char *text = arena_printf(&house->arena, "(acl (entry %s (tag (guix import))))",
                                  house->cache->public_text);
  assert_int_equal(guix_acl_parse(str_of(text), &acl, err), 0);
  struct guix_archive_reader *reader = guix_archive_reader_new(acl, &visitor, ret);
  int r = guix_archive_reader_feed(reader, bytes, err);
  if (r == 0)
    r = guix_archive_reader_end(reader, err);
  guix_archive_reader_free(reader);
  guix_acl_free(acl);
  return r;
}

static void
test_bundle(void **state)
{
  struct house *house = *state;
  struct error err = { 0 };
  struct test_store *store = test_store_new();
  struct house_item source = house_item_of(house, "builder", STR("x"));
  source.item.basename = guix_path_basename(test_store_text(store, "builder", "x"));
  house_store(house, &source);
  struct str text = test_store_text(store, "builder", "x");
  struct str drv = test_store_derivation(store, "thing-1", NULL, 0, &text, 1, false);
  house_load(house, store, drv);
  struct house_item large = house_item(house, "large-1", 400000, 1);
  house_refer(house, &large, source.item.basename);
  large.item.deriver = guix_path_basename(drv);
  house_store(house, &large);

  struct str names[] = { source.item.basename, guix_path_basename(drv), large.item.basename };
  CLEANUP_REPLY struct wire_reply reply = ask_for(house, names, 3);
  assert_int_equal(reply.status, 200);
  assert_true(reply.whole);
  struct received *received = mem_alloc(sizeof *received);
  if (read_bundle(house, buf_str(&reply.body), received, &err) < 0)
    fail_msg("%s", err.message);
  assert_int_equal(received->count, 3);
  for (size_t i = 0; i < 3; i++)
    assert_true(str_equal(guix_path_basename(received->paths[i]), names[i]));
  assert_int_equal(received->references[1], 1);
  assert_int_equal(received->references[2], 1);
  assert_memory_equal(received->hashes[2].bytes, large.item.nar_hash.bytes, GUIX_HASH_SIZE);
  arena_free(&received->arena);
  free(received);
  test_store_free(store);
}

/* More than a slice of small ones, from database and graph, in the order asked. */
static void
test_many(void **state)
{
  enum
  {
    COUNT = 300
  };
  struct house *house = *state;
  struct error err = { 0 };
  struct test_store *store = test_store_new();
  struct str names[COUNT], previous = STR("");
  for (unsigned i = 0; i < COUNT; i++) {
    if (i % 2 == 0) {
      struct house_item item = house_item(house, "item", 30 + i, i);
      house_store(house, &item);
      names[i] = item.item.basename;
      continue;
    }
    const char *name = arena_printf(&store->arena, "drv-%u", i);
    previous = test_store_derivation(store, name, &previous, i > 1, NULL, 0, false);
    names[i] = guix_path_basename(previous);
  }
  house_load(house, store, previous);
  CLEANUP_REPLY struct wire_reply reply = ask_for(house, names, COUNT);
  struct received *received = mem_alloc(sizeof *received);
  if (read_bundle(house, buf_str(&reply.body), received, &err) < 0)
    fail_msg("%s", err.message);
  assert_int_equal(received->count, COUNT);
  for (size_t i = 0; i < COUNT; i++)
    assert_true(str_equal(guix_path_basename(received->paths[i]), names[i]));
  arena_free(&received->arena);
  free(received);
  test_store_free(store);
}

/* Its text is larger than all that may wait for the client. */
static void
test_a_large_derivation(void **state)
{
  enum
  {
    SOURCES = 30000
  };
  struct house *house = *state;
  struct error err = { 0 };
  struct test_store *store = test_store_new();
  struct str *sources = arena_array(&store->arena, SOURCES, sizeof *sources);
  for (int i = 0; i < SOURCES; i++)
    sources[i] = str_of(arena_printf(
        &store->arena, GUIX_STORE_PREFIX "10n1r190irl4q1illc7d5q04wks8gvgx-source-%d", i));
  struct str drv = test_store_derivation(store, "large", NULL, 0, sources, SOURCES, false);
  struct str name = guix_path_basename(drv);
  house_load(house, store, drv);
  CLEANUP_REPLY struct wire_reply reply = ask_for(house, &name, 1);
  assert_true(reply.whole);
  struct received *received = mem_alloc(sizeof *received);
  if (read_bundle(house, buf_str(&reply.body), received, &err) < 0)
    fail_msg("%s", err.message);
  assert_int_equal(received->count, 1);
  assert_int_equal(received->references[0], SOURCES);
  assert_true(reply.body.size > 2 << 20);
  arena_free(&received->arena);
  free(received);
  test_store_free(store);
}

static void
test_unknown_items(void **state)
{
  struct house *house = *state;
  struct house_item item = house_item(house, "item", 30, 1);
  house_store(house, &item);
  struct str names[] = { item.item.basename, STR("00000000000000000000000000000000-gone-1") };
  CLEANUP_REPLY struct wire_reply reply = ask_for(house, names, 2);
  assert_int_equal(reply.status, 404);
}

/* A file that has gone ends the stream before its end mark, and the reply before its end. */
static void
test_a_lost_file_shows(void **state)
{
  struct house *house = *state;
  struct error err = { 0 };
  struct house_item item = house_item(house, "item", 50000, 1);
  house_store(house, &item);
  CLEANUP_FREE char *file =
      cache_nar_file(house->cache, &item.item.nar_hash, GUIX_COMPRESSION_ZSTD);
  assert_int_equal(unlink(file), 0);
  CLEANUP_REPLY struct wire_reply reply = ask_for(house, &item.item.basename, 1);
  assert_false(reply.whole);
  struct received *received = mem_alloc(sizeof *received);
  assert_int_equal(read_bundle(house, buf_str(&reply.body), received, &err), -EPIPE);
  free(received);
}

static int
bundles(struct house *house)
{
  pthread_mutex_lock(&house->cache->mutex);
  int count = house->cache->bundles;
  pthread_mutex_unlock(&house->cache->mutex);
  return count;
}

/* A client that reads nothing holds its thread only; one that leaves frees it; a
   stop does not wait for either. */
static void
test_clients_that_do_not_read(void **state)
{
  struct house *house = *state;
  struct house_item item = house_item(house, "item", 6 << 20, 1);
  house_store(house, &item);
  const char *request =
      arena_printf(&house->arena, "GET /bundle?items=%.*s HTTP/1.1\r\nHost: x\r\n\r\n",
                   STR_FMT(item.item.basename));
  struct wire leaves = wire_open_small(house->port, 4096);
  wire_send(&leaves, request);
  wire_expect(&leaves, "nix-archive-1");
  assert_int_equal(bundles(house), 1);
  wire_close(&leaves);
  int64_t deadline = clock_monotonic_ms() + 20000;
  while (bundles(house) > 0 && clock_monotonic_ms() < deadline)
    clock_sleep_ms(2);
  assert_int_equal(bundles(house), 0);

  CLEANUP_WIRE struct wire stays = wire_open_small(house->port, 4096);
  wire_send(&stays, request);
  wire_expect(&stays, "nix-archive-1");
  int64_t start = clock_monotonic_ms();
  house_restart(house);
  assert_true(clock_monotonic_ms() - start < 20000);
}

#define IN_HOUSE(test) cmocka_unit_test_setup_teardown(test, house_setup, house_teardown)

int
main(void)
{
  const struct CMUnitTest tests[] = {
    IN_HOUSE(test_bundle),
    IN_HOUSE(test_many),
    IN_HOUSE(test_a_large_derivation),
    IN_HOUSE(test_unknown_items),
    IN_HOUSE(test_a_lost_file_shows),
    IN_HOUSE(test_clients_that_do_not_read),
  };
  return cmocka_run_group_tests(tests, NULL, test_cluster_teardown);
}
