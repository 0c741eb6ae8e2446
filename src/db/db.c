/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A connection's life, and the transaction runner. */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/thread.h"
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

bool
db_is_usable(struct db *db)
{
  if (db->connection == NULL || PQstatus(db->connection) != CONNECTION_OK)
    return false;
  return db->in_transaction || db->in_pipeline || !closed_while_idle(db);
}

int
db_ready(struct db *db, struct error *err)
{
  if (db_is_usable(db))
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

/* One transaction, however often it is tried. */
struct transaction
{
  enum db_mode mode;
  db_body *body;
  void *context;
  int result;   /* the body's, of the last try */
  char xid[24]; /* of a try whose commit is in doubt; "" = none is */
};

/* What the server will be asked when the answer to COMMIT does not come. Needed by
   those alone who may try again. */
static int
note_xid(struct db *db, struct transaction *transaction, struct error *err)
{
  if (transaction->mode == DB_READ || db->holds_lock
      || PQtransactionStatus(db->connection) != PQTRANS_INTRANS)
    return 0;
  PGresult *result = PQexec(db->connection, "SELECT pg_current_xact_id_if_assigned()");
  int r = 0;
  if (PQresultStatus(result) != PGRES_TUPLES_OK)
    r = db_error_set(db, result, "cannot commit", err);
  else
    snprintf(transaction->xid, sizeof transaction->xid, "%s", PQgetvalue(result, 0, 0));
  PQclear(result);
  return r;
}

/* 1 = the try in doubt was committed, 0 = it was not. */
static int
find_outcome(struct db *db, const struct transaction *transaction, struct error *err)
{
  const char *const values[] = { transaction->xid };
  int r = db_ready(db, err);
  if (r < 0)
    return r;
  PGresult *result = PQexecParams(db->connection, "SELECT pg_xact_status($1::xid8)", 1, NULL,
                                  values, NULL, NULL, 0);
  if (PQresultStatus(result) != PGRES_TUPLES_OK)
    r = db_error_set(db, result, "cannot learn whether a transaction was committed", err);
  else if (strcmp(PQgetvalue(result, 0, 0), "in progress") == 0)
    r = error_set(err, -DB_ERROR_LOST, "it is not known yet whether a transaction was committed");
  else
    r = strcmp(PQgetvalue(result, 0, 0), "committed") == 0;
  PQclear(result);
  return r;
}

static int
run_body(struct db *db, struct transaction *transaction, struct error *err)
{
  transaction->result = transaction->body(db, transaction->context, err);
  int r = transaction->result < 0 ? transaction->result : check_closed(db, err);
  if (r >= 0)
    r = note_xid(db, transaction, err);
  if (r < 0)
    return r;
  r = commit(db, err);
  if (r != -DB_ERROR_LOST)
    transaction->xid[0] = '\0';
  return r;
}

static int
run_once(struct db *db, struct transaction *transaction, struct error *err)
{
  int r = db_ready(db, err);
  if (r == 0)
    r = db_command(db, begin_commands[transaction->mode], "cannot begin a transaction", err);
  if (r < 0)
    return r;
  db->in_transaction = true;
  r = run_body(db, transaction, err);
  if (r < 0)
    roll_back(db);
  db->in_transaction = false;
  return r < 0 ? r : transaction->result;
}

/* A try in doubt comes first: only when it was not committed there is another. */
static int
run_again(struct db *db, struct transaction *transaction, struct error *err)
{
  if (transaction->xid[0] != '\0') {
    int r = find_outcome(db, transaction, err);
    if (r != 0)
      return r < 0 ? r : transaction->result;
    transaction->xid[0] = '\0';
  }
  return run_once(db, transaction, err);
}

/* After TRIES that ended with R, the last. */
static bool
is_worth_retrying(const struct db *db, int r, size_t tries)
{
  size_t limit = ARRAY_SIZE(retry_pauses_ms);
  if (!thread_may_sit_out_outages() && r == -DB_ERROR_LOST)
    limit = 1;
  else if (!thread_may_wait())
    limit = 4;
  return tries <= limit && (r == -DB_ERROR_CONFLICT || (r == -DB_ERROR_LOST && !db->holds_lock));
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
  struct transaction transaction = { .mode = mode, .body = body, .context = context };
  int r = run_once(db, &transaction, err);
  for (size_t tries = 1; is_worth_retrying(db, r, tries); tries++) {
    pause_before_retry(retry_pauses_ms[tries - 1]);
    r = run_again(db, &transaction, err);
  }
  return r;
}
