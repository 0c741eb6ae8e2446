/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The nar folder: NN/<nar hash>.<suffix>. Files are named by what the nar is, so
   a name never stands for two different contents, and equal items share one. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "cache/cache_private.h"

static const char *const suffixes[GUIX_COMPRESSION_MAX] = {
  [GUIX_COMPRESSION_NONE] = "nar",
  [GUIX_COMPRESSION_GZIP] = "gz",
  [GUIX_COMPRESSION_LZIP] = "lz",
  [GUIX_COMPRESSION_ZSTD] = "zst",
};

const char *
cache_nar_suffix(enum guix_compression compression)
{
  return suffixes[compression];
}

char *
cache_nar_file(const struct cache *cache, const struct guix_hash *nar_hash,
               enum guix_compression compression)
{
  char digits[GUIX_HASH_BASE32_SIZE + 1] = { 0 };
  guix_base32_encode(nar_hash->bytes, GUIX_HASH_SIZE, digits);
  return mem_printf("%s/%.2s/%s.%s", cache->nar_folder, digits, digits, suffixes[compression]);
}

static int
make_parent(const char *file, struct error *err)
{
  CLEANUP_FREE char *folder = mem_strndup(file, (size_t) (strrchr(file, '/') - file));
  if (mkdir(folder, 0755) == 0)
    return file_sync_parent(folder, err);
  return errno == EEXIST ? 0 : error_set_errno(err, "cannot make the folder %s", folder);
}

int
cache_nar_place(const struct cache *cache, int fd, const struct guix_hash *nar_hash,
                enum guix_compression compression, struct error *err)
{
  char open_file[64];
  snprintf(open_file, sizeof open_file, "/proc/self/fd/%d", fd);
  CLEANUP_FREE char *place = cache_nar_file(cache, nar_hash, compression);
  int r = make_parent(place, err);
  if (r < 0)
    return r;
  /* A link, unlike a rename, leaves a file alone that was announced with its
     size and may be half sent; and it is of the file that was looked at, whatever its
     name stands for by now. */
  for (;;) {
    if (linkat(AT_FDCWD, open_file, AT_FDCWD, place, AT_SYMLINK_FOLLOW) != 0 && errno != EEXIST)
      return error_set_errno(err, "cannot put a nar at %s", place);
    if (utimensat(AT_FDCWD, place, NULL, 0) == 0)
      return file_sync_parent(place, err);
    if (errno != ENOENT) /* else the one that was there has just been swept away */
      return error_set_errno(err, "cannot touch %s", place);
  }
}

int
cache_nar_temporary(const struct cache *cache, int *ret_fd, char **ret_file, struct error *err)
{
  CLEANUP_FREE char *file = mem_printf("%s/.new-XXXXXX", cache->upload_folder);
  int fd = mkostemp(file, O_CLOEXEC);
  if (fd < 0)
    return error_set_errno(err, "cannot make a file in %s", cache->upload_folder);
  (void) fchmod(fd, 0644);
  *ret_fd = fd;
  *ret_file = TAKE_PTR(file);
  return 0;
}

int
cache_nar_source(const struct cache *cache, const struct guix_hash *nar_hash,
                 enum guix_compression compression, struct str contents, struct guix_source **ret,
                 struct error *err)
{
  if (compression < 0 || compression >= GUIX_COMPRESSION_MAX)
    return error_set(err, -EINVAL, "there is no compression %d", (int) compression);
  if (contents.size > 0) {
    *ret = guix_source_of_bytes(compression, contents);
    return 0;
  }
  CLEANUP_FREE char *file = cache_nar_file(cache, nar_hash, compression);
  int fd = open(file, O_RDONLY | O_CLOEXEC);
  if (fd < 0)
    return error_set_errno(err, "cannot open %s", file);
  *ret = guix_source_open(compression, fd);
  return 0;
}

/* A token: its length in 8 bytes, itself, zeros up to a multiple of 8. */
static void
append_token(struct buf *out, struct str token)
{
  unsigned char size[8];
  for (int i = 0; i < 8; i++)
    size[i] = (unsigned char) (token.size >> (8 * i));
  buf_append(out, size, sizeof size);
  buf_append_str(out, token);
  buf_append(out, "\0\0\0\0\0\0\0", -token.size & 7);
}

void
cache_nar_of_text(struct str text, struct buf *ret)
{
  const struct str tokens[] = { STR("nix-archive-1"), STR("("), STR("type"), STR("regular"),
                                STR("contents"),      text,     STR(")") };
  for (size_t i = 0; i < ARRAY_SIZE(tokens); i++)
    append_token(ret, tokens[i]);
}

/* All tokens up to the contents' length, which is the last 8 bytes: reference 3.1. */
int64_t
cache_text_size(const char header[CACHE_TEXT_HEADER])
{
  CLEANUP_BUF struct buf expected = { 0 };
  cache_nar_of_text(STR(""), &expected);
  const size_t place = CACHE_TEXT_HEADER - 8;
  if (memcmp(header, expected.data, place) != 0)
    return -EINVAL;
  uint64_t size = 0;
  for (int i = 7; i >= 0; i--)
    size = size << 8 | (unsigned char) header[place + (size_t) i];
  return size > INT64_MAX ? -EINVAL : (int64_t) size;
}

bool
cache_text_of_nar(struct str nar, struct str *ret_text)
{
  if (nar.size < CACHE_TEXT_HEADER)
    return false;
  int64_t size = cache_text_size(nar.data);
  if (size < 0 || size > (int64_t) (nar.size - CACHE_TEXT_HEADER))
    return false;
  *ret_text = str_make(nar.data + CACHE_TEXT_HEADER, (size_t) size);
  return true;
}
