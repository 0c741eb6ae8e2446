/* SPDX-License-Identifier: GPL-3.0-or-later */
/* PostgreSQL's binary forms of the types in `enum db_type`. Inside the db room
   only. The forms are those of the server's *_send and *_recv functions. */
#pragma once

#include <libpq-fe.h>

#include "base/buf.h"
#include "db/statement.h"

#define DB_VALUE_SIZE_MAX ((size_t) 1 << 30) /* the server's own limit of a field */

const char *db_type_name(enum db_type type);

/* Whether a column that the server says is of type OID is read as TYPE. */
bool db_type_matches(enum db_type type, Oid oid);

/* Appends the value (which is not NULL) to OUT; -EFBIG when it is too large. */
int db_value_encode(const struct db_value *value, struct buf *out) PN_MUST_USE;

/* Reads BYTES, which come from the server, into the C type at RET; texts and
   lists are copied into ARENA. -EPROTO when they are no value of TYPE. */
int db_value_decode(enum db_type type, struct str bytes, struct arena *arena,
                    void *ret) PN_MUST_USE;

/* Big-endian integer of SIZE bytes, as everything on the wire. */
void db_put_integer(struct buf *out, int64_t value, size_t size);
