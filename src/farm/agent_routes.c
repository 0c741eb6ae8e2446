/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "farm/agent_routes.h"

#include "base/map.h"
#include "farm/farm_sql.h"
#include "farm/reply.h"

#include <errno.h>
#include <inttypes.h>

#define ATTEMPT "/agent/v1/attempts/{attempt}"

static const struct http_route routes[] = {
  { .method = "POST",
    .path = "/agent/v1/enrol",
    .handler = agent_enrol,
    .body_limit = 65536,
    .role = "join",
    .summary = "Makes an agent and its token" },
  { .method = "POST",
    .path = "/agent/v1/session",
    .handler = agent_session,
    .body_limit = 1 << 20,
    .role = "agent",
    .summary = "The stream of work for an agent" },
  { .method = "POST",
    .path = "/agent/v1/pong",
    .handler = agent_pong,
    .body_limit = 1024,
    .role = "agent",
    .summary = "A sign of life" },
  { .method = "POST",
    .path = "/agent/v1/bundle",
    .handler = agent_bundle,
    .body_limit = AGENT_JSON_LIMIT,
    .role = "agent",
    .summary = "Store items as an export stream" },
  { .method = "GET",
    .path = ATTEMPT "/closure",
    .handler = agent_closure,
    .role = "agent",
    .summary = "What the attempt needs in its store" },
  { .method = "POST",
    .path = ATTEMPT "/started",
    .handler = agent_started,
    .body_limit = 1024,
    .role = "agent",
    .summary = "The builder runs" },
  { .method = "POST",
    .path = ATTEMPT "/log",
    .handler = agent_log,
    .body_limit = AGENT_LOG_PIECE,
    .role = "agent",
    .summary = "Appends to the build log" },
  { .method = "POST",
    .path = ATTEMPT "/missing",
    .handler = agent_missing,
    .body_limit = AGENT_JSON_LIMIT,
    .role = "agent",
    .summary = "Which items are to be uploaded" },
  { .method = "GET",
    .path = ATTEMPT "/uploads/{basename}",
    .handler = agent_upload_offset,
    .role = "agent",
    .summary = "How much of an upload is here" },
  { .method = "PUT",
    .path = ATTEMPT "/uploads/{basename}",
    .body = agent_upload_piece,
    .body_begin = agent_upload_begin,
    .body_limit = AGENT_UPLOAD_LIMIT,
    .role = "agent",
    .summary = "Appends to an upload" },
  { .method = "POST",
    .path = ATTEMPT "/result",
    .handler = agent_result,
    .body_limit = AGENT_JSON_LIMIT,
    .role = "agent",
    .summary = "How the attempt ended" },
};

struct http_routes
farm_agent_routes(struct farm *farm)
{
  return (struct http_routes) { routes, ARRAY_SIZE(routes), farm };
}

/* ---- the attempt ---- */

int
agent_fence(const struct http_request *request, int64_t *ret, struct error *err)
{
  int64_t fence;
  if (str_to_i64(http_header(request, "Panoply-Fence"), &fence) < 0 || fence <= 0)
    return error_set(err, -EINVAL, "the header Panoply-Fence is missing or no number");
  *ret = fence;
  return 0;
}

int
agent_attempt(struct http_request *request, struct farm *farm, int64_t attempt_id,
              struct open_attempt *ret, struct error *err)
{
  int64_t fence;
  int r = agent_fence(request, &fence, err);
  if (r < 0)
    return r;
  int64_t token_id = http_identity(request);
  open_hear(&farm->open, token_id);
  switch (open_get(&farm->open, attempt_id, token_id, fence, http_arena(request), ret)) {
  case OPEN_FOUND:
    return 1;
  case OPEN_GONE:
    reply_gone(request);
    return 0;
  case OPEN_INACTIVE:
    break;
  }
  reply_busy(request);
  return 0;
}

int
agent_route_attempt(struct http_request *request, struct farm *farm, struct open_attempt *ret,
                    struct error *err)
{
  int64_t id;
  int r = http_param_id(request, "attempt", &id, err);
  return r < 0 ? r : agent_attempt(request, farm, id, ret, err);
}

const char *
agent_upload_name(struct arena *arena, int64_t attempt_id, struct str basename)
{
  return arena_printf(arena, "attempt-%" PRId64 "-%.*s", attempt_id, GUIX_PATH_HASH_SIZE,
                      basename.data);
}

int
agent_strangers(struct db *db, const struct open_attempt *attempt, const struct str *basenames,
                size_t count, struct arena *arena, struct str **ret, size_t *ret_count,
                struct error *err)
{
  struct str *others = arena_array(arena, count, sizeof *others);
  size_t others_count = 0;
  for (size_t i = 0; i < count; i++)
    if (open_output(attempt, basenames[i]) == NULL)
      others[others_count++] = basenames[i];
  *ret = others;
  *ret_count = 0;
  if (others_count == 0)
    return 0;
  int64_t *closure;
  size_t closure_count;
  struct farm_attempt_supplies_rows rows;
  int r =
      graph_derivation_closure(db, attempt->derivation_id, arena, &closure, &closure_count, err);
  if (r == 0)
    r = farm_attempt_supplies(db, (struct db_strs) { others, others_count },
                              (struct db_i64s) { closure, closure_count }, arena, &rows, err);
  if (r < 0)
    return r;
  struct str_map known = { 0 };
  for (size_t i = 0; i < rows.count; i++)
    str_map_put(&known, rows.items[i].basename, 1);
  int64_t one;
  for (size_t i = 0; i < others_count; i++)
    if (!str_map_get(&known, others[i], &one))
      others[(*ret_count)++] = others[i];
  str_map_free(&known);
  return 0;
}

/* ---- JSON ---- */

int
agent_read_text(const json_t *object, const char *name, size_t limit, const char *fallback,
                struct str *ret, struct error *err)
{
  const json_t *value = json_object_get(object, name);
  if (value == NULL && fallback != NULL) {
    *ret = str_of(fallback);
    return 0;
  }
  if (!json_is_string(value))
    return error_set(err, -EINVAL, "'%s' must be a text", name);
  *ret = str_make(json_string_value(value), json_string_length(value));
  if (ret->size > limit)
    return error_set(err, -EINVAL, "'%s' has more than %zu bytes", name, limit);
  return 0;
}

int
agent_read_number(const json_t *object, const char *name, int64_t low, int64_t high, int64_t *ret,
                  struct error *err)
{
  const json_t *value = json_object_get(object, name);
  if (!json_is_integer(value) || json_integer_value(value) < low
      || json_integer_value(value) > high)
    return error_set(err, -EINVAL, "'%s' must be a number from %" PRId64 " to %" PRId64, name, low,
                     high);
  *ret = json_integer_value(value);
  return 0;
}

int
agent_read_paths(struct arena *arena, const json_t *list, struct str **ret, size_t *ret_count,
                 struct error *err)
{
  size_t count = json_array_size(list);
  if (!json_is_array(list) || count > AGENT_PATHS_MAX)
    return error_set(err, -EINVAL, "a list of at most %d store items is expected", AGENT_PATHS_MAX);
  struct str *paths = arena_array(arena, count, sizeof *paths);
  for (size_t i = 0; i < count; i++) {
    const json_t *item = json_array_get(list, i);
    paths[i] = str_make(json_string_value(item), json_string_length(item));
    if (!json_is_string(item) || !guix_basename_is_valid(paths[i]))
      return error_set(err, -EINVAL, "number %zu of the list is no store item's name", i + 1);
  }
  *ret = paths;
  *ret_count = count;
  return 0;
}
