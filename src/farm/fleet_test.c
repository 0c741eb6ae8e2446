/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Agents, their sessions and attempts. */
#include "farm/test_mirror.h"

static void
test_fence(void **state)
{
  struct farmyard *yard = *state;
  add_build(yard, 1, 0);
  connect_agent(yard, 1, 1);
  step(yard);
  struct change_start start = yard->changes.starts.items[0];
  assert_true(start.fence > 0);
  assert_non_null(mirror_attempt(yard->mirror, start.attempt_id, 1, start.fence));
  assert_null(mirror_attempt(yard->mirror, start.attempt_id, 1, start.fence + 1));
  assert_null(mirror_attempt(yard->mirror, start.attempt_id, 2, start.fence));
  assert_null(mirror_attempt(yard->mirror, start.attempt_id + 1, 1, start.fence));
}

static void
test_pause(void **state)
{
  struct farmyard *yard = *state;
  add_build(yard, 1, 0);
  connect_agent(yard, 1, 1);
  mirror_pause(yard->mirror, agent_of(yard, 1), true);
  step(yard);
  assert_int_equal(yard->changes.starts.count, 0);
  assert_int_equal(count_events(yard, EVENT_AGENT_PAUSED), 1);
  mirror_pause(yard->mirror, agent_of(yard, 1), false);
  step(yard);
  assert_int_equal(yard->changes.starts.count, 1);
}

/* What it ran is begun elsewhere at once, and it is let in with another token only. */
static void
test_released_agent(void **state)
{
  struct farmyard *yard = *state;
  struct mirror_agent facts = agent_facts(1, 1);
  size_t unknown;
  add_build(yard, 1, 0);
  connect_agent(yard, 1, 1);
  step(yard);
  connect_agent(yard, 2, 1);
  mirror_release(yard->mirror, agent_of(yard, 1), 0);
  add_build(yard, 2, 0);
  step(yard);
  assert_int_equal(yard->changes.ends.items[0].cause, FARM_CAUSE_AGENT_LOST);
  assert_int_equal(yard->changes.starts.count, 1);
  assert_int_equal(yard->changes.starts.items[0].agent_id, 2);
  assert_int_equal(count_events(yard, EVENT_AGENT_LOST), 0);
  assert_true(yard->changes.agents.items[yard->changes.agents.count - 1].released);
  assert_null(mirror_connect(yard->mirror, &facts, 7, NULL, 0, NULL, &unknown));
  mirror_attach(yard->mirror, 1, SESSION_BASE + 1);
  step(yard);
  assert_int_equal(yard->changes.starts.count, 0);
  facts.token_id = 77;
  assert_non_null(mirror_connect(yard->mirror, &facts, 8, NULL, 0, NULL, &unknown));
  mirror_release(yard->mirror, agent_of(yard, 1), 77); /* an order from before */
  step(yard);
  assert_int_equal(yard->changes.starts.items[0].agent_id, 1);
}

/* It ran something when the scheduler before this one stopped. */
static void
test_agent_that_was_released_before(void **state)
{
  struct farmyard *yard = *state;
  struct mirror_agent facts = agent_facts(1, 1);
  facts.released = true;
  connect_agent(yard, 2, 1);
  mirror_resume(yard->mirror, 1, 5, add_build(yard, 1, 0), mirror_agent(yard->mirror, &facts));
  step(yard);
  assert_int_equal(yard->changes.ends.items[0].cause, FARM_CAUSE_AGENT_LOST);
  assert_int_equal(yard->changes.starts.items[0].agent_id, 2);
}

static void
test_lost_agent_frees_its_builds_after_the_grace_time(void **state)
{
  struct farmyard *yard = *state;
  add_build(yard, 1, 0);
  connect_agent(yard, 1, 1);
  step(yard);
  struct change_start start = yard->changes.starts.items[0];
  mirror_disconnect(yard->mirror, 1, SESSION_BASE + 1);
  connect_agent(yard, 2, 1);
  yard->mirror->now_ms += 59999;
  step(yard);
  assert_int_equal(yard->changes.starts.count, 0);
  yard->mirror->now_ms += 1;
  step(yard);
  assert_int_equal(yard->changes.ends.count, 1);
  assert_int_equal(yard->changes.ends.items[0].cause, FARM_CAUSE_AGENT_LOST);
  assert_int_equal(yard->changes.starts.items[0].agent_id, 2);
  assert_null(mirror_attempt(yard->mirror, start.attempt_id, 1, start.fence));
  assert_int_equal(count_events(yard, EVENT_AGENT_LOST), 1);
  assert_int_equal(count_events(yard, EVENT_ATTEMPT_LOST), 1);
}

