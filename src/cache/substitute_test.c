/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The substitute server, as clients see it. */
#include <errno.h>
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
#include "http/test_wire.h"

static struct wire_reply
ask(struct house *house, const char *method, const char *target, const char *headers)
{
  CLEANUP_WIRE struct wire wire = wire_open(house->port);
  return wire_ask(&wire, method, target, headers);
}

static const char *
narinfo_target(struct house *house, struct str basename)
{
  return arena_printf(&house->arena, "/%.32s.narinfo", basename.data);
}

/* Asks for a narinfo, which must be right and signed by the house's key. */
static struct guix_narinfo
narinfo_of(struct house *house, struct str basename, struct str *ret_text)
{
  struct error err = { 0 };
  struct guix_narinfo info;
  struct guix_acl *acl;
  CLEANUP_REPLY struct wire_reply reply = ask(house, "GET", narinfo_target(house, basename), "");
  assert_int_equal(reply.status, 200);
  assert_string_equal(wire_header(&reply, "Content-Type"), "application/x-nix-narinfo");
  struct str text = arena_str(&house->arena, buf_str(&reply.body));
  if (ret_text != NULL)
    *ret_text = text;
  const char *acl_text = arena_printf(&house->arena, "(acl (entry %s (tag (guix import))))",
                                      house->cache->public_text);
  assert_int_equal(guix_acl_parse(str_of(acl_text), &acl, &err), 0);
  if (guix_narinfo_verify(text, acl, &err) != 0)
    fail_msg("%s in:\n%.*s", err.message, STR_FMT(text));
  guix_acl_free(acl);
  assert_int_equal(guix_narinfo_parse(text, &house->arena, &info, &err), 0);
  return info;
}

static int
collect(void *context, struct str piece)
{
  buf_append_str(context, piece);
  return 0;
}

/* Fetches a URL of a narinfo and unpacks it: it must be the nar that is promised. */
static void
check_url(struct house *house, const struct guix_narinfo *info, const struct guix_narinfo_url *url)
{
  struct error err = { 0 };
  const char *target = arena_printf(&house->arena, "/%.*s", STR_FMT(url->url));
  CLEANUP_REPLY struct wire_reply reply = ask(house, "GET", target, "");
  assert_int_equal(reply.status, 200);
  assert_int_equal(reply.body.size, url->file_size);
  assert_string_equal(wire_header(&reply, "Content-Length"),
                      arena_printf(&house->arena, "%zu", reply.body.size));
  CLEANUP_BUF struct buf nar = { 0 };
  struct guix_decompressor *unpacker = guix_decompressor_new(url->compression, 0, collect, &nar);
  assert_int_equal(guix_decompressor_feed(unpacker, buf_str(&reply.body), &err), 0);
  assert_int_equal(guix_decompressor_end(unpacker, &err), 0);
  guix_decompressor_free(unpacker);
  struct guix_hash hash = guix_hash_of(buf_str(&nar));
  assert_memory_equal(hash.bytes, info->nar_hash.bytes, GUIX_HASH_SIZE);
  assert_int_equal(nar.size, info->nar_size);
}

static void
check_urls(struct house *house, const struct guix_narinfo *info, const char *compressions)
{
  CLEANUP_BUF struct buf seen = { 0 };
  for (size_t i = 0; i < info->urls_count; i++) {
    buf_printf(&seen, "%s ", guix_compression_name(info->urls[i].compression));
    check_url(house, info, &info->urls[i]);
  }
  assert_string_equal(buf_text(&seen), compressions);
}

/* A whole round; how many were looked at. */
static int
recompress_all(struct house *house)
{
  struct error err = { 0 };
  int64_t after = 0;
  int done, all = 0;
  do {
    assert_int_equal(cache_recompress(house->cache, &after, &done, &err), 0);
    all += done;
  } while (done > 0);
  return all;
}

