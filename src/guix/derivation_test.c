/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
/* cmocka needs the three above first. */
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "guix/derivation.h"

/* The worked example of the reference, section 2.5, which guix-daemon took. */
#define GREETING "/gnu/store/10n1r190irl4q1illc7d5q04wks8gvgx-greeting.txt"
#define SRC "/gnu/store/5xwdnrvb55m94nfri6r1aci655rck283-demo-src"
#define SRC_DRV "/gnu/store/sh7wwg5pjx23v03rkpk8ghl0mnnbqkn2-demo-src.drv"
#define SRC_HASH "a948904f2f0f479b8f8197694b30184b0d2ed1c1cd2a1ec0fb85d299a192a447"
#define SRC_MODULO "30f6bae7de289c927b87180165f45ccc9d4006addb10501200d5904ae7fcebbf"
#define OUT "/gnu/store/vygsv60dhigffgh6m568b8kxz6fn0nik-demo"
#define DOC "/gnu/store/kj3av0wfq7bwzl5brp3q7rbz1rikysb6-demo-doc"

static const char src_text[] =
    "Derive([(\"out\",\"" SRC "\",\"sha256\",\"" SRC_HASH "\")],[],[],\"x86_64-linux\","
    "\"builtin:download\",[],[(\"out\",\"" SRC
    "\"),(\"url\",\"\\\"http://example.org/demo\\\"\")])";

static const char demo_text[] =
    "Derive([(\"doc\",\"" DOC "\",\"\",\"\"),(\"out\",\"" OUT "\",\"\",\"\")],"
    "[(\"" SRC_DRV "\",[\"out\"])],[\"" GREETING "\"],\"x86_64-linux\",\"" GREETING "\","
    "[\"a\\\"b\",\"c\\\\d\"],[(\"FOO\",\"x\\ty\\n\"),(\"doc\",\"" DOC "\"),(\"out\",\"" OUT "\")])";

static void
assert_str(struct str got, const char *expected)
{
  CLEANUP_BUF struct buf text = { 0 };
  buf_append_str(&text, got);
  assert_string_equal(buf_text(&text), expected);
}

static void
assert_hex(struct guix_hash hash, const char *expected)
{
  char digits[GUIX_HASH_HEX_SIZE];
  str_to_hex(hash.bytes, sizeof hash.bytes, digits);
  assert_str(str_make(digits, sizeof digits), expected);
}

static struct guix_derivation
parse(const char *text, struct arena *arena)
{
  struct guix_derivation derivation;
  struct error err = { 0 };
  int r = guix_derivation_parse(str_of(text), arena, &derivation, &err);
  if (r < 0)
    fail_msg("%s", err.message);
  return derivation;
}

static void
assert_refused(const char *text)
{
  CLEANUP_ARENA struct arena arena = { 0 };
  struct guix_derivation untouched = { .outputs_count = 42 };
  struct error err = { 0 };
  int r = guix_derivation_parse(str_of(text), &arena, &untouched, &err);
  if (r != -EINVAL || err.code != -EINVAL || strstr(err.message, "byte ") == NULL)
    fail_msg("accepted, or without an offset: %s", text);
  assert_int_equal(untouched.outputs_count, 42);
}

static void
test_parse_reads_every_part(void **state)
{
  (void) state;
  CLEANUP_ARENA struct arena arena = { 0 };
  struct guix_derivation demo = parse(demo_text, &arena);
  assert_int_equal(demo.outputs_count, 2);
  assert_str(demo.outputs[0].name, "doc");
  assert_str(demo.outputs[1].path, OUT);
  assert_int_equal(demo.inputs_count, 1);
  assert_str(demo.inputs[0].path, SRC_DRV);
  assert_int_equal(demo.inputs[0].outputs_count, 1);
  assert_str(demo.inputs[0].outputs[0], "out");
  assert_int_equal(demo.sources_count, 1);
  assert_str(demo.sources[0], GREETING);
  assert_str(demo.system, "x86_64-linux");
  assert_str(demo.builder, GREETING);
  assert_int_equal(demo.arguments_count, 2);
  assert_str(demo.arguments[0], "a\"b");
  assert_str(demo.arguments[1], "c\\d");
  assert_str(guix_derivation_variable(&demo, "FOO"), "x\ty\n");
  assert_str(guix_derivation_variable(&demo, "out"), OUT);
  assert_null(guix_derivation_variable(&demo, "absent").data);
  assert_false(guix_derivation_is_fixed(&demo));

  struct guix_derivation src = parse(src_text, &arena);
  assert_true(guix_derivation_is_fixed(&src));
  assert_str(guix_derivation_variable(&src, "url"), "\"http://example.org/demo\"");
}

