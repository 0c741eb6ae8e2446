/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The agent's token: earned, kept, and earned anew when it was refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
/* cmocka needs the three above first. */
#include <cmocka.h>

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "agent/agent_private.h"
#include "agent/test_daemon.h"
#include "base/file.h"
#include "base/mem.h"

struct yard
{
  char folder[32];
  char *token_file, *join_token_file;
  struct http_server *server;
  char *url;
  struct test_daemon daemon;
  struct buf key; /* a public key, as JSON text */

  const char *good_token; /* what sessions are opened to */
  char shown[64];         /* the last enrolment's "token"; "-" = absent, "" = none yet */
  atomic_int enrolments;
  atomic_int refusals;
  volatile int stop;
  int wake;
};

/* ---- the server ---- */

static int
enrol(struct http_request *request, void *context, struct error *err)
{
  struct yard *yard = context;
  json_t *body;
  int r = http_body_json(request, &body, err);
  if (r < 0)
    return r;
  const char *shown = json_string_value(json_object_get(body, "token"));
  snprintf(yard->shown, sizeof yard->shown, "%s", shown != NULL ? shown : "-");
  atomic_fetch_add(&yard->enrolments, 1);
  return http_reply_text(request, 201, "application/json", "{\"agent\": 1, \"token\": \"new\"}");
}

static int
open_session(struct http_request *request, void *context, struct error *err)
{
  struct yard *yard = context;
  const char *good = arena_printf(http_arena(request), "Bearer %s", yard->good_token);
  if (!str_equal(http_header(request, "Authorization"), str_of(good))) {
    atomic_fetch_add(&yard->refusals, 1);
    return error_set(err, -EACCES, "no");
  }
  yard->stop = 1;
  assert_int_equal(eventfd_write(yard->wake, 1), 0);
  return http_reply_text(request, 200, "application/x-ndjson",
                         arena_printf(http_arena(request),
                                      "{\"type\": \"welcome\", \"agent\": \"a\", \"key\": %s}\n",
                                      buf_text(&yard->key)));
}

static const struct http_route routes[] = {
  { .method = "POST", .path = "/agent/v1/enrol", .handler = enrol, .body_limit = 10000 },
  { .method = "POST", .path = "/agent/v1/session", .handler = open_session, .body_limit = 10000 },
};

/* ---- the yard ---- */

static void
make_key(struct yard *yard)
{
  CLEANUP_BUF struct buf text = { 0 };
  struct guix_key *key;
  assert_int_equal(guix_key_generate(&key, NULL), 0);
  guix_key_public_text(key, &text);
  guix_key_free(key);
  json_t *string = json_stringn(text.data, text.size);
  char *dumped = json_dumps(string, JSON_ENCODE_ANY);
  buf_append_text(&yard->key, dumped);
  free(dumped);
  json_decref(string);
}

static int
setup(void **state)
{
  struct yard *yard = *state = mem_alloc(sizeof *yard);
  const char *listen = "127.0.0.1:0";
  const struct http_routes table = { routes, ARRAY_SIZE(routes), yard };
  const struct http_options options = {
    .listen = &listen, .listen_count = 1, .routes = &table, .routes_count = 1
  };
  struct error err = { 0 };
  memcpy(yard->folder, "/tmp/panoply-enrol-XXXXXX", 26);
  assert_non_null(mkdtemp(yard->folder));
  yard->token_file = mem_printf("%s/token", yard->folder);
  yard->join_token_file = mem_printf("%s/join", yard->folder);
  assert_int_equal(file_write_atomic(yard->join_token_file, STR("join\n"), 0600, NULL), 0);
  yard->wake = eventfd(0, EFD_CLOEXEC);
  make_key(yard);
  if (http_server_start(&options, &yard->server, &err) < 0)
    fail_msg("%s", err.message);
  yard->url = mem_printf("http://127.0.0.1:%d", http_server_port(yard->server, 0));
  test_daemon_start(&yard->daemon, yard->folder);
  return 0;
}

static int
teardown(void **state)
{
  struct yard *yard = *state;
  http_server_stop(yard->server);
  test_daemon_stop(&yard->daemon);
  file_remove_tree(yard->folder, NULL);
  close(yard->wake);
  buf_free(&yard->key);
  free(yard->token_file);
  free(yard->join_token_file);
  free(yard->url);
  free(yard);
  return 0;
}

static int
run(struct yard *yard, struct error *err)
{
  const struct agent_options options = {
    .server = yard->url,
    .join_token_file = yard->join_token_file,
    .name = "a",
    .state = yard->folder,
    .store_root = yard->folder,
    .daemon_socket = yard->daemon.socket,
  };
  return agent_run(&options, &yard->stop, yard->wake, err);
}

static void
check_token(const struct yard *yard, const char *expected)
{
  CLEANUP_BUF struct buf text = { 0 };
  assert_int_equal(file_read_all(yard->token_file, 100, &text, NULL), 0);
  assert_string_equal(buf_text(&text), expected);
}

/* ---- tests ---- */

static void
test_a_first_token_is_earned(void **state)
{
  struct yard *yard = *state;
  struct error err = { 0 };
  yard->good_token = "new";
  if (run(yard, &err) < 0)
    fail_msg("%s", err.message);
  assert_string_equal(yard->shown, "-"); /* there was none to show */
  check_token(yard, "new");
}

static void
test_a_good_token_is_kept(void **state)
{
  struct yard *yard = *state;
  struct error err = { 0 };
  yard->good_token = "old";
  assert_int_equal(file_write_atomic(yard->token_file, STR("old\n"), 0600, NULL), 0);
  if (run(yard, &err) < 0)
    fail_msg("%s", err.message);
  assert_int_equal(atomic_load(&yard->enrolments), 0);
}

static void
test_a_refused_token_is_replaced(void **state)
{
  struct yard *yard = *state;
  struct error err = { 0 };
  yard->good_token = "new";
  assert_int_equal(file_write_atomic(yard->token_file, STR("old\n"), 0600, NULL), 0);
  if (run(yard, &err) < 0)
    fail_msg("%s", err.message);
  assert_string_equal(yard->shown, "old");
  check_token(yard, "new");
}

/* Not for ever: what is refused just after it was earned will stay so. */
static void
test_a_new_token_that_is_refused_ends_it(void **state)
{
  struct yard *yard = *state;
  struct error err = { 0 };
  yard->good_token = "none";
  assert_int_equal(run(yard, &err), -EACCES);
  assert_int_equal(atomic_load(&yard->enrolments), 2);
  assert_int_equal(atomic_load(&yard->refusals), 2);
}

#define IN_YARD(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int
main(void)
{
  const struct CMUnitTest tests[] = {
    IN_YARD(test_a_first_token_is_earned),
    IN_YARD(test_a_good_token_is_kept),
    IN_YARD(test_a_refused_token_is_replaced),
    IN_YARD(test_a_new_token_that_is_refused_ends_it),
  };
  return cmocka_run_group_tests_name("enrol", tests, NULL, NULL);
}
