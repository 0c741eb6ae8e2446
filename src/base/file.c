/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"

void
file_closep(int *fd)
{
  if (*fd >= 0)
    close(*fd);
  *fd = -1;
}

int
file_read_full(int fd, void *data, size_t size)
{
  char *next = data;
  while (size > 0) {
    ssize_t got = read(fd, next, size);
    if (got == 0)
      return -EPIPE;
    if (got < 0) {
      if (errno == EINTR)
        continue;
      return -errno;
    }
    next += got;
    size -= (size_t) got;
  }
  return 0;
}

int
file_write_full(int fd, const void *data, size_t size)
{
  const char *next = data;
  while (size > 0) {
    ssize_t put = write(fd, next, size);
    if (put < 0) {
      if (errno == EINTR)
        continue;
      return -errno;
    }
    next += put;
    size -= (size_t) put;
  }
  return 0;
}

static int
read_to_end(int fd, const char *path, size_t limit, struct buf *ret, struct error *err)
{
  size_t start = ret->size;
  for (;;) {
    char *room = buf_reserve(ret, 65536);
    ssize_t got = read(fd, room, 65536);
    if (got < 0 && errno == EINTR)
      continue;
    if (got < 0)
      return error_set_errno(err, "cannot read %s", path);
    if (got == 0)
      return 0;
    ret->size += (size_t) got;
    if (ret->size - start > limit)
      return error_set(err, -EFBIG, "%s is larger than %zu bytes", path, limit);
  }
}

int
file_read_all(const char *path, size_t limit, struct buf *ret, struct error *err)
{
  CLEANUP_FD int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0)
    return error_set_errno(err, "cannot open %s", path);
  return read_to_end(fd, path, limit, ret, err);
}

int
file_read_regular(const char *path, size_t limit, struct buf *ret, struct error *err)
{
  struct stat status;
  CLEANUP_FD int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
  if (fd < 0 || fstat(fd, &status) != 0)
    return error_set_errno(err, "cannot open %s", path);
  if (!S_ISREG(status.st_mode))
    return error_set(err, -EINVAL, "%s is no file", path);
  return read_to_end(fd, path, limit, ret, err);
}

int
file_sync_parent(const char *path, struct error *err)
{
  CLEANUP_FREE char *copy = mem_strdup(path);
  const char *folder = dirname(copy);
  CLEANUP_FD int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0 || fsync(fd) != 0)
    return error_set_errno(err, "cannot sync %s", folder);
  return 0;
}

static int
write_and_sync(int fd, struct str contents, mode_t mode)
{
  int r = fchmod(fd, mode) == 0 ? 0 : -errno;
  if (r == 0)
    r = file_write_full(fd, contents.data, contents.size);
  if (r == 0 && fsync(fd) != 0)
    r = -errno;
  return r;
}

int
file_write_atomic(const char *path, struct str contents, mode_t mode, struct error *err)
{
  CLEANUP_FREE char *temporary = mem_printf("%s.XXXXXX", path);
  CLEANUP_FD int fd = mkostemp(temporary, O_CLOEXEC);
  if (fd < 0)
    return error_set_errno(err, "cannot make a file beside %s", path);
  int r = write_and_sync(fd, contents, mode);
  if (r == 0 && rename(temporary, path) != 0)
    r = -errno;
  if (r < 0) {
    unlink(temporary);
    errno = -r;
    return error_set_errno(err, "cannot write %s", path);
  }
  return file_sync_parent(path, err);
}

int
file_make_dirs(const char *path, mode_t mode, struct error *err)
{
  CLEANUP_FREE char *copy = mem_strdup(path);
  for (char *slash = copy + 1;; slash++) {
    slash += strcspn(slash, "/");
    char kept = *slash;
    *slash = '\0';
    if (mkdir(copy, mode) != 0 && errno != EEXIST)
      return error_set_errno(err, "cannot make the folder %s", copy);
    if (kept == '\0')
      return 0;
    *slash = kept;
  }
}

static int
remove_entry(const char *path, const struct stat *status, int type, struct FTW *walk)
{
  (void) status;
  (void) type;
  (void) walk;
  return remove(path) == 0 || errno == ENOENT ? 0 : -1;
}

/* Store items are read-only folders: an ordinary user must open them first. */
static int
open_folder(const char *path, const struct stat *status, int type, struct FTW *walk)
{
  (void) walk;
  if (type == FTW_D && (status->st_mode & 0700) != 0700)
    (void) chmod(path, status->st_mode | 0700);
  return 0;
}

int
file_remove_tree(const char *path, struct error *err)
{
  if (!file_exists(path))
    return 0;
  (void) nftw(path, open_folder, 32, FTW_PHYS | FTW_MOUNT);
  if (nftw(path, remove_entry, 32, FTW_DEPTH | FTW_PHYS | FTW_MOUNT) != 0)
    return error_set_errno(err, "cannot remove %s", path);
  return 0;
}

uint64_t
file_allow_descriptors(uint64_t wanted)
{
  struct rlimit limit;
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= wanted)
    return wanted;
  const rlim_t before = limit.rlim_cur;
  limit.rlim_cur = limit.rlim_max < wanted ? limit.rlim_max : wanted;
  return setrlimit(RLIMIT_NOFILE, &limit) == 0 ? limit.rlim_cur : before;
}

bool
file_exists(const char *path)
{
  struct stat status;
  return lstat(path, &status) == 0;
}

void
file_random(void *ret, size_t size)
{
  char *next = ret;
  while (size > 0) {
    ssize_t got = getrandom(next, size, 0);
    if (got < 0 && errno == EINTR)
      continue;
    if (got < 0)
      abort(); /* a kernel without getrandom: no secret could be made safely */
    next += got;
    size -= (size_t) got;
  }
}

void
file_random_hex(size_t bytes, char *ret_text)
{
  for (size_t i = 0; i < bytes; i++) {
    unsigned char byte;
    file_random(&byte, 1);
    str_to_hex(&byte, 1, ret_text + 2 * i);
  }
  ret_text[2 * bytes] = '\0';
}
