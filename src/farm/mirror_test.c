/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "farm/test_mirror.h"

#include "base/mem.h"

#include <stdlib.h>

/* ---- order ---- */

static void
test_order_is_priority_then_age_then_id(void **state)
{
  struct farmyard *yard = *state;
  add_build(yard, 4, 1);
  add_build(yard, 3, 1);
  add_build(yard, 2, 9);
  struct mirror_build old = { .id = 5, .priority = 1, .created_at = 0, .system = STR(LINUX) };
  mirror_add(yard->mirror, &old);
  assert_int_equal(mirror_place(node_of(yard, 4)), 3);
  connect_agent(yard, 1, 10);
  step(yard);
  static const int64_t expected[] = { 2, 5, 3, 4 };
  assert_int_equal(yard->changes.starts.count, 4);
  for (size_t i = 0; i < 4; i++)
    assert_int_equal(yard->changes.starts.items[i].build_id, expected[i]);
}

static void
test_dependencies_inherit_priority(void **state)
{
  struct farmyard *yard = *state;
  add_build(yard, 1, 0);
  add_build(yard, 2, 0);
  add_build(yard, 3, 5);
  need(yard, 2, 1);
  need(yard, 3, 2);
  assert_int_equal(node_of(yard, 1)->priority, 5);
  mirror_wish(yard->mirror, node_of(yard, 3), 7, 10, 20);
  mirror_wish(yard->mirror, node_of(yard, 3), 1, 10, 20); /* lowers nothing */
  step(yard);
  assert_int_equal(row_of(yard, 1)->priority, 7);
  assert_int_equal(row_of(yard, 3)->priority, 7);
  assert_int_equal(row_of(yard, 3)->timeout_s, 10);
  assert_true(row_of(yard, 3)->direct);
  assert_false(row_of(yard, 1)->direct);
}

static void
test_diamond(void **state)
{
  struct farmyard *yard = *state;
  for (int64_t id = 1; id <= 4; id++)
    add_build(yard, id, 0);
  need(yard, 2, 1);
  need(yard, 3, 1);
  need(yard, 4, 2);
  need(yard, 4, 3);
  need(yard, 4, 3); /* told twice */
  connect_agent(yard, 1, 4);
  step(yard);
  assert_int_equal(yard->changes.starts.count, 1);
  succeed(yard, 1);
  step(yard);
  assert_true(runs(yard, 2) && runs(yard, 3) && !runs(yard, 4));
  succeed(yard, 3);
  step(yard);
  assert_false(runs(yard, 4));
  succeed(yard, 2);
  step(yard);
  assert_true(runs(yard, 4));
  assert_row(yard, 2, FARM_BUILD_SUCCEEDED);
}

static void
test_work_goes_to_agents_of_the_system_with_free_slots(void **state)
{
  struct farmyard *yard = *state;
  struct mirror_build arm = { .id = 1, .priority = 100, .system = STR(ARM) };
  mirror_add(yard->mirror, &arm);
  for (int64_t id = 2; id <= 6; id++)
    add_build(yard, id, 0);
  connect_agent(yard, 1, 2);
  connect_agent(yard, 2, 1);
  step(yard);
  assert_int_equal(yard->changes.starts.count, 3);
  assert_false(runs(yard, 1)); /* starves nobody of another system */
  assert_int_equal(agent_of(yard, 1)->attempts_count, 2);
  assert_int_equal(agent_of(yard, 2)->attempts_count, 1);
}

/* ---- failure ---- */

static void
test_build_failure_reaches_all_dependents_and_nobody_else(void **state)
{
  struct farmyard *yard = *state;
  for (int64_t id = 1; id <= 5; id++)
    add_build(yard, id, 0);
  need(yard, 2, 1);
  need(yard, 3, 2);
  need(yard, 3, 5);
  connect_agent(yard, 1, 1);
  step(yard);
  fails(yard, 1, FARM_CAUSE_BUILD);
  step(yard);
  assert_row(yard, 1, FARM_BUILD_FAILED);
  assert_row(yard, 2, FARM_BUILD_DEPENDENCY_FAILED);
  assert_row(yard, 3, FARM_BUILD_DEPENDENCY_FAILED);
  assert_int_equal(row_of(yard, 3)->failed_id, 1);
  assert_int_equal(row_of(yard, 1)->failed_id, 0);
  assert_int_equal(count_events(yard, EVENT_BUILD_DEPENDENCY_FAILED), 2);
  assert_int_equal(count_events(yard, EVENT_BUILD_FAILED), 1);
  assert_null(node_of(yard, 3));
  assert_non_null(node_of(yard, 5));
  assert_true(runs(yard, 4));
}

