/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
/* cmocka needs the three above first. */
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "http/http.h"
#include "http/test_wire.h"

#define WAIT_MS 20000

/* ---- handlers ---- */

static atomic_int state_made, state_freed;

static int
say_number(struct http_request *request, void *context, struct error *err)
{
  (void) context, (void) err;
  struct str number = http_param(request, "number");
  return http_reply_text(request, 200, "text/plain",
                         arena_printf(http_arena(request), "number %.*s\n", STR_FMT(number)));
}

static int
say_bytes(struct http_request *request, void *context, struct error *err)
{
  (void) context, (void) err;
  return http_reply_bytes(request, "text/plain", "\"v1\"", STR("0123456789"));
}

static int
say_file(struct http_request *request, void *context, struct error *err)
{
  (void) err;
  return http_reply_file(request, "text/plain", NULL, open(context, O_RDONLY | O_CLOEXEC), 0);
}

static int
say_page(struct http_request *request, void *context, struct error *err)
{
  (void) context, (void) err;
  return http_reply_text(request, 200, "text/html; charset=utf-8", "<p>hello</p>");
}

static int
fail_with(struct http_request *request, void *context, struct error *err)
{
  (void) context;
  int64_t code = 0;
  int r = http_query_i64(request, "code", 0, 999, 0, &code, err);
  if (r < 0)
    return r;
  error_set(err, -(int) code, "it \"failed\"");
  error_hint(err, "Try again.");
  return -(int) code;
}

static int
inject(struct http_request *request, void *context, struct error *err)
{
  (void) context, (void) err;
  http_reply_header(request, "X-Good", "kept");
  http_reply_header(request, "X-Bad", http_query(request, "value").data);
  return http_reply_text(request, 200, "text/plain", "");
}

static void
free_state(void *state)
{
  free(state);
  atomic_fetch_add(&state_freed, 1);
}

static int64_t
pull_zeros(void *state, char *room, size_t size)
{
  int64_t *left = state;
  int64_t count = *left < (int64_t) size ? *left : (int64_t) size;
  memset(room, '0', (size_t) count);
  *left -= count;
  return count;
}

static int
pull(struct http_request *request, void *context, struct error *err)
{
  (void) context;
  int64_t size = 0, announced = -1;
  int r = http_query_i64(request, "size", 0, INT64_MAX, 0, &size, err);
  if (r == 0)
    r = http_query_i64(request, "announced", -1, INT64_MAX, -1, &announced, err);
  if (r < 0)
    return r;
  int64_t *left = mem_alloc(sizeof *left);
  *left = size;
  atomic_fetch_add(&state_made, 1);
  return http_reply_pull(request, 200, "text/plain", announced, pull_zeros, left, free_state);
}

static void *
answer_later(void *context)
{
  struct http_request *request = context;
  struct str number = http_param(request, "number");
  http_reply_header(request, "X-Later", "yes");
  http_reply_text(request, 200, "text/plain",
                  arena_printf(http_arena(request), "later %.*s\n", STR_FMT(number)));
  return NULL;
}

static int
defer(struct http_request *request, void *context, struct error *err)
{
  (void) context;
  pthread_t thread;
  pthread_attr_t detached;
  pthread_attr_init(&detached);
  pthread_attr_setdetachstate(&detached, PTHREAD_CREATE_DETACHED);
  http_defer(request);
  int r = pthread_create(&thread, &detached, answer_later, request);
  pthread_attr_destroy(&detached);
  return r == 0 ? 0 : error_set(err, -EBUSY, "no thread");
}

static int
defer_and_answer(struct http_request *request, void *context, struct error *err)
{
  (void) context, (void) err;
  http_defer(request);
  return http_reply_text(request, 200, "text/plain", "at once");
}

static int
say_nothing(struct http_request *request, void *context, struct error *err)
{
  (void) request, (void) context, (void) err;
  return 0;
}

