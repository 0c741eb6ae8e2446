/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Uploads: files that grow, each under an exclusive lock while it is open or
   checked, until they are proved right and move to the nar folder. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "cache/cache_private.h"

#define UPLOAD_NAME_MAX 128
#define ROOM_MIN (UINT64_C(1) << 20) /* bytes: less is a full disk */
#define UPLOAD_SIZE_MAX (INT64_C(64) << 30)
#define NAR_SIZE_MAX (INT64_C(256) << 30)

struct cache_upload
{
  int fd;
  int64_t size;
};

/* Names become file names: nothing but letters, digits and '-'. */
static bool
is_name(const char *name)
{
  static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-";
  size_t size = strlen(name);
  return size > 0 && size <= UPLOAD_NAME_MAX && strspn(name, allowed) == size;
}

static char *
file_of(const struct cache *cache, const char *name)
{
  return mem_printf("%s/%s", cache->upload_folder, name);
}

int64_t
cache_upload_offset(struct cache *cache, const char *name)
{
  struct stat status;
  if (!is_name(name))
    return 0;
  CLEANUP_FREE char *file = file_of(cache, name);
  return stat(file, &status) == 0 ? status.st_size : 0;
}

/* What lies in its place must never change: a name that was left behind there (by a
   crash) counts for nothing. */
static bool
is_placed(const struct stat *status)
{
  return status->st_nlink > 1;
}

/* Between open and lock the file may have got its place, and the name may be gone or
   another's. */
static bool
has_name(const struct stat *status, const char *file)
{
  struct stat named;
  return lstat(file, &named) == 0 && named.st_ino == status->st_ino
         && named.st_dev == status->st_dev;
}

int
cache_check_room(const char *folder, const char *what, struct error *err)
{
  struct statvfs status;
  if (statvfs(folder, &status) == 0 && (uint64_t) status.f_bavail * status.f_frsize < ROOM_MIN)
    return error_set(err, -ENOSPC, "cannot take %s: %s is on a full disk", what, folder);
  return 0;
}

/* Opens under the lock, which whoever writes or removes an upload must have. */
static int
open_locked(const struct cache *cache, const char *name, int flags, int *ret_fd, struct error *err)
{
  if (!is_name(name))
    return error_set(err, -EINVAL, "\"%s\" cannot name an upload", name);
  CLEANUP_FREE char *file = file_of(cache, name);
  CLEANUP_FD int fd = open(file, flags | O_CLOEXEC | O_NOFOLLOW, 0644);
  if (fd < 0)
    return error_set_errno(err, "cannot open the upload %s", name);
  struct stat status;
  if (flock(fd, LOCK_EX | LOCK_NB) != 0 || fstat(fd, &status) != 0 || !has_name(&status, file))
    return error_set(err, -EBUSY, "the upload %s is in use elsewhere", name);
  *ret_fd = TAKE_FD(fd);
  return 0;
}

int
cache_upload_open(struct cache *cache, const char *name, int64_t offset, struct cache_upload **ret,
                  struct error *err)
{
  CLEANUP_FD int fd = -1;
  int r = open_locked(cache, name, O_WRONLY | O_APPEND | O_CREAT, &fd, err);
  if (r < 0)
    return r;
  struct stat status;
  if (fstat(fd, &status) != 0)
    return error_set_errno(err, "cannot examine the upload %s", name);
  if (is_placed(&status)) {
    CLEANUP_FREE char *file = file_of(cache, name);
    unlink(file);
    return error_set(err, -EBUSY, "the upload %s begins anew", name);
  }
  if (offset == 0 && ftruncate(fd, 0) != 0)
    return error_set_errno(err, "cannot empty the upload %s", name);
  if (offset != 0 && status.st_size != offset)
    return error_set(err, -EINVAL, "the upload %s has %lld bytes, not %lld", name,
                     (long long) status.st_size, (long long) offset);
  /* Said before the body is sent, since whose body is broken off hears nothing but that. */
  r = cache_check_room(cache->upload_folder, "an upload", err);
  if (r < 0)
    return r;
  struct cache_upload *upload = mem_alloc(sizeof *upload);
  *upload = (struct cache_upload) { .fd = TAKE_FD(fd), .size = offset };
  *ret = upload;
  return 0;
}

int
cache_upload_append(struct cache_upload *upload, struct str piece, struct error *err)
{
  if ((int64_t) piece.size > UPLOAD_SIZE_MAX - upload->size)
    return error_set(err, -EFBIG, "an upload of more than %lld bytes", (long long) UPLOAD_SIZE_MAX);
  int r = file_write_full(upload->fd, piece.data, piece.size);
  if (r < 0) {
    errno = -r;
    return error_set_errno(err, "cannot write an upload");
  }
  upload->size += (int64_t) piece.size;
  return 0;
}

void
cache_upload_close(struct cache_upload *upload)
{
  if (upload == NULL)
    return;
  close(upload->fd);
  free(upload);
}

void
cache_upload_discard(struct cache_upload *upload)
{
  (void) !ftruncate(upload->fd, 0); /* the sweep takes the rest */
  cache_upload_close(upload);
}

/* ---- checking ---- */

struct check
{
  struct guix_nar_reader *reader;
  struct guix_hasher *hasher;
  struct guix_address_check *address; /* NULL = anything will do */
  int64_t size;
  struct error *err;
};

