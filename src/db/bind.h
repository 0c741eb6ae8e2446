/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Parameters of a statement in the form that libpq takes, and the count that
   its answer gives. Inside the db room. */
#pragma once

#include <libpq-fe.h>

#include "base/buf.h"
#include "db/statement.h"

struct binding
{
  const char *values[DB_PARAMETERS_MAX]; /* NULL = SQL NULL */
  int lengths[DB_PARAMETERS_MAX];
  int formats[DB_PARAMETERS_MAX]; /* all 1: binary */
  struct buf bytes;               /* what `values` point into */
};

/* Zero-initialise. Large texts are not copied: VALUES must outlive it. */
int binding_fill(struct binding *binding, const struct db_statement *statement,
                 const struct db_value *values, struct error *err);

void binding_free(struct binding *binding);
#define CLEANUP_BINDING PN_CLEANUP(binding_free)

/* Rows that a finished statement affected (statement.c); 0 when it does not say. */
int db_rows_affected(PGresult *result);
