/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The substitute server: what `guix publish` serves, at its paths. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "cache/cache_private.h"
#include "cache/cache_sql.h"

#define NAR_TYPE "application/x-nix-archive"
#define AGE_HIT "public, max-age=86400"
#define AGE_UNKNOWN "public, max-age=60"

static int
reply_unknown(struct http_request *request)
{
  http_reply_header(request, "Cache-Control", AGE_UNKNOWN);
  return http_reply_text(request, 404, "text/plain", "Not found.\n");
}

/* An entity tag says which nar and which form of it. */
static const char *
etag_of(struct http_request *request, const struct guix_hash *nar_hash, const char *form)
{
  char digits[GUIX_HASH_BASE32_SIZE + 1] = { 0 };
  guix_base32_encode(nar_hash->bytes, GUIX_HASH_SIZE, digits);
  return arena_printf(http_arena(request), "\"%s-%s\"", digits, form);
}

/* Its file is gone: for clients the same as never there. */
static int
reply_lost(struct cache *cache, struct http_request *request, const struct error *err)
{
  cache_note_loss(cache, err);
  return reply_unknown(request);
}

/* ---- where the bytes are ---- */

struct stored /* all in the request's arena */
{
  struct cache_form form; /* for a derivation its uncompressed nar */
  int64_t nar_size;
};

/* A derivation's nar is made of its text. */
static int
find_derivation(struct db *db, struct str basename, struct arena *arena, struct stored *ret,
                struct error *err)
{
  int64_t id;
  CLEANUP_BUF struct buf text = { 0 }, nar = { 0 };
  int r = graph_path_find(db, basename, &id, err);
  if (r > 0)
    r = graph_derivation_text(db, id, &text, err);
  if (r <= 0)
    return r;
  cache_nar_of_text(buf_str(&text), &nar);
  *ret = (struct stored) { .form = { .nar_hash = guix_hash_of(buf_str(&nar)),
                                     .compression = GUIX_COMPRESSION_NONE,
                                     .file_size = (int64_t) nar.size,
                                     .contents = arena_str(arena, buf_str(&nar)) },
                           .nar_size = (int64_t) nar.size };
  return 1;
}

static int
find_stored(struct db *db, struct str basename, enum guix_compression wanted, struct arena *arena,
            struct stored *ret, struct error *err)
{
  struct cache_stored_form_row row;
  int r = cache_stored_form(db, basename, (int16_t) wanted, arena, &row, err);
  if (r == 0 && str_ends(basename, STR(".drv")))
    return find_derivation(db, basename, arena, ret, err);
  if (r <= 0)
    return r;
  *ret = (struct stored) { .form = { .compression = (enum guix_compression) row.compression,
                                     .file_size = row.file_size,
                                     .contents = row.contents_null ? STR("") : row.contents },
                           .nar_size = row.nar_size };
  memcpy(ret->form.nar_hash.bytes, row.nar_hash.data, GUIX_HASH_SIZE);
  return 1;
}

/* 1 found, 0 not offered. */
static int
find(const struct cache *cache, struct http_request *request, struct str basename,
     enum guix_compression wanted, struct stored *ret, struct error *err)
{
  if (!guix_basename_is_valid(basename))
    return 0;
  struct db *db;
  int r = db_pool_get(cache->pool, &db, err);
  if (r < 0)
    return r;
  r = find_stored(db, basename, wanted, http_arena(request), ret, err);
  db_pool_put(cache->pool, db);
  return r;
}

/* ---- nars ---- */

static int
reply_stored(struct cache *cache, struct http_request *request, const struct stored *stored,
             struct error *err)
{
  const char *etag =
      etag_of(request, &stored->form.nar_hash, guix_compression_name(stored->form.compression));
  if (stored->form.contents.size > 0) {
    http_reply_header(request, "Cache-Control", AGE_HIT);
    return http_reply_bytes(request, NAR_TYPE, etag, stored->form.contents);
  }
  int fd;
  int r = cache_nar_open(cache, &stored->form, &fd, err);
  if (r == -ENOENT)
    return reply_lost(cache, request, err);
  if (r < 0)
    return error_set(err, -EIO, "the nar of a stored item cannot be opened");
  http_reply_header(request, "Cache-Control", AGE_HIT);
  return http_reply_file(request, NAR_TYPE, etag, fd, 0);
}

/* /nar/COMPRESSION/ITEM: only forms that are stored. */
static int
handle_compressed(struct http_request *request, void *context, struct error *err)
{
  struct cache *cache = context;
  enum guix_compression wanted = guix_compression_parse(http_param(request, "compression"));
  struct stored stored;
  if (wanted == GUIX_COMPRESSION_INVALID)
    return reply_unknown(request);
  int r = find(cache, request, http_param(request, "item"), wanted, &stored, err);
  if (r < 0)
    return r;
  if (r == 0 || stored.form.compression != wanted)
    return reply_unknown(request);
  return reply_stored(cache, request, &stored, err);
}

