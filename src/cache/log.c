/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Build logs: NN/ATTEMPT.log while they are written, NN/ATTEMPT.log.gz after. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "cache/cache_private.h"

char *
cache_log_live_file(const struct cache *cache, int64_t attempt_id)
{
  return mem_printf("%s/%02x/%lld.log", cache->log_folder,
                    (unsigned) (attempt_id % CACHE_LOG_FOLDERS), (long long) attempt_id);
}

char *
cache_log_file(const struct cache *cache, int64_t attempt_id)
{
  return mem_printf("%s/%02x/%lld.log.gz", cache->log_folder,
                    (unsigned) (attempt_id % CACHE_LOG_FOLDERS), (long long) attempt_id);
}

/* ---- live logs ---- */

static struct cache_log *
log_new(int64_t attempt_id, int fd, int64_t size)
{
  struct cache_log *log = mem_alloc(sizeof *log);
  *log = (struct cache_log) { .attempt_id = attempt_id, .fd = fd, .users = 1, .size = size };
  pthread_mutex_init(&log->mutex, NULL);
  pthread_mutex_init(&log->finishing, NULL);
  return log;
}

void
cache_log_unref(struct cache *cache, struct cache_log *log)
{
  pthread_mutex_lock(&cache->mutex);
  bool last = --log->users == 0;
  pthread_mutex_unlock(&cache->mutex);
  if (!last)
    return;
  close(log->fd);
  pthread_mutex_destroy(&log->mutex);
  pthread_mutex_destroy(&log->finishing);
  free(log);
}

static int
open_file(const struct cache *cache, int64_t attempt_id, bool make, int *ret_fd, int64_t *ret_size,
          struct error *err)
{
  CLEANUP_FREE char *file = cache_log_live_file(cache, attempt_id);
  CLEANUP_FREE char *folder = mem_strndup(file, (size_t) (strrchr(file, '/') - file));
  int r = make ? file_make_dirs(folder, 0755, err) : 0;
  if (r < 0)
    return r;
  CLEANUP_FD int fd = open(file, O_RDWR | O_CLOEXEC | (make ? O_CREAT : 0), 0644);
  struct stat status;
  if (fd < 0 && errno == ENOENT)
    return error_set(err, -ENOENT, "attempt %lld has no log", (long long) attempt_id);
  if (fd < 0 || fstat(fd, &status) != 0)
    return error_set_errno(err, "cannot open the log %s", file);
  *ret_fd = TAKE_FD(fd);
  *ret_size = status.st_size;
  return 0;
}

/* Under the cache's mutex. Finished logs leave the map after their compressed file
   is in place: so what is neither here nor there has never been. */
static int
find_live(struct cache *cache, int64_t attempt_id, bool make, struct cache_log **ret,
          struct error *err)
{
  *ret = int_map_get(&cache->logs, attempt_id);
  if (*ret != NULL)
    return 0;
  CLEANUP_FREE char *finished = cache_log_file(cache, attempt_id);
  if (file_exists(finished))
    return error_set(err, -ESTALE, "the log of attempt %lld is finished", (long long) attempt_id);
  int fd = -1;
  int64_t size = 0;
  int r = open_file(cache, attempt_id, make, &fd, &size, err);
  if (r < 0)
    return r;
  *ret = log_new(attempt_id, fd, size);
  int_map_put(&cache->logs, attempt_id, *ret);
  return 0;
}

/* With a reference for the caller. -ESTALE: it is finished; -ENOENT: there is
   none, which MAKE prevents. */
static int
get_live(struct cache *cache, int64_t attempt_id, bool make, struct cache_log **ret,
         struct error *err)
{
  pthread_mutex_lock(&cache->mutex);
  int r = find_live(cache, attempt_id, make, ret, err);
  if (*ret != NULL)
    (*ret)->users++;
  pthread_mutex_unlock(&cache->mutex);
  return r;
}

int
cache_log_get(struct cache *cache, int64_t attempt_id, struct cache_log **ret, struct error *err)
{
  return get_live(cache, attempt_id, false, ret, err);
}

/* Takes it out of the map; the caller's own reference keeps it. */
static void
forget_live(struct cache *cache, struct cache_log *log)
{
  pthread_mutex_lock(&cache->mutex);
  if (int_map_remove(&cache->logs, log->attempt_id) != NULL)
    log->users--;
  pthread_mutex_unlock(&cache->mutex);
}

/* ---- appending ---- */

