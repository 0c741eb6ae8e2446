/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Making a connection, and saying in one line why it could not be made. Never
   shows the URI: it may hold a password. */
#include <errno.h>
#include <string.h>

#include "base/clock.h"
#include "base/compiler.h"
#include "base/thread.h"
#include "db/db_private.h"

#define PATIENCE_MS 10000
#define OLDEST_VERSION 150000

/* What makes sessions alike whatever the server's own settings are. A
   transaction that idles holds back vacuum and the feed of events. A client whose
   host lost its power says no farewell: the server must find out by itself, in
   some 25 seconds, or a dead scheduler's session keeps the lock for hours. (Unix
   sockets take these settings too, and ignore them.) */
static const char session_settings[] = "SET TimeZone = 'UTC';"
                                       "SET DateStyle = 'ISO, YMD';"
                                       "SET tcp_keepalives_idle = 10;"
                                       "SET tcp_keepalives_interval = 5;"
                                       "SET tcp_keepalives_count = 3;"
                                       "SET tcp_user_timeout = 20000;"
                                       "SET idle_in_transaction_session_timeout = '5min'";

/* The first that fits the server's or libpq's words decides. */
static const struct
{
  const char *part;
  bool hopeless; /* trying again is of no use */
  const char *hint;
} causes[] = {
  { "starting up", false, "it is starting: wait a moment" },
  { "not yet accepting", false, "it is starting: wait a moment" },
  { "shutting down", false, "it is stopping: start it again" },
  { "recovery", false, "it is recovering: wait a moment" },
  { "too many", false, "raise max_connections there or lower Panoply's pool" },
  { "connection slots", false, "raise max_connections there or lower Panoply's pool" },
  { "password", true, "check the password in --database, PGPASSWORD or ~/.pgpass" },
  { "no pg_hba.conf entry", true, "allow the connection in the server's pg_hba.conf" },
  { "Peer authentication", true, "name the right role in --database, or change pg_hba.conf" },
  { "role \"", true, "make the role (createuser) or name another in --database" },
  { "database \"", true, "make the database (createdb) or name another in --database" },
  { "could not translate host name", false, "check the host name in --database" },
  { "Connection refused", false,
    "check that PostgreSQL runs there, and the host and port in --database" },
  { "No such file", false, "check that PostgreSQL runs, and the socket folder in --database" },
  { "Permission denied", true, "let this account into the folder of the socket" },
  { "timeout", false, "check the network and the host in --database" },
  { "FATAL:", true, "see the log of the PostgreSQL server" },
};

/* libpq says it in several lines, the first being the cause. */
static int
refused(PGconn *connection, struct error *err)
{
  const char *text = PQerrorMessage(connection);
  int size = (int) strcspn(text, "\n");
  for (size_t i = 0; i < ARRAY_SIZE(causes); i++) {
    const char *at = strstr(text, causes[i].part);
    if (at == NULL || at > text + size)
      continue;
    error_set(err, causes[i].hopeless ? -DB_ERROR_FAILED : -DB_ERROR_LOST,
              "the database cannot be reached: %.*s", size, text);
    error_hint(err, "%s", causes[i].hint);
    return causes[i].hopeless ? -DB_ERROR_FAILED : -DB_ERROR_LOST;
  }
  error_set(err, -DB_ERROR_LOST, "the database cannot be reached: %.*s", size, text);
  error_hint(err, "check --database and the network");
  return -DB_ERROR_LOST;
}

/* libpq's own message about a bad URI quotes from it. */
static int
check_uri(const char *uri, struct error *err)
{
  char *message = NULL;
  PQconninfoOption *options = PQconninfoParse(uri, &message);
  bool valid = options != NULL;
  PQconninfoFree(options);
  PQfreemem(message);
  if (valid)
    return 0;
  error_set(err, -DB_ERROR_FAILED, "the URI of the database is not valid");
  error_hint(err, "write it as postgresql://ROLE@HOST:PORT/NAME, special characters as %%XX");
  return -DB_ERROR_FAILED;
}

static int
check_version(PGconn *connection, struct error *err)
{
  int version = PQserverVersion(connection);
  if (version >= OLDEST_VERSION)
    return 0;
  error_set(err, -ENOTSUP, "the database runs PostgreSQL %d, Panoply needs %d or newer",
            version / 10000, OLDEST_VERSION / 10000);
  error_hint(err, "upgrade the server (pg_upgrade), or give another --database");
  return -ENOTSUP;
}

/* A store path is ASCII, but names of agents and messages of commits are not: a
   database of another encoding fails at the first that it cannot hold. */
static int
check_encoding(PGconn *connection, struct error *err)
{
  const char *encoding = PQparameterStatus(connection, "server_encoding");
  if (encoding == NULL || strcmp(encoding, "UTF8") == 0) /* NULL: a pooler that does not tell */
    return 0;
  error_set(err, -ENOTSUP, "the encoding of the database is %s, Panoply needs UTF8", encoding);
  error_hint(err, "make another: CREATE DATABASE name TEMPLATE template0 ENCODING 'UTF8' "
                  "LOCALE 'C'");
  return -ENOTSUP;
}

static void
ignore_notice(void *context, const PGresult *result)
{
  (void) context;
  (void) result;
}

static PGconn *
start_connection(const char *uri)
{
  /* What the URI says itself comes last and wins. */
  static const char *const names[] = { "fallback_application_name",
                                       "client_encoding",
                                       "connect_timeout",
                                       "keepalives_idle",
                                       "keepalives_interval",
                                       "keepalives_count",
                                       "tcp_user_timeout",
                                       "dbname",
                                       NULL };
  const char *timeout =
      thread_may_sit_out_outages() ? "10" : "2"; /* seconds; libpq takes no less */
  const char *values[] = { "panoply", "UTF8", timeout, "10", "5", "3", "20000", uri, NULL };
  PGconn *connection = PQconnectdbParams(names, values, 1);
  (void) PQsetNoticeReceiver(connection, ignore_notice, NULL);
  return connection;
}

int
db_connect(struct db *db, struct error *err)
{
  db_lose(db);
  int r = check_uri(db->uri, err);
  if (r < 0)
    return r;
  db->connection = start_connection(db->uri);
  if (PQstatus(db->connection) != CONNECTION_OK)
    r = refused(db->connection, err);
  if (r == 0)
    r = check_version(db->connection, err);
  if (r == 0)
    r = check_encoding(db->connection, err);
  if (r == 0)
    r = db_command(db, session_settings, "setting up the session", err);
  if (r < 0)
    db_lose(db);
  return r;
}

int
db_ready_patiently(struct db *db, struct error *err)
{
  int64_t deadline = clock_monotonic_ms() + PATIENCE_MS;
  int64_t pause = 50;
  for (;;) {
    int r = db_ready(db, err);
    if (r != -DB_ERROR_LOST || db->in_transaction || db->holds_lock)
      return r;
    if (clock_monotonic_ms() + pause > deadline)
      return r;
    clock_sleep_ms(pause);
    pause = pause < 1000 ? pause * 2 : 1000;
  }
}
