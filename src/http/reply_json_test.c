/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
/* cmocka needs the three above first. */
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#include "http/http.h"
#include "http/test_wire.h"

/* ---- handlers ---- */

/* `{"TEXT":1}` with the status that the query names. */
static int
say_json(struct http_request *request, void *context, struct error *err)
{
  (void) context;
  int64_t status = 0;
  int r = http_query_i64(request, "status", 200, 299, 200, &status, err);
  if (r < 0)
    return r;
  CLEANUP_BUF struct buf body = { 0 };
  buf_printf(&body, "{\"%.*s\":1}", STR_FMT(http_query(request, "text")));
  return http_reply_json(request, (int) status, &body);
}

static int
say_page(struct http_request *request, void *context, struct error *err)
{
  (void) context, (void) err;
  CLEANUP_BUF struct buf body = { 0 };
  buf_append_text(&body, "{}");
  return http_reply_page(request, &body, http_query(request, "cursor"));
}

static const struct http_route routes[] = {
  { .method = "GET", .path = "/json", .handler = say_json },
  { .method = "POST", .path = "/json", .handler = say_json, .body_limit = 10 },
  { .method = "GET", .path = "/list", .handler = say_page },
};

static struct http_server *server;

static int
start_server(void **state)
{
  (void) state;
  static const char *const listen[] = { "127.0.0.1:0" };
  const struct http_routes table = { routes, ARRAY_SIZE(routes), NULL };
  struct error err = { 0 };
  return http_server_start(
      &(struct http_options) {
          .listen = listen, .listen_count = 1, .routes = &table, .routes_count = 1 },
      &server, &err);
}

static int
stop_server(void **state)
{
  (void) state;
  http_server_stop(server);
  return 0;
}

static struct wire
dial(void)
{
  return wire_open(http_server_port(server, 0));
}

/* ---- tests ---- */

static void
copy_etag(struct wire *wire, const char *target, char ret[64])
{
  CLEANUP_REPLY struct wire_reply reply = wire_ask(wire, "GET", target, "");
  assert_int_equal(reply.status, 200);
  assert_string_equal(wire_header(&reply, "Cache-Control"), "private, no-cache");
  assert_string_equal(wire_header(&reply, "Content-Type"), "application/json");
  snprintf(ret, 64, "%s", wire_header(&reply, "ETag"));
  assert_int_equal(ret[0], '"'); /* strong */
}

static void
test_etags_tell_bodies_apart(void **state)
{
  char one[64], again[64], other[64];
  (void) state;
  CLEANUP_WIRE struct wire wire = dial();
  copy_etag(&wire, "/json?text=a", one);
  copy_etag(&wire, "/json?text=a", again);
  copy_etag(&wire, "/json?text=b", other);
  assert_string_equal(one, again);
  assert_string_not_equal(one, other);
}

static void
test_what_is_known_is_not_sent_again(void **state)
{
  static const struct
  {
    const char *method, *target, *format;
    int status;
  } cases[] = {
    { "GET", "/json?text=a", "If-None-Match: %s\r\n", 304 },
    { "GET", "/json?text=a", "If-None-Match: \"other\", %s\r\n", 304 },
    { "GET", "/json?text=a", "If-None-Match: *\r\n", 304 },
    { "GET", "/json?text=a", "If-None-Match: \"other\"\r\n", 200 },
    { "GET", "/json?text=b", "If-None-Match: %s\r\n", 200 },
    { "HEAD", "/json?text=a", "If-None-Match: %s\r\n", 304 },
    { "HEAD", "/json?text=a", "", 200 },
  };
  (void) state;
  char etag[64], headers[256];
  CLEANUP_WIRE struct wire wire = dial();
  copy_etag(&wire, "/json?text=a", etag);
  for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
    const char *mark = strstr(cases[i].format, "%s");
    int before = mark == NULL ? (int) strlen(cases[i].format) : (int) (mark - cases[i].format);
    snprintf(headers, sizeof headers, "%.*s%s%s", before, cases[i].format, mark == NULL ? "" : etag,
             mark == NULL ? "" : mark + 2);
    CLEANUP_REPLY struct wire_reply reply =
        wire_ask(&wire, cases[i].method, cases[i].target, headers);
    assert_int_equal(reply.status, cases[i].status);
    assert_string_not_equal(wire_header(&reply, "ETag"), "");
    assert_string_equal(wire_header(&reply, "Cache-Control"), "private, no-cache");
    if (cases[i].status == 304)
      assert_int_equal(reply.body.size, 0);
  }
}

static void
test_what_was_done_has_no_etag(void **state)
{
  static const struct
  {
    const char *method, *target;
    int status;
  } cases[] = { { "POST", "/json?text=a", 200 }, { "GET", "/json?text=a&status=202", 202 } };
  (void) state;
  CLEANUP_WIRE struct wire wire = dial();
  for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
    CLEANUP_REPLY struct wire_reply reply =
        wire_ask(&wire, cases[i].method, cases[i].target, "If-None-Match: *\r\n");
    assert_int_equal(reply.status, cases[i].status);
    assert_string_equal(wire_header(&reply, "ETag"), "");
    assert_string_equal(buf_text(&reply.body), "{\"a\":1}");
  }
}

static void
test_the_next_page_is_linked(void **state)
{
  static const struct
  {
    const char *target, *link;
  } cases[] = {
    { "/list", "" },
    { "/list?before=9&limit=3", "" },
    { "/list?cursor=7", "<?cursor=7&before=7>; rel=\"next\"" },
    { "/list?before=9&cursor=7&limit=3&before=8", "<?cursor=7&limit=3&before=7>; rel=\"next\"" },
    { "/list?cursor=a%2fb%26%3e%22+c", "<?cursor=a%2Fb%26%3E%22%20c&before=a%2Fb%26%3E%22%20c>"
                                       "; rel=\"next\"" },
    { "/list?cursor=1&%3e%0d%0aX:%20y=1", "<?cursor=1&%3E%0D%0AX%3A%20y=1&before=1>; "
                                          "rel=\"next\"" },
  };
  (void) state;
  CLEANUP_WIRE struct wire wire = dial();
  for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
    CLEANUP_REPLY struct wire_reply reply = wire_ask(&wire, "GET", cases[i].target, "");
    assert_int_equal(reply.status, 200);
    assert_string_equal(wire_header(&reply, "Link"), cases[i].link);
    assert_string_not_equal(wire_header(&reply, "ETag"), "");
  }
}

int
main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_etags_tell_bodies_apart),
    cmocka_unit_test(test_what_is_known_is_not_sent_again),
    cmocka_unit_test(test_what_was_done_has_no_etag),
    cmocka_unit_test(test_the_next_page_is_linked),
  };
  return cmocka_run_group_tests_name("reply_json", tests, start_server, stop_server);
}
