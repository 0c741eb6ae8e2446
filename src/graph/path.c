/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The dictionary of store paths. */
#include <errno.h>

#include "graph/graph.h"
#include "graph/graph_sql.h"

/* Fills in the ids that are known, 0 for the others; the number of those, or
   negative. */
static int
look_up(struct db *db, struct db_strs names, int64_t *ret_ids, struct error *err)
{
  CLEANUP_ARENA struct arena arena = { 0 };
  struct graph_path_lookup_rows rows;
  int r = graph_path_lookup(db, names, &arena, &rows, err);
  if (r < 0)
    return r;
  int unknown = 0;
  for (size_t i = 0; i < rows.count; i++) {
    ret_ids[i] = rows.items[i].id;
    unknown += rows.items[i].id_null;
  }
  return unknown;
}

/* Most names are known, so one look-up is mostly all. After the insertion, which
   waited for rivals to commit, the next statement sees their rows too. */
int
graph_path_ids(struct db *db, const struct str *basenames, size_t count, int64_t *ret_ids,
               struct error *err)
{
  if (count == 0)
    return 0;
  CLEANUP_ARENA struct arena arena = { 0 };
  int unknown = look_up(db, (struct db_strs) { basenames, count }, ret_ids, err);
  if (unknown <= 0)
    return unknown;

  struct str *fresh = arena_array(&arena, (size_t) unknown, sizeof *fresh);
  size_t fresh_count = 0;
  for (size_t i = 0; i < count; i++) {
    if (ret_ids[i] != 0)
      continue;
    if (!guix_basename_is_valid(basenames[i]))
      return error_set(err, -EINVAL, "\"%.*s\" is not the name of a store item",
                       STR_FMT(basenames[i]));
    fresh[fresh_count++] = basenames[i];
  }
  int r = graph_path_insert(db, (struct db_strs) { fresh, fresh_count }, err);
  if (r >= 0)
    r = look_up(db, (struct db_strs) { basenames, count }, ret_ids, err);
  if (r > 0)
    return error_set(err, -EIO, "a store path that was just added is not there");
  return r;
}

int
graph_path_find(struct db *db, struct str basename, int64_t *ret_id, struct error *err)
{
  struct graph_path_by_basename_row row;
  int r = graph_path_by_basename(db, basename, &row, err);
  if (r > 0)
    *ret_id = row.id;
  return r;
}

int
graph_path_basenames(struct db *db, const int64_t *ids, size_t count, struct arena *arena,
                     struct str *ret_basenames, struct error *err)
{
  struct graph_path_names_rows rows;
  int r = graph_path_names(db, (struct db_i64s) { ids, count }, arena, &rows, err);
  if (r < 0)
    return r;
  for (size_t i = 0; i < rows.count; i++) {
    if (rows.items[i].basename_null)
      return error_set(err, -ENOENT, "there is no store path %lld", (long long) ids[i]);
    ret_basenames[i] = rows.items[i].basename;
  }
  return 0;
}
