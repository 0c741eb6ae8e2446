/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Asking for derivations: texts, inputs, closures. */
#include <errno.h>
#include <zstd.h>

#include "graph/graph.h"
#include "graph/graph_sql.h"
#include "graph/order.h"

static int
unpack(struct str packed, int32_t size, char *room, struct error *err)
{
  size_t got = ZSTD_decompress(room, (size_t) size, packed.data, packed.size);
  if (ZSTD_isError(got) || got != (size_t) size)
    return error_set(err, -EBADMSG, "the text of a derivation in the database is damaged");
  return 0;
}

int
graph_derivation_text(struct db *db, int64_t derivation_id, struct buf *ret, struct error *err)
{
  CLEANUP_ARENA struct arena arena = { 0 };
  struct graph_texts_packed_rows rows;
  int r = graph_texts_packed(db, (struct db_i64s) { &derivation_id, 1 }, &arena, &rows, err);
  if (r < 0 || rows.count == 0)
    return r;
  size_t size = (size_t) rows.items[0].text_size;
  r = unpack(rows.items[0].text_zstd, rows.items[0].text_size, buf_reserve(ret, size), err);
  if (r < 0)
    return r;
  ret->size += size;
  return 1;
}

int
graph_derivation_texts(struct db *db, const int64_t *ids, size_t count, struct arena *arena,
                       struct str *ret_texts, struct error *err)
{
  CLEANUP_ARENA struct arena packed = { 0 };
  struct graph_texts_packed_rows rows;
  int r = graph_texts_packed(db, (struct db_i64s) { ids, count }, &packed, &rows, err);
  if (r < 0)
    return r;
  memset(ret_texts, 0, count * sizeof *ret_texts);
  for (size_t i = 0; i < rows.count; i++) {
    const struct graph_texts_packed_row *row = &rows.items[i];
    char *room = arena_alloc(arena, (size_t) row->text_size + 1);
    r = unpack(row->text_zstd, row->text_size, room, err);
    if (r < 0)
      return r;
    ret_texts[row->place - 1] = str_make(room, (size_t) row->text_size);
  }
  return 0;
}

int
graph_derivation_inputs(struct db *db, int64_t derivation_id, struct arena *arena,
                        int64_t **ret_path_ids, size_t *ret_count, struct error *err)
{
  struct graph_inputs_of_rows rows;
  int r = graph_inputs_of(db, derivation_id, arena, &rows, err);
  if (r < 0)
    return r;
  int64_t *ids = arena_array(arena, rows.count, sizeof *ids);
  for (size_t i = 0; i < rows.count; i++)
    ids[i] = rows.items[i].path_id;
  *ret_path_ids = ids;
  *ret_count = rows.count;
  return 0;
}

/* Follows the inputs of the derivations in ORDER, a query a level. */
static int
follow_inputs(struct db *db, struct graph_order *order, struct error *err)
{
  size_t level = 0;
  while (level < order->count) {
    CLEANUP_ARENA struct arena arena = { 0 };
    struct db_i64s ids = { order->ids + level, order->count - level };
    struct graph_closure_inputs_rows rows;
    int r = graph_closure_inputs(db, ids, &arena, &rows, err);
    if (r < 0)
      return r;
    level = order->count;
    for (size_t i = 0; i < rows.count; i++)
      graph_order_edge(order, rows.items[i].derivation_id, rows.items[i].input_id);
  }
  return 0;
}

static int
follow_sources(struct db *db, struct graph_order *order, struct error *err)
{
  CLEANUP_ARENA struct arena arena = { 0 };
  struct graph_closure_sources_rows rows;
  int r =
      graph_closure_sources(db, (struct db_i64s) { order->ids, order->count }, &arena, &rows, err);
  if (r < 0)
    return r;
  for (size_t i = 0; i < rows.count; i++)
    graph_order_edge(order, rows.items[i].derivation_id, rows.items[i].path_id);
  return 0;
}

int
graph_derivation_closure(struct db *db, int64_t derivation_id, struct arena *arena,
                         int64_t **ret_ids, size_t *ret_count, struct error *err)
{
  CLEANUP_ORDER struct graph_order order = { 0 };
  graph_order_add(&order, derivation_id);
  int r = follow_inputs(db, &order, err);
  if (r == 0)
    r = follow_sources(db, &order, err);
  if (r < 0)
    return r;
  *ret_ids = graph_order_sorted(&order, arena);
  *ret_count = order.count;
  return 0;
}
