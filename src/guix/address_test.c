/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "guix/address.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/buf.h"
#include "guix/store_path.h"

/* Seen with guix-daemon: the worked example of the reference, section 2.5. */
#define TEXT "/gnu/store/10n1r190irl4q1illc7d5q04wks8gvgx-greeting.txt"
#define FLAT "/gnu/store/5xwdnrvb55m94nfri6r1aci655rck283-demo-src"
#define HELLO "hello world\n"

static void
put_token(struct buf *out, struct str token)
{
  for (int i = 0; i < 8; i++)
    buf_append_char(out, (char) (token.size >> (8 * i)));
  buf_append_str(out, token);
  while (out->size % 8 != 0)
    buf_append_char(out, '\0');
}

/* TOKENS are separated by spaces; CONTENTS stands for "*". */
static void
make_nar(struct buf *ret, const char *tokens, struct str contents)
{
  struct str rest = str_of(tokens), token;
  put_token(ret, STR("nix-archive-1"));
  while (str_split(&rest, ' ', &token))
    put_token(ret, str_equal(token, STR("*")) ? contents : token);
}

#define PLAIN "( type regular contents * )"
#define FOLDER "( type directory entry ( name a node ( type regular contents * ) ) )"

static int
check_nar(const struct guix_address *address, struct str nar, struct error *err)
{
  struct guix_address_check *check;
  int r = guix_address_check_new(address, &check, err);
  if (r < 0)
    return r;
  for (size_t i = 0; r == 0 && i < nar.size; i += 7)
    r = guix_address_check_feed(
        check, str_from(nar, i).size > 7 ? str_make(nar.data + i, 7) : str_from(nar, i), err);
  if (r == 0)
    r = guix_address_check_end(check, err);
  guix_address_check_free(check);
  return r;
}

static int
check(const struct guix_address *address, const char *tokens, const char *contents)
{
  CLEANUP_BUF struct buf nar = { 0 };
  struct error err = { 0 };
  make_nar(&nar, tokens, str_of(contents));
  return check_nar(address, buf_str(&nar), &err);
}

/* The hashes are those of Python's hashlib. */
static void
test_flat_hashes(void **state)
{
  (void) state;
  static const struct
  {
    const char *algorithm, *hash;
  } cases[] = {
    { "md5", "6f5902ac237024bdd0c176cb93063dc4" },
    { "sha1", "22596363b3de40b06f981fb85d82312e8c0ed511" },
    { "sha256", "a948904f2f0f479b8f8197694b30184b0d2ed1c1cd2a1ec0fb85d299a192a447" },
    { "sha512", "db3974a97f2407b7cae1ae637c0030687a11913274d578492558e39c16c017de"
                "84eacdc8c62fe34ee4e12b4b1428817f09b6a2760c3f8a664ceae94d2434a593" },
    { "sha3-256", "a8009a7a528d87778c356da3a55d964719e818666a04e4f960c9e2439e35f138" },
    { "sha3-512", "4a936cbc1db296bd08d1c0bbf5a66a1897f35ee6d93047e0edff893dfbcba02f"
                  "1e1570e85d1187ea26bea6d54199e0656f1b7c21b9cc2102b8ed2a12769f4531" },
    { "blake2s-256", "9e63cf8c57ba5a7c3019c344ae7192d12f683fb0b5fc03b21bc6d1a377977257" },
  };
  for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
    struct guix_address address = { .path = STR(FLAT),
                                    .algorithm = str_of(cases[i].algorithm),
                                    .hash = str_of(cases[i].hash) };
    assert_int_equal(check(&address, PLAIN, HELLO), 0);
    assert_int_equal(check(&address, PLAIN, "hello World\n"), -EBADMSG);
    assert_int_equal(check(&address, FOLDER, HELLO), -EBADMSG);
    assert_int_equal(check(&address, "( type symlink target * )", HELLO), -EBADMSG);
  }
}

static void
test_a_flat_output_is_not_executable(void **state)
{
  (void) state;
  CLEANUP_BUF struct buf nar = { 0 };
  struct error err = { 0 };
  struct guix_address address = {
    .path = STR(FLAT),
    .algorithm = STR("sha256"),
    .hash = STR("a948904f2f0f479b8f8197694b30184b0d2ed1c1cd2a1ec0fb85d299a192a447")
  };
  make_nar(&nar, "( type regular executable", STR(""));
  put_token(&nar, STR(""));
  put_token(&nar, STR("contents"));
  put_token(&nar, STR(HELLO));
  put_token(&nar, STR(")"));
  assert_int_equal(check_nar(&address, buf_str(&nar), &err), -EBADMSG);
}

