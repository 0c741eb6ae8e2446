/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The life of one attempt: fetch what is lacking, build, upload, report. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "agent/agent_private.h"
#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"

#define RETRY_FIRST_MS 500
#define RETRY_LAST_MS 30000
#define RESULT_SILENCE_S 3600
#define GIVE_BACK_SILENCE_S 5
#define REPORT_ROUNDS 5 /* answers 422 to a result before the uploads count as failed */

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

static bool
hold_daemon(struct attempt *attempt, struct guix_daemon *daemon)
{
  pthread_mutex_lock(&attempt->lock);
  bool go_on = daemon == NULL || !attempt->cancelled;
  attempt->daemon = go_on ? daemon : NULL;
  pthread_mutex_unlock(&attempt->lock);
  return go_on;
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

/* While the server is away or cannot answer, a request is repeated, which is told once. */
bool
attempt_outlast(struct attempt *attempt, struct outage *outage, const struct error *cause)
{
  if (attempt->cancelled)
    return false;
  if (outage->pause_ms == 0)
    log_warning("agent", "attempt %lld: %s; trying again", (long long) attempt->id, cause->message);
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

static void
say_status(const struct http_call *call, const struct http_answer *answer, struct error *err)
{
  error_set(err, -EIO, "the server answered %d to %s %s: %.*s", answer->status, call->method,
            call->path, (int) (answer->body.size < 300 ? answer->body.size : 300),
            answer->body.size == 0 ? "" : answer->body.data);
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
    if (r == 0)
      say_status(call, ret, err);
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

/* ---- reporting ---- */

static void
write_result(const struct verdict *verdict, int64_t log_size, struct str items, struct buf *out)
{
  struct json json = json_begin(out);
  json_object_open(&json);
  json_put_cstr(&json, "status", verdict->cause == NULL ? "succeeded" : "failed");
  json_put_i64(&json, "log_size", log_size);
  if (verdict->cause != NULL) {
    json_put_cstr(&json, "cause", verdict->cause);
    json_put_cstr(&json, "message", verdict->message);
  } else {
    json_key(&json, "items");
    json_raw(&json, items);
  }
  json_object_close(&json);
}

static void
fail(struct verdict *verdict, const char *cause, const struct error *err)
{
  verdict->cause = cause;
  snprintf(verdict->message, sizeof verdict->message, "%s", err->message);
}

/* Sends a result; when the server's log is shorter than ours, the rest first. */
static int
send_result(const struct report *report, const struct verdict *verdict, struct str items,
            json_t **ret_answer, struct error *err)
{
  CLEANUP_BUF struct buf body = { 0 };
  write_result(verdict, report->log_size, items, &body);
  int status =
      attempt_post(report->attempt, report->patient, "result", buf_str(&body), ret_answer, err);
  const json_t *size = json_object_get(*ret_answer, "size");
  if (status != 409 || !json_is_integer(size) || report->spool == NULL)
    return status;
  int r = spool_send_again(report->spool, json_integer_value(size), err);
  json_decref(*ret_answer);
  *ret_answer = NULL;
  return r < 0 ? r
               : attempt_post(report->attempt, report->patient, "result", buf_str(&body),
                              ret_answer, err);
}

/* The server has ended the attempt: an output of ours holds what cannot be its own. */
static bool
is_refused(const json_t *answer, struct error *err)
{
  if (json_array_size(json_object_get(answer, "refused")) == 0)
    return false;
  const char *why = json_string_value(json_object_get(answer, "detail"));
  error_set(err, -EBADMSG, "the server refused it: %s", why != NULL ? why : "no reason given");
  return true;
}

/* Uploads, reports success, and does again what the server found wanting. */
static void
report_success(const struct report *report, struct verdict *verdict)
{
  struct error err = { 0 };
  json_t *again = NULL;
  int status = 422;
  bool refused = false;
  for (int round = 0; status == 422 && !refused && round < REPORT_ROUNDS; round++) {
    CLEANUP_BUF struct buf items = { 0 };
    status = attempt_upload(report->attempt, report->client, report->daemon, again, &items, &err);
    json_decref(again);
    again = NULL;
    if (status >= 0)
      status = send_result(report, verdict, buf_str(&items), &again, &err);
    refused = status == 422 && is_refused(again, &err);
  }
  json_decref(again);
  if (status != 200 && !report->attempt->cancelled)
    fail(verdict, refused ? "hash-mismatch" : "upload", &err);
  verdict->is_known = refused;
}

static void
report_failure(const struct report *report, const struct verdict *verdict)
{
  struct error err = { 0 };
  json_t *answer = NULL;
  int status = send_result(report, verdict, STR("[]"), &answer, &err);
  json_decref(answer);
  if (status != 200 && !report->attempt->cancelled)
    log_failure("agent", &err, "cannot report attempt %lld", (long long) report->attempt->id);
}

void
attempt_report(struct report *report, struct verdict *verdict)
{
  report->patient = agent_client_new(report->attempt->agent, RESULT_SILENCE_S);
  if (attempt_hold_client(report->attempt, report->patient)) {
    if (verdict->cause == NULL)
      report_success(report, verdict);
    if (verdict->cause != NULL && !verdict->is_known)
      report_failure(report, verdict);
  }
  attempt_drop_client(report->attempt, report->patient);
  http_client_free(report->patient);
}

/* The agent is being stopped: its work goes back, so that nobody waits until it counts
   as lost. Said once: if the server does not hear it, the time of grace will do. */
static void
give_back(struct attempt *attempt)
{
  static const struct verdict verdict = { .cause = "cancelled",
                                          .message = "the agent was stopped" };
  CLEANUP_BUF struct buf body = { 0 };
  CLEANUP_FREE char *path = mem_printf("/agent/v1/attempts/%lld/result", (long long) attempt->id);
  CLEANUP_FREE char *fence = mem_printf("Panoply-Fence: %s", attempt->fence);
  struct http_client *client = agent_client_new(attempt->agent, GIVE_BACK_SILENCE_S);
  struct http_answer answer = { 0 };
  write_result(&verdict, 0, STR("[]"), &body);
  (void) http_client_call(client,
                          &(struct http_call) { .method = "POST",
                                                .path = path,
                                                .type = "application/json",
                                                .headers = (const char *const[]) { fence, NULL },
                                                .body = buf_str(&body) },
                          &answer, NULL);
  http_answer_free(&answer);
  http_client_free(client);
}

/* ---- the way through ---- */

static void
fetch_and_build(struct attempt *attempt, struct http_client *client, struct guix_daemon *daemon,
                struct spool *spool, struct verdict *verdict)
{
  struct error err = { 0 };
  int r = attempt_fetch(attempt, client, daemon, &err);
  if (r < 0)
    fail(verdict, r == -ENOENT ? "missing-input" : "daemon", &err);
  else
    attempt_build(attempt, daemon, spool, verdict);
}

static void
log_end(const struct attempt *attempt, const struct verdict *verdict)
{
  long long id = attempt->id;
  if (attempt->cancelled)
    log_info("agent", "attempt %lld cancelled", id);
  else if (verdict->cause == NULL)
    log_info("agent", "attempt %lld succeeded", id);
  else
    log_info("agent", "attempt %lld failed (%s): %s", id, verdict->cause, verdict->message);
}

static void
work_with_daemon(struct attempt *attempt, struct http_client *client, struct guix_daemon *daemon)
{
  struct error err = { 0 };
  struct verdict verdict = { 0 };
  struct spool *spool = NULL;
  struct report report = { .attempt = attempt, .client = client, .daemon = daemon };
  if (spool_open(attempt, &spool, &err) < 0)
    fail(&verdict, "disk-full", &err);
  else {
    fetch_and_build(attempt, client, daemon, spool, &verdict);
    if (!attempt->cancelled && spool_finish(spool, &report.log_size, &err) < 0)
      fail(&verdict, "upload", &err);
  }
  report.spool = spool;
  if (!attempt->cancelled)
    attempt_report(&report, &verdict);
  spool_free(spool);
  log_end(attempt, &verdict);
}

static void
work(struct attempt *attempt, struct http_client *client)
{
  struct error err = { 0 };
  struct guix_daemon *daemon = NULL;
  struct verdict verdict = { 0 };
  if (guix_daemon_open(attempt->agent->socket, &daemon, &err) < 0) {
    struct report report = { .attempt = attempt, .client = client };
    fail(&verdict, "daemon", &err);
    attempt_report(&report, &verdict);
    return;
  }
  if (hold_daemon(attempt, daemon))
    work_with_daemon(attempt, client, daemon);
  (void) hold_daemon(attempt, NULL);
  guix_daemon_close(daemon);
}

static void *
attempt_main(void *context)
{
  struct attempt *attempt = context;
  struct agent *agent = attempt->agent;
  struct http_client *client = agent_client_new(agent, 0);
  if (attempt_hold_client(attempt, client))
    work(attempt, client);
  attempt_drop_client(attempt, client);
  http_client_free(client);
  if (attempt->cancelled && agent->stopping)
    give_back(attempt);
  pthread_mutex_lock(&agent->lock);
  attempt->ended = true;
  pthread_mutex_unlock(&agent->lock);
  return NULL;
}

/* ---- beginning and end ---- */

static void
attempt_free(struct attempt *attempt)
{
  pthread_mutex_destroy(&attempt->lock);
  pthread_cond_destroy(&attempt->wake);
  arena_free(&attempt->arena);
  free(attempt);
}

/* The full path of a basename in an order; data NULL when it is none. */
static struct str
full_path(struct attempt *attempt, const char *basename)
{
  if (basename == NULL || !guix_basename_is_valid(str_of(basename)))
    return str_of(NULL);
  return str_of(arena_printf(&attempt->arena, GUIX_STORE_PREFIX "%s", basename));
}

static int
read_outputs(struct attempt *attempt, const json_t *list, struct error *err)
{
  attempt->outputs_count = json_array_size(list);
  attempt->outputs =
      arena_array(&attempt->arena, attempt->outputs_count + 1, sizeof *attempt->outputs);
  for (size_t i = 0; i < attempt->outputs_count; i++) {
    const json_t *output = json_array_get(list, i);
    const char *name = json_string_value(json_object_get(output, "name"));
    struct str path = full_path(attempt, json_string_value(json_object_get(output, "path")));
    if (name == NULL || path.data == NULL)
      return error_set(err, -EPROTO, "an order with a bad output");
    attempt->outputs[i].name = arena_str(&attempt->arena, str_of(name));
    attempt->outputs[i].path = path;
  }
  return attempt->outputs_count > 0 ? 0 : error_set(err, -EPROTO, "an order without outputs");
}

static int
read_order(struct attempt *attempt, const json_t *order, struct error *err)
{
  json_int_t id = 0;
  json_int_t timeout = 0;
  json_int_t silence = 0;
  const char *fence = NULL;
  const char *derivation = NULL;
  json_t *outputs = NULL;
  json_error_t problem;
  if (json_unpack_ex((json_t *) order, &problem, 0, "{s:I,s:s,s:s,s:I,s:I,s:o}", "attempt", &id,
                     "fence", &fence, "derivation", &derivation, "timeout_s", &timeout,
                     "max_silent_s", &silence, "outputs", &outputs)
          != 0
      || strlen(fence) >= sizeof attempt->fence)
    return error_set(err, -EPROTO, "an order that cannot be read: %s", problem.text);
  attempt->id = id;
  attempt->timeout_s = timeout;
  attempt->max_silent_s = silence;
  snprintf(attempt->fence, sizeof attempt->fence, "%s", fence);
  attempt->derivation = full_path(attempt, derivation);
  if (!guix_path_is_derivation(attempt->derivation))
    return error_set(err, -EPROTO, "an order without derivation");
  return read_outputs(attempt, outputs, err);
}

/* The same order twice is one attempt; a dead attempt's id is not used again. */
static bool
is_known(const struct agent *agent, int64_t id)
{
  for (const struct attempt *other = agent->attempts; other != NULL; other = other->next)
    if (other->id == id)
      return true;
  return false;
}

int
attempt_start(struct agent *agent, const json_t *order, struct error *err)
{
  struct attempt *attempt = mem_alloc(sizeof *attempt);
  attempt->agent = agent;
  pthread_mutex_init(&attempt->lock, NULL);
  pthread_cond_init(&attempt->wake, NULL);
  int r = read_order(attempt, order, err);
  pthread_mutex_lock(&agent->lock);
  if (r == 0 && is_known(agent, attempt->id))
    r = -EEXIST;
  if (r == 0)
    r = -pthread_create(&attempt->thread, NULL, attempt_main, attempt);
  if (r == 0) {
    attempt->next = agent->attempts;
    agent->attempts = attempt;
  }
  pthread_mutex_unlock(&agent->lock);
  if (r < 0)
    attempt_free(attempt);
  return r;
}

/* Takes the first attempt that may be joined off the list. */
static struct attempt *
take_ended(struct agent *agent, bool all)
{
  struct attempt *found = NULL;
  pthread_mutex_lock(&agent->lock);
  for (struct attempt **link = &agent->attempts; *link != NULL; link = &(*link)->next)
    if (all || (*link)->ended) {
      found = *link;
      *link = found->next;
      break;
    }
  pthread_mutex_unlock(&agent->lock);
  return found;
}

void
attempts_reap(struct agent *agent, bool all)
{
  struct attempt *attempt;
  while ((attempt = take_ended(agent, all)) != NULL) {
    pthread_join(attempt->thread, NULL);
    attempt_free(attempt);
  }
}
