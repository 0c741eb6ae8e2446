/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
/* cmocka needs the three above first. */
#include <cmocka.h>

#include <stdlib.h>

#include "base/mem.h"
#include "evaluation/evaluation.h"
#include "evaluation/specification_fields.h"
#include "http/http.h"

#define CHANNEL "{\"name\": \"c\", \"url\": \"https://example.org/c.git\", \"branch\": \"main\"}"
#define DEFINITION(rest) "{\"name\": \"x\", \"channels\": [" CHANNEL "]" rest "}"

static bool
fits(const char *definition)
{
  CLEANUP_ARENA struct arena arena = { 0 };
  struct specification parsed;
  struct error err;
  struct specification_form form = { 0 };
  assert_int_equal(specification_parse(str_of(definition), &arena, &parsed, &err), 0);
  return specification_fields_read(str_of(definition), &arena, &form);
}

/* As JSON that compares equal when it says the same. */
static json_t *
parse(struct str text)
{
  struct error err;
  json_t *value = NULL;
  assert_int_equal(http_parse_json(text, &value, &err), 0);
  return value;
}

static void
assert_same(struct str one, const char *other)
{
  json_t *a = parse(one), *b = parse(str_of(other));
  if (!json_equal(a, b))
    fail_msg("%.*s is not %s", STR_FMT(one), other);
  json_decref(a);
  json_decref(b);
}

static void
test_what_fits(void **state)
{
  (void) state;
  assert_true(fits(DEFINITION("")));
  assert_true(
      fits(DEFINITION(", \"build\": {\"channels\": [\"c\"]}, \"systems\": [\"i586-gnu\"]")));
  assert_true(fits(DEFINITION(", \"build\": {\"manifests\": [\"a/b.scm\"]}, \"priority\": 3")));
  assert_false(fits(DEFINITION(", \"build\": {\"manifests\": [\"a b.scm\"]}")));
  assert_false(fits(DEFINITION(", \"build\": {\"custom\": [\"(a b)\"]}")));
  assert_false(fits("{\"name\": \"x\", \"channels\": [" CHANNEL
                    ", {\"name\": \"d\", \"url\": \"https://example.org/d\"}]}"));
}

/* What was read is written back, and nothing else is touched. */
static void
test_unchanged_fields_change_nothing(void **state)
{
  (void) state;
  static const char *const definitions[] = {
    DEFINITION(", \"build\": \"all\""),
    DEFINITION(", \"build\": {\"channels\": [\"c\"]}, \"period\": 0"),
    DEFINITION(", \"build\": {\"packages\": [\"hello\", \"guile@3.0\"]}, \"priority\": 7"),
    DEFINITION(", \"build\": {\"manifests\": [\"m.scm\"]}, \"systems\": [\"x86_64-linux\"],"
               " \"memory_limit_mb\": 512, \"time_limit_s\": 60"),
  };
  for (size_t i = 0; i < ARRAY_SIZE(definitions); i++) {
    CLEANUP_ARENA struct arena arena = { 0 };
    CLEANUP_BUF struct buf out = { 0 };
    struct error err;
    struct specification_form form = { 0 };
    assert_true(specification_fields_read(str_of(definitions[i]), &arena, &form));
    assert_int_equal(specification_fields_write(&form, str_of(definitions[i]), &out, &err), 0);
    assert_same(buf_str(&out), definitions[i]);
  }
}

static void
test_fields_are_set_in_what_is_there(void **state)
{
  (void) state;
  CLEANUP_BUF struct buf out = { 0 };
  struct error err;
  const struct specification_form form = { .name = STR("x"),
                                           .channel = STR("c"),
                                           .url = STR("https://example.org/new"),
                                           .branch = STR(""),
                                           .build = STR("packages"),
                                           .names = STR("hello, tar\n guile"),
                                           .systems = STR(""),
                                           .period = STR("60") };
  const char *before = "{\"name\": \"x\", \"channels\": [{\"name\": \"c\", \"url\": \"/c\","
                       " \"branch\": \"main\", \"commit\": \"kept\"}], \"systems\": [\"i586-gnu\"],"
                       " \"priority\": 5}";
  assert_int_equal(specification_fields_write(&form, str_of(before), &out, &err), 0);
  assert_same(buf_str(&out),
              "{\"name\": \"x\", \"channels\": [{\"name\": \"c\", \"url\":"
              " \"https://example.org/new\", \"commit\": \"kept\"}], \"priority\": 5,"
              " \"period\": 60, \"build\": {\"packages\": [\"hello\", \"tar\", \"guile\"]}}");
}

/* Nothing is checked here: what is wrong must reach specification_parse. */
static void
test_what_is_wrong_is_passed_on(void **state)
{
  (void) state;
  CLEANUP_BUF struct buf out = { 0 };
  struct error err;
  const struct specification_form form = {
    .name = STR(""), .url = STR("no url"), .build = STR("everything"), .period = STR("soon")
  };
  assert_int_equal(specification_fields_write(&form, STR(""), &out, &err), 0);
  assert_same(buf_str(&out), "{\"name\": \"\", \"channels\": [{\"name\": \"\", \"url\":"
                             " \"no url\"}], \"build\": \"everything\", \"period\": \"soon\"}");
}

int
main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_what_fits),
    cmocka_unit_test(test_unchanged_fields_change_nothing),
    cmocka_unit_test(test_fields_are_set_in_what_is_there),
    cmocka_unit_test(test_what_is_wrong_is_passed_on),
  };
  return cmocka_run_group_tests_name("specification_fields", tests, NULL, NULL);
}