static void
test_narinfo(void **state)
{
  struct house *house = *state;
  struct house_item low = house_item(house, "low-1", 500, 1);
  struct house_item high = house_item(house, "high-1", 50000, 2);
  house_store(house, &low);
  house_refer(house, &high, low.item.basename);
  house_refer(house, &high, high.item.basename);
  high.item.deriver = STR("00000000000000000000000000000000-high-1.drv");
  house_store(house, &high);

  struct guix_narinfo info = narinfo_of(house, high.item.basename, NULL);
  assert_true(str_equal(guix_path_basename(info.path), high.item.basename));
  assert_int_equal(info.references_count, 2);
  assert_true(str_equal(info.deriver, high.item.deriver));
  check_urls(house, &info, "zstd none ");
  CLEANUP_REPLY struct wire_reply first =
      ask(house, "GET", narinfo_target(house, high.item.basename), "");
  assert_string_equal(wire_header(&first, "Cache-Control"), "public, max-age=300");

  /* The second form comes; small ones do without. */
  assert_int_equal(recompress_all(house), 1);
  struct str before, after;
  narinfo_of(house, high.item.basename, &before);
  info = narinfo_of(house, high.item.basename, &after);
  assert_true(str_equal(before, after)); /* signed once */
  check_urls(house, &info, "gzip zstd ");
  info = narinfo_of(house, low.item.basename, NULL);
  check_urls(house, &info, "zstd none ");
  CLEANUP_REPLY struct wire_reply later =
      ask(house, "GET", narinfo_target(house, high.item.basename), "");
  assert_string_equal(wire_header(&later, "Cache-Control"), "public, max-age=86400");

  CLEANUP_REPLY struct wire_reply unknown =
      ask(house, "GET", "/00000000000000000000000000000000.narinfo", "");
  assert_int_equal(unknown.status, 404);
  assert_string_equal(wire_header(&unknown, "Cache-Control"), "public, max-age=60");
}

/* Compressed contents are not compressed a second time. */
static void
test_compressed_names(void **state)
{
  struct house *house = *state;
  struct house_item item = house_item(house, "source-1.tar.gz", 50000, 3);
  house_store(house, &item);
  assert_int_equal(recompress_all(house), 0);
  struct guix_narinfo info = narinfo_of(house, item.item.basename, NULL);
  check_urls(house, &info, "zstd none ");
}

static void
rewrite(const char *file, struct str contents)
{
  assert_int_equal(file_write_atomic(file, contents, 0644, NULL), 0);
}

static void
test_a_failed_compression_is_noted(void **state)
{
  struct house *house = *state;
  struct house_item item = house_item(house, "damaged-1", 50000, 4);
  house_store(house, &item);
  CLEANUP_FREE char *file =
      cache_nar_file(house->cache, &item.item.nar_hash, GUIX_COMPRESSION_ZSTD);
  CLEANUP_BUF struct buf damaged = { 0 };
  buf_append_str(&damaged, item.packed);
  memcpy(damaged.data, "nonsense", 8);
  rewrite(file, buf_str(&damaged));
  assert_int_equal(recompress_all(house), 1);
  rewrite(file, item.packed);
  assert_int_equal(recompress_all(house), 0); /* not again today */
  struct guix_narinfo info = narinfo_of(house, item.item.basename, NULL);
  check_urls(house, &info, "zstd none ");
}

/* It may be in another process's folder: that one compresses it, and is not held up. */
static void
test_a_file_elsewhere_is_left_to_others(void **state)
{
  struct house *house = *state;
  struct house_item item = house_item(house, "elsewhere-1", 50000, 4);
  house_store(house, &item);
  CLEANUP_FREE char *file =
      cache_nar_file(house->cache, &item.item.nar_hash, GUIX_COMPRESSION_ZSTD);
  CLEANUP_FREE char *aside = mem_printf("%s.aside", file);
  assert_int_equal(rename(file, aside), 0);
  recompress_all(house);
  assert_int_equal(rename(aside, file), 0);
  recompress_all(house);
  struct guix_narinfo info = narinfo_of(house, item.item.basename, NULL);
  check_urls(house, &info, "gzip zstd ");
}

