/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Wishes and loading, against a real database, without agents; and whole farms
   simulated to their end with every batch written. */
#include "farm/test_yard.h"

#include "base/clock.h"
#include "base/mem.h"
#include "farm/batch.h"
#include "farm/farm_sql.h"
#include "farm/load.h"

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static int
set_up(void **state)
{
  *state = yard_new();
  return 0;
}

static int
tear_down(void **state)
{
  yard_free(*state);
  return 0;
}

/* ---- wishes ---- */

static void
need(struct yard *yard, int64_t from, int64_t needs)
{
  yard_need(yard, &(struct yard_edge) { from, needs }, 1);
}

static bool
has_build(struct yard *yard, int64_t n)
{
  return yard_find_build(yard, n, NULL);
}

static void
test_a_wish_makes_what_is_needed_and_not_offered(void **state)
{
  struct yard *yard = *state;
  yard_derivations(yard, 1, 6);
  need(yard, 4, 3);
  need(yard, 4, 2);
  need(yard, 3, 1); /* below what is offered: not needed */
  need(yard, 2, 5);
  yard_offer(yard, 3);
  yard_wish(yard, 4, 7);
  assert_true(has_build(yard, 4) && has_build(yard, 2) && has_build(yard, 5));
  assert_false(has_build(yard, 3) || has_build(yard, 1) || has_build(yard, 6));
  struct yard_build_row direct = yard_build_of(yard, 4), needed = yard_build_of(yard, 5);
  assert_true(direct.direct && !needed.direct);
  assert_int_equal(direct.timeout_s, 100);
  assert_int_equal(needed.timeout_s, 72000);
  assert_int_equal(needed.max_silent_s, 3600);
  assert_int_equal(direct.priority, 7);
}

static void
test_offered_outputs_are_born_succeeded(void **state)
{
  struct yard *yard = *state;
  yard_derivations(yard, 1, 2);
  need(yard, 2, 1);
  yard_offer(yard, 2);
  int64_t id = yard_wish(yard, 2, 0);
  struct yard_build_row row = yard_build_of(yard, 2);
  assert_int_equal(row.id, id);
  assert_int_equal(row.state, FARM_BUILD_SUCCEEDED);
  assert_true(row.finished);
  assert_false(has_build(yard, 1));
}

static void
test_equal_outputs_share_a_build(void **state)
{
  struct yard *yard = *state;
  yard_derivations(yard, 1, 3);
  yard_twin(yard, 4, 1); /* another derivation with the outputs of 1 */
  need(yard, 1, 2);
  need(yard, 4, 3);
  int64_t first = yard_wish(yard, 1, 0);
  int64_t second = yard_wish(yard, 4, 5);
  assert_int_equal(first, second);
  assert_true(has_build(yard, 2));
  assert_false(has_build(yard, 3)); /* the build is made of 1, not of 4 */
}

struct wishes
{
  struct farm_wish *items;
  int64_t *build_ids;
  size_t count;
};

static int
wish_all(struct db *db, void *context, struct error *err)
{
  struct wishes *wishes = context;
  return farm_wish(db, wishes->items, wishes->count, wishes->build_ids, err);
}

static void
test_an_unknown_derivation_is_refused(void **state)
{
  struct yard *yard = *state;
  struct error err = { 0 };
  struct farm_wish wish = { .derivation_id = 12345 };
  int64_t id;
  struct wishes wishes = { &wish, &id, 1 };
  assert_int_equal(db_pool_run(yard->database->pool, DB_WRITE, wish_all, &wishes, &err), -ENOENT);
}

static void
test_wishes_for_what_exists_become_orders(void **state)
{
  struct yard *yard = *state;
  yard_derivations(yard, 1, 3);
  need(yard, 2, 1);
  yard_wish(yard, 2, 5);
  assert_int_equal(yard_orders_of(yard), 0);
  yard_wish(yard, 2, 5); /* says nothing new */
  yard_wish(yard, 2, 3);
  assert_int_equal(yard_orders_of(yard), 0);
  yard_wish(yard, 1, 5); /* is now wished for itself */
  assert_int_equal(yard_orders_of(yard), 1);
  yard_wish(yard, 2, 9);
  assert_int_equal(yard_orders_of(yard), 2);
  yard_start(yard); /* carries them out */
  yard_await_orders_done(yard);
  assert_int_equal(yard_build_of(yard, 1).priority, 9);
  assert_true(yard_build_of(yard, 1).direct);
  assert_int_equal(yard_build_of(yard, 1).timeout_s, 100);
  assert_int_equal(yard_build_of(yard, 2).priority, 9);
}

/* ---- two wishes at once ---- */

#define RIVALS 4
#define RIVAL_BUILDS 2000

