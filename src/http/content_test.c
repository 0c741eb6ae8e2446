/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Bytes of a known number: validators and ranges; and replies that have no body. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
/* cmocka needs the three above first. */
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "http/http.h"
#include "http/test_wire.h"

#define COUNT 10 /* of bytes, each a digit */
#define CHANGED INT64_C(784111777)
#define CHANGED_TEXT "Sun, 06 Nov 1994 08:49:37 GMT"

static char file_path[] = "/tmp/panoply-content-XXXXXX";
static atomic_int sources;

/* ---- handlers ---- */

static int
say_bytes(struct http_request *request, void *context, struct error *err)
{
  (void) context, (void) err;
  http_reply_header(request, "Content-Encoding", "identity");
  return http_reply_bytes(request, "text/plain", "\"v1\"", STR("0123456789"));
}

static int
say_file(struct http_request *request, void *context, struct error *err)
{
  int64_t from;
  (void) context;
  int r = http_query_i64(request, "from", 0, 100, 0, &from, err);
  return r < 0 ? r
               : http_reply_file(request, "text/plain", NULL, open(file_path, O_RDONLY | O_CLOEXEC),
                                 from);
}

/* Three bytes at most each time. */
static int64_t
read_digits(void *state, int64_t position, char *room, size_t size)
{
  (void) state;
  size_t count = size < 3 ? size : 3;
  for (size_t i = 0; i < count; i++)
    room[i] = (char) ('0' + position + (int64_t) i);
  return (int64_t) count;
}

static void
count_source(void *state)
{
  (void) state;
  atomic_fetch_sub(&sources, 1);
}

static int
say_content(struct http_request *request, void *context, struct error *err)
{
  (void) context, (void) err;
  atomic_fetch_add(&sources, 1);
  return http_reply_content(request, "text/plain",
                            &(struct http_content) { .etag = "\"v1\"",
                                                     .changed = CHANGED,
                                                     .size = COUNT,
                                                     .read = read_digits,
                                                     .free = count_source });
}

static int
say_json(struct http_request *request, void *context, struct error *err)
{
  struct buf body = { 0 };
  (void) context, (void) err;
  buf_append_text(&body, "{\"a\":1}");
  return http_reply_json(request, 200, &body);
}

static int
say_stream(struct http_request *request, void *context, struct error *err)
{
  struct http_stream *stream;
  (void) context, (void) err;
  int r = http_reply_stream(request, 200, "text/plain", 1000, &stream);
  if (r < 0)
    return r;
  (void) http_stream_write(stream, STR("text\n"));
  http_stream_close(stream);
  return 0;
}

static int64_t
pull_nothing(void *state, char *room, size_t size)
{
  (void) state, (void) room, (void) size;
  return 0;
}

static int
say_pulled(struct http_request *request, void *context, struct error *err)
{
  (void) context, (void) err;
  return http_reply_pull(request, 200, "text/plain", -1, pull_nothing, NULL, NULL);
}

static const struct http_route routes[] = {
  { .method = "GET", .path = "/bytes", .handler = say_bytes },
  { .method = "GET", .path = "/file", .handler = say_file },
  { .method = "GET", .path = "/content", .handler = say_content },
  { .method = "GET", .path = HTTP_API "/content", .handler = say_content },
  { .method = "GET", .path = HTTP_API "/bytes", .handler = say_bytes },
  { .method = "GET", .path = HTTP_API "/json", .handler = say_json },
  { .method = "GET", .path = "/stream", .handler = say_stream },
  { .method = "GET", .path = "/pulled", .handler = say_pulled },
};

/* ---- the server ---- */

static struct http_server *server;

static int
start_server(void **state)
{
  (void) state;
  const char *listen = "127.0.0.1:0";
  const struct http_routes table = { routes, ARRAY_SIZE(routes), NULL };
  const struct http_options options = {
    .listen = &listen, .listen_count = 1, .routes = &table, .routes_count = 1
  };
  struct error err = { 0 };
  CLEANUP_FD int fd = mkstemp(file_path);
  assert_int_equal(file_write_full(fd, "0123456789", COUNT), 0);
  if (http_server_start(&options, &server, &err) < 0)
    fail_msg("%s", err.message);
  return 0;
}

static int
stop_server(void **state)
{
  (void) state;
  http_server_stop(server);
  unlink(file_path);
  return atomic_load(&sources);
}

static struct wire
dial(void)
{
  return wire_open(http_server_port(server, 0));
}

/* ---- tests ---- */

