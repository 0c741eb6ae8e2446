/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The second stored form of nars, for clients that cannot read zstd. */
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "cache/cache_private.h"
#include "cache/cache_sql.h"

/* Output that stays small is kept in memory and goes into the database. */
struct output
{
  const struct cache *cache;
  struct buf small;
  int fd;
  char *file;
  int64_t size;
  struct error *err;
};

static void
output_free(struct output *output)
{
  buf_free(&output->small);
  file_closep(&output->fd);
  if (output->file != NULL)
    unlink(output->file); /* it has another name when it was placed */
  free(output->file);
}

static int
write_file(struct output *output, struct str piece)
{
  int r = file_write_full(output->fd, piece.data, piece.size);
  return r < 0 ? error_set(output->err, r, "cannot write %s", output->file) : 0;
}

static int
output_piece(void *context, struct str piece)
{
  struct output *output = context;
  output->size += (int64_t) piece.size;
  if (output->fd >= 0)
    return write_file(output, piece);
  buf_append_str(&output->small, piece);
  if (output->size <= output->cache->inline_limit)
    return 0;
  int r = cache_nar_temporary(output->cache, &output->fd, &output->file, output->err);
  return r < 0 ? r : write_file(output, buf_str(&output->small));
}

static int
pump_source(struct cache *cache, struct guix_source *source, struct guix_compressor *compressor,
            struct error *err)
{
  CLEANUP_FREE char *room = mem_alloc(CACHE_PIECE);
  for (;;) {
    int64_t got = guix_source_read(source, room, CACHE_PIECE);
    if (got == 0)
      return guix_compressor_end(compressor, err);
    if (got < 0)
      return error_set(err, (int) got, "the stored nar is damaged");
    if (cache_is_stopping(cache))
      return error_set(err, -ECANCELED, "the server stops");
    int r = guix_compressor_feed(compressor, str_make(room, (size_t) got), err);
    if (r < 0)
      return r;
  }
}

static int
compress_item(struct cache *cache, const struct cache_recompress_next_row *row,
              const struct guix_hash *nar_hash, struct output *output, struct error *err)
{
  struct guix_source *source;
  const struct cache_form form = { *nar_hash, (enum guix_compression) row->compression,
                                   row->file_size, row->contents_null ? STR("") : row->contents };
  int r = cache_nar_source(cache, &form, &source, err);
  if (r < 0)
    return r;
  struct guix_compressor *compressor = guix_compressor_new(cache->second, 0, output_piece, output);
  r = pump_source(cache, source, compressor, err);
  guix_compressor_free(compressor);
  guix_source_free(source);
  if (r < 0 || output->fd < 0)
    return r;
  buf_clear(&output->small);
  if (fsync(output->fd) != 0)
    return error_set_errno(err, "cannot write %s", output->file);
  return cache_nar_place(cache, output->fd, nar_hash, cache->second, &output->size, err);
}

static int
note_result(struct cache *cache, const struct cache_recompress_next_row *row, int result,
            const struct output *output, struct error *err)
{
  struct str contents = output->fd < 0 ? buf_str(&output->small) : STR("");
  struct db *db;
  int r = db_pool_get(cache->pool, &db, err);
  if (r < 0)
    return r;
  r = result < 0 ? cache_recompress_failed(db, str_of(output->err->message), row->path_id, err)
                 : cache_recompress_done(db, row->path_id, (int16_t) cache->second, output->size,
                                         contents, err);
  db_pool_put(cache->pool, db);
  return r < 0 ? r : 0;
}

/* One item; its failure is noted and no failure of the round. One whose file is not here
   may lie in another process's folder: that one's business. */
static int
recompress_one(struct cache *cache, const struct cache_recompress_next_row *row, struct error *err)
{
  struct error cause = { 0 };
  struct guix_hash nar_hash;
  memcpy(nar_hash.bytes, row->nar_hash.data, GUIX_HASH_SIZE);
  PN_CLEANUP(output_free) struct output output = { .cache = cache, .fd = -1, .err = &cause };
  int r = compress_item(cache, row, &nar_hash, &output, &cause);
  if (r == -ECANCELED)
    return error_set(err, r, "%s", cause.message);
  return r == -ENOENT ? 0 : note_result(cache, row, r, &output, err);
}

int
cache_recompress(struct cache *cache, int64_t *after, int *ret_done, struct error *err)
{
  CLEANUP_ARENA struct arena arena = { 0 };
  struct cache_recompress_next_rows rows = { 0 };
  struct db *db;
  *ret_done = 0;
  int r = db_pool_get(cache->pool, &db, err);
  if (r < 0)
    return r;
  r = cache_recompress_next(db, (int16_t) cache->second, *after, &arena, &rows, err);
  db_pool_put(cache->pool, db); /* compressing takes long */
  for (size_t i = 0; r >= 0 && i < rows.count && !cache_is_stopping(cache); i++) {
    r = recompress_one(cache, &rows.items[i], err);
    *after = rows.items[i].path_id;
    *ret_done += r == 0;
  }
  return r < 0 && r != -ECANCELED ? r : 0;
}