struct rival
{
  struct yard *yard;
  int64_t direction; /* in which order it wishes */
  int result;
};

static void *
rival_main(void *context)
{
  struct rival *rival = context;
  struct wishes wishes = { .count = RIVAL_BUILDS };
  struct error err = { 0 };
  wishes.items = mem_array(RIVAL_BUILDS, sizeof *wishes.items);
  wishes.build_ids = mem_array(RIVAL_BUILDS, sizeof *wishes.build_ids);
  for (int64_t i = 0; i < RIVAL_BUILDS; i++)
    wishes.items[i].derivation_id = yard_drv(rival->direction > 0 ? 1 + i : RIVAL_BUILDS - i);
  rival->result = db_pool_run(rival->yard->database->pool, DB_WRITE, wish_all, &wishes, &err);
  free(wishes.items);
  free(wishes.build_ids);
  return NULL;
}

static void
test_rival_wishes_agree(void **state)
{
  struct yard *yard = *state;
  pthread_t threads[RIVALS];
  struct rival rivals[RIVALS];
  yard_derivations(yard, 1, RIVAL_BUILDS);
  for (int i = 0; i < RIVALS; i++) {
    rivals[i] = (struct rival) { .yard = yard, .direction = i % 2 == 0 ? 1 : -1, .result = 1 };
    assert_int_equal(pthread_create(&threads[i], NULL, rival_main, &rivals[i]), 0);
  }
  for (int i = 0; i < RIVALS; i++) {
    pthread_join(threads[i], NULL);
    assert_int_equal(rivals[i].result, 0);
  }
  yard_await_count(yard, FARM_BUILD_WAITING, RIVAL_BUILDS);
}

/* ---- scale ---- */

static uint32_t
next_random(uint32_t *seed) /* xorshift: the same graph every time */
{
  *seed ^= *seed << 13;
  *seed ^= *seed >> 17;
  *seed ^= *seed << 5;
  return *seed;
}

struct edges
{
  struct yard_edge *items;
  size_t count;
};

/* Derivation N needs up to WIDTH others of the REACH before it, no two alike. */
static struct edges
random_edges(int64_t count, uint32_t width, int64_t reach)
{
  uint32_t seed = 4711;
  struct edges edges = { .items = mem_array((size_t) count * width, sizeof(struct yard_edge)) };
  for (int64_t n = 2; n <= count; n++) {
    uint32_t wanted = next_random(&seed) % (width + 1);
    int64_t near = n - 1 < reach ? n - 1 : reach;
    int64_t step = near / width + 1;
    for (uint32_t i = 0; i < wanted && (int64_t) i * step < near; i++) {
      int64_t back = (int64_t) i * step + (int64_t) next_random(&seed) % step;
      if (back >= near)
        continue;
      edges.items[edges.count++] = (struct yard_edge) { n, n - 1 - back };
    }
  }
  return edges;
}

#define GUIX_DERIVATIONS 71755
#define GUIX_WISHES 31000
#define GUIX_SECONDS 60 /* a few, on a machine that is not busy with other things */

static void
test_all_of_guix_is_wished_for_in_seconds(void **state)
{
  struct yard *yard = *state;
  struct error err = { 0 };
  struct edges edges = random_edges(GUIX_DERIVATIONS, 8, 900);
  yard_derivations(yard, 1, GUIX_DERIVATIONS);
  yard_need(yard, edges.items, edges.count);
  struct wishes wishes = { .count = GUIX_WISHES };
  wishes.items = mem_array(GUIX_WISHES, sizeof *wishes.items);
  wishes.build_ids = mem_array(GUIX_WISHES, sizeof *wishes.build_ids);
  for (int64_t i = 0; i < GUIX_WISHES; i++)
    wishes.items[i].derivation_id = yard_drv(GUIX_DERIVATIONS - 2 * i);
  int64_t began = clock_monotonic_ms();
  assert_int_equal(db_pool_run(yard->database->pool, DB_WRITE, wish_all, &wishes, &err), 0);
  int64_t first = clock_monotonic_ms();
  assert_int_equal(db_pool_run(yard->database->pool, DB_WRITE, wish_all, &wishes, &err), 0);
  int64_t second = clock_monotonic_ms();
  for (size_t i = 0; i < GUIX_WISHES; i++)
    assert_true(wishes.build_ids[i] > 0);
  int64_t waiting = yard_count_of(yard, FARM_BUILD_WAITING);
  print_message("%zu edges: %lld builds wished for in %lld ms, again in %lld ms\n", edges.count,
                (long long) waiting, (long long) (first - began), (long long) (second - first));
  assert_true(waiting > 60000);
  assert_int_equal(yard_orders_of(yard), 0);
  assert_true(second - began < GUIX_SECONDS * 1000);
  began = clock_monotonic_ms();
  yard_start(yard);
  yard_await_loaded(yard, wishes.build_ids[0]);
  print_message("loaded in %lld ms\n", (long long) (clock_monotonic_ms() - began));
  free(wishes.items);
  free(wishes.build_ids);
  free(edges.items);
}

