/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Writing nars. Framing and contents share one window, so that whoever
   receives them (a hash, a compressor) gets few large pieces and file contents
   are copied once, by the kernel. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/file.h"
#include "base/mem.h"
#include "guix/nar.h"

#define WINDOW_SIZE (64u << 10) /* bytes */

struct writer
{
  guix_sink *sink;
  void *context;
  struct error *err;
  struct buf path; /* of the node at hand, for messages */
  int depth;
  size_t used; /* of the window */
  char window[WINDOW_SIZE];
};

static void
writer_freep(struct writer **writer)
{
  buf_free(&(*writer)->path);
  free(*writer);
}

static int
writer_flush(struct writer *writer)
{
  if (writer->used == 0)
    return 0;
  int r = writer->sink(writer->context, str_make(writer->window, writer->used));
  writer->used = 0;
  if (r < 0)
    return error_set(writer->err, r, "cannot pass on the nar of %s: %s", buf_text(&writer->path),
                     strerror(-r));
  return 0;
}

static int
writer_put(struct writer *writer, const void *data, size_t size)
{
  const char *next = data;
  while (size > 0) {
    size_t room = WINDOW_SIZE - writer->used;
    size_t count = size < room ? size : room;
    memcpy(writer->window + writer->used, next, count);
    writer->used += count;
    next += count;
    size -= count;
    if (writer->used == WINDOW_SIZE) {
      int r = writer_flush(writer);
      if (r < 0)
        return r;
    }
  }
  return 0;
}

static int
writer_put_size(struct writer *writer, uint64_t size)
{
  unsigned char bytes[8];
  for (int i = 0; i < 8; i++)
    bytes[i] = (unsigned char) (size >> (8 * i));
  return writer_put(writer, bytes, sizeof bytes);
}

static int
writer_put_padding(struct writer *writer, uint64_t size)
{
  static const char zeros[8];
  return writer_put(writer, zeros, -size % 8);
}

static int
writer_put_token(struct writer *writer, struct str token)
{
  int r = writer_put_size(writer, token.size);
  if (r < 0)
    return r;
  r = writer_put(writer, token.data, token.size);
  if (r < 0)
    return r;
  return writer_put_padding(writer, token.size);
}

static int
writer_put_tokens(struct writer *writer, size_t count, const struct str tokens[])
{
  for (size_t i = 0; i < count; i++) {
    int r = writer_put_token(writer, tokens[i]);
    if (r < 0)
      return r;
  }
  return 0;
}

#define PUT_TOKENS(writer, ...)                                                                \
  writer_put_tokens(writer, sizeof((const struct str[]) { __VA_ARGS__ }) / sizeof(struct str), \
                    (const struct str[]) { __VA_ARGS__ })

static int
fail_errno(struct writer *writer, const char *doing)
{
  return error_set_errno(writer->err, "cannot %s %s", doing, buf_text(&writer->path));
}

static int
fail_changed(struct writer *writer)
{
  return error_set(writer->err, -ESTALE, "%s changed while it was read", buf_text(&writer->path));
}

/* ctime is left out: guix-daemon's deduplication changes it by hard links. */
static bool
is_unchanged(const struct stat *before, const struct stat *after)
{
  return before->st_size == after->st_size && before->st_mtim.tv_sec == after->st_mtim.tv_sec
         && before->st_mtim.tv_nsec == after->st_mtim.tv_nsec;
}

static int
check_unchanged(struct writer *writer, int fd, const struct stat *before)
{
  struct stat after;
  if (fstat(fd, &after) < 0)
    return fail_errno(writer, "examine");
  return is_unchanged(before, &after) ? 0 : fail_changed(writer);
}

/* Reads exactly SIZE bytes of FD into the window. */
static int
write_contents(struct writer *writer, int fd, uint64_t size)
{
  while (size > 0) {
    size_t room = WINDOW_SIZE - writer->used;
    ssize_t got = read(fd, writer->window + writer->used, size < room ? (size_t) size : room);
    if (got < 0 && errno == EINTR)
      continue;
    if (got < 0)
      return fail_errno(writer, "read");
    if (got == 0)
      return fail_changed(writer);
    writer->used += (size_t) got;
    size -= (uint64_t) got;
    if (writer->used == WINDOW_SIZE) {
      int r = writer_flush(writer);
      if (r < 0)
        return r;
    }
  }
  return 0;
}

static int
write_file(struct writer *writer, int fd, const struct stat *before)
{
  int r = PUT_TOKENS(writer, STR("("), STR("type"), STR("regular"));
  if (r == 0 && (before->st_mode & S_IXUSR) != 0)
    r = PUT_TOKENS(writer, STR("executable"), STR(""));
  if (r == 0)
    r = writer_put_token(writer, STR("contents"));
  uint64_t size = (uint64_t) before->st_size;
  if (r == 0)
    r = writer_put_size(writer, size);
  if (r == 0)
    r = write_contents(writer, fd, size);
  if (r == 0)
    r = check_unchanged(writer, fd, before);
  if (r == 0)
    r = writer_put_padding(writer, size);
  return r < 0 ? r : writer_put_token(writer, STR(")"));
}

static int
write_symlink(struct writer *writer, int folder, const char *name)
{
  char target[GUIX_NAR_TARGET_MAX + 1];
  ssize_t size = readlinkat(folder, name, target, sizeof target);
  if (size < 0)
    return fail_errno(writer, "read the symbolic link");
  if ((size_t) size == sizeof target)
    return error_set(writer->err, -ENAMETOOLONG, "the target of %s is too long",
                     buf_text(&writer->path));
  return PUT_TOKENS(writer, STR("("), STR("type"), STR("symlink"), STR("target"),
                    str_make(target, (size_t) size), STR(")"));
}

