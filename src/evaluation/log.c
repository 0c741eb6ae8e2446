/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Evaluation logs: files that Guix writes; those who follow one are served by
   one thread that looks while anybody follows. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "evaluation/evaluation_private.h"
#include "evaluation/evaluation_sql.h"

#define LOOK_MS 200
#define IDLE_MS 3600000
#define PIECE (64 << 10)
#define STREAM_LIMIT (4 << 20) /* bytes that may wait for a slow reader */

struct follower
{
  struct follower *next;
  struct http_stream *stream;
  int64_t evaluation_id;
  int fd;
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

/* Sends what is new, as far as a slow reader has room for it; false when the follower
   is served or gone. */
static bool
serve(struct evaluations *evaluations, struct follower *follower, char *room)
{
  bool running = is_running(evaluations, follower->evaluation_id);
  ssize_t got = 0;
  while (http_stream_wait(follower->stream, PIECE, 0) == 0
         && (got = read(follower->fd, room, PIECE)) > 0)
    if (http_stream_write(follower->stream, str_make(room, (size_t) got)) < 0)
      return false;
  bool all_sent = got == 0 && http_stream_wait(follower->stream, PIECE, 0) == 0;
  follower->whole = all_sent && !running;
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
reply_file(struct http_request *request, int fd)
{
  return http_reply_file(request, "text/plain; charset=utf-8", NULL, fd);
}

int
evaluations_log_reply(struct evaluations *evaluations, struct http_request *request,
                      int64_t evaluation_id, int64_t from, bool follow, struct error *err)
{
  CLEANUP_FREE char *path = workspace_log_path(evaluations, evaluation_id);
  CLEANUP_FD int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0)
    return error_set(err, -ENOENT, "evaluation %lld has no log (yet)", (long long) evaluation_id);
  if ((from == 0 && !follow) || evaluations->options.passive)
    return reply_file(request, TAKE_FD(fd));
  if (lseek(fd, from, SEEK_SET) < 0)
    return error_set(err, -EINVAL, "no such place in the log");
  struct follower *follower = mem_alloc(sizeof *follower);
  *follower = (struct follower) { .evaluation_id = evaluation_id, .fd = TAKE_FD(fd) };
  int r =
      http_reply_stream(request, 200, "text/plain; charset=utf-8", STREAM_LIMIT, &follower->stream);
  if (r < 0) {
    file_closep(&follower->fd);
    free(follower);
    return r;
  }
  put_follower(evaluations, follower);
  evaluations_poke(evaluations);
  return 0;
}
