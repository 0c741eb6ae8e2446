/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Uploads, their check, and the invariant of registration. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/file.h"
#include "base/mem.h"
#include "cache/test_house.h"

#define BIG 300000 /* more than lies in the database, several pieces */

static bool
nar_file_exists(struct house *house, const struct cache_item *item)
{
  CLEANUP_FREE char *file = cache_nar_file(house->cache, &item->nar_hash, GUIX_COMPRESSION_ZSTD);
  return file_exists(file);
}

/* ---- uploads ---- */

static void
append(struct house *house, const struct house_item *item, size_t from, size_t to)
{
  struct error err = { 0 };
  struct cache_upload *upload;
  assert_int_equal(
      cache_upload_open(house->cache, item->item.upload, (int64_t) from, &upload, &err), 0);
  assert_int_equal(cache_upload_append(upload, str_make(item->packed.data + from, to - from), &err),
                   0);
  cache_upload_close(upload);
}

/* Cut in every place of a small one, with a restart now and then. */
static void
test_resume_at_every_cut(void **state)
{
  struct house *house = *state;
  struct error err = { 0 };
  struct house_item item = house_item(house, "small-1.0", 40, 1);
  for (size_t cut = 0; cut <= item.packed.size; cut++) {
    append(house, &item, 0, cut);
    if (cut % 50 == 0)
      house_restart(house);
    assert_int_equal(cache_upload_offset(house->cache, item.item.upload), cut);
    append(house, &item, cut, item.packed.size);
    assert_int_equal(cache_upload_verify(house->cache, &item.item, &err), 0);
    assert_int_equal(cache_upload_offset(house->cache, item.item.upload), 0);
    assert_true(nar_file_exists(house, &item.item));
  }
  assert_int_equal(house_register(house, &item.item, 1, &err), 0);
  assert_true(house_offers(house, item.item.basename));
}

static void
test_resume_a_large_one(void **state)
{
  struct house *house = *state;
  struct error err = { 0 };
  struct house_item item = house_item(house, "large-1.0", BIG, 2);
  size_t cuts[] = { 0, 1, 4096, 65536, 65537, 200000, item.packed.size };
  for (size_t i = 1; i < ARRAY_SIZE(cuts); i++)
    append(house, &item, cuts[i - 1], cuts[i]);
  assert_int_equal(cache_upload_verify(house->cache, &item.item, &err), 0);
  assert_int_equal(house_register(house, &item.item, 1, &err), 0);
  assert_true(nar_file_exists(house, &item.item));
}

static void
test_uploads_are_guarded(void **state)
{
  struct house *house = *state;
  struct error err = { 0 };
  struct house_item item = house_item(house, "guarded-1.0", 100, 3);
  struct cache_upload *first, *second;
  assert_int_equal(cache_upload_open(house->cache, item.item.upload, 0, &first, &err), 0);
  assert_int_equal(cache_upload_open(house->cache, item.item.upload, 0, &second, &err), -EBUSY);
  assert_int_equal(cache_upload_verify(house->cache, &item.item, &err), -EBUSY);
  assert_int_equal(cache_upload_append(first, STR("1234"), &err), 0);
  assert_int_equal(cache_upload_open(house->cache, item.item.upload, 0, &second, &err), -EBUSY);
  assert_int_equal(cache_upload_offset(house->cache, item.item.upload), 4);
  cache_upload_close(first);
  assert_int_equal(cache_upload_open(house->cache, item.item.upload, 3, &second, &err), -EINVAL);
  assert_int_equal(cache_upload_open(house->cache, item.item.upload, 5, &second, &err), -EINVAL);
  assert_int_equal(cache_upload_open(house->cache, item.item.upload, 0, &second, &err), 0);
  cache_upload_close(second);
  assert_int_equal(cache_upload_offset(house->cache, item.item.upload), 0);

  static const char *const bad[] = { "", "..", "a/b", "../keys", "a.b", ".new-1", "\n" };
  for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
    assert_int_equal(cache_upload_open(house->cache, bad[i], 0, &second, &err), -EINVAL);
    assert_int_equal(cache_upload_offset(house->cache, bad[i]), 0);
  }
}