/* The agent is killed and comes back without what it ran, so often. */
static void
lose_all(struct farmyard *yard, int64_t times)
{
  for (int64_t i = 0; i < times; i++) {
    connect_agent(yard, 1, 1);
    step(yard);
  }
}

static void
test_losses_are_no_tries_and_have_a_limit(void **state)
{
  struct farmyard *yard = *state;
  add_build(yard, 1, 0);
  connect_agent(yard, 1, 1);
  step(yard);
  lose_all(yard, 9);
  assert_true(runs(yard, 1));
  assert_int_equal(row_of(yard, 1)->tries, 1); /* the one that runs */
  assert_int_equal(row_of(yard, 1)->losses, 9);
  for (int64_t i = 0; i < 2; i++) {
    fails(yard, 1, FARM_CAUSE_DISK_FULL);
    yard->mirror->now_ms += 60000;
    step(yard);
    assert_true(runs(yard, 1));
  }
  lose_all(yard, 1); /* the tenth */
  assert_row(yard, 1, FARM_BUILD_FAILED);
  assert_int_equal(row_of(yard, 1)->cause, FARM_CAUSE_AGENT_LOST);
}

static void
test_new_session_keeps_loses_and_stops(void **state)
{
  struct farmyard *yard = *state;
  add_build(yard, 1, 0);
  add_build(yard, 2, 0);
  connect_agent(yard, 1, 2);
  step(yard);
  struct change_start kept = yard->changes.starts.items[0];
  struct mirror_claim claims[] = { { kept.attempt_id, kept.fence }, { 999, 5 } };
  struct mirror_agent facts = agent_facts(1, 2);
  int64_t unknown[2];
  size_t unknown_count;
  mirror_connect(yard->mirror, &facts, 2000, claims, 2, unknown, &unknown_count);
  mirror_disconnect(yard->mirror, 1, SESSION_BASE + 1); /* the old one's end means nothing */
  assert_int_equal(agent_of(yard, 1)->session, 2000);
  assert_int_equal(unknown_count, 1);
  assert_int_equal(unknown[0], 999);
  step(yard);
  assert_int_equal(yard->changes.ends.count, 1);
  assert_int_not_equal(yard->changes.ends.items[0].attempt_id, kept.attempt_id);
  assert_int_equal(agent_of(yard, 1)->attempts_count, 2); /* the lost one, given out anew */
}

static void
test_attempts_end_with_the_token_they_began_under(void **state)
{
  struct farmyard *yard = *state;
  add_build(yard, 1, 0);
  connect_agent(yard, 1, 1);
  step(yard);
  struct change_start start = yard->changes.starts.items[0];
  struct mirror_claim claim = { start.attempt_id, start.fence };
  struct mirror_agent facts = agent_facts(1, 1);
  facts.token_id = 77;
  int64_t unknown[1];
  size_t unknown_count;
  mirror_disconnect(yard->mirror, 1, SESSION_BASE + 1);
  mirror_connect(yard->mirror, &facts, 2000, &claim, 1, unknown, &unknown_count);
  assert_int_equal(unknown_count, 1);
  step(yard);
  assert_int_equal(yard->changes.ends.count, 1);
  assert_int_equal(yard->changes.starts.items[0].token_id, 77);
}

static void
test_attempts_survive_a_restart_of_the_server(void **state)
{
  struct farmyard *yard = *state;
  struct mirror_build running = { .id = 1, .state = FARM_BUILD_RUNNING, .system = STR(LINUX) };
  struct node *node = mirror_add(yard->mirror, &running);
  struct mirror_agent facts = agent_facts(1, 1);
  mirror_resume(yard->mirror, 50, 500, node, mirror_agent(yard->mirror, &facts));
  step(yard);
  assert_true(changes_are_empty(&yard->changes));
  struct mirror_claim claim = { 50, 500 };
  int64_t unknown[1];
  size_t unknown_count;
  mirror_connect(yard->mirror, &facts, 7, &claim, 1, unknown, &unknown_count);
  assert_int_equal(unknown_count, 0);
  succeed(yard, 1);
  step(yard);
  assert_row(yard, 1, FARM_BUILD_SUCCEEDED);
}

int
main(void)
{
  const struct CMUnitTest tests[] = {
    CASE(test_fence),
    CASE(test_pause),
    CASE(test_released_agent),
    CASE(test_agent_that_was_released_before),
    CASE(test_lost_agent_frees_its_builds_after_the_grace_time),
    CASE(test_losses_are_no_tries_and_have_a_limit),
    CASE(test_new_session_keeps_loses_and_stops),
    CASE(test_attempts_end_with_the_token_they_began_under),
    CASE(test_attempts_survive_a_restart_of_the_server),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
