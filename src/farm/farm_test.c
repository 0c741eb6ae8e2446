/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The agent protocol and the scheduler as agents meet them: a real database, a
   real HTTP server, made-up agents. */
#include "farm/test_agent.h"

#include "base/clock.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

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
need(struct yard *yard, int64_t from, int64_t needs)
{
  yard_need(yard, &(struct yard_edge) { from, needs }, 1);
}

/* ---- the way through ---- */

static void
test_a_chain_is_built(void **state)
{
  struct yard *yard = *state;
  need(yard, 2, 1);
  struct test_agent *agent = start_with_agent(yard, 4);
  struct test_build first, second;
  json_t *reply;
  yard_wish(yard, 2, 5);
  test_agent_expect(agent, "build", &first);
  assert_int_equal(first.n, 1);
  assert_int_equal(
      test_agent_call(agent, "GET", "/agent/v1/attempts/0/closure", "1", NULL, STR(""), NULL), 404);
  char path[128];
  snprintf(path, sizeof path, "/agent/v1/attempts/%lld/closure", (long long) first.attempt);
  assert_int_equal(test_agent_call(agent, "GET", path, first.fence, NULL, STR(""), &reply), 200);
  assert_int_equal(length_of(reply, "paths"), 1); /* its own .drv */
  assert_int_equal(test_agent_post(agent, &first, "started", "{}", NULL), 200);
  assert_int_equal(test_agent_succeed(agent, &first), 200);
  test_agent_expect(agent, "build", &second);
  assert_int_equal(second.n, 2);
  snprintf(path, sizeof path, "/agent/v1/attempts/%lld/closure", (long long) second.attempt);
  assert_int_equal(test_agent_call(agent, "GET", path, second.fence, NULL, STR(""), &reply), 200);
  assert_int_equal(length_of(reply, "paths"), 3);
  assert_int_equal(test_agent_succeed(agent, &second), 200);
  assert_int_equal(yard_build_of(yard, 1).state, FARM_BUILD_SUCCEEDED);
  struct yard_build_row row = yard_build_of(yard, 2);
  assert_int_equal(row.state, FARM_BUILD_SUCCEEDED);
  assert_int_equal(row.attempts, 1);
  assert_int_equal(row.timeout_s, 100);
  assert_int_equal(yard_build_of(yard, 1).timeout_s, 72000); /* not its dependent's */
  assert_int_equal(yard_events_of(yard, "build.started"), 2);
  assert_int_equal(yard_events_of(yard, "build.succeeded"), 2);
  assert_int_equal(yard_events_of(yard, "build.queued"), 1);
  assert_int_equal(yard_events_about(yard, 2), 2);
  struct yard_attempt_row attempt = yard_attempt_of(yard, first.attempt);
  assert_int_equal(attempt.log_size, 6);
  assert_true(attempt.started);
  test_agent_free(agent);
}

static void
test_bundle(void **state)
{
  static const char end[8]; /* of an export stream */
  struct yard *yard = *state;
  CLEANUP_BUF struct buf stream = { 0 };
  struct test_agent *agent = start_with_agent(yard, 1);
  struct test_build build;
  char body[256];
  yard_wish(yard, 1, 0);
  test_agent_expect(agent, "build", &build);
  snprintf(body, sizeof body, "{\"attempt\": %lld, \"paths\": [\"%s\"]}", (long long) build.attempt,
           yard_basename(yard_drv(1)).data);
  assert_int_equal(test_agent_fetch(agent, "/agent/v1/bundle", "77", str_of(body), &stream), 410);
  buf_clear(&stream);
  assert_int_equal(test_agent_fetch(agent, "/agent/v1/bundle", build.fence, str_of(body), &stream),
                   200);
  assert_true(str_ends(buf_str(&stream), str_make(end, sizeof end)));
  assert_non_null(memmem(stream.data, stream.size, "Derive(", 7));
  snprintf(body, sizeof body, "{\"attempt\": %lld, \"paths\": [\"%s\"]}", (long long) build.attempt,
           yard_basename(yard_out(3)).data);
  assert_int_equal(test_agent_fetch(agent, "/agent/v1/bundle", build.fence, str_of(body), &stream),
                   404);
  test_agent_free(agent);
}

