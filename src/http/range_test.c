/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
/* cmocka needs the three above first. */
#include <cmocka.h>

#include <errno.h>

#include "http/range.h"

static void
test_ranges(void **state)
{
  static const struct
  {
    const char *header;
    uint64_t size;
    enum range_kind kind;
    uint64_t from, count;
  } cases[] = {
    { "bytes=0-0", 10, RANGE_PART, 0, 1 },
    { "bytes=2-5", 10, RANGE_PART, 2, 4 },
    { "bytes=5-", 10, RANGE_PART, 5, 5 },
    { "bytes=5-999", 10, RANGE_PART, 5, 5 },
    { "bytes=-3", 10, RANGE_PART, 7, 3 },
    { "bytes=-30", 10, RANGE_PART, 0, 10 },
    { "bytes=10-", 10, RANGE_UNSATISFIABLE, 0, 0 },
    { "bytes=-0", 10, RANGE_UNSATISFIABLE, 0, 0 },
    { "bytes=0-", 0, RANGE_UNSATISFIABLE, 0, 0 },
    { "bytes=-1", 0, RANGE_UNSATISFIABLE, 0, 0 },
    { "bytes=5-4", 10, RANGE_WHOLE, 0, 0 },
    { "bytes=0-1,3-4", 10, RANGE_WHOLE, 0, 0 },
    { "bytes=-", 10, RANGE_WHOLE, 0, 0 },
    { "bytes=a-b", 10, RANGE_WHOLE, 0, 0 },
    { "bytes=--1", 10, RANGE_WHOLE, 0, 0 },
    { "lines=0-1", 10, RANGE_WHOLE, 0, 0 },
    { "bytes=0-18446744073709551615", 10, RANGE_PART, 0, 10 },
    { "bytes=18446744073709551616-", 10, RANGE_WHOLE, 0, 0 },
  };
  (void) state;
  for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
    uint64_t from = 0, count = 0;
    assert_int_equal(range_parse(str_of(cases[i].header), cases[i].size, &from, &count),
                     cases[i].kind);
    if (cases[i].kind == RANGE_PART) {
      assert_int_equal(from, cases[i].from);
      assert_int_equal(count, cases[i].count);
    }
  }
}

static void
test_etag_lists(void **state)
{
  (void) state;
  assert_true(etag_listed(STR("\"a\", W/\"b\""), STR("\"b\"")));
  assert_true(etag_listed(STR("\"b\""), STR("W/\"b\"")));
  assert_true(etag_listed(STR("*"), STR("\"x\"")));
  assert_false(etag_listed(STR("\"a\""), STR("\"b\"")));
  assert_false(etag_listed(STR(""), STR("\"b\"")));
}

static void
test_dates(void **state)
{
  (void) state;
  char text[HTTP_DATE_SIZE];
  assert_string_equal(http_date_format(784111777, text), "Sun, 06 Nov 1994 08:49:37 GMT");
  int64_t seconds = 0;
  assert_int_equal(http_date_parse(str_of(text), &seconds), 0);
  assert_int_equal(seconds, 784111777);
  assert_int_equal(http_date_parse(STR("Sun, 06 Nov 1994 08:49:37 GMT x"), &seconds), -EINVAL);
  assert_int_equal(http_date_parse(STR("\"etag\""), &seconds), -EINVAL);
}

int
main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_ranges),
    cmocka_unit_test(test_etag_lists),
    cmocka_unit_test(test_dates),
  };
  return cmocka_run_group_tests_name("range", tests, NULL, NULL);
}
