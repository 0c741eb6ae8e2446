/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
/* cmocka needs the three above first. */
#include <cmocka.h>

#include "base/clock.h"
#include "cli/value.h"

static void
test_times_are_read(void **state)
{
  static const int64_t moments[] = { 0, 951782400, 951868799, 1709164800, 1795420800, 4102444799 };
  (void) state;
  for (size_t i = 0; i < ARRAY_SIZE(moments); i++) {
    char text[CLOCK_TEXT_SIZE];
    int64_t read = -1;
    assert_int_equal(
        value_parse_time(str_of(clock_format(moments[i] * CLOCK_US_PER_S, text)), &read), 0);
    assert_int_equal(read, moments[i]);
  }
  for (const char *const *bad =
           (const char *const[]) { "", "-", "2026-11-23", "2026-13-01T00:00:00Z",
                                   "2026-11-23 08:04:52Z", "2026-11-23T08:04:52",
                                   "x026-11-23T08:04:52Z", NULL };
       *bad != NULL; bad++) {
    int64_t read;
    assert_true(value_parse_time(str_of(*bad), &read) < 0);
  }
}

static void
test_distances(void **state)
{
  static const struct
  {
    int64_t then;
    const char *text;
  } rows[] = {
    { 1000000000, "0 s ago" },
    { 999999941, "59 s ago" },
    { 999999940, "1 min ago" },
    { 1000000000 - 3599, "59 min ago" },
    { 1000000000 - 47 * 3600, "47 h ago" },
    { 1000000000 - 49 * 3600, "2 d ago" },
    { 1000000000 + 7200, "in 2 h" },
    { 900000000, "1998-07-09" },
  };
  (void) state;
  CLEANUP_ARENA struct arena arena = { 0 };
  for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
    assert_string_equal(value_ago(&arena, rows[i].then, 1000000000), rows[i].text);
}

static void
test_durations_and_sizes(void **state)
{
  (void) state;
  CLEANUP_ARENA struct arena arena = { 0 };
  assert_string_equal(value_duration(&arena, 0), "0 s");
  assert_string_equal(value_duration(&arena, 312), "5 min 12 s");
  assert_string_equal(value_duration(&arena, 72000), "20 h");
  assert_string_equal(value_duration(&arena, 3 * 86400 + 4 * 3600 + 59), "3 d 4 h");
  assert_string_equal(value_size(&arena, 0), "0 B");
  assert_string_equal(value_size(&arena, 1023), "1023 B");
  assert_string_equal(value_size(&arena, 1024 * 1024 - 1), "1.0 MiB");
  assert_string_equal(value_size(&arena, 69177188352), "64.4 GiB");
}

int
main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_times_are_read),
    cmocka_unit_test(test_distances),
    cmocka_unit_test(test_durations_and_sizes),
  };
  return cmocka_run_group_tests_name("value", tests, NULL, NULL);
}