static void
test_enrolling(void **state)
{
  struct yard *yard = *state;
  yard_start(yard);
  struct test_agent *agent = test_agent_new(yard, "one", 1);
  static const struct
  {
    const char *body;
    int status;
  } cases[] = {
    { "{\"name\": \"one\", \"systems\": [\"x86_64-linux\"], \"jobs\": 1}", 409 },
    { "{\"name\": \"tokens\", \"systems\": [\"x86_64-linux\"], \"jobs\": 1}", 400 },
    { "{\"name\": \"..\", \"systems\": [\"x86_64-linux\"], \"jobs\": 1}", 400 },
    { "{\"name\": \"two\", \"systems\": [], \"jobs\": 1}", 400 },
    { "{\"name\": \"two\", \"systems\": [\"../etc\"], \"jobs\": 1}", 400 },
    { "{\"name\": \"two\", \"systems\": [\"x86_64-linux\"], \"jobs\": 0}", 400 },
    { "{\"name\": \"two\", \"systems\": [\"x86_64-linux\"], \"jobs\": 1, \"facts\": []}", 400 },
    { "nonsense", 400 },
    { "{\"name\": \"two\", \"systems\": [\"x86_64-linux\"], \"jobs\": 1, \"facts\": {\"a\": 1}}",
      201 },
  };
  for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
    assert_int_equal(test_agent_enrol(yard, yard->join_token, cases[i].body, NULL),
                     cases[i].status);
  assert_int_equal(
      test_agent_enrol(yard, "panoply_join_0", cases[ARRAY_SIZE(cases) - 1].body, NULL), 401);
  assert_int_equal(yard_events_of(yard, "agent.enrolled"), 2);
  test_agent_free(agent);
}

static void
test_enrolling_again_replaces_the_token(void **state)
{
  struct yard *yard = *state;
  yard_start(yard);
  struct test_agent *agent = test_agent_new(yard, "one", 1);
  char body[256];
  json_t *reply;
  snprintf(body, sizeof body,
           "{\"name\": \"one\", \"systems\": [\"x86_64-linux\"], \"jobs\": 7, \"token\": \"%s\"}",
           test_agent_token(agent));
  test_agent_dial(agent, NULL, 0);
  assert_int_equal(test_agent_enrol(yard, yard->join_token, body, NULL), 409); /* connected */
  test_agent_hang_up(agent);
  yard_await_connected(yard, "one", false);
  assert_int_equal(test_agent_enrol(yard, yard->join_token, body, &reply), 201);
  assert_true(json_is_string(json_object_get(reply, "key")));
  json_decref(reply);
  assert_int_equal(test_agent_enrol(yard, yard->join_token, body, NULL), 403); /* the old token */
  test_agent_free(agent);
}

/* Whoever lost the token, or reinstalled the machine, gets the name back. */
static void
test_a_released_name_may_be_enrolled_anew(void **state)
{
  struct yard *yard = *state;
  yard_start(yard);
  struct test_agent *agent = test_agent_new(yard, "one", 1);
  static const char body[] = "{\"name\": \"one\", \"systems\": [\"x86_64-linux\"], \"jobs\": 7}";
  char old[256];
  json_t *reply;
  snprintf(old, sizeof old,
           "{\"name\": \"one\", \"systems\": [\"x86_64-linux\"], \"jobs\": 7, \"token\": \"%s\"}",
           test_agent_token(agent));
  test_agent_dial(agent, NULL, 0);
  assert_int_equal(test_agent_enrol(yard, yard->join_token, body, NULL), 409);
  struct error err = { 0 };
  assert_int_equal(farm_agent_release(yard->farm, STR("two"), &err), -ENOENT);
  assert_int_equal(farm_agent_release(yard->farm, STR("one"), &err), 0);
  assert_int_equal(farm_agent_release(yard->farm, STR("one"), &err), -EEXIST);
  /* Not by whoever was released, though it has kept its joining token. */
  assert_int_equal(test_agent_enrol(yard, yard->join_token, old, &reply), 403);
  assert_non_null(strstr(json_string_value(json_object_get(reply, "hint")), "token file"));
  json_decref(reply);
  assert_int_equal(test_agent_enrol(yard, yard->join_token, body, NULL), 201);
  assert_int_equal(test_agent_enrol(yard, yard->join_token, body, NULL), 409);
  assert_int_equal(yard_events_of(yard, "agent.released"), 1);
  test_agent_hang_up(agent);
  test_agent_free(agent);
}

/* No matter which process is asked. */
static void
release(struct yard *yard, struct yard *asked)
{
  struct test_agent *agent = start_with_agent(yard, 2);
  struct test_agent *other = test_agent_new(yard, "b", 1);
  struct test_build build, again;
  struct error err = { 0 };
  CLEANUP_BUF struct buf why = { 0 };
  yard_wish(yard, 1, 0);
  test_agent_expect(agent, "build", &build);
  if (asked != yard)
    yard_start(asked);
  int64_t start = clock_monotonic_ms();
  assert_int_equal(farm_agent_release(asked->farm, STR("a"), &err), 0);
  test_agent_await_end(agent);
  yard_await_state(yard, 1, FARM_BUILD_WAITING);
  yard_await_connected(yard, "a", false);
  assert_in_range(clock_monotonic_ms() - start, 0, 15000);
  assert_int_equal(yard_attempts_of(yard, FARM_CAUSE_AGENT_LOST).of_cause, 1);
  int64_t id = yard_wish(yard, 2, 0);
  test_agent_dial(other, NULL, 0);
  test_agent_expect(other, "build", &again);
  assert_int_equal(again.n, 1);
  assert_int_equal(test_agent_succeed(other, &again), 200);
  test_agent_expect(other, "build", &again);
  assert_int_equal(farm_agent_release(asked->farm, STR("b"), &err), 0);
  yard_await_state(yard, 2, FARM_BUILD_WAITING);
  assert_int_equal(farm_build_explain(yard->farm, id, &why, &err), 0);
  assert_non_null(strstr(buf_text(&why), "\"reason\":\"no-agent\""));
  assert_int_equal(farm_agent_pause(asked->farm, STR("a"), true, &err), -EEXIST);
  assert_non_null(strstr(err.message, "released"));
  assert_int_equal(farm_agent_pause(asked->farm, STR("a"), false, &err), -EEXIST);
  test_agent_free(other);
  test_agent_free(agent);
}

