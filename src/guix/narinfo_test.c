/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "guix/narinfo.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
/* cmocka needs the headers above first. */
#include <cmocka.h>

#include "base/mem.h"
#include "guix/vectors_test.h"

#define BASENAME_A "qmcmp026j2j6q2r0zy187v4bab5aj0pi-a"
#define BASENAME_B "8a6w80mdrwq3zbdj3n79nqbp002dg9q5-b"

static struct guix_key *
vector_key(void)
{
  struct guix_key *key = NULL;
  assert_int_equal(
      guix_key_parse(str_of(vector_public_key), str_of(vector_private_key), &key, NULL), 0);
  return key;
}

static struct guix_narinfo
parse(struct arena *arena, const char *text)
{
  struct guix_narinfo info;
  struct error err = { 0 };
  if (guix_narinfo_parse(str_of(text), arena, &info, &err) < 0)
    fail_msg("%s", err.message);
  return info;
}

static void
test_parse_vector(void **state)
{
  (void) state;
  CLEANUP_ARENA struct arena arena = { 0 };
  struct guix_narinfo info = parse(&arena, vector_narinfo);
  assert_true(str_equal(info.path, STR(VECTOR_PATH_B)));
  assert_int_equal(info.nar_size, 160);
  char hash[GUIX_HASH_BASE32_SIZE + 1] = { 0 };
  guix_base32_encode(info.nar_hash.bytes, GUIX_HASH_SIZE, hash);
  assert_string_equal(hash, "0ymx0bfxi1rxlrmnfhmdqdndz55w4zri1cs4g0q73dp8906cpfvh");
  assert_int_equal(info.references_count, 1);
  assert_true(str_equal(info.references[0], STR(BASENAME_A)));
  assert_int_equal(info.deriver.size, 0);
  assert_int_equal(info.urls_count, 2);
  assert_true(str_equal(info.urls[0].url, STR("nar/gzip/" BASENAME_B)));
  assert_int_equal(info.urls[0].compression, GUIX_COMPRESSION_GZIP);
  assert_int_equal(info.urls[0].file_size, 127);
  assert_int_equal(info.urls[1].compression, GUIX_COMPRESSION_LZIP);
  assert_int_equal(info.urls[1].file_size, 137);
  assert_true(str_starts(info.signature, STR("1;vm;KHNp")));
}

/* The same key signs to the same bytes, so all of it can be compared. */
static void
test_write_vector(void **state)
{
  (void) state;
  CLEANUP_ARENA struct arena arena = { 0 };
  struct guix_narinfo info = parse(&arena, vector_narinfo);
  struct guix_key *key = vector_key();
  CLEANUP_BUF struct buf text = { 0 };
  assert_int_equal(guix_narinfo_write_signed(&info, key, "vm", &text, NULL), 0);
  guix_narinfo_write_urls(info.urls, info.urls_count, &text);
  assert_string_equal(buf_text(&text), vector_narinfo);
  guix_key_free(key);
}

static void
test_write_without_references_and_with_deriver(void **state)
{
  (void) state;
  struct guix_narinfo info = {
    .path = STR(VECTOR_PATH_A),
    .nar_hash = guix_hash_of(STR("")),
    .nar_size = 128,
    .deriver = STR(BASENAME_B ".drv"),
  };
  struct guix_narinfo_url urls[] = {
    { STR("nar/zstd/x"), GUIX_COMPRESSION_ZSTD, 10 },
    { STR("nar/x"), GUIX_COMPRESSION_NONE, -1 },
  };
  CLEANUP_BUF struct buf text = { 0 };
  assert_int_equal(guix_narinfo_write_signed(&info, NULL, NULL, &text, NULL), 0);
  guix_narinfo_write_urls(urls, 2, &text);
  assert_string_equal(buf_text(&text),
                      "StorePath: " VECTOR_PATH_A "\n"
                      "NarHash: sha256:0mdqa9w1p6cmli6976v4wi0sw9r4p5prkj7lzfd1877wk11c9c73\n"
                      "NarSize: 128\n"
                      "References: \n"
                      "Deriver: " BASENAME_B ".drv\n"
                      "URL: nar/zstd/x\n"
                      "Compression: zstd\n"
                      "URL: nar/x\n"
                      "Compression: none\n");
  CLEANUP_ARENA struct arena arena = { 0 };
  struct guix_narinfo again = parse(&arena, buf_text(&text));
  assert_int_equal(again.references_count, 0);
  assert_int_equal(again.urls[1].file_size, -1);
  assert_int_equal(again.signature.size, 0);
}

