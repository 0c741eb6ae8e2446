/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the files of this room share. */
#pragma once

#include <pthread.h>
#include <stdatomic.h>

#include "base/child.h"
#include "base/map.h"
#include "base/work.h"
#include "evaluation/evaluation.h"

#define EVALUATION_ANSWERERS 2 /* threads for answers that take a while */

/* Numbers stand in the database. */
enum evaluation_state
{
  EVALUATION_WAITING = 0,
  EVALUATION_RUNNING = 1,
  EVALUATION_SUCCEEDED = 2,
  EVALUATION_FAILED = 3,
  EVALUATION_CANCELLED = 4,
};

#define EVALUATION_POLLERS 4 /* threads: a remote that hangs must not stop the others */

#define COMPARISONS_KEPT 8

struct follower;
struct comparison;

struct evaluations
{
  struct evaluation_options options; /* texts are copies, in arena */
  struct arena arena;
  char **guix; /* the command's words, NULL-terminated; in arena */

  atomic_bool stopping;
  pthread_mutex_t lock; /* guards all below */
  pthread_cond_t changed;
  unsigned pokes;             /* counts evaluations_poke, so that none is missed */
  struct polled *polled;      /* specifications under poll in this process */
  struct running *running;    /* evaluations under way in this process */
  struct follower *followers; /* of their logs */
  struct comparison *comparisons[COMPARISONS_KEPT]; /* newest first (comparison.h) */
  struct error trouble;                             /* what evaluations lack; code 0 = nothing */
  int64_t look_for_trouble_at_ms;

  /* Held from reading `polled` to adding what was claimed: two pollers never take
     the same. Taken before `lock`. */
  pthread_mutex_t claiming;

  struct work_pool deletions; /* of specifications */
  struct work_pool answers;   /* that take a while */
  atomic_bool refreshing;     /* one of `answers` is a comparison's (comparison.c) */
  pthread_t pollers[EVALUATION_POLLERS];
  pthread_t *evaluators;
  pthread_t tailer;
  pthread_t tallier;
  int threads_started; /* pollers, then evaluators, then the tailer, then the tallier */
};

/* A specification under poll; on the list from claim to outcome. */
struct polled
{
  struct polled *next;
  int64_t id;
};

/* An evaluation under way; on the list from claim to end. */
struct running
{
  struct running *next;
  int64_t id;
  atomic_bool cancelled;
};

/* Sleeps at most MILLISECONDS, not at all when somebody poked since evaluations_seen
   returned SEEN. */
unsigned evaluations_seen(struct evaluations *evaluations);
void evaluations_pause(struct evaluations *evaluations, unsigned seen, int64_t milliseconds);
/* Wakes pollers, evaluators and the tailer. */
void evaluations_poke(struct evaluations *evaluations);
/* Defers REQUEST: HANDLER, which gets EVALUATIONS, answers it on a worker, where it may
   wait; -EBUSY does when too many wait already. Returns 0, for the handler of the route to
   return. */
int evaluations_later(struct evaluations *evaluations, struct http_request *request,
                      http_handler *handler);
/* Tells the feeds of all processes that events were appended. */
void evaluations_wake_feeds(struct evaluations *evaluations);

/* ---- poll.c ---- */

void *evaluation_poller_main(void *evaluations);

/* ---- workspace.c: the files that one evaluation's Guix sees ---- */

struct workspace
{
  char *log;     /* STATE/evaluations/ID/log */
  char *outside; /* the folder as this process sees it */
  char *inside;  /* the same as Guix sees it, without the store root */
  char *home;    /* Guix's HOME, as Guix sees it; kept between a specification's evaluations */
};

char *workspace_log_path(const struct evaluations *evaluations, int64_t evaluation_id);

/* Makes the folders, checks the channels out at the evaluation's commits, puts
   evaluate.scm and, for time-machine, channels.scm beside them. COMMITS: one for
   each channel, in the specification's (name) order. */
int workspace_make(struct evaluations *evaluations, int64_t evaluation_id,
                   const struct specification *specification, const struct str *commits,
                   struct workspace *ret, struct error *err);
/* Writes the request for one system; returns its path as Guix sees it. */
int workspace_write_request(const struct workspace *workspace,
                            const struct specification *specification, const struct str *commits,
                            struct str system, char **ret, struct error *err);
/* Removes all but the log. */
void workspace_clear(struct workspace *workspace);