/* A kill between the file's place and the end of its old name: what is in its place
   must not grow. */
static void
test_a_placed_file_never_grows(void **state)
{
  struct house *house = *state;
  struct error err = { 0 };
  struct house_item item = house_item(house, "placed-1.0", 5000, 3);
  struct cache_upload *upload;
  house_upload(house, &item);
  int64_t size = cache_upload_offset(house->cache, item.item.upload);
  CLEANUP_FREE char *name = mem_printf("%s/%s", house->cache->upload_folder, item.item.upload);
  CLEANUP_FREE char *kept = mem_printf("%s/kept", house->folder);
  assert_int_equal(link(name, kept), 0); /* verifying takes NAME away */
  assert_int_equal(cache_upload_verify(house->cache, &item.item, &err), 0);
  assert_int_equal(link(kept, name), 0);
  assert_int_equal(unlink(kept), 0);

  assert_int_equal(cache_upload_open(house->cache, item.item.upload, size, &upload, &err), -EBUSY);
  assert_int_equal(cache_upload_offset(house->cache, item.item.upload), 0);
  assert_int_equal(cache_upload_open(house->cache, item.item.upload, 0, &upload, &err), 0);
  assert_int_equal(cache_upload_append(upload, STR("other"), &err), 0);
  cache_upload_close(upload);
  CLEANUP_FREE char *file =
      cache_nar_file(house->cache, &item.item.nar_hash, GUIX_COMPRESSION_ZSTD);
  CLEANUP_BUF struct buf text = { 0 };
  assert_int_equal(file_read_all(file, 1 << 20, &text, &err), 0);
  assert_true(str_equal(buf_str(&text), item.packed));
}

/* ---- damage ---- */

static void
expect_damaged(struct house *house, const struct house_item *item)
{
  struct error err = { 0 };
  house_upload(house, item);
  assert_int_equal(cache_upload_verify(house->cache, &item->item, &err), -EBADMSG);
  assert_true(err.message[0] != '\0');
  assert_int_equal(cache_upload_offset(house->cache, item->item.upload), 0);
  assert_false(nar_file_exists(house, &item->item));
  assert_true(house_register(house, &item->item, 1, &err) < 0);
  assert_false(house_offers(house, item->item.basename));
}

static void
test_damaged_uploads(void **state)
{
  struct house *house = *state;
  struct house_item good = house_item(house, "good-1.0", 5000, 4), item = good;

  item.packed.size = good.packed.size - 1; /* cut short */
  expect_damaged(house, &item);
  item.packed.size = 0; /* empty */
  expect_damaged(house, &item);

  char *changed = arena_alloc(&house->arena, good.packed.size + 1);
  memcpy(changed, good.packed.data, good.packed.size);
  changed[good.packed.size / 2] ^= 1; /* one bit */
  item.packed = str_make(changed, good.packed.size);
  expect_damaged(house, &item);
  memcpy(changed, good.packed.data, good.packed.size);
  changed[good.packed.size] = 'x'; /* something behind it */
  item.packed = str_make(changed, good.packed.size + 1);
  expect_damaged(house, &item);

  item = good;
  item.item.nar_hash.bytes[0] ^= 1; /* another hash */
  expect_damaged(house, &item);
  item = good;
  item.item.nar_size++; /* another size */
  expect_damaged(house, &item);
  item.item.nar_size -= 2;
  expect_damaged(house, &item);
}

/* Right hash and size of something that is no nar. */
static void
test_not_a_nar(void **state)
{
  struct house *house = *state;
  struct house_item item = house_item_of(house, "no-nar", STR("x"));
  struct str bytes = STR("no nar at all");
  item.packed = house_pack(house, bytes);
  item.item.nar_hash = guix_hash_of(bytes);
  item.item.nar_size = (int64_t) bytes.size;
  expect_damaged(house, &item);
}

/* A few hundred bytes that unpack to a gigabyte stop at the promised size. */
static void
test_a_bomb_stops(void **state)
{
  struct house *house = *state;
  CLEANUP_BUF struct buf zeros = { 0 };
  memset(buf_reserve(&zeros, 64 << 20), 0, 64 << 20);
  zeros.size = 64 << 20;
  struct house_item bomb = house_item_of(house, "bomb", buf_str(&zeros));
  bomb.item.nar_size = 200;
  expect_damaged(house, &bomb);
}

