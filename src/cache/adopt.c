/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Adopting items of a store on this machine. Most sources prove themselves: their
   name is made of their text and they refer to nothing, so they are packed and
   registered at once. For the others the daemon is asked what they refer to, level
   by level; they follow at the end, references first. */
#include <errno.h>
#include <stdlib.h>

#include "base/mem.h"
#include "cache/cache_private.h"
#include "cache/pack.h"
#include "graph/order.h"

/* A batch ends at whichever comes first: rows, or bytes that wait in memory. */
#define BATCH_ROWS 1000
#define BATCH_BYTES (INT64_C(16) << 20)

struct adopted /* an item that the cache lacks and that does not prove itself */
{
  struct str path; /* full */
  struct guix_path_info info;
  struct cache_packed packed;
};

struct adoption
{
  struct cache *cache;
  const char *store_root;
  struct guix_daemon *daemon;
  struct arena arena;
  struct str_map places; /* full paths that were met, to their place in `items`, or -1 */
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

/* ---- batches ---- */

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
row_of(struct adoption *work, const struct adopted *item)
{
  const struct guix_path_info *info = &item->info;
  const struct cache_packed *packed = &item->packed;
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
add_row(struct adoption *work, const struct adopted *item, struct error *err)
{
  work->rows[work->rows_count++] = row_of(work, item);
  work->rows_bytes += (int64_t) item->packed.contents.size;
  if (work->rows_count < BATCH_ROWS && work->rows_bytes < BATCH_BYTES)
    return 0;
  return flush_batch(work, err);
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

/* True when the item's name is that of a text without references. (Other names that
   follow from contents may be those of fixed outputs, which may refer to something.) */
static bool
proves_itself(struct str path, struct str nar)
{
  CLEANUP_ARENA struct arena arena = { 0 };
  struct str text;
  return cache_text_of_nar(nar, &text)
         && str_equal(guix_path_of_text(&arena, guix_path_name(path), text, NULL, 0), path);
}

/* What the daemon knows of an item must agree with what was found. */
static int
ask_daemon(struct adoption *work, struct adopted *item, struct error *err)
{
  int r = guix_daemon_query_path_info(work->daemon, item->path, &work->arena, &item->info, err);
  if (r < 0)
    return error_prefix(err, "cannot adopt %.*s", STR_FMT(item->path));
  if (item->packed.nar_size == item->info.nar_size
      && memcmp(item->packed.nar_hash.bytes, item->info.hash.bytes, GUIX_HASH_SIZE) == 0)
    return 0;
  error_set(err, -EBADMSG, "%s%.*s is damaged: its contents are not those registered",
            work->store_root, STR_FMT(item->path));
  return error_hint(err, "Run `guix gc --verify=contents,repair` on that store.");
}

/* Packs an item and registers it soon, or notes it for the end. */
static int
take_item(struct adoption *work, struct str path, struct error *err)
{
  CLEANUP_FREE char *file = mem_printf("%s%.*s", work->store_root, STR_FMT(path));
  struct adopted item = { .path = path };
  int64_t place;
  if (str_map_get(&work->places, path, &place))
    return 0;
  int r = cache_pack(work->packer, file, &item.packed, err);
  if (r < 0)
    return r;
  if (proves_itself(path, item.packed.nar)) {
    str_map_put(&work->places, path, -1);
    item.packed.contents = arena_str(&work->batch_arena, item.packed.contents);
    return add_row(work, &item, err);
  }
  item.packed.contents = arena_str(&work->arena, item.packed.contents);
  r = ask_daemon(work, &item, err);
  if (r < 0)
    return r;
  mem_grow(&work->items, &work->capacity, work->count + 1, sizeof *work->items);
  work->items[work->count] = item;
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

/* Basenames here are slices of full paths. */
static struct str
full_path(struct str basename)
{
  return str_make(basename.data - strlen(GUIX_STORE_PREFIX),
                  basename.size + strlen(GUIX_STORE_PREFIX));
}

static int
explore(struct adoption *work, const struct str *paths, size_t count, struct error *err)
{
  while (count > 0) {
    struct str *missing = NULL;
    size_t missing_count = 0, first = work->count;
    int r = find_missing(work, paths, count, &missing, &missing_count, err);
    for (size_t i = 0; r == 0 && i < missing_count; i++)
      r = take_item(work, full_path(missing[i]), err);
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
      if (str_map_get(&work->places, work->items[i].info.references[j], &place) && place >= 0)
        graph_order_edge(&work->order, (int64_t) i + 1, place + 1);
    }
  return graph_order_sorted(&work->order, &work->arena);
}

int
cache_adopt(struct cache *cache, const char *store_root, struct guix_daemon *daemon,
            const struct str *paths, size_t count, struct error *err)
{
  PN_CLEANUP(adoption_free)
  struct adoption work = { .cache = cache, .store_root = store_root, .daemon = daemon };
  work.packer = cache_packer_new(cache);
  work.rows = mem_array(BATCH_ROWS, sizeof *work.rows);
  int r = explore(&work, paths, count, err);
  int64_t *sorted = sort_items(&work);
  for (size_t i = 0; r == 0 && i < work.count; i++)
    r = add_row(&work, &work.items[sorted[i] - 1], err);
  if (r == 0)
    r = flush_batch(&work, err);
  cache_background_wake(cache);
  return r;
}