/* ---- results.c: what an evaluator reports ---- */

struct result_job
{
  struct str name;
  struct str derivation; /* full path */
  int64_t timeout_s;
  int64_t max_silent_s;
};

struct result_error
{
  struct str name, message, file;
  int32_t line, column;
};

struct results
{
  struct arena arena;
  struct result_job *jobs;
  size_t bytes; /* of all that was read */
  size_t jobs_count, jobs_capacity, jobs_bytes;
  struct str_map seen; /* derivation and name of each job */
  struct result_error *errors;
  size_t errors_count, errors_capacity, errors_bytes;
  struct buf line; /* an unfinished one */
  bool done;       /* of the process that is being read */
};

void results_free(struct results *results);
/* A job that cannot be is an error of that name; it costs itself, not the evaluation. */
void results_refuse(struct results *results, const struct result_job *job, struct str why);
/* Takes a piece of the stream (scheme/README.md); calls ON_JOB for each job: -ENXIO when
   that job cannot be, which makes it an error and lets the others be. */
int results_feed(struct results *results, struct str piece,
                 int (*on_job)(void *context, const struct result_job *job, struct error *err),
                 void *context, struct error *err);

/* ---- process.c: Guix as a limited child ---- */

struct process;
int process_start(struct evaluations *evaluations, const struct workspace *workspace,
                  const struct specification *specification, const char *request,
                  struct process **ret, struct error *err);
/* Waits at most TIMEOUT_MS for output and appends it to RET. 1 = some came, 0 =
   none yet, -ENODATA = it ended its output; -ENOMEM or -ETIMEDOUT with ERR set when
   it went beyond a limit of the specification. */
int process_read(struct process *process, int timeout_ms, struct buf *ret, struct error *err);
/* The status (as of waitpid) with which it ends within TIMEOUT_MS; else -ETIMEDOUT. */
int process_wait(struct process *process, int timeout_ms);
/* The limit that ended it, by STATUS: -ENOMEM or -ETIMEDOUT with ERR set; 0 = none did. */
int process_explain(int status, struct error *err);
/* Lets it go (after `done`) and waits: 0, or an error that tells how it ended. */
int process_finish(struct process *process, struct error *err);
void process_free(struct process *process); /* kills what still runs; NULL is fine */

/* Where guix may be, on Guix System and elsewhere: "PATH=...". */
extern const char evaluator_path[];

/* ---- health.c: whether Guix is there ---- */

/* -ENOENT ... with a hint. What it finds is told by evaluations_trouble from then on. */
int evaluations_check(struct evaluations *evaluations, struct error *err);
/* That from time to time. */
void evaluations_look_for_trouble(struct evaluations *evaluations);

/* ---- keeper.c ---- */

/* A process below another. */
struct kin
{
  pid_t pid;
  int64_t resident; /* bytes */
};

/* All processes below ROOT, as they are now, without it; to be freed. */
struct kin *kin_of(pid_t root, size_t *ret_count);

/* ---- run.c ---- */

void *evaluation_runner_main(void *evaluations);

/* ---- tally.c: how the builds of evaluations stand ---- */

void *evaluation_tallier_main(void *evaluations);
/* Inside the transaction that writes its jobs: lists have something to show at once. */
int evaluation_count(struct db *db, int64_t evaluation_id, struct error *err);

/* ---- log.c ---- */

void *evaluation_tailer_main(void *evaluations);

/* ---- api.c ---- */

/* A new, changed or resumed specification is looked at soon; streams are told. */
void evaluations_look_now(struct evaluations *evaluations);
/* Defers REQUEST and deletes the specification that its path names: years of
   evaluations may go with it, which takes longer than a server thread may. REPLY answers
   what went well. */
int evaluations_delete_later(struct evaluations *evaluations, struct http_request *request,
                             int (*reply)(struct http_request *request));
/* `limit` of a request for a list. -EINVAL. */
int evaluation_list_limit(struct http_request *request, int64_t *ret, struct error *err);
/* The cursor "NAME/DERIVATION" of a list of jobs; data NULL = its beginning. */
int evaluation_job_cursor(struct str cursor, struct str *ret_name, int64_t *ret_id,
                          struct error *err);
/* The state of builds with this name, in *STATE; *RET points to it, or is NULL when
   NAME is empty. */
int evaluation_build_state(struct str name, int16_t *state, const int16_t **ret, struct error *err);
