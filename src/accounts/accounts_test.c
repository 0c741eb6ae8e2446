/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
/* cmocka needs the three above first. */
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "accounts/accounts_private.h"
#include "base/child.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "db/test_cluster.h"

#define DEADLINE_MS 20000

/* ---- tokens ---- */

struct wish
{
  const char *role;
  int64_t valid_s;
  char text[ACCOUNTS_TOKEN_SIZE];
  int64_t id;
};

static int
create(struct db *db, void *context, struct error *err)
{
  struct wish *wish = context;
  return accounts_token_create(db, wish->role, STR("test"), wish->valid_s, wish->text, &wish->id,
                               err);
}

static struct wish
create_token(struct test_database *database, const char *role, int64_t valid_s)
{
  struct wish wish = { .role = role, .valid_s = valid_s };
  struct error err = { 0 };
  if (db_pool_run(database->pool, DB_WRITE, create, &wish, &err) < 0)
    fail_msg("%s", err.message);
  return wish;
}

static int
check(struct test_database *database, const char *role, const char *text)
{
  struct db *db = NULL;
  int64_t id = -1;
  assert_int_equal(db_pool_get(database->pool, &db, NULL), 0);
  int r = accounts_token_check(db, role, str_of(text), &id, NULL);
  assert_int_equal(r == 1, id > 0);
  db_pool_put(database->pool, db);
  return r;
}

static int
revoke_token(struct test_database *database, const char *role, int64_t id)
{
  struct db *db = NULL;
  assert_int_equal(db_pool_get(database->pool, &db, NULL), 0);
  int r = accounts_token_revoke(db, role, id, NULL);
  db_pool_put(database->pool, db);
  return r;
}

static int
is_revoked(struct test_database *database, const char *role, const char *text)
{
  struct db *db = NULL;
  assert_int_equal(db_pool_get(database->pool, &db, NULL), 0);
  int r = accounts_token_is_revoked(db, role, str_of(text), NULL);
  db_pool_put(database->pool, db);
  return r;
}

static void
test_a_token_lives_until_it_is_revoked(void **state)
{
  struct wish agent = create_token(*state, "agent", 0);
  struct wish other = create_token(*state, "agent", 0);
  assert_int_equal(strlen(agent.text), strlen("panoply_agent_") + 64);
  assert_memory_equal(agent.text, "panoply_agent_", 14);
  assert_string_not_equal(agent.text, other.text);
  assert_int_equal(check(*state, "agent", agent.text), 1);
  assert_int_equal(check(*state, "admin", agent.text), 0);
  assert_int_equal(revoke_token(*state, "join", agent.id), -ENOENT); /* of another role */
  assert_int_equal(is_revoked(*state, "agent", agent.text), 0);
  assert_int_equal(revoke_token(*state, "agent", agent.id), 0);
  assert_int_equal(is_revoked(*state, "agent", agent.text), 1);
  assert_int_equal(is_revoked(*state, "join", agent.text), 0);
  assert_int_equal(is_revoked(*state, "agent", other.text), 0);
  assert_int_equal(is_revoked(*state, "agent", "nonsense"), 0);
  assert_int_equal(check(*state, "agent", agent.text), 0);
  assert_int_equal(check(*state, "agent", other.text), 1);
  assert_int_equal(revoke_token(*state, "agent", agent.id), -ENOENT);
  assert_int_equal(revoke_token(*state, "agent", 1 << 30), -ENOENT);
}

static void
test_a_token_expires(void **state)
{
  struct wish brief = create_token(*state, "join", 1);
  struct wish longer = create_token(*state, "join", 3600);
  assert_int_equal(check(*state, "join", brief.text), 1);
  int64_t deadline = clock_monotonic_ms() + DEADLINE_MS;
  while (check(*state, "join", brief.text) == 1) {
    assert_true(clock_monotonic_ms() < deadline);
    clock_sleep_ms(20);
  }
  assert_int_equal(check(*state, "join", longer.text), 1);
}

