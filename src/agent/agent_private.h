/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the agent's own files share. Threads: the session loop (the caller of
   agent_run), one a running attempt, one a log sender, up to `uploads` an
   attempt's uploads, and one that waits for the order to stop. */
#pragma once

#include <pthread.h>
#include <stdatomic.h>

#include "agent/agent.h"

#define AGENT_UPLOADS_MAX 8 /* at once, of one attempt */

struct attempt;

struct agent
{
  const struct agent_options *options;
  struct arena arena; /* lives as long as the agent */
  const char *state;
  const char *store_root;
  const char *socket;
  const char *name;
  const char *const *systems; /* NULL-terminated */
  int jobs;
  int uploads;
  const char *token_file;
  const char *_Atomic token; /* any one of them lives as long as the agent; NULL = none yet */
  bool is_refused;           /* the server did not want the token at the last dial */
  int64_t grace_ms;          /* how long the server waits for us before our work counts as lost */
  int lock_fd;               /* on STATE/lock, held for life */

  atomic_bool stopping;
  pthread_mutex_t lock; /* guards the two below */
  pthread_cond_t changed;
  struct attempt *attempts;
  struct http_client *session; /* the running session's client, or NULL */
};

/* ---- enrol.c ---- */

/* Settles name, systems, folders; takes the lock; sees whether guix-daemon answers, and only
   then reads or earns the token: what cannot build has no place among the agents. */
int agent_prepare(struct agent *agent, struct error *err);
/* Earns a token with the joining one. A token that it has is shown to the server, which
   gives another in its place if the administrator has released the agent. */
int agent_earn_token(struct agent *agent, struct error *err);
/* Members `systems`, `jobs`, `facts` of an open JSON object. */
struct json;
void agent_describe(const struct agent *agent, struct json *json);
/* A JSON object that says how the machine fares: the body of a pong. */
void agent_describe_condition(const struct agent *agent, struct buf *out);
struct http_client *agent_client_new(const struct agent *agent, int silence_timeout_s);

/* ---- session.c ---- */

/* One session, from dialling to its end. Returns 0 when it ended and dialling
   again makes sense (*RET_WELCOMED tells whether it had begun well), negative
   when this agent can never work. */
int agent_dial(struct agent *agent, bool *ret_welcomed, struct error *err);

/* ---- agent.c ---- */

/* The longest pause between two dials, jitter not included (ms): within the time of
   grace the server is dialled three times at least. */
int64_t agent_pause_limit(int64_t grace_ms);

/* ---- attempt.c ---- */

struct attempt_output
{
  struct str name;
  struct str path; /* full */
};

/* One try at a build: from the order to the reported result. */
struct attempt
{
  struct agent *agent;
  struct attempt *next;
  struct arena arena;
  int64_t id;
  char fence[24];
  struct str derivation; /* full path */
  int64_t timeout_s;
  int64_t max_silent_s;
  struct attempt_output *outputs;
  size_t outputs_count;

  pthread_t thread;
  bool ended; /* under the agent's lock: the thread can be joined */

  atomic_bool cancelled;
  pthread_mutex_t lock; /* guards the three below */
  pthread_cond_t wake;
  struct guix_daemon *daemon;                         /* what to cut on cancelling, or NULL */
  struct http_client *clients[AGENT_UPLOADS_MAX + 4]; /* likewise; NULL = free place */
};

/* Starts its thread and puts it on the agent's list; takes ORDER's contents.
   -EEXIST when it runs already. */
int attempt_start(struct agent *agent, const json_t *order, struct error *err);
/* Joins threads of attempts that have ended; with ALL, waits for every one. */
void attempts_reap(struct agent *agent, bool all);

/* ---- call.c ---- */

/* Stops it soon; nothing is reported. */
void attempt_cancel(struct attempt *attempt);
/* Makes CLIENT cancellable by attempt_cancel; false when already cancelled. */
bool attempt_hold_client(struct attempt *attempt, struct http_client *client);
void attempt_drop_client(struct attempt *attempt, struct http_client *client);
/* Sleeps at most MILLISECONDS; false when the attempt was cancelled. */
bool attempt_sleep(struct attempt *attempt, int64_t milliseconds);

/* Repeating what the server does not answer, or answers with 5xx. */
struct outage
{
  int64_t pause_ms; /* the last one; 0 = all is well */
  int code;         /* of the cause that was logged last */
};
/* Sleeps, longer each time; CAUSE is logged the first time, and when it is another kind:
   a line that breaks tells less than the answer at the next try. False when cancelled. */
bool attempt_outlast(struct attempt *attempt, struct outage *outage, const struct error *cause);
/* It has answered. */
void attempt_outlasted(struct attempt *attempt, struct outage *outage);

/* A call with the fence, tried again with growing pauses until the server
   answers with a status below 500; only once if its body is pulled. Returns the
   status; -ECANCELED when cancelled or when the server says 410: the attempt is no
   longer ours. */
int attempt_call(struct attempt *attempt, struct http_client *client, const struct http_call *call,
                 struct http_answer *ret, struct error *err);
