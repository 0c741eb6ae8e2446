/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "db/value.h"

#include <assert.h>
#include <errno.h>

/* timestamptz counts microseconds from 2000-01-01; its ends mean infinity. */
#define EPOCH_OFFSET_US INT64_C(946684800000000)

#define JSONB_VERSION 1

/* Every `struct db_*s` has this shape. */
struct list
{
  const void *items;
  size_t count;
};
static_assert(sizeof(struct list) == sizeof(struct db_i64s), "lists have one shape");
static_assert(sizeof(struct list) == sizeof(struct db_strs), "lists have one shape");
static_assert(sizeof(struct list) == sizeof(struct db_bools), "lists have one shape");

struct type
{
  const char *name;
  Oid oid;
  Oid other_oids[2];    /* types with the same binary form */
  size_t wire_size;     /* of numbers; 0 = any */
  size_t size;          /* in C */
  enum db_type element; /* of lists */
  void (*encode)(const struct type *type, const struct db_value *value, struct buf *out);
  int (*decode)(const struct type *type, struct str bytes, struct arena *arena, void *ret);
};

static const struct type types[DB_TYPE_BYTES_LIST + 1];

void
db_put_integer(struct buf *out, int64_t value, size_t size)
{
  unsigned char *bytes = (unsigned char *) buf_reserve(out, size);
  for (size_t i = 0; i < size; i++)
    bytes[i] = (unsigned char) ((uint64_t) value >> (8 * (size - 1 - i)));
  out->size += size;
}

/* Sign-extended; SIZE is 1, 2, 4 or 8. */
static int64_t
get_integer(const char *data, size_t size)
{
  uint64_t value = 0;
  for (size_t i = 0; i < size; i++)
    value = value << 8 | (unsigned char) data[i];
  unsigned unused = (unsigned) (64 - 8 * size);
  return (int64_t) (value << unused) >> unused;
}

/* ---- numbers ---- */

static void
encode_integer(const struct type *type, const struct db_value *value, struct buf *out)
{
  db_put_integer(out, value->integer, type->wire_size);
}

static int
decode_integer(const struct type *type, struct str bytes, struct arena *arena, void *ret)
{
  (void) arena;
  int64_t value = get_integer(bytes.data, type->wire_size);
  if (type->size == sizeof(int64_t))
    *(int64_t *) ret = value;
  else if (type->size == sizeof(int32_t))
    *(int32_t *) ret = (int32_t) value;
  else
    *(int16_t *) ret = (int16_t) value;
  return 0;
}

static int
decode_bool(const struct type *type, struct str bytes, struct arena *arena, void *ret)
{
  (void) type;
  (void) arena;
  *(bool *) ret = bytes.data[0] != 0;
  return 0;
}

static void
encode_f64(const struct type *type, const struct db_value *value, struct buf *out)
{
  int64_t bits;
  memcpy(&bits, &value->number, sizeof bits);
  db_put_integer(out, bits, type->wire_size);
}

static int
decode_f64(const struct type *type, struct str bytes, struct arena *arena, void *ret)
{
  (void) arena;
  int64_t bits = get_integer(bytes.data, type->wire_size);
  memcpy(ret, &bits, sizeof bits);
  return 0;
}

static void
encode_time(const struct type *type, const struct db_value *value, struct buf *out)
{
  int64_t since_2000 = value->integer;
  if (since_2000 != INT64_MAX && __builtin_sub_overflow(since_2000, EPOCH_OFFSET_US, &since_2000))
    since_2000 = INT64_MIN;
  db_put_integer(out, since_2000, type->wire_size);
}

static int
decode_time(const struct type *type, struct str bytes, struct arena *arena, void *ret)
{
  (void) arena;
  int64_t time = get_integer(bytes.data, type->wire_size);
  if (time != INT64_MIN && __builtin_add_overflow(time, EPOCH_OFFSET_US, &time))
    time = INT64_MAX;
  *(int64_t *) ret = time;
  return 0;
}

/* ---- texts ---- */

static void
encode_text(const struct type *type, const struct db_value *value, struct buf *out)
{
  (void) type;
  buf_append_str(out, value->text);
}