static void
test_known_failure_stops_a_new_dependent(void **state)
{
  struct farmyard *yard = *state;
  add_build(yard, 2, 0);
  add_build(yard, 3, 0);
  need(yard, 3, 2);
  mirror_dependency_failed(yard->mirror, node_of(yard, 2), 77);
  step(yard);
  assert_row(yard, 3, FARM_BUILD_DEPENDENCY_FAILED);
  assert_int_equal(row_of(yard, 2)->failed_id, 77);
  assert_int_equal(row_of(yard, 3)->failed_id, 77);
}

static void
test_other_causes_are_tried_again_elsewhere_then_hold_dependents(void **state)
{
  struct farmyard *yard = *state;
  add_build(yard, 1, 0);
  add_build(yard, 2, 0);
  need(yard, 2, 1);
  connect_agent(yard, 1, 1);
  connect_agent(yard, 2, 1);
  step(yard);
  int64_t first = yard->changes.starts.items[0].agent_id;
  fails(yard, 1, FARM_CAUSE_DISK_FULL);
  step(yard);
  assert_row(yard, 1, FARM_BUILD_WAITING); /* rests */
  assert_int_equal(mirror_due(yard->mirror), yard->mirror->now_ms + 1000);
  yard->mirror->now_ms += 1000;
  step(yard);
  assert_int_equal(yard->changes.starts.count, 1);
  assert_int_not_equal(yard->changes.starts.items[0].agent_id, first);
  fails(yard, 1, FARM_CAUSE_OUT_OF_MEMORY);
  yard->mirror->now_ms += 4000;
  step(yard);
  fails(yard, 1, FARM_CAUSE_DAEMON);
  step(yard);
  assert_row(yard, 1, FARM_BUILD_FAILED);
  assert_int_equal(row_of(yard, 1)->cause, FARM_CAUSE_DAEMON);
  assert_null(row_of(yard, 2)); /* not its fault, nor its dependents' */
  assert_int_equal(node_of(yard, 2)->state, FARM_BUILD_WAITING);
  mirror_restart(yard->mirror, node_of(yard, 1));
  step(yard);
  assert_true(runs(yard, 1));
  succeed(yard, 1);
  step(yard);
  assert_true(runs(yard, 2));
}

static void
test_the_only_agent_gets_the_second_try_too(void **state)
{
  struct farmyard *yard = *state;
  add_build(yard, 1, 0);
  connect_agent(yard, 1, 1);
  step(yard);
  fails(yard, 1, FARM_CAUSE_CANCELLED);
  yard->mirror->now_ms += 1000;
  step(yard);
  assert_true(runs(yard, 1));
}

static void
test_timeout_is_final_and_does_not_propagate(void **state)
{
  struct farmyard *yard = *state;
  add_build(yard, 1, 0);
  add_build(yard, 2, 0);
  need(yard, 2, 1);
  connect_agent(yard, 1, 1);
  step(yard);
  fails(yard, 1, FARM_CAUSE_TIMEOUT);
  step(yard);
  assert_row(yard, 1, FARM_BUILD_FAILED);
  assert_int_equal(node_of(yard, 2)->state, FARM_BUILD_WAITING);
  assert_false(runs(yard, 2));
}

static void
test_the_largest_limit_wished_for_holds(void **state)
{
  static const struct
  {
    int64_t wished, holds;
  } cases[] = { { 10, 10 }, { 20, 20 }, { 15, 20 }, { 0, 0 }, { 30, 0 } };
  struct farmyard *yard = *state;
  add_build(yard, 1, 0)->timeout_s = 72000; /* only needed so far */
  for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
    mirror_wish(yard->mirror, node_of(yard, 1), 0, cases[i].wished, cases[i].wished);
    assert_int_equal(node_of(yard, 1)->timeout_s, cases[i].holds);
    assert_int_equal(node_of(yard, 1)->max_silent_s, cases[i].holds);
  }
}

