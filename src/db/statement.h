/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What generated statements call (tools/sqlgen, doc/statements.md). Nothing
   else includes this: rooms use the typed functions of their ROOM_sql.h. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"
#include "db/db.h"

/* The types of PostgreSQL that have a C form; the table is in value.c. */
enum db_type
{
  DB_TYPE_I64,
  DB_TYPE_I32,
  DB_TYPE_I16,
  DB_TYPE_BOOL,
  DB_TYPE_F64,
  DB_TYPE_TEXT, /* varchar and name too */
  DB_TYPE_BYTES,
  DB_TYPE_JSON,
  DB_TYPE_JSONB,
  DB_TYPE_TIME, /* timestamptz: microseconds since 1970 */
  DB_TYPE_XID8,
  DB_TYPE_I64S,
  DB_TYPE_I32S,
  DB_TYPE_I16S,
  DB_TYPE_BOOLS,
  DB_TYPE_TEXTS,
  DB_TYPE_BYTES_LIST,
};

/* ---- parameters ---- */

struct db_value
{
  enum db_type type;
  bool is_null;
  union
  {
    int64_t integer; /* I64, I32, I16, BOOL, TIME, XID8 */
    double number;
    struct str text; /* TEXT, BYTES, JSON, JSONB */
    struct
    {
      const void *items;
      size_t count;
    } list;
  };
};

/* One maker for each C type, so that the compiler checks what is passed. The
   `_or_null` ones take NULL (or a slice or list without data) as SQL NULL. */
static inline struct db_value
db_value_integer(enum db_type type, int64_t value)
{
  return (struct db_value) { .type = type, .integer = value };
}

static inline struct db_value
db_value_null(enum db_type type)
{
  return (struct db_value) { .type = type, .is_null = true };
}

static inline struct db_value
db_value_list(enum db_type type, const void *items, size_t count)
{
  return (struct db_value) { .type = type, .list = { items, count } };
}

#define DB_VALUE_INTEGER(name, db_type_, c_type)                                         \
  static inline struct db_value db_value_##name(c_type value)                            \
  {                                                                                      \
    return db_value_integer(db_type_, value);                                            \
  }                                                                                      \
  static inline struct db_value db_value_##name##_or_null(const c_type *value)           \
  {                                                                                      \
    return value == NULL ? db_value_null(db_type_) : db_value_integer(db_type_, *value); \
  }
DB_VALUE_INTEGER(i64, DB_TYPE_I64, int64_t)
DB_VALUE_INTEGER(i32, DB_TYPE_I32, int32_t)
DB_VALUE_INTEGER(i16, DB_TYPE_I16, int16_t)
DB_VALUE_INTEGER(bool, DB_TYPE_BOOL, bool)
DB_VALUE_INTEGER(time, DB_TYPE_TIME, int64_t)
DB_VALUE_INTEGER(xid8, DB_TYPE_XID8, int64_t)
#undef DB_VALUE_INTEGER

static inline struct db_value
db_value_f64(double value)
{
  return (struct db_value) { .type = DB_TYPE_F64, .number = value };
}

static inline struct db_value
db_value_f64_or_null(const double *value)
{
  return value == NULL ? db_value_null(DB_TYPE_F64) : db_value_f64(*value);
}

#define DB_VALUE_TEXT(name, db_type_)                                             \
  static inline struct db_value db_value_##name(struct str value)                 \
  {                                                                               \
    return (struct db_value) { .type = db_type_, .text = value };                 \
  }                                                                               \
  static inline struct db_value db_value_##name##_or_null(struct str value)       \
  {                                                                               \
    return value.data == NULL ? db_value_null(db_type_) : db_value_##name(value); \
  }
DB_VALUE_TEXT(text, DB_TYPE_TEXT)
DB_VALUE_TEXT(bytes, DB_TYPE_BYTES)
DB_VALUE_TEXT(json, DB_TYPE_JSON)
DB_VALUE_TEXT(jsonb, DB_TYPE_JSONB)
#undef DB_VALUE_TEXT

#define DB_VALUE_LIST(name, db_type_, list_type)                                   \
  static inline struct db_value db_value_##name(struct list_type value)            \
  {                                                                                \
    return db_value_list(db_type_, value.items, value.count);                      \
  }                                                                                \
  static inline struct db_value db_value_##name##_or_null(struct list_type value)  \
  {                                                                                \
    return value.items == NULL ? db_value_null(db_type_) : db_value_##name(value); \
  }
DB_VALUE_LIST(i64s, DB_TYPE_I64S, db_i64s)
DB_VALUE_LIST(i32s, DB_TYPE_I32S, db_i32s)
DB_VALUE_LIST(i16s, DB_TYPE_I16S, db_i16s)
DB_VALUE_LIST(bools, DB_TYPE_BOOLS, db_bools)
DB_VALUE_LIST(texts, DB_TYPE_TEXTS, db_strs)
DB_VALUE_LIST(bytes_list, DB_TYPE_BYTES_LIST, db_strs)
#undef DB_VALUE_LIST

/* ---- statements ---- */

#define DB_NEVER_NULL SIZE_MAX

/* Where a column goes in the row struct. */
struct db_column
{
  const char *name;
  enum db_type type;
  size_t offset;
  size_t null_offset; /* of its `bool NAME_null`; DB_NEVER_NULL = has none */
};

#define DB_PARAMETERS_MAX 64

/* Static and immutable; its address is its identity. */
struct db_statement
{
  const char *name; /* also on the server */
  const char *text;
  int parameters_count; /* at most DB_PARAMETERS_MAX */
  const struct db_column *columns;
  int columns_count;
  size_t row_size;
};

/* Each prepares the statement when this session has not; VALUES has
   parameters_count members. ARENA may be NULL when no column needs it. */

/* Rows affected, or negative. */
int db_statement_exec(struct db *db, const struct db_statement *statement,
                      const struct db_value *values, struct error *err);

/* Queues it in the open pipeline; 0 or negative. */
int db_statement_send(struct db *db, const struct db_statement *statement,
                      const struct db_value *values, struct error *err);

/* 1 and *ROW set, or 0 and *ROW left alone; more than one row is an error. */
int db_statement_one(struct db *db, const struct db_statement *statement,
                     const struct db_value *values, struct arena *arena, void *row,
                     struct error *err);

/* All rows as one array in ARENA. */
int db_statement_many(struct db *db, const struct db_statement *statement,
                      const struct db_value *values, struct arena *arena, void *ret_items,
                      size_t *ret_count, struct error *err);

/* ---- COPY (copy.c); ends by db_copy_end or db_copy_abort ---- */

int db_copy_begin(struct db *db, const struct db_statement *statement, struct db_copy **ret,
                  struct error *err);

/* Rows are collected and sent in large pieces, so an error may tell of an
   earlier row. */
int db_copy_row(struct db_copy *copy, const struct db_value *values, struct error *err);