static void
test_a_recursive_hash_is_the_nar_s(void **state)
{
  (void) state;
  CLEANUP_BUF struct buf nar = { 0 };
  char digits[GUIX_HASH_HEX_SIZE];
  struct error err = { 0 };
  make_nar(&nar, FOLDER, STR(HELLO));
  struct guix_hash hash = guix_hash_of(buf_str(&nar));
  str_to_hex(hash.bytes, GUIX_HASH_SIZE, digits);
  struct guix_address address = { .path = STR(FLAT),
                                  .algorithm = STR("r:sha256"),
                                  .hash = str_make(digits, sizeof digits) };
  assert_int_equal(check_nar(&address, buf_str(&nar), &err), 0);
  assert_int_equal(check(&address, FOLDER, "other"), -EBADMSG);
}

static void
test_declarations_that_cannot_be_checked(void **state)
{
  (void) state;
  static const struct
  {
    const char *algorithm, *hash;
    int r;
  } cases[] = {
    { "crc32", "00", -ENOTSUP },
    { "r:", "00", -ENOTSUP },
    { "sha256", "00", -EINVAL },
    { "r:md5", "6f5902ac237024bdd0c176cb93063dcx", -EINVAL },
  };
  for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
    struct guix_address address = { .path = STR(FLAT),
                                    .algorithm = str_of(cases[i].algorithm),
                                    .hash = str_of(cases[i].hash) };
    assert_int_equal(check(&address, PLAIN, HELLO), cases[i].r);
  }
}

static void
test_sources(void **state)
{
  (void) state;
  CLEANUP_ARENA struct arena arena = { 0 };
  CLEANUP_BUF struct buf nar = { 0 };
  static const struct str references[] = { { TEXT, sizeof TEXT - 1 } };
  struct error err = { 0 };
  struct guix_address text = { .path = STR(TEXT) }, flat = { .path = STR(FLAT) };
  assert_int_equal(check(&text, PLAIN, HELLO), 0);
  assert_int_equal(check(&text, PLAIN, "other"), -EBADMSG);
  assert_int_equal(check(&text, FOLDER, HELLO), -EBADMSG);
  assert_int_equal(check(&flat, PLAIN, HELLO), 0);
  make_nar(&nar, FOLDER, STR(HELLO));
  struct guix_hash hash = guix_hash_of(buf_str(&nar));
  struct guix_address tree = { .path = guix_path_of_source(&arena, STR("tree"), &hash) };
  assert_int_equal(check_nar(&tree, buf_str(&nar), &err), 0);
  assert_int_equal(check(&tree, FOLDER, "other"), -EBADMSG);
  struct guix_address referring = { .path = guix_path_of_text(&arena, STR("two.txt"), STR(HELLO),
                                                              references, 1),
                                    .references = references,
                                    .references_count = 1 };
  assert_int_equal(check(&referring, PLAIN, HELLO), 0);
  referring.references_count = 0; /* a reference that is kept back */
  assert_int_equal(check(&referring, PLAIN, HELLO), -EBADMSG);
  flat.references = references; /* one that cannot be */
  flat.references_count = 1;
  assert_int_equal(check(&flat, PLAIN, HELLO), -EBADMSG);
}

static void
test_what_is_no_nar(void **state)
{
  (void) state;
  struct error err = { 0 };
  struct guix_address text = { .path = STR(TEXT) };
  CLEANUP_BUF struct buf nar = { 0 };
  make_nar(&nar, PLAIN, STR(HELLO));
  assert_int_equal(check_nar(&text, STR("nonsense"), &err), -EINVAL);
  assert_int_equal(check_nar(&text, str_make(nar.data, nar.size - 16), &err), -EBADMSG);
}

int
main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_flat_hashes),
    cmocka_unit_test(test_a_flat_output_is_not_executable),
    cmocka_unit_test(test_a_recursive_hash_is_the_nar_s),
    cmocka_unit_test(test_declarations_that_cannot_be_checked),
    cmocka_unit_test(test_sources),
    cmocka_unit_test(test_what_is_no_nar),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
