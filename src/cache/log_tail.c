/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The end of a log, for pages. */
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "cache/cache_private.h"

#define PIECE (64 << 10)

static int
read_rest(struct cache_log_reader *reader, struct buf *ret)
{
  int64_t got;
  while ((got = cache_log_reader_read(reader, buf_reserve(ret, PIECE), PIECE)) > 0)
    ret->size += (size_t) got;
  return (int) got;
}

static int
read_finished(const struct cache *cache, int64_t attempt_id, size_t size, struct buf *ret,
              int64_t *ret_end, struct error *err)
{
  CLEANUP_FREE char *path = cache_log_file(cache, attempt_id);
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0)
    return error_set(err, -ENOENT, "attempt %lld has no log", (long long) attempt_id);
  struct cache_log_reader *reader;
  int r = cache_log_reader_open(fd, -(int64_t) size, &reader);
  if (r == 0) {
    *ret_end = cache_log_reader_size(reader);
    r = read_rest(reader, ret);
    cache_log_reader_free(reader);
  }
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
