/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
/* cmocka needs the three above first. */
#include <cmocka.h>

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/mem.h"
#include "http/http.h"
#include "http/server.h"

static struct http_server *server;
static char *base_url;
static atomic_int waiting;

/* ---- handlers ---- */

static int
say_headers(struct http_request *request, void *context, struct error *err)
{
  (void) context, (void) err;
  struct str token = http_header(request, "Authorization");
  struct str type = http_header(request, "Content-Type");
  struct str name = http_header(request, "X-Name");
  http_reply_header(request, "ETag", "\"tag\"");
  http_reply_header(request, "Upload-Offset", "123456789012");
  return http_reply_text(request, 200, "text/plain",
                         arena_printf(http_arena(request), "%s|%.*s|%.*s|%.*s|%.*s",
                                      http_method(request), STR_FMT(token), STR_FMT(type),
                                      STR_FMT(name), STR_FMT(http_body(request))));
}

static int
redirect(struct http_request *request, void *context, struct error *err)
{
  (void) context, (void) err;
  return http_reply_redirect(request, 302, http_query(request, "to").data);
}

static int
fail_with(struct http_request *request, void *context, struct error *err)
{
  (void) request, (void) context;
  error_set(err, -EEXIST, "there is one already");
  return error_hint(err, "Take another name.");
}

static int
never_answer(struct http_request *request, void *context, struct error *err)
{
  (void) context, (void) err;
  struct http_stream *stream;
  int r = http_reply_stream(request, 200, "text/plain", 100, &stream);
  if (r < 0)
    return r;
  http_set_state(request, stream, (void (*)(void *)) http_stream_close);
  atomic_fetch_add(&waiting, 1);
  return 0;
}

static int64_t
fill(void *state, char *room, size_t size)
{
  (void) state;
  memset(room, 'x', size);
  return (int64_t) size;
}

static int
say_much(struct http_request *request, void *context, struct error *err)
{
  (void) context, (void) err;
  return http_reply_pull(request, 200, "text/plain", -1, fill, NULL, NULL);
}

static int
say_some(struct http_request *request, void *context, struct error *err)
{
  (void) context, (void) err;
  return http_reply_pull(request, 200, "text/plain", 4000000, fill, NULL, NULL);
}

static const struct http_route routes[] = {
  { .method = "GET", .path = "/headers", .handler = say_headers },
  { .method = "POST", .path = "/headers", .handler = say_headers, .body_limit = 1000 },
  { .method = "PATCH", .path = "/headers", .handler = say_headers, .body_limit = 1000 },
  { .method = "DELETE", .path = "/headers", .handler = say_headers },
  { .method = "GET", .path = "/redirect", .handler = redirect },
  { .method = "GET", .path = "/api/fail", .handler = fail_with },
  { .method = "GET", .path = "/never", .handler = never_answer },
  { .method = "GET", .path = "/much", .handler = say_much },
  { .method = "GET", .path = "/some", .handler = say_some },
};

static int
start_server(void **state)
{
  (void) state;
  const char *listen[] = { "127.0.0.1:0", "127.0.0.1:0" };
  const struct http_routes table = { routes, ARRAY_SIZE(routes), NULL };
  const struct http_options options = {
    .listen = listen, .listen_count = 2, .routes = &table, .routes_count = 1
  };
  struct error err = { 0 };
  if (http_server_start(&options, &server, &err) < 0)
    fail_msg("%s", err.message);
  base_url = mem_printf("http://127.0.0.1:%d", http_server_port(server, 0));
  return 0;
}

static int
stop_server(void **state)
{
  (void) state;
  http_server_stop(server);
  free(base_url);
  return 0;
}

static void
client_freep(struct http_client **client)
{
  http_client_free(*client);
}

#define CLEANUP_CLIENT PN_CLEANUP(client_freep)
#define CLEANUP_ANSWER PN_CLEANUP(http_answer_free)

static struct http_client *
client_new(const char *url)
{
  return http_client_new(
      &(struct http_client_options) { .base_url = url, .token = "secret", .silence_timeout_s = 1 });
}

/* ---- tests ---- */

static void
expect_body(struct http_client *client, struct http_call call, const char *body)
{
  CLEANUP_ANSWER struct http_answer answer = { 0 };
  struct error err = { 0 };
  if (http_client_expect(client, &call, &answer, &err) < 0)
    fail_msg("%s", err.message);
  assert_string_equal(buf_text(&answer.body), body);
  assert_string_equal(answer.etag, "\"tag\"");
  assert_true(answer.upload_offset == 123456789012);
}

