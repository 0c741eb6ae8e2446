/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "guix/keys.h"

#include <errno.h>
#include <gcrypt.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
/* cmocka needs the headers above first. */
#include <cmocka.h>

#include "base/file.h"
#include "base/mem.h"
#include "guix/sexp.h"
#include "guix/vectors_test.h"

#define NO_TEXT \
  (struct str)  \
  {             \
    NULL, 0     \
  }

static struct guix_key *
parse_key(const char *public_text, const char *private_text)
{
  struct guix_key *key = NULL;
  assert_int_equal(guix_key_parse(str_of(public_text), str_of(private_text), &key, NULL), 0);
  return key;
}

static struct guix_key *
vector_key(void)
{
  return parse_key(vector_public_key, vector_private_key);
}

static struct guix_key *
new_key(void)
{
  struct guix_key *key = NULL;
  assert_int_equal(guix_key_generate(&key, NULL), 0);
  return key;
}

static struct guix_acl *
parse_acl(const char *text)
{
  struct guix_acl *acl = NULL;
  assert_int_equal(guix_acl_parse(str_of(text), &acl, NULL), 0);
  return acl;
}

static void
key_freep(struct guix_key **key)
{
  guix_key_free(*key);
}

static void
acl_freep(struct guix_acl **acl)
{
  guix_acl_free(*acl);
}

#define CLEANUP_KEY PN_CLEANUP(key_freep)
#define CLEANUP_ACL PN_CLEANUP(acl_freep)

static void
test_texts_are_those_of_guix(void **state)
{
  (void) state;
  CLEANUP_KEY struct guix_key *key = vector_key();
  CLEANUP_BUF struct buf public_text = { 0 }, private_text = { 0 };
  guix_key_public_text(key, &public_text);
  assert_string_equal(buf_text(&public_text), vector_public_key);
  assert_int_equal(guix_key_private_text(key, &private_text), 0);
  assert_string_equal(buf_text(&private_text), vector_private_key);
}

static void
test_generated_keys_have_the_same_form(void **state)
{
  (void) state;
  CLEANUP_KEY struct guix_key *key = new_key();
  CLEANUP_KEY struct guix_key *again = NULL;
  CLEANUP_BUF struct buf public_text = { 0 }, private_text = { 0 };
  guix_key_public_text(key, &public_text);
  assert_int_equal(guix_key_private_text(key, &private_text), 0);
  static const char head[] = "(public-key \n (ecc \n  (curve Ed25519)\n  (q #";
  assert_true(str_starts(buf_str(&public_text), str_of(head)));
  assert_int_equal(public_text.size, strlen(vector_public_key));
  assert_int_equal(private_text.size, strlen(vector_private_key));
  assert_null(strstr(buf_text(&public_text), "flags"));
  assert_int_equal(guix_key_parse(buf_str(&public_text), buf_str(&private_text), &again, NULL), 0);
}

static void
test_public_key_alone(void **state)
{
  (void) state;
  CLEANUP_KEY struct guix_key *key = parse_key(vector_public_key, NULL);
  CLEANUP_BUF struct buf out = { 0 };
  struct guix_hash hash = guix_hash_of(STR("x"));
  assert_int_equal(guix_key_private_text(key, &out), -ENOENT);
  assert_int_equal(guix_sign(key, &hash, &out, NULL), -ENOENT);
  assert_int_equal(out.size, 0);
}

static void
test_bad_keys_are_refused(void **state)
{
  (void) state;
  static const char *const bad[] = {
    "",
    "(",
    "x",
    "()",
    "(public-key)",
    "(public-key (dsa))",
    "(public-key ecc)",
    "(signature (ecc (curve Ed25519) (q #00#)))",
    "(public-key (ecc (curve Ed25519) (q #00#)))) trailing",
    "((((((((((((((((((((((((((((((((((((((((a))))))))))))))))))))))))))))))))))))))))",
  };
  struct guix_key *key = NULL;
  for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
    assert_int_equal(guix_key_parse(str_of(bad[i]), NO_TEXT, &key, NULL), -EINVAL);
  assert_int_equal(guix_key_parse(str_of(vector_private_key), NO_TEXT, &key, NULL), -EINVAL);
  assert_int_equal(guix_key_parse(str_of(vector_public_key), str_of(vector_public_key), &key, NULL),
                   -EINVAL);
  assert_null(key);
}

