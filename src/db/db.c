/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A connection's life, and the transaction runner. */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "db/db_private.h"

/* Before the second, third ... try of a transaction; each is drawn out at
   random by up to a half, so that rivals do not meet again. */
static const int64_t retry_pauses_ms[] = { 5, 25, 100, 400, 1000, 2000, 4000 };

static const char *const begin_commands[] = {
  [DB_READ] = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",
  [DB_WRITE] = "BEGIN ISOLATION LEVEL READ COMMITTED",
};

/* ---- opening and losing ---- */

struct db *
db_new(const char *uri)
{
  struct db *db = mem_alloc(sizeof *db);
  db->uri = mem_strdup(uri);
  return db;
}

int
db_open(const char *uri, struct db **ret, struct error *err)
{
  struct db *db = db_new(uri);
  int r = db_connect(db, err);
  if (r < 0) {
    db_close(db);
    return r;
  }
  *ret = db;
  return 0;
}

void
db_lose(struct db *db)
{
  PQfinish(db->connection);
  db->connection = NULL;
  db->in_pipeline = false;
  db->copy_active = false;
  db_statements_forget(db);
}

void
db_close(struct db *db)
{
  if (db == NULL)
    return;
  db_lose(db);
  free(db->queue);
  free(db->uri);
  free(db);
}

/* An idle connection that the server has closed is readable: its farewell
   first, then the end. Costs one poll when nothing came. */
static bool
closed_while_idle(struct db *db)
{
  for (int i = 0; i < 16; i++) {
    struct pollfd watch = { .fd = PQsocket(db->connection), .events = POLLIN };
    if (poll(&watch, 1, 0) <= 0)
      return false;
    if (PQconsumeInput(db->connection) == 0 || PQstatus(db->connection) != CONNECTION_OK)
      return true;
  }
  return false;
}

static bool
is_usable(struct db *db)
{
  if (db->connection == NULL || PQstatus(db->connection) != CONNECTION_OK)
    return false;
  return db->in_transaction || db->in_pipeline || !closed_while_idle(db);
}

int
db_ready(struct db *db, struct error *err)
{
  if (is_usable(db))
    return 0;
  db_lose(db);
  if (db->in_transaction)
    return error_set(err, -DB_ERROR_LOST, "the connection to the database was lost");
  if (db->holds_lock)
    return error_set(err, -DB_ERROR_LOST,
                     "the connection to the database was lost, and the lock it held with it");
  return db_connect(db, err);
}

int
db_command(struct db *db, const char *text, const char *what, struct error *err)
{
  PGresult *result = PQexec(db->connection, text);
  int r = PQresultStatus(result) == PGRES_COMMAND_OK ? 0 : db_error_set(db, result, what, err);
  PQclear(result);
  return r;
}

/* ---- transactions ---- */

bool
db_in_transaction(const struct db *db)
{
  return db->in_transaction;
}

/* The server answers COMMIT of a failed transaction with ROLLBACK: then the
   body swallowed an error, and nothing was written. */
static int
commit(struct db *db, struct error *err)
{
  PGresult *result = PQexec(db->connection, "COMMIT");
  int r = 0;
  if (PQresultStatus(result) != PGRES_COMMAND_OK)
    r = db_error_set(db, result, "cannot commit", err);
  else if (strcmp(PQcmdStatus(result), "COMMIT") != 0)
    r = error_set(err, -DB_ERROR_FAILED,
                  "nothing was committed: a statement failed and its error was not passed on");
  PQclear(result);
  return r;
}

/* What the body left half-done (a pipeline, a COPY) is ended by ending the
   session; the server rolls back. */
static void
roll_back(struct db *db)
{
  bool clean = db->connection != NULL && !db->in_pipeline && !db->copy_active
               && PQtransactionStatus(db->connection) != PQTRANS_ACTIVE;
  if (!clean || db_command(db, "ROLLBACK", "rolling back", NULL) < 0)
    db_lose(db);
}

static int
check_closed(const struct db *db, struct error *err)
{
  if (!db->in_pipeline && !db->copy_active)
    return 0;
  return error_set(err, -EINVAL, "a transaction ended with an open %s",
                   db->in_pipeline ? "pipeline" : "COPY");
}

static int
run_once(struct db *db, enum db_mode mode, db_body *body, void *context, struct error *err)
{
  int r = db_ready(db, err);
  if (r == 0)
    r = db_command(db, begin_commands[mode], "cannot begin a transaction", err);
  if (r < 0)
    return r;
  db->in_transaction = true;
  int result = body(db, context, err);
  r = result < 0 ? result : check_closed(db, err);
  if (r >= 0)
    r = commit(db, err);
  if (r < 0)
    roll_back(db);
  db->in_transaction = false;
  return r < 0 ? r : result;
}

static bool
is_worth_retrying(const struct db *db, int r)
{
  return r == -DB_ERROR_CONFLICT || (r == -DB_ERROR_LOST && !db->holds_lock);
}

static void
pause_before_retry(int64_t pause)
{
  unsigned char random;
  file_random(&random, sizeof random);
  clock_sleep_ms(pause + pause * random / 512);
}

int
db_run(struct db *db, enum db_mode mode, db_body *body, void *context, struct error *err)
{
  if (db->in_transaction)
    return error_set(err, -EINVAL, "a transaction is open already on this connection");
  int r = run_once(db, mode, body, context, err);
  for (size_t i = 0; is_worth_retrying(db, r) && i < ARRAY_SIZE(retry_pauses_ms); i++) {
    pause_before_retry(retry_pauses_ms[i]);
    r = run_once(db, mode, body, context, err);
  }
  return r;
}
