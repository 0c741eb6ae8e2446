/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "serve/filters.h"

#include <errno.h>

#include "serve/api_list.h"

#define LIMIT_MAX 1000

static int
read_state(struct str name, struct build_filter *filter, struct error *err)
{
  if (name.size == 0)
    return 0;
  for (int state = 0; state < FARM_BUILD_STATE_MAX; state++)
    if (str_equal(name, str_of(farm_build_state_name((enum farm_build_state) state)))) {
      filter->state_value = (int16_t) state;
      filter->state = &filter->state_value;
      return 0;
    }
  return error_set(err, -EINVAL, "there is no state \"%.*s\"", STR_FMT(name));
}

int
build_filter_read(struct http_request *request, int64_t limit, struct build_filter *ret,
                  struct error *err)
{
  *ret = (struct build_filter) { .system = http_query(request, "system"),
                                 .name = http_query(request, "name"),
                                 .agent = http_query(request, "agent") };
  int r = http_query_i64(request, "limit", 1, LIMIT_MAX, limit, &ret->limit, err);
  if (r == 0)
    r = http_query_i64(request, "before", 1, INT64_MAX, INT64_MAX, &ret->before, err);
  if (r == 0)
    r = http_query_i64(request, "after", 0, INT64_MAX, 0, &ret->after, err);
  if (r == 0)
    r = http_query_i64(request, "evaluation", 1, INT64_MAX, 0, &ret->evaluation_value, err);
  if (r == 0 && ret->evaluation_value != 0)
    ret->evaluation = &ret->evaluation_value;
  return r == 0 ? read_state(http_query(request, "state"), ret, err) : r;
}

static void
turn_round(struct serve_builds_rows *rows)
{
  for (size_t i = 0; i < rows->count / 2; i++) {
    struct serve_builds_row row = rows->items[i];
    rows->items[i] = rows->items[rows->count - 1 - i];
    rows->items[rows->count - 1 - i] = row;
  }
}

/* No builds of an evaluation that is not there are a slip, and not an answer. */
static int
check_evaluation(struct db *db, int64_t id, struct error *err)
{
  struct serve_evaluation_known_row row = { 0 };
  int r = serve_evaluation_known(db, id, &row, err);
  if (r < 0 || row.known)
    return r < 0 ? r : 0;
  return error_set(err, -ENOENT, "there is no evaluation %lld", (long long) id);
}

static int
check_agent(struct db *db, struct str name, struct arena *arena, struct error *err)
{
  struct serve_agents_rows rows;
  int r = serve_agents(db, name, STR(""), 1, arena, &rows, err);
  if (r < 0 || rows.count > 0)
    return r;
  return error_set(err, -ENOENT, "there is no agent \"%.*s\"", STR_FMT(name));
}

int
build_filter_run(struct db *db, struct build_filter *filter, struct arena *arena,
                 struct serve_builds_rows *ret, struct error *err)
{
  struct serve_plan_anew_row plan;
  int r = serve_plan_anew(db, arena, &plan, err);
  if (r < 0)
    return r;
  bool is_forward = filter->after > 0;
  r = serve_builds(db, filter->before, filter->after, filter->state, filter->system, filter->name,
                   filter->evaluation, filter->agent, is_forward, filter->limit + 1, arena, ret,
                   err);
  if (r < 0)
    return r;
  filter->has_more = api_cut(&ret->count, filter->limit);
  if (is_forward)
    turn_round(ret);
  if (r == 0 && ret->count == 0 && filter->evaluation != NULL)
    r = check_evaluation(db, *filter->evaluation, err);
  if (r == 0 && ret->count == 0 && filter->agent.data != NULL)
    r = check_agent(db, filter->agent, arena, err);
  return r;
}

static struct serve_builds_row
listed(const struct serve_build_row *row)
{
  return (struct serve_builds_row) {
    .id = row->id,
    .name = row->name,
    .derivation = row->derivation,
    .derivation_id = row->derivation_id,
    .system = row->system,
    .state = row->state,
    .priority = row->priority,
    .timeout_s = row->timeout_s,
    .max_silent_s = row->max_silent_s,
    .created_at = row->created_at,
    .finished_at = row->finished_at,
    .finished_at_null = row->finished_at_null,
    .failed_build_id = row->failed_build_id,
    .failed_build_id_null = row->failed_build_id_null,
    .begun_at = row->begun_at,
    .begun_at_null = row->begun_at_null,
    .ran_until = row->ran_until,
    .ran_until_null = row->ran_until_null,
  };
}

static struct build_outputs
outputs_of(const struct serve_build_row *row, struct arena *arena)
{
  size_t count = row->output_names.count;
  struct build_outputs outputs = { arena_array(arena, count, sizeof *outputs.items), count };
  for (size_t i = 0; i < count; i++) {
    struct str basename = row->output_paths.items[i];
    const char *path = arena_printf(arena, "/gnu/store/%.*s", STR_FMT(basename));
    const char *narinfo = arena_printf(arena, "/%.32s.narinfo", basename.data);
    outputs.items[i] = (struct build_output) {
      .name = row->output_names.items[i],
      .path = str_of(path),
      .narinfo = str_of(narinfo),
      .available = row->output_sizes.items[i] > 0,
      .nar_size = row->output_sizes.items[i],
    };
  }
  return outputs;
}

int
build_find(struct db *db, int64_t id, struct arena *arena, struct serve_builds_row *ret,
           struct build_outputs *ret_outputs, struct error *err)
{
  struct serve_build_row row;
  int r = serve_build(db, id, arena, &row, err);
  if (r == 0)
    return error_set(err, -ENOENT, "there is no build %lld", (long long) id);
  if (r < 0)
    return r;
  *ret = listed(&row);
  if (ret_outputs != NULL)
    *ret_outputs = outputs_of(&row, arena);
  return 0;
}

int64_t
build_filter_next(const struct build_filter *filter, const struct serve_builds_rows *rows)
{
  return filter->has_more ? rows->items[rows->count - 1].id : 0;
}
