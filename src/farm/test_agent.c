/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "farm/test_agent.h"

#include "base/clock.h"
#include "base/json.h"
#include "base/mem.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define PATIENCE_MS 60000

struct test_agent
{
  struct yard *yard;
  char name[64];
  char token[ACCOUNTS_TOKEN_SIZE];
  int jobs;
  struct http_client *client;  /* for calls of the test */
  struct http_client *session; /* NULL = not dialled */
  struct buf hello;
  pthread_t thread;
  pthread_mutex_t lock;
  pthread_cond_t moved;
  struct buf lines;
  bool ended;
};

static struct http_client *
new_client(const struct test_agent *agent, const char *token)
{
  struct http_client_options options = { .base_url = agent->yard->url, .token = token };
  return http_client_new(&options);
}

static void
put_description(const struct test_agent *agent, struct json *json)
{
  json_key(json, "systems");
  json_array_open(json);
  json_cstr(json, YARD_SYSTEM);
  json_array_close(json);
  json_put_i64(json, "jobs", agent->jobs);
}

int
test_agent_enrol(struct yard *yard, const char *join_token, const char *body, json_t **ret_json)
{
  struct http_client_options options = { .base_url = yard->url, .token = join_token };
  struct http_client *client = http_client_new(&options);
  struct http_call call = {
    .method = "POST", .path = "/agent/v1/enrol", .type = "application/json", .body = str_of(body)
  };
  struct http_answer answer = { 0 };
  assert_int_equal(http_client_call(client, &call, &answer, NULL), 0);
  if (ret_json != NULL)
    *ret_json = json_loadb(answer.body.data, answer.body.size, 0, NULL);
  int status = answer.status;
  http_answer_free(&answer);
  http_client_free(client);
  return status;
}

static void
enrol(struct test_agent *agent)
{
  CLEANUP_BUF struct buf body = { 0 };
  json_t *reply;
  struct json json = json_begin(&body);
  json_object_open(&json);
  json_put_cstr(&json, "name", agent->name);
  put_description(agent, &json);
  json_object_close(&json);
  assert_int_equal(test_agent_enrol(agent->yard, agent->yard->join_token, buf_text(&body), &reply),
                   201);
  snprintf(agent->token, sizeof agent->token, "%s",
           json_string_value(json_object_get(reply, "token")));
  json_decref(reply);
}

static struct test_agent *
make(struct yard *yard, const char *name, int jobs)
{
  struct test_agent *agent = mem_alloc(sizeof *agent);
  agent->yard = yard;
  agent->jobs = jobs;
  snprintf(agent->name, sizeof agent->name, "%s", name);
  pthread_mutex_init(&agent->lock, NULL);
  pthread_cond_init(&agent->moved, NULL);
  return agent;
}

struct test_agent *
test_agent_new(struct yard *yard, const char *name, int jobs)
{
  struct test_agent *agent = make(yard, name, jobs);
  enrol(agent);
  agent->client = new_client(agent, agent->token);
  return agent;
}

struct test_agent *
test_agent_twin_at(const struct test_agent *agent, struct yard *yard)
{
  struct test_agent *twin = make(yard, agent->name, agent->jobs);
  snprintf(twin->token, sizeof twin->token, "%s", agent->token);
  twin->client = new_client(twin, twin->token);
  return twin;
}

struct test_agent *
test_agent_twin(const struct test_agent *agent)
{
  return test_agent_twin_at(agent, agent->yard);
}

const char *
test_agent_token(const struct test_agent *agent)
{
  return agent->token;
}

void
test_agent_free(struct test_agent *agent)
{
  test_agent_hang_up(agent);
  http_client_free(agent->client);
  buf_free(&agent->lines);
  buf_free(&agent->hello);
  free(agent);
}

/* ---- sessions ---- */

static int
on_piece(void *context, struct str piece)
{
  struct test_agent *agent = context;
  pthread_mutex_lock(&agent->lock);
  buf_append_str(&agent->lines, piece);
  pthread_cond_broadcast(&agent->moved);
  pthread_mutex_unlock(&agent->lock);
  return 0;
}

/* Dials until a session came about and ended: a server that has just started
   answers 503 first. */