static void
test_what_is_no_token_is_refused(void **state)
{
  struct wish good = create_token(*state, "admin", 0);
  char changed[ACCOUNTS_TOKEN_SIZE];
  memcpy(changed, good.text, sizeof changed);
  char *last = &changed[strlen(changed) - 1];
  *last = *last == '0' ? '1' : '0';
  CLEANUP_FREE char *longer = mem_printf("%s0", good.text);
  CLEANUP_FREE char *renamed = mem_printf("panoply_agent_%s", good.text + 14);
  const char *bad[] = {
    "", "panoply", "panoply_admin_", changed, longer, renamed, "x' OR true --"
  };
  for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
    assert_int_equal(check(*state, "admin", bad[i]), 0);
  assert_int_equal(check(*state, "admin", good.text), 1);
}

static void
test_only_the_digest_is_kept(void **state)
{
  struct test_database *database = *state;
  struct wish token = create_token(database, "admin", 0);
  CLEANUP_BUF struct buf dump = { 0 };
  const char *argv[] = { "psql", "-X",
                         "-A",   "-t",
                         "-d",   database->uri,
                         "-c",   "SELECT t::text, encode(digest, 'hex') FROM token t",
                         NULL };
  struct child_options options = CHILD_OPTIONS_INIT;
  options.argv = argv;
  assert_int_equal(child_run(&options, 30000, 65536, &dump, NULL), 0);
  assert_true(dump.size > 64);
  assert_null(strstr(buf_text(&dump), token.text + strlen("panoply_admin_")));
}

static void
test_an_unknown_role_is_refused(void **state)
{
  struct test_database *database = *state;
  struct wish wish = { .role = "root" };
  assert_int_equal(db_pool_run(database->pool, DB_WRITE, create, &wish, NULL), -EINVAL);
}

/* ---- the first start ---- */

static char *
read_token(const char *state, const char *name, mode_t *ret_mode)
{
  CLEANUP_FREE char *path = mem_printf("%s/%s", state, name);
  CLEANUP_BUF struct buf text = { 0 };
  struct stat status;
  assert_int_equal(file_read_all(path, 4096, &text, NULL), 0);
  assert_int_equal(stat(path, &status), 0);
  *ret_mode = status.st_mode & 07777;
  struct str token = str_trim(buf_str(&text));
  return mem_strndup(token.data, token.size);
}

static void
test_the_first_start_makes_tokens_that_last(void **state)
{
  struct test_database *database = *state;
  struct error err = { 0 };
  mode_t mode;
  char folder[] = "/tmp/panoply-accounts-XXXXXX";
  assert_non_null(mkdtemp(folder));
  assert_int_equal(accounts_bootstrap(database->pool, folder, &err), 0);
  CLEANUP_FREE char *admin = read_token(folder, "admin-token", &mode);
  assert_int_equal(mode, 0600);
  CLEANUP_FREE char *join = read_token(folder, "join-token", &mode);
  assert_int_equal(mode, 0600);
  assert_int_equal(check(database, "admin", admin), 1);
  assert_int_equal(check(database, "join", join), 1);

  CLEANUP_FREE char *path = mem_printf("%s/join-token", folder);
  assert_int_equal(file_write_atomic(path, STR("panoply_join_damaged\n"), 0600, NULL), 0);
  assert_int_equal(accounts_bootstrap(database->pool, folder, &err), 0);
  CLEANUP_FREE char *same = read_token(folder, "admin-token", &mode);
  CLEANUP_FREE char *fresh = read_token(folder, "join-token", &mode);
  assert_string_equal(same, admin);
  assert_int_equal(check(database, "join", fresh), 1);
  assert_int_equal(file_remove_tree(folder, NULL), 0);

  assert_true(accounts_bootstrap(database->pool, folder, &err) < 0);
  assert_non_null(strstr(err.message, folder));
}

/* ---- the guard, on a real server ---- */

static int
tell_identity(struct http_request *request, void *context, struct error *err)
{
  char text[32];
  (void) context;
  (void) err;
  snprintf(text, sizeof text, "%lld", (long long) http_identity(request));
  return http_reply_text(request, 200, "text/plain", text);
}

static const struct http_route guarded[] = {
  { .method = "GET", .path = "/api/admin", .handler = tell_identity, .role = "admin" },
  { .method = "GET", .path = "/api/join", .handler = tell_identity, .role = "join" },
  { .method = "GET", .path = "/api/agent", .handler = tell_identity, .role = "agent" },
  { .method = "GET", .path = "/api/odd", .handler = tell_identity, .role = "odd" },
  { .method = "GET", .path = "/api/open", .handler = tell_identity },
};