static void
check_key_file(const struct house *house, const char *name, mode_t mode)
{
  CLEANUP_FREE char *file = mem_printf("%s/keys/%s", house->folder, name);
  struct stat status;
  assert_int_equal(stat(file, &status), 0);
  assert_int_equal(status.st_mode & 0777, mode);
}

/* A narinfo that another key signed is signed anew. */
static void
test_key_changes(void **state)
{
  struct house *house = *state;
  struct house_item item = house_item(house, "item-1", 500, 5);
  struct str before, after;
  house_store(house, &item);
  narinfo_of(house, item.item.basename, &before);
  house_restart(house); /* the key stays */
  narinfo_of(house, item.item.basename, &after);
  assert_true(str_equal(before, after));

  struct error err = { 0 };
  CLEANUP_FREE char *keys = mem_printf("%s/keys", house->folder);
  CLEANUP_FREE char *none = mem_printf("%s/none", house->folder);
  assert_int_equal(cache_key_rotate(none, &err), -ENOENT);
  assert_int_equal(cache_key_rotate(keys, &err), 0);
  check_key_file(house, "signing-key.pub", 0444);
  check_key_file(house, "signing-key.sec", 0600);
  house_restart(house);
  narinfo_of(house, item.item.basename, &after);
  assert_false(str_equal(before, after));
}

static char *
key_file(struct house *house, const char *name)
{
  return arena_printf(&house->arena, "%s/keys/signing-key.%s", house->folder, name);
}

static struct str
key_text(struct house *house)
{
  return arena_str(&house->arena, str_of(house->cache->public_text));
}

/* Killed after the private half of a first key, of another key, and before it. */
static void
test_key_making_that_was_killed(void **state)
{
  struct house *house = *state;
  struct error err = { 0 };
  struct str first = key_text(house);
  CLEANUP_FREE char *keys = mem_printf("%s/keys", house->folder);
  assert_int_equal(rename(key_file(house, "pub"), key_file(house, "pub.next")), 0);
  house_restart(house);
  assert_true(str_equal(key_text(house), first));
  check_key_file(house, "signing-key.pub", 0444);

  assert_int_equal(cache_key_rotate(keys, &err), 0);
  assert_int_equal(rename(key_file(house, "pub"), key_file(house, "pub.next")), 0);
  assert_int_equal(file_write_atomic(key_file(house, "pub"), first, 0444, &err), 0);
  house_restart(house);
  struct str second = key_text(house);
  assert_false(str_equal(second, first));

  assert_int_equal(file_write_atomic(key_file(house, "pub.next"), first, 0444, &err), 0);
  house_restart(house);
  assert_true(str_equal(key_text(house), second));
  assert_false(file_exists(key_file(house, "pub.next")));
}

static void
test_ranges_and_conditions(void **state)
{
  struct house *house = *state;
  struct house_item small = house_item(house, "small-1", 500, 6);
  struct house_item large = house_item(house, "large-1", 50000, 7);
  const struct house_item *items[] = { &small, &large };
  for (size_t i = 0; i < 2; i++) {
    house_store(house, items[i]);
    const char *target =
        arena_printf(&house->arena, "/nar/zstd/%.*s", STR_FMT(items[i]->item.basename));
    CLEANUP_REPLY struct wire_reply head = ask(house, "HEAD", target, "");
    assert_int_equal(head.status, 200);
    assert_string_equal(wire_header(&head, "Content-Length"),
                        arena_printf(&house->arena, "%zu", items[i]->packed.size));
    const char *etag = arena_printf(&house->arena, "%s", wire_header(&head, "ETag"));
    assert_true(etag[0] == '"');

    CLEANUP_REPLY struct wire_reply part = ask(house, "GET", target, "Range: bytes=100-199\r\n");
    assert_int_equal(part.status, 206);
    assert_true(str_equal(buf_str(&part.body), str_make(items[i]->packed.data + 100, 100)));
    CLEANUP_REPLY struct wire_reply same =
        ask(house, "GET", target, arena_printf(&house->arena, "If-None-Match: %s\r\n", etag));
    assert_int_equal(same.status, 304);
  }
}

