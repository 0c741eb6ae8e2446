/* SPDX-License-Identifier: GPL-3.0-or-later */
/* NOTIFY, LISTEN and session locks: what belongs to a session and not to a
   transaction. */
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "db/db_private.h"

/* A lower-case identifier needs no quoting. */
static int
check_channel(const char *channel, struct error *err)
{
  size_t size = strlen(channel);
  if (size > 0 && size < 64 && strspn(channel, "abcdefghijklmnopqrstuvwxyz_") == size)
    return 0;
  return error_set(err, -EINVAL, "not a channel's name: %s", channel);
}

static int
channel_command(struct db *db, const char *verb, const char *channel, struct error *err)
{
  char text[80];
  int r = check_channel(channel, err);
  if (r == 0)
    r = db_ready(db, err);
  if (r < 0)
    return r;
  snprintf(text, sizeof text, "%s %s", verb, channel);
  return db_command(db, text, text, err);
}

int
db_notify(struct db *db, const char *channel, struct error *err)
{
  if (db->in_transaction)
    return error_set(err, -EINVAL, "NOTIFY inside a transaction would hold up others' commits");
  return channel_command(db, "NOTIFY", channel, err);
}

int
db_listen(struct db *db, const char *channel, struct error *err)
{
  return channel_command(db, "LISTEN", channel, err);
}

/* Takes all that have arrived. */
static bool
take_notifications(struct db *db)
{
  bool any = false;
  PGnotify *notification;
  while ((notification = PQnotifies(db->connection)) != NULL) {
    PQfreemem(notification);
    any = true;
  }
  return any;
}

/* 1 = the server sent something, 0 = time is up or the wake descriptor spoke. */
static int
wait_readable(struct db *db, int64_t deadline, int wake_fd)
{
  struct pollfd watch[] = {
    { .fd = PQsocket(db->connection), .events = POLLIN },
    { .fd = wake_fd, .events = POLLIN },
  };
  for (;;) {
    int64_t left = deadline - clock_monotonic_ms();
    int ready = poll(watch, 2, deadline < 0 ? -1 : left > 0 ? (int) left : 0);
    if (ready >= 0 || errno != EINTR)
      return watch[0].revents != 0;
  }
}

int
db_wait(struct db *db, int timeout_ms, int wake_fd, struct error *err)
{
  int64_t deadline = timeout_ms < 0 ? -1 : clock_monotonic_ms() + timeout_ms;
  if (db->connection == NULL)
    return error_set(err, -DB_ERROR_LOST, "the connection to the database was lost");
  while (!take_notifications(db)) {
    if (wait_readable(db, deadline, wake_fd) == 0)
      return 0;
    if (PQconsumeInput(db->connection) == 0 || PQstatus(db->connection) != CONNECTION_OK) {
      db_lose(db);
      return error_set(err, -DB_ERROR_LOST, "the connection to the database was lost");
    }
  }
  return 1;
}

/* After a loss, asking for the lock is what makes a new session. */
static int
ready_to_lock(struct db *db, struct error *err)
{
  int r = db_ready(db, err);
  if (r != -DB_ERROR_LOST || !db->holds_lock || db->in_transaction)
    return r;
  db->holds_lock = false;
  return db_ready(db, err);
}

int
db_try_lock(struct db *db, int64_t key, struct error *err)
{
  char text[32];
  snprintf(text, sizeof text, "%" PRId64, key);
  const char *const values[] = { text };
  bool held = db->holds_lock;
  int r = ready_to_lock(db, err);
  if (r < 0) {
    db->holds_lock = held; /* still lost, and to be asked for again */
    return r;
  }
  PGresult *result = PQexecParams(db->connection, "SELECT pg_try_advisory_lock($1::bigint)", 1,
                                  NULL, values, NULL, NULL, 0);
  if (PQresultStatus(result) == PGRES_TUPLES_OK)
    r = strcmp(PQgetvalue(result, 0, 0), "t") == 0;
  else
    r = db_error_set(db, result, "cannot take a lock", err);
  PQclear(result);
  db->holds_lock |= r == 1 || (r < 0 && held);
  return r;
}
