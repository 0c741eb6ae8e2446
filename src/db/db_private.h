/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Inside the db room only: what a connection is. db.c owns opening, losing and
   transactions; statement.c, pipeline.c and copy.c use it to speak. */
#pragma once

#include <libpq-fe.h>
#include <stdbool.h>

#include "base/buf.h"
#include "base/map.h"
#include "db/db.h"

struct db_statement;

struct db
{
  PGconn *connection; /* NULL after a loss, until db_ready */
  char *uri;
  bool in_transaction;
  bool in_pipeline;
  bool holds_lock; /* notify.c: a session lock must never be lost unnoticed */

  /* statement.c: what this session has prepared, by the statement's address. */
  struct int_map prepared;

  /* pipeline.c: what was queued and not yet answered, oldest first. */
  struct db_queued *queue;
  size_t queue_count;
  size_t queue_capacity;
  int send_code;    /* first error while queueing; told again by db_pipeline_end */
  bool copy_active; /* copy.c: a COPY is open */
};

/* db.c: a connection that is not made yet; db_close frees it. */
struct db *db_new(const char *uri);

/* db.c: drops the connection, and all that hung on the session. */
void db_lose(struct db *db);

/* db.c: one command without parameters or rows (BEGIN, LISTEN, a migration). */
int db_command(struct db *db, const char *text, const char *what, struct error *err);

/* connect.c: one attempt to connect. -DB_ERROR_LOST when another may succeed,
   -DB_ERROR_FAILED or -ENOTSUP when it is of no use. */
int db_connect(struct db *db, struct error *err);

/* connect.c: db_ready, tried again for ten seconds while there is hope. */
int db_ready_patiently(struct db *db, struct error *err);

/* db.c: it is connected, as far as one can tell without asking the server. */
bool db_is_usable(struct db *db);

/* db.c: makes the connection usable: outside a transaction it reconnects after
   a loss; inside one a lost connection is -DB_ERROR_LOST. Called first by
   everything that sends. */
int db_ready(struct db *db, struct error *err);

/* statement.c: the session is gone, and its prepared statements with it; the
   queue of a pipeline too. For db.c after a reconnect and before freeing. */
void db_statements_forget(struct db *db);

/* statement.c: sets ERR from RESULT (NULL = the connection's own message),
   "WHAT: what the server said (detail)", and returns the negative DB_ERROR_*
   of its SQLSTATE; a broken connection is always -DB_ERROR_LOST. */
int db_error_set(struct db *db, const PGresult *result, const char *what, struct error *err);