static void
test_keys_must_belong_together(void **state)
{
  (void) state;
  CLEANUP_KEY struct guix_key *other = new_key();
  CLEANUP_BUF struct buf text = { 0 };
  guix_key_public_text(other, &text);
  struct guix_key *key = NULL;
  assert_int_equal(guix_key_parse(buf_str(&text), str_of(vector_private_key), &key, NULL), -EINVAL);
}

static void
test_sign_and_verify(void **state)
{
  (void) state;
  CLEANUP_KEY struct guix_key *key = vector_key();
  CLEANUP_BUF struct buf signature = { 0 }, again = { 0 };
  struct guix_hash hash = guix_hash_of(STR("hello"));
  assert_int_equal(guix_sign(key, &hash, &signature, NULL), 0);
  assert_int_equal(guix_sign(key, &hash, &again, NULL), 0);
  assert_true(str_equal(buf_str(&signature), buf_str(&again)));
  assert_int_equal(guix_verify(buf_str(&signature), &hash, NULL, NULL), 0);
}

/* Replaces the one place where OLD stands in TEXT. */
static void
replace(struct buf *text, const char *old, const char *new)
{
  char *place = strstr(buf_text(text), old);
  assert_non_null(place);
  assert_int_equal(strlen(old), strlen(new));
  while (*new != '\0')
    *place++ = *new ++;
}

static void
test_verify_in_the_order_of_the_reference(void **state)
{
  (void) state;
  CLEANUP_KEY struct guix_key *key = vector_key();
  CLEANUP_BUF struct buf signature = { 0 };
  struct guix_hash hash = guix_hash_of(STR("hello")), other = guix_hash_of(STR("other"));
  CLEANUP_ACL struct guix_acl *acl = parse_acl(vector_acl);
  assert_int_equal(guix_sign(key, &hash, &signature, NULL), 0);

  /* Not authorized comes before another hash, that before a wrong value. */
  assert_int_equal(guix_verify(buf_str(&signature), &other, acl, NULL), -EKEYREJECTED);
  assert_int_equal(guix_verify(buf_str(&signature), &other, NULL, NULL), -EBADMSG);
  char *r = strstr(buf_text(&signature), "(r #") + 10;
  *r = *r == '0' ? '1' : '0';
  assert_int_equal(guix_verify(buf_str(&signature), &other, NULL, NULL), -EBADMSG);
  assert_int_equal(guix_verify(buf_str(&signature), &hash, NULL, NULL), -EPERM);
  replace(&signature, "(data", "(atad");
  assert_int_equal(guix_verify(buf_str(&signature), &hash, acl, NULL), -EINVAL);
}

/* Another hash in the signed text, a good signature of some other hash. */
static void
test_verify_refuses_a_borrowed_value(void **state)
{
  (void) state;
  CLEANUP_KEY struct guix_key *key = vector_key();
  CLEANUP_BUF struct buf signature = { 0 };
  struct guix_hash hash = guix_hash_of(STR("hello")), other = guix_hash_of(STR("other"));
  assert_int_equal(guix_sign(key, &hash, &signature, NULL), 0);
  char *digits = strstr(buf_text(&signature), "sha256 #") + 8;
  str_to_hex(other.bytes, GUIX_HASH_SIZE, digits);
  assert_int_equal(guix_verify(buf_str(&signature), &other, NULL, NULL), -EPERM);
}

static void
test_verify_demands_the_exact_shape(void **state)
{
  (void) state;
  CLEANUP_KEY struct guix_key *key = vector_key();
  CLEANUP_BUF struct buf signature = { 0 };
  struct guix_hash hash = guix_hash_of(STR("hello"));
  assert_int_equal(guix_sign(key, &hash, &signature, NULL), 0);
  CLEANUP_FREE char *inner = mem_strdup(strstr(buf_text(&signature), "(data"));
  inner[strlen(inner) - 2] = '\0'; /* without ")\n" */
  static const char *const shapes[] = {
    "(signature %s (data (flags rfc6979) (hash sha256 #00#)))",
    "(signature (data (flags rfc6979) (hash sha256 #00#)) %s)",
    "(signature (extra) %s)",
    "(other %s)",
    "(outer (signature %s))",
  };
  for (size_t i = 0; i < ARRAY_SIZE(shapes); i++) {
    const char *hole = strstr(shapes[i], "%s");
    CLEANUP_FREE char *text =
        mem_printf("%.*s%s%s", (int) (hole - shapes[i]), shapes[i], inner, hole + 2);
    assert_int_equal(guix_verify(str_of(text), &hash, NULL, NULL), -EINVAL);
  }
  CLEANUP_FREE char *right = mem_printf("(signature %s)", inner);
  assert_int_equal(guix_verify(str_of(right), &hash, NULL, NULL), 0);
}

