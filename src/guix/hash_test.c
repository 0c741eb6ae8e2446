/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
/* cmocka needs the three above first. */
#include <cmocka.h>

#include <errno.h>
#include <pthread.h>

#include "guix/hash.h"

#define HELLO_HEX "a948904f2f0f479b8f8197694b30184b0d2ed1c1cd2a1ec0fb85d299a192a447"
#define HELLO_BASE32 "0ix4jahrkll5zg01wandq78jw3ab30q4nscph67rniqg5x7r0j59"

static void
assert_hex(struct guix_hash hash, const char *expected)
{
  char digits[GUIX_HASH_HEX_SIZE + 1] = { 0 };
  str_to_hex(hash.bytes, sizeof hash.bytes, digits);
  assert_string_equal(digits, expected);
}

static void
test_hash_of_known_texts(void **state)
{
  (void) state;
  assert_hex(guix_hash_of(STR("")),
             "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  assert_hex(guix_hash_of(STR("hello world\n")), HELLO_HEX);
}

static void
test_hasher_goes_on_after_a_digest(void **state)
{
  (void) state;
  struct guix_hasher *hasher = guix_hasher_new();
  guix_hasher_update(hasher, "hello ", 6);
  assert_hex(guix_hasher_digest(hasher),
             "5e3235a8346e5a4585f8c58562f5052b8fe26a3bb122e1e96c76784964dfc461");
  guix_hasher_update(hasher, "world\n", 6);
  assert_hex(guix_hasher_digest(hasher), HELLO_HEX);
  assert_hex(guix_hasher_digest(hasher), HELLO_HEX);
  guix_hasher_free(hasher);
  guix_hasher_free(NULL);
}

static void
test_base32_vectors(void **state)
{
  (void) state;
  struct
  {
    struct str bytes;
    const char *digits;
  } vectors[] = {
    { STR(""), "" },
    { STR("\x1f"), "0z" },
    { STR("\xff"), "7z" },
    { STR("\x01\x02\x03\x04\x05"), "0l2060h1" },
    { STR("\xff\xff\xff\xff\xff"), "zzzzzzzz" },
    { STR("\x01\x00\x00\x00\x00"), "00000001" },
    { STR("\x00\x00\x00\x00\x80"), "h0000000" },
  };
  for (size_t i = 0; i < ARRAY_SIZE(vectors); i++) {
    struct str bytes = vectors[i].bytes, digits = str_of(vectors[i].digits);
    char printed[8], back[5];
    guix_base32_encode(bytes.data, bytes.size, printed);
    assert_memory_equal(printed, digits.data, digits.size);
    assert_int_equal(guix_base32_decode(digits, back, bytes.size), 0);
    assert_memory_equal(back, bytes.data, bytes.size);
  }
}

static void
test_base32_refuses_what_it_never_writes(void **state)
{
  (void) state;
  unsigned char bytes[5];
  const char bad[] = "eotuEZ-./ \xff";
  for (size_t i = 0; i < sizeof bad; i++) { /* with the NUL at the end */
    char digits[8] = { '0', '0', '0', bad[i], '0', '0', '0', '0' };
    assert_int_equal(guix_base32_decode(str_make(digits, 8), bytes, 5), -EINVAL);
  }
  assert_int_equal(guix_base32_decode(STR("0000000"), bytes, 5), -EINVAL);
  assert_int_equal(guix_base32_decode(STR("000000000"), bytes, 5), -EINVAL);
  assert_int_equal(guix_base32_decode(STR("8z"), bytes, 1), -EINVAL); /* a ninth bit */
  assert_int_equal(guix_base32_decode(STR("7z"), bytes, 1), 0);
}

static void
test_base32_round_trip_of_all_lengths(void **state)
{
  (void) state;
  unsigned char bytes[64], back[64];
  char digits[104];
  for (size_t i = 0; i < sizeof bytes; i++)
    bytes[i] = (unsigned char) (i * 37 + 11);
  for (size_t size = 0; size <= sizeof bytes; size++) {
    guix_base32_encode(bytes, size, digits);
    assert_int_equal(guix_base32_decode(str_make(digits, (8 * size + 4) / 5), back, size), 0);
    assert_memory_equal(back, bytes, size);
  }
}

static void
test_hash_parse_takes_every_spelling(void **state)
{
  (void) state;
  const char *good[] = { HELLO_HEX, HELLO_BASE32, "sha256:" HELLO_HEX, "sha256:" HELLO_BASE32 };
  for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
    struct guix_hash hash = { 0 };
    assert_int_equal(guix_hash_parse(str_of(good[i]), &hash), 0);
    assert_hex(hash, HELLO_HEX);
  }
  const char *bad[] = { "",
                        "sha256:",
                        "sha512:" HELLO_HEX,
                        HELLO_HEX "0",
                        "sha256:sha256:" HELLO_HEX,
                        "z" HELLO_BASE32,
                        "zix4jahrkll5zg01wandq78jw3ab30q4nscph67rniqg5x7r0j59" };
  for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
    struct guix_hash hash = guix_hash_of(STR("hello world\n"));
    assert_int_equal(guix_hash_parse(str_of(bad[i]), &hash), -EINVAL);
    assert_hex(hash, HELLO_HEX); /* untouched */
  }
}

static void *
hash_in_a_thread(void *unused)
{
  (void) unused;
  for (int i = 0; i < 100; i++)
    assert_hex(guix_hash_of(STR("hello world\n")), HELLO_HEX);
  return NULL;
}

/* Must come first in main, while libgcrypt is not yet started. */
static void
test_threads_may_race_to_start(void **state)
{
  (void) state;
  pthread_t threads[8];
  for (size_t i = 0; i < ARRAY_SIZE(threads); i++)
    assert_int_equal(pthread_create(&threads[i], NULL, hash_in_a_thread, NULL), 0);
  for (size_t i = 0; i < ARRAY_SIZE(threads); i++)
    assert_int_equal(pthread_join(threads[i], NULL), 0);
}

int
main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_threads_may_race_to_start),
    cmocka_unit_test(test_hash_of_known_texts),
    cmocka_unit_test(test_hasher_goes_on_after_a_digest),
    cmocka_unit_test(test_base32_vectors),
    cmocka_unit_test(test_base32_refuses_what_it_never_writes),
    cmocka_unit_test(test_base32_round_trip_of_all_lengths),
    cmocka_unit_test(test_hash_parse_takes_every_spelling),
  };
  return cmocka_run_group_tests_name("guix/hash", tests, NULL, NULL);
}