static void
test_a_released_agent_has_lost_its_work(void **state)
{
  release(*state, *state);
}

static void
test_an_agent_is_released_by_another_process(void **state)
{
  struct yard *beside = yard_beside(*state);
  release(*state, beside);
  yard_free(beside);
}

/* ---- whose attempt it is ---- */

static void
test_a_stale_fence_is_gone_everywhere(void **state)
{
  struct yard *yard = *state;
  struct test_agent *agent = start_with_agent(yard, 1);
  struct test_agent *other = test_agent_new(yard, "b", 1);
  struct test_build build, stale;
  yard_wish(yard, 1, 0);
  test_agent_expect(agent, "build", &build);
  stale = build;
  snprintf(stale.fence, sizeof stale.fence, "12345");
  struct test_agent *agents[] = { agent, other };
  const struct test_build *builds[] = { &stale, &build }; /* wrong fence, wrong agent */
  for (size_t i = 0; i < 2; i++) {
    assert_int_equal(test_agent_post(agents[i], builds[i], "started", "{}", NULL), 410);
    assert_int_equal(test_agent_post(agents[i], builds[i], "missing", "{\"paths\": []}", NULL),
                     410);
    assert_int_equal(test_agent_upload(agents[i], builds[i]), 410);
    assert_int_equal(test_agent_fail(agents[i], builds[i], "build"), 410);
    assert_int_equal(test_agent_report(agents[i], builds[i], NULL, NULL), 410);
  }
  assert_int_equal(yard_build_of(yard, 1).state, FARM_BUILD_RUNNING);
  assert_int_equal(test_agent_succeed(agent, &build), 200);
  test_agent_free(other);
  test_agent_free(agent);
}

static void
test_a_repeated_result_changes_nothing(void **state)
{
  struct yard *yard = *state;
  struct test_agent *agent = start_with_agent(yard, 1);
  struct test_build build;
  yard_wish(yard, 1, 0);
  test_agent_expect(agent, "build", &build);
  assert_int_equal(test_agent_succeed(agent, &build), 200);
  assert_int_equal(test_agent_report(agent, &build, NULL, NULL), 200);
  assert_int_equal(test_agent_fail(agent, &build, "build"), 410);
  yard_wish(yard, 2, 0);
  test_agent_expect(agent, "build", &build);
  assert_int_equal(test_agent_fail(agent, &build, "build"), 200);
  assert_int_equal(test_agent_fail(agent, &build, "build"), 200);
  assert_int_equal(test_agent_fail(agent, &build, "timeout"), 410);
  assert_int_equal(yard_events_of(yard, "build.succeeded"), 1);
  assert_int_equal(yard_events_of(yard, "build.failed"), 1);
  test_agent_free(agent);
}

static void
test_two_agents_share_the_work(void **state)
{
  struct yard *yard = *state;
  struct test_agent *one = start_with_agent(yard, 1);
  struct test_agent *two = test_agent_new(yard, "b", 1);
  test_agent_dial(two, NULL, 0);
  struct test_build first, second, third;
  for (int64_t n = 1; n <= 3; n++)
    yard_wish(yard, n, 0);
  test_agent_expect(one, "build", &first);
  test_agent_expect(two, "build", &second);
  assert_int_not_equal(first.n, second.n);
  assert_false(test_agent_next(two, 50, "build", NULL));
  assert_int_equal(test_agent_succeed(two, &second), 200);
  test_agent_expect(two, "build", &third);
  test_agent_free(two);
  test_agent_free(one);
}

/* ---- sessions ---- */

static void
test_a_second_session_ends_the_first(void **state)
{
  struct yard *yard = *state;
  struct test_agent *agent = start_with_agent(yard, 2);
  struct test_build build, unknown = { .attempt = 999, .fence = "1" };
  yard_wish(yard, 1, 0);
  test_agent_expect(agent, "build", &build);
  struct test_agent *again = test_agent_twin(agent);
  const struct test_build claims[] = { build, unknown };
  test_agent_dial(again, claims, 2);
  struct test_build cancelled;
  test_agent_expect(again, "cancel", &cancelled);
  assert_int_equal(cancelled.attempt, 999);
  test_agent_await_end(agent);
  assert_int_equal(test_agent_succeed(again, &build), 200);
  assert_int_equal(yard_build_of(yard, 1).attempts, 1);
  test_agent_free(again);
  test_agent_free(agent);
}

