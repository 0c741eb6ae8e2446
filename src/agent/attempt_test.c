/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Attempts between a server and a guix-daemon that misbehave. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
/* cmocka needs the three above first. */
#include <cmocka.h>

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "agent/agent_private.h"
#include "agent/test_daemon.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"

#define ITEM "10n1r190irl4q1illc7d5q04wks8gvgx-thing-1"
#define OTHER "20n1r190irl4q1illc7d5q04wks8gvgx-thing-2"
#define THIRD "30n1r190irl4q1illc7d5q04wks8gvgx-thing-3"
#define STORE "/gnu/store/"

/* One server, one daemon, one attempt. */
struct yard
{
  char folder[32];
  struct http_server *server;
  char *url;
  struct test_daemon test_daemon;
  struct guix_daemon *daemon;
  struct agent_options options;
  struct agent agent;
  struct attempt attempt;
  struct attempt_output output;
  struct http_client *client;

  /* What the server does. */
  atomic_int refusals; /* so many requests are answered with `status` */
  int status;
  atomic_int puts;
  struct buf uploaded;
  atomic_int bundles;
  bool is_endless; /* every bundle */
  atomic_int results;
  const char *answer; /* to a result: 422 */
};

/* ---- the server ---- */

/* True when this request is refused, and has its reply. */
static bool
refuse(struct yard *yard, struct http_request *request)
{
  if (atomic_load(&yard->refusals) == 0)
    return false;
  atomic_fetch_sub(&yard->refusals, 1);
  http_reply_text(request, yard->status, "text/plain", "not now");
  return true;
}

static int
give_missing(struct http_request *request, void *context, struct error *err)
{
  (void) context, (void) err;
  return http_reply_text(request, 200, "application/json", "{\"missing\": [\"" ITEM "\"]}");
}

static int
give_offset(struct http_request *request, void *context, struct error *err)
{
  struct yard *yard = context;
  (void) err;
  return http_reply_text(
      request, 200, "application/json",
      arena_printf(http_arena(request), "{\"offset\": %zu}", yard->uploaded.size));
}

static int
begin_upload(struct http_request *request, void *context, struct error *err)
{
  struct yard *yard = context;
  (void) err;
  atomic_fetch_add(&yard->puts, 1);
  (void) refuse(yard, request);
  return 0;
}

static int
take_upload(struct http_request *request, struct str piece, void *context, struct error *err)
{
  struct yard *yard = context;
  buf_append_str(&yard->uploaded, piece);
  return piece.size > 0 ? 0 : give_offset(request, context, err);
}

static int
give_closure(struct http_request *request, void *context, struct error *err)
{
  (void) context, (void) err;
  return http_reply_text(request, 200, "application/json",
                         "{\"paths\": [\"" ITEM "\", \"" OTHER "\", \"" THIRD "\"]}");
}

static int64_t
fill(void *state, char *room, size_t size)
{
  (void) state;
  memset(room, 'x', size);
  return (int64_t) size;
}

/* One item of those asked for; whoever asked for more finds the reply cut off. */
static int
give_bundle(struct http_request *request, void *context, struct error *err)
{
  struct yard *yard = context;
  struct http_stream *stream;
  json_t *body;
  atomic_fetch_add(&yard->bundles, 1);
  if (refuse(yard, request))
    return 0;
  if (yard->is_endless)
    return http_reply_pull(request, 200, "text/plain", -1, fill, NULL, NULL);
  int r = http_body_json(request, &body, err);
  if (r == 0)
    r = http_reply_stream(request, 200, "text/plain", 10000, &stream);
  if (r < 0)
    return r;
  const json_t *paths = json_object_get(body, "paths");
  CLEANUP_BUF struct buf text = { 0 };
  buf_printf(&text, STORE "%s\n", json_string_value(json_array_get(paths, 0)));
  if (json_array_size(paths) == 1)
    buf_append_text(&text, "end\n");
  http_stream_write(stream, buf_str(&text));
  if (json_array_size(paths) == 1)
    http_stream_close(stream);
  else
    http_stream_fail(stream);
  return 0;
}