static void
test_verify_truncated_anywhere(void **state)
{
  (void) state;
  CLEANUP_KEY struct guix_key *key = vector_key();
  CLEANUP_BUF struct buf signature = { 0 };
  struct guix_hash hash = guix_hash_of(STR("hello"));
  assert_int_equal(guix_sign(key, &hash, &signature, NULL), 0);
  for (size_t size = 0; size + 1 < signature.size; size++)
    assert_int_equal(guix_verify(str_make(signature.data, size), &hash, NULL, NULL), -EINVAL);
}

/* As old Guix made them: such keys stand in old ACLs. */
static void
test_rsa_signatures_verify(void **state)
{
  (void) state;
  struct guix_hash hash = guix_hash_of(STR("hello")), other = guix_hash_of(STR("other"));
  CLEANUP_SEXP gcry_sexp_t wish = NULL, pair = NULL, data = NULL, value = NULL, all = NULL;
  assert_int_equal(sexp_parse(STR("(genkey (rsa (nbits 4:1024)))"), 100, &wish, NULL), 0);
  assert_int_equal(gcry_pk_genkey(&pair, wish), 0);
  CLEANUP_SEXP gcry_sexp_t public = gcry_sexp_find_token(pair, "public-key", 0);
  CLEANUP_SEXP gcry_sexp_t private = gcry_sexp_find_token(pair, "private-key", 0);
  assert_int_equal(gcry_sexp_build(&data, NULL, "(data (flags pkcs1) (hash sha256 %b))",
                                   GUIX_HASH_SIZE, hash.bytes),
                   0);
  assert_int_equal(gcry_pk_sign(&value, data, private), 0);
  assert_int_equal(gcry_sexp_build(&all, NULL, "(signature %S %S %S)", data, value, public), 0);
  CLEANUP_BUF struct buf text = { 0 };
  sexp_print_advanced(all, &text);
  assert_int_equal(guix_verify(buf_str(&text), &hash, NULL, NULL), 0);
  assert_int_equal(guix_verify(buf_str(&text), &other, NULL, NULL), -EBADMSG);
  replace(&text, "pkcs1", "pkcs9");
  assert_int_equal(guix_verify(buf_str(&text), &hash, NULL, NULL), -EINVAL);
}

/* Each of these made libgcrypt 1.10.1 crash, or might: found by fuzzing. */
static void
test_dangerous_keys_are_refused(void **state)
{
  (void) state;
  static const char zero_modulus[] =
      "(public-key (rsa (n #00000000000000000000000000000000000000000000000000000000000000000000"
      "000000000000000000000000000000000000000000000000000000000000#) (e #010001#)))";
  static const char *const keys[] = {
    "(public-key (ecc (q #FBF0B0F23D69B86B03882F41621342133E3CE48DA37D1F4177CE0773886F5BF6#)))",
    "(public-key (ecc (curve Ed25519) (q #FBF0B0F23D69B86B03882F437D1F4177CE0773886F5BF6#)))",
    "(public-key (ecc (curve Ed25519)))",
    "(public-key (ecc (curve Ed25519) (q)))",
    zero_modulus,
    "(public-key (rsa (n #00#) (e #010001#)))",
    "(public-key (rsa (n) (e)))",
    "(public-key (rsa))",
  };
  static const char *const values[] = {
    "(sig-val (ecdsa (r #01#) (s #01#)))",
    "(sig-val (rsa (s #01#)))",
    "(sig-val (ecdsa (r) (s)))",
    "(sig-val)",
  };
  struct guix_hash hash = guix_hash_of(STR("x"));
  char digits[GUIX_HASH_HEX_SIZE + 1] = { 0 };
  str_to_hex(hash.bytes, GUIX_HASH_SIZE, digits);
  for (size_t k = 0; k < ARRAY_SIZE(keys); k++) {
    struct guix_key *key = NULL;
    assert_int_equal(guix_key_parse(str_of(keys[k]), NO_TEXT, &key, NULL), -EINVAL);
    for (size_t v = 0; v < ARRAY_SIZE(values); v++)
      for (int f = 0; f < 2; f++) {
        CLEANUP_FREE char *text =
            mem_printf("(signature (data (flags %s) (hash sha256 #%s#)) %s %s)",
                       f == 0 ? "rfc6979" : "pkcs1", digits, values[v], keys[k]);
        assert_int_equal(guix_verify(str_of(text), &hash, NULL, NULL), -EINVAL);
      }
  }
  struct guix_key *key = NULL;
  struct str no_curve =
      STR("(private-key (ecc (q #FBF0B0F23D69B86B03882F41621342133E3CE48DA37D1F4177CE0773886F5BF6#)"
          " (d #54FD04EACCB42CF7AB46B29B7319744F2A039BC309B6B99AF1483513F3555B98#)))");
  assert_int_equal(guix_key_parse(str_of(vector_public_key), no_curve, &key, NULL), -EINVAL);
}