static const struct http_route routes[] = {
  { .method = "GET", .path = "/number/{number}", .handler = say_number },
  { .method = "GET", .path = "/bytes", .handler = say_bytes },
  { .method = "GET", .path = "/page", .handler = say_page },
  { .method = "GET", .path = "/api/fail", .handler = fail_with },
  { .method = "GET", .path = "/fail", .handler = fail_with },
  { .method = "GET", .path = HTTP_API "/bytes", .handler = say_bytes },
  { .method = "GET", .path = HTTP_API "/log", .handler = say_bytes, .query = "from follow?" },
  { .method = "GET", .path = "/inject", .handler = inject },
  { .method = "GET", .path = "/pull", .handler = pull },
  { .method = "GET", .path = "/later/{number}", .handler = defer },
  { .method = "GET", .path = "/at-once", .handler = defer_and_answer },
  { .method = "GET", .path = "/nothing", .handler = say_nothing },
  { .method = "GET", .path = "/secret", .handler = say_page, .role = "admin" },
};
static const struct http_route file_routes[] = {
  { .method = "GET", .path = "/file", .handler = say_file },
};

/* ---- the server ---- */

static struct http_server *server;
static char folder[] = "/tmp/panoply-http-XXXXXX";
static char *file_path;
static char *socket_path;
static char *socket_address;

static int
guard(struct http_request *request, const char *role, void *context, struct error *err)
{
  (void) context;
  struct str given = http_header(request, "authorization");
  if (given.data == NULL)
    return error_set(err, -EACCES, "a token is needed");
  if (!str_equal(given, STR("Bearer good")))
    return error_set(err, -EPERM, "the token has no role '%s'", role);
  http_set_identity(request, 7);
  return 0;
}

static void
error_page(struct http_request *request, int status, const struct error *err, void *context,
           struct buf *page)
{
  (void) request, (void) context;
  buf_printf(page, "<h1>%d</h1><p>%s</p>", status, err->message);
}

static int
start_server(void **state)
{
  (void) state;
  assert_non_null(mkdtemp(folder));
  file_path = mem_printf("%s/file", folder);
  socket_path = mem_printf("%s/socket", folder);
  socket_address = mem_printf("unix:%s", socket_path);
  CLEANUP_BUF struct buf contents = { 0 };
  for (int i = 0; i < 100000; i++)
    buf_printf(&contents, "%09d\n", i);
  struct error err = { 0 };
  assert_int_equal(file_write_atomic(file_path, buf_str(&contents), 0600, &err), 0);
  const char *listen[] = { "127.0.0.1:0", socket_address, "127.0.0.1:0" };
  const struct http_routes tables[] = { { routes, ARRAY_SIZE(routes), NULL },
                                        { file_routes, 1, file_path } };
  const struct http_options options = { .listen = listen,
                                        .listen_count = 3,
                                        .routes = tables,
                                        .routes_count = 2,
                                        .guard = guard,
                                        .error_page = error_page };
  int r = http_server_start(&options, &server, &err);
  if (r < 0)
    fail_msg("%s", err.message);
  return 0;
}

static int
stop_server(void **state)
{
  (void) state;
  http_server_stop(server);
  assert_false(file_exists(socket_path));
  file_remove_tree(folder, NULL);
  free(file_path);
  free(socket_path);
  free(socket_address);
  return 0;
}

static struct wire
dial(void)
{
  return wire_open(http_server_port(server, 0));
}

/* ---- tests: connections ---- */

