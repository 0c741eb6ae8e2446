/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Bundles: export streams made item by item on a thread of their own, no faster
   than the client takes them. What is small (texts, nars that lie in the database)
   is fetched for a slice of the items at once; the rest is read as it is sent. */
#include <errno.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/mem.h"
#include "cache/cache_private.h"
#include "cache/cache_sql.h"

#define BUNDLES_MAX 256
#define STREAM_LIMIT (1 << 20) /* bytes that wait for the client */
#define SLICE 128              /* items whose small contents are in memory */
#define PATIENCE_S 120         /* with a client that takes nothing */
#define THREAD_STACK (512 << 10)

struct item
{
  struct str path; /* full */
  int64_t id;
  enum guix_compression compression;
  int64_t file_size;
  bool is_derivation, is_inline;
  struct guix_hash nar_hash;
  struct str deriver; /* full or "" */
  struct str *references;
  size_t references_count;
  struct str contents; /* of the present slice: stored form, or text */
};

struct bundle
{
  struct cache *cache;
  struct http_request *request; /* deferred */
  const struct str *basenames;  /* COUNT, until the reply begins */
  size_t count;
  struct arena arena;
  struct item *items;
  struct http_stream *stream; /* NULL until the reply begins */
  struct guix_archive_writer *writer;
  struct buf out;
  struct error err;
};

static void
bundle_free(struct bundle *bundle)
{
  guix_archive_writer_free(bundle->writer);
  buf_free(&bundle->out);
  arena_free(&bundle->arena);
  free(bundle);
}

/* ---- what to send ---- */

static struct str
full_path(struct arena *arena, struct str basename)
{
  return str_of(arena_printf(arena, GUIX_STORE_PREFIX "%.*s", STR_FMT(basename)));
}

static void
fill_item(struct bundle *bundle, const struct cache_bundle_items_row *row, struct str basename)
{
  struct item *item = &bundle->items[row->place - 1];
  *item = (struct item) { .path = full_path(&bundle->arena, basename),
                          .id = row->id,
                          .compression = (enum guix_compression) row->compression,
                          .is_derivation = row->compression_null,
                          .file_size = row->file_size,
                          .is_inline = row->is_inline };
  if (item->is_derivation)
    return;
  memcpy(item->nar_hash.bytes, row->nar_hash.data, GUIX_HASH_SIZE);
  item->deriver = row->deriver_null ? STR("") : full_path(&bundle->arena, row->deriver);
  item->references_count = row->references.count;
  item->references = arena_array(&bundle->arena, row->references.count, sizeof(struct str));
  for (size_t i = 0; i < row->references.count; i++)
    item->references[i] = full_path(&bundle->arena, row->references.items[i]);
}

static int
find_items(struct bundle *bundle, struct db *db)
{
  CLEANUP_ARENA struct arena arena = { 0 };
  struct cache_bundle_items_rows rows;
  const struct str *basenames = bundle->basenames;
  struct error *err = &bundle->err;
  int r = cache_bundle_items(db, (struct db_strs) { basenames, bundle->count }, &arena, &rows, err);
  if (r < 0)
    return r;
  for (size_t i = 0; i < rows.count; i++)
    fill_item(bundle, &rows.items[i], basenames[rows.items[i].place - 1]);
  for (size_t i = 0; i < bundle->count; i++)
    if (bundle->items[i].path.size == 0)
      return error_set(err, -ENOENT, "%.*s is not in the cache", STR_FMT(basenames[i]));
  return 0;
}

/* ---- the small contents of a slice ---- */

static int
fetch_texts(struct db *db, struct item *items, size_t count, struct arena *arena, struct error *err)
{
  int64_t *ids = arena_array(arena, count, sizeof *ids);
  struct str *texts = arena_array(arena, count, sizeof *texts);
  size_t wanted = 0;
  for (size_t i = 0; i < count; i++)
    if (items[i].is_derivation)
      ids[wanted++] = items[i].id;
  int r = wanted == 0 ? 0 : graph_derivation_texts(db, ids, wanted, arena, texts, err);
  wanted = 0;
  for (size_t i = 0; r == 0 && i < count; i++)
    if (items[i].is_derivation)
      items[i].contents = texts[wanted++];
  return r;
}