static void
assert_round_trip(const char *text)
{
  CLEANUP_ARENA struct arena arena = { 0 };
  CLEANUP_BUF struct buf printed = { 0 };
  struct guix_derivation derivation = parse(text, &arena);
  guix_derivation_print(&derivation, &printed);
  assert_str(buf_str(&printed), text);
}

#define HEAD "Derive([(\"out\",\"" OUT "\",\"\",\"\")],"
#define MIDDLE "\"x86_64-linux\",\"/bin/sh\","
#define TAIL "[(\"out\",\"" OUT "\")])"

static void
test_print_gives_the_same_bytes(void **state)
{
  (void) state;
  assert_round_trip(src_text);
  assert_round_trip(demo_text);
  assert_round_trip(HEAD "[],[]," MIDDLE "[]," TAIL);
  assert_round_trip(HEAD "[],[],\"\",\"\",[\"\",\"\\\\\\\\\\n\\r\\t\\\"\",\"\xc3\xa9\x7f\"]," TAIL);
  assert_round_trip(HEAD "[],[]," MIDDLE
                         "[],[(\"\",\"\"),(\"guix properties\",\"()\"),(\"out\",\"" OUT "\")])");
}

static void
test_every_truncation_is_refused(void **state)
{
  (void) state;
  char text[sizeof demo_text];
  for (size_t size = 0; size < sizeof demo_text - 1; size++) {
    memcpy(text, demo_text, size);
    text[size] = '\0';
    assert_refused(text);
  }
}

/* One byte changed may leave a derivation, but then printing gives it back. */
static void
test_every_changed_byte_is_refused_or_kept(void **state)
{
  (void) state;
  static const char replacements[] = "\"\\,)]([x\n\xff/.";
  char text[sizeof demo_text];
  for (size_t at = 0; at < sizeof demo_text - 1; at++)
    for (size_t i = 0; i < sizeof replacements; i++) { /* NUL too */
      CLEANUP_ARENA struct arena arena = { 0 };
      CLEANUP_BUF struct buf printed = { 0 };
      struct guix_derivation derivation;
      memcpy(text, demo_text, sizeof text);
      text[at] = replacements[i];
      struct str changed = str_make(text, sizeof text - 1);
      if (guix_derivation_parse(changed, &arena, &derivation, NULL) < 0)
        continue;
      guix_derivation_print(&derivation, &printed);
      assert_true(str_equal(buf_str(&printed), changed));
    }
}

static void
test_other_forms_are_refused(void **state)
{
  (void) state;
  const char *bad[] = {
    "",
    "derive([],[],[],\"\",\"\",[],[])",
    "Derive([],[],[],\"\",\"\",[],[])",    /* no output */
    HEAD "[],[]," MIDDLE "[]," TAIL "\n",  /* something after it */
    HEAD "[], []," MIDDLE "[]," TAIL,      /* white space */
    HEAD "[],[]," MIDDLE "[\"a\",]," TAIL, /* stray comma */
    HEAD "[],[]," MIDDLE "[,\"a\"]," TAIL,
    HEAD "[],[]," MIDDLE "[\"a\"\"b\"]," TAIL,
    HEAD "[],[]," MIDDLE "[a]," TAIL,
    HEAD "[],[]," MIDDLE "[\"\\q\"]," TAIL, /* escapes that are never written */
    HEAD "[],[]," MIDDLE "[\"\\0\"]," TAIL,
    HEAD "[],[]," MIDDLE "[\"\n\"]," TAIL, /* not escaped */
    HEAD "[],[]," MIDDLE "[\"\t\"]," TAIL,
    HEAD "[],[]," MIDDLE "[],[]"
         ")",                                           /* no variable for the output */
    HEAD "[],[]," MIDDLE "[],[(\"out\",\"" DOC "\")])", /* another path there */
    HEAD "[],[]," MIDDLE "[],[(\"out\",\"" OUT "\"),(\"a\",\"\")])",              /* unsorted */
    HEAD "[],[]," MIDDLE "[],[(\"a\",\"\"),(\"a\",\"\"),(\"out\",\"" OUT "\")])", /* twice */
    HEAD "[],[\"" GREETING "\",\"" GREETING "\"]," MIDDLE "[]," TAIL,
    HEAD "[],[\"" OUT "\",\"" GREETING "\"]," MIDDLE "[]," TAIL,
    HEAD "[],[\"/etc/passwd\"]," MIDDLE "[]," TAIL, /* no store paths */
    HEAD "[],[\"/gnu/store/../etc/passwd\"]," MIDDLE "[]," TAIL,
    HEAD "[(\"" GREETING "\",[\"out\"])],[]," MIDDLE "[]," TAIL, /* no derivation */
    HEAD "[(\"" SRC_DRV "\",[])],[]," MIDDLE "[]," TAIL,
    HEAD "[(\"" SRC_DRV "\",[\"out\",\"out\"])],[]," MIDDLE "[]," TAIL,
    HEAD "[(\"" SRC_DRV "\",[\"out\",\"doc\"])],[]," MIDDLE "[]," TAIL,
    HEAD "[(\"" SRC_DRV "\",[\"\"])],[]," MIDDLE "[]," TAIL,
    HEAD "[(\"" SRC_DRV "\",[\"out\"]),(\"" SRC_DRV "\",[\"out\"])],[]," MIDDLE "[]," TAIL,
    "Derive([(\"out\",\"\",\"\",\"\")],[],[]," MIDDLE "[],[(\"out\",\"\")])",
    "Derive([(\"o/t\",\"" OUT "\",\"\",\"\")],[],[]," MIDDLE "[],[(\"o/t\",\"" OUT "\")])",
    "Derive([(\"out\",\"" OUT "\",\"sha256\",\"\")],[],[]," MIDDLE "[]," TAIL,
    "Derive([(\"out\",\"" OUT "\",\"\",\"00\")],[],[]," MIDDLE "[]," TAIL,
    "Derive([(\"out\",\"" OUT "\",\"sha256\",\"AA\")],[],[]," MIDDLE "[]," TAIL,
    "Derive([(\"out\",\"" OUT "\",\"sha256\",\"000\")],[],[]," MIDDLE "[]," TAIL,
    "Derive([(\"lib\",\"" OUT "\",\"sha256\",\"00\")],[],[]," MIDDLE "[],[(\"lib\",\"" OUT "\")])",
  };
  for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
    assert_refused(bad[i]);
}

