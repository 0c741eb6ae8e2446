/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
/* cmocka needs the three above first. */
#include <cmocka.h>

#include <stdio.h>

#include "guix/store_path.h"

#define GREETING "/gnu/store/10n1r190irl4q1illc7d5q04wks8gvgx-greeting.txt"
#define DEMO_SRC_DRV "/gnu/store/sh7wwg5pjx23v03rkpk8ghl0mnnbqkn2-demo-src.drv"
#define HELLO_HEX "a948904f2f0f479b8f8197694b30184b0d2ed1c1cd2a1ec0fb85d299a192a447"

static void
assert_str(struct str got, const char *expected)
{
  char text[512];
  snprintf(text, sizeof text, "%.*s", STR_FMT(got));
  assert_string_equal(text, expected);
}

static void
test_valid_paths(void **state)
{
  (void) state;
  struct str path = STR(DEMO_SRC_DRV);
  assert_true(guix_path_is_valid(path));
  assert_true(guix_path_is_derivation(path));
  assert_false(guix_path_is_derivation(STR(GREETING)));
  assert_str(guix_path_basename(path), "sh7wwg5pjx23v03rkpk8ghl0mnnbqkn2-demo-src.drv");
  assert_str(guix_path_hash_part(path), "sh7wwg5pjx23v03rkpk8ghl0mnnbqkn2");
  assert_str(guix_path_name(path), "demo-src.drv");
  assert_true(guix_path_is_valid(STR("/gnu/store/10n1r190irl4q1illc7d5q04wks8gvgx-A+-._?=z")));
}

static void
test_invalid_paths(void **state)
{
  (void) state;
  const char *bad[] = {
    "",
    "/gnu/store",
    "/gnu/store/",
    "/gnu/stores/10n1r190irl4q1illc7d5q04wks8gvgx-a",
    "/gnu/store/10n1r190irl4q1illc7d5q04wks8gvgx",
    "/gnu/store/10n1r190irl4q1illc7d5q04wks8gvgx-",
    "/gnu/store/10n1r190irl4q1illc7d5q04wks8gvgx-.a",
    "/gnu/store/10n1r190irl4q1illc7d5q04wks8gvgx-a/b",
    "/gnu/store/10n1r190irl4q1illc7d5q04wks8gvgx-a b",
    "/gnu/store/10n1r190irl4q1illc7d5q04wks8gvgx-a\xc3\xa9",
    "/gnu/store/10n1r190irl4q1illc7d5q04wks8gvge-a", /* no e in base32 */
    "/gnu/store/10n1r190irl4q1illc7d5q04wks8gvg-a",
    "/gnu/store//10n1r190irl4q1illc7d5q04wks8gvgx-a",
    "10n1r190irl4q1illc7d5q04wks8gvgx-a",
    "/gnu/store/../10n1r190irl4q1illc7d5q04wks8gvgx",
  };
  for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
    assert_false(guix_path_is_valid(str_of(bad[i])));
  assert_false(guix_path_is_valid(STR("/gnu/store/10n1r190irl4q1illc7d5q04wks8gvgx-a\0b")));
}

static void
test_name_length_is_bounded(void **state)
{
  (void) state;
  char name[GUIX_NAME_MAX + 1];
  memset(name, 'a', sizeof name);
  assert_true(guix_name_is_valid(str_make(name, GUIX_NAME_MAX)));
  assert_false(guix_name_is_valid(str_make(name, GUIX_NAME_MAX + 1)));
}

/* The worked example of the reference, section 2.5, which guix-daemon took. */
static void
test_worked_example(void **state)
{
  (void) state;
  CLEANUP_ARENA struct arena arena = { 0 };
  assert_str(guix_path_of_text(&arena, STR("greeting.txt"), STR("hello world\n"), NULL, 0),
             GREETING);
  assert_str(guix_path_of_fixed(&arena, STR("demo-src"), false, STR("sha256"), STR(HELLO_HEX)),
             "/gnu/store/5xwdnrvb55m94nfri6r1aci655rck283-demo-src");
  struct guix_hash masked, contents;
  assert_int_equal(
      guix_hash_parse(STR("21e9ce0387f8045434d1801d09d9abb9ab10199b6fcda795c91d81b2b3477ff7"),
                      &masked),
      0);
  assert_str(guix_path_make(&arena, STR("output:out"), &masked, STR("demo")),
             "/gnu/store/vygsv60dhigffgh6m568b8kxz6fn0nik-demo");
  assert_str(guix_path_make(&arena, STR("output:doc"), &masked, STR("demo-doc")),
             "/gnu/store/kj3av0wfq7bwzl5brp3q7rbz1rikysb6-demo-doc");
  assert_int_equal(
      guix_hash_parse(STR("9ee13cd4254e6cf495ffd116ccc3163276e46823510f7042295d46a4b539f79c"),
                      &contents),
      0);
  assert_str(
      guix_path_make(&arena, STR("text:" GREETING ":" DEMO_SRC_DRV), &contents, STR("demo.drv")),
      "/gnu/store/6d4lk73an4918digdv34xprynczidc39-demo.drv");
}

int
main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_valid_paths),
    cmocka_unit_test(test_invalid_paths),
    cmocka_unit_test(test_name_length_is_bounded),
    cmocka_unit_test(test_worked_example),
  };
  return cmocka_run_group_tests_name("guix/store_path", tests, NULL, NULL);
}
