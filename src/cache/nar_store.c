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

/* ---- one that is there already ---- */

static bool
is_same(int fd, int other)
{
  CLEANUP_FREE char *a = mem_alloc(CACHE_PIECE);
  CLEANUP_FREE char *b = mem_alloc(CACHE_PIECE);
  for (off_t at = 0;;) {
    ssize_t got = pread(fd, a, CACHE_PIECE, at);
    if (got < 0 || pread(other, b, CACHE_PIECE, at) != got || memcmp(a, b, (size_t) got) != 0)
      return false;
    if (got == 0)
      return true;
    at += got;
  }
}

/* Whether the file PLACE unpacks to the nar with that hash. */
static bool
is_whole(const char *place, enum guix_compression compression, const struct guix_hash *nar_hash)
{
  int fd = open(place, O_RDONLY | O_CLOEXEC);
  if (fd < 0)
    return false;
  CLEANUP_FREE char *room = mem_alloc(CACHE_PIECE);
  struct guix_source *source = guix_source_open(compression, fd);
  struct guix_hasher *hasher = guix_hasher_new();
  int64_t got;
  while ((got = guix_source_read(source, room, CACHE_PIECE)) > 0)
    guix_hasher_update(hasher, room, (size_t) got);
  struct guix_hash hash = guix_hasher_digest(hasher);
  guix_source_free(source);
  guix_hasher_free(hasher);
  return got == 0 && memcmp(hash.bytes, nar_hash->bytes, GUIX_HASH_SIZE) == 0;
}

/* Another compressor may have made other bytes of the same nar: they are as good. */
static bool
is_worth_keeping(int fd, const char *place, enum guix_compression compression,
                 const struct guix_hash *nar_hash)
{
  CLEANUP_FD int there = open(place, O_RDONLY | O_CLOEXEC);
  return there >= 0 && (is_same(fd, there) || is_whole(place, compression, nar_hash));
}

/* Who is being sent the damaged one goes on with that. */
static int
replace(const struct cache *cache, const char *open_file, const char *place, struct error *err)
{
  char digits[33];
  file_random_hex(16, digits);
  CLEANUP_FREE char *beside = mem_printf("%s/.new-%s", cache->upload_folder, digits);
  if (linkat(AT_FDCWD, open_file, AT_FDCWD, beside, AT_SYMLINK_FOLLOW) != 0
      || rename(beside, place) != 0) {
    int r = error_set_errno(err, "cannot put a nar at %s", place);
    unlink(beside);
    return r;
  }
  return 0;
}

/* ---- placing ---- */

int
cache_nar_place(const struct cache *cache, int fd, const struct guix_hash *nar_hash,
                enum guix_compression compression, int64_t *ret_size, struct error *err)
{
  char open_file[64];
  struct stat status;
  snprintf(open_file, sizeof open_file, "/proc/self/fd/%d", fd);
  CLEANUP_FREE char *place = cache_nar_file(cache, nar_hash, compression);
  int r = make_parent(place, err);
  if (r < 0)
    return r;
  /* A link, unlike a rename, leaves a file alone that was announced with its
     size and may be half sent; and it is of the file that was looked at, whatever its
     name stands for by now. */
  for (;;) {
    if (linkat(AT_FDCWD, open_file, AT_FDCWD, place, AT_SYMLINK_FOLLOW) != 0) {
      if (errno != EEXIST)
        return error_set_errno(err, "cannot put a nar at %s", place);
      r = is_worth_keeping(fd, place, compression, nar_hash)
              ? 0
              : replace(cache, open_file, place, err);
      if (r < 0)
        return r;
    }
    if (utimensat(AT_FDCWD, place, NULL, 0) == 0 && stat(place, &status) == 0) {
      *ret_size = status.st_size;
      return file_sync_parent(place, err);
    }
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
cache_nar_open(const struct cache *cache, const struct cache_form *form, int *ret_fd,
               struct error *err)
{
  CLEANUP_FREE char *file = cache_nar_file(cache, &form->nar_hash, form->compression);
  CLEANUP_FD int fd = open(file, O_RDONLY | O_CLOEXEC);
  struct stat status;
  if (fd < 0 || fstat(fd, &status) != 0)
    return error_set_errno(err, "cannot open %s", file);
  if (status.st_size != form->file_size)
    return error_set(err, -ENOENT, "%s has %lld bytes instead of %lld", file,
                     (long long) status.st_size, (long long) form->file_size);
  *ret_fd = TAKE_FD(fd);
  return 0;
}

int
cache_nar_source(const struct cache *cache, const struct cache_form *form, struct guix_source **ret,
                 struct error *err)
{
  if (form->compression < 0 || form->compression >= GUIX_COMPRESSION_MAX)
    return error_set(err, -EINVAL, "there is no compression %d", (int) form->compression);
  if (form->contents.size > 0) {
    *ret = guix_source_of_bytes(form->compression, form->contents);
    return 0;
  }
  int fd;
  int r = cache_nar_open(cache, form, &fd, err);
  if (r == 0)
    *ret = guix_source_open(form->compression, fd);
  return r;
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