/* Wherever the bytes come from. */
static void
test_ranges(void **state)
{
  static const struct
  {
    const char *target, *headers;
    int status;
    const char *body, *range;
  } cases[] = {
    { "/content", "", 200, "0123456789", "" },
    { "/content", "Range: bytes=2-4\r\n", 206, "234", "bytes 2-4/10" },
    { "/content", "Range: bytes=-4\r\n", 206, "6789", "bytes 6-9/10" },
    { "/content", "Range: bytes=2-4\r\nIf-Range: \"v1\"\r\n", 206, "234", "bytes 2-4/10" },
    { "/content", "Range: bytes=2-4\r\nIf-Range: " CHANGED_TEXT "\r\n", 206, "234",
      "bytes 2-4/10" },
    { "/content", "Range: bytes=2-4\r\nIf-Range: \"v0\"\r\n", 200, "0123456789", "" },
    { "/content", "If-None-Match: \"v1\"\r\n", 304, "", "" },
    { "/content", "If-Modified-Since: " CHANGED_TEXT "\r\n", 304, "", "" },
    { "/file?from=4", "", 200, "456789", "" },
    { "/file?from=4", "Range: bytes=1-2\r\n", 206, "56", "bytes 1-2/6" },
    { "/file?from=99", "", 200, "", "" },
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
}

/* A file has a validator without that anybody made one, and it is of its very bytes. */
static void
test_a_file_has_an_etag_of_its_own(void **state)
{
  char headers[200];
  (void) state;
  CLEANUP_WIRE struct wire wire = dial();
  CLEANUP_REPLY struct wire_reply first = wire_ask(&wire, "GET", "/file", "");
  const char *etag = wire_header(&first, "ETag");
  assert_int_equal(etag[0], '"');
  snprintf(headers, sizeof headers, "If-None-Match: %s\r\n", etag);
  CLEANUP_REPLY struct wire_reply same = wire_ask(&wire, "GET", "/file", headers);
  assert_int_equal(same.status, 304);
  const struct timespec times[2] = { { .tv_sec = CHANGED }, { .tv_sec = CHANGED } };
  assert_int_equal(utimensat(AT_FDCWD, file_path, times, 0), 0);
  CLEANUP_REPLY struct wire_reply changed = wire_ask(&wire, "GET", "/file", headers);
  assert_int_equal(changed.status, 200);
}

static void
test_a_range_behind_the_end_is_a_problem_with_words(void **state)
{
  static const char *const targets[] = { HTTP_API "/bytes", HTTP_API "/content" };
  (void) state;
  CLEANUP_WIRE struct wire wire = dial();
  for (size_t i = 0; i < ARRAY_SIZE(targets); i++) {
    CLEANUP_REPLY struct wire_reply reply =
        wire_ask(&wire, "GET", targets[i], "Range: bytes=10-\r\n");
    assert_int_equal(reply.status, 416);
    assert_string_equal(wire_header(&reply, "Content-Range"), "bytes */10");
    assert_string_equal(wire_header(&reply, "Content-Type"), "application/problem+json");
    assert_string_equal(wire_header(&reply, "Content-Encoding"), "");
    assert_non_null(strstr(buf_text(&reply.body), "there are 10 bytes"));
  }
  CLEANUP_REPLY struct wire_reply page = wire_ask(&wire, "GET", "/bytes", "Range: bytes=10-\r\n");
  assert_non_null(strstr(buf_text(&page.body), "there are 10 bytes"));
}

/* What a 304 says of the size is what the 200 says. */
static void
test_unchanged_has_the_length_of_the_whole(void **state)
{
  static const char *const targets[] = { "/bytes", "/file", "/content", HTTP_API "/json" };
  (void) state;
  CLEANUP_WIRE struct wire wire = dial();
  for (size_t i = 0; i < ARRAY_SIZE(targets); i++) {
    CLEANUP_REPLY struct wire_reply whole = wire_ask(&wire, "GET", targets[i], "");
    assert_int_equal(whole.status, 200);
    char length[32];
    snprintf(length, sizeof length, "%s", wire_header(&whole, "Content-Length"));
    CLEANUP_REPLY struct wire_reply same =
        wire_ask(&wire, "GET", targets[i], "If-None-Match: *\r\n");
    assert_int_equal(same.status, 304);
    assert_string_equal(wire_header(&same, "Content-Length"), length);
    CLEANUP_REPLY struct wire_reply head = wire_ask(&wire, "HEAD", targets[i], "");
    assert_string_equal(wire_header(&head, "Content-Length"), length);
  }
}

/* Not even the end of a body, which would be taken for the next reply's beginning. */
static void
test_head_of_a_reply_without_a_known_end(void **state)
{
  static const char *const targets[] = { "/stream", "/pulled" };
  (void) state;
  for (size_t i = 0; i < ARRAY_SIZE(targets); i++) {
    CLEANUP_WIRE struct wire wire = dial();
    CLEANUP_REPLY struct wire_reply reply = wire_ask(&wire, "HEAD", targets[i], "");
    assert_int_equal(reply.status, 200);
    assert_string_equal(wire_header(&reply, "Content-Length"), "");
    assert_string_equal(wire_header(&reply, "Connection"), "close");
    wire_expect_end(&wire);
    assert_int_equal(wire.in.size, 0);
  }
}

int
main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_ranges),
    cmocka_unit_test(test_a_file_has_an_etag_of_its_own),
    cmocka_unit_test(test_a_range_behind_the_end_is_a_problem_with_words),
    cmocka_unit_test(test_unchanged_has_the_length_of_the_whole),
    cmocka_unit_test(test_head_of_a_reply_without_a_known_end),
  };
  return cmocka_run_group_tests_name("content", tests, start_server, stop_server);
}