static void *
session_main(void *context)
{
  struct test_agent *agent = context;
  int64_t until = clock_monotonic_ms() + PATIENCE_MS;
  int status = 503, r = 0;
  while (r == 0 && status == 503 && clock_monotonic_ms() < until) {
    struct http_call call = { .method = "POST",
                              .path = "/agent/v1/session",
                              .type = "application/json",
                              .body = buf_str(&agent->hello),
                              .reply_piece = on_piece,
                              .reply_state = agent };
    struct http_answer answer = { 0 };
    r = http_client_call(agent->session, &call, &answer, NULL);
    status = answer.status;
    http_answer_free(&answer);
    if (r == 0 && status == 503)
      clock_sleep_ms(20);
  }
  pthread_mutex_lock(&agent->lock);
  agent->ended = true;
  pthread_cond_broadcast(&agent->moved);
  pthread_mutex_unlock(&agent->lock);
  return NULL;
}

void
test_agent_dial(struct test_agent *agent, const struct test_build *claims, size_t count)
{
  assert_null(agent->session);
  buf_clear(&agent->hello);
  struct json json = json_begin(&agent->hello);
  json_object_open(&json);
  json_put_i64(&json, "protocol", 1);
  json_put_cstr(&json, "version", "test");
  put_description(agent, &json);
  json_key(&json, "running");
  json_array_open(&json);
  for (size_t i = 0; i < count; i++) {
    json_object_open(&json);
    json_put_i64(&json, "attempt", claims[i].attempt);
    json_put_cstr(&json, "fence", claims[i].fence);
    json_object_close(&json);
  }
  json_array_close(&json);
  json_object_close(&json);
  http_client_free(agent->client); /* the server may have another port by now */
  agent->client = new_client(agent, agent->token);
  agent->session = new_client(agent, agent->token);
  agent->ended = false;
  buf_clear(&agent->lines);
  assert_int_equal(pthread_create(&agent->thread, NULL, session_main, agent), 0);
  test_agent_expect(agent, "welcome", NULL);
}

void
test_agent_hang_up(struct test_agent *agent)
{
  if (agent->session == NULL)
    return;
  http_client_cancel(agent->session);
  pthread_join(agent->thread, NULL);
  http_client_free(agent->session);
  agent->session = NULL;
}

static struct timespec
deadline_in(int milliseconds)
{
  struct timespec at;
  clock_gettime(CLOCK_REALTIME, &at);
  at.tv_sec += milliseconds / 1000;
  at.tv_nsec += (milliseconds % 1000) * 1000000L;
  at.tv_sec += at.tv_nsec / 1000000000L;
  at.tv_nsec %= 1000000000L;
  return at;
}

void
test_agent_await_end(struct test_agent *agent)
{
  struct timespec deadline = deadline_in(PATIENCE_MS);
  int r = 0;
  pthread_mutex_lock(&agent->lock);
  while (!agent->ended && r == 0)
    r = pthread_cond_timedwait(&agent->moved, &agent->lock, &deadline);
  pthread_mutex_unlock(&agent->lock);
  assert_int_equal(r, 0);
  test_agent_hang_up(agent);
}

/* ---- messages ---- */

/* Takes one line off; NULL when time is up. */
static json_t *
take_line(struct test_agent *agent, int milliseconds)
{
  struct timespec deadline = deadline_in(milliseconds);
  json_t *message = NULL;
  ptrdiff_t end;
  int r = 0;
  pthread_mutex_lock(&agent->lock);
  while ((end = str_find(buf_str(&agent->lines), '\n')) < 0 && r == 0 && !agent->ended)
    r = pthread_cond_timedwait(&agent->moved, &agent->lock, &deadline);
  if (end >= 0) {
    message = json_loadb(agent->lines.data, (size_t) end, JSON_REJECT_DUPLICATES, NULL);
    buf_consume(&agent->lines, (size_t) end + 1);
  }
  pthread_mutex_unlock(&agent->lock);
  return message;
}

static void
read_build(const json_t *message, struct test_build *ret)
{
  ret->attempt = json_integer_value(json_object_get(message, "attempt"));
  const char *fence = json_string_value(json_object_get(message, "fence"));
  snprintf(ret->fence, sizeof ret->fence, "%s", fence == NULL ? "" : fence);
  const char *derivation = json_string_value(json_object_get(message, "derivation"));
  if (derivation == NULL)
    return;
  struct str name = str_from(str_of(derivation), GUIX_PATH_HASH_SIZE + sizeof "-item-" - 1);
  assert_int_equal(str_to_i64(str_make(name.data, name.size - 4), &ret->n), 0);
  const json_t *outputs = json_object_get(message, "outputs");
  assert_int_equal(json_array_size(outputs), 1);
  const char *path = json_string_value(json_object_get(json_array_get(outputs, 0), "path"));
  assert_true(str_equal(str_of(path), yard_basename(yard_out(ret->n))));
}

