/* SPDX-License-Identifier: GPL-3.0-or-later */
/* PostgreSQL for all rooms: connections, transactions, bulk loading. SQL text
   never appears in C: statements live in `.sql` files and the generator turns
   each into a typed function over this header (doc/statements.md). */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/error.h"
#include "base/str.h"

/* Error codes besides errno values, returned negated like those. */
#define DB_ERROR_LOST ERROR_UNAVAILABLE /* connection lost; outcome of a commit unknown */
#define DB_ERROR_CONFLICT 1002          /* serialization failure or deadlock: retry */
#define DB_ERROR_UNIQUE 1003            /* unique or exclusion constraint violated */
#define DB_ERROR_CONSTRAINT 1004        /* check, foreign key or not-null violated */
#define DB_ERROR_FAILED 1005            /* any other error of the server */

/* One connection with its prepared statements. Used by one thread at a time.
   Reconnects by itself when used outside a transaction after a loss. */
struct db;

/* A bounded set of connections to one database. Thread-safe. */
struct db_pool;

/* URI: anything that libpq takes. Makes no connection yet. MAXIMUM >= 1. */
struct db_pool *db_pool_new(const char *uri, int maximum);
void db_pool_free(struct db_pool *pool); /* all must have been put back */

/* Takes a connection out, connecting if needed. While all are out it waits for
   one, at most 30 seconds: -EBUSY. -DB_ERROR_LOST when the server cannot be
   reached within ten seconds, -DB_ERROR_FAILED when it refuses us for good. On a
   thread that must not wait (base/thread.h) it waits for a second at most for one,
   and tries once to reach the server. */
int db_pool_get(struct db_pool *pool, struct db **ret, struct error *err);
void db_pool_put(struct db_pool *pool, struct db *db); /* NULL is fine */

/* A connection outside any pool (LISTEN, advisory locks held for long). One
   attempt. */
int db_open(const char *uri, struct db **ret, struct error *err);
void db_close(struct db *db);

/* ---- transactions ---- */

/* The body of a transaction. Returns 0 to commit, negative to roll back (with
   ERR set). It may be run again from the start after a conflict or a lost
   connection, so it must have no effect but through DB. Never once it was
   committed: when the answer to COMMIT is lost, the server is asked what became of
   the transaction (save on a connection that holds a lock, where db_run returns
   -DB_ERROR_LOST at once and its caller must find out). */
typedef int db_body(struct db *db, void *context, struct error *err);

enum db_mode
{
  DB_READ,  /* read only, repeatable read: one snapshot */
  DB_WRITE, /* read committed */
};

/* Begins, calls, commits; retries conflicts and lost connections with growing
   pauses (at most 8 tries, about 10 seconds in all; on a thread that must not wait
   a loss is tried again once, a conflict for half a second). Returns what the body
   returned, or why it could not be committed. */
int db_run(struct db *db, enum db_mode mode, db_body *body, void *context, struct error *err);

/* db_run on a connection of the pool. */
int db_pool_run(struct db_pool *pool, enum db_mode mode, db_body *body, void *context,
                struct error *err);

bool db_in_transaction(const struct db *db);

/* ---- values of generated statements ---- */

/* Arrays as parameters and columns; items are not owned (columns: in the
   arena of the call). NULL elements are not supported. */
struct db_i64s
{
  const int64_t *items;
  size_t count;
};
struct db_i32s
{
  const int32_t *items;
  size_t count;
};
struct db_i16s
{
  const int16_t *items;
  size_t count;
};
struct db_strs /* text[] and bytea[] */
{
  const struct str *items;
  size_t count;
};
struct db_bools
{
  const bool *items;
  size_t count;
};

/* ---- pipelines: many `:exec` statements, one round trip ---- */

/* Between these two, generated `NAME_send` functions queue statements; only
   db_pipeline_end tells whether all worked. Only inside db_run. */
int db_pipeline_begin(struct db *db, struct error *err);
int db_pipeline_end(struct db *db, struct error *err);

/* ---- COPY FROM STDIN, binary; rows by generated `NAME_row` functions ---- */

struct db_copy;                                           /* owned by db_copy_end / db_copy_abort */
int db_copy_end(struct db_copy *copy, struct error *err); /* rows loaded, or error */
void db_copy_abort(struct db_copy *copy);                 /* NULL is fine */

/* ---- notification ---- */

/* NOTIFY CHANNEL at once, outside any transaction. Channel: lower-case name. */
int db_notify(struct db *db, const char *channel, struct error *err);
int db_listen(struct db *db, const char *channel, struct error *err);
/* Waits until a notification comes: 1, or 0 after TIMEOUT_MS (-1 = for ever).
   Also wakes with 0 when WAKE_FD (or -1) becomes readable. -DB_ERROR_LOST when
   the connection is lost: db_listen again, then look at what you may have
   missed. */
int db_wait(struct db *db, int timeout_ms, int wake_fd, struct error *err);

/* Takes a session advisory lock without waiting: 1 = held, 0 = another has it.
   One a connection. When a connection that holds one is lost, everything on it
   fails with -DB_ERROR_LOST (nothing is retried or reconnected behind the
   holder's back) until this is called again. */
int db_try_lock(struct db *db, int64_t key, struct error *err);

/* ---- schema ---- */

/* Brings the schema to this program's version under a lock, migration by
   migration, each in a transaction; refuses a newer one (-ENOTSUP, with what to
   do). Several processes may call it at once. */
int db_migrate(const char *uri, struct error *err);

/* ---- private cluster ---- */

struct cluster;

/* Makes (first time) and starts a PostgreSQL cluster in FOLDER (mode 0700),
   Unix socket in FOLDER/socket only, found again and recovered after a crash of
   either; as root it runs as the account `postgres`, else as ours. Not DURABLE
   is for tests: no fsync, and it dies with the thread that started it. -EBUSY
   when another process has the folder. */
int cluster_start(const char *folder, bool durable, struct cluster **ret, struct error *err);

/* The URI for db_pool_new; owned by the cluster. */
const char *cluster_uri(const struct cluster *cluster);

/* True while the postmaster runs; cluster_restart starts it again if not. */
bool cluster_is_running(const struct cluster *cluster);
int cluster_restart(struct cluster *cluster, struct error *err);
int cluster_pid(const struct cluster *cluster);

/* Fast shutdown, waits; frees. NULL is fine. */
void cluster_stop(struct cluster *cluster);
