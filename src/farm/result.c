/* SPDX-License-Identifier: GPL-3.0-or-later */
/* How an attempt ended. A success is checked on a worker: the log is whole, each
   output is there, its nar has the hash and size that were told and holds what its
   derivation declares, and nothing it refers to is lacking. Only then the scheduler
   hears of it. */
#include "farm/agent_routes.h"

#include "base/map.h"
#include "base/mem.h"
#include "farm/cause.h"
#include "farm/reply.h"

#include <errno.h>
#include <stdlib.h>

#define ITEMS_MAX 10000
#define NAR_SIZE_MAX (INT64_C(1) << 40)

/* ---- reading ---- */

static int
read_item(struct arena *arena, int64_t attempt_id, const json_t *json, struct cache_item *ret,
          struct error *err)
{
  struct str hash;
  struct str *references;
  int r = agent_read_text(json, "path", GUIX_NAME_MAX + 64, NULL, &ret->basename, err);
  if (r == 0 && !guix_basename_is_valid(ret->basename))
    r = error_set(err, -EINVAL, "'%.*s' is no store item's name", STR_FMT(ret->basename));
  if (r == 0)
    r = agent_read_text(json, "nar_hash", 80, NULL, &hash, err);
  if (r == 0 && guix_hash_parse(hash, &ret->nar_hash) < 0)
    r = error_set(err, -EINVAL, "'%.*s' is no SHA-256 hash", STR_FMT(hash));
  if (r == 0)
    r = agent_read_number(json, "nar_size", 1, NAR_SIZE_MAX, &ret->nar_size, err);
  if (r == 0)
    r = agent_read_paths(arena, json_object_get(json, "references"), &references,
                         &ret->references_count, err);
  if (r == 0)
    r = agent_read_text(json, "deriver", GUIX_NAME_MAX + 64, "", &ret->deriver, err);
  if (r == 0 && ret->deriver.size > 0 && !guix_basename_is_valid(ret->deriver))
    r = error_set(err, -EINVAL, "'deriver' is no store item's name");
  if (r < 0)
    return r;
  ret->references = references;
  ret->upload = agent_upload_name(arena, attempt_id, ret->basename);
  return 0;
}

static int
read_items(struct arena *arena, int64_t attempt_id, const json_t *list, struct message_result *ret,
           struct error *err)
{
  size_t count = json_array_size(list);
  if (!json_is_array(list) || count > ITEMS_MAX)
    return error_set(err, -EINVAL, "'items' must be a list of at most %d", ITEMS_MAX);
  ret->items = arena_array(arena, count, sizeof *ret->items);
  ret->items_count = count;
  int r = 0;
  for (size_t i = 0; r == 0 && i < count; i++)
    r = read_item(arena, attempt_id, json_array_get(list, i), &ret->items[i], err);
  return r;
}

/* One line of valid UTF-8 without control characters, cut to its limit. */
static struct str
clean_message(struct arena *arena, struct str text)
{
  size_t size = text.size < AGENT_MESSAGE_MAX ? text.size : AGENT_MESSAGE_MAX;
  while (size > 0 && size < text.size && ((unsigned char) text.data[size] & 0xc0) == 0x80)
    size--;
  struct str copy = arena_str(arena, str_make(text.data, size));
  char *bytes = (char *) copy.data;
  for (size_t i = 0; i < copy.size; i++)
    if ((unsigned char) bytes[i] < 0x20 || bytes[i] == 0x7f)
      bytes[i] = ' ';
  return str_trim(copy);
}

static int
read_failure(struct arena *arena, const json_t *body, struct message_result *ret, struct error *err)
{
  struct str name, message;
  int r = agent_read_text(body, "cause", 64, NULL, &name, err);
  if (r == 0)
    r = agent_read_text(body, "message", AGENT_JSON_LIMIT, "", &message, err);
  if (r < 0)
    return r;
  int cause = farm_cause_parse(name);
  if (cause < 0 || !cause_is_reportable((enum farm_cause) cause))
    return error_set(err, -EINVAL, "'%.*s' is no cause that an agent may report", STR_FMT(name));
  ret->cause = (enum farm_cause) cause;
  ret->message = clean_message(arena, message);
  return 0;
}

static int
read_result(struct http_request *request, int64_t attempt_id, struct message_result *ret,
            struct error *err)
{
  struct arena *arena = http_arena(request);
  struct str status;
  json_t *body;
  int r = http_body_json(request, &body, err);
  if (r == 0)
    r = agent_read_text(body, "status", 16, NULL, &status, err);
  if (r == 0)
    r = agent_read_number(body, "log_size", 0, CACHE_LOG_MAX, &ret->log_size, err);
  if (r < 0)
    return r;
  if (str_equal(status, STR("succeeded")))
    return read_items(arena, attempt_id, json_object_get(body, "items"), ret, err);
  if (str_equal(status, STR("failed")))
    return read_failure(arena, body, ret, err);
  return error_set(err, -EINVAL, "'status' must be succeeded or failed");
}