static struct http_server *
serve(struct db_pool *pool, char ret_url[64])
{
  static const char *const listen[] = { "127.0.0.1:0" };
  const struct http_routes routes = { guarded, ARRAY_SIZE(guarded), NULL };
  const struct http_options options = {
    .listen = listen,
    .listen_count = 1,
    .routes = &routes,
    .routes_count = 1,
    .guard = accounts_guard,
    .guard_context = pool,
  };
  struct http_server *server = NULL;
  struct error err = { 0 };
  if (http_server_start(&options, &server, &err) < 0)
    fail_msg("%s", err.message);
  snprintf(ret_url, 64, "http://127.0.0.1:%d", http_server_port(server, 0));
  return server;
}

/* The status; the identity that the handler saw goes to *RET_IDENTITY. */
static int
get(const char *url, const char *path, const char *token, int64_t *ret_identity)
{
  struct http_client *client =
      http_client_new(&(struct http_client_options) { .base_url = url, .token = token });
  struct http_answer answer = { 0 };
  struct error err = { 0 };
  if (http_client_call(client, &(struct http_call) { .method = "GET", .path = path }, &answer, &err)
      < 0)
    fail_msg("%s", err.message);
  int status = answer.status;
  *ret_identity = -1;
  if (status == 200)
    assert_int_equal(str_to_i64(buf_str(&answer.body), ret_identity), 0);
  http_answer_free(&answer);
  http_client_free(client);
  return status;
}

static void
test_the_guard_lets_roles_do_what_they_may(void **state)
{
  struct test_database *database = *state;
  char url[64];
  int64_t identity;
  struct wish tokens[] = { create_token(database, "admin", 0), create_token(database, "join", 0),
                           create_token(database, "agent", 0) };
  /* By route, then by token: admin, join, agent. */
  static const struct
  {
    const char *path;
    int status[3];
  } expected[] = {
    { "/api/admin", { 200, 403, 403 } },
    { "/api/join", { 403, 200, 403 } },
    { "/api/agent", { 403, 403, 200 } },
    { "/api/odd", { 403, 403, 403 } },
  };
  struct http_server *server = serve(database->pool, url);
  for (size_t i = 0; i < ARRAY_SIZE(expected); i++) {
    assert_int_equal(get(url, expected[i].path, NULL, &identity), 401);
    assert_int_equal(get(url, expected[i].path, "panoply_admin_1234", &identity), 401);
    for (size_t t = 0; t < ARRAY_SIZE(tokens); t++) {
      assert_int_equal(get(url, expected[i].path, tokens[t].text, &identity),
                       expected[i].status[t]);
      if (expected[i].status[t] == 200)
        assert_int_equal(identity, tokens[t].id);
    }
  }
  assert_int_equal(get(url, "/api/open", NULL, &identity), 200);
  assert_int_equal(identity, 0);
  http_server_stop(server);
}

/* An agent that enrols is not to be sent for the administrator's token. */
static void
test_refusals_name_the_token_that_is_wanted(void **state)
{
  struct test_database *database = *state;
  char url[64];
  struct wish agent = create_token(database, "agent", 0);
  struct wish join = create_token(database, "join", 0);
  static const struct
  {
    const char *path, *message, *hint;
  } expected[] = {
    { "/api/admin", "administrator token", "admin token lies in its state folder" },
    { "/api/join", "joining token", "join-token" },
    { "/api/agent", "token of an agent", "enrol" },
  };
  struct http_server *server = serve(database->pool, url);
  for (size_t i = 0; i < ARRAY_SIZE(expected); i++) {
    const struct http_call call = { .method = "GET", .path = expected[i].path };
    const char *const tokens[] = { NULL, "nonsense", i == 2 ? join.text : agent.text };
    for (size_t t = 0; t < ARRAY_SIZE(tokens); t++) {
      struct http_client *client =
          http_client_new(&(struct http_client_options) { .base_url = url, .token = tokens[t] });
      struct http_answer answer = { 0 };
      struct error err = { 0 };
      assert_int_equal(http_client_expect(client, &call, &answer, &err), t < 2 ? -EACCES : -EPERM);
      assert_non_null(strstr(err.message, t < 2 ? expected[i].message : "role"));
      assert_non_null(strstr(err.hint, expected[i].hint));
      assert_true(i == 0 || strstr(err.hint, "admin") == NULL);
      http_answer_free(&answer);
      http_client_free(client);
    }
  }
  http_server_stop(server);
}

