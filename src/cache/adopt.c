/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Adopting items of a store on this machine: explore what is missing, level by
   level; then pack, references first, and register in batches. */
#include <errno.h>
#include <stdlib.h>

#include "base/mem.h"
#include "cache/cache_private.h"
#include "cache/pack.h"
#include "graph/order.h"

/* A batch ends at whichever comes first: rows, or bytes that wait in memory. */
#define BATCH_ROWS 1000
#define BATCH_BYTES (INT64_C(16) << 20)

struct adopted /* an item that the cache lacks */
{
  struct str path; /* full */
  struct guix_path_info info;
};

struct adoption
{
  struct cache *cache;
  const char *store_root;
  struct guix_daemon *daemon;
  struct arena arena;
  struct str_map places; /* full path to its place in `items` */
  struct adopted *items;
  size_t count, capacity;
  struct graph_order order; /* of places + 1 */

  struct cache_packer *packer;
  struct arena batch_arena;
  struct cache_row *rows;
  size_t rows_count;
  int64_t rows_bytes;
};

static void
adoption_free(struct adoption *work)
{
  cache_packer_free(work->packer);
  str_map_free(&work->places);
  graph_order_free(&work->order);
  free(work->items);
  free(work->rows);
  arena_free(&work->batch_arena);
  arena_free(&work->arena);
}

/* ---- exploring ---- */

static int
find_missing(struct adoption *work, const struct str *paths, size_t count, struct str **ret,
             size_t *ret_count, struct error *err)
{
  struct str *basenames = arena_array(&work->arena, count, sizeof *basenames);
  size_t kept = 0;
  for (size_t i = 0; i < count; i++) {
    int64_t place;
    if (!guix_path_is_valid(paths[i]))
      return error_set(err, -EINVAL, "\"%.*s\" is not a store path", STR_FMT(paths[i]));
    if (!str_map_get(&work->places, paths[i], &place))
      basenames[kept++] = guix_path_basename(paths[i]);
  }
  struct db *db;
  int r = db_pool_get(work->cache->pool, &db, err);
  if (r < 0)
    return r;
  r = cache_missing(db, basenames, kept, &work->arena, ret, ret_count, err);
  db_pool_put(work->cache->pool, db);
  return r;
}

/* Notes an item with what the daemon knows of it. Slices of basenames begin
   behind the store's prefix of a full path. */
static int
note_item(struct adoption *work, struct str basename, struct error *err)
{
  struct str path = str_make(basename.data - strlen(GUIX_STORE_PREFIX),
                             basename.size + strlen(GUIX_STORE_PREFIX));
  int64_t place;
  if (str_map_get(&work->places, path, &place))
    return 0;
  mem_grow(&work->items, &work->capacity, work->count + 1, sizeof *work->items);
  struct adopted *item = &work->items[work->count];
  *item = (struct adopted) { .path = path };
  int r = guix_daemon_query_path_info(work->daemon, path, &work->arena, &item->info, err);
  if (r < 0)
    return error_prefix(err, "cannot adopt %.*s", STR_FMT(path));
  str_map_put(&work->places, path, (int64_t) work->count++);
  return 0;
}

/* All references of the items from FIRST on. */
static struct str *
references_from(struct adoption *work, size_t first, size_t *ret_count)
{
  size_t count = 0, filled = 0;
  for (size_t i = first; i < work->count; i++)
    count += work->items[i].info.references_count;
  struct str *references = arena_array(&work->arena, count, sizeof *references);
  for (size_t i = first; i < work->count; i++)
    for (size_t j = 0; j < work->items[i].info.references_count; j++)
      references[filled++] = work->items[i].info.references[j];
  *ret_count = filled;
  return references;
}

static int
explore(struct adoption *work, const struct str *paths, size_t count, struct error *err)
{
  while (count > 0) {
    struct str *missing;
    size_t missing_count, first = work->count;
    int r = find_missing(work, paths, count, &missing, &missing_count, err);
    for (size_t i = 0; r == 0 && i < missing_count; i++)
      r = note_item(work, missing[i], err);
    if (r < 0)
      return r;
    paths = references_from(work, first, &count);
  }
  return 0;
}