static void
test_verify_again(void **state)
{
  struct house *house = *state;
  struct error err = { 0 };
  struct house_item item = house_item(house, "again-1.0", 9000, 5);
  house_upload(house, &item);
  assert_int_equal(cache_upload_verify(house->cache, &item.item, &err), 0);
  assert_int_equal(cache_upload_verify(house->cache, &item.item, &err), 0);
  item.item.nar_size++;
  assert_int_equal(cache_upload_verify(house->cache, &item.item, &err), -EBADMSG);
  item.item.nar_size--;
  assert_int_equal(cache_upload_verify(house->cache, &item.item, &err), 0);
}

/* ---- registration ---- */

static void
test_references_must_be_offered(void **state)
{
  struct house *house = *state;
  struct error err = { 0 };
  struct house_item low = house_item(house, "low-1", 3000, 6);
  struct house_item high = house_item(house, "high-1", 3000, 7);
  house_refer(house, &high, low.item.basename);
  house_refer(house, &high, high.item.basename);
  house_upload(house, &high);
  assert_int_equal(cache_upload_verify(house->cache, &high.item, &err), 0);
  assert_int_equal(house_register(house, &high.item, 1, &err), -ENOKEY);
  assert_non_null(strstr(err.message, "low-1"));
  assert_false(house_offers(house, high.item.basename));

  house_upload(house, &low);
  assert_int_equal(cache_upload_verify(house->cache, &low.item, &err), 0);
  struct cache_item both[] = { high.item, low.item, high.item }; /* any order, twice */
  assert_int_equal(house_register(house, both, 3, &err), 0);
  assert_true(house_offers(house, high.item.basename));
  assert_true(house_offers(house, low.item.basename));
}

static void
test_a_derivation_is_offered(void **state)
{
  struct house *house = *state;
  struct error err = { 0 };
  struct test_store *store = test_store_new();
  struct str drv = test_store_derivation(store, "thing-1", NULL, 0, NULL, 0, true);
  struct house_item item = house_item(house, "refers-to-drv", 100, 8);
  house_refer(house, &item, guix_path_basename(drv));
  house_upload(house, &item);
  assert_int_equal(cache_upload_verify(house->cache, &item.item, &err), 0);
  assert_int_equal(house_register(house, &item.item, 1, &err), -ENOKEY);
  house_load(house, store, drv);
  assert_int_equal(house_register(house, &item.item, 1, &err), 0);
  test_store_free(store);
}

/* Not reproducible: the second result of a build has another nar. The first
   stays, bytes and all. */
static void
test_offered_items_stay(void **state)
{
  struct house *house = *state;
  struct error err = { 0 };
  struct house_item first = house_item(house, "once-1", 5000, 9);
  struct house_item second = house_item(house, "once-1", 5000, 10);
  second.item.basename = first.item.basename;
  house_store(house, &first);
  house_upload(house, &second);
  assert_int_equal(cache_upload_verify(house->cache, &second.item, &err), 0);
  house_refer(house, &second, STR("00000000000000000000000000000000-unknown"));
  assert_int_equal(house_register(house, &second.item, 1, &err), 0);
  assert_true(nar_file_exists(house, &first.item));
  assert_true(nar_file_exists(house, &second.item)); /* until the sweep */
  assert_int_equal(cache_sweep_nars(house->cache, 0, &err), 0);
  assert_true(nar_file_exists(house, &first.item));
  assert_false(nar_file_exists(house, &second.item));
}

/* What a file in its place holds is not believed: damaged, by a disk or a power failure, it
   makes way for the same nar that comes again, and all that share it are well. */