static void
test_narinfo_conditions(void **state)
{
  struct house *house = *state;
  struct house_item item = house_item(house, "item-1", 500, 9);
  house_store(house, &item);
  const char *target = arena_printf(&house->arena, "/%.32s.narinfo", item.item.basename.data);
  CLEANUP_REPLY struct wire_reply whole = ask(house, "GET", target, "");
  assert_int_equal(whole.status, 200);
  const char *condition =
      arena_printf(&house->arena, "If-None-Match: %s\r\n", wire_header(&whole, "ETag"));
  CLEANUP_REPLY struct wire_reply same = ask(house, "GET", target, condition);
  assert_int_equal(same.status, 304);
  house_restart(house);
  CLEANUP_REPLY struct wire_reply still = ask(house, "GET", target, condition);
  assert_int_equal(still.status, 304);
}

static void
test_what_is_not_there(void **state)
{
  struct house *house = *state;
  struct house_item item = house_item(house, "item-1", 500, 8);
  house_store(house, &item);
  const char *targets[] = {
    "/nar/zstd/00000000000000000000000000000000-nothing",
    "/nar/00000000000000000000000000000000-nothing",
    "/short.narinfo",
    "/00000000000000000000000000000000.narinfo",
    "/log/00000000000000000000000000000000-nothing",
    "/file/x/sha256/short",
    "/file/x/sha256/0ix4jahrkll5zg01wandq78jw3ab30q4nscph67rniqg5x7r0j59",
    arena_printf(&house->arena, "/nar/lzip/%.*s", STR_FMT(item.item.basename)),
    arena_printf(&house->arena, "/nar/magic/%.*s", STR_FMT(item.item.basename)),
  };
  for (size_t i = 0; i < ARRAY_SIZE(targets); i++) {
    CLEANUP_REPLY struct wire_reply reply = ask(house, "GET", targets[i], "");
    if (reply.status != 404)
      fail_msg("%s: %d", targets[i], reply.status);
    assert_string_equal(wire_header(&reply, "Cache-Control"), "public, max-age=60");
  }
}

/* "/file": the contents of a flat fixed output out of its nar. */
static void
test_file(void **state)
{
  struct house *house = *state;
  static const size_t sizes[] = { 0, 12, 70000 };
  for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
    struct house_item item = house_item(house, "demo-src", sizes[i], (unsigned) i);
    struct guix_hash hash = guix_hash_of(item.contents);
    char hex[GUIX_HASH_HEX_SIZE], digits[GUIX_HASH_BASE32_SIZE + 1] = { 0 };
    str_to_hex(hash.bytes, GUIX_HASH_SIZE, hex);
    guix_base32_encode(hash.bytes, GUIX_HASH_SIZE, digits);
    struct str path = guix_path_of_fixed(&house->arena, STR("demo-src"), false, STR("sha256"),
                                         str_make(hex, sizeof hex));
    item.item.basename = guix_path_basename(path);
    house_store(house, &item);
    CLEANUP_REPLY struct wire_reply reply =
        ask(house, "GET", arena_printf(&house->arena, "/file/demo-src/sha256/%s", digits), "");
    assert_int_equal(reply.status, 200);
    assert_true(str_equal(buf_str(&reply.body), item.contents));
  }
}

static void
test_derivations(void **state)
{
  struct house *house = *state;
  struct error err = { 0 };
  struct test_store *store = test_store_new();
  struct str text = test_store_text(store, "builder", "x");
  struct str input = test_store_derivation(store, "input-1", NULL, 0, NULL, 0, true);
  struct str drv = test_store_derivation(store, "thing-1", &input, 1, &text, 1, false);
  house_load(house, store, drv);

  /* Its source is not here yet. */
  CLEANUP_REPLY struct wire_reply early =
      ask(house, "GET", narinfo_target(house, guix_path_basename(drv)), "");
  assert_int_equal(early.status, 404);
  struct house_item source = house_item_of(house, "builder", STR("x"));
  source.item.basename = guix_path_basename(text);
  house_store(house, &source);

  struct guix_narinfo info = narinfo_of(house, guix_path_basename(drv), NULL);
  assert_int_equal(info.references_count, 2);
  assert_int_equal(info.deriver.size, 0);
  check_urls(house, &info, "none ");
  CLEANUP_BUF struct buf contents = { 0 }, nar = { 0 };
  assert_int_equal(file_read_all(test_store_file(store, drv), 1 << 20, &contents, &err), 0);
  cache_nar_of_text(buf_str(&contents), &nar);
  struct guix_hash hash = guix_hash_of(buf_str(&nar));
  assert_memory_equal(info.nar_hash.bytes, hash.bytes, GUIX_HASH_SIZE);
  narinfo_of(house, guix_path_basename(input), NULL);
  test_store_free(store);
}