static void
test_a_larger_limit_revives_what_it_ended(void **state)
{
  struct farmyard *yard = *state;
  add_build(yard, 1, 0);
  add_build(yard, 2, 0);
  need(yard, 2, 1);
  mirror_wish(yard->mirror, node_of(yard, 1), 0, 10, 5);
  connect_agent(yard, 1, 1);
  step(yard);
  fails(yard, 1, FARM_CAUSE_TIMEOUT);
  step(yard);
  mirror_wish(yard->mirror, node_of(yard, 1), 0, 10, 5); /* nothing new */
  mirror_wish(yard->mirror, node_of(yard, 1), 0, 9, 5);
  mirror_wish(yard->mirror, node_of(yard, 1), 0, 10, 6); /* silence was not the matter */
  step(yard);
  assert_row(yard, 1, FARM_BUILD_FAILED); /* its row has the larger silence */
  assert_int_equal(yard->changes.starts.count, 0);
  mirror_wish(yard->mirror, node_of(yard, 1), 0, 11, 0);
  step(yard);
  assert_int_equal(yard->changes.starts.count, 1);
  assert_int_equal(yard->changes.starts.items[0].timeout_s, 11);
  assert_int_equal(yard->changes.starts.items[0].max_silent_s, 0);
  assert_int_equal(count_events(yard, EVENT_BUILD_RESTARTED), 1);
  succeed(yard, 1);
  step(yard);
  assert_true(runs(yard, 2));
}

/* A wish comes while the build runs under smaller limits: these prove nothing. */
static void
test_a_limit_raised_meanwhile_counts(void **state)
{
  struct farmyard *yard = *state;
  add_build(yard, 1, 0);
  mirror_wish(yard->mirror, node_of(yard, 1), 0, 10, 5);
  connect_agent(yard, 1, 1);
  step(yard);
  mirror_wish(yard->mirror, node_of(yard, 1), 0, 20, 5);
  fails(yard, 1, FARM_CAUSE_TIMEOUT);
  step(yard);
  assert_int_equal(yard->changes.starts.count, 1);
  assert_int_equal(yard->changes.starts.items[0].timeout_s, 20);
  fails(yard, 1, FARM_CAUSE_TIMEOUT);
  step(yard);
  assert_row(yard, 1, FARM_BUILD_FAILED);
  assert_null(node_of(yard, 1));
}

/* A hash mismatch that the agent's daemon found is final; one that the server found
   may be the agent's own. */
static void
test_what_the_server_refuses_is_tried_again(void **state)
{
  struct farmyard *yard = *state;
  add_build(yard, 1, 0);
  add_build(yard, 2, 0);
  need(yard, 2, 1);
  connect_agent(yard, 1, 1);
  for (int64_t i = 0; i < 3; i++) {
    yard->mirror->now_ms += 60000;
    step(yard);
    assert_true(runs(yard, 1));
    mirror_refused(yard->mirror, node_of(yard, 1)->attempt, FARM_CAUSE_HASH_MISMATCH, STR("why"),
                   0);
  }
  step(yard);
  assert_row(yard, 1, FARM_BUILD_FAILED);
  assert_row(yard, 2, FARM_BUILD_DEPENDENCY_FAILED);
}

/* A build that is held up by a fault not its own, while what it lacks is built and
   fails: once both are wanted anew, it waits for that one alone. */
