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
                                 .specification = http_query(request, "specification"),
                                 .agent = http_query(request, "agent") };
  int r = http_query_i64(request, "limit", 1, LIMIT_MAX, limit, &ret->limit, err);
  if (r == 0)
    r = http_query_i64(request, "before", 1, INT64_MAX, 0, &ret->before, err);
  if (r == 0)
    r = http_query_i64(request, "after", 0, INT64_MAX, 0, &ret->after, err);
  if (r == 0)
    r = http_query_i64(request, "evaluation", 1, INT64_MAX, 0, &ret->evaluation_value, err);
  if (r == 0 && ret->evaluation_value != 0)
    ret->evaluation = &ret->evaluation_value;
  return r == 0 ? read_state(http_query(request, "state"), ret, err) : r;
}

static void
turn_round(struct serve_build_ids_rows *rows)
{
  for (size_t i = 0; i < rows->count / 2; i++) {
    struct serve_build_ids_row row = rows->items[i];
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

/* The ids of what a filter names. */
static int
find_names(struct db *db, const struct build_filter *filter, struct serve_filter_names_row *ret,
           struct error *err)
{
  struct str specification = filter->specification, agent = filter->agent;
  if (specification.data == NULL && agent.data == NULL)
    return 0;
  int r = serve_filter_names(db, specification, agent, ret, err);
  if (r < 0)
    return r;
  if (specification.data != NULL && ret->specification == 0)
    return error_set(err, -ENOENT, "there is no specification \"%.*s\"", STR_FMT(specification));
  if (agent.data != NULL && ret->agent == 0)
    return error_set(err, -ENOENT, "there is no agent \"%.*s\"", STR_FMT(agent));
  return 0;
}

/* Of the build that a part of the list begins behind. By id it stands where its id says, even
   if there is none. */
static int
find_place(struct db *db, const struct build_filter *filter, int64_t id, struct arena *arena,
           struct serve_build_place_row *ret, struct error *err)
{
  if (id == 0 || filter->order == BUILDS_BY_ID)
    return 0;
  int r = serve_build_place(db, id, arena, ret, err);
  return r == 0 ? error_set(err, -ENOENT, "there is no build %lld", (long long) id)
                : (r < 0 ? r : 0);
}

static int
find_ids(struct db *db, struct build_filter *filter, struct arena *arena,
         struct serve_build_ids_rows *ret, struct error *err)
{
  struct serve_filter_names_row names = { 0 };
  struct serve_build_place_row place = { 0 };
  bool is_backwards = filter->after > 0;
  int64_t at = is_backwards ? filter->after : filter->before;
  int r = find_names(db, filter, &names, err);
  if (r == 0)
    r = find_place(db, filter, at, arena, &place, err);
  if (r == 0)
    r = serve_build_ids(
        db, filter->order == BUILDS_BY_TOOK, filter->state, filter->system, filter->name,
        filter->evaluation, filter->specification.data != NULL ? &names.specification : NULL,
        filter->agent.data != NULL ? &names.agent : NULL, filter->order == BUILDS_BY_NAME, at == 0,
        filter->rises != is_backwards, place.name, place.derivation_id, place.took, at,
        filter->limit + 1, arena, ret, err);
  if (r < 0)
    return r;
  filter->has_more = api_cut(&ret->count, filter->limit);
  if (is_backwards)
    turn_round(ret);
  return 0;
}

static int
read_builds(struct db *db, const struct serve_build_ids_rows *rows, struct arena *arena,
            struct serve_builds_rows *ret, struct error *err)
{
  int64_t *ids = arena_array(arena, rows->count + 1, sizeof *ids);
  for (size_t i = 0; i < rows->count; i++)
    ids[i] = rows->items[i].id;
  return serve_builds(db, (struct db_i64s) { ids, rows->count }, arena, ret, err);
}

int
build_filter_run(struct db *db, struct build_filter *filter, struct arena *arena,
                 struct serve_builds_rows *ret, struct error *err)
{
  struct serve_plan_anew_row plan;
  struct serve_build_ids_rows ids = { 0 };
  int r = serve_plan_anew(db, arena, &plan, err);
  if (r < 0)
    return r;
  r = find_ids(db, filter, arena, &ids, err);
  if (r == 0 && ids.count == 0 && filter->evaluation != NULL)
    r = check_evaluation(db, *filter->evaluation, err);
  return r < 0 ? r : read_builds(db, &ids, arena, ret, err);
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