/* Places of all items, references first. */
static int64_t *
sort_items(struct adoption *work)
{
  for (size_t i = 0; i < work->count; i++)
    graph_order_add(&work->order, (int64_t) i + 1);
  for (size_t i = 0; i < work->count; i++)
    for (size_t j = 0; j < work->items[i].info.references_count; j++) {
      int64_t place;
      if (str_map_get(&work->places, work->items[i].info.references[j], &place))
        graph_order_edge(&work->order, (int64_t) i + 1, place + 1);
    }
  return graph_order_sorted(&work->order, &work->arena);
}

/* ---- packing ---- */

static int
register_batch(struct db *db, void *context, struct error *err)
{
  struct adoption *work = context;
  return cache_register_rows(db, work->rows, work->rows_count, err);
}

static int
flush_batch(struct adoption *work, struct error *err)
{
  if (work->rows_count == 0)
    return 0;
  int r = db_pool_run(work->cache->pool, DB_WRITE, register_batch, work, err);
  work->rows_count = 0;
  work->rows_bytes = 0;
  arena_free(&work->batch_arena);
  return r;
}

static struct cache_row
row_of(struct adoption *work, const struct adopted *item, const struct cache_packed *packed)
{
  const struct guix_path_info *info = &item->info;
  struct str *references =
      arena_array(&work->batch_arena, info->references_count, sizeof *references);
  for (size_t i = 0; i < info->references_count; i++)
    references[i] = guix_path_basename(info->references[i]);
  return (struct cache_row) { .basename = guix_path_basename(item->path),
                              .nar_hash = packed->nar_hash,
                              .nar_size = packed->nar_size,
                              .references = references,
                              .references_count = info->references_count,
                              .deriver = guix_path_is_valid(info->deriver)
                                             ? guix_path_basename(info->deriver)
                                             : STR(""),
                              .file_size = packed->file_size,
                              .contents = packed->contents };
}

static int
pack_one(struct adoption *work, const struct adopted *item, struct error *err)
{
  CLEANUP_FREE char *file = mem_printf("%s%.*s", work->store_root, STR_FMT(item->path));
  struct cache_packed packed;
  int r = cache_pack(work->packer, file, &work->batch_arena, &packed, err);
  if (r < 0)
    return r;
  if (packed.nar_size != item->info.nar_size
      || memcmp(packed.nar_hash.bytes, item->info.hash.bytes, GUIX_HASH_SIZE) != 0) {
    error_set(err, -EBADMSG, "%s is damaged: its contents are not those registered", file);
    return error_hint(err, "Run `guix gc --verify=contents,repair` on that store.");
  }
  work->rows[work->rows_count++] = row_of(work, item, &packed);
  work->rows_bytes += (int64_t) packed.contents.size;
  if (work->rows_count < BATCH_ROWS && work->rows_bytes < BATCH_BYTES)
    return 0;
  return flush_batch(work, err);
}

int
cache_adopt(struct cache *cache, const char *store_root, struct guix_daemon *daemon,
            const struct str *paths, size_t count, struct error *err)
{
  PN_CLEANUP(adoption_free)
  struct adoption work = { .cache = cache, .store_root = store_root, .daemon = daemon };
  int r = explore(&work, paths, count, err);
  if (r < 0 || work.count == 0)
    return r;
  work.packer = cache_packer_new(cache);
  work.rows = mem_array(BATCH_ROWS, sizeof *work.rows);
  int64_t *sorted = sort_items(&work);
  for (size_t i = 0; r == 0 && i < work.count; i++)
    r = pack_one(&work, &work.items[sorted[i] - 1], err);
  if (r == 0)
    r = flush_batch(&work, err);
  cache_background_wake(cache);
  return r;
}
