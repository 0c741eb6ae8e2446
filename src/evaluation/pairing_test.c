/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
/* cmocka needs the three above first. */
#include <cmocka.h>

#include <errno.h>

#include "evaluation/pairing.h"

#define JOBS_MAX 8

struct room
{
  struct roster_job jobs[JOBS_MAX];
  size_t count;
};

struct pairs
{
  struct compared_job jobs[2 * JOBS_MAX];
  struct noted_states noted[2 * JOBS_MAX];
  size_t count;
};

static void
add(struct room *room, const char *name, int64_t derivation_id, int64_t build_id, int16_t state)
{
  room->jobs[room->count++] = (struct roster_job) { str_of(name), derivation_id, build_id, state };
}

static struct pairs
pairs_of(struct room *now, struct room *before)
{
  struct pairs pairs;
  const struct roster rosters[] = { { now->jobs, now->count }, { before->jobs, before->count } };
  pairs.count = rosters_pair(&rosters[0], &rosters[1], pairs.jobs, pairs.noted);
  return pairs;
}

static void
assert_job(const struct pairs *pairs, size_t index, const char *name, int64_t build_id,
           int64_t before_id)
{
  const struct compared_job *job = &pairs->jobs[index];
  assert_true(str_equal(job->name, str_of(name)));
  assert_int_equal(job->build_id, build_id);
  assert_int_equal(job->before_id, before_id);
}

static void
assert_noted(const struct pairs *pairs, size_t index, int16_t state, int16_t before)
{
  assert_int_equal(pairs->noted[index].state, state);
  assert_int_equal(pairs->noted[index].before, before);
}

static void
test_by_name(void **state)
{
  (void) state;
  struct room now = { 0 }, before = { 0 };
  add(&now, "added", 1, 11, FARM_BUILD_WAITING);
  add(&before, "changed", 2, 12, FARM_BUILD_SUCCEEDED);
  add(&now, "changed", 3, 13, FARM_BUILD_FAILED);
  add(&before, "removed", 4, 14, FARM_BUILD_CANCELLED);
  add(&now, "same", 5, 15, FARM_BUILD_RUNNING);
  add(&before, "same", 5, 15, FARM_BUILD_WAITING);
  struct pairs pairs = pairs_of(&now, &before);
  assert_int_equal(pairs.count, 4);
  assert_job(&pairs, 0, "added", 11, 0);
  assert_noted(&pairs, 0, FARM_BUILD_WAITING, -1);
  assert_job(&pairs, 1, "changed", 13, 12);
  assert_noted(&pairs, 1, FARM_BUILD_FAILED, FARM_BUILD_SUCCEEDED);
  assert_job(&pairs, 2, "removed", 0, 14);
  assert_noted(&pairs, 2, -1, FARM_BUILD_CANCELLED);
  assert_job(&pairs, 3, "same", 15, 15);
  assert_int_equal(pairs.noted[3].state, FARM_BUILD_RUNNING);
}

/* Several versions of a package have one name: 1 became 4, 2 has another derivation but
   the same outputs, 3 stayed, 5 came. */
static void
test_versions(void **state)
{
  (void) state;
  struct room now = { 0 }, before = { 0 };
  for (int64_t derivation = 1; derivation <= 3; derivation++)
    add(&before, "gcc", derivation, 100 + derivation, FARM_BUILD_SUCCEEDED);
  for (int64_t derivation = 3; derivation <= 5; derivation++)
    add(&now, "gcc", derivation, 100 + derivation, FARM_BUILD_WAITING);
  add(&now, "gcc", 6, 102, FARM_BUILD_SUCCEEDED);
  struct pairs pairs = pairs_of(&now, &before);
  assert_int_equal(pairs.count, 4);
  assert_job(&pairs, 0, "gcc", 103, 103);
  assert_job(&pairs, 1, "gcc", 104, 101);
  assert_noted(&pairs, 1, FARM_BUILD_WAITING, FARM_BUILD_SUCCEEDED);
  assert_job(&pairs, 2, "gcc", 105, 0);
  assert_job(&pairs, 3, "gcc", 102, 102);
}

static void
test_one_side(void **state)
{
  (void) state;
  struct room some = { 0 }, none = { 0 };
  assert_int_equal(pairs_of(&none, &none).count, 0);
  add(&some, "a", 1, 11, FARM_BUILD_WAITING);
  add(&some, "b", 2, 12, FARM_BUILD_WAITING);
  struct pairs pairs = pairs_of(&some, &none);
  assert_int_equal(pairs.count, 2);
  assert_job(&pairs, 1, "b", 12, 0);
  pairs = pairs_of(&none, &some);
  assert_int_equal(pairs.count, 2);
  assert_job(&pairs, 1, "b", 0, 12);
}

/* Columns of two jobs, and each of them cut short or drawn out. */
static void
test_unpacks(void **state)
{
  (void) state;
  static const char names[] = "a\0\0more";
  static const char numbers[] = "\0\0\0\0\0\0\1\2\177\0\0\0\0\0\0\3more";
  const struct changes_roster_row sound = { str_make(names, 3), str_make(numbers, 16),
                                            str_make(numbers, 16), str_make("\0\5\0\2more", 4) };
  CLEANUP_ARENA struct arena arena = { 0 };
  struct roster roster;
  assert_int_equal(roster_unpack(&sound, &arena, &roster, NULL), 0);
  assert_int_equal(roster.count, 2);
  assert_true(str_equal(roster.jobs[0].name, STR("a")));
  assert_int_equal(roster.jobs[1].name.size, 0);
  assert_int_equal(roster.jobs[0].build_id, 0x102);
  assert_int_equal(roster.jobs[1].derivation_id, 0x7f00000000000003);
  assert_int_equal(roster.jobs[0].state, 5);
  assert_int_equal(roster_unpack(&(struct changes_roster_row) { 0 }, &arena, &roster, NULL), 0);
  assert_int_equal(roster.count, 0);
  static const size_t columns[] = {
    offsetof(struct changes_roster_row, names.size),
    offsetof(struct changes_roster_row, derivation_ids.size),
    offsetof(struct changes_roster_row, build_ids.size),
    offsetof(struct changes_roster_row, states.size),
  };
  for (size_t i = 0; i < 2 * ARRAY_SIZE(columns); i++) {
    struct changes_roster_row row = sound;
    size_t *size = (size_t *) ((char *) &row + columns[i / 2]);
    *size += i % 2 == 0 ? 1 : -1;
    assert_int_equal(roster_unpack(&row, &arena, &roster, NULL), -EPROTO);
  }
}

int
main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_by_name),
    cmocka_unit_test(test_versions),
    cmocka_unit_test(test_one_side),
    cmocka_unit_test(test_unpacks),
  };
  return cmocka_run_group_tests_name("pairing", tests, NULL, NULL);
}
