/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The pull side of decompression. */
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "guix/coder.h"

#define WINDOW_SIZE (64u << 10) /* bytes of compressed data read at once */

struct guix_source
{
  struct coder *coder; /* NULL: bytes pass as they are */
  int fd;              /* -1: all is in `window` already */
  bool is_at_end;      /* nothing follows `input` */
  char *window;
  struct str input; /* what of `window` is to be used still */
};

struct guix_source *
guix_source_open(enum guix_compression compression, int fd)
{
  if (!coder_is_known(compression)) {
    close(fd);
    return NULL;
  }
  struct guix_source *source = mem_alloc(sizeof *source);
  source->coder = coder_reader(compression);
  source->fd = fd;
  if (source->coder != NULL)
    source->window = mem_alloc(WINDOW_SIZE);
  return source;
}

struct guix_source *
guix_source_of_bytes(enum guix_compression compression, struct str bytes)
{
  if (!coder_is_known(compression))
    return NULL;
  struct guix_source *source = mem_alloc(sizeof *source);
  source->coder = coder_reader(compression);
  source->fd = -1;
  source->is_at_end = true;
  source->window = mem_strndup(bytes.data, bytes.size);
  source->input = str_make(source->window, bytes.size);
  return source;
}

void
guix_source_free(void *context)
{
  struct guix_source *source = context;
  if (source == NULL)
    return;
  coder_free(source->coder);
  file_closep(&source->fd);
  free(source->window);
  free(source);
}

static int64_t
read_some(int fd, char *room, size_t size)
{
  ssize_t got;
  do
    got = read(fd, room, size);
  while (got < 0 && errno == EINTR);
  return got < 0 ? -errno : got;
}

static int64_t
read_plain(struct guix_source *source, char *room, size_t size)
{
  if (source->fd >= 0)
    return read_some(source->fd, room, size);
  size_t count = source->input.size < size ? source->input.size : size;
  if (count > 0)
    memcpy(room, source->input.data, count);
  source->input = str_from(source->input, count);
  return (int64_t) count;
}

static int
refill(struct guix_source *source)
{
  int64_t got = read_some(source->fd, source->window, WINDOW_SIZE);
  if (got < 0)
    return (int) got;
  source->is_at_end = got == 0;
  source->input = str_make(source->window, (size_t) got);
  return 0;
}

int64_t
guix_source_read(void *context, char *room, size_t size)
{
  struct guix_source *source = context;
  if (source->coder == NULL || size == 0)
    return read_plain(source, room, size);
  for (;;) {
    if (source->input.size == 0 && !source->is_at_end) {
      int r = refill(source);
      if (r < 0)
        return r;
    }
    struct room out = { room, size };
    int step = coder_step(source->coder, &source->input, &out, source->is_at_end, NULL);
    if (step < 0)
      return step;
    if (out.size < size)
      return (int64_t) (size - out.size);
    if (source->input.size == 0 && source->is_at_end)
      return step == 1 ? 0 : -EBADMSG;
  }
}
