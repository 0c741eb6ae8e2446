/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Answering with logs that are not followed, and finding them by store item. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "cache/cache_private.h"

/* ---- finished ones ---- */

/* "q=0", "q=0.000": not at all. */
static bool
is_refusal(struct str quality)
{
  if (!str_starts(quality, STR("q=0")))
    return false;
  for (size_t i = 3; i < quality.size; i++)
    if (quality.data[i] != '0' && quality.data[i] != '.')
      return false;
  return true;
}

static bool
accepts_gzip(const struct http_request *request)
{
  struct str rest = http_header(request, "Accept-Encoding"), coding;
  while (str_split(&rest, ',', &coding)) {
    struct str name;
    if (str_split(&coding, ';', &name) && str_equal(str_trim(name), STR("gzip")))
      return !is_refusal(str_trim(coding));
  }
  return false;
}

/* The text of a log from byte `from` on, which is entered where a range begins. */
struct text
{
  int fd;
  int64_t from;
  struct cache_log_reader *reader; /* NULL = nobody has read yet */
};

static int64_t
text_read(void *state, int64_t position, char *room, size_t size)
{
  struct text *text = state;
  int fd = text->reader == NULL ? fcntl(text->fd, F_DUPFD_CLOEXEC, 0) : -1;
  int r = 0;
  if (text->reader == NULL)
    r = fd < 0 ? -errno : cache_log_reader_open(fd, text->from + position, &text->reader);
  return r < 0 ? r : cache_log_reader_read(text->reader, room, size);
}

static void
text_free(void *state)
{
  struct text *text = state;
  cache_log_reader_free(text->reader);
  file_closep(&text->fd);
  free(text);
}

static int
reply_text(struct http_request *request, const struct stat *info, int fd, int64_t from,
           struct error *err)
{
  struct text *text = mem_alloc(sizeof *text);
  *text = (struct text) { .fd = fd, .from = from };
  int64_t size = cache_log_text_size(fd);
  if (size < 0) {
    text_free(text);
    return error_set(err, (int) size, "the log is damaged");
  }
  return http_reply_content(request, CACHE_LOG_TYPE,
                            &(struct http_content) {
                                .etag = http_file_etag(request, info, "-text"),
                                .changed = info->st_mtime,
                                .size = size > from ? size - from : 0,
                                .read = text_read,
                                .state = text,
                                .free = text_free,
                            });
}

/* FD is taken over. */
static int
reply_finished(struct http_request *request, int fd, int64_t from, struct error *err)
{
  struct stat info;
  if (fstat(fd, &info) < 0) {
    close(fd);
    return error_set_errno(err, "cannot read a log");
  }
  http_reply_header(request, "Vary", "Accept-Encoding");
  if (from > 0 || !accepts_gzip(request))
    return reply_text(request, &info, fd, from, err);
  http_reply_header(request, "Content-Encoding", "gzip");
  return http_reply_file(request, CACHE_LOG_TYPE, http_file_etag(request, &info, "-gzip"), fd, 0);
}

/* ---- live ones, as far as they go ---- */

struct window
{
  int fd;
  int64_t position, end;
};

static void
window_free(void *state)
{
  struct window *window = state;
  close(window->fd);
  free(window);
}

static int64_t
window_read(void *state, char *room, size_t size)
{
  struct window *window = state;
  if ((int64_t) size > window->end - window->position)
    size = (size_t) (window->end - window->position);
  ssize_t got = pread(window->fd, room, size, window->position);
  if (got < 0)
    return -errno;
  window->position += got;
  return got;
}

static int
reply_window(struct http_request *request, struct cache_log *log, int64_t from, struct error *err)
{
  struct window *window = mem_alloc(sizeof *window);
  pthread_mutex_lock(&log->mutex);
  window->end = log->size;
  pthread_mutex_unlock(&log->mutex);
  window->position = from < window->end ? from : window->end;
  window->fd = fcntl(log->fd, F_DUPFD_CLOEXEC, 0);
  if (window->fd < 0) {
    free(window);
    return error_set_errno(err, "cannot read a log");
  }
  return http_reply_pull(request, 200, CACHE_LOG_TYPE, window->end - window->position, window_read,
                         window, window_free);
}

/* ---- both ---- */

int
cache_log_reply(struct cache *cache, struct http_request *request, int64_t attempt_id, int64_t from,
                bool follow, struct error *err)
{
  struct cache_log *log;
  http_reply_header(request, "Cache-Control", "no-cache"); /* it grows, or is another attempt's */
  int r = cache_log_get(cache, attempt_id, &log, err);
  if (r == -ESTALE) {
    CLEANUP_FREE char *file = cache_log_file(cache, attempt_id);
    int fd = open(file, O_RDONLY | O_CLOEXEC);
    return fd < 0 ? error_set_errno(err, "cannot open %s", file)
                  : reply_finished(request, fd, from < 0 ? 0 : from, err);
  }
  if (r < 0)
    return r;
  if (from < 0)
    from = 0;
  r = follow ? cache_log_follow(cache, log, request, from) : reply_window(request, log, from, err);
  cache_log_unref(cache, log);
  return r;
}

/* ---- /log/ITEM ---- */

static int
look_up(const struct cache *cache, struct str basename, int64_t *ret_attempt_id, struct error *err)
{
  if (cache->log_lookup == NULL || !guix_basename_is_valid(basename))
    return 0;
  struct db *db;
  int r = db_pool_get(cache->pool, &db, err);
  if (r < 0)
    return r;
  r = cache->log_lookup(cache->log_lookup_context, db, basename, ret_attempt_id, err);
  db_pool_put(cache->pool, db);
  return r;
}

int
cache_handle_log(struct http_request *request, void *context, struct error *err)
{
  struct cache *cache = context;
  int64_t attempt_id;
  int r = look_up(cache, http_param(request, "item"), &attempt_id, err);
  if (r > 0)
    r = cache_log_reply(cache, request, attempt_id, 0, false, err);
  else if (r == 0)
    r = -ENOENT;
  if (r != -ENOENT)
    return r;
  http_reply_header(request, "Cache-Control", "public, max-age=60");
  return http_reply_text(request, 404, "text/plain", "There is no log of this item.\n");
}