static void
test_sizes_are_bounded(void **state)
{
  (void) state;
  CLEANUP_ARENA struct arena arena = { 0 };
  CLEANUP_BUF struct buf text = { 0 };
  struct guix_derivation derivation;
  buf_append_text(&text, HEAD "[],[]," MIDDLE "[\"\"");
  for (int i = 0; i < 200000; i++)
    buf_append_text(&text, ",\"\"");
  buf_append_text(&text, "]," TAIL);
  assert_int_equal(guix_derivation_parse(buf_str(&text), &arena, &derivation, NULL), -EINVAL);
  while (text.size <= GUIX_DERIVATION_SIZE_MAX)
    buf_append_text(&text, "some more bytes of which there are already too many to read them all");
  assert_int_equal(guix_derivation_parse(buf_str(&text), &arena, &derivation, NULL), -EFBIG);
}

/* ---- hashes ---- */

static int
modulo_of_src(void *context, struct str drv_path, struct guix_hash *ret, struct error *err)
{
  (void) context;
  if (!str_equal(drv_path, STR(SRC_DRV)))
    return error_set(err, -ENOENT, "unknown input");
  return guix_hash_parse(STR(SRC_MODULO), ret);
}

static void
test_worked_example(void **state)
{
  (void) state;
  CLEANUP_ARENA struct arena arena = { 0 };
  struct guix_derivation src = parse(src_text, &arena), demo = parse(demo_text, &arena);
  struct guix_hash hash;
  struct str path;
  assert_int_equal(guix_derivation_hash_modulo(&src, false, NULL, NULL, &hash, NULL), 0);
  assert_hex(hash, SRC_MODULO);
  assert_int_equal(
      guix_derivation_output_path(&src, STR("demo-src"), 0, NULL, NULL, &arena, &path, NULL), 0);
  assert_str(path, SRC);

  assert_int_equal(guix_derivation_hash_modulo(&demo, true, modulo_of_src, NULL, &hash, NULL), 0);
  assert_hex(hash, "21e9ce0387f8045434d1801d09d9abb9ab10199b6fcda795c91d81b2b3477ff7");
  assert_int_equal(guix_derivation_hash_modulo(&demo, false, modulo_of_src, NULL, &hash, NULL), 0);
  assert_hex(hash, "9cb87d2a3913f7c8a43fd0bf90ea55cf0ac90d1b7b63b2955625b187d37b8178");
  const char *expected[] = { DOC, OUT };
  for (size_t i = 0; i < ARRAY_SIZE(expected); i++) {
    assert_int_equal(guix_derivation_output_path(&demo, STR("demo"), i, modulo_of_src, NULL, &arena,
                                                 &path, NULL),
                     0);
    assert_str(path, expected[i]);
  }

  size_t count;
  struct str *references = guix_derivation_references(&demo, &arena, &count);
  assert_int_equal(count, 2);
  assert_str(guix_path_of_text(&arena, STR("demo.drv"), str_of(demo_text), references, count),
             "/gnu/store/6d4lk73an4918digdv34xprynczidc39-demo.drv");
}

