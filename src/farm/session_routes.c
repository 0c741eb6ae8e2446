/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Enrolling, sessions, signs of life. */
#include "base/mem.h"
#include "farm/agent_routes.h"
#include "farm/farm_sql.h"

#include "base/json.h"

#include <errno.h>
#include <stdlib.h>

#define CLAIMS_MAX 4096
#define SYSTEM_SIZE_MAX 64
#define LOAD_MAX 1e6

/* ---- what agents say of themselves ---- */

struct description
{
  struct str *systems;
  size_t systems_count;
  int64_t jobs;
  struct str facts; /* JSON */
};

/* Like "x86_64-linux". */
static bool
is_system(struct str text)
{
  static const char allowed[] = "abcdefghijklmnopqrstuvwxyz0123456789_-";
  if (text.size == 0 || text.size > SYSTEM_SIZE_MAX)
    return false;
  for (size_t i = 0; i < text.size; i++)
    if (memchr(allowed, text.data[i], sizeof allowed - 1) == NULL)
      return false;
  return str_find(text, '-') > 0;
}

static int
read_systems(struct arena *arena, const json_t *list, struct description *ret, struct error *err)
{
  size_t count = json_array_size(list);
  if (count == 0 || count > AGENT_SYSTEMS_MAX)
    return error_set(err, -EINVAL, "'systems' must be a list of 1 to %d", AGENT_SYSTEMS_MAX);
  ret->systems = arena_array(arena, count, sizeof *ret->systems);
  for (size_t i = 0; i < count; i++) {
    const json_t *item = json_array_get(list, i);
    struct str system = str_make(json_string_value(item), json_string_length(item));
    if (!json_is_string(item) || !is_system(system))
      return error_set(err, -EINVAL, "number %zu of 'systems' is none", i + 1);
    ret->systems[ret->systems_count++] = system;
  }
  return 0;
}

/* The facts object, with the version put into it. */
static int
read_facts(struct arena *arena, const json_t *body, struct description *ret, struct error *err)
{
  const json_t *given = json_object_get(body, "facts");
  if (given != NULL && !json_is_object(given))
    return error_set(err, -EINVAL, "'facts' must be an object");
  json_t *facts = given == NULL ? json_object() : json_copy((json_t *) given);
  json_t *version = json_object_get(body, "version");
  if (json_is_string(version) && json_string_length(version) <= SYSTEM_SIZE_MAX)
    json_object_set(facts, "version", version);
  char *text = json_dumps(facts, JSON_COMPACT);
  json_decref(facts);
  ret->facts = text == NULL ? STR("{}") : arena_str(arena, str_of(text));
  free(text);
  if (ret->facts.size > AGENT_FACTS_MAX)
    return error_set(err, -EINVAL, "'facts' has more than %d bytes", AGENT_FACTS_MAX);
  return 0;
}

static int
read_description(struct arena *arena, const json_t *body, struct description *ret,
                 struct error *err)
{
  int r = read_systems(arena, json_object_get(body, "systems"), ret, err);
  if (r == 0)
    r = agent_read_number(body, "jobs", 1, AGENT_JOBS_MAX, &ret->jobs, err);
  return r < 0 ? r : read_facts(arena, body, ret, err);
}

/* ---- enrolling ---- */

struct enrolment
{
  struct str name;
  struct description about;
  struct str old_token; /* size 0 = none */
  int64_t token_id;     /* made by the last try; tells a commit in doubt from a rival */
  int64_t agent_id;
  char token[ACCOUNTS_TOKEN_SIZE];
};

static int
refuse_name(const struct enrolment *enrolment, struct error *err)
{
  error_set(err, -EEXIST, "there is an agent '%.*s' already", STR_FMT(enrolment->name));
  return error_hint(err,
                    "Is it the same machine? Then 'panoply agents release %.*s' frees the name.",
                    STR_FMT(enrolment->name));
}

/* Who was released is not let in by the back door, with a joining token that was never
   deleted: the operator has to say so on that machine. */
static int
check_not_revoked(struct db *db, const struct enrolment *enrolment, struct error *err)
{
  int r = enrolment->old_token.size == 0
              ? 0
              : accounts_token_is_revoked(db, "agent", enrolment->old_token, err);
  if (r <= 0)
    return r;
  error_set(err, -EPERM,
            "this machine's own token was revoked: its agent was released, or "
            "enrolled anew");
  return error_hint(err,
                    "To enrol this machine anew, under a name that is free or released, remove "
                    "the token file in its state folder and start it with a joining token.");
}