static void
test_a_need_that_failed_is_not_waited_for_twice(void **state)
{
  struct farmyard *yard = *state;
  yard->mirror->options.attempts_limit = 1;
  add_build(yard, 2, 0);
  add_build(yard, 3, 0);
  need(yard, 3, 2);
  connect_agent(yard, 1, 1);
  step(yard);
  fails(yard, 2, FARM_CAUSE_MISSING_INPUT); /* held up: 3 needs it */
  add_build(yard, 1, 0);
  need(yard, 2, 1); /* healing */
  step(yard);
  fails(yard, 1, FARM_CAUSE_BUILD);
  step(yard);
  assert_null(node_of(yard, 1));
  assert_int_equal(node_of(yard, 2)->pending, 0);
  add_build(yard, 1, 0);
  need(yard, 2, 1);
  mirror_restart(yard->mirror, node_of(yard, 2));
  step(yard);
  assert_true(runs(yard, 1) && !runs(yard, 2));
  succeed(yard, 1);
  step(yard);
  assert_true(runs(yard, 2));
}

/* Nobody would ever take it out but a restart. */
static void
test_what_held_up_goes_with_the_last_that_waited(void **state)
{
  struct farmyard *yard = *state;
  for (int64_t id = 1; id <= 4; id++)
    add_build(yard, id, 0);
  need(yard, 3, 1);
  need(yard, 4, 1);
  need(yard, 4, 2);
  connect_agent(yard, 1, 2);
  step(yard);
  fails(yard, 1, FARM_CAUSE_TIMEOUT);
  fails(yard, 2, FARM_CAUSE_TIMEOUT);
  step(yard);
  mirror_cancel(yard->mirror, node_of(yard, 4));
  assert_non_null(node_of(yard, 1)); /* for 3 */
  assert_null(node_of(yard, 2));
  mirror_offered(yard->mirror, node_of(yard, 3));
  assert_null(node_of(yard, 1));
  step(yard);
  assert_int_equal(yard->mirror->nodes.count, 0);
  assert_null(row_of(yard, 1)); /* its row is as it was */
}

/* ---- cancelling and others ---- */

static void
test_cancel_takes_dependents_and_orphans_along(void **state)
{
  struct farmyard *yard = *state;
  for (int64_t id = 1; id <= 7; id++)
    add_build(yard, id, 0);
  need(yard, 2, 1); /* 1 was wished for */
  need(yard, 2, 4); /* 4 only for 2 */
  need(yard, 2, 5); /* 5 for 6 as well */
  need(yard, 6, 5);
  need(yard, 3, 2);
  need(yard, 4, 7);
  mirror_wish(yard->mirror, node_of(yard, 1), 0, 0, 0);
  mirror_cancel(yard->mirror, node_of(yard, 2));
  step(yard);
  static const int64_t cancelled[] = { 2, 3, 4, 7 };
  for (size_t i = 0; i < 4; i++)
    assert_row(yard, cancelled[i], FARM_BUILD_CANCELLED);
  assert_int_equal(count_events(yard, EVENT_BUILD_CANCELLED), 4);
  assert_non_null(node_of(yard, 1));
  assert_non_null(node_of(yard, 5));
}

static void
test_withdrawn_wishes_leave_what_others_need(void **state)
{
  struct farmyard *yard = *state;
  for (int64_t id = 1; id <= 6; id++) {
    add_build(yard, id, 0);
    mirror_wish(yard->mirror, node_of(yard, id), 0, 0, 0);
  }
  need(yard, 2, 1);
  need(yard, 3, 2);
  need(yard, 5, 4); /* 5 stays wanted, and so does 4 */
  for (int64_t id = 1; id <= 4; id++)
    mirror_withdraw(yard->mirror, node_of(yard, id));
  step(yard);
  for (int64_t id = 1; id <= 3; id++)
    assert_row(yard, id, FARM_BUILD_CANCELLED);
  for (int64_t id = 4; id <= 6; id++)
    assert_int_equal(node_of(yard, id)->state, FARM_BUILD_WAITING);
  assert_false(row_of(yard, 4)->direct);
  mirror_cancel(yard->mirror, node_of(yard, 5));
  step(yard);
  assert_row(yard, 4, FARM_BUILD_CANCELLED);
}