static void
test_methods_headers_and_bodies(void **state)
{
  (void) state;
  CLEANUP_CLIENT struct http_client *client = client_new(base_url);
  const char *const headers[] = { "X-Name: value", NULL };
  expect_body(client, (struct http_call) { .method = "GET", .path = "/headers" },
              "GET|Bearer secret|||");
  expect_body(client,
              (struct http_call) { .method = "POST",
                                   .path = "/headers",
                                   .headers = headers,
                                   .type = "application/json",
                                   .body = STR("{}") },
              "POST|Bearer secret|application/json|value|{}");
  expect_body(client, (struct http_call) { .method = "POST", .path = "/headers" },
              "POST|Bearer secret|||");
  expect_body(
      client,
      (struct http_call) { .method = "PATCH", .path = "/headers", .type = "t/x", .body = STR("a") },
      "PATCH|Bearer secret|t/x||a");
  expect_body(client, (struct http_call) { .method = "DELETE", .path = "/headers" },
              "DELETE|Bearer secret|||");
  assert_int_equal(atomic_load(&server->connections), 1); /* all over one connection */
}

static void
test_problem_details_become_the_error(void **state)
{
  (void) state;
  CLEANUP_CLIENT struct http_client *client = client_new(base_url);
  CLEANUP_ANSWER struct http_answer answer = { 0 };
  struct error err = { 0 };
  struct http_call call = { .method = "GET", .path = "/api/fail" };
  assert_int_equal(http_client_expect(client, &call, &answer, &err), -EEXIST);
  assert_int_equal(answer.status, 409);
  assert_string_equal(err.message, "there is one already");
  assert_string_equal(err.hint, "Take another name.");
  http_answer_free(&answer);
  call.path = "/nowhere";
  assert_int_equal(http_client_expect(client, &call, &answer, &err), -ENOENT);
  assert_non_null(strstr(err.message, "answered GET /nowhere with 404 Not Found"));
}

static void
test_unreachable_says_where_and_why(void **state)
{
  (void) state;
  static const struct
  {
    const char *url, *text;
    int code;
  } cases[] = {
    { "http://127.0.0.1:1", "cannot reach http://127.0.0.1:1/x: ", -ECONNREFUSED },
    { "unix:/no/such/socket", "cannot reach /no/such/socket: ", -ECONNREFUSED },
    { "http://no-such-host.invalid",
      "cannot reach http://no-such-host.invalid/x: ", -EHOSTUNREACH },
    { "file:///etc/passwd#", "cannot reach file:///etc/passwd#/x: ", -EINVAL },
  };
  for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
    CLEANUP_CLIENT struct http_client *client = client_new(cases[i].url);
    CLEANUP_ANSWER struct http_answer answer = { 0 };
    struct error err = { 0 };
    struct http_call call = { .method = "GET", .path = "/x" };
    assert_int_equal(http_client_call(client, &call, &answer, &err), cases[i].code);
    if (!str_starts(str_of(err.message), str_of(cases[i].text)))
      fail_msg("%s", err.message);
  }
}

static void
test_token_stays_with_its_host(void **state)
{
  (void) state;
  CLEANUP_CLIENT struct http_client *client = client_new(base_url);
  CLEANUP_FREE char *here = mem_printf("/redirect?to=%s/headers", base_url);
  expect_body(client, (struct http_call) { .method = "GET", .path = here }, "GET|Bearer secret|||");
  CLEANUP_FREE char *elsewhere =
      mem_printf("/redirect?to=http://localhost:%d/headers", http_server_port(server, 1));
  expect_body(client, (struct http_call) { .method = "GET", .path = elsewhere }, "GET||||");
  CLEANUP_ANSWER struct http_answer answer = { 0 };
  struct error err = { 0 };
  struct http_call file = { .method = "GET", .path = "/redirect?to=file:///etc/passwd" };
  assert_int_equal(http_client_call(client, &file, &answer, &err), -EINVAL);
}

static void
test_silence_ends_a_call(void **state)
{
  (void) state;
  CLEANUP_CLIENT struct http_client *client = client_new(base_url);
  CLEANUP_ANSWER struct http_answer answer = { 0 };
  struct error err = { 0 };
  struct http_call call = { .method = "GET", .path = "/never" };
  int64_t before = clock_monotonic_ms();
  assert_int_equal(http_client_call(client, &call, &answer, &err), -ETIMEDOUT);
  assert_true(clock_monotonic_ms() - before >= 1000);
  assert_non_null(strstr(err.message, "nothing moved for 1 s"));
}

static int64_t
read_slowly(void *state, char *room, size_t size)
{
  int *left = state;
  if ((*left)-- == 0 || size < 5)
    return 0;
  clock_sleep_ms(1500);
  memcpy(room, "piece", 5);
  return 5;
}

static int
take_slowly(void *state, struct str piece)
{
  size_t *taken = state;
  if (*taken == 0)
    clock_sleep_ms(1500);
  *taken += piece.size;
  return 0;
}