/* What guix's substitute client does. */
static void
test_thousand_requests_in_one_burst(void **state)
{
  (void) state;
  CLEANUP_WIRE struct wire wire = dial();
  CLEANUP_BUF struct buf burst = { 0 };
  for (int i = 0; i < 1000; i++)
    buf_printf(&burst, "GET /number/%d HTTP/1.1\r\nHost: test\r\nUser-Agent: GNU Guile\r\n\r\n", i);
  for (int round = 0; round < 3; round++) {
    wire_send_bytes(&wire, buf_str(&burst));
    for (int i = 0; i < 1000; i++) {
      CLEANUP_REPLY struct wire_reply reply = wire_read(&wire, false);
      char expected[32];
      snprintf(expected, sizeof expected, "number %d\n", i);
      assert_int_equal(reply.status, 200);
      assert_string_equal(buf_text(&reply.body), expected);
    }
  }
}

static void
test_deferred_replies_keep_their_order(void **state)
{
  (void) state;
  CLEANUP_WIRE struct wire wire = dial();
  CLEANUP_BUF struct buf burst = { 0 };
  for (int i = 0; i < 100; i++)
    buf_printf(&burst, "GET /%s/%d HTTP/1.1\r\nHost: test\r\n\r\n", i % 2 ? "later" : "number", i);
  wire_send_bytes(&wire, buf_str(&burst));
  for (int i = 0; i < 100; i++) {
    CLEANUP_REPLY struct wire_reply reply = wire_read(&wire, false);
    char expected[32];
    snprintf(expected, sizeof expected, "%s %d\n", i % 2 ? "later" : "number", i);
    assert_string_equal(buf_text(&reply.body), expected);
    assert_string_equal(wire_header(&reply, "X-Later"), i % 2 ? "yes" : "");
  }
  CLEANUP_REPLY struct wire_reply reply = wire_ask(&wire, "GET", "/at-once", "");
  assert_string_equal(buf_text(&reply.body), "at once");
}

static void
test_every_refusal_keeps_the_connection(void **state)
{
  static const struct
  {
    const char *method, *target, *headers;
    int status;
  } cases[] = {
    { "GET", "/nowhere", "", 404 },
    { "POST", "/nowhere", "Content-Length: 3\r\n\r\nabc", 404 },
    { "GET", "/nothing", "", 500 },
    { "DELETE", "/bytes", "", 405 },
    { "OPTIONS", "/bytes", "", 204 },
    { "GET", "/secret", "", 401 },
    { "GET", "/secret", "Authorization: Bearer bad\r\n", 403 },
    { "GET", "/secret", "Authorization: Bearer good\r\n", 200 },
    { "GET", "/bytes/", "", 308 },
    { "GET", "/%2e%2e/etc/passwd", "", 400 },
    { "GET", "/bytes?a=%00", "", 400 },
    { "PUT", "/bytes", "Content-Length: 3\r\n\r\nabc", 405 },
    { "GET", "/bytes", "", 200 },
  };
  (void) state;
  CLEANUP_WIRE struct wire wire = dial();
  for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
    bool has_body = strstr(cases[i].headers, "\r\n\r\n") != NULL;
    CLEANUP_BUF struct buf request = { 0 };
    buf_printf(&request, "%s %s HTTP/1.1\r\nHost: test\r\n%s%s", cases[i].method, cases[i].target,
               cases[i].headers, has_body ? "" : "\r\n");
    wire_send_bytes(&wire, buf_str(&request));
    CLEANUP_REPLY struct wire_reply reply = wire_read(&wire, false);
    if (reply.status != cases[i].status)
      fail_msg("%s %s: %d", cases[i].method, cases[i].target, reply.status);
  }
}

static void
test_all_listeners_answer(void **state)
{
  (void) state;
  assert_true(http_server_port(server, 0) != http_server_port(server, 2));
  assert_int_equal(http_server_port(server, 1), 0);
  CLEANUP_WIRE struct wire tcp = wire_open(http_server_port(server, 2));
  CLEANUP_REPLY struct wire_reply reply = wire_ask(&tcp, "GET", "/bytes", "");
  assert_int_equal(reply.status, 200);
  CLEANUP_WIRE struct wire local = { .fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0) };
  struct sockaddr_un address = { .sun_family = AF_UNIX };
  snprintf(address.sun_path, sizeof address.sun_path, "%s", socket_path);
  assert_int_equal(connect(local.fd, (struct sockaddr *) &address, sizeof address), 0);
  CLEANUP_REPLY struct wire_reply other = wire_ask(&local, "GET", "/number/5", "");
  assert_string_equal(buf_text(&other.body), "number 5\n");
}

