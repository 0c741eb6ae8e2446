/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
/* cmocka needs the three above first. */
#include <cmocka.h>

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <time.h>

#include "base/clock.h"

static void
test_format(void **state)
{
  (void) state;
  setenv("TZ", "Asia/Kathmandu", 1); /* UTC all the same */
  tzset();
  const struct
  {
    int64_t microseconds;
    const char *text;
  } cases[] = {
    { 0, "1970-01-01T00:00:00.000000Z" },
    { 1, "1970-01-01T00:00:00.000001Z" },
    { -1, "1969-12-31T23:59:59.999999Z" },
    { -CLOCK_US_PER_S, "1969-12-31T23:59:59.000000Z" },
    { 951782400 * CLOCK_US_PER_S, "2000-02-29T00:00:00.000000Z" },
    { 1795404661123456, "2026-11-23T03:31:01.123456Z" },
    { 253402300799999999, "9999-12-31T23:59:59.999999Z" },
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    char text[CLOCK_TEXT_SIZE];
    assert_string_equal(clock_format(cases[i].microseconds, text), cases[i].text);
  }
}

/* No year that anybody means, but the text stays within its bounds. */
static void
test_format_of_anything_fits(void **state)
{
  (void) state;
  const int64_t extremes[] = { INT64_MIN, INT64_MAX, INT64_MIN / 2, INT64_MAX / 2 };
  for (size_t i = 0; i < sizeof extremes / sizeof *extremes; i++) {
    char text[CLOCK_TEXT_SIZE + 1];
    memset(text, '#', sizeof text);
    clock_format(extremes[i], text);
    assert_non_null(memchr(text, '\0', CLOCK_TEXT_SIZE));
    assert_int_equal(text[CLOCK_TEXT_SIZE], '#');
  }
}

static void
test_now(void **state)
{
  (void) state;
  time_t before = time(NULL);
  int64_t now = clock_now_us();
  assert_true(now / CLOCK_US_PER_S >= before - 1);
  assert_true(now / CLOCK_US_PER_S <= time(NULL) + 1);
  int64_t monotonic = clock_monotonic_ms();
  assert_true(clock_monotonic_ms() >= monotonic);
}

static volatile sig_atomic_t alarms;

static void
count_alarm(int number)
{
  (void) number;
  alarms++;
}

static void
test_sleep_goes_on_after_signals(void **state)
{
  (void) state;
  struct sigaction action = { .sa_handler = count_alarm };
  const struct itimerval often = { { 0, 10000 }, { 0, 10000 } };
  const struct itimerval never = { { 0, 0 }, { 0, 0 } };
  assert_int_equal(sigaction(SIGALRM, &action, NULL), 0);
  assert_int_equal(setitimer(ITIMER_REAL, &often, NULL), 0);
  int64_t before = clock_monotonic_ms();
  clock_sleep_ms(100);
  int64_t slept = clock_monotonic_ms() - before;
  assert_int_equal(setitimer(ITIMER_REAL, &never, NULL), 0);
  assert_true(slept >= 99); /* a clock of milliseconds may miss one */
  assert_true(alarms > 0);
}

int
main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_format),
    cmocka_unit_test(test_format_of_anything_fits),
    cmocka_unit_test(test_now),
    cmocka_unit_test(test_sleep_goes_on_after_signals),
  };
  return cmocka_run_group_tests_name("clock", tests, NULL, NULL);
}
