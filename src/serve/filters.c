/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "serve/filters.h"

#include <errno.h>

#include "serve/api_list.h"

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
  error_set(err, -EINVAL, "there is no state \"%.*s\"", STR_FMT(name));
  return error_hint(err, "A build is waiting, running, succeeded, failed, dependency-failed or "
                         "cancelled.");
}

int
build_filter_read(struct http_request *request, int64_t limit, struct build_filter *ret,
                  struct error *err)
{
  *ret = (struct build_filter) { .system = http_query(request, "system"),
                                 .name = http_query(request, "name"),
                                 .specification = http_query(request, "specification"),
                                 .agent = http_query(request, "agent"),
                                 .before = http_query(request, "before"),
                                 .after = http_query(request, "after") };
  int r = http_query_i64(request, "limit", 1, API_LIST_MAX, limit, &ret->limit, err);
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

/* A place in the list, as serve_build_ids has it. */
struct place
{
  bool is_start;
  struct str name; /* of a derivation; by name, ID is the derivation's */
  int64_t took, id;
};

static int
read_place(enum build_order order, struct str cursor, struct place *ret, struct error *err)
{
  struct str value = STR("0"), id = cursor;
  *ret = (struct place) { .is_start = cursor.size == 0, .name = STR("") };
  if (ret->is_start)
    return 0;
  if (order != BUILDS_BY_ID)
    (void) str_split(&id, '/', &value);
  if (order == BUILDS_BY_NAME)
    ret->name = value;
  if (str_to_i64(id, &ret->id) < 0
      || (order == BUILDS_BY_TOOK && str_to_i64(value, &ret->took) < 0))
    return error_set(err, -EINVAL, "that is no cursor of this list");
  return 0;
}

/* What was asked for is one more than is shown; the edge, where it stopped looking, may be among
   them. */
static void
take_part(struct build_filter *filter, bool is_backwards, struct serve_build_ids_rows *rows)
{
  const char *edge = NULL;
  filter->has_more = api_cut(&rows->count, filter->limit);
  if (!filter->has_more && rows->count > 0 && rows->items[rows->count - 1].is_edge) {
    edge = rows->items[rows->count - 1].cursor.data;
    rows->count -= !rows->items[rows->count - 1].fits;
    filter->has_more = filter->is_partial = true;
  }
  if (is_backwards)
    turn_round(rows);
  filter->first = rows->count > 0 ? rows->items[0].cursor.data : NULL;
  filter->last = rows->count > 0 ? rows->items[rows->count - 1].cursor.data : NULL;
  if (edge != NULL)
    *(is_backwards ? &filter->first : &filter->last) = edge;
}

/* Builds of a state are listed by an index in order of id; in another order they are found by
   what has that order, and where something else narrows them too that might be all builds. */
static bool
is_state_sought(const struct build_filter *filter)
{
  return filter->order != BUILDS_BY_ID
         && (filter->name.data != NULL || filter->system.data != NULL || filter->agent.data != NULL
             || filter->specification.data != NULL);
}

static int
find_ids(struct db *db, struct build_filter *filter, struct arena *arena,
         struct serve_build_ids_rows *ret, struct error *err)
{
  struct serve_filter_names_row names = { 0 };
  struct place at;
  bool is_backwards = filter->after.size > 0;
  bool is_sought = is_state_sought(filter);
  const int64_t *agent = filter->agent.data != NULL ? &names.agent : NULL;
  const int64_t *specification = filter->specification.data != NULL ? &names.specification : NULL;
  int r = find_names(db, filter, &names, err);
  if (r == 0)
    r = read_place(filter->order, is_backwards ? filter->after : filter->before, &at, err);
  if (r == 0)
    r = serve_build_ids(db, BUILDS_LOOKED_AT, filter->order == BUILDS_BY_NAME,
                        filter->order == BUILDS_BY_TOOK, is_sought ? NULL : filter->state,
                        filter->evaluation, at.is_start, filter->rises != is_backwards, at.name,
                        at.id, at.took, filter->name, is_sought ? filter->state : NULL,
                        filter->system, agent, specification, filter->limit + 1, arena, ret, err);
  if (r == 0)
    take_part(filter, is_backwards, ret);
  return r;
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