static void
try_listening(const char *address, int expected)
{
  const struct http_options options = { .listen = &address, .listen_count = 1 };
  struct http_server *other = NULL;
  struct error err = { 0 };
  int r = http_server_start(&options, &other, &err);
  if (r != expected)
    fail_msg("%s: %d %s", address, r, err.message);
  if (r < 0)
    assert_non_null(strstr(err.message, address));
  http_server_stop(other);
}

static void
test_addresses(void **state)
{
  (void) state;
  char taken[32];
  snprintf(taken, sizeof taken, "127.0.0.1:%d", http_server_port(server, 0));
  try_listening(taken, -EADDRINUSE);
  try_listening(socket_address, -EADDRINUSE);
  CLEANUP_FREE char *file_address = mem_printf("unix:%s", file_path);
  try_listening(file_address, -EADDRINUSE);
  assert_true(file_exists(file_path));
  try_listening("localhost:0", 0);
  try_listening("[::1]:0", 0);
  try_listening("nonsense", -EINVAL);
  try_listening("::1:80", -EINVAL);
  try_listening("192.0.2.1:0", -EADDRNOTAVAIL);
}

static void
test_stale_socket_is_replaced(void **state)
{
  (void) state;
  CLEANUP_FREE char *path = mem_printf("%s/stale", folder);
  CLEANUP_FREE char *address = mem_printf("unix:%s", path);
  struct sockaddr_un name = { .sun_family = AF_UNIX };
  snprintf(name.sun_path, sizeof name.sun_path, "%s", path);
  int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  assert_int_equal(bind(fd, (struct sockaddr *) &name, sizeof name), 0);
  close(fd);
  assert_true(file_exists(path));
  try_listening(address, 0);
  assert_false(file_exists(path));
}

/* ---- tests: replies ---- */

static void
test_head_has_the_same_headers_and_no_body(void **state)
{
  static const char *const targets[] = { "/bytes", "/file", "/pull?size=5&announced=5", "/page" };
  (void) state;
  CLEANUP_WIRE struct wire wire = dial();
  for (size_t i = 0; i < ARRAY_SIZE(targets); i++) {
    CLEANUP_REPLY struct wire_reply get = wire_ask(&wire, "GET", targets[i], "");
    CLEANUP_REPLY struct wire_reply head = wire_ask(&wire, "HEAD", targets[i], "");
    char length[32];
    snprintf(length, sizeof length, "%s", wire_header(&get, "Content-Length"));
    assert_int_equal(head.status, 200);
    assert_string_equal(wire_header(&head, "Content-Length"), length);
  }
}