static void
test_what_a_new_session_does_not_list_is_lost(void **state)
{
  struct yard *yard = *state;
  struct test_agent *agent = start_with_agent(yard, 1);
  struct test_build lost, build;
  yard_wish(yard, 1, 0);
  test_agent_expect(agent, "build", &lost);
  test_agent_hang_up(agent);
  test_agent_dial(agent, NULL, 0);
  test_agent_expect(agent, "build", &build);
  assert_int_not_equal(build.attempt, lost.attempt);
  assert_int_equal(yard_attempt_of(yard, lost.attempt).cause, FARM_CAUSE_AGENT_LOST);
  assert_int_equal(test_agent_report(agent, &lost, NULL, NULL), 410);
  assert_int_equal(test_agent_succeed(agent, &build), 200);
  assert_int_equal(yard_events_of(yard, "attempt.lost"), 1);
  test_agent_free(agent);
}

static void
test_a_lost_agent_s_build_goes_to_another(void **state)
{
  struct yard *yard = *state;
  yard->options.agent_grace_s = 1;
  struct test_agent *one = start_with_agent(yard, 1);
  struct test_build lost, build;
  yard_wish(yard, 1, 0);
  test_agent_expect(one, "build", &lost);
  struct test_agent *two = test_agent_new(yard, "b", 1);
  test_agent_dial(two, NULL, 0);
  assert_false(test_agent_next(two, 50, "build", NULL));
  test_agent_hang_up(one);
  test_agent_expect(two, "build", &build);
  assert_int_equal(test_agent_succeed(two, &build), 200);
  assert_int_equal(yard_events_of(yard, "agent.lost"), 1);
  assert_int_equal(yard_build_of(yard, 1).attempts, 2);
  /* It comes back too late: its result is refused, and it is told to drop it. */
  test_agent_dial(one, &lost, 1);
  test_agent_expect(one, "cancel", &build);
  assert_int_equal(build.attempt, lost.attempt);
  assert_int_equal(test_agent_report(one, &lost, NULL, NULL), 410);
  test_agent_free(two);
  test_agent_free(one);
}

static void
test_a_restart_of_the_server_keeps_attempts(void **state)
{
  struct yard *yard = *state;
  struct test_agent *agent = start_with_agent(yard, 2);
  struct test_build build;
  yard_wish(yard, 1, 0);
  test_agent_expect(agent, "build", &build);
  yard_stop(yard);
  test_agent_await_end(agent);
  yard_start(yard);
  test_agent_dial(agent, &build, 1);
  assert_int_equal(test_agent_succeed(agent, &build), 200);
  assert_int_equal(yard_build_of(yard, 1).attempts, 1);
  assert_int_equal(yard_build_of(yard, 1).state, FARM_BUILD_SUCCEEDED);
  test_agent_free(agent);
}

/* ---- the database ---- */

static void
test_a_lost_database_connection_costs_nothing(void **state)
{
  struct yard *yard = *state;
  struct test_agent *agent = start_with_agent(yard, 1);
  struct test_build build;
  for (int64_t n = 1; n <= 3; n++) {
    yard_wish(yard, n, 0);
    test_agent_expect(agent, "build", &build);
    assert_true(test_database_cut_off(yard->database->uri) > 0);
    assert_int_equal(test_agent_succeed(agent, &build), 200);
  }
  assert_int_equal(yard_scheduler_of(yard).epoch, 1); /* the mirror was kept */
  assert_int_equal(yard_build_of(yard, 3).attempts, 1);
  test_agent_free(agent);
}

/* While the database is away (here: all its connections), requests are told so, and
   soon: whoever answers them has others to answer. */
static void
test_requests_do_not_wait_for_the_database(void **state)
{
  struct yard *yard = *state;
  static const char body[] = "{\"name\": \"one\", \"systems\": [\"x86_64-linux\"], \"jobs\": 1}";
  struct db *taken[4];
  yard_start(yard);
  for (size_t i = 0; i < ARRAY_SIZE(taken); i++)
    assert_int_equal(db_pool_get(yard->database->pool, &taken[i], NULL), 0);
  int64_t start = clock_monotonic_ms();
  assert_int_equal(test_agent_enrol(yard, yard->join_token, body, NULL), 503);
  assert_in_range(clock_monotonic_ms() - start, 0, 20000);
  for (size_t i = 0; i < ARRAY_SIZE(taken); i++)
    db_pool_put(yard->database->pool, taken[i]);
  assert_int_equal(test_agent_enrol(yard, yard->join_token, body, NULL), 201);
}