/* ---- checking ---- */

struct check
{
  struct work work;
  struct open_attempt attempt;
  struct message *message;
  struct str_map told; /* basenames of items */
  struct str *damaged;
  size_t damaged_count;
  struct str *missing;
  size_t missing_count;
  struct str *refused; /* they cannot hold what was uploaded; why, of the first */
  size_t refused_count;
  struct error why;
};

static void
check_free(struct check *check)
{
  str_map_free(&check->told);
  free(check);
}

static bool
is_told(const struct check *check, struct str basename)
{
  int64_t one;
  return str_map_get(&check->told, basename, &one);
}

/* Everything that must be offered before: references that are not among the
   items, and outputs that were not told because they are here. */
static struct str *
collect_needed(const struct check *check, struct arena *arena, size_t *ret_count)
{
  const struct message_result *result = check->message->result;
  size_t capacity = check->attempt.outputs.count, count = 0;
  for (size_t i = 0; i < result->items_count; i++)
    capacity += result->items[i].references_count;
  struct str *needed = arena_array(arena, capacity, sizeof *needed);
  for (size_t i = 0; i < check->attempt.outputs.count; i++)
    needed[count++] = check->attempt.outputs.items[i].basename;
  for (size_t i = 0; i < result->items_count; i++)
    for (size_t j = 0; j < result->items[i].references_count; j++)
      needed[count++] = result->items[i].references[j];
  size_t kept = 0;
  for (size_t i = 0; i < count; i++)
    if (!is_told(check, needed[i]))
      needed[kept++] = needed[i];
  *ret_count = kept;
  return needed;
}

static int
check_names(struct check *check, struct db *db, struct error *err)
{
  struct arena *arena = http_arena(check->message->request);
  const struct message_result *result = check->message->result;
  struct str *names = arena_array(arena, result->items_count, sizeof *names);
  for (size_t i = 0; i < result->items_count; i++) {
    names[i] = result->items[i].basename;
    if (!str_map_put(&check->told, names[i], 1))
      return error_set(err, -EINVAL, "%.*s is told twice", STR_FMT(names[i]));
  }
  struct str *strangers, *needed;
  size_t count;
  int r = agent_strangers(db, &check->attempt, names, result->items_count, arena, &strangers,
                          &count, err);
  if (r < 0)
    return r;
  if (count > 0)
    return error_set(err, -EPERM, "%.*s is neither an output nor part of what it is built from",
                     STR_FMT(strangers[0]));
  needed = collect_needed(check, arena, &count);
  return cache_missing(db, needed, count, arena, &check->missing, &check->missing_count, err);
}

/* Which of the items are not offered yet, and what these must hold. The others stay
   as they are. */
static int
find_lacking(struct check *check, struct db *db, struct cache_item ***ret, size_t *ret_count,
             struct error *err)
{
  struct arena *arena = http_arena(check->message->request);
  const struct message_result *result = check->message->result;
  struct str *names = arena_array(arena, result->items_count, sizeof *names);
  struct cache_item **items = arena_array(arena, result->items_count, sizeof(struct cache_item *));
  struct str_map lacking = { 0 };
  struct str *lacking_names;
  size_t lacking_count, count = 0;
  int64_t one;
  for (size_t i = 0; i < result->items_count; i++)
    names[i] = result->items[i].basename;
  int r = cache_missing(db, names, result->items_count, arena, &lacking_names, &lacking_count, err);
  for (size_t i = 0; r == 0 && i < lacking_count; i++)
    str_map_put(&lacking, lacking_names[i], 1);
  for (size_t i = 0; r == 0 && i < result->items_count; i++)
    if (str_map_get(&lacking, names[i], &one))
      items[count++] = &result->items[i];
  str_map_free(&lacking);
  *ret = items;
  *ret_count = count;
  return r < 0 ? r : agent_addresses(db, items, count, arena, err);
}

static int
check_nars(struct check *check, struct cache *cache, struct cache_item *const *items, size_t count,
           struct error *err)
{
  struct arena *arena = http_arena(check->message->request);
  check->damaged = arena_array(arena, count, sizeof *check->damaged);
  check->refused = arena_array(arena, count, sizeof *check->refused);
  for (size_t i = 0; i < count; i++) {
    int r = cache_upload_verify(cache, items[i], err);
    if (r == -EBADMSG)
      check->damaged[check->damaged_count++] = items[i]->basename;
    else if (r == -EPERM && check->refused_count == 0)
      check->why = *err;
    else if (r < 0 && r != -EPERM)
      return r;
    if (r == -EPERM)
      check->refused[check->refused_count++] = items[i]->basename;
  }
  return 0;
}

