/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Inside the db room: the migrations that this program carries. Rooms call
   db_migrate (db.h); only tests bring tables of their own. */
#pragma once

#include <stddef.h>

#include "base/error.h"

struct db_migration
{
  int number;       /* of the file's name; ascending in a table */
  const char *name; /* the file's name without its ending: "030-graph" */
  const char *text; /* its SQL: whole statements, no COMMIT */
};

/* Made by the build from src/ROOM/NNN-NAME.migration.sql. */
extern const struct db_migration db_migrations[];
extern const size_t db_migrations_count;

/* db_migrate with a table of the caller's, which begins with db_migrations[0]:
   that one makes the table that records them. */
int db_migrate_by(const char *uri, const struct db_migration *migrations, size_t count,
                  struct error *err);