static void
test_a_second_scheduler_takes_over(void **state)
{
  struct yard *yard = *state;
  struct error err = { 0 };
  struct test_agent *agent = start_with_agent(yard, 1);
  struct test_build build;
  yard_wish(yard, 1, 0);
  test_agent_expect(agent, "build", &build);
  struct yard *standby = yard_beside(yard);
  yard_start(standby);
  struct test_agent *visitor = test_agent_twin_at(agent, standby);
  assert_int_equal(test_agent_post(visitor, &build, "started", "{}", NULL), 503);
  assert_int_equal(yard_scheduler_of(yard).epoch, 1);
  yard_stop(yard);
  test_agent_dial(visitor, &build, 1);
  assert_int_equal(yard_scheduler_of(yard).epoch, 2);
  assert_int_equal(test_agent_succeed(visitor, &build), 200);
  assert_int_equal(err.code, 0);
  test_agent_free(visitor);
  test_agent_free(agent);
  yard_free(standby);
}

/* Told to people: not that a process has the role, but that one does its work. */
static void
test_an_active_scheduler_is_seen(void **state)
{
  struct yard *yard = *state;
  assert_false(yard_scheduler_of(yard).seen);
  yard_start(yard);
  for (int i = 0; i < 1000 && !yard_scheduler_of(yard).seen; i++)
    clock_sleep_ms(10);
  assert_true(yard_scheduler_of(yard).seen);
  assert_int_equal(yard_scheduler_of(yard).batch, 0); /* it had nothing to write */
}

static void
test_an_ousted_scheduler_writes_nothing_more(void **state)
{
  struct yard *yard = *state;
  struct test_agent *agent = start_with_agent(yard, 1);
  struct test_build build;
  yard_wish(yard, 1, 0);
  test_agent_expect(agent, "build", &build);
  yard_bump_epoch(yard); /* as if another had taken over unnoticed */
  assert_int_equal(test_agent_post(agent, &build, "started", "{}", NULL), 503);
  test_agent_await_end(agent);
  assert_false(yard_attempt_of(yard, build.attempt).started);
  test_agent_dial(agent, &build, 1); /* it became active again, in an epoch of its own */
  assert_int_equal(yard_scheduler_of(yard).epoch, 3);
  assert_int_equal(test_agent_post(agent, &build, "started", "{}", NULL), 200);
  test_agent_free(agent);
}

struct late
{
  struct yard *yard;
  struct test_agent *agent;
  int64_t build_id;
};

/* Others commit, and are built, while this one is still open. */
static int
wish_slowly(struct db *db, void *context, struct error *err)
{
  struct late *late = context;
  struct farm_wish wish = { .derivation_id = yard_drv(1) };
  struct test_build build;
  int r = farm_wish(db, &wish, 1, &late->build_id, err);
  if (r < 0)
    return r;
  for (int64_t n = 2; n <= 3; n++) {
    yard_wish(late->yard, n, 0);
    test_agent_expect(late->agent, "build", &build);
    assert_int_equal(build.n, n);
  }
  return 0;
}

static void
test_a_wish_that_commits_late_is_not_missed(void **state)
{
  struct yard *yard = *state;
  struct error err = { 0 };
  struct test_agent *agent = start_with_agent(yard, 9);
  struct late late = { .yard = yard, .agent = agent };
  struct test_build build;
  assert_int_equal(db_pool_run(yard->database->pool, DB_WRITE, wish_slowly, &late, &err), 0);
  yard_wish(yard, 4, 0); /* wakes */
  int64_t seen[5] = { 0 };
  for (int i = 0; i < 2; i++) {
    test_agent_expect(agent, "build", &build);
    seen[build.n]++;
  }
  assert_int_equal(seen[1], 1);
  assert_int_equal(seen[4], 1);
  test_agent_free(agent);
}

/* Raises the priority of a build that runs, and stays open until that has ended. */
static int
wish_for_running(struct db *db, void *context, struct error *err)
{
  struct late *late = context;
  struct farm_wish wish = { .derivation_id = yard_drv(1), .priority = 9 };
  struct test_build build;
  int r = farm_wish(db, &wish, 1, &late->build_id, err);
  if (r < 0)
    return r;
  test_agent_expect(late->agent, "build", &build);
  assert_int_equal(test_agent_succeed(late->agent, &build), 200);
  return 0;
}

static void
test_an_open_wish_holds_up_nothing(void **state)
{
  struct yard *yard = *state;
  struct error err = { 0 };
  struct test_agent *agent = start_with_agent(yard, 1);
  struct late late = { .yard = yard, .agent = agent };
  yard_wish(yard, 1, 0);
  assert_int_equal(db_pool_run(yard->database->pool, DB_WRITE, wish_for_running, &late, &err), 0);
  yard_wish(yard, 2, 0);
  test_agent_expect(agent, "build", NULL);
  yard_await_orders_done(yard);
  assert_int_equal(yard_build_of(yard, 1).state, FARM_BUILD_SUCCEEDED);
  assert_int_equal(yard_build_of(yard, 1).attempts, 1);
  test_agent_free(agent);
}

