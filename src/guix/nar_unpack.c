/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Unpacking nars. Every name is used relative to the descriptor of a directory
   that was made here; the nar reader lets no separator or ".." through, and
   O_EXCL and O_NOFOLLOW keep out whatever else is on the disk. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "guix/nar.h"

struct guix_nar_unpacker
{
  char *path;
  int folders[GUIX_NAR_DEPTH_MAX]; /* open directories, outermost first */
  size_t depth;                    /* used of these */
  int file;                        /* being written, or -1 */
  bool executable;
  struct error error;
};

struct guix_nar_unpacker *
guix_nar_unpacker_new(const char *path)
{
  struct guix_nar_unpacker *unpacker = mem_alloc(sizeof *unpacker);
  unpacker->path = mem_strdup(path);
  unpacker->file = -1;
  return unpacker;
}

void
guix_nar_unpacker_free(struct guix_nar_unpacker *unpacker)
{
  if (unpacker == NULL)
    return;
  file_closep(&unpacker->file);
  while (unpacker->depth > 0)
    file_closep(&unpacker->folders[--unpacker->depth]);
  free(unpacker->path);
  free(unpacker);
}

const struct error *
guix_nar_unpacker_error(const struct guix_nar_unpacker *unpacker)
{
  return &unpacker->error;
}

/* Where a node goes: for openat and its kin. */
struct place
{
  int folder;
  const char *name;
  char copy[GUIX_NAR_NAME_MAX + 1]; /* NUL-terminated */
};

static bool
find_place(struct guix_nar_unpacker *unpacker, struct str name, struct place *ret)
{
  if (unpacker->depth == 0) {
    ret->folder = AT_FDCWD;
    ret->name = unpacker->path;
    return true;
  }
  if (!guix_nar_name_is_valid(name)) {
    error_set(&unpacker->error, -EINVAL, "bad name of a directory entry");
    return false;
  }
  memcpy(ret->copy, name.data, name.size);
  ret->copy[name.size] = '\0';
  ret->name = ret->copy;
  ret->folder = unpacker->folders[unpacker->depth - 1];
  return true;
}

static int
fail(struct guix_nar_unpacker *unpacker, const char *name)
{
  if (unpacker->depth == 0)
    return error_set_errno(&unpacker->error, "cannot unpack %s", unpacker->path);
  return error_set_errno(&unpacker->error, "cannot unpack %s to %s", name, unpacker->path);
}

/* The modification time of everything in a store; the access time stays. */
static const struct timespec store_times[2] = { { .tv_nsec = UTIME_OMIT }, { .tv_sec = 1 } };

static int
seal(int fd, mode_t mode)
{
  return fchmod(fd, mode) < 0 || futimens(fd, store_times) < 0 ? -1 : 0;
}

static int
unpack_directory(void *context, struct str name)
{
  struct guix_nar_unpacker *unpacker = context;
  struct place place;
  if (!find_place(unpacker, name, &place))
    return -EINVAL;
  if (unpacker->depth == GUIX_NAR_DEPTH_MAX)
    return error_set(&unpacker->error, -ELOOP, "directories nested too deeply");
  if (mkdirat(place.folder, place.name, 0700) < 0)
    return fail(unpacker, place.name);
  int fd = openat(place.folder, place.name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  if (fd < 0)
    return fail(unpacker, place.name);
  unpacker->folders[unpacker->depth++] = fd;
  return 0;
}

/* Only now, since unpacking into it needed the write permission and changed
   its time. */
static int
unpack_directory_end(void *context)
{
  struct guix_nar_unpacker *unpacker = context;
  CLEANUP_FD int fd = unpacker->folders[--unpacker->depth];
  return seal(fd, 0555) < 0 ? fail(unpacker, "a directory") : 0;
}

static int
unpack_symlink(void *context, struct str name, struct str target)
{
  struct guix_nar_unpacker *unpacker = context;
  struct place place;
  if (!find_place(unpacker, name, &place))
    return -EINVAL;
  CLEANUP_FREE char *text = mem_strndup(target.data, target.size);
  if (symlinkat(text, place.folder, place.name) < 0
      || utimensat(place.folder, place.name, store_times, AT_SYMLINK_NOFOLLOW) < 0)
    return fail(unpacker, place.name);
  return 0;
}

static int
unpack_file(void *context, struct str name, bool executable, uint64_t size)
{
  (void) size;
  struct guix_nar_unpacker *unpacker = context;
  struct place place;
  if (!find_place(unpacker, name, &place))
    return -EINVAL;
  unpacker->executable = executable;
  unpacker->file =
      openat(place.folder, place.name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
  return unpacker->file < 0 ? fail(unpacker, place.name) : 0;
}

static int
unpack_contents(void *context, struct str piece)
{
  struct guix_nar_unpacker *unpacker = context;
  int r = file_write_full(unpacker->file, piece.data, piece.size);
  if (r < 0)
    return error_set(&unpacker->error, r, "cannot write a file of %s: %s", unpacker->path,
                     strerror(-r));
  return 0;
}

static int
unpack_file_end(void *context)
{
  struct guix_nar_unpacker *unpacker = context;
  CLEANUP_FD int fd = TAKE_FD(unpacker->file);
  return seal(fd, unpacker->executable ? 0555 : 0444) < 0 ? fail(unpacker, "a file") : 0;
}

const struct guix_nar_visitor guix_nar_unpacker_visitor = {
  .directory = unpack_directory,
  .directory_end = unpack_directory_end,
  .symlink = unpack_symlink,
  .file = unpack_file,
  .contents = unpack_contents,
  .file_end = unpack_file_end,
};
