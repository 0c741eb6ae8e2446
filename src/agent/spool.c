/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The build log between the daemon, which must never wait, and the server,
   which may be away for hours: a file, and a thread that sends what is new. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "agent/agent_private.h"
#include "base/file.h"
#include "base/mem.h"

#define PIECE_MAX (256 << 10) /* bytes of one request */
#define LINGER_MS 50          /* gathers what a builder writes line by line */

struct spool
{
  struct attempt *attempt;
  int fd;
  pthread_t sender;
  pthread_mutex_t lock;
  pthread_cond_t changed;
  int64_t size;  /* bytes in the file; under the lock, like those below */
  int64_t acked; /* bytes that the server has */
  bool closed;   /* nothing more will come */
  bool started;  /* the server must hear that the builder runs */
  int result;    /* of the sender, once it was joined */
  struct error err;
};

/* Waits for news. Returns the range to send (empty when only the start is to be
   told); false at the end. */
static bool
wait_for_text(struct spool *spool, bool *ret_started, int64_t *ret_from, size_t *ret_size)
{
  pthread_mutex_lock(&spool->lock);
  while (spool->acked == spool->size && !spool->closed && !spool->started)
    pthread_cond_wait(&spool->changed, &spool->lock);
  *ret_started = spool->started;
  spool->started = false;
  bool more = spool->acked < spool->size;
  int64_t rest = spool->size - spool->acked;
  *ret_from = spool->acked;
  *ret_size = rest < PIECE_MAX ? (size_t) rest : PIECE_MAX;
  bool linger = more && rest < PIECE_MAX && !spool->closed && !*ret_started;
  pthread_mutex_unlock(&spool->lock);
  if (linger)
    return attempt_sleep(spool->attempt, LINGER_MS);
  return more || *ret_started;
}

static int
read_ack(struct http_answer *answer, int status, int64_t *ret, struct error *err)
{
  json_t *reply = json_loadb(answer->body.data, answer->body.size, 0, NULL);
  const json_t *size = json_object_get(reply, "size");
  int r = 0;
  if ((status == 200 || status == 409) && json_is_integer(size))
    *ret = json_integer_value(size);
  else
    r = error_set(err, -EPROTO, "the server refused the log (%d)", status);
  json_decref(reply);
  return r;
}

static int
send_piece(struct spool *spool, struct http_client *client, int64_t from, struct str piece,
           int64_t *ret_acked)
{
  struct attempt *attempt = spool->attempt;
  CLEANUP_FREE char *path = mem_printf("/agent/v1/attempts/%lld/log?offset=%lld",
                                       (long long) attempt->id, (long long) from);
  struct http_answer answer = { 0 };
  int status = attempt_call(
      attempt, client,
      &(struct http_call) {
          .method = "POST", .path = path, .type = "text/plain; charset=utf-8", .body = piece },
      &answer, &spool->err);
  if (status < 0)
    return status;
  int r = read_ack(&answer, status, ret_acked, &spool->err);
  http_answer_free(&answer);
  return r;
}

/* A server that claims more than there is is not believed. */
static int
note_ack(struct spool *spool, int64_t acked)
{
  pthread_mutex_lock(&spool->lock);
  bool sane = acked >= 0 && acked <= spool->size;
  if (sane)
    spool->acked = acked;
  pthread_mutex_unlock(&spool->lock);
  return sane ? 1 : error_set(&spool->err, -EPROTO, "the server's log is not ours");
}

/* 1 = go on, 0 = all is sent, negative = failed. */
static int
send_next(struct spool *spool, struct http_client *client, char *room)
{
  int64_t from;
  size_t size;
  bool started;
  int r = 1;
  if (!wait_for_text(spool, &started, &from, &size))
    return spool->attempt->cancelled ? -ECANCELED : 0;
  if (started)
    r = attempt_post(spool->attempt, client, "started", STR("{}"), NULL, &spool->err);
  if (r < 0 || size == 0)
    return r < 0 ? r : 1;
  ssize_t got = pread(spool->fd, room, size, from);
  if (got <= 0)
    return error_set(&spool->err, -EIO, "cannot read the spooled log");
  int64_t acked = 0;
  r = send_piece(spool, client, from, str_make(room, (size_t) got), &acked);
  return r < 0 ? r : note_ack(spool, acked);
}