static void
check_damaged_file(struct house *house, size_t size, bool cut)
{
  struct error err = { 0 };
  static unsigned seed = 40;
  struct house_item first = house_item(house, "before-1", size, ++seed);
  struct house_item again = house_item(house, "after-1", size, seed);
  house_store(house, &first);
  CLEANUP_FREE char *file =
      cache_nar_file(house->cache, &first.item.nar_hash, GUIX_COMPRESSION_ZSTD);
  CLEANUP_FD int fd = open(file, O_WRONLY | O_CLOEXEC);
  if (cut)
    assert_int_equal(ftruncate(fd, (off_t) first.packed.size / 2), 0);
  else
    assert_int_equal(pwrite(fd, "?", 1, (off_t) first.packed.size / 2), 1);
  house_store(house, &again);
  CLEANUP_BUF struct buf whole = { 0 };
  assert_int_equal(file_read_all(file, 1 << 20, &whole, &err), 0);
  assert_true(str_equal(buf_str(&whole), again.packed));
  struct cache_check check = { 0 };
  assert_int_equal(cache_check_files(house->cache, &check, &err), 0);
  assert_int_equal(check.count, 0);
  cache_check_free(&check);
}

static void
test_a_damaged_file_makes_way(void **state)
{
  check_damaged_file(*state, 5000, true);
  check_damaged_file(*state, 5000, false);
  check_damaged_file(*state, 1000, true); /* in the database; the file waits for the sweep */
}

/* A nar that another compressor made is as good: who is being sent it is not disturbed. */
static void
test_a_rival_of_another_compressor_stays(void **state)
{
  struct house *house = *state;
  struct error err = { 0 };
  struct house_item first = house_item(house, "before-2", 5000, 60);
  struct house_item again = house_item(house, "after-2", 5000, 60);
  house_store(house, &first);
  CLEANUP_FREE char *file =
      cache_nar_file(house->cache, &first.item.nar_hash, GUIX_COMPRESSION_ZSTD);
  CLEANUP_BUF struct buf two = { 0 };
  buf_append_str(&two, again.packed);
  buf_append_str(&two, house_pack(house, STR(""))); /* a second, empty frame */
  assert_int_equal(file_write_atomic(file, buf_str(&two), 0644, &err), 0);
  house_store(house, &again);
  CLEANUP_BUF struct buf kept = { 0 };
  assert_int_equal(file_read_all(file, 1 << 20, &kept, &err), 0);
  assert_true(str_equal(buf_str(&kept), buf_str(&two)));
}

static void
test_closure(void **state)
{
  struct house *house = *state;
  struct error err = { 0 };
  struct house_item items[4];
  for (unsigned i = 0; i < 4; i++) {
    items[i] = house_item(house, "chain", 100 + i, i);
    if (i > 0)
      house_refer(house, &items[i], items[i - 1].item.basename);
    house_refer(house, &items[i], items[i].item.basename);
    house_store(house, &items[i]);
  }
  struct db *db;
  int64_t top, *ids;
  size_t count;
  struct str names[4];
  assert_int_equal(db_pool_get(house->database->pool, &db, &err), 0);
  assert_int_equal(graph_path_find(db, items[3].item.basename, &top, &err), 1);
  assert_int_equal(cache_closure(db, &top, 1, &house->arena, &ids, &count, &err), 0);
  assert_int_equal(count, 4);
  assert_int_equal(graph_path_basenames(db, ids, 4, &house->arena, names, &err), 0);
  for (size_t i = 0; i < 4; i++)
    assert_true(str_equal(names[i], items[i].item.basename));

  bool offered[2];
  int64_t asked[] = { 999999, top };
  assert_int_equal(cache_offered(db, asked, 2, offered, &err), 0);
  assert_true(!offered[0] && offered[1]);
  db_pool_put(house->database->pool, db);
}

/* ---- rivals ---- */

#define RIVALS 4
#define SHARED 30

struct rival
{
  struct house *house;
  struct cache_item items[SHARED];
  int result;
};

static void *
rival_run(void *context)
{
  struct rival *rival = context;
  struct error err = { 0 };
  rival->result = house_register(rival->house, rival->items, SHARED, &err);
  if (rival->result < 0)
    fprintf(stderr, "rival: %s\n", err.message);
  return NULL;
}

/* The same items, which refer to each other, registered by several at once and
   each in another order. */