static int
take_result(struct http_request *request, void *context, struct error *err)
{
  struct yard *yard = context;
  (void) err;
  atomic_fetch_add(&yard->results, 1);
  return http_reply_text(request, 422, "application/problem+json", yard->answer);
}

#define ATTEMPT "/agent/v1/attempts/7"

static const struct http_route routes[] = {
  { .method = "GET", .path = ATTEMPT "/closure", .handler = give_closure },
  { .method = "POST", .path = "/agent/v1/bundle", .handler = give_bundle, .body_limit = 1000 },
  { .method = "POST", .path = ATTEMPT "/missing", .handler = give_missing, .body_limit = 1000 },
  { .method = "POST", .path = ATTEMPT "/result", .handler = take_result, .body_limit = 9999 },
  { .method = "GET", .path = ATTEMPT "/uploads/{item}", .handler = give_offset },
  { .method = "PUT",
    .path = ATTEMPT "/uploads/{item}",
    .body_begin = begin_upload,
    .body = take_upload,
    .body_limit = 1 << 30 },
};

/* ---- the yard ---- */

static void
start_server(struct yard *yard)
{
  const char *listen = "127.0.0.1:0";
  const struct http_routes table = { routes, ARRAY_SIZE(routes), yard };
  const struct http_options options = {
    .listen = &listen, .listen_count = 1, .routes = &table, .routes_count = 1
  };
  struct error err = { 0 };
  if (http_server_start(&options, &yard->server, &err) < 0)
    fail_msg("%s", err.message);
  yard->url = mem_printf("http://127.0.0.1:%d", http_server_port(yard->server, 0));
}

static int
setup(void **state)
{
  struct yard *yard = *state = mem_alloc(sizeof *yard);
  struct error err = { 0 };
  memcpy(yard->folder, "/tmp/panoply-agent-XXXXXX", 26);
  assert_non_null(mkdtemp(yard->folder));
  start_server(yard);
  test_daemon_start(&yard->test_daemon, yard->folder);
  if (guix_daemon_open(yard->test_daemon.socket, &yard->daemon, &err) < 0)
    fail_msg("%s", err.message);
  yard->options.server = yard->url;
  yard->agent = (struct agent) {
    .options = &yard->options, .state = yard->folder, .store_root = yard->folder, .uploads = 1
  };
  yard->output = (struct attempt_output) { .name = STR("out"), .path = STR(STORE ITEM) };
  yard->attempt = (struct attempt) {
    .agent = &yard->agent, .id = 7, .fence = "1", .outputs = &yard->output, .outputs_count = 1
  };
  pthread_mutex_init(&yard->attempt.lock, NULL);
  pthread_cond_init(&yard->attempt.wake, NULL);
  yard->client = agent_client_new(&yard->agent, 0);
  return 0;
}

static int
teardown(void **state)
{
  struct yard *yard = *state;
  guix_daemon_close(yard->daemon);
  test_daemon_stop(&yard->test_daemon);
  http_client_free(yard->client);
  http_server_stop(yard->server);
  file_remove_tree(yard->folder, NULL);
  buf_free(&yard->uploaded);
  free(yard->url);
  free(yard);
  return 0;
}

static void
put_item(struct yard *yard, size_t size)
{
  CLEANUP_BUF struct buf text = { 0 };
  CLEANUP_FREE char *folder = mem_printf("%s" STORE, yard->folder);
  CLEANUP_FREE char *file = mem_printf("%s" STORE ITEM, yard->folder);
  uint32_t random = 1;
  while (text.size < size) {
    random = random * 1664525 + 1013904223;
    buf_append(&text, &random, sizeof random);
  }
  assert_int_equal(file_make_dirs(folder, 0755, NULL), 0);
  assert_int_equal(file_write_atomic(file, buf_str(&text), 0644, NULL), 0);
}

/* ---- uploads ---- */

