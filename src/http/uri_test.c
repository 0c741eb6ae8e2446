/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
/* cmocka needs the three above first. */
#include <cmocka.h>

#include <errno.h>

#include "http/uri.h"

static void
test_targets_split(void **state)
{
  static const struct
  {
    const char *target, *path, *query;
  } cases[] = {
    { "/a/b?c=d?e", "/a/b", "c=d?e" },
    { "/", "/", NULL },
    { "/?", "/", "" },
    { "http://host/a?b", "/a", "b" },
    { "HTTPS://host:1", "/", NULL },
  };
  (void) state;
  for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
    struct str path, query;
    assert_int_equal(uri_split(str_of(cases[i].target), &path, &query), 0);
    assert_true(str_equal(path, str_of(cases[i].path)));
    assert_true(str_equal(query, str_of(cases[i].query)));
  }
  struct str path, query;
  assert_int_equal(uri_split(STR("*"), &path, &query), -EINVAL);
  assert_int_equal(uri_split(STR("host:443"), &path, &query), -EINVAL);
  assert_int_equal(uri_split(STR(""), &path, &query), -EINVAL);
}

static void
test_hostile_paths_are_refused(void **state)
{
  static const char *const bad[] = {
    "/..", "/a/../b", "/a/%2e%2e/b", "/a/.%2E",   "/a%2f..%2fb",     "/./a",  "/a%00b",     "/%",
    "/%4", "/%zz",    "/%ff",        "/a%0d%0ab", "/%c0%ae%c0%ae/x", "/a%7f", "/%ed%a0%80",
  };
  static const char *const good[] = { "/a..b/...", "/%C3%A9", "/a+b", "/gtk%2b-3.24", "/a//b" };
  (void) state;
  for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
    CLEANUP_ARENA struct arena arena = { 0 };
    struct str path;
    assert_int_equal(uri_decode_path(&arena, str_of(bad[i]), &path), -EINVAL);
  }
  for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
    CLEANUP_ARENA struct arena arena = { 0 };
    struct str path;
    assert_int_equal(uri_decode_path(&arena, str_of(good[i]), &path), 0);
  }
}

static void
test_forms(void **state)
{
  (void) state;
  CLEANUP_ARENA struct arena arena = { 0 };
  struct http_fields form = { 0 };
  assert_int_equal(
      uri_parse_query(&arena, STR("a=1+2&&b=%2B%26%3D&c&d=&a=second&e=x=y"), 10, &form), 0);
  assert_int_equal(form.count, 6);
  assert_true(str_equal(http_fields_get(&form, STR("a")), STR("1 2")));
  assert_true(str_equal(http_fields_get(&form, STR("b")), STR("+&=")));
  assert_true(str_equal(http_fields_get(&form, STR("e")), STR("x=y")));
  assert_non_null(http_fields_get(&form, STR("c")).data);
  assert_null(http_fields_get(&form, STR("f")).data);
  struct http_fields other = { 0 };
  assert_int_equal(uri_parse_query(&arena, STR("a=1&b=2&c=3"), 2, &other), -E2BIG);
  assert_int_equal(uri_parse_query(&arena, STR("a=%00"), 10, &other), -EINVAL);
  assert_int_equal(uri_parse_query(&arena, STR("%fe=1"), 10, &other), -EINVAL);
}

int
main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_targets_split),
    cmocka_unit_test(test_hostile_paths_are_refused),
    cmocka_unit_test(test_forms),
  };
  return cmocka_run_group_tests_name("uri", tests, NULL, NULL);
}
