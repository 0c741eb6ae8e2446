/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Why a build waits, for a page: to the end of the line of builds that wait for each other. */
#include "farm/explain.h"
#include "farm/farm_private.h"
#include "farm/farm_sql.h"

#include <errno.h>
#include <inttypes.h>

struct reasons
{
  int64_t build_id;
  struct arena *arena;
  struct farm_explain_needs_rows needs;
  struct farm_explain_root_rows root; /* a row for each agent */
};

static int
read_reasons(struct db *db, void *context, struct error *err)
{
  struct reasons *all = context;
  int r = farm_explain_needs(db, all->build_id, all->arena, &all->needs, err);
  if (r == 0)
    r = farm_explain_root(db, all->build_id, all->arena, &all->root, err);
  if (r == 0 && all->root.count == 0)
    r = error_set(err, -ENOENT, "there is no build %" PRId64, all->build_id);
  return r;
}

static void
take_needs(const struct reasons *all, struct farm_explanation *ret)
{
  const struct farm_explain_needs_rows *needs = &all->needs;
  ret->needs_count = needs->count > 0 ? needs->items[0].count : 0;
  ret->needs.count = needs->count;
  ret->needs.items = arena_array(all->arena, needs->count, sizeof *ret->needs.items);
  for (size_t i = 0; i < needs->count; i++) {
    const struct farm_explain_needs_row *row = &needs->items[i];
    bool has_cause = row->cause != FARM_CAUSE_NONE;
    ret->needs.items[i] = (struct farm_need) {
      .build_id = row->id,
      .name = explain_name(row->derivation),
      .state = farm_build_state_name((enum farm_build_state) row->state),
      .cause = has_cause ? farm_cause_name((enum farm_cause) row->cause) : "",
    };
  }
}

static const char *
word_of(const struct farm_explain_root_row *row)
{
  if (!row->connected)
    return "away";
  if (row->paused)
    return "paused";
  return row->running < row->jobs ? "free" : "busy";
}

/* RET: room for all; returns what they come to. */
static struct explain_seats
take_agents(const struct reasons *all, struct farm_root *ret)
{
  struct explain_seats seats = { 0 };
  ret->agents.items = arena_array(all->arena, all->root.count, sizeof *ret->agents.items);
  for (size_t i = 0; i < all->root.count; i++) {
    const struct farm_explain_root_row *row = &all->root.items[i];
    if (row->agent_null)
      continue;
    explain_seats_add(&seats, row->connected, row->paused, row->jobs - row->running);
    ret->agents.items[ret->agents.count++] = (struct farm_candidate) {
      .name = row->agent,
      .word = word_of(row),
      .seen_at = row->seen_at_null ? 0 : row->seen_at,
      .builds_it = row->builds_it,
    };
  }
  return seats;
}

static struct farm_root
root_of(const struct reasons *all, struct explain_place place)
{
  const struct farm_explain_root_row *row = &all->root.items[0];
  struct farm_root root = {
    .build_id = row->id,
    .name = explain_name(row->derivation),
    .system = row->system,
    .state = farm_build_state_name((enum farm_build_state) row->state),
    .retry_in_ms = place.retry_in_ms,
  };
  struct explain_seats seats = take_agents(all, &root);
  root.reason = row->goes_on ? "dependencies" : explain_ready(&seats, &place);
  if (row->state == FARM_BUILD_RUNNING)
    root.reason = "running";
  if (row->finished)
    root.reason = "held-up";
  return root;
}

int
farm_build_reasons(struct farm *farm, int64_t build_id, struct arena *arena,
                   struct farm_explanation *ret, struct error *err)
{
  struct reasons all = { .build_id = build_id, .arena = arena };
  int r = db_pool_run(farm->options.pool, DB_READ, read_reasons, &all, err);
  if (r < 0)
    return r;
  struct explain_place place = explain_place(farm, build_id);
  int64_t root_id = all.root.items[0].id;
  *ret = (struct farm_explanation) {
    .ahead = place.ahead,
    .root = root_of(&all, root_id == build_id ? place : explain_place(farm, root_id)),
  };
  take_needs(&all, ret);
  ret->reason = ret->root.reason;
  if (all.needs.count > 0)
    ret->reason = all.needs.items[0].finished ? "held-up" : "dependencies";
  return 0;
}