static void
test_write_refuses_what_could_not_be_read(void **state)
{
  (void) state;
  struct guix_key *key = vector_key();
  CLEANUP_BUF struct buf text = { 0 };
  struct str bad_reference = STR("x\nNarHash: sha256:evil");
  struct guix_narinfo good = { .path = STR(VECTOR_PATH_A), .nar_size = 128 };
  struct guix_narinfo bad[4] = { good, good, good, good };
  bad[0].path = STR("/gnu/store/../etc/passwd");
  bad[1].nar_size = 0;
  bad[2].references = &bad_reference;
  bad[2].references_count = 1;
  bad[3].deriver = bad_reference;
  for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
    assert_int_equal(guix_narinfo_write_signed(&bad[i], key, "vm", &text, NULL), -EINVAL);
  assert_int_equal(guix_narinfo_write_signed(&good, key, "v;m", &text, NULL), -EINVAL);
  assert_int_equal(guix_narinfo_write_signed(&good, key, "v\nm", &text, NULL), -EINVAL);
  assert_int_equal(text.size, 0);
  assert_int_equal(guix_narinfo_write_signed(&good, key, "vm", &text, NULL), 0);
  guix_key_free(key);
}

#define HEAD                                                               \
  "StorePath: " VECTOR_PATH_A "\n"                                         \
  "NarHash: sha256:0mdqa9w1p6cmli6976v4wi0sw9r4p5prkj7lzfd1877wk11c9c73\n" \
  "NarSize: 128\n"                                                         \
  "References: " BASENAME_A " " BASENAME_B "\n"

static void
test_parse_tolerates(void **state)
{
  (void) state;
  CLEANUP_ARENA struct arena arena = { 0 };
  struct guix_narinfo info = parse(&arena, "# a comment\n" HEAD "System: x86_64-linux\n"
                                           "URL: a\nCompression: xz\nFileSize: 7\n"
                                           "URL: b\nCompression: zstd\nFileHash: what: ever\n"
                                           "URL: c\n"
                                           "URL: d\nCompression:none\nFileSize: 9");
  assert_int_equal(info.references_count, 2);
  assert_int_equal(info.urls_count, 2);
  assert_true(str_equal(info.urls[0].url, STR("b")));
  assert_int_equal(info.urls[0].file_size, -1);
  assert_true(str_equal(info.urls[1].url, STR("d")));
  assert_int_equal(info.urls[1].file_size, 9);
}

static void
test_parse_many_urls(void **state)
{
  (void) state;
  CLEANUP_ARENA struct arena arena = { 0 };
  CLEANUP_BUF struct buf text = { 0 };
  buf_append_text(&text, HEAD);
  for (int i = 0; i < 100; i++)
    buf_printf(&text, "URL: u%d\nCompression: gzip\n", i);
  struct guix_narinfo info = parse(&arena, buf_text(&text));
  assert_int_equal(info.urls_count, GUIX_NARINFO_URLS_MAX);
  assert_true(str_equal(info.urls[7].url, STR("u7")));
}

static void
test_parse_refuses(void **state)
{
  (void) state;
  static const char *const bad[] = {
    "",
    "\n" HEAD,
    "StorePath: " VECTOR_PATH_A "\n",
    HEAD "StorePath: " VECTOR_PATH_A "\n",
    HEAD "References: \n",
    HEAD "no colon\n",
    HEAD "+ continued\n",
    HEAD "+x: continued\n",
    HEAD ": no name\n",
    HEAD "Deriver: ../x\n",
    HEAD "URL: \n",
    HEAD "URL: a b\n",
    HEAD "URL: a\nFileSize: -1\n",
    HEAD "URL: a\nFileSize: 99999999999999999999\n",
    "StorePath: /gnu/store/x\nNarHash: sha256:"
    "0mdqa9w1p6cmli6976v4wi0sw9r4p5prkj7lzfd1877wk11c9c73\nNarSize: 1\nReferences: \n",
    "StorePath: " VECTOR_PATH_A "\nNarHash: "
    "0mdqa9w1p6cmli6976v4wi0sw9r4p5prkj7lzfd1877wk11c9c73\nNarSize: 1\nReferences: \n",
    "StorePath: " VECTOR_PATH_A "\nNarHash: sha256:"
    "0mdqa9w1p6cmli6976v4wi0sw9r4p5prkj7lzfd1877wk11c9c73\nNarSize: 0\nReferences: \n",
    "StorePath: " VECTOR_PATH_A "\nNarHash: sha256:"
    "0mdqa9w1p6cmli6976v4wi0sw9r4p5prkj7lzfd1877wk11c9c73\nNarSize: 1\nReferences: a/b\n",
  };
  for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
    CLEANUP_ARENA struct arena arena = { 0 };
    struct guix_narinfo info;
    if (guix_narinfo_parse(str_of(bad[i]), &arena, &info, NULL) != -EINVAL)
      fail_msg("accepted: %s", bad[i]);
  }
  CLEANUP_ARENA struct arena arena = { 0 };
  CLEANUP_FREE char *huge = mem_alloc(GUIX_NARINFO_SIZE_MAX + 1);
  struct guix_narinfo info;
  assert_int_equal(
      guix_narinfo_parse(str_make(huge, GUIX_NARINFO_SIZE_MAX + 1), &arena, &info, NULL), -EINVAL);
}

