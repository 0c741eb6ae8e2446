/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Pipelines: what is queued is answered in the same order. A statement that is
   not prepared yet is prepared in the pipeline too; it counts as prepared from
   then on, unless its answer says otherwise. */
#include <errno.h>

#include "base/mem.h"
#include "base/thread.h"
#include "db/bind.h"
#include "db/db_private.h"
#include "db/statement.h"

struct db_queued
{
  const struct db_statement *statement;
  bool is_prepare; /* else an execution */
};

static int64_t
key_of(const struct db_statement *statement)
{
  return (int64_t) (intptr_t) statement;
}

static void
enqueue(struct db *db, const struct db_statement *statement, bool is_prepare)
{
  mem_grow(&db->queue, &db->queue_capacity, db->queue_count + 1, sizeof *db->queue);
  db->queue[db->queue_count++] = (struct db_queued) { statement, is_prepare };
}

int
db_pipeline_begin(struct db *db, struct error *err)
{
  int r = db_ready(db, err);
  if (r < 0)
    return r;
  if (!db->in_transaction || db->in_pipeline || db->copy_active)
    return error_set(err, -EBUSY,
                     "a pipeline can begin only in a transaction, and with no other "
                     "pipeline or COPY open");
  if (PQenterPipelineMode(db->connection) == 0)
    return db_error_set(db, NULL, "pipeline", err);
  db->in_pipeline = true;
  db->queue_count = 0;
  db->send_code = 0;
  return 0;
}

static int
send_prepare(struct db *db, const struct db_statement *statement, struct error *err)
{
  if (int_map_get(&db->prepared, key_of(statement)) != NULL)
    return 0;
  if (PQsendPrepare(db->connection, statement->name, statement->text, 0, NULL) == 0)
    return db_error_set(db, NULL, statement->name, err);
  int_map_put(&db->prepared, key_of(statement), (void *) (intptr_t) statement);
  enqueue(db, statement, true);
  return 0;
}

static int
send_execution(struct db *db, const struct db_statement *statement, const struct db_value *values,
               struct error *err)
{
  CLEANUP_BINDING struct binding binding = { 0 };
  int r = binding_fill(&binding, statement, values, err);
  if (r < 0)
    return r;
  r = send_prepare(db, statement, err);
  if (r < 0)
    return r;
  if (PQsendQueryPrepared(db->connection, statement->name, statement->parameters_count,
                          binding.values, binding.lengths, binding.formats, 1)
      == 0)
    return db_error_set(db, NULL, statement->name, err);
  thread_count_statement();
  enqueue(db, statement, false);
  return 0;
}

int
db_statement_send(struct db *db, const struct db_statement *statement,
                  const struct db_value *values, struct error *err)
{
  if (!db->in_pipeline)
    return error_set(err, -EBUSY, "%s: no pipeline is open", statement->name);
  if (db->send_code < 0)
    return error_set(err, db->send_code, "%s: an earlier statement could not be sent",
                     statement->name);
  db->send_code = send_execution(db, statement, values, err);
  return db->send_code;
}

/* Reads one answer and the NULL that libpq puts behind it. */
static int
take_answer(struct db *db, const struct db_queued *queued, struct error *err)
{
  int r = 0;
  PGresult *result = PQgetResult(db->connection);
  ExecStatusType status = PQresultStatus(result);
  if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK) {
    r = db_error_set(db, result, queued->statement->name, err);
    if (queued->is_prepare)
      int_map_remove(&db->prepared, key_of(queued->statement));
  }
  if (result != NULL)
    PQclear(PQgetResult(db->connection));
  PQclear(result);
  return r;
}

/* The first error is the one that tells; those after it only say "aborted". */
static int
take_answers(struct db *db, struct error *err)
{
  int first = 0;
  for (size_t i = 0; i < db->queue_count; i++) {
    int r = take_answer(db, &db->queue[i], first == 0 ? err : NULL);
    if (first == 0)
      first = r;
    if (r == -DB_ERROR_LOST)
      return first;
  }
  PQclear(PQgetResult(db->connection)); /* of the sync itself */
  return first;
}

int
db_pipeline_end(struct db *db, struct error *err)
{
  if (!db->in_pipeline)
    return error_set(err, -EBUSY, "no pipeline is open");
  int r;
  if (PQpipelineSync(db->connection) == 0)
    r = db_error_set(db, NULL, "pipeline", err);
  else
    r = take_answers(db, err);
  db->in_pipeline = false;
  db->queue_count = 0;
  if (PQexitPipelineMode(db->connection) == 0 && r == 0)
    r = db_error_set(db, NULL, "pipeline", err);
  if (r == 0 && db->send_code < 0)
    r = error_set(err, db->send_code, "a statement of the pipeline could not be sent");
  return r;
}