/* ---- to the end, with every batch written ---- */

#define BUILDS 20000
#define AGENTS 8
#define JOBS 32
#define BATCHES_MAX 5000

struct run
{
  struct yard *yard;
  struct db *db;
  struct mirror *mirror;
  struct load load;
  int64_t epoch, number;
  uint8_t expected[BUILDS + 1];
  size_t starts;
};

static bool
is_broken(int64_t n) /* late ones, or little would be left */
{
  return n > 15000 && n % 211 == 0;
}

static void
expect_states(struct run *run, const struct edges *edges)
{
  size_t i = 0;
  for (int64_t n = 1; n <= BUILDS; n++) {
    run->expected[n] = is_broken(n) ? FARM_BUILD_FAILED : FARM_BUILD_SUCCEEDED;
    for (; i < edges->count && edges->items[i].from == n; i++)
      if (run->expected[edges->items[i].needs] != FARM_BUILD_SUCCEEDED)
        run->expected[n] = FARM_BUILD_DEPENDENCY_FAILED;
  }
}

static void
make_agents(struct run *run)
{
  static const struct str systems[] = { { YARD_SYSTEM, sizeof YARD_SYSTEM - 1 } };
  for (int i = 1; i <= AGENTS; i++) {
    char name[32];
    size_t unknown;
    snprintf(name, sizeof name, "agent-%d", i);
    int64_t id = yard_make_agent(run->yard, name); /* the same one the second time */
    struct mirror_agent facts = { .id = id,
                                  .token_id = id,
                                  .name = str_of(name),
                                  .systems = systems,
                                  .systems_count = 1,
                                  .jobs = JOBS };
    mirror_connect(run->mirror, &facts, i, NULL, 0, NULL, &unknown);
  }
}

static void
read_news(struct run *run)
{
  CLEANUP_ARENA struct arena arena = { 0 };
  struct error err = { 0 };
  if (load_news(run->db, run->mirror, &run->load, &arena, &err) < 0)
    fail_msg("%s", err.message);
}

static void
write_batch(struct run *run)
{
  struct batch batch = { 0 };
  struct error err = { 0 };
  mirror_tick(run->mirror);
  mirror_dispatch(run->mirror);
  mirror_take(run->mirror, &batch.changes);
  run->starts += batch.changes.starts.count;
  int r = batch_prepare(&batch, run->db, &err);
  if (r == 0)
    r = batch_write(&batch, run->db, run->yard->cache, run->epoch, ++run->number, &err);
  if (r == 0 && run->number % 10 == 0) /* a commit in doubt, tried again */
    r = batch_write(&batch, run->db, run->yard->cache, run->epoch, run->number, &err);
  if (r < 0)
    fail_msg("%s", err.message);
  batch_free(&batch);
}

/* All that runs ends: as it must, or by an accident of its agent. */
static void
end_all(struct run *run, uint32_t *seed)
{
  for (size_t i = 0; i < run->mirror->fleet_count; i++) {
    struct agent *agent = run->mirror->fleet[i];
    while (agent->attempts_count > 0) {
      struct attempt *attempt = agent->attempts[agent->attempts_count - 1];
      int64_t n = attempt->node->derivation_id / 10;
      assert_int_equal(attempt->node->pending, 0);
      if (next_random(seed) % 50 == 0 && attempt->node->tries < 3)
        mirror_failed(run->mirror, attempt, FARM_CAUSE_UPLOAD, STR("accident"), 0);
      else if (is_broken(n))
        mirror_failed(run->mirror, attempt, FARM_CAUSE_BUILD, STR("broken"), 0);
      else
        mirror_succeeded(run->mirror, attempt, 0);
    }
  }
}

static int64_t
count_expected(const struct run *run, enum farm_build_state state)
{
  int64_t count = 0;
  for (int64_t n = 1; n <= BUILDS; n++)
    count += run->expected[n] == state;
  return count;
}