static int64_t
read_once(void *state, char *room, size_t size)
{
  bool *done = state;
  if (*done || size == 0)
    return 0;
  *done = true;
  room[0] = 'x';
  return 1;
}

/* Whoever sends a body that is pulled must see the refusal. */
static void
test_refused_body_is_no_success(void **state)
{
  struct yard *yard = *state;
  struct error err = { 0 };
  struct http_answer answer = { 0 };
  bool done = false;
  yard->refusals = 1;
  yard->status = 503;
  int status = attempt_call(&yard->attempt, yard->client,
                            &(struct http_call) { .method = "PUT",
                                                  .path = ATTEMPT "/uploads/" ITEM "?offset=0",
                                                  .body_read = read_once,
                                                  .body_size = -1,
                                                  .body_state = &done },
                            &answer, &err);
  assert_int_equal(status, 503);
  assert_int_equal(atomic_load(&yard->puts), 1);
  http_answer_free(&answer);
}

static void
test_upload_outlasts_refusals(void **state)
{
  struct yard *yard = *state;
  CLEANUP_BUF struct buf items = { 0 };
  struct error err = { 0 };
  put_item(yard, 100000);
  yard->refusals = 2;
  yard->status = 503;
  if (attempt_upload(&yard->attempt, yard->client, yard->daemon, NULL, &items, &err) < 0)
    fail_msg("%s", err.message);
  assert_int_equal(atomic_load(&yard->puts), 3);
  assert_true(yard->uploaded.size > 100000);
  assert_non_null(strstr(buf_text(&items), ITEM));
}

/* What an operator reads there is the server's reason, not its form. */
static void
test_a_refusal_in_words(void **state)
{
  (void) state;
  struct error err = { 0 };
  struct http_answer answer = { .status = 507 };
  buf_append_str(&answer.body, STR("{\"status\": 507, \"detail\": \"the server's disk is full\"}"));
  assert_int_equal(attempt_refused(&answer, "it refused", &err), -ENOSPC);
  assert_string_equal(err.message, "it refused (507): the server's disk is full");
  http_answer_free(&answer);
  answer.status = 503;
  assert_int_equal(attempt_refused(&answer, "it refused", &err), -EPROTO);
}

/* The second half fits the first: the nar is made anew, and what is there is left out. */
static void
test_upload_goes_on_from_its_offset(void **state)
{
  struct yard *yard = *state;
  CLEANUP_BUF struct buf items = { 0 }, whole = { 0 };
  struct error err = { 0 };
  put_item(yard, 3000000);
  for (int i = 0; i < 2; i++) {
    if (attempt_upload(&yard->attempt, yard->client, yard->daemon, NULL, &items, &err) < 0)
      fail_msg("%s", err.message);
    if (i == 0)
      buf_append_str(&whole, buf_str(&yard->uploaded));
    assert_true(str_equal(buf_str(&yard->uploaded), buf_str(&whole)));
    yard->uploaded.size /= 2;
  }
}

/* A refusal that will stay ends it, with the server's reason. */
static void
test_upload_that_is_forbidden(void **state)
{
  struct yard *yard = *state;
  CLEANUP_BUF struct buf items = { 0 };
  struct error err = { 0 };
  put_item(yard, 1000);
  yard->refusals = 1;
  yard->status = 403;
  assert_int_equal(attempt_upload(&yard->attempt, yard->client, yard->daemon, NULL, &items, &err),
                   -EPROTO);
  assert_non_null(strstr(err.message, "not now"));
  assert_int_equal(atomic_load(&yard->puts), 1);
}

/* ---- results ---- */

/* What the server will not have, it will not have the next time either. */
static void
test_outputs_that_are_refused(void **state)
{
  struct yard *yard = *state;
  struct report report = { .attempt = &yard->attempt,
                           .client = yard->client,
                           .daemon = yard->daemon };
  struct verdict verdict = { 0 };
  put_item(yard, 1000);
  yard->answer = "{\"detail\": \"it is a forgery\", \"refused\": [\"" ITEM "\"]}";
  attempt_report(&report, &verdict);
  assert_string_equal(verdict.cause, "hash-mismatch");
  assert_non_null(strstr(verdict.message, "it is a forgery"));
  assert_int_equal(atomic_load(&yard->results), 1); /* the attempt has ended */
  assert_int_equal(atomic_load(&yard->puts), 1);
}

