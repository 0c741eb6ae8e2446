/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Evaluation logs: files that Guix writes; those who follow one are served by
   one thread that looks while anybody follows. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "evaluation/evaluation_private.h"
#include "evaluation/evaluation_sql.h"

#define LOG_TYPE "text/plain; charset=utf-8"
#define LOOK_MS 200
#define ASK_EVERY_MS 1000 /* whether an evaluation that does not run here has ended */
#define IDLE_MS 3600000
#define PIECE (64 << 10)
#define STREAM_LIMIT (4 << 20) /* bytes that may wait for a slow reader */

struct follower
{
  struct follower *next;
  struct http_stream *stream;
  int64_t evaluation_id;
  int64_t from;
  int fd;              /* -1: it has no log yet */
  int64_t next_ask_ms; /* of the database */
  bool ended;
  bool whole; /* all was sent, and no more will come */
};

static bool
is_running(struct evaluations *evaluations, int64_t evaluation_id)
{
  pthread_mutex_lock(&evaluations->lock);
  const struct running *running = evaluations->running;
  while (running != NULL && running->id != evaluation_id)
    running = running->next;
  pthread_mutex_unlock(&evaluations->lock);
  return running != NULL;
}

struct end_question
{
  int64_t evaluation_id;
  bool found;
  bool awaits_end;
};

static int
ask_end(struct db *db, void *context, struct error *err)
{
  struct end_question *question = context;
  struct evaluation_awaits_end_row row = { 0 };
  int r = evaluation_awaits_end(db, question->evaluation_id, &row, err);
  question->found = r == 1;
  question->awaits_end = r == 1 && row.awaits_end;
  return r < 0 ? r : 0;
}

/* One that does not run here waits, is run by another process, or has ended. */
static bool
has_ended(struct evaluations *evaluations, struct follower *follower)
{
  int64_t now = clock_monotonic_ms();
  if (follower->ended || is_running(evaluations, follower->evaluation_id)
      || now < follower->next_ask_ms)
    return follower->ended;
  struct end_question question = { .evaluation_id = follower->evaluation_id };
  follower->next_ask_ms = now + ASK_EVERY_MS;
  follower->ended = db_pool_run(evaluations->options.pool, DB_READ, ask_end, &question, NULL) == 0
                    && !question.awaits_end;
  return follower->ended;
}

/* From then on it has one, if there is one. */
static void
open_log(const struct evaluations *evaluations, struct follower *follower)
{
  CLEANUP_FREE char *path = workspace_log_path(evaluations, follower->evaluation_id);
  follower->fd = open(path, O_RDONLY | O_CLOEXEC);
  if (follower->fd >= 0)
    (void) lseek(follower->fd, follower->from, SEEK_SET);
}

/* Sends what is new, as far as a slow reader has room for it; false when the follower
   is served or gone. */
static bool
serve(struct evaluations *evaluations, struct follower *follower, char *room)
{
  bool ended = has_ended(evaluations, follower); /* before reading: then nothing follows */
  if (follower->fd < 0)
    open_log(evaluations, follower);
  ssize_t got = 0;
  while (follower->fd >= 0 && http_stream_wait(follower->stream, PIECE, 0) == 0
         && (got = read(follower->fd, room, PIECE)) > 0)
    if (http_stream_write(follower->stream, str_make(room, (size_t) got)) < 0)
      return false;
  bool all_sent = got == 0 && http_stream_wait(follower->stream, PIECE, 0) == 0;
  follower->whole = all_sent && ended;
  return !follower->whole && http_stream_is_open(follower->stream);
}

static void
follower_free(struct follower *follower)
{
  if (follower->whole)
    http_stream_close(follower->stream);
  else
    http_stream_fail(follower->stream);
  file_closep(&follower->fd);
  free(follower);
}

static struct follower *
take_followers(struct evaluations *evaluations)
{
  pthread_mutex_lock(&evaluations->lock);
  struct follower *all = evaluations->followers;
  evaluations->followers = NULL;
  pthread_mutex_unlock(&evaluations->lock);
  return all;
}

static void
put_follower(struct evaluations *evaluations, struct follower *follower)
{
  pthread_mutex_lock(&evaluations->lock);
  follower->next = evaluations->followers;
  evaluations->followers = follower;
  pthread_mutex_unlock(&evaluations->lock);
}

void *
evaluation_tailer_main(void *context)
{
  struct evaluations *evaluations = context;
  char *room = mem_alloc(PIECE);
  while (!evaluations->stopping) {
    unsigned seen = evaluations_seen(evaluations);
    struct follower *follower = take_followers(evaluations);
    bool any = follower != NULL;
    while (follower != NULL) {
      struct follower *next = follower->next;
      if (serve(evaluations, follower, room))
        put_follower(evaluations, follower);
      else
        follower_free(follower);
      follower = next;
    }
    evaluations_pause(evaluations, seen, any ? LOOK_MS : IDLE_MS);
  }
  struct follower *rest = take_followers(evaluations);
  while (rest != NULL) {
    struct follower *next = rest->next;
    follower_free(rest);
    rest = next;
  }
  free(room);
  return NULL;
}

static int
follow_log(struct evaluations *evaluations, struct http_request *request, struct follower *follower)
{
  int r = http_reply_stream(request, 200, LOG_TYPE, STREAM_LIMIT, &follower->stream);
  if (r < 0) {
    file_closep(&follower->fd);
    free(follower);
    return r;
  }
  put_follower(evaluations, follower);
  evaluations_poke(evaluations);
  return 0;
}

int
evaluations_log_reply(struct evaluations *evaluations, struct http_request *request,
                      int64_t evaluation_id, int64_t from, bool follow, struct error *err)
{
  struct end_question question = { .evaluation_id = evaluation_id };
  CLEANUP_FREE char *path = workspace_log_path(evaluations, evaluation_id);
  CLEANUP_FD int fd = open(path, O_RDONLY | O_CLOEXEC);
  int r = fd < 0 || follow
              ? db_pool_run(evaluations->options.pool, DB_READ, ask_end, &question, err)
              : 0;
  if (r < 0)
    return r;
  bool grows = question.awaits_end || is_running(evaluations, evaluation_id);
  bool waits = follow && grows && !evaluations->options.passive;
  if (fd < 0 && !grows)
    return error_set(err, -ENOENT,
                     question.found ? "evaluation %lld has no log" : "there is no evaluation %lld",
                     (long long) evaluation_id);
  http_reply_header(request, "Cache-Control", "no-cache"); /* it grows */
  if (fd < 0 && !waits)
    return http_reply_text(request, 200, LOG_TYPE, "");
  if (!waits)
    return http_reply_file(request, LOG_TYPE, NULL, TAKE_FD(fd), from);
  if (fd >= 0 && lseek(fd, from, SEEK_SET) < 0)
    return error_set(err, -EINVAL, "no such place in the log");
  struct follower *follower = mem_alloc(sizeof *follower);
  *follower = (struct follower) { .evaluation_id = evaluation_id, .from = from, .fd = TAKE_FD(fd) };
  return follow_log(evaluations, request, follower);
}