/* Callbacks that take longer than the limit: the other side was not silent. */
static void
test_our_own_slowness_is_no_silence(void **state)
{
  (void) state;
  CLEANUP_CLIENT struct http_client *client = client_new(base_url);
  int left = 1;
  expect_body(client,
              (struct http_call) { .method = "POST",
                                   .path = "/headers",
                                   .type = "t/x",
                                   .body_read = read_slowly,
                                   .body_size = -1,
                                   .body_state = &left },
              "POST|Bearer secret|t/x||piece");
  CLEANUP_ANSWER struct http_answer answer = { 0 };
  struct error err = { 0 };
  size_t taken = 0;
  struct http_call call = {
    .method = "GET", .path = "/some", .reply_piece = take_slowly, .reply_state = &taken
  };
  assert_int_equal(http_client_call(client, &call, &answer, &err), 0);
  assert_int_equal(taken, 4000000);
}

static void *
cancel_when_waiting(void *context)
{
  while (atomic_load(&waiting) == 0)
    clock_sleep_ms(2);
  http_client_cancel(context);
  return NULL;
}

static void
test_cancel_from_another_thread(void **state)
{
  (void) state;
  struct http_client_options options = { .base_url = base_url };
  CLEANUP_CLIENT struct http_client *client = http_client_new(&options);
  CLEANUP_ANSWER struct http_answer answer = { 0 };
  struct error err = { 0 };
  struct http_call call = { .method = "GET", .path = "/never" };
  atomic_store(&waiting, 0);
  pthread_t thread;
  pthread_create(&thread, NULL, cancel_when_waiting, client);
  int64_t before = clock_monotonic_ms();
  assert_int_equal(http_client_call(client, &call, &answer, &err), -ECANCELED);
  assert_true(clock_monotonic_ms() - before < 10000);
  pthread_join(thread, NULL);
  call.path = "/headers"; /* the next call is not hurt */
  assert_int_equal(http_client_call(client, &call, &answer, &err), 0);
  /* A cancel that finds no call ends the next one: it is never lost. */
  http_client_cancel(client);
  http_answer_free(&answer);
  assert_int_equal(http_client_call(client, &call, &answer, &err), -ECANCELED);
}

static int
cancel_and_refuse(void *state, struct str piece)
{
  (void) piece;
  http_client_cancel(state);
  return -1;
}

/* It comes while a callback ends the call by itself: the next call is ended too. */
static void
test_cancel_beside_a_callback_s_own(void **state)
{
  (void) state;
  CLEANUP_CLIENT struct http_client *client = client_new(base_url);
  CLEANUP_ANSWER struct http_answer answer = { 0 };
  struct error err = { 0 };
  struct http_call call = {
    .method = "GET", .path = "/much", .reply_piece = cancel_and_refuse, .reply_state = client
  };
  assert_int_equal(http_client_call(client, &call, &answer, &err), -ECANCELED);
  struct http_call next = { .method = "GET", .path = "/headers" };
  assert_int_equal(http_client_call(client, &next, &answer, &err), -ECANCELED);
  assert_int_equal(http_client_call(client, &next, &answer, &err), 0);
}

static int
take_some(void *state, struct str piece)
{
  size_t *left = state;
  if (piece.size >= *left)
    return -1;
  *left -= piece.size;
  return 0;
}

static void
test_callbacks_end_a_call(void **state)
{
  (void) state;
  CLEANUP_CLIENT struct http_client *client = client_new(base_url);
  CLEANUP_ANSWER struct http_answer answer = { 0 };
  struct error err = { 0 };
  size_t left = 100000;
  struct http_call call = {
    .method = "GET", .path = "/much", .reply_piece = take_some, .reply_state = &left
  };
  assert_int_equal(http_client_call(client, &call, &answer, &err), -ECANCELED);
  struct http_call limited = { .method = "GET", .path = "/much", .reply_limit = 100000 };
  assert_int_equal(http_client_call(client, &limited, &answer, &err), -EFBIG);
}

int
main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_methods_headers_and_bodies),
    cmocka_unit_test(test_problem_details_become_the_error),
    cmocka_unit_test(test_unreachable_says_where_and_why),
    cmocka_unit_test(test_token_stays_with_its_host),
    cmocka_unit_test(test_silence_ends_a_call),
    cmocka_unit_test(test_our_own_slowness_is_no_silence),
    cmocka_unit_test(test_cancel_from_another_thread),
    cmocka_unit_test(test_cancel_beside_a_callback_s_own),
    cmocka_unit_test(test_callbacks_end_a_call),
  };
  return cmocka_run_group_tests_name("client", tests, start_server, stop_server);
}