static int
find_log(void *context, struct db *db, struct str basename, int64_t *ret_attempt_id,
         struct error *err)
{
  (void) context, (void) db, (void) err;
  *ret_attempt_id = 77;
  return str_ends(basename, STR("-logged"));
}

static void
test_fixed_texts_and_logs(void **state)
{
  struct house *house = *state;
  struct error err = { 0 };
  int64_t size;
  CLEANUP_REPLY struct wire_reply info = ask(house, "GET", "/nix-cache-info", "");
  assert_string_equal(buf_text(&info.body),
                      "StoreDir: /gnu/store\nWantMassQuery: 0\nPriority: 100\n");
  CLEANUP_REPLY struct wire_reply key = ask(house, "GET", "/signing-key.pub", "");
  assert_string_equal(buf_text(&key.body), house->cache->public_text);

  cache_set_log_lookup(house->cache, find_log, NULL);
  cache_log_append(house->cache, 77, 0, STR("built\n"), &size, &err);
  CLEANUP_REPLY struct wire_reply log =
      ask(house, "GET", "/log/00000000000000000000000000000000-logged", "");
  assert_string_equal(buf_text(&log.body), "built\n");
  CLEANUP_REPLY struct wire_reply none =
      ask(house, "GET", "/log/00000000000000000000000000000000-other", "");
  assert_int_equal(none.status, 404);
}

/* A file that was cut is as good as none: not half an item as if it were whole. */
static void
test_a_cut_file_is_lost(void **state)
{
  struct house *house = *state;
  struct house_item item = house_item(house, "cut-1", 5000, 70);
  house_store(house, &item);
  CLEANUP_FREE char *file =
      cache_nar_file(house->cache, &item.item.nar_hash, GUIX_COMPRESSION_ZSTD);
  assert_int_equal(truncate(file, 100), 0);
  static const char *const forms[] = { "/nar/zstd/", "/nar/" };
  for (size_t i = 0; i < ARRAY_SIZE(forms); i++) {
    CLEANUP_FREE char *target = mem_printf("%s%.*s", forms[i], STR_FMT(item.item.basename));
    CLEANUP_REPLY struct wire_reply reply = ask(house, "GET", target, "");
    assert_int_equal(reply.status, 404);
    assert_int_equal(cache_losses_met(house->cache), i + 1);
  }
}

#define IN_HOUSE(test) cmocka_unit_test_setup_teardown(test, house_setup, house_teardown)

int
main(void)
{
  const struct CMUnitTest tests[] = {
    IN_HOUSE(test_narinfo),
    IN_HOUSE(test_compressed_names),
    IN_HOUSE(test_a_failed_compression_is_noted),
    IN_HOUSE(test_a_file_elsewhere_is_left_to_others),
    IN_HOUSE(test_key_changes),
    IN_HOUSE(test_key_making_that_was_killed),
    IN_HOUSE(test_ranges_and_conditions),
    IN_HOUSE(test_narinfo_conditions),
    IN_HOUSE(test_what_is_not_there),
    IN_HOUSE(test_file),
    IN_HOUSE(test_derivations),
    IN_HOUSE(test_fixed_texts_and_logs),
    IN_HOUSE(test_a_cut_file_is_lost),
  };
  return cmocka_run_group_tests(tests, NULL, test_cluster_teardown);
}