static void
check_end(struct run *run)
{
  static const enum farm_build_state states[] = { FARM_BUILD_SUCCEEDED, FARM_BUILD_FAILED,
                                                  FARM_BUILD_DEPENDENCY_FAILED };
  int64_t counts[FARM_BUILD_STATE_MAX];
  for (size_t i = 0; i < ARRAY_SIZE(states); i++) {
    counts[states[i]] = count_expected(run, states[i]);
    assert_int_equal(yard_count_of(run->yard, states[i]), counts[states[i]]);
  }
  assert_int_equal(yard_events_of(run->yard, "build.succeeded"), counts[FARM_BUILD_SUCCEEDED]);
  assert_int_equal(yard_events_of(run->yard, "build.failed"), counts[FARM_BUILD_FAILED]);
  assert_int_equal(yard_events_of(run->yard, "build.dependency_failed"),
                   counts[FARM_BUILD_DEPENDENCY_FAILED]);
  assert_int_equal(yard_events_of(run->yard, "build.started"), run->starts);
  struct yard_attempts_row attempts = yard_attempts_of(run->yard, FARM_CAUSE_UPLOAD);
  assert_int_equal(attempts.running, 0);
  assert_int_equal(attempts.succeeded, counts[FARM_BUILD_SUCCEEDED]);
  int64_t lost = yard_attempts_of(run->yard, FARM_CAUSE_AGENT_LOST).of_cause;
  assert_int_equal(attempts.failed, counts[FARM_BUILD_FAILED] + attempts.of_cause + lost);
  assert_int_equal(attempts.succeeded + attempts.failed, run->starts);
}

static void
wish_for_all(struct run *run)
{
  struct wishes wishes = { .count = BUILDS };
  struct error err = { 0 };
  wishes.items = mem_array(BUILDS, sizeof *wishes.items);
  wishes.build_ids = mem_array(BUILDS, sizeof *wishes.build_ids);
  for (int64_t n = 1; n <= BUILDS; n++)
    wishes.items[n - 1] =
        (struct farm_wish) { .derivation_id = yard_drv(n), .priority = (int32_t) (n % 7) };
  assert_int_equal(db_pool_run(run->yard->database->pool, DB_WRITE, wish_all, &wishes, &err), 0);
  free(wishes.items);
  free(wishes.build_ids);
}

/* A new process: everything it knows comes from the database. */
static void
start_anew(struct run *run)
{
  struct mirror_options options = {
    .attempts_limit = 3, .losses_limit = 10, .grace_ms = 60000, .retry_pause_ms = 1000
  };
  int64_t now_ms = run->mirror == NULL ? 1 : run->mirror->now_ms;
  int64_t next_id = run->mirror == NULL ? 1 : run->mirror->next_attempt_id;
  mirror_free(run->mirror);
  run->mirror = mirror_new(&options);
  run->mirror->now_ms = now_ms;
  run->mirror->next_attempt_id = next_id;
  run->mirror->last_attempt_id = INT64_MAX - 1;
  run->load = (struct load) { 0 };
  run->epoch = yard_bump_epoch(run->yard);
  run->number = 0;
  read_news(run);
}

static void
test_20000_builds_to_the_end_in_the_database(void **state)
{
  struct run *run = mem_alloc(sizeof *run);
  struct error err = { 0 };
  struct edges edges = random_edges(BUILDS, 4, 3000);
  uint32_t seed = 99;
  run->yard = *state;
  yard_derivations(run->yard, 1, BUILDS);
  yard_need(run->yard, edges.items, edges.count);
  expect_states(run, &edges);
  assert_int_equal(db_open(run->yard->database->uri, &run->db, &err), 0);
  wish_for_all(run);
  start_anew(run);
  assert_int_equal(run->mirror->nodes.count, BUILDS);
  make_agents(run);
  int64_t batches = 0;
  for (; run->mirror->nodes.count > 0; batches++) {
    assert_true(batches < BATCHES_MAX);
    run->mirror->now_ms += 2000;
    write_batch(run);
    end_all(run, &seed);
    if (batches == 20) /* killed with the results unwritten; the agents know nothing of them */
    {
      yard_offer_built(run->yard);
      start_anew(run);
      make_agents(run);
    }
  }
  write_batch(run);
  print_message("%lld batches\n", (long long) batches);
  check_end(run);
  mirror_free(run->mirror);
  db_close(run->db);
  free(edges.items);
  free(run);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int
main(void)
{
  const struct CMUnitTest tests[] = {
    CASE(test_a_wish_makes_what_is_needed_and_not_offered),
    CASE(test_offered_outputs_are_born_succeeded),
    CASE(test_equal_outputs_share_a_build),
    CASE(test_an_unknown_derivation_is_refused),
    CASE(test_wishes_for_what_exists_become_orders),
    CASE(test_rival_wishes_agree),
    CASE(test_all_of_guix_is_wished_for_in_seconds),
    CASE(test_20000_builds_to_the_end_in_the_database),
  };
  return cmocka_run_group_tests(tests, NULL, test_cluster_teardown);
}
