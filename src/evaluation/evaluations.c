/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The room's threads, and what others may ask of them. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "evaluation/comparison.h"
#include "evaluation/evaluation_private.h"
#include "evaluation/evaluation_sql.h"

#define WORDS_MAX 32
#define ANSWERS_WAITING_MAX 100

/* ---- waiting and waking ---- */

unsigned
evaluations_seen(struct evaluations *evaluations)
{
  pthread_mutex_lock(&evaluations->lock);
  unsigned seen = evaluations->pokes;
  pthread_mutex_unlock(&evaluations->lock);
  return seen;
}

void
evaluations_pause(struct evaluations *evaluations, unsigned seen, int64_t milliseconds)
{
  struct timespec until;
  clock_gettime(CLOCK_MONOTONIC, &until);
  int64_t nanoseconds = until.tv_nsec + milliseconds % 1000 * 1000000;
  until.tv_sec += milliseconds / 1000 + nanoseconds / 1000000000;
  until.tv_nsec = nanoseconds % 1000000000;
  pthread_mutex_lock(&evaluations->lock);
  while (!evaluations->stopping && evaluations->pokes == seen
         && pthread_cond_timedwait(&evaluations->changed, &evaluations->lock, &until) != ETIMEDOUT)
    continue;
  pthread_mutex_unlock(&evaluations->lock);
}

void
evaluations_poke(struct evaluations *evaluations)
{
  pthread_mutex_lock(&evaluations->lock);
  evaluations->pokes++;
  pthread_cond_broadcast(&evaluations->changed);
  pthread_mutex_unlock(&evaluations->lock);
}

void
evaluations_wake_feeds(struct evaluations *evaluations)
{
  struct db *db = NULL;
  if (db_pool_get(evaluations->options.pool, &db, NULL) < 0)
    return; /* the feeds look by themselves after a while */
  (void) events_wake(db, NULL);
  db_pool_put(evaluations->options.pool, db);
}

/* ---- answering later ---- */

struct answer
{
  struct work work;
  struct http_request *request; /* deferred */
  http_handler *handler;
};

static void
answer_run(void *context, struct work *work, bool stopping)
{
  struct answer *answer = (struct answer *) work;
  struct error err = { 0 };
  http_take_up(answer->request);
  int r = stopping ? error_set(&err, -EBUSY, "the server stops")
                   : answer->handler(answer->request, context, &err);
  if (r < 0)
    http_reply_failure(answer->request, &err);
  free(answer);
}

int
evaluations_later(struct evaluations *evaluations, struct http_request *request,
                  http_handler *handler)
{
  struct answer *answer = mem_alloc(sizeof *answer);
  *answer =
      (struct answer) { .work = { .run = answer_run }, .request = request, .handler = handler };
  http_defer(request);
  if (!work_pool_offer(&evaluations->answers, &answer->work, ANSWERS_WAITING_MAX)) {
    struct error err = { 0 };
    error_set(&err, -EBUSY, "too many wait for an answer already");
    http_reply_failure(request, &err);
    free(answer);
  }
  return 0;
}

/* ---- starting and stopping ---- */

/* The words of the command; quotes are not interpreted: name a script where a
   word needs a space. */
static char **
split_words(struct arena *arena, const char *command)
{
  char **words = arena_array(arena, WORDS_MAX + 1, sizeof *words);
  struct str rest = str_of(command);
  struct str word;
  size_t count = 0;
  while (count < WORDS_MAX && str_split(&rest, ' ', &word))
    if (word.size > 0)
      words[count++] = arena_printf(arena, "%.*s", STR_FMT(word));
  return words;
}