static void
test_cancel_of_a_running_build_tells_the_agent(void **state)
{
  struct farmyard *yard = *state;
  add_build(yard, 1, 0);
  connect_agent(yard, 1, 1);
  step(yard);
  mirror_cancel(yard->mirror, node_of(yard, 1));
  step(yard);
  assert_int_equal(yard->changes.ends.count, 1);
  assert_int_equal(yard->changes.ends.items[0].cause, FARM_CAUSE_CANCELLED);
  assert_int_equal(yard->changes.ends.items[0].session, SESSION_BASE + 1);
  assert_int_equal(agent_of(yard, 1)->attempts_count, 0);
}

static void
test_cancelled_build_is_wanted_anew(void **state)
{
  struct farmyard *yard = *state;
  struct mirror_build build = {
    .id = 1, .state = FARM_BUILD_CANCELLED, .tries = 3, .system = STR(LINUX)
  };
  mirror_add(yard->mirror, &build);
  connect_agent(yard, 1, 1);
  step(yard);
  assert_true(runs(yard, 1));
  assert_int_equal(row_of(yard, 1)->tries, 1);
}

static void
test_offered_builds_are_not_built(void **state)
{
  struct farmyard *yard = *state;
  for (int64_t id = 1; id <= 3; id++)
    add_build(yard, id, 0);
  need(yard, 2, 1);
  need(yard, 3, 2);
  mirror_offered(yard->mirror, node_of(yard, 1));
  connect_agent(yard, 1, 1);
  step(yard);
  assert_true(runs(yard, 2));
  mirror_start_spared(yard->mirror, yard->changes.starts.items[0].attempt_id);
  step(yard);
  assert_row(yard, 2, FARM_BUILD_SUCCEEDED);
  assert_int_equal(yard->changes.ends.count, 0);
  assert_true(runs(yard, 3));
}

static void
test_no_attempt_without_reserved_ids(void **state)
{
  struct farmyard *yard = *state;
  yard->mirror->next_attempt_id = 5;
  yard->mirror->last_attempt_id = 5;
  add_build(yard, 1, 0);
  add_build(yard, 2, 0);
  connect_agent(yard, 1, 2);
  step(yard);
  assert_int_equal(yard->changes.starts.count, 1);
  yard->mirror->last_attempt_id = 6;
  step(yard);
  assert_int_equal(yard->changes.starts.count, 1);
}

/* ---- a whole farm ---- */

#define BUILDS 20000
#define AGENTS 16

static uint32_t
next_random(uint32_t *seed) /* xorshift: the same run every time */
{
  *seed ^= *seed << 13;
  *seed ^= *seed >> 17;
  *seed ^= *seed << 5;
  return *seed;
}

struct run
{
  struct farmyard *yard;
  uint32_t seed;
  uint8_t expected[BUILDS + 1]; /* final states by the graph's own logic */
  uint8_t seen[BUILDS + 1];     /* final states by written rows */
  size_t rows;                  /* final rows */
  size_t starts;
  size_t wrong_order;
};

static bool
is_broken(int64_t id) /* builds that fail by themselves: late ones, or little would be left */
{
  return id > 15000 && id % 211 == 0;
}

static void
grow_graph(struct run *run)
{
  for (int64_t id = 1; id <= BUILDS; id++) {
    add_build(run->yard, id, (int32_t) (next_random(&run->seed) % 10));
    run->expected[id] = is_broken(id) ? FARM_BUILD_FAILED : FARM_BUILD_SUCCEEDED;
    for (uint32_t i = id == 1 ? 0 : next_random(&run->seed) % 6; i > 0; i--) {
      uint32_t near = (uint32_t) (id - 1 < 2000 ? id - 1 : 2000);
      int64_t needs = id - 1 - next_random(&run->seed) % near;
      need(run->yard, id, needs);
      if (run->expected[needs] != FARM_BUILD_SUCCEEDED)
        run->expected[id] = FARM_BUILD_DEPENDENCY_FAILED;
    }
  }
}

static void
note_changes(struct run *run)
{
  const struct changes *changes = &run->yard->changes;
  run->starts += changes->starts.count;
  for (size_t i = 0; i < changes->builds.count; i++) {
    const struct change_build *row = &changes->builds.items[i];
    if (row->state == FARM_BUILD_WAITING || row->state == FARM_BUILD_RUNNING)
      continue;
    run->rows++;
    run->seen[row->id] = (uint8_t) row->state;
  }
}