static void
test_failures_are_passed_on(void **state)
{
  (void) state;
  CLEANUP_ARENA struct arena arena = { 0 };
  struct guix_derivation demo = parse(demo_text, &arena);
  struct guix_hash hash;
  struct str path;
  demo.inputs[0].path = STR(GREETING);
  assert_int_equal(guix_derivation_hash_modulo(&demo, false, modulo_of_src, NULL, &hash, NULL),
                   -ENOENT);
  assert_int_equal(
      guix_derivation_output_path(&demo, STR("demo"), 0, modulo_of_src, NULL, &arena, &path, NULL),
      -ENOENT);
  assert_int_equal(
      guix_derivation_output_path(&demo, STR("demo"), 2, modulo_of_src, NULL, &arena, &path, NULL),
      -EINVAL);
  assert_int_equal(
      guix_derivation_output_path(&demo, STR("a/b"), 1, modulo_of_src, NULL, &arena, &path, NULL),
      -EINVAL);
}

/* All inputs whose name has an "a" behind the hash part get one hash. */
static int
modulo_by_first_letter(void *context, struct str drv_path, struct guix_hash *ret, struct error *err)
{
  (void) context;
  (void) err;
  *ret = guix_hash_of(str_make(guix_path_name(drv_path).data, 1));
  return 0;
}

static void
test_inputs_with_an_equal_hash_are_merged(void **state)
{
  (void) state;
#define INPUT(digit, letter) "/gnu/store/" digit "0n1r190irl4q1illc7d5q04wks8gvgx-" letter ".drv"
  /* sha256("a") = ca97..., sha256("b") = 3e23...: b comes first then. */
  static const char text[] = HEAD "[(\"" INPUT("0", "a") "\",[\"lib\",\"out\"]),(\"" INPUT(
      "1", "b") "\",[\"out\"]),(\"" INPUT("2", "a") "\",[\"bin\",\"out\"])],[]," MIDDLE "[]," TAIL;
  static const char expected[] =
      HEAD "[(\"3e23e8160039594a33894f6564e1b1348bbd7a0088d42c4acb73eeaed59c009d\",[\"out\"]),"
           "(\"ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb\","
           "[\"bin\",\"lib\",\"out\"])],[]," MIDDLE "[]," TAIL;
  CLEANUP_ARENA struct arena arena = { 0 };
  struct guix_derivation derivation = parse(text, &arena);
  struct guix_hash hash, wanted = guix_hash_of(str_of(expected));
  assert_int_equal(
      guix_derivation_hash_modulo(&derivation, false, modulo_by_first_letter, NULL, &hash, NULL),
      0);
  assert_memory_equal(hash.bytes, wanted.bytes, sizeof hash.bytes);
  assert_int_equal(derivation.inputs_count, 3); /* the derivation itself is not changed */
}

static void
test_references_merge_inputs_and_sources(void **state)
{
  (void) state;
  CLEANUP_ARENA struct arena arena = { 0 };
  struct guix_derivation derivation = parse(
      HEAD "[(\"" INPUT("1", "a") "\",[\"out\"]),(\"" INPUT("3", "a") "\",[\"out\"])],[\"" INPUT(
          "0", "a") "\",\"" INPUT("1", "a") "\",\"" INPUT("9", "a") "\"]," MIDDLE "[]," TAIL,
      &arena);
  const char *expected[] = { INPUT("0", "a"), INPUT("1", "a"), INPUT("3", "a"), INPUT("9", "a") };
  size_t count;
  struct str *references = guix_derivation_references(&derivation, &arena, &count);
  assert_int_equal(count, ARRAY_SIZE(expected));
  for (size_t i = 0; i < count; i++)
    assert_str(references[i], expected[i]);
}

int
main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_parse_reads_every_part),
    cmocka_unit_test(test_print_gives_the_same_bytes),
    cmocka_unit_test(test_every_truncation_is_refused),
    cmocka_unit_test(test_every_changed_byte_is_refused_or_kept),
    cmocka_unit_test(test_other_forms_are_refused),
    cmocka_unit_test(test_sizes_are_bounded),
    cmocka_unit_test(test_worked_example),
    cmocka_unit_test(test_failures_are_passed_on),
    cmocka_unit_test(test_inputs_with_an_equal_hash_are_merged),
    cmocka_unit_test(test_references_merge_inputs_and_sources),
  };
  return cmocka_run_group_tests_name("guix/derivation", tests, NULL, NULL);
}