static int
decode_text(const struct type *type, struct str bytes, struct arena *arena, void *ret)
{
  (void) type;
  *(struct str *) ret = arena_str(arena, bytes);
  return 0;
}

static void
encode_jsonb(const struct type *type, const struct db_value *value, struct buf *out)
{
  buf_append_char(out, JSONB_VERSION);
  encode_text(type, value, out);
}

static int
decode_jsonb(const struct type *type, struct str bytes, struct arena *arena, void *ret)
{
  if (bytes.size == 0 || bytes.data[0] != JSONB_VERSION)
    return -EPROTO;
  return decode_text(type, str_from(bytes, 1), arena, ret);
}

/* ---- lists: arrays of one dimension ---- */

static struct db_value
list_item(enum db_type type, const void *items, size_t index)
{
  struct db_value value = { .type = type };
  if (type == DB_TYPE_I64)
    value.integer = ((const int64_t *) items)[index];
  else if (type == DB_TYPE_I32)
    value.integer = ((const int32_t *) items)[index];
  else if (type == DB_TYPE_I16)
    value.integer = ((const int16_t *) items)[index];
  else if (type == DB_TYPE_BOOL)
    value.integer = ((const bool *) items)[index];
  else
    value.text = ((const struct str *) items)[index];
  return value;
}

static void
encode_list(const struct type *type, const struct db_value *value, struct buf *out)
{
  const struct type *element = &types[type->element];
  db_put_integer(out, value->list.count > 0, 4); /* dimensions */
  db_put_integer(out, 0, 4);                     /* no NULL elements */
  db_put_integer(out, element->oid, 4);
  if (value->list.count == 0)
    return;
  db_put_integer(out, (int64_t) value->list.count, 4);
  db_put_integer(out, 1, 4); /* lower bound */
  for (size_t i = 0; i < value->list.count; i++) {
    struct db_value item = list_item(type->element, value->list.items, i);
    size_t size = element->wire_size != 0 ? element->wire_size : item.text.size;
    db_put_integer(out, (int64_t) size, 4);
    element->encode(element, &item, out);
  }
}

/* Takes a big-endian 32-bit number off the front of *REST. */
static int
take_i32(struct str *rest, int64_t *ret)
{
  if (rest->size < 4)
    return -EPROTO;
  *ret = get_integer(rest->data, 4);
  *rest = str_from(*rest, 4);
  return 0;
}

/* Takes the header; afterwards *REST begins with the first item. */
static int
take_list_header(Oid element_oid, struct str *rest, int64_t *ret_count)
{
  int64_t dimensions, has_null, oid, lower_bound;
  if (take_i32(rest, &dimensions) < 0 || take_i32(rest, &has_null) < 0 || take_i32(rest, &oid) < 0)
    return -EPROTO;
  *ret_count = 0;
  if ((Oid) oid != element_oid || has_null != 0)
    return -EPROTO;
  if (dimensions == 0)
    return 0;
  if (dimensions != 1 || take_i32(rest, ret_count) < 0 || take_i32(rest, &lower_bound) < 0)
    return -EPROTO;
  /* Each item has at least its length. */
  return *ret_count < 0 || (size_t) *ret_count > rest->size / 4 ? -EPROTO : 0;
}

static int
decode_list(const struct type *type, struct str bytes, struct arena *arena, void *ret)
{
  const struct type *element = &types[type->element];
  struct str rest = bytes;
  int64_t count;
  int r = take_list_header(element->oid, &rest, &count);
  if (r < 0)
    return r;
  char *items = arena_array(arena, (size_t) count, element->size);
  for (int64_t i = 0; i < count; i++) {
    int64_t size;
    r = take_i32(&rest, &size);
    if (r < 0 || size < 0 || (size_t) size > rest.size)
      return -EPROTO;
    r = db_value_decode(type->element, str_make(rest.data, (size_t) size), arena,
                        items + (size_t) i * element->size);
    if (r < 0)
      return r;
    rest = str_from(rest, (size_t) size);
  }
  if (rest.size != 0)
    return -EPROTO;
  struct list list = { items, (size_t) count };
  memcpy(ret, &list, sizeof list);
  return 0;
}