static void
test_rivals(void **state)
{
  struct house *house = *state;
  struct error err = { 0 };
  static struct rival rivals[RIVALS];
  pthread_t threads[RIVALS];
  struct house_item items[SHARED];
  for (unsigned i = 0; i < SHARED; i++) {
    items[i] = house_item(house, "shared", 50 + i, i);
    if (i > 0)
      house_refer(house, &items[i], items[i - 1].item.basename);
    house_upload(house, &items[i]);
    assert_int_equal(cache_upload_verify(house->cache, &items[i].item, &err), 0);
  }
  for (size_t i = 0; i < RIVALS; i++) {
    rivals[i].house = house;
    for (size_t j = 0; j < SHARED; j++)
      rivals[i].items[j] = items[(j * 7 + i * 11) % SHARED].item;
    assert_int_equal(pthread_create(&threads[i], NULL, rival_run, &rivals[i]), 0);
  }
  for (size_t i = 0; i < RIVALS; i++) {
    pthread_join(threads[i], NULL);
    assert_int_equal(rivals[i].result, 0);
  }
  for (size_t i = 0; i < SHARED; i++)
    assert_true(house_offers(house, items[i].item.basename));
}

/* ---- clearing ---- */

/* What lies in the database needs no file; what does not, keeps it. */
static void
test_sweep(void **state)
{
  struct house *house = *state;
  struct error err = { 0 };
  struct house_item small = house_item(house, "small-1", 100, 11);
  struct house_item large = house_item(house, "large-1", BIG, 12);
  struct house_item orphan = house_item(house, "orphan-1", BIG, 13);
  house_store(house, &small);
  house_store(house, &large);
  house_upload(house, &orphan);
  assert_int_equal(cache_upload_verify(house->cache, &orphan.item, &err), 0);
  assert_int_equal(cache_sweep_nars(house->cache, 3600, &err), 0);
  assert_true(nar_file_exists(house, &small.item) && nar_file_exists(house, &orphan.item));
  assert_int_equal(cache_sweep_nars(house->cache, 0, &err), 0);
  assert_false(nar_file_exists(house, &small.item));
  assert_false(nar_file_exists(house, &orphan.item));
  assert_true(nar_file_exists(house, &large.item));

  /* A sweep that was killed between its two looks is undone by the next. */
  CLEANUP_FREE char *file =
      cache_nar_file(house->cache, &large.item.nar_hash, GUIX_COMPRESSION_ZSTD);
  CLEANUP_FREE char *away = mem_printf("%s.away", file);
  assert_int_equal(rename(file, away), 0);
  assert_int_equal(cache_sweep_nars(house->cache, 3600, &err), 0);
  assert_true(nar_file_exists(house, &large.item));
  assert_false(file_exists(away));

  house_upload(house, &orphan);
  assert_int_equal(cache_sweep_uploads(house->cache, 3600, &err), 0);
  assert_true(cache_upload_offset(house->cache, orphan.item.upload) > 0);
  assert_int_equal(cache_sweep_uploads(house->cache, 0, &err), 0);
  assert_int_equal(cache_upload_offset(house->cache, orphan.item.upload), 0);
}

#define IN_HOUSE(test) cmocka_unit_test_setup_teardown(test, house_setup, house_teardown)

int
main(void)
{
  const struct CMUnitTest tests[] = {
    IN_HOUSE(test_resume_at_every_cut),
    IN_HOUSE(test_resume_a_large_one),
    IN_HOUSE(test_uploads_are_guarded),
    IN_HOUSE(test_a_placed_file_never_grows),
    IN_HOUSE(test_damaged_uploads),
    IN_HOUSE(test_not_a_nar),
    IN_HOUSE(test_a_bomb_stops),
    IN_HOUSE(test_verify_again),
    IN_HOUSE(test_references_must_be_offered),
    IN_HOUSE(test_a_derivation_is_offered),
    IN_HOUSE(test_offered_items_stay),
    IN_HOUSE(test_a_damaged_file_makes_way),
    IN_HOUSE(test_a_rival_of_another_compressor_stays),
    IN_HOUSE(test_closure),
    IN_HOUSE(test_rivals),
    IN_HOUSE(test_sweep),
  };
  return cmocka_run_group_tests(tests, NULL, test_cluster_teardown);
}