/* ---- failures ---- */

static void
test_failure_reaches_dependents_and_restart_brings_them_back(void **state)
{
  struct yard *yard = *state;
  struct error err = { 0 };
  need(yard, 2, 1);
  need(yard, 3, 2);
  struct test_agent *agent = start_with_agent(yard, 1);
  struct test_build build;
  yard_wish(yard, 3, 0);
  test_agent_expect(agent, "build", &build);
  assert_int_equal(test_agent_fail(agent, &build, "build"), 200);
  struct yard_build_row failed = yard_build_of(yard, 1);
  assert_int_equal(failed.state, FARM_BUILD_FAILED);
  assert_int_equal(failed.cause, FARM_CAUSE_BUILD);
  for (int64_t n = 2; n <= 3; n++) {
    struct yard_build_row row = yard_build_of(yard, n);
    assert_int_equal(row.state, FARM_BUILD_DEPENDENCY_FAILED);
    assert_int_equal(row.failed_build_id, failed.id);
    assert_true(row.finished);
  }
  assert_int_equal(yard_events_of(yard, "build.dependency_failed"), 2);

  /* What is known to have failed stops a newcomer at once. */
  need(yard, 4, 3);
  yard_wish(yard, 4, 0);
  yard_await_state(yard, 4, FARM_BUILD_DEPENDENCY_FAILED);
  assert_int_equal(yard_build_of(yard, 4).failed_build_id, failed.id);

  assert_int_equal(farm_build_restart(yard->farm, failed.id, true, &err), 0);
  assert_int_equal(yard_build_of(yard, 4).state, FARM_BUILD_WAITING);
  assert_int_equal(farm_build_restart(yard->farm, failed.id, true, &err), -EEXIST);
  for (int64_t n = 1; n <= 4; n++) {
    test_agent_expect(agent, "build", &build);
    assert_int_equal(build.n, n);
    assert_int_equal(test_agent_succeed(agent, &build), 200);
  }
  test_agent_free(agent);
}

static void
test_restart_of_a_dependent_restarts_what_failed_below(void **state)
{
  struct yard *yard = *state;
  struct error err = { 0 };
  need(yard, 2, 1);
  need(yard, 3, 2);
  struct test_agent *agent = start_with_agent(yard, 1);
  struct test_build build;
  int64_t top = yard_wish(yard, 3, 0);
  test_agent_expect(agent, "build", &build);
  assert_int_equal(test_agent_fail(agent, &build, "build"), 200);
  assert_int_equal(farm_build_restart(yard->farm, top, false, &err), 0);
  for (int64_t n = 1; n <= 3; n++) {
    test_agent_expect(agent, "build", &build);
    assert_int_equal(build.n, n);
    assert_int_equal(test_agent_succeed(agent, &build), 200);
  }
  test_agent_free(agent);
}

static void
test_a_timeout_holds_dependents_until_a_restart(void **state)
{
  struct yard *yard = *state;
  struct error err = { 0 };
  need(yard, 2, 1);
  struct test_agent *agent = start_with_agent(yard, 1);
  struct test_build build;
  CLEANUP_BUF struct buf why = { 0 };
  int64_t top = yard_wish(yard, 2, 0);
  test_agent_expect(agent, "build", &build);
  assert_int_equal(test_agent_fail(agent, &build, "timeout"), 200);
  assert_int_equal(yard_build_of(yard, 1).state, FARM_BUILD_FAILED);
  assert_int_equal(yard_build_of(yard, 1).cause, FARM_CAUSE_TIMEOUT);
  assert_int_equal(yard_build_of(yard, 2).state, FARM_BUILD_WAITING);
  assert_int_equal(farm_build_explain(yard->farm, top, &why, &err), 0);
  assert_non_null(strstr(buf_text(&why), "\"reason\":\"held-up\""));
  yard_stop(yard); /* the same after a restart of the server */
  test_agent_await_end(agent);
  yard_start(yard);
  test_agent_dial(agent, NULL, 0);
  assert_int_equal(yard_build_of(yard, 2).state, FARM_BUILD_WAITING);
  assert_int_equal(farm_build_restart(yard->farm, yard_build_of(yard, 1).id, false, &err), 0);
  for (int64_t n = 1; n <= 2; n++) {
    test_agent_expect(agent, "build", &build);
    assert_int_equal(build.n, n);
    assert_int_equal(test_agent_succeed(agent, &build), 200);
  }
  test_agent_free(agent);
}