static int
send_all(struct spool *spool)
{
  struct http_client *client = agent_client_new(spool->attempt->agent, 0);
  char *room = mem_alloc(PIECE_MAX);
  int r = -ECANCELED;
  if (attempt_hold_client(spool->attempt, client))
    do
      r = send_next(spool, client, room);
    while (r > 0);
  attempt_drop_client(spool->attempt, client);
  http_client_free(client);
  free(room);
  return r;
}

static void *
sender_main(void *context)
{
  struct spool *spool = context;
  spool->result = send_all(spool);
  return NULL;
}

/* The file has no name: nothing is left behind, however we end. */
static int
open_unnamed(const char *folder, struct error *err)
{
  int fd = open(folder, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
  if (fd >= 0)
    return fd;
  CLEANUP_FREE char *path = mem_printf("%s/log-XXXXXX", folder);
  fd = mkostemp(path, O_CLOEXEC);
  if (fd < 0)
    return error_set_errno(err, "cannot spool the log in %s", folder);
  unlink(path);
  return fd;
}

int
spool_open(struct attempt *attempt, struct spool **ret, struct error *err)
{
  int fd = open_unnamed(attempt->agent->state, err);
  if (fd < 0)
    return fd;
  struct spool *spool = mem_alloc(sizeof *spool);
  spool->attempt = attempt;
  spool->fd = fd;
  pthread_mutex_init(&spool->lock, NULL);
  pthread_cond_init(&spool->changed, NULL);
  int r = pthread_create(&spool->sender, NULL, sender_main, spool);
  if (r != 0) {
    file_closep(&spool->fd);
    free(spool);
    return error_set(err, -r, "cannot start a thread");
  }
  *ret = spool;
  return 0;
}

void
spool_mark_started(struct spool *spool)
{
  pthread_mutex_lock(&spool->lock);
  spool->started = true;
  pthread_cond_signal(&spool->changed);
  pthread_mutex_unlock(&spool->lock);
}

int
spool_append(struct spool *spool, struct str text)
{
  if (spool->size + (int64_t) text.size > AGENT_LOG_MAX)
    return -EFBIG;
  int r = file_write_full(spool->fd, text.data, text.size);
  if (r < 0)
    return r;
  pthread_mutex_lock(&spool->lock);
  spool->size += (int64_t) text.size;
  pthread_cond_signal(&spool->changed);
  pthread_mutex_unlock(&spool->lock);
  return 0;
}

static void
close_and_join(struct spool *spool)
{
  pthread_mutex_lock(&spool->lock);
  bool joined = spool->closed;
  spool->closed = true;
  pthread_cond_signal(&spool->changed);
  pthread_mutex_unlock(&spool->lock);
  if (!joined)
    pthread_join(spool->sender, NULL);
}

int
spool_finish(struct spool *spool, int64_t *ret_size, struct error *err)
{
  close_and_join(spool);
  *ret_size = spool->size;
  if (spool->result < 0 && err != NULL)
    *err = spool->err;
  return spool->result;
}

int
spool_send_again(struct spool *spool, int64_t size, struct error *err)
{
  int r = note_ack(spool, size);
  if (r > 0)
    r = send_all(spool);
  if (r < 0)
    *err = spool->err;
  return r;
}

void
spool_free(struct spool *spool)
{
  if (spool == NULL)
    return;
  close_and_join(spool);
  file_closep(&spool->fd);
  pthread_mutex_destroy(&spool->lock);
  pthread_cond_destroy(&spool->changed);
  free(spool);
}