static void
check_free(struct check *check)
{
  guix_nar_reader_free(check->reader);
  guix_hasher_free(check->hasher);
  guix_address_check_free(check->address);
}

static int
check_piece(void *context, struct str piece)
{
  struct check *check = context;
  check->size += (int64_t) piece.size;
  guix_hasher_update(check->hasher, piece.data, piece.size);
  int r = guix_nar_reader_feed(check->reader, piece, NULL, check->err);
  return r < 0 || check->address == NULL
             ? r
             : guix_address_check_feed(check->address, piece, check->err);
}

static int
feed_file(int fd, struct guix_decompressor *decompressor, struct error *err)
{
  CLEANUP_FREE char *room = mem_alloc(CACHE_PIECE);
  for (;;) {
    ssize_t got = read(fd, room, CACHE_PIECE);
    if (got < 0 && errno == EINTR)
      continue;
    if (got < 0)
      return error_set_errno(err, "cannot read an upload");
    if (got == 0)
      return guix_decompressor_end(decompressor, err);
    int r = guix_decompressor_feed(decompressor, str_make(room, (size_t) got), err);
    if (r < 0)
      return r;
  }
}

/* What was read is a nar: the one that was told, and what must stand there? */
static int
check_told(const struct check *check, const struct cache_item *item, struct error *err)
{
  struct error cause = { 0 };
  struct guix_hash hash = guix_hasher_digest(check->hasher);
  if (!guix_nar_reader_is_done(check->reader) || check->size != item->nar_size)
    return error_set(err, -EBADMSG, "the upload of %.*s has %lld bytes, not %lld",
                     STR_FMT(item->basename), (long long) check->size, (long long) item->nar_size);
  if (memcmp(hash.bytes, item->nar_hash.bytes, GUIX_HASH_SIZE) != 0)
    return error_set(err, -EBADMSG, "the upload of %.*s has another hash", STR_FMT(item->basename));
  if (check->address != NULL && guix_address_check_end(check->address, &cause) < 0)
    return error_set(err, -EPERM, "%s", cause.message);
  return 0;
}

/* Reads FD to its end as the compressed nar of ITEM: -EBADMSG when it is not, -EPERM
   when it must not be. */
static int
check_contents(int fd, const struct cache_item *item, struct error *err)
{
  struct error cause = { 0 };
  PN_CLEANUP(check_free)
  struct check check = { .reader = guix_nar_reader_new(NULL, NULL),
                         .hasher = guix_hasher_new(),
                         .err = &cause };
  if (item->address != NULL && guix_address_check_new(item->address, &check.address, &cause) < 0)
    return error_set(err, -EPERM, "%.*s cannot be checked: %s", STR_FMT(item->basename),
                     cause.message);
  struct guix_decompressor *decompressor =
      guix_decompressor_new(GUIX_COMPRESSION_ZSTD, (uint64_t) item->nar_size, check_piece, &check);
  int r = feed_file(fd, decompressor, &cause);
  guix_decompressor_free(decompressor);
  if (r == -EIO)
    return error_set(err, r, "%s", cause.message);
  if (r < 0)
    return error_set(err, -EBADMSG, "the upload of %.*s is damaged: %s", STR_FMT(item->basename),
                     cause.message);
  return check_told(&check, item, err);
}

/* The upload has gone: was it checked and moved before? */
static int
check_placed(struct cache *cache, const struct cache_item *item, struct error *err)
{
  CLEANUP_FREE char *file = cache_nar_file(cache, &item->nar_hash, GUIX_COMPRESSION_ZSTD);
  CLEANUP_FD int fd = open(file, O_RDONLY | O_CLOEXEC);
  struct stat status;
  /* Young again for the sweep, unless that has taken it away just now. */
  if (fd < 0 || futimens(fd, NULL) != 0 || fstat(fd, &status) != 0 || !has_name(&status, file))
    return error_set(err, -EBADMSG, "%.*s was not uploaded", STR_FMT(item->basename));
  return check_contents(fd, item, err);
}

int
cache_upload_verify(struct cache *cache, const struct cache_item *item, struct error *err)
{
  if (!guix_basename_is_valid(item->basename) || item->nar_size <= 0
      || item->nar_size > NAR_SIZE_MAX)
    return error_set(err, -EINVAL, "\"%.*s\" of %lld bytes cannot be a store item",
                     STR_FMT(item->basename), (long long) item->nar_size);
  struct error cause = { 0 };
  CLEANUP_FD int fd = -1;
  int r = open_locked(cache, item->upload, O_RDWR, &fd, &cause);
  if (r == -ENOENT)
    return check_placed(cache, item, err);
  if (r < 0)
    return error_set(err, r, "%s", cause.message);
  CLEANUP_FREE char *file = file_of(cache, item->upload);
  r = check_contents(fd, item, err);
  if (r == -EBADMSG || r == -EPERM)
    unlink(file);
  if (r < 0)
    return r;
  if (fsync(fd) != 0)
    return error_set_errno(err, "cannot write the upload %s", item->upload);
  int64_t size;
  r = cache_nar_place(cache, fd, &item->nar_hash, GUIX_COMPRESSION_ZSTD, &size, err);
  if (r == 0)
    unlink(file);
  return r;
}