/* /nar/ITEM: unpacked on its way, for clients that cannot read what is stored. */
static int
handle_plain(struct http_request *request, void *context, struct error *err)
{
  struct cache *cache = context;
  struct stored stored;
  int r = find(cache, request, http_param(request, "item"), GUIX_COMPRESSION_NONE, &stored, err);
  if (r < 0)
    return r;
  if (r == 0)
    return reply_unknown(request);
  if (stored.form.compression == GUIX_COMPRESSION_NONE)
    return reply_stored(cache, request, &stored, err);
  struct guix_source *source;
  r = cache_nar_source(cache, &stored.form, &source, err);
  if (r == -ENOENT)
    return reply_lost(cache, request, err);
  if (r < 0)
    return error_set(err, -EIO, "the nar of a stored item cannot be opened");
  http_reply_header(request, "Cache-Control", AGE_HIT);
  return http_reply_pull(request, 200, NAR_TYPE, stored.nar_size, guix_source_read, source,
                         guix_source_free);
}

/* ---- /file/NAME/sha256/HASH ---- */

static int
read_exactly(struct guix_source *source, char *room, size_t size)
{
  while (size > 0) {
    int64_t got = guix_source_read(source, room, size);
    if (got <= 0)
      return got == 0 ? -EPIPE : (int) got;
    room += got;
    size -= (size_t) got;
  }
  return 0;
}

/* The contents inside the nar: behind them come the nar's last tokens. */
struct flat
{
  struct guix_source *source;
  int64_t left;
};

static void
flat_free(void *state)
{
  struct flat *flat = state;
  guix_source_free(flat->source);
  free(flat);
}

static int64_t
flat_read(void *state, char *room, size_t size)
{
  struct flat *flat = state;
  if ((int64_t) size > flat->left)
    size = (size_t) flat->left;
  int64_t got = size == 0 ? 0 : guix_source_read(flat->source, room, size);
  if (got > 0)
    flat->left -= got;
  return got;
}

/* The contents of a nar that holds one plain file. */
static int
reply_flat(struct cache *cache, struct http_request *request, const struct stored *stored,
           struct error *err)
{
  char header[CACHE_TEXT_HEADER];
  struct guix_source *source;
  int r = cache_nar_source(cache, &stored->form, &source, err);
  if (r == -ENOENT)
    return reply_lost(cache, request, err);
  if (r < 0)
    return error_set(err, -EIO, "the nar of a stored item cannot be opened");
  struct flat *flat = mem_alloc(sizeof *flat);
  flat->source = source;
  r = read_exactly(source, header, sizeof header);
  flat->left = r < 0 ? r : cache_text_size(header);
  if (flat->left < 0) {
    flat_free(flat);
    return reply_unknown(request);
  }
  http_reply_header(request, "Cache-Control", AGE_HIT);
  return http_reply_pull(request, 200, "application/octet-stream", flat->left, flat_read, flat,
                         flat_free);
}

static int
handle_file(struct http_request *request, void *context, struct error *err)
{
  struct cache *cache = context;
  struct str name = http_param(request, "name");
  char hex[GUIX_HASH_HEX_SIZE];
  struct guix_hash hash;
  struct str digits = http_param(request, "hash");
  if (name.size == 0 || name.size > GUIX_NAME_MAX
      || guix_base32_decode(digits, hash.bytes, GUIX_HASH_SIZE) < 0)
    return reply_unknown(request);
  str_to_hex(hash.bytes, GUIX_HASH_SIZE, hex);
  struct str path = guix_path_of_fixed(http_arena(request), name, false, STR("sha256"),
                                       str_make(hex, sizeof hex));
  struct stored stored;
  if (!guix_path_is_valid(path))
    return reply_unknown(request);
  int r = find(cache, request, guix_path_basename(path), GUIX_COMPRESSION_NONE, &stored, err);
  if (r < 0)
    return r;
  return r == 0 ? reply_unknown(request) : reply_flat(cache, request, &stored, err);
}

/* ---- the rest ---- */

static int
handle_cache_info(struct http_request *request, void *context, struct error *err)
{
  (void) context;
  (void) err;
  return http_reply_text(request, 200, "text/plain",
                         "StoreDir: " GUIX_STORE "\nWantMassQuery: 0\nPriority: 100\n");
}

static int
handle_key(struct http_request *request, void *context, struct error *err)
{
  const struct cache *cache = context;
  (void) err;
  return http_reply_text(request, 200, "text/plain", cache->public_text);
}

static const struct http_route routes[] = {
  { .method = "GET",
    .path = "/nix-cache-info",
    .handler = handle_cache_info,
    .summary = "What kind of substitute server this is." },
  { .method = "GET",
    .path = "/signing-key.pub",
    .handler = handle_key,
    .summary = "The public key to authorize." },
  { .method = "GET",
    .path = "/{hash}.narinfo",
    .handler = cache_handle_narinfo,
    .summary = "A store item's signed description." },
  { .method = "GET",
    .path = "/nar/{item}",
    .handler = handle_plain,
    .summary = "A store item as an uncompressed nar." },
  { .method = "GET",
    .path = "/nar/{compression}/{item}",
    .handler = handle_compressed,
    .summary = "A store item as a compressed nar." },
  { .method = "GET",
    .path = "/file/{name}/sha256/{hash}",
    .handler = handle_file,
    .summary = "A source file by name and hash." },
  { .method = "GET",
    .path = "/log/{item}",
    .handler = cache_handle_log,
    .summary = "The newest build log of an output or a derivation." },
};

struct http_routes
cache_routes(struct cache *cache)
{
  return (struct http_routes) { routes, ARRAY_SIZE(routes), cache };
}
