/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "cache/pack.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>
#include <zstd.h>

#include "base/file.h"
#include "base/mem.h"

/* Nars up to this are compressed in one go, with a context that is used again:
   most sources are scripts of a few kilobytes, and there are tens of thousands. */
#define WHOLE_MAX (INT64_C(256) << 10)

struct cache_packer
{
  struct cache *cache;
  ZSTD_CCtx *context;
  struct buf nar; /* the nar so far, while it is small */
  struct buf packed;

  /* of the item that is being packed */
  struct guix_hasher *hasher;
  int64_t nar_size;
  struct guix_compressor *compressor; /* once it is not small any more */
  int fd;
  char *file;
  int64_t file_size;
  struct error *err;
};

struct cache_packer *
cache_packer_new(struct cache *cache)
{
  struct cache_packer *packer = mem_alloc(sizeof *packer);
  *packer = (struct cache_packer) { .cache = cache, .context = ZSTD_createCCtx(), .fd = -1 };
  if (packer->context == NULL)
    abort(); /* out of memory, as in mem_alloc */
  return packer;
}

void
cache_packer_free(struct cache_packer *packer)
{
  if (packer == NULL)
    return;
  ZSTD_freeCCtx(packer->context);
  buf_free(&packer->nar);
  buf_free(&packer->packed);
  free(packer);
}

static int
write_file(struct cache_packer *packer, struct str piece)
{
  int r = file_write_full(packer->fd, piece.data, piece.size);
  packer->file_size += (int64_t) piece.size;
  return r < 0 ? error_set(packer->err, r, "cannot write %s", packer->file) : 0;
}

static int
packed_piece(void *context, struct str piece)
{
  return write_file(context, piece);
}

static int
start_stream(struct cache_packer *packer)
{
  int r = cache_nar_temporary(packer->cache, &packer->fd, &packer->file, packer->err);
  if (r < 0)
    return r;
  packer->compressor =
      guix_compressor_new(GUIX_COMPRESSION_ZSTD, CACHE_ZSTD_LEVEL, packed_piece, packer);
  return guix_compressor_feed(packer->compressor, buf_str(&packer->nar), packer->err);
}

static int
nar_piece(void *context, struct str piece)
{
  struct cache_packer *packer = context;
  guix_hasher_update(packer->hasher, piece.data, piece.size);
  packer->nar_size += (int64_t) piece.size;
  if (packer->compressor != NULL)
    return guix_compressor_feed(packer->compressor, piece, packer->err);
  buf_append_str(&packer->nar, piece);
  return packer->nar_size <= WHOLE_MAX ? 0 : start_stream(packer);
}

/* The small nar is whole: to the database, or to a file after all. */
static int
finish_whole(struct cache_packer *packer, struct str *ret_contents)
{
  size_t room = ZSTD_compressBound(packer->nar.size);
  buf_clear(&packer->packed);
  size_t size = ZSTD_compressCCtx(packer->context, buf_reserve(&packer->packed, room), room,
                                  packer->nar.data, packer->nar.size, CACHE_ZSTD_LEVEL);
  if (ZSTD_isError(size))
    return error_set(packer->err, -EIO, "cannot compress: %s", ZSTD_getErrorName(size));
  struct str packed = str_make(packer->packed.data, size);
  if ((int64_t) size <= packer->cache->inline_limit) {
    packer->file_size = (int64_t) size;
    *ret_contents = packed;
    return 0;
  }
  int r = cache_nar_temporary(packer->cache, &packer->fd, &packer->file, packer->err);
  return r < 0 ? r : write_file(packer, packed);
}

static int
place_file(struct cache_packer *packer, const struct guix_hash *nar_hash)
{
  if (fsync(packer->fd) != 0)
    return error_set_errno(packer->err, "cannot write %s", packer->file);
  return cache_nar_place(packer->cache, packer->fd, nar_hash, GUIX_COMPRESSION_ZSTD,
                         &packer->file_size, packer->err);
}

static int
pack_item(struct cache_packer *packer, const char *path, struct cache_packed *ret)
{
  ret->contents = STR("");
  int r = guix_nar_write(path, nar_piece, packer, packer->err);
  if (r < 0)
    return r;
  r = packer->compressor != NULL ? guix_compressor_end(packer->compressor, packer->err)
                                 : finish_whole(packer, &ret->contents);
  if (r < 0)
    return r;
  ret->nar_hash = guix_hasher_digest(packer->hasher);
  ret->nar_size = packer->nar_size;
  ret->file_size = packer->file_size;
  ret->nar = packer->compressor != NULL ? STR("") : buf_str(&packer->nar);
  return packer->file != NULL ? place_file(packer, &ret->nar_hash) : 0;
}

int
cache_pack(struct cache_packer *packer, const char *path, struct cache_packed *ret,
           struct error *err)
{
  buf_clear(&packer->nar);
  packer->hasher = guix_hasher_new();
  packer->nar_size = packer->file_size = 0;
  packer->err = err;
  int r = pack_item(packer, path, ret);

  guix_hasher_free(packer->hasher);
  guix_compressor_free(packer->compressor);
  packer->compressor = NULL;
  file_closep(&packer->fd);
  if (packer->file != NULL)
    unlink(packer->file); /* it has another name when it was placed */
  free(packer->file);
  packer->file = NULL;
  return r;
}