static void
test_a_missing_input_is_built_anew(void **state)
{
  struct yard *yard = *state;
  need(yard, 2, 1);
  yard_offer(yard, 1);
  struct test_agent *agent = start_with_agent(yard, 1);
  struct test_build build;
  json_t *reply;
  char path[128];
  yard_wish(yard, 2, 0);
  test_agent_expect(agent, "build", &build);
  assert_int_equal(build.n, 2); /* 1 is offered and has no build */
  yard_withdraw(yard, 1);
  snprintf(path, sizeof path, "/agent/v1/attempts/%lld/closure", (long long) build.attempt);
  assert_int_equal(test_agent_call(agent, "GET", path, build.fence, NULL, STR(""), &reply), 409);
  assert_int_equal(length_of(reply, "missing"), 1);
  assert_int_equal(test_agent_fail(agent, &build, "missing-input"), 200);
  test_agent_expect(agent, "build", &build);
  assert_int_equal(build.n, 1);
  assert_int_equal(test_agent_succeed(agent, &build), 200);
  test_agent_expect(agent, "build", &build); /* after its pause */
  assert_int_equal(build.n, 2);
  assert_int_equal(test_agent_succeed(agent, &build), 200);
  test_agent_free(agent);
}

/* ---- orders ---- */

static void
test_cancel_and_wish_again(void **state)
{
  struct yard *yard = *state;
  struct error err = { 0 };
  need(yard, 2, 1);
  struct test_agent *agent = start_with_agent(yard, 1);
  struct test_build build, cancelled;
  int64_t top = yard_wish(yard, 2, 0);
  test_agent_expect(agent, "build", &build);
  assert_int_equal(farm_build_cancel(yard->farm, yard_build_of(yard, 1).id, &err), 0);
  assert_int_equal(yard_build_of(yard, 1).state, FARM_BUILD_CANCELLED);
  assert_int_equal(yard_build_of(yard, 2).state, FARM_BUILD_CANCELLED);
  test_agent_expect(agent, "cancel", &cancelled);
  assert_int_equal(cancelled.attempt, build.attempt);
  assert_int_equal(test_agent_fail(agent, &build, "cancelled"), 200); /* that is how it ended */
  assert_int_equal(test_agent_report(agent, &build, NULL, NULL), 410);
  assert_int_equal(farm_build_cancel(yard->farm, top, &err), -EEXIST);
  assert_int_equal(farm_build_cancel(yard->farm, 999, &err), -ENOENT);
  assert_int_equal(yard_wish(yard, 2, 3), top);
  for (int64_t n = 1; n <= 2; n++) {
    test_agent_expect(agent, "build", &build);
    assert_int_equal(build.n, n);
    assert_int_equal(test_agent_succeed(agent, &build), 200);
  }
  assert_int_equal(yard_events_of(yard, "build.cancelled"), 2);
  test_agent_free(agent);
}

static void
test_a_paused_agent_gets_nothing_new(void **state)
{
  struct yard *yard = *state;
  struct error err = { 0 };
  CLEANUP_BUF struct buf why = { 0 };
  struct test_agent *agent = start_with_agent(yard, 1);
  assert_int_equal(farm_agent_pause(yard->farm, STR("a"), true, &err), 0);
  assert_int_equal(farm_agent_pause(yard->farm, STR("nobody"), true, &err), -ENOENT);
  int64_t id = yard_wish(yard, 1, 0);
  assert_false(test_agent_next(agent, 100, "build", NULL));
  assert_int_equal(farm_build_explain(yard->farm, id, &why, &err), 0);
  assert_non_null(strstr(buf_text(&why), "\"reason\":\"agents-paused\""));
  assert_int_equal(farm_agent_pause(yard->farm, STR("a"), false, &err), 0);
  test_agent_expect(agent, "build", NULL);
  test_agent_free(agent);
}

static const char *
explain(struct yard *yard, int64_t build_id, struct buf *text)
{
  struct error err = { 0 };
  buf_clear(text);
  assert_int_equal(farm_build_explain(yard->farm, build_id, text, &err), 0);
  json_t *json = json_loadb(text->data, text->size, JSON_REJECT_DUPLICATES, NULL);
  assert_non_null(json);
  static char reason[64];
  snprintf(reason, sizeof reason, "%s", json_string_value(json_object_get(json, "reason")));
  json_decref(json);
  return reason;
}

