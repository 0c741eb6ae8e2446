/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Brings a database's schema to this program's version. The database itself
   tells what was applied (table schema_migration); one session lock makes
   processes that start at once take turns. */
#include "db/migrate.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "db/db_private.h"
#include "db/db_sql.h"

#define LOCK_KEY 7521962015341840 /* of a session that migrates; any number of our own */

struct schema
{
  struct db *db;
  const struct db_migration *migrations;
  size_t count;
  struct schema_applied_rows applied;
};

static const struct db_migration *
find_migration(const struct schema *schema, int number)
{
  for (size_t i = 0; i < schema->count; i++)
    if (schema->migrations[i].number == number)
      return &schema->migrations[i];
  return NULL;
}

static bool
is_applied(const struct schema *schema, const struct db_migration *migration)
{
  for (size_t i = 0; i < schema->applied.count; i++)
    if (schema->applied.items[i].number == migration->number)
      return true;
  return false;
}

/* ---- checks ---- */

static int
unknown_migration(const struct schema *schema, struct str name, struct error *err)
{
  const char *newest = schema->count > 0 ? schema->migrations[schema->count - 1].name : "none";
  error_set(
      err, -ENOTSUP,
      "the database has migration %.*s, which this panoply (%s, newest migration %s) does not "
      "know",
      STR_FMT(name), PANOPLY_VERSION, newest);
  return error_hint(err, "run the panoply that upgraded the database, or a newer one; schemas are "
                         "not taken back (restore a backup for that)");
}

static int
check_applied(const struct schema *schema, struct error *err)
{
  for (size_t i = 0; i < schema->applied.count; i++) {
    const struct schema_applied_row *row = &schema->applied.items[i];
    const struct db_migration *ours = find_migration(schema, row->number);
    if (ours == NULL)
      return unknown_migration(schema, row->name, err);
    if (str_equal(row->name, str_of(ours->name)))
      continue;
    error_set(err, -EINVAL, "the database's migration %.*s is called %s in this panoply",
              STR_FMT(row->name), ours->name);
    return error_hint(err, "this database belongs to another line of development: use its "
                           "panoply, or another database");
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
    char what[64] = "it cannot be applied";
    int line = error_line(migration, result);
    if (line > 0)
      snprintf(what, sizeof what, "line %d", line);
    r = db_error_set(db, result, what, err);
  } else if (PQtransactionStatus(db->connection) != PQTRANS_INTRANS)
    r = error_set(err, -EINVAL, "it ends the transaction that it runs in");
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
    r = schema_record(db, migration->number, str_of(migration->name), err);
  if (r >= 0)
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

/* Some of our tables between those of another program would help neither. */
static int
check_nobody_else(struct schema *schema, struct arena *arena, struct error *err)
{
  struct schema_stranger_row row = { 0 };
  int r = schema_stranger(schema->db, arena, &row, err);
  if (r <= 0)
    return r;
  error_set(err, -ENOTSUP,
            "the database is in use by something else: it has \"%.*s\" and no schema "
            "of Panoply's",
            STR_FMT(row.name));
  return error_hint(err, "give Panoply a database of its own: CREATE DATABASE name TEMPLATE "
                         "template0 ENCODING 'UTF8' LOCALE 'C'");
}

static int
read_applied(struct schema *schema, struct arena *arena, struct error *err)
{
  struct schema_is_recorded_row is = { 0 };
  int r = schema_is_recorded(schema->db, &is, err);
  if (r < 0)
    return r;
  if (!is.recorded)
    return check_nobody_else(schema, arena, err);
  return schema_applied(schema->db, arena, &schema->applied, err);
}

static int
migrate(struct schema *schema, struct error *err)
{
  CLEANUP_ARENA struct arena arena = { 0 };
  int r = schema_lock(schema->db, LOCK_KEY, err);
  if (r >= 0)
    r = read_applied(schema, &arena, err);
  if (r >= 0)
    r = check_applied(schema, err);
  return r < 0 ? r : apply_missing(schema, err);
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