/* ---- the table ---- */

#define INTEGER(name_, oid_, c_type)                                                 \
  {                                                                                  \
    .name = name_, .oid = oid_, .wire_size = sizeof(c_type), .size = sizeof(c_type), \
    .encode = encode_integer, .decode = decode_integer                               \
  }
#define TEXT(name_, oid_)                                                          \
  {                                                                                \
    .name = name_, .oid = oid_, .size = sizeof(struct str), .encode = encode_text, \
    .decode = decode_text                                                          \
  }
#define LIST(name_, oid_, element_)                                               \
  {                                                                               \
    .name = name_, .oid = oid_, .size = sizeof(struct list), .element = element_, \
    .encode = encode_list, .decode = decode_list                                  \
  }

/* Numbers of types as in PostgreSQL's pg_type.dat; they never change. */
static const struct type types[DB_TYPE_BYTES_LIST + 1] = {
  [DB_TYPE_I64] = INTEGER("bigint", 20, int64_t),
  [DB_TYPE_I32] = INTEGER("integer", 23, int32_t),
  [DB_TYPE_I16] = INTEGER("smallint", 21, int16_t),
  [DB_TYPE_BOOL] = { .name = "boolean",
                     .oid = 16,
                     .wire_size = 1,
                     .size = sizeof(bool),
                     .encode = encode_integer,
                     .decode = decode_bool },
  [DB_TYPE_F64] = { .name = "double precision",
                    .oid = 701,
                    .wire_size = 8,
                    .size = sizeof(double),
                    .encode = encode_f64,
                    .decode = decode_f64 },
  [DB_TYPE_TEXT] = { .name = "text",
                     .oid = 25,
                     .other_oids = { 1043, 19 },
                     .size = sizeof(struct str),
                     .encode = encode_text,
                     .decode = decode_text },
  [DB_TYPE_BYTES] = TEXT("bytea", 17),
  [DB_TYPE_JSON] = TEXT("json", 114),
  [DB_TYPE_JSONB] = { .name = "jsonb",
                      .oid = 3802,
                      .size = sizeof(struct str),
                      .encode = encode_jsonb,
                      .decode = decode_jsonb },
  [DB_TYPE_TIME] = { .name = "timestamptz",
                     .oid = 1184,
                     .wire_size = 8,
                     .size = sizeof(int64_t),
                     .encode = encode_time,
                     .decode = decode_time },
  [DB_TYPE_XID8] = INTEGER("xid8", 5069, int64_t),
  [DB_TYPE_I64S] = LIST("bigint[]", 1016, DB_TYPE_I64),
  [DB_TYPE_I32S] = LIST("integer[]", 1007, DB_TYPE_I32),
  [DB_TYPE_I16S] = LIST("smallint[]", 1005, DB_TYPE_I16),
  [DB_TYPE_BOOLS] = LIST("boolean[]", 1000, DB_TYPE_BOOL),
  [DB_TYPE_TEXTS] = LIST("text[]", 1009, DB_TYPE_TEXT),
  [DB_TYPE_BYTES_LIST] = LIST("bytea[]", 1001, DB_TYPE_BYTES),
};

const char *
db_type_name(enum db_type type)
{
  return types[type].name;
}

bool
db_type_matches(enum db_type type, Oid oid)
{
  const struct type *known = &types[type];
  return oid == known->oid
         || (oid != 0 && (oid == known->other_oids[0] || oid == known->other_oids[1]));
}

int
db_value_encode(const struct db_value *value, struct buf *out)
{
  const struct type *type = &types[value->type];
  size_t before = out->size;
  if (type->size == sizeof(struct str) && type->decode != decode_list
      && value->text.size > DB_VALUE_SIZE_MAX)
    return -EFBIG;
  type->encode(type, value, out);
  return out->size - before > DB_VALUE_SIZE_MAX ? -EFBIG : 0;
}

int
db_value_decode(enum db_type type, struct str bytes, struct arena *arena, void *ret)
{
  const struct type *known = &types[type];
  if (known->wire_size != 0 && known->wire_size != bytes.size)
    return -EPROTO;
  return known->decode(known, bytes, arena, ret);
}