static void
copy_options(struct evaluations *evaluations, const struct evaluation_options *options)
{
  struct arena *arena = &evaluations->arena;
  const char *root = options->store_root != NULL ? options->store_root : "";
  struct evaluation_options *own = &evaluations->options;
  *own = *options;
  own->uri = arena_printf(arena, "%s", options->uri);
  own->folder = arena_printf(arena, "%s", options->folder);
  own->store_root = arena_printf(arena, "%s", root);
  own->scheme_folder = arena_printf(arena, "%s", options->scheme_folder);
  own->parallel = options->parallel > 0 ? options->parallel : 1;
  if (options->guix != NULL)
    evaluations->guix = split_words(arena, options->guix);
  else if (root[0] == '\0')
    evaluations->guix = split_words(arena, "guix");
  else {
    const char *words[] = { "chroot", own->store_root, "guix" };
    evaluations->guix = arena_array(arena, ARRAY_SIZE(words) + 1, sizeof *evaluations->guix);
    for (size_t i = 0; i < ARRAY_SIZE(words); i++)
      evaluations->guix[i] = arena_printf(arena, "%s", words[i]);
  }
}

/* Thread INDEX, in the order in which they are started. */
static pthread_t *
thread_at(struct evaluations *evaluations, int index, void *(**ret_main)(void *) )
{
  int parallel = evaluations->options.parallel;
  if (index < EVALUATION_POLLERS) {
    *ret_main = evaluation_poller_main;
    return &evaluations->pollers[index];
  }
  index -= EVALUATION_POLLERS;
  if (index < parallel) {
    *ret_main = evaluation_runner_main;
    return &evaluations->evaluators[index];
  }
  *ret_main = index == parallel ? evaluation_tailer_main : evaluation_tallier_main;
  return index == parallel ? &evaluations->tailer : &evaluations->tallier;
}

static int
start_threads(struct evaluations *evaluations, struct error *err)
{
  int parallel = evaluations->options.parallel;
  evaluations->evaluators = mem_array((size_t) parallel, sizeof *evaluations->evaluators);
  int r = 0;
  for (int i = 0; r == 0 && i < EVALUATION_POLLERS + parallel + 2; i++) {
    void *(*thread_main)(void *);
    pthread_t *thread = thread_at(evaluations, i, &thread_main);
    r = pthread_create(thread, NULL, thread_main, evaluations);
    evaluations->threads_started += r == 0;
  }
  return r == 0 ? 0 : error_set(err, -r, "cannot start a thread");
}

int
evaluations_start(const struct evaluation_options *options, struct evaluations **ret,
                  struct error *err)
{
  struct evaluations *evaluations = mem_alloc(sizeof *evaluations);
  pthread_mutex_init(&evaluations->lock, NULL);
  pthread_mutex_init(&evaluations->claiming, NULL);
  pthread_condattr_t monotonic;
  pthread_condattr_init(&monotonic);
  pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
  pthread_cond_init(&evaluations->changed, &monotonic);
  pthread_condattr_destroy(&monotonic);
  copy_options(evaluations, options);
  work_pool_init(&evaluations->deletions, evaluations);
  work_pool_init(&evaluations->answers, evaluations);
  int r = work_pool_start(&evaluations->deletions, 1);
  if (r == 0)
    r = work_pool_start(&evaluations->answers, EVALUATION_ANSWERERS);
  if (r < 0)
    (void) error_set(err, r, "cannot start a thread");
  else if (!options->passive)
    r = start_threads(evaluations, err);
  if (r < 0)
    evaluations_stop(evaluations);
  else
    *ret = evaluations;
  return r;
}

static void
join_threads(struct evaluations *evaluations)
{
  void *(*thread_main)(void *);
  for (int i = 0; i < evaluations->threads_started; i++)
    pthread_join(*thread_at(evaluations, i, &thread_main), NULL);
}

void
evaluations_stop(struct evaluations *evaluations)
{
  if (evaluations == NULL)
    return;
  evaluations_quit(evaluations);
  work_pool_stop(&evaluations->deletions);
  work_pool_stop(&evaluations->answers);
  join_threads(evaluations);
  work_pool_free(&evaluations->deletions);
  work_pool_free(&evaluations->answers);
  comparisons_expire(evaluations);
  free(evaluations->evaluators);
  arena_free(&evaluations->arena);
  free(evaluations);
}

/* ---- asking ---- */

struct request
{
  struct str name;
  bool force;
};

static int
write_request(struct db *db, void *context, struct error *err)
{
  const struct request *request = context;
  struct specification_request_row row;
  int r = specification_request(db, request->force, request->name, &row, err);
  if (r == 0)
    return error_set(err, -ENOENT, "there is no specification \"%.*s\"", STR_FMT(request->name));
  return r < 0 ? r : 0;
}

