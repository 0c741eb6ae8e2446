/* SPDX-License-Identifier: GPL-3.0-or-later */
/* COPY FROM STDIN in PostgreSQL's binary form: a header, rows of counted
   fields, a trailer (documentation of COPY, "Binary Format"). */
#include <errno.h>
#include <stdlib.h>

#include "base/mem.h"
#include "db/bind.h"
#include "db/db_private.h"
#include "db/value.h"

#define PIECE_SIZE ((size_t) 64 * 1024)

struct db_copy
{
  struct db *db; /* not owned */
  const struct db_statement *statement;
  struct buf bytes; /* not sent yet */
};

static void
copy_free(struct db_copy *copy)
{
  copy->db->copy_active = false;
  buf_free(&copy->bytes);
  free(copy);
}

int
db_copy_begin(struct db *db, const struct db_statement *statement, struct db_copy **ret,
              struct error *err)
{
  int r = db_ready(db, err);
  if (r < 0)
    return r;
  if (db->in_pipeline || db->copy_active)
    return error_set(err, -EBUSY, "%s: a pipeline or COPY is open on this connection",
                     statement->name);
  PGresult *result = PQexec(db->connection, statement->text);
  if (PQresultStatus(result) != PGRES_COPY_IN)
    r = db_error_set(db, result, statement->name, err);
  PQclear(result);
  if (r < 0)
    return r;
  struct db_copy *copy = mem_alloc(sizeof *copy);
  *copy = (struct db_copy) { .db = db, .statement = statement };
  buf_append_str(&copy->bytes, STR("PGCOPY\n\377\r\n\0"));
  db_put_integer(&copy->bytes, 0, 4); /* flags */
  db_put_integer(&copy->bytes, 0, 4); /* no header extension */
  db->copy_active = true;
  *ret = copy;
  return 0;
}

static int
flush(struct db_copy *copy, struct error *err)
{
  struct db *db = copy->db;
  if (PQputCopyData(db->connection, copy->bytes.data, (int) copy->bytes.size) != 1)
    return db_error_set(db, NULL, copy->statement->name, err);
  buf_clear(&copy->bytes);
  return 0;
}

/* A field: its length (-1 = NULL), then its bytes. */
static int
append_field(struct buf *bytes, const struct db_value *value)
{
  if (value->is_null) {
    db_put_integer(bytes, -1, 4);
    return 0;
  }
  size_t start = bytes->size;
  db_put_integer(bytes, 0, 4);
  int r = db_value_encode(value, bytes);
  size_t end = bytes->size;
  bytes->size = start;
  if (r < 0)
    return r;
  db_put_integer(bytes, (int64_t) (end - start - 4), 4);
  bytes->size = end;
  return 0;
}

int
db_copy_row(struct db_copy *copy, const struct db_value *values, struct error *err)
{
  int count = copy->statement->parameters_count;
  db_put_integer(&copy->bytes, count, 2);
  for (int i = 0; i < count; i++)
    if (append_field(&copy->bytes, &values[i]) < 0)
      return error_set(err, -EFBIG, "%s: field %d is larger than a gigabyte", copy->statement->name,
                       i + 1);
  return copy->bytes.size < PIECE_SIZE ? 0 : flush(copy, err);
}

/* Ends the transfer (GIVE_UP: NULL, or why) and takes the server's answer. */
static int
finish(struct db_copy *copy, const char *give_up, struct error *err)
{
  PGconn *connection = copy->db->connection;
  if (PQputCopyEnd(connection, give_up) != 1)
    return db_error_set(copy->db, NULL, copy->statement->name, err);
  int r = 0;
  for (PGresult *result; (result = PQgetResult(connection)) != NULL; PQclear(result)) {
    if (PQresultStatus(result) != PGRES_COMMAND_OK)
      r = db_error_set(copy->db, result, copy->statement->name, err);
    else if (r == 0)
      r = db_rows_affected(result);
  }
  return r;
}

int
db_copy_end(struct db_copy *copy, struct error *err)
{
  db_put_integer(&copy->bytes, -1, 2); /* trailer */
  int r = flush(copy, err);
  if (r == 0)
    r = finish(copy, NULL, err);
  else
    finish(copy, "not all rows could be sent", NULL);
  copy_free(copy);
  return r;
}

void
db_copy_abort(struct db_copy *copy)
{
  if (copy == NULL)
    return;
  finish(copy, "given up", NULL);
  copy_free(copy);
}