/* Under the log's mutex. */
static int
append_new(struct cache_log *log, int64_t offset, struct str piece, struct error *err)
{
  if (log->finished)
    return error_set(err, -ESTALE, "the log of attempt %lld is finished",
                     (long long) log->attempt_id);
  if (offset < 0 || offset > log->size)
    return error_set(err, -EINVAL, "the log ends at byte %lld, not at %lld", (long long) log->size,
                     (long long) offset);
  struct str fresh = str_from(piece, (size_t) (log->size - offset));
  if ((int64_t) fresh.size > CACHE_LOG_MAX - log->size)
    return error_set(err, -EFBIG, "the log of attempt %lld is larger than %lld bytes",
                     (long long) log->attempt_id, (long long) CACHE_LOG_MAX);
  while (fresh.size > 0) {
    ssize_t put = pwrite(log->fd, fresh.data, fresh.size, log->size);
    if (put < 0 && errno == EINTR)
      continue;
    if (put < 0)
      return error_set_errno(err, "cannot write a log");
    log->size += put;
    fresh = str_from(fresh, (size_t) put);
  }
  return 0;
}

int
cache_log_append(struct cache *cache, int64_t attempt_id, int64_t offset, struct str piece,
                 int64_t *ret_size, struct error *err)
{
  struct cache_log *log;
  int r = get_live(cache, attempt_id, true, &log, err);
  if (r < 0)
    return r;
  pthread_mutex_lock(&log->mutex);
  r = cache_check_room(cache->log_folder, "a log", err);
  if (r == 0)
    r = append_new(log, offset, piece, err);
  *ret_size = log->size;
  pthread_mutex_unlock(&log->mutex);
  cache_log_unref(cache, log);
  cache_pump_wake(cache);
  return r;
}

/* ---- finishing ---- */

static int
compress_log(const struct cache *cache, struct cache_log *log, struct error *err)
{
  CLEANUP_FREE char *live = cache_log_live_file(cache, log->attempt_id);
  CLEANUP_FREE char *finished = cache_log_file(cache, log->attempt_id);
  CLEANUP_FREE char *temporary = mem_printf("%s.new", finished);
  CLEANUP_FD int fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (fd < 0)
    return error_set_errno(err, "cannot make %s", temporary);
  int r = cache_log_pack(log->fd, log->size, fd, err);
  if (r == 0 && fsync(fd) != 0)
    r = error_set_errno(err, "cannot write %s", temporary);
  if (r == 0 && rename(temporary, finished) != 0)
    r = error_set_errno(err, "cannot make %s", finished);
  if (r == 0)
    r = file_sync_parent(finished, err);
  unlink(r < 0 ? temporary : live);
  return r;
}

static void
set_finished(struct cache_log *log, bool finished)
{
  pthread_mutex_lock(&log->mutex);
  log->finished = finished;
  pthread_mutex_unlock(&log->mutex);
}

static int
finish_live(struct cache *cache, struct cache_log *log, int64_t *ret_size, struct error *err)
{
  int r = 0;
  pthread_mutex_lock(&log->finishing);
  if (!log->finished) { /* else another call has done it while we waited */
    set_finished(log, true);
    r = compress_log(cache, log, err);
    if (r < 0)
      set_finished(log, false);
  }
  *ret_size = log->size;
  pthread_mutex_unlock(&log->finishing);
  if (r < 0)
    return r;
  forget_live(cache, log);
  cache_pump_wake(cache);
  return 0;
}

/* Bytes of text in a finished log. */
static int
measure_finished(const struct cache *cache, int64_t attempt_id, int64_t *ret_size,
                 struct error *err)
{
  CLEANUP_FREE char *file = cache_log_file(cache, attempt_id);
  CLEANUP_FD int fd = open(file, O_RDONLY | O_CLOEXEC);
  if (fd < 0)
    return error_set_errno(err, "cannot open %s", file);
  *ret_size = cache_log_text_size(fd);
  return *ret_size < 0 ? error_set(err, (int) *ret_size, "%s is damaged", file) : 0;
}

int
cache_log_finish(struct cache *cache, int64_t attempt_id, int64_t *ret_size, struct error *err)
{
  struct error cause = { 0 };
  struct cache_log *log;
  int r = get_live(cache, attempt_id, false, &log, &cause);
  *ret_size = 0;
  if (r == -ENOENT)
    return 0;
  if (r == -ESTALE)
    return measure_finished(cache, attempt_id, ret_size, err);
  if (r < 0)
    return error_set(err, r, "%s", cause.message);
  r = finish_live(cache, log, ret_size, err);
  cache_log_unref(cache, log);
  return r;
}
