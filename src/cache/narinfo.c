/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Narinfos. Signing costs a millisecond, so the signed part is made when first
   asked for and kept; the URLs behind it, which are not signed, are written anew
   each time from the forms that are stored. */
#include <errno.h>
#include <stdlib.h>

#include "base/mem.h"
#include "cache/cache_private.h"
#include "cache/cache_sql.h"

#define AGE_WHOLE "public, max-age=86400"
#define AGE_WAITS "public, max-age=300" /* a second form will be announced soon */
#define AGE_UNKNOWN "public, max-age=60"

/* ---- what a derivation refers to ---- */

static int
compare_basenames(const void *a, const void *b)
{
  return str_compare(*(const struct str *) a, *(const struct str *) b);
}

int
cache_text_references(struct str text, struct arena *arena, struct str **ret, size_t *ret_count,
                      struct error *err)
{
  struct guix_derivation derivation;
  int r = guix_derivation_parse(text, arena, &derivation, err);
  if (r < 0)
    return r;
  size_t count = 0;
  struct str *references =
      arena_array(arena, derivation.inputs_count + derivation.sources_count, sizeof *references);
  for (size_t i = 0; i < derivation.inputs_count; i++)
    references[count++] = guix_path_basename(derivation.inputs[i].path);
  for (size_t i = 0; i < derivation.sources_count; i++)
    references[count++] = guix_path_basename(derivation.sources[i]);
  qsort(references, count, sizeof *references, compare_basenames);
  *ret = references;
  *ret_count = count;
  return 0;
}

/* ---- the signed part ---- */

static int
item_facts(struct db *db, int64_t path_id, struct arena *arena, struct guix_narinfo *ret,
           struct error *err)
{
  struct cache_narinfo_facts_row row;
  int r = cache_narinfo_facts(db, path_id, arena, &row, err);
  if (r <= 0)
    return r;
  memcpy(ret->nar_hash.bytes, row.nar_hash.data, GUIX_HASH_SIZE);
  ret->nar_size = row.nar_size;
  ret->deriver = row.deriver_null ? STR("") : row.deriver;
  ret->references = arena_array(arena, row.references.count, sizeof *ret->references);
  for (size_t i = 0; i < row.references.count; i++)
    ret->references[i] = row.references.items[i];
  ret->references_count = row.references.count;
  return 1;
}

static int
derivation_facts(struct db *db, int64_t path_id, struct arena *arena, struct guix_narinfo *ret,
                 struct error *err)
{
  CLEANUP_BUF struct buf text = { 0 }, nar = { 0 };
  int r = graph_derivation_text(db, path_id, &text, err);
  if (r <= 0)
    return r;
  r = cache_text_references(buf_str(&text), arena, &ret->references, &ret->references_count, err);
  if (r < 0)
    return r;
  cache_nar_of_text(buf_str(&text), &nar);
  ret->nar_hash = guix_hash_of(buf_str(&nar));
  ret->nar_size = (int64_t) nar.size;
  ret->deriver = STR("");
  return 1;
}

/* Makes and keeps the signed text: 1, or 0 when the item has gone. */
static int
sign(const struct cache *cache, struct db *db, const struct cache_narinfo_find_row *found,
     struct arena *arena, struct buf *ret, struct error *err)
{
  struct guix_narinfo info = { .path = str_of(arena_printf(arena, GUIX_STORE_PREFIX "%.*s",
                                                           STR_FMT(found->basename))) };
  int r = found->is_item ? item_facts(db, found->id, arena, &info, err)
                         : derivation_facts(db, found->id, arena, &info, err);
  if (r <= 0)
    return r;
  r = guix_narinfo_write_signed(&info, cache->key, cache->host_name, ret, err);
  if (r == 0)
    r = cache_narinfo_keep(db, found->id, cache->key_number, buf_str(ret), err);
  return r < 0 ? r : 1;
}

/* ---- URLs ---- */

/* Nar sizes of derivations are not stored, but stand in the signed text. */
static int64_t
nar_size_of(const struct cache_narinfo_find_row *found, struct str signed_text)
{
  struct str line;
  int64_t size = 0;
  if (found->is_item)
    return found->nar_size;
  while (str_split(&signed_text, '\n', &line))
    if (str_starts(line, STR("NarSize: ")) && str_to_i64(str_from(line, 9), &size) == 0)
      break;
  return size;
}