/* Sets ERR from an answer that is none of success: WHAT, a clause about what was asked,
   and the server's reason. -ENOSPC: its disk is full; else -EPROTO. */
int attempt_refused(const struct http_answer *answer, const char *what, struct error *err);
/* attempt_call of a JSON request without query; RET_JSON may be NULL. */
int attempt_post(struct attempt *attempt, struct http_client *client, const char *what,
                 struct str body, json_t **ret_json, struct error *err);

/* ---- fetch.c ---- */

/* Brings what the daemon lacks of the derivation's closure into the store. The
   whole closure is a temporary root of DAEMON's connection first. -ENOENT: the
   server lacks an input. */
int attempt_fetch(struct attempt *attempt, struct http_client *client, struct guix_daemon *daemon,
                  struct error *err);

/* ---- spool.c: the build log on its way to the server ---- */

struct spool;
int spool_open(struct attempt *attempt, struct spool **ret, struct error *err);
/* The builder runs: told to the server before the next piece of log. */
void spool_mark_started(struct spool *spool);
/* Appends; never waits for the server. -EFBIG beyond AGENT_LOG_MAX. */
#define AGENT_LOG_MAX (INT64_C(1) << 30) /* bytes */
int spool_append(struct spool *spool, struct str text);
/* Waits until all is acknowledged; RET_SIZE bytes. */
int spool_finish(struct spool *spool, int64_t *ret_size, struct error *err);
/* After _finish: the server has only SIZE bytes after all; sends the rest again. */
int spool_send_again(struct spool *spool, int64_t size, struct error *err);
void spool_free(struct spool *spool); /* NULL is fine */

/* ---- build.c ---- */

struct verdict
{
  const char *cause; /* NULL = succeeded; else as in doc/agent-protocol.md */
  char message[768]; /* as long as an error's */
  bool is_known;     /* the server found it out itself */
};

/* What the reports of one attempt need. */
struct report
{
  struct attempt *attempt;
  struct http_client *client;  /* for short calls */
  struct http_client *patient; /* for results: the server reads the outputs whole first */
  struct guix_daemon *daemon;
  struct spool *spool; /* NULL = there is no log */
  int64_t log_size;
};

/* Uploads the outputs of a success, and tells the server how it went. VERDICT changes
   when that fails. */
void attempt_report(struct report *report, struct verdict *verdict);

/* Asks the daemon for the build, streams its log; VERDICT tells how it went. */
void attempt_build(struct attempt *attempt, struct guix_daemon *daemon, struct spool *spool,
                   struct verdict *verdict);

/* What is known when a build request failed. */
struct failure_signs
{
  int error;           /* of the request: -EREMOTEIO, -ECONNRESET ... */
  int status;          /* the daemon's: 1, 100, 101 */
  bool builder_failed; /* a build-failed line for our derivation */
  bool hash_mismatch;
  bool unfit_output;  /* the builder made what no store can hold */
  bool silence;       /* the daemon spoke of silence */
  bool killed;        /* the builder died of signal 9 */
  bool says_no_space; /* the builder; true or not */
  bool no_space;      /* the daemon says that the disk is full, or it is */
  int log_error;      /* why the log could not be kept: -EFBIG, -ENOSPC ...; 0 = it could */
};
const char *failure_cause(const struct failure_signs *signs);
/* Fills VERDICT: the cause, and in words that say more than WORDS, the daemon's, where
   the signs do. */
void failure_explain(const struct failure_signs *signs, const struct attempt *attempt,
                     const char *words, struct verdict *verdict);
/* Notes what one event of the daemon says about a failure of DERIVATION. */
void failure_note(struct failure_signs *signs, const struct guix_event *event,
                  struct str derivation);
/* Notes what the daemon's last words, its ERROR, say. */
void failure_note_error(struct failure_signs *signs, const char *error);

/* Is there little left where builds and their outputs lie? */
bool disk_is_full(const char *store_root);

/* ---- outputs.c ---- */

/* Uploads what the server lacks of the outputs' closure (several at once) and
   appends the array of items of doc/agent-protocol.md to ITEMS. AGAIN: items to
   upload anew from 0 (from a 422 answer), or NULL. */
int attempt_upload(struct attempt *attempt, struct http_client *client, struct guix_daemon *daemon,
                   const json_t *again, struct buf *items, struct error *err);

/* ---- pump.c: a thread between a pusher and a puller ---- */

/* Runs PRODUCE on a thread, which pushes bytes by the given sink; they come out
   of pump_read. Ending early (pump_free) makes the sink return -EPIPE. */
struct pump;
struct pump *pump_start(int (*produce)(void *state, guix_sink *sink, void *sink_context,
                                       struct error *err),
                        void *state);
/* Whether pump_read would not wait; waits at most TIMEOUT_MS for it. */
bool pump_is_ready(const struct pump *pump, int timeout_ms);
int64_t pump_read(void *pump, char *room, size_t size); /* count, 0 = end, negative = failed */
/* Reads no more and waits for the producer. Its result; -EPIPE when it had more to give. */
int pump_finish(struct pump *pump, struct error *err);
void pump_free(struct pump *pump);