struct names
{
  struct arena arena;
  struct str *data; /* NUL-terminated */
  size_t count;
  size_t capacity;
};

static void
names_freep(struct names *names)
{
  arena_free(&names->arena);
  free(names->data);
}

static void
folder_closep(DIR **folder)
{
  if (*folder != NULL)
    closedir(*folder);
}

/* A stream of its own over what FD is open on. */
static DIR *
open_folder(int fd)
{
  int own = fcntl(fd, F_DUPFD_CLOEXEC, 0);
  if (own < 0)
    return NULL;
  DIR *folder = fdopendir(own);
  if (folder == NULL) {
    int reason = errno;
    close(own);
    errno = reason;
  }
  return folder;
}

static int
compare_names(const void *a, const void *b)
{
  return str_compare(*(const struct str *) a, *(const struct str *) b);
}

/* The entries of FOLDER, sorted by their bytes. The stream's buffer does not outlive
   this: many folders may be open. */
static int
read_names(struct writer *writer, int fd, struct names *ret)
{
  PN_CLEANUP(folder_closep) DIR *folder = open_folder(fd);
  if (folder == NULL)
    return fail_errno(writer, "list");
  for (;;) {
    errno = 0;
    const struct dirent *entry = readdir(folder);
    if (entry == NULL && errno != 0)
      return fail_errno(writer, "list");
    if (entry == NULL)
      break;
    if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
      continue;
    mem_grow(&ret->data, &ret->capacity, ret->count + 1, sizeof ret->data[0]);
    ret->data[ret->count++] = arena_str(&ret->arena, str_of(entry->d_name));
  }
  if (ret->count > 1)
    qsort(ret->data, ret->count, sizeof ret->data[0], compare_names);
  return 0;
}

static int write_node(struct writer *writer, int folder, const char *name);

static int
write_entry(struct writer *writer, int folder, struct str name)
{
  int r = PUT_TOKENS(writer, STR("entry"), STR("("), STR("name"), name, STR("node"));
  if (r < 0)
    return r;
  size_t path_size = writer->path.size;
  buf_append_char(&writer->path, '/');
  buf_append_str(&writer->path, name);
  r = write_node(writer, folder, name.data);
  if (r < 0)
    return r;
  writer->path.size = path_size;
  return writer_put_token(writer, STR(")"));
}

static int
write_directory(struct writer *writer, int fd, const struct stat *before)
{
  if (writer->depth == GUIX_NAR_DEPTH_MAX)
    return error_set(writer->err, -ELOOP, "%s is nested too deeply", buf_text(&writer->path));
  PN_CLEANUP(names_freep) struct names names = { 0 };
  int r = read_names(writer, fd, &names);
  if (r == 0)
    r = PUT_TOKENS(writer, STR("("), STR("type"), STR("directory"));
  writer->depth++;
  for (size_t i = 0; r == 0 && i < names.count; i++)
    r = write_entry(writer, fd, names.data[i]);
  writer->depth--;
  if (r == 0)
    r = check_unchanged(writer, fd, before);
  return r < 0 ? r : writer_put_token(writer, STR(")"));
}

/* Opens a file or directory and makes sure that it still is of the TYPE (of
   st_mode) that was seen before opening. */
static int
open_node(struct writer *writer, int folder, const char *name, mode_t type, struct stat *ret)
{
  CLEANUP_FD int fd = openat(folder, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
  if (fd < 0)
    return fail_errno(writer, "open");
  if (fstat(fd, ret) < 0)
    return fail_errno(writer, "examine");
  if ((ret->st_mode & S_IFMT) != type)
    return fail_changed(writer);
  return TAKE_FD(fd);
}

static int
write_node(struct writer *writer, int folder, const char *name)
{
  struct stat status;
  if (fstatat(folder, name, &status, AT_SYMLINK_NOFOLLOW) < 0)
    return fail_errno(writer, "examine");
  mode_t type = status.st_mode & S_IFMT;
  if (type == S_IFLNK)
    return write_symlink(writer, folder, name);
  if (type != S_IFREG && type != S_IFDIR)
    return error_set(writer->err, -ENOTSUP, "%s is no file, directory or symbolic link",
                     buf_text(&writer->path));
  CLEANUP_FD int fd = open_node(writer, folder, name, type, &status);
  if (fd < 0)
    return fd;
  return type == S_IFREG ? write_file(writer, fd, &status) : write_directory(writer, fd, &status);
}

int
guix_nar_write(const char *path, guix_sink *sink, void *context, struct error *err)
{
  PN_CLEANUP(writer_freep) struct writer *writer = mem_alloc(sizeof *writer);
  writer->sink = sink;
  writer->context = context;
  writer->err = err;
  buf_append_text(&writer->path, path);
  int r = writer_put_token(writer, STR("nix-archive-1"));
  if (r == 0)
    r = write_node(writer, AT_FDCWD, path);
  return r < 0 ? r : writer_flush(writer);
}

struct measure
{
  struct guix_hasher *hasher;
  int64_t size;
};

static int
measure_piece(void *context, struct str piece)
{
  struct measure *measure = context;
  guix_hasher_update(measure->hasher, piece.data, piece.size);
  measure->size += (int64_t) piece.size;
  return 0;
}

int
guix_nar_measure(const char *path, struct guix_hash *ret_hash, int64_t *ret_size, struct error *err)
{
  struct measure measure = { .hasher = guix_hasher_new() };
  int r = guix_nar_write(path, measure_piece, &measure, err);
  if (r == 0) {
    *ret_hash = guix_hasher_digest(measure.hasher);
    *ret_size = measure.size;
  }
  guix_hasher_free(measure.hasher);
  return r;
}