static struct guix_narinfo_url
url_of(const struct cache_narinfo_find_row *found, enum guix_compression compression,
       int64_t file_size, struct arena *arena)
{
  const char *url = compression == GUIX_COMPRESSION_NONE
                        ? arena_printf(arena, "nar/%.*s", STR_FMT(found->basename))
                        : arena_printf(arena, "nar/%s/%.*s", guix_compression_name(compression),
                                       STR_FMT(found->basename));
  return (struct guix_narinfo_url) { str_of(url), compression, file_size };
}

/* Each URL with its size, else clients ignore some. Many stock clients cannot
   read zstd: until there is a second form they get the nar as it is. */
static void
write_urls(const struct cache_narinfo_find_row *found, struct str signed_text, struct arena *arena,
           struct buf *out)
{
  struct guix_narinfo_url urls[GUIX_COMPRESSION_MAX];
  size_t count = 0;
  bool has_second = false;
  for (size_t i = 0; i < found->compressions.count && count < GUIX_COMPRESSION_MAX - 1; i++) {
    enum guix_compression compression = (enum guix_compression) found->compressions.items[i];
    has_second |= compression != GUIX_COMPRESSION_ZSTD;
    urls[count++] = url_of(found, compression, found->file_sizes.items[i], arena);
  }
  if (!has_second)
    urls[count++] = url_of(found, GUIX_COMPRESSION_NONE, nar_size_of(found, signed_text), arena);
  guix_narinfo_write_urls(urls, count, out);
}

/* ---- the route ---- */

static int
reply_unknown(struct http_request *request)
{
  http_reply_header(request, "Cache-Control", AGE_UNKNOWN);
  return http_reply_text(request, 404, "text/plain", "Not found.\n");
}

/* 1 found and sourced, 0 not offered. */
static int
find(const struct cache *cache, struct db *db, struct str hash_part, struct arena *arena,
     struct cache_narinfo_find_row *ret, struct error *err)
{
  if (hash_part.size != GUIX_PATH_HASH_SIZE || !str_is_utf8(hash_part))
    return 0;
  int r = cache_narinfo_find(db, cache->key_number, hash_part, arena, ret, err);
  if (r <= 0 || ret->is_item || !ret->signed_text_null)
    return r;
  struct cache_narinfo_unsourced_row unsourced;
  r = cache_narinfo_unsourced(db, ret->id, &unsourced, err);
  return r < 0 ? r : unsourced.missing == 0;
}

/* The whole narinfo into OUT: 1, or 0 when there is none. */
static int
write_narinfo(const struct cache *cache, struct db *db, struct str hash_part, struct arena *arena,
              struct buf *out, bool *ret_waits, struct error *err)
{
  struct cache_narinfo_find_row found;
  int r = find(cache, db, hash_part, arena, &found, err);
  if (r <= 0)
    return r;
  if (found.signed_text_null)
    r = sign(cache, db, &found, arena, out, err);
  else
    buf_append_str(out, found.signed_text);
  if (r <= 0)
    return r;
  CLEANUP_BUF struct buf urls = { 0 };
  write_urls(&found, buf_str(out), arena, &urls);
  buf_append_str(out, buf_str(&urls));
  *ret_waits = found.waits;
  return 1;
}

/* Of the whole text: it changes with the key and with the forms that are stored. */
static const char *
etag_of(struct str text, struct arena *arena)
{
  struct guix_hash hash = guix_hash_of(text);
  char digits[GUIX_HASH_BASE32_SIZE + 1] = { 0 };
  guix_base32_encode(hash.bytes, GUIX_HASH_SIZE, digits);
  return arena_printf(arena, "\"%s\"", digits);
}

int
cache_handle_narinfo(struct http_request *request, void *context, struct error *err)
{
  const struct cache *cache = context;
  CLEANUP_BUF struct buf text = { 0 };
  bool waits = false;
  struct db *db;
  int r = db_pool_get(cache->pool, &db, err);
  if (r < 0)
    return r;
  r = write_narinfo(cache, db, http_param(request, "hash"), http_arena(request), &text, &waits,
                    err);
  db_pool_put(cache->pool, db);
  if (r < 0)
    return r;
  if (r == 0)
    return reply_unknown(request);
  http_reply_header(request, "Cache-Control", waits ? AGE_WAITS : AGE_WHOLE);
  return http_reply_bytes(request, "application/x-nix-narinfo",
                          etag_of(buf_str(&text), http_arena(request)), buf_str(&text));
}