/* ---- verifying ---- */

static struct guix_acl *
acl_with(const char *public_key)
{
  CLEANUP_FREE char *text = mem_printf("(acl (entry %s (tag (guix import))))", public_key);
  struct guix_acl *acl = NULL;
  assert_int_equal(guix_acl_parse(str_of(text), &acl, NULL), 0);
  return acl;
}

static int
verify(const char *text)
{
  struct guix_acl *acl = acl_with(vector_public_key);
  int r = guix_narinfo_verify(str_of(text), acl, NULL);
  guix_acl_free(acl);
  return r;
}

/* TEXT with the first OLD replaced. */
static char *
with(const char *text, const char *old, const char *new)
{
  const char *place = strstr(text, old);
  assert_non_null(place);
  return mem_printf("%.*s%s%s", (int) (place - text), text, new, place + strlen(old));
}

static void
test_verify_vector(void **state)
{
  (void) state;
  assert_int_equal(verify(vector_narinfo), 0);
  assert_int_equal(guix_narinfo_verify(str_of(vector_narinfo), NULL, NULL), 0);
  struct guix_acl *others = NULL;
  assert_int_equal(guix_acl_parse(str_of(vector_acl), &others, NULL), 0);
  assert_int_equal(guix_narinfo_verify(str_of(vector_narinfo), others, NULL), -EKEYREJECTED);
  guix_acl_free(others);
}

static void
test_verify_finds_changes(void **state)
{
  (void) state;
  static const struct
  {
    const char *old;
    const char *new;
    int expected;
  } changes[] = {
    { "NarSize: 160", "NarSize: 161", -EBADMSG },
    { "NarSize: 160", "NarSize:  160", -EBADMSG },
    { "StorePath: /gnu/store/8", "StorePath: /gnu/store/9", -EBADMSG },
    { "References: " BASENAME_A, "References: ", -EBADMSG },
    { "Signature: 1;", "Signature: 2;", -EINVAL },
    { "Signature: 1;", "Signature: 1", -EINVAL },
    { "Signature: 1;vm;K", "Signature: 1;vm;!", -EINVAL },
    { "Signature: 1;vm;KHNp", "Signature: 1;vm;", -EINVAL },
    { "Signature: 1;vm;", "Signature: 1;another host;", 0 },
    { "URL: nar/gzip/", "URL: http://mirror.example/", 0 },
    { "FileSize: 127", "FileSize: 128", 0 },
    { "Signature:", "Sygnature:", -ENOKEY },
    { "URL: nar/gzip", "Deriver: " BASENAME_A ".drv\nURL: nar/gzip", -ENOKEY },
    { "StorePath:", "XSignature: 1\nStorePath:", -ENOKEY },
    { "StorePath:", "\n\nStorePath:", -EINVAL },
  };
  for (size_t i = 0; i < ARRAY_SIZE(changes); i++) {
    CLEANUP_FREE char *text = with(vector_narinfo, changes[i].old, changes[i].new);
    if (verify(text) != changes[i].expected)
      fail_msg("%s -> %s: %d", changes[i].old, changes[i].new, verify(text));
  }
}

/* Fields after the signature are not signed: NarSize there must not count. */
static void
test_verify_demands_all_fields_before_the_signature(void **state)
{
  (void) state;
  CLEANUP_FREE char *without = with(vector_narinfo, "NarSize: 160\n", "");
  CLEANUP_FREE char *moved = with(without, "URL: nar/gzip", "NarSize: 160\nURL: nar/gzip");
  assert_int_equal(verify(moved), -ENOKEY);
}

static void
test_verify_truncated_anywhere(void **state)
{
  (void) state;
  /* The last group of base64 is only the signature's line feed. */
  size_t signed_size = (size_t) (strstr(vector_narinfo, "Cg==\nURL:") - vector_narinfo);
  for (size_t size = 0; size < signed_size; size++) {
    CLEANUP_FREE char *text = mem_strndup(vector_narinfo, size);
    assert_true(verify(text) < 0);
  }
}

int
main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_parse_vector),
    cmocka_unit_test(test_write_vector),
    cmocka_unit_test(test_write_without_references_and_with_deriver),
    cmocka_unit_test(test_write_refuses_what_could_not_be_read),
    cmocka_unit_test(test_parse_tolerates),
    cmocka_unit_test(test_parse_many_urls),
    cmocka_unit_test(test_parse_refuses),
    cmocka_unit_test(test_verify_vector),
    cmocka_unit_test(test_verify_finds_changes),
    cmocka_unit_test(test_verify_demands_all_fields_before_the_signature),
    cmocka_unit_test(test_verify_truncated_anywhere),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
