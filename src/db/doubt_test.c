/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Commits whose answer is lost: between libpq and a real server stands a relay that
   cuts the line at COMMIT, before or after the server had it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
/* cmocka needs the three above first. */
#include <cmocka.h>

#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "db/db_private.h"
#include "db/test_cluster.h"

#define SOCKET_NAME "/.s.PGSQL.5432"

struct relay
{
  struct test_database *database;
  struct db_pool *pool; /* of connections through the relay */
  char folder[32];
  struct sockaddr_un server;
  int listener;
  bool deliver;    /* the COMMIT that is cut off: to the server all the same */
  atomic_int cuts; /* still to come */
  pthread_t thread;
  int tries; /* of the body */
};

/* ---- the relay ---- */

/* Passes on what can be read; false at the end. */
static bool
pass(int from, int to, char *ret_text, size_t size)
{
  ssize_t got = read(from, ret_text, size - 1);
  if (got <= 0)
    return false;
  ret_text[got] = '\0';
  return to < 0 || write(to, ret_text, (size_t) got) == got;
}

/* The client's messages here are short: each comes whole, its text from the sixth byte. */
static bool
is_commit(int client)
{
  char text[64];
  ssize_t got = recv(client, text, sizeof text, MSG_PEEK);
  return got > 11 && memcmp(text + 5, "COMMIT", 6) == 0;
}

static void
cut(struct relay *relay, int client, int server)
{
  char text[4096];
  relay->cuts--;
  pass(client, relay->deliver ? server : -1, text, sizeof text);
  if (relay->deliver)
    pass(server, -1, text, sizeof text);
}

static void
relay_one(struct relay *relay, int client)
{
  CLEANUP_FD int server = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  char text[4096];
  struct pollfd watch[] = { { .fd = client, .events = POLLIN },
                            { .fd = server, .events = POLLIN } };
  bool open = connect(server, (struct sockaddr *) &relay->server, sizeof relay->server) == 0;
  while (open && poll(watch, 2, -1) > 0) {
    if (watch[0].revents != 0 && relay->cuts > 0 && is_commit(client)) {
      cut(relay, client, server);
      return;
    }
    if (watch[0].revents != 0)
      open = pass(client, server, text, sizeof text);
    else if (watch[1].revents != 0)
      open = pass(server, client, text, sizeof text);
  }
}

/* One connection after another, until the listener is shut down. */
static void *
relay_main(void *context)
{
  struct relay *relay = context;
  for (;;) {
    CLEANUP_FD int client = accept4(relay->listener, NULL, NULL, SOCK_CLOEXEC);
    if (client < 0)
      return NULL;
    relay_one(relay, client);
  }
}

/* ---- a test's surroundings ---- */

static void
listen_in(struct relay *relay)
{
  struct sockaddr_un address = { .sun_family = AF_UNIX };
  snprintf(address.sun_path, sizeof address.sun_path, "%s" SOCKET_NAME, relay->folder);
  relay->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  assert_int_equal(bind(relay->listener, (struct sockaddr *) &address, sizeof address), 0);
  assert_int_equal(listen(relay->listener, 4), 0);
}

static int
set_up(void **state)
{
  static const char tables[] = "CREATE TABLE item (name text NOT NULL)";
  struct relay *relay = mem_alloc(sizeof *relay);
  relay->database = test_database_new();
  struct db *db = NULL;
  assert_int_equal(db_open(relay->database->uri, &db, NULL), 0);
  assert_int_equal(db_command(db, tables, "tables", NULL), 0);
  relay->server.sun_family = AF_UNIX;
  snprintf(relay->server.sun_path, sizeof relay->server.sun_path, "%s" SOCKET_NAME,
           PQhost(db->connection));
  snprintf(relay->folder, sizeof relay->folder, "/tmp/relay-XXXXXX");
  assert_non_null(mkdtemp(relay->folder));
  CLEANUP_FREE char *uri = mem_printf("postgresql:///%s?user=%s&port=5432&host=%s",
                                      PQdb(db->connection), PQuser(db->connection), relay->folder);
  db_close(db);
  listen_in(relay);
  relay->pool = db_pool_new(uri, 1);
  *state = relay;
  return -pthread_create(&relay->thread, NULL, relay_main, relay);
}

static int
tear_down(void **state)
{
  struct relay *relay = *state;
  db_pool_free(relay->pool);
  shutdown(relay->listener, SHUT_RDWR);
  pthread_join(relay->thread, NULL);
  close(relay->listener);
  file_remove_tree(relay->folder, NULL);
  test_database_free(relay->database);
  free(relay);
  return 0;
}

/* A write that shows how often it was done. */
static int
put_item(struct db *db, void *context, struct error *err)
{
  struct relay *relay = context;
  relay->tries++;
  int r = db_command(db, "INSERT INTO item VALUES ('one')", "item", err);
  return r < 0 ? r : 7;
}

static int
count_items(struct db *db, void *context, struct error *err)
{
  (void) context;
  (void) err;
  PGresult *result = PQexec(db->connection, "SELECT count(*) FROM item");
  assert_int_equal(PQresultStatus(result), PGRES_TUPLES_OK);
  int count = PQgetvalue(result, 0, 0)[0] - '0';
  PQclear(result);
  return count;
}

static void
put_through(struct relay *relay)
{
  struct error err = { 0 };
  if (db_pool_run(relay->pool, DB_WRITE, put_item, relay, &err) != 7)
    fail_msg("%s", err.message);
  assert_int_equal(relay->cuts, 0);
  assert_int_equal(db_pool_run(relay->pool, DB_READ, count_items, NULL, &err), 1);
}

/* ---- tests ---- */

static void
test_what_was_committed_is_not_done_again(void **state)
{
  struct relay *relay = *state;
  relay->cuts = 1;
  relay->deliver = true;
  put_through(relay);
  assert_int_equal(relay->tries, 1);
}

static void
test_what_was_not_committed_is_done_again(void **state)
{
  struct relay *relay = *state;
  relay->cuts = 2;
  put_through(relay);
  assert_int_equal(relay->tries, 3);
}

int
main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test_setup_teardown(test_what_was_committed_is_not_done_again, set_up, tear_down),
    cmocka_unit_test_setup_teardown(test_what_was_not_committed_is_done_again, set_up, tear_down),
  };
  return cmocka_run_group_tests(tests, NULL, test_cluster_teardown);
}
