/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Brings a database's schema to this program's version. The database itself
   tells what was applied (table schema_migration); one session lock makes
   processes that start at once take turns. */
#include "db/migrate.h"

#include <errno.h>
#include <stdio.h>

#include "db/db_private.h"

/* The bookkeeping's own SQL: what must work before any migration did. */
static const char lock_command[] = "SELECT pg_advisory_lock(7521962015341840)";
static const char table_command[] = "CREATE TABLE IF NOT EXISTS schema_migration ("
                                    " number integer PRIMARY KEY,"
                                    " name text NOT NULL,"
                                    " applied_at timestamptz NOT NULL DEFAULT now())";
static const char list_command[] = "SELECT number, name FROM schema_migration ORDER BY number";
static const char record_command[] =
    "INSERT INTO schema_migration (number, name) VALUES ($1::integer, $2)";

struct schema
{
  struct db *db;
  const struct db_migration *migrations;
  size_t count;
  PGresult *applied; /* rows of list_command */
};

static const struct db_migration *
find_migration(const struct schema *schema, int64_t number)
{
  for (size_t i = 0; i < schema->count; i++)
    if (schema->migrations[i].number == number)
      return &schema->migrations[i];
  return NULL;
}

static bool
is_applied(const struct schema *schema, const struct db_migration *migration)
{
  int64_t number;
  for (int row = 0; row < PQntuples(schema->applied); row++)
    if (str_to_i64(str_of(PQgetvalue(schema->applied, row, 0)), &number) == 0
        && number == migration->number)
      return true;
  return false;
}

static int
query(struct db *db, const char *text, const char *what, PGresult **ret, struct error *err)
{
  PGresult *result = PQexec(db->connection, text);
  if (PQresultStatus(result) == PGRES_TUPLES_OK) {
    *ret = result;
    return 0;
  }
  int r = db_error_set(db, result, what, err);
  PQclear(result);
  return r;
}

/* ---- checks ---- */

static int
unknown_migration(const struct schema *schema, const char *name, struct error *err)
{
  const char *newest = schema->count > 0 ? schema->migrations[schema->count - 1].name : "none";
  error_set(err, -ENOTSUP,
            "the database has migration %s, which this panoply (%s, newest migration %s) does not "
            "know",
            name, PANOPLY_VERSION, newest);
  return error_hint(err, "run the panoply that upgraded the database, or a newer one; schemas are "
                         "not taken back (restore a backup for that)");
}

static int
check_applied(const struct schema *schema, struct error *err)
{
  for (int row = 0; row < PQntuples(schema->applied); row++) {
    const char *name = PQgetvalue(schema->applied, row, 1);
    int64_t number;
    if (str_to_i64(str_of(PQgetvalue(schema->applied, row, 0)), &number) < 0)
      return error_set(err, -EINVAL, "schema_migration holds a number that cannot be read");
    const struct db_migration *ours = find_migration(schema, number);
    if (ours == NULL)
      return unknown_migration(schema, name, err);
    if (strcmp(ours->name, name) != 0) {
      error_set(err, -EINVAL, "the database's migration %s is called %s in this panoply", name,
                ours->name);
      return error_hint(err, "this database belongs to another line of development: use its "
                             "panoply, or another database");
    }
  }
  return 0;
}

/* ---- applying ---- */

/* The line of MIGRATION's text that the server complained about; 0 = unknown. */
static int
error_line(const struct db_migration *migration, const PGresult *result)
{
  const char *text = PQresultErrorField(result, PG_DIAG_STATEMENT_POSITION);
  int64_t position = 0;
  if (text == NULL || str_to_i64(str_of(text), &position) < 0)
    return 0;
  int line = 1;
  for (const char *c = migration->text; *c != '\0' && position > 1; c++) {
    line += *c == '\n';
    position -= (*c & 0xc0) != 0x80; /* the server counts characters */
  }
  return line;
}

static int
execute(struct db *db, const struct db_migration *migration, struct error *err)
{
  PGresult *result = PQexec(db->connection, migration->text);
  ExecStatusType status = PQresultStatus(result);
  int r = 0;
  if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK) {
    char what[64];
    snprintf(what, sizeof what, "line %d", error_line(migration, result));
    r = db_error_set(db, result, what, err);
  } else if (PQtransactionStatus(db->connection) != PQTRANS_INTRANS)
    r = error_set(err, -EINVAL, "it ends the transaction that it runs in");
  PQclear(result);
  return r;
}

static int
record(struct db *db, const struct db_migration *migration, struct error *err)
{
  char number[16];
  snprintf(number, sizeof number, "%d", migration->number);
  const char *const values[] = { number, migration->name };
  PGresult *result = PQexecParams(db->connection, record_command, 2, NULL, values, NULL, NULL, 0);
  int r = 0;
  if (PQresultStatus(result) != PGRES_COMMAND_OK)
    r = db_error_set(db, result, "recording it", err);
  PQclear(result);
  return r;
}

static int
apply(struct db *db, const struct db_migration *migration, struct error *err)
{
  int r = db_command(db, "BEGIN", "beginning", err);
  if (r == 0)
    r = execute(db, migration, err);
  if (r == 0)
    r = record(db, migration, err);
  if (r == 0)
    r = db_command(db, "COMMIT", "committing", err);
  if (r == 0)
    return 0;
  db_lose(db); /* which rolls back */
  return error_prefix(err, "migration %s", migration->name);
}

static int
apply_missing(const struct schema *schema, struct error *err)
{
  for (size_t i = 0; i < schema->count; i++) {
    const struct db_migration *migration = &schema->migrations[i];
    if (is_applied(schema, migration))
      continue;
    int r = apply(schema->db, migration, err);
    if (r < 0)
      return r;
  }
  return 0;
}

/* The lock goes with the connection. */
static int
lock_schema(struct db *db, struct error *err)
{
  PGresult *locked = NULL;
  int r = query(db, lock_command, "waiting for another migration to end", &locked, err);
  PQclear(locked);
  return r;
}

static int
migrate(struct schema *schema, struct error *err)
{
  int r = lock_schema(schema->db, err);
  if (r == 0)
    r = db_command(schema->db, table_command, "making the table of migrations", err);
  if (r == 0)
    r = query(schema->db, list_command, "reading the table of migrations", &schema->applied, err);
  if (r < 0)
    return r;
  r = check_applied(schema, err);
  if (r == 0)
    r = apply_missing(schema, err);
  PQclear(schema->applied);
  return r;
}

int
db_migrate_by(const char *uri, const struct db_migration *migrations, size_t count,
              struct error *err)
{
  struct error own = { 0 };
  err = err != NULL ? err : &own;
  struct schema schema = { .db = db_new(uri), .migrations = migrations, .count = count };
  int r = db_ready_patiently(schema.db, err);
  if (r == 0)
    r = migrate(&schema, err);
  db_close(schema.db);
  return r < 0 ? error_prefix(err, "cannot bring the database up to date") : 0;
}

int
db_migrate(const char *uri, struct error *err)
{
  return db_migrate_by(uri, db_migrations, db_migrations_count, err);
}