static int
renew(struct db *db, struct enrolment *enrolment, struct error *err)
{
  struct farm_agent_named_row row;
  int64_t presented = 0;
  int r = farm_agent_named(db, enrolment->name, &row, err);
  if (r <= 0)
    return r < 0 ? r : refuse_name(enrolment, err);
  if (enrolment->old_token.size > 0)
    r = accounts_token_check(db, "agent", enrolment->old_token, &presented, err);
  if (r < 0)
    return r;
  if (!row.released && (row.connected || presented != row.token_id))
    return refuse_name(enrolment, err);
  const struct description *about = &enrolment->about;
  enrolment->agent_id = row.id;
  r = farm_agent_renew(db, enrolment->token_id,
                       (struct db_strs) { about->systems, about->systems_count },
                       (int32_t) about->jobs, about->facts, row.id, err);
  return r < 0 || row.released ? r : accounts_token_revoke(db, "agent", row.token_id, err);
}

static int
tell_enrolled(struct db *db, const struct enrolment *enrolment, struct error *err)
{
  CLEANUP_BUF struct buf facts = { 0 };
  struct json json = json_begin(&facts);
  json_object_open(&json);
  json_put_text(&json, "agent", enrolment->name);
  json_object_close(&json);
  return events_append(db, "agent.enrolled", enrolment->agent_id, buf_str(&facts), err);
}

/* 1 when a try before, whose commit was in doubt, has been committed. */
static int
was_committed(struct db *db, const struct enrolment *enrolment, struct error *err)
{
  struct farm_agent_named_row row;
  int r = enrolment->token_id == 0 ? 0 : farm_agent_named(db, enrolment->name, &row, err);
  return r <= 0 ? r : row.token_id == enrolment->token_id;
}

static int
enrol(struct db *db, void *context, struct error *err)
{
  struct enrolment *enrolment = context;
  const struct description *about = &enrolment->about;
  int r = was_committed(db, enrolment, err);
  if (r != 0)
    return r < 0 ? r : 0;
  r = check_not_revoked(db, enrolment, err);
  if (r < 0)
    return r;
  r = accounts_token_create(db, "agent", enrolment->name, 0, enrolment->token, &enrolment->token_id,
                            err);
  if (r < 0)
    return r;
  struct farm_agent_insert_row row;
  r = farm_agent_insert(db, enrolment->name, enrolment->token_id,
                        (struct db_strs) { about->systems, about->systems_count },
                        (int32_t) about->jobs, about->facts, &row, err);
  if (r == 1)
    enrolment->agent_id = row.id;
  else if (r == 0)
    r = renew(db, enrolment, err);
  return r < 0 ? r : tell_enrolled(db, enrolment, err);
}

static bool
is_name(struct str name)
{
  static const char allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-";
  if (name.size == 0 || name.size > 63 || memchr("._-", name.data[0], 3) != NULL)
    return false;
  for (size_t i = 0; i < name.size; i++)
    if (memchr(allowed, name.data[i], sizeof allowed - 1) == NULL)
      return false;
  return true;
}

static int
read_enrolment(struct http_request *request, struct enrolment *ret, struct error *err)
{
  json_t *body;
  int r = http_body_json(request, &body, err);
  if (r == 0)
    r = agent_read_text(body, "name", 63, NULL, &ret->name, err);
  if (r == 0 && !is_name(ret->name))
    r = error_set(err, -EINVAL,
                  "'name' must be letters, digits, '.', '_' and '-', at most 63, "
                  "and begin with a letter or digit");
  if (r == 0 && str_equal(ret->name, STR("tokens")))
    r = error_set(err, -EINVAL, "'tokens' cannot be an agent's name: /agents/tokens is taken");
  if (r == 0)
    r = agent_read_text(body, "token", ACCOUNTS_TOKEN_SIZE, "", &ret->old_token, err);
  return r < 0 ? r : read_description(http_arena(request), body, &ret->about, err);
}

int
agent_enrol(struct http_request *request, void *context, struct error *err)
{
  struct farm *farm = context;
  struct enrolment enrolment = { 0 };
  int r = read_enrolment(request, &enrolment, err);
  if (r == 0)
    r = db_pool_run(farm->options.pool, DB_WRITE, enrol, &enrolment, err);
  if (r < 0)
    return r;
  CLEANUP_BUF struct buf body = { 0 };
  struct json json = json_begin(&body);
  json_object_open(&json);
  json_put_i64(&json, "agent", enrolment.agent_id);
  json_put_cstr(&json, "token", enrolment.token);
  json_put_cstr(&json, "key", farm->key);
  json_object_close(&json);
  return http_reply_json(request, 201, &body);
}

/* ---- sessions ---- */

