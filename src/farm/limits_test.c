/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Limits of builds: wishes that raise them, and what had failed by them. */
#include "farm/test_agent.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static int
set_up(void **state)
{
  struct yard *yard = yard_new();
  yard_derivations(yard, 1, 9);
  *state = yard;
  return 0;
}

static int
tear_down(void **state)
{
  yard_free(*state);
  return 0;
}

static void
assert_limits(struct yard *yard, int64_t n, int64_t timeout_s, int64_t max_silent_s)
{
  struct yard_build_row row = yard_build_of(yard, n);
  assert_int_equal(row.timeout_s, timeout_s);
  assert_int_equal(row.max_silent_s, max_silent_s);
}

/* Wishes for N, gets the order and reports its failure. */
static void
wish_in_vain(struct yard *yard, struct test_agent *agent, int64_t n, const char *cause)
{
  struct test_build build;
  yard_wish_within(yard, n, 100, 10);
  test_agent_expect(agent, "build", &build);
  assert_int_equal(build.n, n);
  assert_int_equal(test_agent_fail(agent, &build, cause), 200);
  yard_await_state(yard, n, FARM_BUILD_FAILED);
}

static void
test_a_larger_limit_tries_anew(void **state)
{
  struct yard *yard = *state;
  struct test_agent *agent = start_with_agent(yard, 1);
  struct test_build build;
  wish_in_vain(yard, agent, 1, "timeout");
  wish_in_vain(yard, agent, 2, "silence");
  yard_wish_within(yard, 1, 100, 10); /* the same; smaller */
  yard_wish_within(yard, 2, 99, 9);
  assert_int_equal(yard_orders_of(yard), 0);
  yard_wish_within(yard, 2, 0, 10); /* time was not the matter */
  yard_await_orders_done(yard);
  assert_limits(yard, 2, 0, 10);
  assert_int_equal(yard_build_of(yard, 2).state, FARM_BUILD_FAILED);
  assert_false(test_agent_next(agent, 50, "build", NULL));
  yard_wish_within(yard, 2, 50, 0);
  test_agent_expect(agent, "build", &build);
  assert_int_equal(build.n, 2);
  assert_limits(yard, 2, 0, 0);
  assert_int_equal(test_agent_succeed(agent, &build), 200);
  yard_wish_within(yard, 1, 101, 5);
  test_agent_expect(agent, "build", &build);
  assert_int_equal(build.n, 1);
  assert_limits(yard, 1, 101, 10);
  assert_int_equal(test_agent_fail(agent, &build, "timeout"), 200);
  yard_wish_within(yard, 1, 101, 10); /* no circle */
  assert_int_equal(yard_orders_of(yard), 0);
  assert_int_equal(yard_events_of(yard, "build.restarted"), 2);
  test_agent_free(agent);
}

/* What waits for a build that failed by a limit goes on with it. */
static void
test_what_was_held_up_goes_on(void **state)
{
  struct yard *yard = *state;
  yard_need(yard, &(struct yard_edge) { 2, 1 }, 1);
  struct test_agent *agent = start_with_agent(yard, 1);
  struct test_build build;
  yard_wish_within(yard, 2, 100, 10);
  wish_in_vain(yard, agent, 1, "timeout");
  assert_int_equal(yard_build_of(yard, 2).state, FARM_BUILD_WAITING);
  yard_wish_within(yard, 1, 0, 10);
  test_agent_expect(agent, "build", &build);
  assert_int_equal(test_agent_succeed(agent, &build), 200);
  test_agent_expect(agent, "build", &build);
  assert_int_equal(build.n, 2);
  assert_int_equal(test_agent_succeed(agent, &build), 200);
  test_agent_free(agent);
}

/* What failed by a fault of its own stays so, but a restart has the larger limits. */
static void
test_a_restart_has_the_limits_wished_for_since(void **state)
{
  struct yard *yard = *state;
  struct test_agent *agent = start_with_agent(yard, 1);
  struct test_build build;
  struct error err = { 0 };
  wish_in_vain(yard, agent, 1, "build");
  yard_wish_within(yard, 1, 300, 10);
  yard_await_orders_done(yard);
  assert_int_equal(yard_build_of(yard, 1).state, FARM_BUILD_FAILED);
  assert_limits(yard, 1, 300, 10);
  yard_wish_within(yard, 1, 300, 10);
  assert_int_equal(yard_orders_of(yard), 0);
  assert_int_equal(farm_build_restart(yard->farm, yard_build_of(yard, 1).id, false, &err), 0);
  test_agent_expect(agent, "build", &build);
  assert_limits(yard, 1, 300, 10);
  test_agent_free(agent);
}

/* Two specifications: the larger limits hold, whichever comes last. */
static void
test_limits_of_what_waits_only_grow(void **state)
{
  struct yard *yard = *state;
  yard_start(yard);
  yard_wish_within(yard, 1, 100, 0);
  yard_wish_within(yard, 1, 50, 10);
  assert_int_equal(yard_orders_of(yard), 0);
  yard_wish_within(yard, 1, 200, 10);
  yard_await_orders_done(yard);
  assert_limits(yard, 1, 200, 0);
  assert_int_equal(yard_count_of(yard, FARM_BUILD_WAITING), 1);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int
main(void)
{
  const struct CMUnitTest tests[] = {
    CASE(test_a_larger_limit_tries_anew),
    CASE(test_what_was_held_up_goes_on),
    CASE(test_a_restart_has_the_limits_wished_for_since),
    CASE(test_limits_of_what_waits_only_grow),
  };
  return cmocka_run_group_tests(tests, NULL, test_cluster_teardown);
}
