/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
/* cmocka needs the three above first. */
#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>

#include "base/mem.h"
#include "ui/assets.h"
#include "ui/ui.h"

static const struct ui_frame nobody; /* is signed in */
static struct http_server *server;
static struct http_client *client;

static void
write_error_page(struct http_request *request, int status, const struct error *err, void *context,
                 struct buf *page)
{
  struct ui_frame frame;
  (void) context;
  ui_frame_read(request, &frame);
  ui_error_page(&frame, status, err, page);
}

static int
start_server(void **state)
{
  (void) state;
  const char *listen = "127.0.0.1:0";
  const struct http_routes routes = ui_routes();
  const struct http_options options = { .listen = &listen,
                                        .listen_count = 1,
                                        .routes = &routes,
                                        .routes_count = 1,
                                        .error_page = write_error_page };
  struct error err = { 0 };
  if (http_server_start(&options, &server, &err) < 0)
    fail_msg("%s", err.message);
  CLEANUP_FREE char *url = mem_printf("http://127.0.0.1:%d", http_server_port(server, 0));
  client = http_client_new(&(struct http_client_options) { .base_url = url });
  return 0;
}

static int
stop_server(void **state)
{
  (void) state;
  http_client_free(client);
  http_server_stop(server);
  return 0;
}

static struct http_answer
get(const char *path, const char *header)
{
  const char *const headers[] = { header, NULL };
  struct http_call call = { .method = "GET", .path = path, .headers = headers };
  struct http_answer answer;
  struct error err = { 0 };
  if (http_client_call(client, &call, &answer, &err) < 0)
    fail_msg("%s", err.message);
  buf_text(&answer.body);
  return answer;
}

static void
test_assets_come_once(void **state)
{
  (void) state;
  assert_true(ui_assets_count >= 3);
  for (size_t i = 0; i < ui_assets_count; i++) {
    CLEANUP_FREE char *path = mem_printf("/static/%s", ui_assets[i].path);
    struct http_answer first = get(path, "Accept: */*");
    assert_int_equal(first.status, 200);
    assert_true(str_equal(buf_str(&first.body), ui_assets[i].bytes));
    assert_string_equal(first.etag, ui_assets[i].etag);
    CLEANUP_FREE char *known = mem_printf("If-None-Match: %s", first.etag);
    struct http_answer second = get(path, known);
    assert_int_equal(second.status, 304);
    assert_int_equal(second.body.size, 0);
    http_answer_free(&first);
    http_answer_free(&second);
  }
}

static void
test_error_pages_say_what_to_do(void **state)
{
  (void) state;
  struct http_answer page = get("/static/none", "Accept: text/html");
  assert_int_equal(page.status, 404);
  assert_non_null(strstr(page.body.data, "<h1>Not found</h1>"));
  assert_non_null(strstr(page.body.data, "there is no file &#39;none&#39;"));
  assert_non_null(strstr(page.body.data, "It may have been removed"));
  http_answer_free(&page);

  struct error err = { 0 };
  error_set(&err, -EINVAL, "<script>alert(1)</script>");
  error_hint(&err, "Do <b>this</b>.");
  CLEANUP_BUF struct buf out = { 0 };
  ui_error_page(&nobody, 400, &err, &out);
  assert_null(strstr(buf_text(&out), "<script>alert"));
  assert_non_null(strstr(buf_text(&out), "&lt;script&gt;alert(1)"));
  assert_non_null(strstr(buf_text(&out), "Do &lt;b&gt;this&lt;/b&gt;."));
  assert_null(strstr(buf_text(&out), "what was typed")); /* the error's own hint wins */
}

/* What the Content-Security-Policy would block must not be there. */
static void
test_frame_has_no_inline_code(void **state)
{
  (void) state;
  struct error err = { 0 };
  CLEANUP_BUF struct buf out = { 0 };
  ui_error_page(&nobody, 500, &err, &out);
  const char *page = buf_text(&out);
  assert_null(strstr(page, "<style"));
  assert_null(strstr(page, " style="));
  assert_null(strstr(page, " onclick"));
  assert_null(strstr(page, "<script>"));
  assert_non_null(strstr(page, "Panoply " PANOPLY_VERSION));
}

int
main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_assets_come_once),
    cmocka_unit_test(test_error_pages_say_what_to_do),
    cmocka_unit_test(test_frame_has_no_inline_code),
  };
  return cmocka_run_group_tests_name("ui", tests, start_server, stop_server);
}