static void
test_ranges_and_conditions(void **state)
{
  static const struct
  {
    const char *target, *headers;
    int status;
    const char *body, *range;
  } cases[] = {
    { "/bytes", "", 200, "0123456789", "" },
    { "/bytes", "Range: bytes=2-4\r\n", 206, "234", "bytes 2-4/10" },
    { "/bytes", "Range: bytes=0-1,4-5\r\n", 200, "0123456789", "" },
    { "/bytes", "Range: bytes=2-4\r\nIf-Range: \"v1\"\r\n", 206, "234", "bytes 2-4/10" },
    { "/bytes", "Range: bytes=2-4\r\nIf-Range: \"v0\"\r\n", 200, "0123456789", "" },
    { "/bytes", "If-None-Match: \"v0\", \"v1\"\r\n", 304, "", "" },
    { "/bytes", "If-None-Match: \"v0\"\r\n", 200, "0123456789", "" },
    { "/file", "Range: bytes=999990-\r\n", 206, "000099999\n", "bytes 999990-999999/1000000" },
    { "/file", "If-Modified-Since: Fri, 01 Jan 2100 00:00:00 GMT\r\n", 304, "", "" },
    { "/file", "Range: bytes=0-3\r\nIf-Modified-Since: Mon, 01 Jan 1990 00:00:00 GMT\r\n", 206,
      "0000", "bytes 0-3/1000000" },
  };
  (void) state;
  CLEANUP_WIRE struct wire wire = dial();
  for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
    CLEANUP_REPLY struct wire_reply reply =
        wire_ask(&wire, "GET", cases[i].target, cases[i].headers);
    assert_int_equal(reply.status, cases[i].status);
    assert_string_equal(buf_text(&reply.body), cases[i].body);
    assert_string_equal(wire_header(&reply, "Content-Range"), cases[i].range);
  }
  CLEANUP_REPLY struct wire_reply whole = wire_ask(&wire, "GET", "/file", "");
  assert_int_equal(whole.body.size, 1000000);
  assert_memory_equal(whole.body.data + 500000, "000050000\n", 10);
}

static void
test_pulled_replies(void **state)
{
  (void) state;
  int before = atomic_load(&state_made) - atomic_load(&state_freed);
  CLEANUP_WIRE struct wire wire = dial();
  CLEANUP_REPLY struct wire_reply chunked = wire_ask(&wire, "GET", "/pull?size=300000", "");
  assert_string_equal(wire_header(&chunked, "Transfer-Encoding"), "chunked");
  assert_int_equal(chunked.body.size, 300000);
  CLEANUP_REPLY struct wire_reply sized =
      wire_ask(&wire, "GET", "/pull?size=300000&announced=300000", "");
  assert_int_equal(sized.body.size, 300000);
  CLEANUP_REPLY struct wire_reply empty = wire_ask(&wire, "GET", "/pull", "");
  assert_true(empty.whole);
  /* Fewer bytes than announced must not look whole. */
  CLEANUP_REPLY struct wire_reply cut =
      wire_ask(&wire, "GET", "/pull?size=1000&announced=300000", "");
  assert_false(cut.whole);
  int64_t deadline = clock_monotonic_ms() + WAIT_MS;
  while (atomic_load(&state_made) - atomic_load(&state_freed) != before)
    assert_true(clock_monotonic_ms() < deadline);
}

static void
test_errors_as_problem_details(void **state)
{
  static const struct
  {
    int code, status;
  } cases[] = { { ENOENT, 404 }, { EINVAL, 400 }, { EPERM, 403 },
                { EACCES, 401 }, { EEXIST, 409 }, { EFBIG, 413 },
                { EBUSY, 503 },  { ESTALE, 410 }, { EMEDIUMTYPE, 415 } };
  (void) state;
  CLEANUP_WIRE struct wire wire = dial();
  for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
    char target[64];
    snprintf(target, sizeof target, "/api/fail?code=%d", cases[i].code);
    CLEANUP_REPLY struct wire_reply reply = wire_ask(&wire, "GET", target, "");
    assert_int_equal(reply.status, cases[i].status);
    assert_string_equal(wire_header(&reply, "Content-Type"), "application/problem+json");
    json_t *problem = json_loads(buf_text(&reply.body), 0, NULL);
    assert_int_equal(json_integer_value(json_object_get(problem, "status")), cases[i].status);
    assert_string_equal(json_string_value(json_object_get(problem, "detail")), "it \"failed\"");
    assert_string_equal(json_string_value(json_object_get(problem, "hint")), "Try again.");
    json_decref(problem);
  }
  CLEANUP_REPLY struct wire_reply inner = wire_ask(&wire, "GET", "/api/fail?code=5", "");
  assert_int_equal(inner.status, 500);
  assert_null(strstr(buf_text(&inner.body), "failed\\\"")); /* the cause stays inside */
}