/* Something befalls one running attempt: mostly its end. */
static void
report(struct run *run, struct attempt *attempt)
{
  int64_t id = attempt->node->id;
  uint32_t luck = next_random(&run->seed) % 100;
  if (luck < 2 && attempt->node->tries < 3)
    fails(run->yard, id, FARM_CAUSE_UPLOAD);
  else if (is_broken(id))
    fails(run->yard, id, FARM_CAUSE_BUILD);
  else
    succeed(run->yard, id);
}

static void
check_running(struct run *run)
{
  size_t position = 0;
  const struct attempt *attempt;
  while ((attempt = int_map_next(&run->yard->mirror->attempts, &position)) != NULL)
    run->wrong_order += attempt->node->pending > 0;
  for (int64_t id = 1; id <= AGENTS; id++)
    assert_true(agent_of(run->yard, id)->attempts_count <= 8);
}

static void
flap(struct run *run, int64_t round)
{
  int64_t id = 1 + round % AGENTS;
  if (round % 7 == 0)
    mirror_disconnect(run->yard->mirror, id, agent_of(run->yard, id)->session);
  if (round % 7 == 3)
    for (int64_t i = 1; i <= AGENTS; i++)
      if (agent_of(run->yard, i)->session == 0)
        connect_agent(run->yard, i, 8); /* claims nothing: its attempts are lost */
}

static void
test_20000_builds_to_the_end(void **state)
{
  struct run *run = mem_alloc(sizeof *run);
  run->yard = *state;
  run->seed = 20231123;
  run->yard->mirror->options.attempts_limit = 1000;
  run->yard->mirror->options.losses_limit = 1000; /* agents come and go a lot here */
  grow_graph(run);
  for (int64_t id = 1; id <= AGENTS; id++)
    connect_agent(run->yard, id, 8);
  for (int64_t round = 0; run->yard->mirror->nodes.count > 0; round++) {
    assert_true(round < 200000);
    run->yard->mirror->now_ms += 500;
    step(run->yard);
    note_changes(run);
    check_running(run);
    flap(run, round);
    struct agent *agent = agent_of(run->yard, 1 + next_random(&run->seed) % AGENTS);
    while (agent->attempts_count > 0)
      report(run, agent->attempts[agent->attempts_count - 1]);
  }
  step(run->yard);
  note_changes(run);
  assert_int_equal(run->rows, BUILDS);
  assert_memory_equal(run->seen + 1, run->expected + 1, BUILDS);
  assert_int_equal(run->wrong_order, 0);
  assert_true(run->starts > 10000);
  assert_int_equal(run->yard->mirror->attempts.count, 0);
  free(run);
}

int
main(void)
{
  const struct CMUnitTest tests[] = {
    CASE(test_order_is_priority_then_age_then_id),
    CASE(test_dependencies_inherit_priority),
    CASE(test_diamond),
    CASE(test_work_goes_to_agents_of_the_system_with_free_slots),
    CASE(test_build_failure_reaches_all_dependents_and_nobody_else),
    CASE(test_known_failure_stops_a_new_dependent),
    CASE(test_other_causes_are_tried_again_elsewhere_then_hold_dependents),
    CASE(test_the_only_agent_gets_the_second_try_too),
    CASE(test_timeout_is_final_and_does_not_propagate),
    CASE(test_the_largest_limit_wished_for_holds),
    CASE(test_a_larger_limit_revives_what_it_ended),
    CASE(test_a_limit_raised_meanwhile_counts),
    CASE(test_what_the_server_refuses_is_tried_again),
    CASE(test_a_need_that_failed_is_not_waited_for_twice),
    CASE(test_what_held_up_goes_with_the_last_that_waited),
    CASE(test_cancel_takes_dependents_and_orphans_along),
    CASE(test_withdrawn_wishes_leave_what_others_need),
    CASE(test_cancel_of_a_running_build_tells_the_agent),
    CASE(test_cancelled_build_is_wanted_anew),
    CASE(test_offered_builds_are_not_built),
    CASE(test_no_attempt_without_reserved_ids),
    CASE(test_20000_builds_to_the_end),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
