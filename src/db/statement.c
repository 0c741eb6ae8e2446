/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "db/statement.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>

#include "base/mem.h"
#include "base/thread.h"
#include "db/bind.h"
#include "db/db_private.h"
#include "db/value.h"

static void
clear_result(PGresult **result)
{
  PQclear(*result);
}
#define CLEANUP_RESULT PN_CLEANUP(clear_result)

/* ---- errors ---- */

/* Longest prefix first. SQLSTATE: PostgreSQL's appendix A, "Error Codes". */
static const struct
{
  const char *state;
  int code;
} error_codes[] = {
  { "40001", DB_ERROR_CONFLICT }, /* serialization_failure */
  { "40P01", DB_ERROR_CONFLICT }, /* deadlock_detected */
  { "40003", DB_ERROR_LOST },     /* statement_completion_unknown */
  { "23505", DB_ERROR_UNIQUE },   /* unique_violation */
  { "23P01", DB_ERROR_UNIQUE },   /* exclusion_violation */
  { "23", DB_ERROR_CONSTRAINT },  /* integrity constraint violation */
  { "08", DB_ERROR_LOST },        /* connection exception */
  { "57P01", DB_ERROR_LOST },     /* admin_shutdown */
  { "57P02", DB_ERROR_LOST },     /* crash_shutdown */
  { "57P03", DB_ERROR_LOST },     /* cannot_connect_now */
  { "57P05", DB_ERROR_LOST },     /* idle_session_timeout */
  { "25P03", DB_ERROR_LOST },     /* idle_in_transaction_session_timeout */
};

static int
error_code(const char *state)
{
  for (size_t i = 0; i < ARRAY_SIZE(error_codes); i++)
    if (strncmp(state, error_codes[i].state, strlen(error_codes[i].state)) == 0)
      return -error_codes[i].code;
  return -DB_ERROR_FAILED;
}

int
db_error_set(struct db *db, const PGresult *result, const char *what, struct error *err)
{
  const char *state = PQresultErrorField(result, PG_DIAG_SQLSTATE);
  bool lost = db->connection == NULL || PQstatus(db->connection) != CONNECTION_OK;
  if (state == NULL) {
    struct str said = str_trim(str_of(PQerrorMessage(db->connection)));
    return error_set(err, lost ? -DB_ERROR_LOST : -DB_ERROR_FAILED, "%s: %.*s", what,
                     STR_FMT(said));
  }
  const char *message = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
  const char *detail = PQresultErrorField(result, PG_DIAG_MESSAGE_DETAIL);
  const char *hint = PQresultErrorField(result, PG_DIAG_MESSAGE_HINT);
  int code = lost ? -DB_ERROR_LOST : error_code(state);
  if (detail == NULL)
    error_set(err, code, "%s: %s", what, message);
  else
    error_set(err, code, "%s: %s (%s)", what, message, detail);
  if (hint != NULL)
    error_hint(err, "%s", hint);
  return code;
}

/* ---- preparing and running ---- */

void
db_statements_forget(struct db *db)
{
  int_map_free(&db->prepared);
  free(db->queue);
  db->queue = NULL;
  db->queue_count = db->queue_capacity = 0;
}

static int
prepare(struct db *db, const struct db_statement *statement, struct error *err)
{
  int64_t key = (int64_t) (intptr_t) statement;
  if (int_map_get(&db->prepared, key) != NULL)
    return 0;
  CLEANUP_RESULT PGresult *result =
      PQprepare(db->connection, statement->name, statement->text, 0, NULL);
  if (PQresultStatus(result) != PGRES_COMMAND_OK)
    return db_error_set(db, result, statement->name, err);
  int_map_put(&db->prepared, key, (void *) (intptr_t) statement);
  return 0;
}

static int
run(struct db *db, const struct db_statement *statement, const struct db_value *values,
    PGresult **ret, struct error *err)
{
  int r = db_ready(db, err);
  if (r < 0)
    return r;
  if (db->in_pipeline || db->copy_active)
    return error_set(err, -EBUSY, "%s: a %s is open on this connection", statement->name,
                     db->in_pipeline ? "pipeline" : "COPY");
  CLEANUP_BINDING struct binding binding = { 0 };
  r = binding_fill(&binding, statement, values, err);
  if (r < 0)
    return r;
  r = prepare(db, statement, err);
  if (r < 0)
    return r;
  thread_count_statement();
  CLEANUP_RESULT PGresult *result =
      PQexecPrepared(db->connection, statement->name, statement->parameters_count, binding.values,
                     binding.lengths, binding.formats, 1);
  ExecStatusType status = PQresultStatus(result);
  if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK)
    return db_error_set(db, result, statement->name, err);
  *ret = TAKE_PTR(result);
  return 0;
}

