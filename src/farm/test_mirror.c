/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "farm/test_mirror.h"

#include "base/mem.h"

#include <stdlib.h>

int
set_up(void **state)
{
  struct farmyard *yard = mem_alloc(sizeof *yard);
  struct mirror_options options = {
    .attempts_limit = 3, .losses_limit = 10, .grace_ms = 60000, .retry_pause_ms = 1000
  };
  yard->mirror = mirror_new(&options);
  yard->mirror->now_ms = 1;
  yard->mirror->last_attempt_id = INT64_MAX - 1;
  *state = yard;
  return 0;
}

int
tear_down(void **state)
{
  struct farmyard *yard = *state;
  mirror_free(yard->mirror);
  changes_free(&yard->changes);
  free(yard);
  return 0;
}

struct node *
add_build(struct farmyard *yard, int64_t id, int32_t priority)
{
  struct mirror_build build = { .id = id,
                                .derivation_id = id + 1000000,
                                .created_at = 1,
                                .priority = priority,
                                .state = FARM_BUILD_WAITING,
                                .system = STR(LINUX) };
  return mirror_add(yard->mirror, &build);
}

struct node *
node_of(struct farmyard *yard, int64_t id)
{
  return mirror_find(yard->mirror, id);
}

void
need(struct farmyard *yard, int64_t from, int64_t needs)
{
  mirror_need(yard->mirror, node_of(yard, from), node_of(yard, needs));
}

struct mirror_agent
agent_facts(int64_t id, int jobs)
{
  static const struct str systems[] = { { LINUX, sizeof LINUX - 1 } };
  return (struct mirror_agent) { .id = id,
                                 .token_id = id,
                                 .name = STR("agent"),
                                 .systems = systems,
                                 .systems_count = 1,
                                 .jobs = jobs };
}

void
connect_agent(struct farmyard *yard, int64_t id, int jobs)
{
  struct mirror_agent facts = agent_facts(id, jobs);
  size_t unknown;
  mirror_connect(yard->mirror, &facts, SESSION_BASE + id, NULL, 0, NULL, &unknown);
}

struct agent *
agent_of(struct farmyard *yard, int64_t id)
{
  return int_map_get(&yard->mirror->agents, id);
}

void
step(struct farmyard *yard)
{
  mirror_tick(yard->mirror);
  mirror_dispatch(yard->mirror);
  mirror_take(yard->mirror, &yard->changes);
}

const struct change_build *
row_of(struct farmyard *yard, int64_t id)
{
  const struct change_build *found = NULL;
  for (size_t i = 0; i < yard->changes.builds.count; i++)
    if (yard->changes.builds.items[i].id == id) {
      assert_null(found); /* one row a batch */
      found = &yard->changes.builds.items[i];
    }
  return found;
}

void
assert_row(struct farmyard *yard, int64_t id, enum farm_build_state state)
{
  const struct change_build *row = row_of(yard, id);
  assert_non_null(row);
  assert_int_equal(row->state, state);
}

size_t
count_events(struct farmyard *yard, enum change_event_kind kind)
{
  size_t count = 0;
  for (size_t i = 0; i < yard->changes.events.count; i++)
    count += yard->changes.events.items[i].kind == kind;
  return count;
}

void
succeed(struct farmyard *yard, int64_t build)
{
  mirror_succeeded(yard->mirror, node_of(yard, build)->attempt, 0);
}

void
fails(struct farmyard *yard, int64_t build, enum farm_cause cause)
{
  mirror_failed(yard->mirror, node_of(yard, build)->attempt, cause, STR("why"), 0);
}

bool
runs(struct farmyard *yard, int64_t build)
{
  const struct node *node = node_of(yard, build);
  return node != NULL && node->state == FARM_BUILD_RUNNING;
}