static void
test_explanations(void **state)
{
  struct yard *yard = *state;
  struct error err = { 0 };
  CLEANUP_BUF struct buf text = { 0 };
  need(yard, 2, 1);
  yard_start(yard);
  int64_t top = yard_wish(yard, 2, 0);
  int64_t other = yard_wish(yard, 3, 0);
  int64_t bottom = yard_build_of(yard, 1).id;
  yard_await_loaded(yard, other);
  assert_string_equal(explain(yard, top, &text), "dependencies");
  assert_non_null(strstr(buf_text(&text), "\"derivation\":\"/gnu/store/"));
  assert_non_null(strstr(buf_text(&text), "\"missing_count\":1"));
  assert_string_equal(explain(yard, bottom, &text), "no-agent");
  assert_non_null(strstr(buf_text(&text), "\"ahead_count\":"));
  struct test_agent *agent = test_agent_new(yard, "a", 1);
  assert_string_equal(explain(yard, bottom, &text), "agents-away");
  test_agent_dial(agent, NULL, 0);
  struct test_build build;
  test_agent_expect(agent, "build", &build);
  int64_t running = yard_build_of(yard, build.n).id;
  assert_string_equal(explain(yard, running, &text), "running");
  assert_string_equal(explain(yard, running == other ? bottom : other, &text), "agents-busy");
  assert_int_equal(farm_build_explain(yard->farm, 999, &text, &err), -ENOENT);
  test_agent_free(agent);
}

/* A chain whose end is farther than is looked says so, and a shorter one names its end. */
static void
test_reasons_of_a_long_chain(void **state)
{
  struct yard *yard = *state;
  CLEANUP_ARENA struct arena arena = { 0 };
  struct farm_explanation why;
  yard_derivations(yard, 10, 101);
  for (int64_t n = 2; n <= 110; n++)
    need(yard, n, n - 1);
  yard_start(yard);
  int64_t top = yard_wish(yard, 110, 0);
  yard_await_loaded(yard, top);
  assert_int_equal(farm_build_reasons(yard->farm, top, &arena, &why, NULL), 0);
  assert_string_equal(why.reason, "dependencies");
  assert_string_equal(why.root.reason, "dependencies");
  int64_t middle = yard_build_of(yard, 90).id;
  assert_int_equal(farm_build_reasons(yard->farm, middle, &arena, &why, NULL), 0);
  assert_string_equal(why.reason, "dependencies");
  assert_string_equal(why.root.reason, "no-agent");
  assert_int_equal(why.root.build_id, yard_build_of(yard, 1).id);
  assert_int_equal(farm_build_reasons(yard->farm, why.root.build_id, &arena, &why, NULL), 0);
  assert_string_equal(why.reason, "no-agent");
}

static void
test_what_is_offered_is_not_built(void **state)
{
  struct yard *yard = *state;
  need(yard, 2, 1);
  yard_start(yard);
  yard_wish(yard, 2, 0);
  yard_await_loaded(yard, yard_build_of(yard, 2).id);
  yard_offer(yard, 1); /* from elsewhere, after it was queued */
  struct test_agent *agent = test_agent_new(yard, "a", 1);
  struct test_build build;
  test_agent_dial(agent, NULL, 0);
  test_agent_expect(agent, "build", &build);
  assert_int_equal(build.n, 2);
  struct yard_build_row row = yard_build_of(yard, 1);
  assert_int_equal(row.state, FARM_BUILD_SUCCEEDED);
  assert_int_equal(row.attempts, 0);
  assert_int_equal(yard_events_of(yard, "build.started"), 1);
  test_agent_free(agent);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int
main(void)
{
  const struct CMUnitTest tests[] = {
    CASE(test_a_chain_is_built),
    CASE(test_bundle),
    CASE(test_enrolling),
    CASE(test_enrolling_again_replaces_the_token),
    CASE(test_a_released_name_may_be_enrolled_anew),
    CASE(test_a_released_agent_has_lost_its_work),
    CASE(test_an_agent_is_released_by_another_process),
    CASE(test_a_stale_fence_is_gone_everywhere),
    CASE(test_a_repeated_result_changes_nothing),
    CASE(test_two_agents_share_the_work),
    CASE(test_a_second_session_ends_the_first),
    CASE(test_what_a_new_session_does_not_list_is_lost),
    CASE(test_a_lost_agent_s_build_goes_to_another),
    CASE(test_a_restart_of_the_server_keeps_attempts),
    CASE(test_a_lost_database_connection_costs_nothing),
    CASE(test_requests_do_not_wait_for_the_database),
    CASE(test_a_second_scheduler_takes_over),
    CASE(test_an_active_scheduler_is_seen),
    CASE(test_an_ousted_scheduler_writes_nothing_more),
    CASE(test_a_wish_that_commits_late_is_not_missed),
    CASE(test_an_open_wish_holds_up_nothing),
    CASE(test_failure_reaches_dependents_and_restart_brings_them_back),
    CASE(test_restart_of_a_dependent_restarts_what_failed_below),
    CASE(test_a_timeout_holds_dependents_until_a_restart),
    CASE(test_a_missing_input_is_built_anew),
    CASE(test_cancel_and_wish_again),
    CASE(test_a_paused_agent_gets_nothing_new),
    CASE(test_explanations),
    CASE(test_reasons_of_a_long_chain),
    CASE(test_what_is_offered_is_not_built),
  };
  return cmocka_run_group_tests(tests, NULL, test_cluster_teardown);
}