static void
test_a_revoked_token_is_let_in_for_a_second_at_most(void **state)
{
  struct test_database *database = *state;
  char url[64];
  int64_t identity;
  struct wish token = create_token(database, "admin", 0);
  struct http_server *server = serve(database->pool, url);
  assert_int_equal(get(url, "/api/admin", token.text, &identity), 200);
  assert_int_equal(revoke_token(database, token.role, token.id), 0);
  int64_t revoked = clock_monotonic_ms();
  while (get(url, "/api/admin", token.text, &identity) == 200) {
    assert_true(clock_monotonic_ms() < revoked + 20000);
    clock_sleep_ms(20);
  }
  assert_int_equal(get(url, "/api/admin", token.text, &identity), 401);
  http_server_stop(server);
}

/* The challenge and the scheme's case, which our own client does not show. */
static void
test_the_challenge_and_the_scheme(void **state)
{
  struct test_database *database = *state;
  char url[64];
  struct wish token = create_token(database, "admin", 0);
  struct http_server *server = serve(database->pool, url);
  CLEANUP_FREE char *target = mem_printf("%s/api/admin", url);
  CLEANUP_FREE char *lower = mem_printf("authorization: bearer %s", token.text);
  static const char dead[] = "Authorization: Bearer panoply_admin_"
                             "0000000000000000000000000000000000000000000000000000000000000000";
  const struct
  {
    const char *header;
    const char *expected;
  } cases[] = {
    { "X-Nothing: 1", "WWW-Authenticate: Bearer realm=\"panoply\"\r\n" },
    { dead, "WWW-Authenticate: Bearer realm=\"panoply\", error=\"invalid_token\"\r\n" },
    { "Authorization: Basic dXNlcjpwYXNz", "HTTP/1.1 401" },
    { "Authorization: Bearer", "HTTP/1.1 401" },
    { lower, "HTTP/1.1 200" },
  };
  for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
    CLEANUP_BUF struct buf output = { 0 };
    const char *argv[] = { "curl", "-si", "-H", cases[i].header, target, NULL };
    struct child_options options = CHILD_OPTIONS_INIT;
    options.argv = argv;
    assert_int_equal(child_run(&options, 30000, 65536, &output, NULL), 0);
    if (strstr(buf_text(&output), cases[i].expected) == NULL)
      fail_msg("%s: %s", cases[i].header, buf_text(&output));
    const char *challenge = strstr(buf_text(&output), "WWW-Authenticate");
    if (challenge != NULL && strstr(challenge + 1, "WWW-Authenticate") != NULL)
      fail_msg("%s: challenged twice", cases[i].header);
  }
  http_server_stop(server);
}

#define WITH_DATABASE(function) \
  cmocka_unit_test_setup_teardown(function, test_database_setup, test_database_teardown)

int
main(void)
{
  const struct CMUnitTest tests[] = {
    WITH_DATABASE(test_a_token_lives_until_it_is_revoked),
    WITH_DATABASE(test_a_token_expires),
    WITH_DATABASE(test_what_is_no_token_is_refused),
    WITH_DATABASE(test_only_the_digest_is_kept),
    WITH_DATABASE(test_an_unknown_role_is_refused),
    WITH_DATABASE(test_the_first_start_makes_tokens_that_last),
    WITH_DATABASE(test_the_guard_lets_roles_do_what_they_may),
    WITH_DATABASE(test_refusals_name_the_token_that_is_wanted),
    WITH_DATABASE(test_a_revoked_token_is_let_in_for_a_second_at_most),
    WITH_DATABASE(test_the_challenge_and_the_scheme),
  };
  return cmocka_run_group_tests(tests, NULL, test_cluster_teardown);
}