/* ---- ACLs ---- */

static void
test_acl_of_guix(void **state)
{
  (void) state;
  CLEANUP_ACL struct guix_acl *acl = parse_acl(vector_acl);
  CLEANUP_KEY struct guix_key *mine = vector_key();
  CLEANUP_KEY struct guix_key *ci =
      parse_key("(public-key (ecc (curve Ed25519) (q "
                "#8D156F295D24B0D9A86FA5741A840FF2D24F60F7B6C4134814AD55625971B394#)))",
                NULL);
  assert_true(guix_acl_contains(acl, ci));
  assert_false(guix_acl_contains(acl, mine));
}

static void
test_acl_is_strict(void **state)
{
  (void) state;
  static const char *const bad[] = {
    "",
    "()",
    "(other)",
    "(acl x)",
    "(acl (entry))",
    "(acl (entry (public-key x)))",
    "(acl (entry (public-key x) (tag (guix export))))",
    "(acl (entry (public-key x) (tag (guix import) more)))",
    "(acl (entry (public-key x) (tag (guix import)) more))",
    "(acl (entry (public-key x) (tag (guix import))) more)",
    "(acl (entry (tag (guix import)) (public-key x)))",
    "(acl (entry (public-key x) (tag (guix import)))",
  };
  struct guix_acl *acl = NULL;
  for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
    assert_int_equal(guix_acl_parse(str_of(bad[i]), &acl, NULL), -EINVAL);
  assert_null(acl);
  acl = parse_acl("(acl)");
  guix_acl_free(acl);
}

static void
test_flags_make_another_key(void **state)
{
  (void) state;
  CLEANUP_ACL struct guix_acl *acl =
      parse_acl("(acl (entry (public-key (ecc (curve Ed25519) (flags eddsa) (q "
                "#FBF0B0F23D69B86B03882F41621342133E3CE48DA37D1F4177CE0773886F5BF6#)))"
                " (tag (guix import))))");
  CLEANUP_KEY struct guix_key *key = vector_key();
  assert_false(guix_acl_contains(acl, key));
}

struct scratch
{
  char folder[64];
  char path[128];
};

static struct scratch
scratch_make(void)
{
  struct scratch scratch = { .folder = "/tmp/keys_test.XXXXXX" };
  assert_non_null(mkdtemp(scratch.folder));
  snprintf(scratch.path, sizeof scratch.path, "%s/etc/guix/acl", scratch.folder);
  return scratch;
}

static void
scratch_remove(struct scratch *scratch)
{
  assert_int_equal(file_remove_tree(scratch->folder, NULL), 0);
}

static struct guix_acl *
load_acl(const char *path)
{
  CLEANUP_BUF struct buf text = { 0 };
  assert_int_equal(file_read_all(path, 1 << 20, &text, NULL), 0);
  return parse_acl(buf_text(&text));
}

static void
test_authorize_makes_and_extends(void **state)
{
  (void) state;
  PN_CLEANUP(scratch_remove) struct scratch scratch = scratch_make();
  CLEANUP_KEY struct guix_key *one = vector_key();
  CLEANUP_KEY struct guix_key *other = new_key();
  assert_int_equal(guix_acl_authorize(scratch.path, one, NULL), 1);
  assert_int_equal(guix_acl_authorize(scratch.path, other, NULL), 1);
  assert_int_equal(guix_acl_authorize(scratch.path, one, NULL), 0);
  CLEANUP_ACL struct guix_acl *acl = load_acl(scratch.path);
  assert_true(guix_acl_contains(acl, one));
  assert_true(guix_acl_contains(acl, other));
  struct stat status;
  assert_int_equal(stat(scratch.path, &status), 0);
  assert_int_equal(status.st_mode & 07777, 0644);
}