int
evaluations_request(struct evaluations *evaluations, struct str specification, bool force,
                    struct error *err)
{
  struct request request = { specification, force };
  int r = db_pool_run(evaluations->options.pool, DB_WRITE, write_request, &request, err);
  if (r == 0)
    evaluations_poke(evaluations);
  return r;
}

/* 1 = it was waiting, and is cancelled now. */
static int
cancel_waiting(struct db *db, int64_t id, struct error *err)
{
  CLEANUP_ARENA struct arena arena = { 0 };
  struct evaluation_cancel_waiting_row row;
  int r = evaluation_cancel_waiting(db, id, &arena, &row, err);
  if (r <= 0)
    return r;
  CLEANUP_BUF struct buf facts = { 0 };
  struct json json = json_begin(&facts);
  json_object_open(&json);
  json_put_text(&json, "specification", row.specification);
  json_object_close(&json);
  r = events_append(db, "evaluation.cancelled", id, buf_str(&facts), err);
  return r < 0 ? r : 1;
}

struct cancel
{
  int64_t id;
  struct arena *arena;
  bool is_computed; /* what is left of it are builds: */
  struct evaluation_own_builds_rows builds;
};

static int
find_builds(struct db *db, struct cancel *cancel, struct error *err)
{
  struct evaluation_state_row row;
  int r = evaluation_state(db, cancel->id, &row, err);
  if (r == 0)
    return error_set(err, -ENOENT, "there is no evaluation %lld", (long long) cancel->id);
  cancel->is_computed = true;
  if (r > 0)
    r = evaluation_own_builds(db, cancel->id, cancel->arena, &cancel->builds, err);
  if (r == 0 && cancel->builds.count == 0)
    r = error_set(err, -EEXIST,
                  "evaluation %lld has ended, and no build is left that it alone wants",
                  (long long) cancel->id);
  if (r == 0)
    r = evaluation_cancel_rest(db, cancel->id, err);
  return r < 0 ? r : 0;
}

/* A running one is told by its row too: its process may be another, or killed now. */
static int
store_cancel(struct db *db, void *context, struct error *err)
{
  struct cancel *cancel = context;
  int r = cancel_waiting(db, cancel->id, err);
  if (r == 0)
    r = evaluation_cancel_running(db, cancel->id, err);
  if (r == 0)
    return find_builds(db, cancel, err);
  return r < 0 ? r : 0;
}

static int
cancel_builds(struct evaluations *evaluations, const struct cancel *cancel, struct error *err)
{
  int64_t *ids = arena_array(cancel->arena, cancel->builds.count, sizeof *ids);
  for (size_t i = 0; i < cancel->builds.count; i++)
    ids[i] = cancel->builds.items[i].build;
  return farm_builds_withdraw(evaluations->options.farm, ids, cancel->builds.count, err);
}

static void
cancel_running(struct evaluations *evaluations, int64_t evaluation_id)
{
  pthread_mutex_lock(&evaluations->lock);
  for (struct running *running = evaluations->running; running != NULL; running = running->next)
    if (running->id == evaluation_id)
      running->cancelled = true;
  pthread_mutex_unlock(&evaluations->lock);
}

int
evaluations_cancel(struct evaluations *evaluations, int64_t evaluation_id, int64_t *ret_builds,
                   struct error *err)
{
  CLEANUP_ARENA struct arena arena = { 0 };
  struct cancel cancel = { .id = evaluation_id, .arena = &arena };
  int r = db_pool_run(evaluations->options.pool, DB_WRITE, store_cancel, &cancel, err);
  if (r < 0)
    return r;
  *ret_builds = cancel.is_computed ? (int64_t) cancel.builds.count : -1;
  if (cancel.is_computed)
    return cancel_builds(evaluations, &cancel, err);
  cancel_running(evaluations, evaluation_id);
  evaluations_wake_feeds(evaluations);
  return 0;
}

void
evaluations_quit(struct evaluations *evaluations)
{
  evaluations->stopping = true;
  channels_quit(evaluations->options.channels);
  evaluations_poke(evaluations);
}
