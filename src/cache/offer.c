/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What is offered. */
#include "cache/cache_private.h"
#include "cache/cache_sql.h"

int
cache_offered(struct db *db, const int64_t *path_ids, size_t count, bool *ret_offered,
              struct error *err)
{
  CLEANUP_ARENA struct arena arena = { 0 };
  struct cache_offer_flags_rows rows;
  int r = cache_offer_flags(db, (struct db_i64s) { path_ids, count }, &arena, &rows, err);
  if (r < 0)
    return r;
  for (size_t i = 0; i < rows.count; i++)
    ret_offered[i] = rows.items[i].offered;
  return 0;
}

int
cache_missing(struct db *db, const struct str *basenames, size_t count, struct arena *arena,
              struct str **ret, size_t *ret_count, struct error *err)
{
  struct cache_offer_missing_rows rows;
  int r = cache_offer_missing(db, (struct db_strs) { basenames, count }, arena, &rows, err);
  if (r < 0)
    return r;
  struct str *missing = arena_array(arena, rows.count, sizeof *missing);
  for (size_t i = 0; i < rows.count; i++)
    missing[i] = basenames[rows.items[i].place - 1];
  *ret = missing;
  *ret_count = rows.count;
  return 0;
}

int
cache_closure(struct db *db, const int64_t *path_ids, size_t count, struct arena *arena,
              int64_t **ret_ids, size_t *ret_count, struct error *err)
{
  CLEANUP_ORDER struct graph_order order = { 0 };
  for (size_t i = 0; i < count; i++)
    graph_order_add(&order, path_ids[i]);
  size_t level = 0;
  while (level < order.count) {
    CLEANUP_ARENA struct arena level_arena = { 0 };
    struct cache_offer_references_rows rows;
    struct db_i64s ids = { order.ids + level, order.count - level };
    int r = cache_offer_references(db, ids, &level_arena, &rows, err);
    if (r < 0)
      return r;
    level = order.count;
    for (size_t i = 0; i < rows.count; i++)
      for (size_t j = 0; j < rows.items[i].reference_ids.count; j++)
        graph_order_edge(&order, rows.items[i].path_id, rows.items[i].reference_ids.items[j]);
  }
  *ret_ids = graph_order_sorted(&order, arena);
  *ret_count = order.count;
  return 0;
}