static void
test_authorize_keeps_the_own_key(void **state)
{
  (void) state;
  PN_CLEANUP(scratch_remove) struct scratch scratch = scratch_make();
  CLEANUP_KEY struct guix_key *own = new_key();
  CLEANUP_KEY struct guix_key *key = vector_key();
  CLEANUP_BUF struct buf text = { 0 };
  guix_key_public_text(own, &text);
  CLEANUP_FREE char *folder = mem_printf("%s/etc/guix", scratch.folder);
  CLEANUP_FREE char *file = mem_printf("%s/signing-key.pub", folder);
  assert_int_equal(file_make_dirs(folder, 0755, NULL), 0);
  assert_int_equal(file_write_atomic(file, buf_str(&text), 0644, NULL), 0);
  assert_int_equal(guix_acl_authorize(scratch.path, key, NULL), 1);
  CLEANUP_ACL struct guix_acl *acl = load_acl(scratch.path);
  assert_true(guix_acl_contains(acl, own));
  assert_true(guix_acl_contains(acl, key));
}

/* Keeps the text of the other entries, whatever keys they hold. */
static void
test_authorize_keeps_entries(void **state)
{
  (void) state;
  PN_CLEANUP(scratch_remove) struct scratch scratch = scratch_make();
  CLEANUP_KEY struct guix_key *key = vector_key();
  static const char strange[] =
      "(acl (entry (public-key (rsa (n #00#) (e #010001#))) (tag (guix import))))";
  CLEANUP_FREE char *folder = mem_printf("%s/etc/guix", scratch.folder);
  assert_int_equal(file_make_dirs(folder, 0755, NULL), 0);
  assert_int_equal(file_write_atomic(scratch.path, str_of(strange), 0644, NULL), 0);
  assert_int_equal(guix_acl_authorize(scratch.path, key, NULL), 1);
  CLEANUP_BUF struct buf text = { 0 };
  assert_int_equal(file_read_all(scratch.path, 10000, &text, NULL), 0);
  assert_non_null(strstr(buf_text(&text), "(e #010001#)"));
  CLEANUP_ACL struct guix_acl *acl = parse_acl(buf_text(&text));
  assert_true(guix_acl_contains(acl, key));
}

static void
test_authorize_leaves_a_broken_file_alone(void **state)
{
  (void) state;
  PN_CLEANUP(scratch_remove) struct scratch scratch = scratch_make();
  CLEANUP_KEY struct guix_key *key = vector_key();
  CLEANUP_FREE char *folder = mem_printf("%s/etc/guix", scratch.folder);
  assert_int_equal(file_make_dirs(folder, 0755, NULL), 0);
  assert_int_equal(file_write_atomic(scratch.path, STR("(acl (oops))"), 0644, NULL), 0);
  struct error err = { 0 };
  assert_int_equal(guix_acl_authorize(scratch.path, key, &err), -EINVAL);
  assert_non_null(strstr(err.message, scratch.path));
  CLEANUP_BUF struct buf text = { 0 };
  assert_int_equal(file_read_all(scratch.path, 10000, &text, NULL), 0);
  assert_string_equal(buf_text(&text), "(acl (oops))");
}

int
main(void)
{
  guix_init();
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_texts_are_those_of_guix),
    cmocka_unit_test(test_generated_keys_have_the_same_form),
    cmocka_unit_test(test_public_key_alone),
    cmocka_unit_test(test_bad_keys_are_refused),
    cmocka_unit_test(test_keys_must_belong_together),
    cmocka_unit_test(test_sign_and_verify),
    cmocka_unit_test(test_verify_in_the_order_of_the_reference),
    cmocka_unit_test(test_verify_refuses_a_borrowed_value),
    cmocka_unit_test(test_verify_demands_the_exact_shape),
    cmocka_unit_test(test_verify_truncated_anywhere),
    cmocka_unit_test(test_rsa_signatures_verify),
    cmocka_unit_test(test_dangerous_keys_are_refused),
    cmocka_unit_test(test_acl_of_guix),
    cmocka_unit_test(test_acl_is_strict),
    cmocka_unit_test(test_flags_make_another_key),
    cmocka_unit_test(test_authorize_makes_and_extends),
    cmocka_unit_test(test_authorize_keeps_the_own_key),
    cmocka_unit_test(test_authorize_keeps_entries),
    cmocka_unit_test(test_authorize_leaves_a_broken_file_alone),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