/* ---- reading rows ---- */

static int
column_error(const struct db_statement *statement, const struct db_column *column, const char *what,
             struct error *err)
{
  return error_set(err, -DB_ERROR_FAILED, "%s: column %s %s", statement->name, column->name, what);
}

/* The schema may be another than the one that the program was compiled for. */
static int
check_columns(const struct db_statement *statement, const PGresult *result, struct error *err)
{
  if (PQnfields(result) != statement->columns_count)
    return error_set(err, -DB_ERROR_FAILED, "%s: %d columns came instead of %d", statement->name,
                     PQnfields(result), statement->columns_count);
  for (int i = 0; i < statement->columns_count; i++) {
    const struct db_column *column = &statement->columns[i];
    if (!db_type_matches(column->type, PQftype(result, i)))
      return error_set(err, -DB_ERROR_FAILED, "%s: column %s is not of type %s here",
                       statement->name, column->name, db_type_name(column->type));
  }
  return 0;
}

static int
read_row(const struct db_statement *statement, const PGresult *result, int row, struct arena *arena,
         char *ret, struct error *err)
{
  memset(ret, 0, statement->row_size);
  for (int i = 0; i < statement->columns_count; i++) {
    const struct db_column *column = &statement->columns[i];
    if (PQgetisnull(result, row, i)) {
      if (column->null_offset == DB_NEVER_NULL)
        return column_error(statement, column, "is NULL", err);
      *(bool *) (ret + column->null_offset) = true;
      continue;
    }
    struct str bytes = str_make(PQgetvalue(result, row, i), (size_t) PQgetlength(result, row, i));
    if (db_value_decode(column->type, bytes, arena, ret + column->offset) < 0)
      return column_error(statement, column, "has a value that cannot be read", err);
  }
  return 0;
}

/* ---- what generated functions call ---- */

/* "UPDATE 3" has 3; what affects no rows has "". */
int
db_rows_affected(PGresult *result)
{
  int64_t count;
  if (str_to_i64(str_of(PQcmdTuples(result)), &count) < 0)
    return 0;
  return count > INT_MAX ? INT_MAX : (int) count;
}

int
db_statement_exec(struct db *db, const struct db_statement *statement,
                  const struct db_value *values, struct error *err)
{
  CLEANUP_RESULT PGresult *result = NULL;
  int r = run(db, statement, values, &result, err);
  return r < 0 ? r : db_rows_affected(result);
}

int
db_statement_one(struct db *db, const struct db_statement *statement, const struct db_value *values,
                 struct arena *arena, void *row, struct error *err)
{
  CLEANUP_RESULT PGresult *result = NULL;
  int r = run(db, statement, values, &result, err);
  if (r < 0)
    return r;
  r = check_columns(statement, result, err);
  if (r < 0)
    return r;
  int count = PQntuples(result);
  if (count > 1)
    return error_set(err, -DB_ERROR_FAILED, "%s: %d rows where at most one was expected",
                     statement->name, count);
  if (count == 0)
    return 0;
  r = read_row(statement, result, 0, arena, row, err);
  return r < 0 ? r : 1;
}

int
db_statement_many(struct db *db, const struct db_statement *statement,
                  const struct db_value *values, struct arena *arena, void *ret_items,
                  size_t *ret_count, struct error *err)
{
  CLEANUP_RESULT PGresult *result = NULL;
  int r = run(db, statement, values, &result, err);
  if (r < 0)
    return r;
  r = check_columns(statement, result, err);
  if (r < 0)
    return r;
  size_t count = (size_t) PQntuples(result);
  char *rows = arena_array(arena, count, statement->row_size);
  for (size_t i = 0; i < count; i++) {
    r = read_row(statement, result, (int) i, arena, rows + i * statement->row_size, err);
    if (r < 0)
      return r;
  }
  memcpy(ret_items, &rows, sizeof rows);
  *ret_count = count;
  return 0;
}