/* A disk that spoils what is read from it: an end, and not for want of trying. */
static void
test_outputs_that_are_damaged_each_time(void **state)
{
  struct yard *yard = *state;
  struct report report = { .attempt = &yard->attempt,
                           .client = yard->client,
                           .daemon = yard->daemon };
  struct verdict verdict = { 0 };
  put_item(yard, 1000);
  yard->answer = "{\"damaged\": [\"" ITEM "\"], \"missing\": []}";
  attempt_report(&report, &verdict);
  assert_string_equal(verdict.cause, "upload");
  assert_int_equal(atomic_load(&yard->puts), 5);
  assert_int_equal(atomic_load(&yard->results), 6); /* the last tells of the failure */
}

/* ---- inputs ---- */

static int
fetch(struct yard *yard, struct error *err)
{
  return attempt_fetch(&yard->attempt, yard->client, yard->daemon, err);
}

/* A server that is away costs no try, nor does a stream that broke off but brought
   something. */
static void
test_fetch_outlasts_the_server(void **state)
{
  struct yard *yard = *state;
  struct error err = { 0 };
  yard->refusals = 2;
  yard->status = 503;
  if (fetch(yard, &err) < 0)
    fail_msg("%s", err.message);
  assert_int_equal(atomic_load(&yard->bundles), 5);
  assert_true(test_daemon_holds(&yard->test_daemon, STORE ITEM));
  assert_true(test_daemon_holds(&yard->test_daemon, STORE OTHER));
  assert_true(test_daemon_holds(&yard->test_daemon, STORE THIRD));
}

static void
test_fetch_of_a_lost_attempt(void **state)
{
  struct yard *yard = *state;
  struct error err = { 0 };
  yard->refusals = 1;
  yard->status = 410;
  assert_int_equal(fetch(yard, &err), -ECANCELED);
  assert_true(yard->attempt.cancelled);
  assert_int_equal(atomic_load(&yard->bundles), 1);
}

static void
test_fetch_of_what_is_not_there(void **state)
{
  struct yard *yard = *state;
  struct error err = { 0 };
  yard->refusals = 1;
  yard->status = 404;
  assert_int_equal(fetch(yard, &err), -ENOENT);
  assert_int_equal(atomic_load(&yard->bundles), 1);
}

/* The daemon's word counts, and what is still being sent does not hold it up. */
static void
test_fetch_that_the_daemon_refuses(void **state)
{
  struct yard *yard = *state;
  struct error err = { 0 };
  yard->is_endless = true;
  yard->test_daemon.refuses = true;
  assert_int_equal(fetch(yard, &err), -EREMOTEIO);
  assert_non_null(strstr(err.message, "the signature is not good"));
  assert_int_equal(test_daemon_imports(&yard->test_daemon), 1);
}

#define IN_YARD(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int
main(void)
{
  signal(SIGPIPE, SIG_IGN);
  guix_init();
  const struct CMUnitTest tests[] = {
    IN_YARD(test_refused_body_is_no_success),
    IN_YARD(test_upload_outlasts_refusals),
    cmocka_unit_test(test_a_refusal_in_words),
    IN_YARD(test_upload_goes_on_from_its_offset),
    IN_YARD(test_upload_that_is_forbidden),
    IN_YARD(test_outputs_that_are_refused),
    IN_YARD(test_outputs_that_are_damaged_each_time),
    IN_YARD(test_fetch_outlasts_the_server),
    IN_YARD(test_fetch_of_a_lost_attempt),
    IN_YARD(test_fetch_of_what_is_not_there),
    IN_YARD(test_fetch_that_the_daemon_refuses),
  };
  return cmocka_run_group_tests_name("attempt", tests, NULL, NULL);
}