bool
test_agent_next(struct test_agent *agent, int milliseconds, const char *type,
                struct test_build *ret)
{
  for (;;) {
    json_t *message = take_line(agent, milliseconds);
    if (message == NULL)
      return false;
    const char *got = json_string_value(json_object_get(message, "type"));
    assert_non_null(got);
    bool ping = strcmp(got, "ping") == 0;
    if (!ping) {
      assert_string_equal(got, type);
      if (strcmp(got, "welcome") == 0)
        assert_true(json_integer_value(json_object_get(message, "grace_s")) > 0);
      if (ret != NULL)
        read_build(message, ret);
    }
    json_decref(message);
    if (!ping)
      return true;
  }
}

void
test_agent_expect(struct test_agent *agent, const char *type, struct test_build *ret)
{
  if (!test_agent_next(agent, PATIENCE_MS, type, ret))
    fail_msg("no message '%s' came", type);
}

/* ---- calls ---- */

static struct http_answer
call_server(struct test_agent *agent, const char *method, const char *path, const char *fence,
            const char *type, struct str body)
{
  char header[64];
  const char *headers[] = { header, NULL };
  snprintf(header, sizeof header, "Panoply-Fence: %s", fence);
  struct http_call call = {
    .method = method, .path = path, .headers = headers, .type = type, .body = body
  };
  struct http_answer answer = { 0 };
  struct error err = { 0 };
  if (http_client_call(agent->client, &call, &answer, &err) < 0)
    fail_msg("%s %s: %s", method, path, err.message);
  return answer;
}

int
test_agent_call(struct test_agent *agent, const char *method, const char *path, const char *fence,
                const char *type, struct str body, json_t **ret_json)
{
  struct http_answer answer = call_server(agent, method, path, fence, type, body);
  if (ret_json != NULL)
    *ret_json = json_loadb(answer.body.data, answer.body.size, 0, NULL);
  int status = answer.status;
  http_answer_free(&answer);
  return status;
}

int
test_agent_fetch(struct test_agent *agent, const char *path, const char *fence, struct str body,
                 struct buf *ret)
{
  struct http_answer answer = call_server(agent, "POST", path, fence, "application/json", body);
  buf_append_str(ret, buf_str(&answer.body));
  int status = answer.status;
  http_answer_free(&answer);
  return status;
}

int
test_agent_post(struct test_agent *agent, const struct test_build *build, const char *what,
                const char *body, json_t **ret_json)
{
  char path[128];
  snprintf(path, sizeof path, "/agent/v1/attempts/%lld/%s", (long long) build->attempt, what);
  return test_agent_call(agent, "POST", path, build->fence, "application/json", str_of(body),
                         ret_json);
}

/* ---- made-up outputs ---- */

static void
nar_text(struct buf *nar, struct str text)
{
  static const char zeros[8];
  uint64_t size = text.size;
  buf_append(nar, &size, sizeof size); /* little-endian machines only, as these tests */
  buf_append_str(nar, text);
  buf_append(nar, zeros, (8 - text.size % 8) % 8);
}

/* A regular file that holds the number. */
static void
make_nar(int64_t n, struct buf *nar)
{
  static const char *const words[] = { "nix-archive-1", "(", "type", "regular", "contents" };
  char contents[64];
  for (size_t i = 0; i < ARRAY_SIZE(words); i++)
    nar_text(nar, str_of(words[i]));
  snprintf(contents, sizeof contents, "output of %lld", (long long) n);
  nar_text(nar, str_of(contents));
  nar_text(nar, STR(")"));
}

static int
append_piece(void *context, struct str piece)
{
  buf_append_str(context, piece);
  return 0;
}

static int
upload_as(struct test_agent *agent, const struct test_build *build, struct str basename)
{
  CLEANUP_BUF struct buf nar = { 0 };
  CLEANUP_BUF struct buf packed = { 0 };
  char path[256];
  make_nar(build->n, &nar);
  struct guix_compressor *zstd =
      guix_compressor_new(GUIX_COMPRESSION_ZSTD, 1, append_piece, &packed);
  assert_int_equal(guix_compressor_feed(zstd, buf_str(&nar), NULL), 0);
  assert_int_equal(guix_compressor_end(zstd, NULL), 0);
  guix_compressor_free(zstd);
  snprintf(path, sizeof path, "/agent/v1/attempts/%lld/uploads/%.*s?offset=0",
           (long long) build->attempt, STR_FMT(basename));
  return test_agent_call(agent, "PUT", path, build->fence, "application/octet-stream",
                         buf_str(&packed), NULL);
}

