/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What every step of an attempt needs: calls of the server that outlast its absence,
   and a way to cut them all short. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "agent/agent_private.h"
#include "base/log.h"
#include "base/mem.h"

#define RETRY_FIRST_MS 500
#define RETRY_LAST_MS 30000

/* ---- cancelling ---- */

void
attempt_cancel(struct attempt *attempt)
{
  pthread_mutex_lock(&attempt->lock);
  attempt->cancelled = true;
  if (attempt->daemon != NULL)
    guix_daemon_cancel(attempt->daemon);
  for (size_t i = 0; i < ARRAY_SIZE(attempt->clients); i++)
    if (attempt->clients[i] != NULL)
      http_client_cancel(attempt->clients[i]);
  pthread_cond_broadcast(&attempt->wake);
  pthread_mutex_unlock(&attempt->lock);
}

bool
attempt_hold_client(struct attempt *attempt, struct http_client *client)
{
  pthread_mutex_lock(&attempt->lock);
  bool go_on = !attempt->cancelled;
  for (size_t i = 0; go_on && i < ARRAY_SIZE(attempt->clients); i++)
    if (attempt->clients[i] == NULL) {
      attempt->clients[i] = client;
      break;
    }
  pthread_mutex_unlock(&attempt->lock);
  return go_on;
}

void
attempt_drop_client(struct attempt *attempt, struct http_client *client)
{
  pthread_mutex_lock(&attempt->lock);
  for (size_t i = 0; i < ARRAY_SIZE(attempt->clients); i++)
    if (attempt->clients[i] == client)
      attempt->clients[i] = NULL;
  pthread_mutex_unlock(&attempt->lock);
}

bool
attempt_sleep(struct attempt *attempt, int64_t milliseconds)
{
  struct timespec until;
  clock_gettime(CLOCK_REALTIME, &until);
  int64_t nanoseconds = until.tv_nsec + milliseconds % 1000 * 1000000;
  until.tv_sec += milliseconds / 1000 + nanoseconds / 1000000000;
  until.tv_nsec = nanoseconds % 1000000000;
  pthread_mutex_lock(&attempt->lock);
  while (!attempt->cancelled
         && pthread_cond_timedwait(&attempt->wake, &attempt->lock, &until) != ETIMEDOUT)
    continue;
  pthread_mutex_unlock(&attempt->lock);
  return !attempt->cancelled;
}

/* ---- calls ---- */

bool
attempt_outlast(struct attempt *attempt, struct outage *outage, const struct error *cause)
{
  if (attempt->cancelled)
    return false;
  if (outage->pause_ms == 0 || outage->code != cause->code)
    log_warning("agent", "attempt %lld: %s; trying again", (long long) attempt->id, cause->message);
  outage->code = cause->code;
  outage->pause_ms = outage->pause_ms == 0 ? RETRY_FIRST_MS : outage->pause_ms * 2;
  if (outage->pause_ms > RETRY_LAST_MS)
    outage->pause_ms = RETRY_LAST_MS;
  return attempt_sleep(attempt, outage->pause_ms);
}

void
attempt_outlasted(struct attempt *attempt, struct outage *outage)
{
  if (outage->pause_ms > 0)
    log_info("agent", "attempt %lld: the server answers", (long long) attempt->id);
  outage->pause_ms = 0;
}

int
attempt_refused(const struct http_answer *answer, const char *what, struct error *err)
{
  struct str body = buf_str(&answer->body);
  json_t *problem =
      body.size == 0 ? NULL : json_loadb(body.data, body.size, JSON_REJECT_DUPLICATES, NULL);
  const char *detail = json_string_value(json_object_get(problem, "detail"));
  struct str reason = detail != NULL ? str_of(detail) : body;
  int r = answer->status == 507 ? -ENOSPC : -EPROTO;
  error_set(err, r, "%s (%d): %.*s", what, answer->status,
            (int) (reason.size < 300 ? reason.size : 300), reason.size == 0 ? "" : reason.data);
  json_decref(problem);
  return r;
}

int
attempt_call(struct attempt *attempt, struct http_client *client, const struct http_call *call,
             struct http_answer *ret, struct error *err)
{
  char fence[64];
  struct outage outage = { 0 };
  snprintf(fence, sizeof fence, "Panoply-Fence: %s", attempt->fence);
  const char *headers[] = { fence, NULL };
  struct http_call fenced = *call;
  fenced.headers = headers;
  /* A body that is pulled cannot be sent twice: its owner starts anew. */
  bool once = call->body_read != NULL;
  for (;;) {
    if (attempt->cancelled)
      return error_set(err, -ECANCELED, "the attempt was cancelled");
    int r = http_client_call(client, &fenced, ret, err);
    if (r == 0 && ret->status == 410) {
      attempt_cancel(attempt);
      http_answer_free(ret);
      return error_set(err, -ECANCELED, "the attempt is no longer ours");
    }
    if (r == 0 && (ret->status < 500 || once)) {
      attempt_outlasted(attempt, &outage);
      return ret->status;
    }
    if (r == 0) {
      CLEANUP_FREE char *what =
          mem_printf("the server cannot take %s %s", call->method, call->path);
      attempt_refused(ret, what, err);
    }
    http_answer_free(ret);
    if (once)
      return r;
    if (!attempt_outlast(attempt, &outage, err))
      return error_set(err, -ECANCELED, "the attempt was cancelled");
  }
}

int
attempt_post(struct attempt *attempt, struct http_client *client, const char *what, struct str body,
             json_t **ret_json, struct error *err)
{
  CLEANUP_FREE char *path = mem_printf("/agent/v1/attempts/%lld/%s", (long long) attempt->id, what);
  struct http_answer answer = { 0 };
  int status =
      attempt_call(attempt, client,
                   &(struct http_call) {
                       .method = "POST", .path = path, .type = "application/json", .body = body },
                   &answer, err);
  if (status < 0)
    return status;
  if (ret_json != NULL)
    *ret_json = json_loadb(answer.body.data, answer.body.size, JSON_REJECT_DUPLICATES, NULL);
  if (status != 200)
    error_set(err, -EPROTO, "the server answered %d to %s: %.*s", status, what,
              (int) (answer.body.size < 300 ? answer.body.size : 300), answer.body.data);
  http_answer_free(&answer);
  return status;
}
