/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "serve/filters.h"

#include <errno.h>

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
                                 .name = http_query(request, "name") };
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

int
build_filter_run(struct db *db, const struct build_filter *filter, struct arena *arena,
                 struct serve_builds_rows *ret, struct error *err)
{
  struct serve_plan_anew_row plan;
  int r = serve_plan_anew(db, arena, &plan, err);
  if (r < 0)
    return r;
  bool is_forward = filter->after > 0;
  r = serve_builds(db, filter->before, filter->after, filter->state, filter->system, filter->name,
                   filter->evaluation, is_forward, filter->limit, arena, ret, err);
  if (r == 0 && is_forward)
    turn_round(ret);
  if (r == 0 && ret->count == 0 && filter->evaluation != NULL)
    r = check_evaluation(db, *filter->evaluation, err);
  return r;
}

int
build_find(struct db *db, int64_t id, struct arena *arena, struct serve_builds_row *ret,
           struct error *err)
{
  const struct build_filter filter = { .before = id < INT64_MAX ? id + 1 : id, .limit = 1 };
  struct serve_builds_rows rows;
  int r = build_filter_run(db, &filter, arena, &rows, err);
  if (r < 0)
    return r;
  if (rows.count == 0 || rows.items[0].id != id)
    return error_set(err, -ENOENT, "there is no build %lld", (long long) id);
  *ret = rows.items[0];
  return 0;
}

int64_t
build_filter_next(const struct build_filter *filter, const struct serve_builds_rows *rows)
{
  return rows->count > 0 && (int64_t) rows->count == filter->limit ? rows->items[rows->count - 1].id
                                                                   : 0;
}