/* Who sends what cannot be stored is to know that it is not his fault, and no more. */
static void
test_a_full_disk_is_told(void **state)
{
  static const int codes[] = { ENOSPC, EDQUOT };
  (void) state;
  CLEANUP_WIRE struct wire wire = dial();
  for (size_t i = 0; i < ARRAY_SIZE(codes); i++) {
    char target[64];
    snprintf(target, sizeof target, "/api/fail?code=%d", codes[i]);
    CLEANUP_REPLY struct wire_reply reply = wire_ask(&wire, "GET", target, "");
    assert_int_equal(reply.status, 507);
    assert_string_equal(wire_header(&reply, "Content-Type"), "application/problem+json");
    assert_non_null(strstr(buf_text(&reply.body), "the server's disk is full"));
    assert_null(strstr(buf_text(&reply.body), "failed"));
  }
}

/* Also where the path itself is what is wrong. */
static void
test_errors_below_the_api_are_for_programs(void **state)
{
  static const char *const targets[] = {
    HTTP_API "/agents/%2e%2e", HTTP_API "/%ff",        HTTP_API "/%zz",   HTTP_API "/%00",
    HTTP_API "/log?from=%ff",  "/agent/v1/../session", HTTP_API "/a%0ab", "http://host/api/..",
  };
  (void) state;
  CLEANUP_WIRE struct wire wire = dial();
  for (size_t i = 0; i < ARRAY_SIZE(targets); i++) {
    CLEANUP_REPLY struct wire_reply reply = wire_ask(&wire, "GET", targets[i], "");
    assert_int_equal(reply.status, 400);
    if (strcmp(wire_header(&reply, "Content-Type"), "application/problem+json") != 0)
      fail_msg("%s: %s", targets[i], buf_text(&reply.body));
  }
  CLEANUP_REPLY struct wire_reply page = wire_ask(&wire, "GET", "/%2e%2e", "");
  assert_int_equal(page.status, 400);
  assert_string_equal(wire_header(&page, "Content-Type"), "text/plain; charset=utf-8");
}

static void
test_parameters_of_the_api_are_known_ones(void **state)
{
  static const struct
  {
    const char *target;
    const char *told; /* NULL = it is good */
  } cases[] = {
    { HTTP_API "/bytes", NULL },
    { HTTP_API "/bytes?", NULL },
    { HTTP_API "/bytes?foo=bar", "there is no parameter \\\"foo\\\" here" },
    { HTTP_API "/log?from=7&follow=yes", NULL },
    { HTTP_API "/log?follow=no", NULL },
    { HTTP_API "/log?follow=bogus", "follow must be \\\"yes\\\" or \\\"no\\\"" },
    { HTTP_API "/log?follow", "follow must be" },
    { HTTP_API "/log?follow%3f=yes", "no parameter" },
    { HTTP_API "/log?fro=7", "\\\"fro\\\"" },
    { HTTP_API "/log?=7", "\\\"\\\"" },
    { HTTP_API "/log?from=", "\\\"from\\\" is empty" },
    { HTTP_API "/log?from", "\\\"from\\\" is empty" },
    { "/bytes?foo=bar", NULL },
  };
  (void) state;
  CLEANUP_WIRE struct wire wire = dial();
  for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
    CLEANUP_REPLY struct wire_reply reply = wire_ask(&wire, "GET", cases[i].target, "");
    assert_int_equal(reply.status, cases[i].told == NULL ? 200 : 400);
    if (cases[i].told != NULL && strstr(buf_text(&reply.body), cases[i].told) == NULL)
      fail_msg("%s: %s", cases[i].target, buf_text(&reply.body));
  }
}

