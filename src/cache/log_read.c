/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Going through a log, for pages that show a part of it. */
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "cache/cache_private.h"

#define PIECE (256 << 10)

typedef int taker(void *state, struct str piece);

static int
read_finished(const struct cache *cache, int64_t attempt_id, int64_t from, char *room, taker *take,
              void *state, struct error *err)
{
  CLEANUP_FREE char *path = cache_log_file(cache, attempt_id);
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0)
    return error_set(err, -ENOENT, "attempt %lld has no log", (long long) attempt_id);
  struct cache_log_reader *reader;
  int r = cache_log_reader_open(fd, from, &reader);
  int64_t got = r;
  while (r == 0 && (got = cache_log_reader_read(reader, room, PIECE)) > 0)
    if (take(state, str_make(room, (size_t) got)) != 0)
      break;
  if (r == 0)
    cache_log_reader_free(reader);
  return got < 0 ? error_set(err, (int) got, "the log of attempt %lld is damaged",
                             (long long) attempt_id)
                 : 0;
}

static int
read_live(struct cache_log *log, int64_t from, char *room, taker *take, void *state,
          struct error *err)
{
  pthread_mutex_lock(&log->mutex);
  int64_t end = log->size;
  pthread_mutex_unlock(&log->mutex);
  while (from < end) {
    int64_t left = end - from;
    ssize_t got = pread(log->fd, room, left < PIECE ? (size_t) left : PIECE, from);
    if (got < 0)
      return error_set_errno(err, "cannot read the log of attempt %lld",
                             (long long) log->attempt_id);
    if (got == 0 || take(state, str_make(room, (size_t) got)) != 0)
      break;
    from += got;
  }
  return 0;
}

int
cache_log_read(struct cache *cache, int64_t attempt_id, int64_t from, taker *take, void *state,
               bool *ret_live, struct error *err)
{
  CLEANUP_FREE char *room = mem_alloc(PIECE);
  struct cache_log *log = NULL;
  *ret_live = cache_log_get(cache, attempt_id, &log, err) == 0;
  if (!*ret_live)
    return read_finished(cache, attempt_id, from, room, take, state, err);
  int r = read_live(log, from, room, take, state, err);
  cache_log_unref(cache, log);
  return r;
}