int
test_agent_upload(struct test_agent *agent, const struct test_build *build)
{
  return upload_as(agent, build, yard_basename(yard_out(build->n)));
}

/* The same contents, whatever the name. */
static void
write_item(struct json *json, const struct test_build *build, struct str basename,
           const char *reference)
{
  CLEANUP_BUF struct buf nar = { 0 };
  char digits[GUIX_HASH_BASE32_SIZE + 8] = "sha256:";
  make_nar(build->n, &nar);
  struct guix_hash hash = guix_hash_of(buf_str(&nar));
  guix_base32_encode(hash.bytes, GUIX_HASH_SIZE, digits + 7);
  json_object_open(json);
  json_put_text(json, "path", basename);
  json_put_cstr(json, "nar_hash", digits);
  json_put_i64(json, "nar_size", (int64_t) nar.size);
  json_key(json, "references");
  json_array_open(json);
  if (reference != NULL)
    json_cstr(json, reference);
  json_array_close(json);
  json_object_close(json);
}

/* OTHER: one more item; data NULL = none. */
static int
report_items(struct test_agent *agent, const struct test_build *build, const char *reference,
             struct str other, json_t **ret_json)
{
  CLEANUP_BUF struct buf body = { 0 };
  struct json json = json_begin(&body);
  json_object_open(&json);
  json_put_cstr(&json, "status", "succeeded");
  json_put_i64(&json, "log_size", 6);
  json_key(&json, "items");
  json_array_open(&json);
  write_item(&json, build, yard_basename(yard_out(build->n)), reference);
  if (other.data != NULL)
    write_item(&json, build, other, NULL);
  json_array_close(&json);
  json_object_close(&json);
  return test_agent_post(agent, build, "result", buf_text(&body), ret_json);
}

int
test_agent_report(struct test_agent *agent, const struct test_build *build, const char *reference,
                  json_t **ret_json)
{
  return report_items(agent, build, reference, (struct str) { 0 }, ret_json);
}

int
test_agent_bring(struct test_agent *agent, const struct test_build *build, struct str basename,
                 json_t **ret_json)
{
  int status = test_agent_upload(agent, build);
  if (status == 200)
    status = upload_as(agent, build, basename);
  return status == 200 ? report_items(agent, build, NULL, basename, ret_json) : status;
}

static void
send_log(struct test_agent *agent, const struct test_build *build)
{
  char path[128];
  snprintf(path, sizeof path, "/agent/v1/attempts/%lld/log?offset=0", (long long) build->attempt);
  assert_int_equal(
      test_agent_call(agent, "POST", path, build->fence, "text/plain", STR("a log\n"), NULL), 200);
}

int
test_agent_succeed(struct test_agent *agent, const struct test_build *build)
{
  send_log(agent, build);
  assert_int_equal(test_agent_upload(agent, build), 200);
  return test_agent_report(agent, build, NULL, NULL);
}

int
test_agent_fail(struct test_agent *agent, const struct test_build *build, const char *cause)
{
  char body[256];
  snprintf(body, sizeof body,
           "{\"status\": \"failed\", \"cause\": \"%s\", \"message\": \"it did\", \"log_size\": 0}",
           cause);
  return test_agent_post(agent, build, "result", body, NULL);
}

/* ---- for tests ---- */

int64_t
number_of(json_t *json, const char *name)
{
  const json_t *number = json_object_get(json, name);
  assert_true(json_is_integer(number));
  int64_t value = json_integer_value(number);
  json_decref(json);
  return value;
}

size_t
length_of(json_t *json, const char *name)
{
  const json_t *list = json_object_get(json, name);
  assert_true(json_is_array(list));
  size_t length = json_array_size(list);
  json_decref(json);
  return length;
}

struct test_agent *
start_with_agent(struct yard *yard, int jobs)
{
  yard_start(yard);
  struct test_agent *agent = test_agent_new(yard, "a", jobs);
  test_agent_dial(agent, NULL, 0);
  return agent;
}
