/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Streams. A stream has two references: the writer's handle and libmicrohttpd's
   response. What waits to be sent lies in a bounded buffer under the stream's
   own lock, which is never held while the server's lock is taken. */
#include <errno.h>
#include <stdlib.h>
#include <time.h>

#include "base/mem.h"
#include "http/request.h"

#define STREAM_BLOCK (16 * 1024)
#define STREAM_KEEP (64 * 1024) /* an emptied buffer above this is given back */

struct http_stream
{
  atomic_int references;
  struct http_wait wait;

  pthread_mutex_t lock; /* guards what follows */
  pthread_cond_t moved; /* the reader took something, or it is over */
  struct buf data;
  size_t sent; /* of data */
  size_t limit;
  bool ended;    /* by the writer: the reply ends after what is in data */
  bool broken;   /* and that end is no proper one: the connection is cut */
  bool failed;   /* the reader is too slow: the connection is cut */
  bool finished; /* the reply is over */
  void (*closed)(void *context);
  void *closed_context;
};

static void
stream_free(struct http_stream *stream)
{
  buf_free(&stream->data);
  pthread_cond_destroy(&stream->moved);
  pthread_mutex_destroy(&stream->lock);
  server_unref(stream->wait.server);
  free(stream);
}

static void
stream_unref(struct http_stream *stream)
{
  if (atomic_fetch_sub(&stream->references, 1) == 1)
    stream_free(stream);
}

/* ---- the reader's side: libmicrohttpd's callbacks ---- */

static void
drop_sent(struct http_stream *stream)
{
  if (stream->sent == stream->data.size) {
    stream->sent = 0;
    buf_clear(&stream->data);
    if (stream->data.capacity > STREAM_KEEP)
      buf_free(&stream->data);
  } else if (stream->sent > stream->data.size / 2) {
    buf_consume(&stream->data, stream->sent);
    stream->sent = 0;
  }
}

/* Bytes put into ROOM, or what ends the reply, or 0: nothing yet. */
static ssize_t
stream_take(struct http_stream *stream, char *room, size_t size)
{
  pthread_mutex_lock(&stream->lock);
  size_t waiting = stream->data.size - stream->sent;
  size_t count = waiting < size ? waiting : size;
  ssize_t result = (ssize_t) count;
  if (stream->failed) {
    result = MHD_CONTENT_READER_END_WITH_ERROR;
  } else if (count > 0) {
    memcpy(room, stream->data.data + stream->sent, count);
    stream->sent += count;
    drop_sent(stream);
    pthread_cond_broadcast(&stream->moved);
  } else if (stream->ended) {
    result = stream->broken ? MHD_CONTENT_READER_END_WITH_ERROR : MHD_CONTENT_READER_END_OF_STREAM;
  }
  pthread_mutex_unlock(&stream->lock);
  return result;
}

static ssize_t
stream_read(void *context, uint64_t position, char *room, size_t size)
{
  struct http_stream *stream = context;
  (void) position;
  for (;;) {
    ssize_t taken = stream_take(stream, room, size);
    if (taken != 0)
      return taken;
    wait_open(&stream->wait, WATCH_READER);
    switch (wait_sleep(&stream->wait)) {
    case WAIT_ASLEEP:
      return 0;
    case WAIT_GONE:
      /* Only its writer can say that a reply is whole: it may have done so just now. */
      taken = stream_take(stream, room, size);
      return taken != 0 ? taken : MHD_CONTENT_READER_END_WITH_ERROR;
    case WAIT_WOKEN:
      break;
    }
  }
}

static void
stream_finish(void *context)
{
  struct http_stream *stream = context;
  wait_close(&stream->wait);
  pthread_mutex_lock(&stream->lock);
  stream->finished = true;
  buf_free(&stream->data);
  stream->sent = 0;
  pthread_cond_broadcast(&stream->moved);
  void (*closed)(void *context) = stream->closed;
  pthread_mutex_unlock(&stream->lock);
  if (closed != NULL)
    closed(stream->closed_context);
  stream_unref(stream);
}

/* ---- the writer's side ---- */