static void
test_errors_as_pages(void **state)
{
  (void) state;
  CLEANUP_WIRE struct wire wire = dial();
  CLEANUP_REPLY struct wire_reply page =
      wire_ask(&wire, "GET", "/nowhere", "Accept: text/html,*/*;q=0.8\r\n");
  assert_string_equal(buf_text(&page.body), "<h1>404</h1><p>there is nothing at /nowhere</p>");
  assert_non_null(strstr(wire_header(&page, "Content-Security-Policy"), "default-src 'self'"));
  assert_string_equal(wire_header(&page, "X-Content-Type-Options"), "nosniff");
  CLEANUP_REPLY struct wire_reply plain = wire_ask(&wire, "GET", "/nowhere", "Accept: */*\r\n");
  assert_string_equal(buf_text(&plain.body), "404 Not Found\nthere is nothing at /nowhere\n");
}

static void
test_pages_carry_security_headers(void **state)
{
  (void) state;
  CLEANUP_WIRE struct wire wire = dial();
  CLEANUP_REPLY struct wire_reply page = wire_ask(&wire, "GET", "/page", "");
  const char *policy = wire_header(&page, "Content-Security-Policy");
  assert_non_null(strstr(policy, "frame-ancestors 'none'"));
  assert_null(strstr(policy, "unsafe"));
  assert_string_equal(wire_header(&page, "Referrer-Policy"), "same-origin");
  CLEANUP_REPLY struct wire_reply text = wire_ask(&wire, "GET", "/bytes", "");
  assert_string_equal(wire_header(&text, "X-Content-Type-Options"), "nosniff");
}

static void
test_header_injection_is_dropped(void **state)
{
  (void) state;
  CLEANUP_WIRE struct wire wire = dial();
  CLEANUP_REPLY struct wire_reply bad =
      wire_ask(&wire, "GET", "/inject?value=a%0d%0aX-Evil:%201", "");
  assert_int_equal(bad.status, 200);
  assert_string_equal(wire_header(&bad, "X-Good"), "kept");
  assert_string_equal(wire_header(&bad, "X-Bad"), "");
  assert_string_equal(wire_header(&bad, "X-Evil"), "");
  CLEANUP_REPLY struct wire_reply good = wire_ask(&wire, "GET", "/inject?value=fine", "");
  assert_string_equal(wire_header(&good, "X-Bad"), "fine");
}

static void
test_slash_redirect_stays_on_this_host(void **state)
{
  (void) state;
  CLEANUP_WIRE struct wire wire = dial();
  CLEANUP_REPLY struct wire_reply reply = wire_ask(&wire, "GET", "/number/%41/?a=b%20c", "");
  assert_int_equal(reply.status, 308);
  assert_string_equal(wire_header(&reply, "Location"), "/number/%41?a=b%20c");
  CLEANUP_REPLY struct wire_reply evil = wire_ask(&wire, "GET", "//bytes/", "");
  assert_int_equal(evil.status, 404);
}

int
main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_thousand_requests_in_one_burst),
    cmocka_unit_test(test_deferred_replies_keep_their_order),
    cmocka_unit_test(test_every_refusal_keeps_the_connection),
    cmocka_unit_test(test_all_listeners_answer),
    cmocka_unit_test(test_addresses),
    cmocka_unit_test(test_stale_socket_is_replaced),
    cmocka_unit_test(test_head_has_the_same_headers_and_no_body),
    cmocka_unit_test(test_ranges_and_conditions),
    cmocka_unit_test(test_pulled_replies),
    cmocka_unit_test(test_errors_as_problem_details),
    cmocka_unit_test(test_a_full_disk_is_told),
    cmocka_unit_test(test_errors_below_the_api_are_for_programs),
    cmocka_unit_test(test_parameters_of_the_api_are_known_ones),
    cmocka_unit_test(test_errors_as_pages),
    cmocka_unit_test(test_pages_carry_security_headers),
    cmocka_unit_test(test_header_injection_is_dropped),
    cmocka_unit_test(test_slash_redirect_stays_on_this_host),
  };
  return cmocka_run_group_tests_name("server", tests, start_server, stop_server);
}