static int
fetch_inline(struct db *db, struct item *items, size_t count, struct arena *arena,
             struct error *err)
{
  int64_t *ids = arena_array(arena, count, sizeof *ids);
  size_t wanted = 0;
  for (size_t i = 0; i < count; i++)
    if (items[i].is_inline)
      ids[wanted++] = items[i].id;
  struct cache_inline_contents_rows rows = { 0 };
  int r = wanted == 0 ? 0
                      : cache_inline_contents(db, (struct db_i64s) { ids, wanted },
                                              GUIX_COMPRESSION_ZSTD, arena, &rows, err);
  PN_CLEANUP(int_map_free) struct int_map found = { 0 };
  for (size_t i = 0; r == 0 && i < rows.count; i++)
    int_map_put(&found, rows.items[i].path_id, &rows.items[i].contents);
  for (size_t i = 0; r == 0 && i < count; i++) {
    if (!items[i].is_inline)
      continue;
    struct str *contents = int_map_get(&found, items[i].id);
    if (contents == NULL)
      return error_set(err, -EIO, "the contents of %.*s have gone", STR_FMT(items[i].path));
    items[i].contents = *contents;
  }
  return r;
}

static int
fetch_slice(struct bundle *bundle, struct item *items, size_t count, struct arena *arena)
{
  struct db *db;
  int r = db_pool_get(bundle->cache->pool, &db, &bundle->err);
  if (r < 0)
    return r;
  r = fetch_texts(db, items, count, arena, &bundle->err);
  if (r == 0)
    r = fetch_inline(db, items, count, arena, &bundle->err);
  db_pool_put(bundle->cache->pool, db);
  return r;
}

/* ---- sending ---- */

/* Waits in short turns, so that a stop of the server is not held up. */
static int
wait_for_room(struct bundle *bundle, size_t size)
{
  for (int i = 0; i < PATIENCE_S; i++) {
    int r = http_stream_wait(bundle->stream, size, 1000);
    if (r != -ETIMEDOUT)
      return r;
    if (cache_is_stopping(bundle->cache))
      return -EPIPE;
  }
  return -EPIPE;
}

static int
flush_out(struct bundle *bundle)
{
  int r = wait_for_room(bundle, bundle->out.size);
  if (r == 0)
    r = http_stream_write(bundle->stream, buf_str(&bundle->out));
  buf_clear(&bundle->out);
  return r;
}

/* A derivation's text comes as one piece, and may be larger than what may wait. */
static int
archive_piece(void *context, struct str piece)
{
  struct bundle *bundle = context;
  int r = 0;
  while (r == 0 && piece.size > 0) {
    size_t room = CACHE_PIECE - bundle->out.size;
    size_t size = piece.size < room ? piece.size : room;
    buf_append(&bundle->out, piece.data, size);
    piece = str_from(piece, size);
    r = bundle->out.size < CACHE_PIECE ? 0 : flush_out(bundle);
  }
  return r;
}

static int
send_source(struct bundle *bundle, struct guix_source *source, char *room)
{
  for (;;) {
    int64_t got = guix_source_read(source, room, CACHE_PIECE);
    if (got == 0)
      return 0;
    if (got < 0)
      return error_set(&bundle->err, (int) got, "a stored nar is damaged");
    int r = guix_archive_item_data(bundle->writer, str_make(room, (size_t) got), &bundle->err);
    if (r < 0)
      return r;
  }
}

static int
send_nar(struct bundle *bundle, const struct item *item)
{
  struct guix_source *source;
  const struct cache_form form = { item->nar_hash, item->compression, item->file_size,
                                   item->contents };
  int r = cache_nar_source(bundle->cache, &form, &source, &bundle->err);
  if (r == -ENOENT)
    cache_note_loss(bundle->cache, &bundle->err);
  if (r < 0)
    return r;
  CLEANUP_FREE char *room = mem_alloc(CACHE_PIECE);
  r = send_source(bundle, source, room);
  guix_source_free(source);
  return r;
}

/* A derivation's nar and references are made of its text. */
static int
send_text(struct bundle *bundle, struct item *item, struct arena *arena)
{
  CLEANUP_BUF struct buf nar = { 0 };
  cache_nar_of_text(item->contents, &nar);
  int r = guix_archive_item_data(bundle->writer, buf_str(&nar), &bundle->err);
  if (r == 0)
    r = cache_text_references(item->contents, arena, &item->references, &item->references_count,
                              &bundle->err);
  for (size_t i = 0; r == 0 && i < item->references_count; i++)
    item->references[i] = full_path(arena, item->references[i]);
  return r;
}

