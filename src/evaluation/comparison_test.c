/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
/* cmocka needs the three above first. */
#include <cmocka.h>

#include <errno.h>

#include "evaluation/comparison.h"

static void
test_changes(void **state)
{
  (void) state;
  static const struct
  {
    int16_t state, before;
    enum job_change change;
  } cases[] = {
    { FARM_BUILD_FAILED, FARM_BUILD_SUCCEEDED, JOB_BROKEN },
    { FARM_BUILD_DEPENDENCY_FAILED, FARM_BUILD_SUCCEEDED, JOB_BROKEN },
    { FARM_BUILD_SUCCEEDED, FARM_BUILD_DEPENDENCY_FAILED, JOB_FIXED },
    { FARM_BUILD_FAILED, FARM_BUILD_DEPENDENCY_FAILED, JOB_FAILING },
    { FARM_BUILD_WAITING, FARM_BUILD_SUCCEEDED, JOB_SAME },
    { FARM_BUILD_FAILED, FARM_BUILD_CANCELLED, JOB_SAME },
    { FARM_BUILD_SUCCEEDED, FARM_BUILD_SUCCEEDED, JOB_SAME },
    { FARM_BUILD_FAILED, -1, JOB_ADDED },
    { -1, FARM_BUILD_SUCCEEDED, JOB_REMOVED },
  };
  for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
    assert_int_equal(job_change_of(cases[i].state, cases[i].before), cases[i].change);
}

static void
test_shows(void **state)
{
  (void) state;
  struct error err = { 0 };
  int show = 0;
  assert_int_equal(job_show_parse(STR(""), &show, &err), 0);
  assert_int_equal(show, -1);
  assert_int_equal(job_show_parse(STR("odd"), &show, &err), -EINVAL);
  for (int i = 0; i < JOB_SHOWS; i++) {
    assert_int_equal(job_show_parse(str_of(job_shows[i].name), &show, &err), 0);
    assert_int_equal(show, i);
  }
}

static void
test_lists(void **state)
{
  (void) state;
  const struct compared_job jobs[] = {
    { STR("0"), 1, 11, 11 },   { STR("Abc"), 2, 12, 22 },  { STR("Abc"), 3, 13, 0 },
    { STR("gone"), 4, 0, 14 }, { STR("xaby"), 5, 15, 15 },
  };
  int16_t states[] = { FARM_BUILD_SUCCEEDED, FARM_BUILD_FAILED, FARM_BUILD_WAITING, -1,
                       FARM_BUILD_SUCCEEDED };
  uint8_t changes[] = { JOB_SAME, JOB_BROKEN, JOB_ADDED, JOB_REMOVED, JOB_SAME };
  const struct comparison comparison = {
    .jobs = jobs, .jobs_count = ARRAY_SIZE(jobs), .states = states, .changes = changes
  };
  struct comparison_page page = { .show = -1, .name = STR(""), .after_name = STR(""), .limit = 2 };
  size_t list[5];
  bool more;
  assert_int_equal(comparison_list(&comparison, &page, list, &more), 2);
  assert_true(more);
  page.after_name = STR("Abc");
  page.after_id = 2;
  assert_int_equal(comparison_list(&comparison, &page, list, &more), 2);
  assert_int_equal(list[0], 2);
  assert_int_equal(list[1], 4); /* what is gone is no job of it */
  assert_false(more);
  page = (struct comparison_page) { .show = -1, .name = STR("AB"), .limit = 5 };
  assert_int_equal(comparison_list(&comparison, &page, list, &more), 3);
  page.name = STR("");
  (void) job_show_parse(STR("changed"), &page.show, NULL);
  assert_int_equal(comparison_list(&comparison, &page, list, &more), 3);
  assert_int_equal(list[2], 3);
  (void) job_show_parse(STR("unfinished"), &page.show, NULL);
  assert_int_equal(comparison_list(&comparison, &page, list, &more), 1);
}

int
main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_changes),
    cmocka_unit_test(test_shows),
    cmocka_unit_test(test_lists),
  };
  return cmocka_run_group_tests_name("comparison", tests, NULL, NULL);
}