static int
check_success(struct check *check, struct farm *farm, struct error *err)
{
  struct db *db = NULL;
  struct cache_item **items = NULL;
  size_t count = 0;
  int r = db_pool_get(farm->options.pool, &db, err);
  if (r == 0)
    r = check_names(check, db, err);
  if (r == 0)
    r = find_lacking(check, db, &items, &count, err);
  db_pool_put(farm->options.pool, db); /* not held over the slow part */
  return r < 0 ? r : check_nars(check, farm->options.cache, items, count, err);
}

/* Uploading it again would not mend it: the attempt ends here, as failed. The agent is
   not asked, for it lies, or its disk does. */
static int
refuse(struct check *check, struct farm *farm, struct error *err)
{
  struct message_result *result = check->message->result;
  struct arena *arena = http_arena(check->message->request);
  bool own = open_output(&check->attempt, check->refused[0]) != NULL;
  result->cause = own ? FARM_CAUSE_HASH_MISMATCH : FARM_CAUSE_UPLOAD;
  result->message = clean_message(arena, str_of(check->why.message));
  result->refused = check->refused;
  result->refused_count = check->refused_count;
  int r = cache_log_finish(farm->options.cache, check->attempt.id, &result->log_size, err);
  return r < 0 ? r : 1;
}

/* 1 = whole and closed; 0 = answered. A log that is closed already was whole when
   this result came for the first time. */
static int
check_log(struct check *check, struct cache *cache, struct error *err)
{
  int64_t size = 0;
  int64_t told = check->message->result->log_size;
  int r = cache_log_append(cache, check->attempt.id, 0, STR(""), &size, err);
  if (r == 0 && size < told) {
    reply_number(check->message->request, 409, "size", size);
    return 0;
  }
  if (r == 0 || r == -ESTALE)
    r = cache_log_finish(cache, check->attempt.id, &check->message->result->log_size, err);
  return r < 0 ? r : 1;
}

/* 1 = fit to be told to the scheduler; 0 = answered. */
static int
check_all(struct check *check, struct farm *farm, struct error *err)
{
  bool succeeded = check->message->result->cause == FARM_CAUSE_NONE;
  int r = succeeded ? check_success(check, farm, err) : 0;
  if (r < 0)
    return r;
  if (check->refused_count > 0)
    return refuse(check, farm, err);
  if (check->damaged_count + check->missing_count > 0) {
    reply_unfit(check->message->request, check->damaged, check->damaged_count, check->missing,
                check->missing_count);
    return 0;
  }
  return check_log(check, farm->options.cache, err);
}

static void
check_run(void *context, struct work *work, bool stopping)
{
  struct farm *farm = context;
  struct check *check = (struct check *) work;
  struct message *message = check->message;
  struct error err = { 0 };
  int r = stopping ? error_set(&err, -EBUSY, "the server stops") : check_all(check, farm, &err);
  if (r == 1) {
    farm_post(farm, message);
    check_free(check);
    return;
  }
  if (r < 0)
    http_reply_failure(message->request, &err);
  free(message);
  check_free(check);
}

/* ---- the route ---- */

static struct message *
message_new(struct http_request *request, int64_t attempt_id, int64_t fence,
            struct message_result *result)
{
  struct message *message = mem_alloc(sizeof *message);
  *message = (struct message) { .kind = MESSAGE_RESULT,
                                .request = request,
                                .token_id = http_identity(request),
                                .attempt_id = attempt_id,
                                .fence = fence,
                                .result = result };
  return message;
}

int
agent_result(struct http_request *request, void *context, struct error *err)
{
  struct farm *farm = context;
  struct message_result *result = arena_alloc(http_arena(request), sizeof *result);
  int64_t id, fence;
  int r = http_param_id(request, "attempt", &id, err);
  if (r == 0)
    r = agent_fence(request, &fence, err);
  if (r == 0)
    r = read_result(request, id, result, err);
  if (r < 0)
    return r;
  struct open_attempt attempt;
  int64_t token_id = http_identity(request);
  open_hear(&farm->open, token_id);
  enum open_result found =
      open_get(&farm->open, id, token_id, fence, http_arena(request), &attempt);
  if (found == OPEN_INACTIVE) {
    reply_busy(request);
    return 0;
  }
  http_defer(request);
  struct message *message = message_new(request, id, fence, result);
  if (found == OPEN_GONE) {
    farm_look_up(farm, message);
    return 0;
  }
  struct check *check = mem_alloc(sizeof *check);
  *check = (struct check) { .work = { .run = check_run }, .attempt = attempt, .message = message };
  work_pool_put(&farm->slow, &check->work);
  return 0;
}