static int
send_item(struct bundle *bundle, struct item *item, struct arena *arena)
{
  int r = guix_archive_item_begin(bundle->writer, &bundle->err);
  if (r == 0)
    r = item->is_derivation ? send_text(bundle, item, arena) : send_nar(bundle, item);
  if (r == 0)
    r = guix_archive_item_end(bundle->writer, item->path, item->references, item->references_count,
                              item->deriver, &bundle->err);
  return r;
}

static int
send_all(struct bundle *bundle)
{
  for (size_t start = 0; start < bundle->count; start += SLICE) {
    CLEANUP_ARENA struct arena arena = { 0 };
    size_t count = bundle->count - start < SLICE ? bundle->count - start : SLICE;
    struct item *items = &bundle->items[start];
    int r = fetch_slice(bundle, items, count, &arena);
    for (size_t i = 0; r == 0 && i < count; i++)
      r = send_item(bundle, &items[i], &arena);
    if (r < 0)
      return r;
  }
  int r = guix_archive_end(bundle->writer, &bundle->err);
  return r < 0 ? r : flush_out(bundle);
}

/* ---- the thread ---- */

static void
bundle_ended(struct cache *cache)
{
  pthread_mutex_lock(&cache->mutex);
  if (--cache->bundles == 0)
    pthread_cond_broadcast(&cache->idle);
  pthread_mutex_unlock(&cache->mutex);
}

static int
prepare(struct bundle *bundle)
{
  struct db *db;
  bundle->items = arena_array(&bundle->arena, bundle->count, sizeof *bundle->items);
  int r = db_pool_get(bundle->cache->pool, &db, &bundle->err);
  if (r < 0)
    return r;
  r = find_items(bundle, db);
  db_pool_put(bundle->cache->pool, db);
  return r;
}

static void
send_bundle(struct bundle *bundle)
{
  int r = send_all(bundle);
  if (r == 0) {
    http_stream_close(bundle->stream);
    return;
  }
  if (r != -EPIPE)
    log_failure("cache", &bundle->err, "a bundle of %zu items broke off", bundle->count);
  http_stream_fail(bundle->stream);
}

static void *
run_bundle(void *context)
{
  struct bundle *bundle = context;
  struct cache *cache = bundle->cache;
  int r = prepare(bundle);
  if (r == 0) {
    r = http_reply_stream(bundle->request, 200, "application/octet-stream", STREAM_LIMIT,
                          &bundle->stream);
    if (r < 0)
      error_set(&bundle->err, r, "cannot begin a reply");
  }
  if (r == 0)
    send_bundle(bundle);
  else
    http_reply_failure(bundle->request, &bundle->err);
  bundle_free(bundle);
  bundle_ended(cache);
  return NULL;
}

static int
reserve_bundle(struct cache *cache, struct error *err)
{
  pthread_mutex_lock(&cache->mutex);
  bool fits = !cache->stopping && cache->bundles < BUNDLES_MAX;
  if (fits)
    cache->bundles++;
  pthread_mutex_unlock(&cache->mutex);
  return fits ? 0 : error_set(err, -EBUSY, "too many bundles are being sent");
}

static int
start_thread(struct bundle *bundle)
{
  pthread_t thread;
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
  pthread_attr_setstacksize(&attributes, THREAD_STACK);
  int r = pthread_create(&thread, &attributes, run_bundle, bundle);
  pthread_attr_destroy(&attributes);
  return -r;
}

int
cache_send_bundle(struct cache *cache, struct http_request *request, const struct str *basenames,
                  size_t count, struct error *err)
{
  int r = reserve_bundle(cache, err);
  if (r < 0)
    return r;
  struct bundle *bundle = mem_alloc(sizeof *bundle);
  *bundle = (struct bundle) {
    .cache = cache, .request = request, .basenames = basenames, .count = count
  };
  bundle->writer = guix_archive_writer_new(cache->key, archive_piece, bundle);
  http_defer(request);
  r = start_thread(bundle);
  if (r == 0)
    return 0;
  error_set(&bundle->err, -EBUSY, "cannot start a thread");
  http_reply_failure(request, &bundle->err);
  bundle_free(bundle);
  bundle_ended(cache);
  return 0;
}
