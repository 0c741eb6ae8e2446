/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "agent/agent_private.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"

#define PAUSE_FIRST_MS 1000
#define PAUSE_LAST_MS 30000
#define PAUSE_LEAST_MS 100
#define DESCRIPTORS_WANTED 16384 /* an output may be 2,000 folders deep, several at once */
#define GRACE_MS 60000           /* until a server has told its own */

/* What the thread that waits for the order to stop needs. */
struct watch
{
  struct agent *agent;
  volatile int *stop;
  int wake;
};

static void *
watch_main(void *context)
{
  const struct watch *watch = context;
  struct agent *agent = watch->agent;
  while (!agent->stopping) {
    struct pollfd ready = { .fd = watch->wake, .events = POLLIN };
    (void) poll(&ready, 1, 1000);
    if (*watch->stop == 0)
      continue;
    pthread_mutex_lock(&agent->lock);
    agent->stopping = true;
    if (agent->session != NULL)
      http_client_cancel(agent->session);
    pthread_cond_broadcast(&agent->changed);
    pthread_mutex_unlock(&agent->lock);
  }
  return NULL;
}

/* Sleeps, but not through the order to stop. */
static void
pause_for(struct agent *agent, int64_t milliseconds)
{
  struct timespec until;
  clock_gettime(CLOCK_REALTIME, &until);
  until.tv_sec += milliseconds / 1000;
  until.tv_nsec += milliseconds % 1000 * 1000000;
  if (until.tv_nsec >= 1000000000) {
    until.tv_sec++;
    until.tv_nsec -= 1000000000;
  }
  pthread_mutex_lock(&agent->lock);
  while (!agent->stopping
         && pthread_cond_timedwait(&agent->changed, &agent->lock, &until) != ETIMEDOUT)
    continue;
  pthread_mutex_unlock(&agent->lock);
}

/* Up to half as much again, so that a farm does not dial in step. */
static int64_t
with_jitter(int64_t milliseconds)
{
  uint32_t random;
  file_random(&random, sizeof random);
  return milliseconds + random % (milliseconds / 2 + 1);
}

int64_t
agent_pause_limit(int64_t grace_ms)
{
  int64_t limit = grace_ms * 2 / 9; /* a third, less the jitter */
  if (limit > PAUSE_LAST_MS)
    return PAUSE_LAST_MS;
  return limit < PAUSE_LEAST_MS ? PAUSE_LEAST_MS : limit;
}

/* A token that is refused though it IS_NEW will stay so. */
static int
dial(struct agent *agent, bool *is_new, bool *ret_welcomed, struct error *err)
{
  int r = agent_dial(agent, ret_welcomed, err);
  *is_new = *is_new && !*ret_welcomed;
  if (!agent->is_refused || *is_new || agent->options->join_token_file == NULL)
    return r;
  r = agent_earn_token(agent, err);
  if (r < 0)
    return r;
  log_info("agent", "enrolled again, as the token was refused");
  *is_new = true;
  return agent_dial(agent, ret_welcomed, err);
}

static int
dial_until_stopped(struct agent *agent, struct error *err)
{
  int64_t pause = PAUSE_FIRST_MS / 2;
  bool is_new = false;
  while (!agent->stopping) {
    bool welcomed = false;
    int r = dial(agent, &is_new, &welcomed, err);
    if (r < 0)
      return r;
    if (agent->stopping)
      return 0;
    int64_t limit = agent_pause_limit(agent->grace_ms);
    pause = welcomed ? PAUSE_FIRST_MS : pause * 2;
    pause = pause < limit ? pause : limit;
    log_warning("agent", "no session with %s: %s; dialling again in %lld s", agent->options->server,
                err->message, (long long) (pause / 1000));
    pause_for(agent, with_jitter(pause));
    attempts_reap(agent, false);
  }
  return 0;
}

static void
cancel_all(struct agent *agent)
{
  pthread_mutex_lock(&agent->lock);
  for (struct attempt *attempt = agent->attempts; attempt != NULL; attempt = attempt->next)
    attempt_cancel(attempt);
  pthread_mutex_unlock(&agent->lock);
  attempts_reap(agent, true);
}

static int
run_enrolled(struct agent *agent, volatile int *stop, int wake, struct error *err)
{
  struct watch watch = { agent, stop, wake };
  pthread_t watcher;
  int r = pthread_create(&watcher, NULL, watch_main, &watch);
  if (r != 0)
    return error_set(err, -r, "cannot start a thread");
  log_info("agent", "%s works for %s, %d builds at once", agent->name, agent->options->server,
           agent->jobs);
  r = dial_until_stopped(agent, err);
  agent->stopping = true;
  cancel_all(agent);
  pthread_join(watcher, NULL);
  return r;
}

int
agent_run(const struct agent_options *options, volatile int *stop, int wake, struct error *err)
{
  struct agent agent = { .options = options, .lock_fd = -1, .grace_ms = GRACE_MS };
  pthread_mutex_init(&agent.lock, NULL);
  pthread_cond_init(&agent.changed, NULL);
  signal(SIGPIPE, SIG_IGN);
  (void) file_allow_descriptors(DESCRIPTORS_WANTED);
  guix_init();
  int r = agent_prepare(&agent, err);
  if (r == 0)
    r = run_enrolled(&agent, stop, wake, err);
  file_closep(&agent.lock_fd);
  arena_free(&agent.arena);
  return r;
}