static struct http_stream *
stream_new(struct http_request *request, size_t limit)
{
  struct http_stream *stream = mem_alloc(sizeof *stream);
  stream->references = 2;
  stream->limit = limit;
  pthread_mutex_init(&stream->lock, NULL);
  pthread_condattr_t monotonic;
  pthread_condattr_init(&monotonic);
  pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
  pthread_cond_init(&stream->moved, &monotonic);
  pthread_condattr_destroy(&monotonic);
  wait_init(&stream->wait, server_ref(request->server), request->connection);
  return stream;
}

int
http_reply_stream(struct http_request *request, int status, const char *type, size_t limit,
                  struct http_stream **ret)
{
  struct http_stream *stream = stream_new(request, limit);
  struct MHD_Response *response = MHD_create_response_from_callback(
      MHD_SIZE_UNKNOWN, STREAM_BLOCK, stream_read, stream, stream_finish);
  if (response == NULL) {
    stream_free(stream);
    return -ENOMEM;
  }
  int r = reply_set_endless(request, status, type, response);
  if (r < 0)
    stream_unref(stream);
  else
    *ret = stream;
  return r;
}

int
http_stream_write(struct http_stream *stream, struct str data)
{
  int r = 0;
  pthread_mutex_lock(&stream->lock);
  if (stream->finished || stream->ended) {
    r = -EPIPE;
  } else if (stream->failed || stream->data.size - stream->sent + data.size > stream->limit) {
    stream->failed = true;
    stream->sent = 0;
    buf_free(&stream->data);
    r = -ENOBUFS;
  } else {
    buf_append_str(&stream->data, data);
  }
  pthread_mutex_unlock(&stream->lock);
  if (r == -EPIPE)
    return r;
  return wait_wake(&stream->wait) ? r : -EPIPE;
}

static struct timespec
deadline_after(int milliseconds)
{
  struct timespec at;
  clock_gettime(CLOCK_MONOTONIC, &at);
  at.tv_sec += milliseconds / 1000;
  at.tv_nsec += (milliseconds % 1000) * 1000000L;
  if (at.tv_nsec >= 1000000000L) {
    at.tv_sec++;
    at.tv_nsec -= 1000000000L;
  }
  return at;
}

/* Holds the lock. The deadline moves on whenever the reader takes something. */
static int
wait_for_room(struct http_stream *stream, size_t size, int timeout_ms)
{
  struct timespec deadline = deadline_after(timeout_ms);
  for (size_t before = 0;;) {
    size_t waiting = stream->data.size - stream->sent;
    if (stream->finished || stream->ended || stream->failed)
      return -EPIPE;
    if (waiting == 0 || waiting + size <= stream->limit)
      return 0;
    if (waiting < before)
      deadline = deadline_after(timeout_ms);
    before = waiting;
    if (pthread_cond_timedwait(&stream->moved, &stream->lock, &deadline) == ETIMEDOUT
        && stream->data.size - stream->sent == before)
      return -ETIMEDOUT;
  }
}

int
http_stream_wait(struct http_stream *stream, size_t size, int timeout_ms)
{
  pthread_mutex_lock(&stream->lock);
  int r = wait_for_room(stream, size, timeout_ms);
  pthread_mutex_unlock(&stream->lock);
  return r == 0 && wait_is_gone(&stream->wait) ? -EPIPE : r;
}

static void
stream_end(struct http_stream *stream, bool broken)
{
  pthread_mutex_lock(&stream->lock);
  stream->ended = true;
  stream->broken = broken;
  pthread_mutex_unlock(&stream->lock);
  wait_wake(&stream->wait);
  stream_unref(stream);
}

void
http_stream_close(struct http_stream *stream)
{
  stream_end(stream, false);
}

void
http_stream_fail(struct http_stream *stream)
{
  stream_end(stream, true);
}

bool
http_stream_is_open(const struct http_stream *stream)
{
  struct http_stream *mutable = (struct http_stream *) stream; /* for its locks only */
  pthread_mutex_lock(&mutable->lock);
  bool open = !stream->finished && !stream->ended && !stream->failed;
  pthread_mutex_unlock(&mutable->lock);
  return open && !wait_is_gone(&mutable->wait);
}

void
http_stream_on_close(struct http_stream *stream, void (*closed)(void *context), void *context)
{
  pthread_mutex_lock(&stream->lock);
  bool late = stream->finished;
  if (!late) {
    stream->closed = closed;
    stream->closed_context = context;
  }
  pthread_mutex_unlock(&stream->lock);
  if (late)
    closed(context);
}
