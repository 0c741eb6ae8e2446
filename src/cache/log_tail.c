/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The end of a log, for pages. */
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "cache/cache_private.h"

#define PIECE (64 << 10)

/* Keeps the last SIZE bytes of what READ gives; *RET_TOTAL: how many there were. */
static int
keep_end(struct guix_source *source, size_t size, struct buf *ret, int64_t *ret_total)
{
  int64_t got;
  *ret_total = 0;
  while ((got = guix_source_read(source, buf_reserve(ret, PIECE), PIECE)) > 0) {
    ret->size += (size_t) got;
    *ret_total += got;
    if (ret->size > size + (4 << 20)) /* moving the rest down costs: not each time */
      buf_consume(ret, ret->size - size);
  }
  if (ret->size > size)
    buf_consume(ret, ret->size - size);
  return got < 0 ? (int) got : 0;
}

static int
read_finished(const struct cache *cache, int64_t attempt_id, size_t size, struct buf *ret,
              int64_t *ret_end, struct error *err)
{
  CLEANUP_FREE char *path = cache_log_file(cache, attempt_id);
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0)
    return error_set(err, -ENOENT, "attempt %lld has no log", (long long) attempt_id);
  struct guix_source *source = guix_source_open(GUIX_COMPRESSION_GZIP, fd);
  int r = keep_end(source, size, ret, ret_end);
  guix_source_free(source);
  return r < 0 ? error_set(err, r, "the log of attempt %lld is damaged", (long long) attempt_id)
               : 0;
}

static int
read_live(struct cache_log *log, size_t size, struct buf *ret, int64_t *ret_end)
{
  pthread_mutex_lock(&log->mutex);
  int64_t end = log->size;
  pthread_mutex_unlock(&log->mutex);
  int64_t from = end > (int64_t) size ? end - (int64_t) size : 0;
  ssize_t got = pread(log->fd, buf_reserve(ret, size), (size_t) (end - from), from);
  if (got < 0)
    return -errno;
  ret->size += (size_t) got;
  *ret_end = from + got;
  return 0;
}

int
cache_log_tail(struct cache *cache, int64_t attempt_id, size_t size, struct buf *ret,
               int64_t *ret_end, bool *ret_live, struct error *err)
{
  struct cache_log *log = NULL;
  *ret_live = cache_log_get(cache, attempt_id, &log, err) == 0;
  if (!*ret_live)
    return read_finished(cache, attempt_id, size, ret, ret_end, err);
  int r = read_live(log, size, ret, ret_end);
  cache_log_unref(cache, log);
  return r < 0 ? error_set(err, r, "cannot read the log of attempt %lld", (long long) attempt_id)
               : 0;
}