static int
read_claims(struct arena *arena, const json_t *list, struct message_session *hello,
            struct error *err)
{
  size_t count = json_array_size(list);
  if ((list != NULL && !json_is_array(list)) || count > CLAIMS_MAX)
    return error_set(err, -EINVAL, "'running' must be a list of at most %d", CLAIMS_MAX);
  hello->claims = arena_array(arena, count, sizeof *hello->claims);
  for (size_t i = 0; i < count; i++) {
    const json_t *item = json_array_get(list, i);
    struct mirror_claim *claim = &hello->claims[i];
    struct str fence;
    int r = agent_read_number(item, "attempt", 1, INT64_MAX, &claim->attempt_id, err);
    if (r == 0)
      r = agent_read_text(item, "fence", 20, NULL, &fence, err);
    if (r == 0 && str_to_i64(fence, &claim->fence) < 0)
      r = error_set(err, -EINVAL, "'fence' is not a number");
    if (r < 0)
      return r;
  }
  hello->claims_count = count;
  return 0;
}

/* Who speaks, by the token. */
static int
identify(struct http_request *request, struct farm *farm, struct mirror_agent *ret,
         struct error *err)
{
  struct db *db = NULL;
  struct farm_agent_of_token_row row;
  int r = db_pool_get(farm->options.pool, &db, err);
  if (r == 0)
    r = farm_agent_of_token(db, http_identity(request), http_arena(request), &row, err);
  db_pool_put(farm->options.pool, db);
  if (r <= 0)
    return r < 0 ? r : error_set(err, -EPERM, "this token is no agent's");
  ret->id = row.id;
  ret->token_id = http_identity(request);
  ret->name = row.name;
  ret->paused = row.paused;
  return 0;
}

static int
read_hello(struct http_request *request, struct message_session *hello, struct error *err)
{
  struct arena *arena = http_arena(request);
  struct description about = { 0 };
  json_t *body;
  int64_t protocol;
  int r = http_body_json(request, &body, err);
  if (r == 0)
    r = agent_read_number(body, "protocol", 1, 1, &protocol, err);
  if (r == 0)
    r = read_description(arena, body, &about, err);
  if (r == 0)
    r = read_claims(arena, json_object_get(body, "running"), hello, err);
  hello->agent.systems = about.systems;
  hello->agent.systems_count = about.systems_count;
  hello->agent.jobs = (int) about.jobs;
  hello->facts = about.facts;
  return r;
}

int
agent_session(struct http_request *request, void *context, struct error *err)
{
  struct farm *farm = context;
  struct message_session *hello = arena_alloc(http_arena(request), sizeof *hello);
  open_hear(&farm->open, http_identity(request));
  int r = read_hello(request, hello, err);
  if (r == 0)
    r = identify(request, farm, &hello->agent, err);
  if (r < 0)
    return r;
  struct message *message = mem_alloc(sizeof *message);
  *message = (struct message) { .kind = MESSAGE_SESSION,
                                .request = request,
                                .token_id = hello->agent.token_id,
                                .session = atomic_fetch_add(&farm->last_session, 1) + 1,
                                .hello = hello };
  http_defer(request);
  farm_post(farm, message);
  return 0;
}

struct condition
{
  int64_t token_id;
  double load;
  int64_t memory_free;
  int64_t disk_free;
  int64_t disk_size;
};

/* False when it says nothing of that, or nonsense: that is for people to see, and no
   reason to refuse a sign of life. */
static bool
read_condition(struct http_request *request, struct condition *ret)
{
  json_t *body = NULL;
  if (http_body(request).size == 0 || http_body_json(request, &body, NULL) < 0)
    return false;
  const json_t *load = json_object_get(body, "load");
  ret->token_id = http_identity(request);
  ret->load = json_number_value(load);
  ret->memory_free = json_integer_value(json_object_get(body, "memory_free"));
  ret->disk_free = json_integer_value(json_object_get(body, "disk_free"));
  ret->disk_size = json_integer_value(json_object_get(body, "disk_size"));
  return json_is_number(load) && ret->load >= 0 && ret->load < LOAD_MAX && ret->memory_free >= 0
         && ret->disk_free >= 0 && ret->disk_free <= ret->disk_size;
}

static void
store_condition(struct db_pool *pool, const struct condition *condition)
{
  struct db *db = NULL;
  if (db_pool_get(pool, &db, NULL) < 0)
    return;
  (void) farm_agent_condition(db, condition->load, condition->memory_free, condition->disk_free,
                              condition->disk_size, condition->token_id, NULL);
  db_pool_put(pool, db);
}

int
agent_pong(struct http_request *request, void *context, struct error *err)
{
  struct farm *farm = context;
  struct condition condition;
  (void) err;
  open_hear(&farm->open, http_identity(request));
  if (read_condition(request, &condition))
    store_condition(farm->options.pool, &condition);
  return http_reply_text(request, 204, NULL, "");
}
