/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The long reply over which the server pushes work: one JSON message a line. */
#include <errno.h>
#include <unistd.h>

#include "agent/agent_private.h"
#include "base/buf.h"
#include "base/json.h"
#include "base/log.h"

#define SILENCE_S 45 /* the server pings every 15 seconds */
#define PONG_S 10
#define MESSAGE_MAX (1 << 20) /* bytes of one line */
#define GRACE_MAX_S 86400

struct session
{
  struct agent *agent;
  struct http_client *pong; /* answers pings while the session's own call runs */
  struct buf line;
  bool welcomed;
  int fatal; /* why this agent can never work; 0 = it can */
  struct error *err;
};

/* ---- messages ---- */

/* The daemon takes the server's bundles only when the server's key is in the
   store's access-control list. Enrolling was the operator's word of trust. */
static int
authorize_key(const struct agent *agent, const char *text, struct error *err)
{
  struct guix_key *key = NULL;
  CLEANUP_BUF struct buf path = { 0 };
  buf_printf(&path, "%s/etc/guix/acl", agent->store_root);
  int r = guix_key_parse(str_of(text), str_of(NULL), &key, err);
  if (r < 0)
    return error_prefix(err, "the server's key cannot be read");
  r = guix_acl_authorize(buf_text(&path), key, err);
  guix_key_free(key);
  if (r < 0) {
    error_prefix(err, "cannot authorize the server's key");
    return error_hint(err, "As root on this machine, pipe SERVER/signing-key.pub into "
                           "'guix archive --authorize', or run the agent as root.");
  }
  if (r == 1)
    log_info("agent", "authorized the server's key in %s", buf_text(&path));
  return 0;
}

static void
on_welcome(struct session *session, const json_t *message)
{
  const char *key = json_string_value(json_object_get(message, "key"));
  if (key == NULL) {
    session->fatal = error_set(session->err, -EPROTO, "the server's welcome holds no key");
    return;
  }
  const json_t *grace_s = json_object_get(message, "grace_s");
  if (json_is_integer(grace_s) && json_integer_value(grace_s) > 0
      && json_integer_value(grace_s) <= GRACE_MAX_S)
    session->agent->grace_ms = json_integer_value(grace_s) * 1000;
  int r = authorize_key(session->agent, key, session->err);
  session->fatal = r < 0 ? r : 0;
  session->welcomed = r == 0;
}

static void
on_build(struct session *session, const json_t *message)
{
  struct error err = { 0 };
  attempts_reap(session->agent, false);
  int r = attempt_start(session->agent, message, &err);
  if (r < 0 && r != -EEXIST)
    log_failure("agent", &err, "cannot begin an attempt");
}

static void
on_cancel(struct session *session, const json_t *message)
{
  struct agent *agent = session->agent;
  json_int_t id = json_integer_value(json_object_get(message, "attempt"));
  pthread_mutex_lock(&agent->lock);
  for (struct attempt *attempt = agent->attempts; attempt != NULL; attempt = attempt->next)
    if (attempt->id == id && !attempt->ended)
      attempt_cancel(attempt);
  pthread_mutex_unlock(&agent->lock);
}

static void
on_ping(struct session *session, const json_t *message)
{
  (void) message;
  struct http_answer answer = { 0 };
  CLEANUP_BUF struct buf body = { 0 };
  attempts_reap(session->agent, false);
  /* A pong that fails is no matter: without signs of life the server ends the
     session, and we dial again. */
  agent_describe_condition(session->agent, &body);
  (void) http_client_call(session->pong,
                          &(struct http_call) { .method = "POST",
                                                .path = "/agent/v1/pong",
                                                .type = "application/json",
                                                .body = buf_str(&body) },
                          &answer, NULL);
  http_answer_free(&answer);
}

static const struct
{
  const char *type;
  void (*handle)(struct session *session, const json_t *message);
} messages[] = {
  { "welcome", on_welcome },
  { "build", on_build },
  { "cancel", on_cancel },
  { "ping", on_ping },
};

/* Types that we do not know are a newer server's: skipped. */
static int
handle_line(struct session *session, struct str line)
{
  json_t *message = json_loadb(line.data, line.size, JSON_REJECT_DUPLICATES, NULL);
  const char *type = json_string_value(json_object_get(message, "type"));
  if (type == NULL) {
    json_decref(message);
    return error_set(session->err, -EPROTO, "the server sent what is no message");
  }
  for (size_t i = 0; i < ARRAY_SIZE(messages); i++)
    if (strcmp(messages[i].type, type) == 0)
      messages[i].handle(session, message);
  json_decref(message);
  return session->fatal;
}

/* Cuts what arrives into lines. */
static int
on_piece(void *state, struct str piece)
{
  struct session *session = state;
  buf_append_str(&session->line, piece);
  struct str rest = buf_str(&session->line);
  ptrdiff_t end;
  while ((end = str_find(rest, '\n')) >= 0) {
    struct str line = str_trim(str_make(rest.data, (size_t) end));
    rest = str_from(rest, (size_t) end + 1);
    int r = line.size > 0 ? handle_line(session, line) : 0;
    if (r < 0)
      return r;
  }
  buf_consume(&session->line, session->line.size - rest.size);
  return session->line.size > MESSAGE_MAX ? -EMSGSIZE : 0;
}

/* ---- dialling ---- */

static void
write_hello(struct agent *agent, struct buf *body)
{
  struct json json = json_begin(body);
  json_object_open(&json);
  json_put_i64(&json, "protocol", 1);
  json_put_cstr(&json, "version", PANOPLY_VERSION);
  agent_describe(agent, &json);
  json_key(&json, "running");
  json_array_open(&json);
  pthread_mutex_lock(&agent->lock);
  for (struct attempt *attempt = agent->attempts; attempt != NULL; attempt = attempt->next) {
    if (attempt->ended || attempt->cancelled)
      continue;
    json_object_open(&json);
    json_put_i64(&json, "attempt", attempt->id);
    json_put_cstr(&json, "fence", attempt->fence);
    json_object_close(&json);
  }
  pthread_mutex_unlock(&agent->lock);
  json_array_close(&json);
  json_object_close(&json);
}

/* Makes the session's call cancellable while it runs. */
static bool
set_session(struct agent *agent, struct http_client *client)
{
  pthread_mutex_lock(&agent->lock);
  bool go_on = client == NULL || !agent->stopping;
  agent->session = go_on ? client : NULL;
  pthread_mutex_unlock(&agent->lock);
  return go_on;
}

/* A refused token will be refused for ever: better to end than to knock on. */
static int
session_result(struct session *session, int r, int status, struct error *err)
{
  session->agent->is_refused = r == 0 && (status == 401 || status == 403);
  if (session->fatal < 0)
    return session->fatal;
  if (session->agent->is_refused) {
    error_set(err, -EACCES, "the server refused this agent's token");
    return error_hint(err, "On the server, 'panoply agents release NAME' frees the name; then "
                           "start the agent with --join-token-file, to enrol again.");
  }
  if (r == 0)
    error_set(err, -EPIPE, status == 200 ? "the server ended the session" : "status %d", status);
  return 0;
}

int
agent_dial(struct agent *agent, bool *ret_welcomed, struct error *err)
{
  CLEANUP_BUF struct buf hello = { 0 };
  struct session session = { .agent = agent, .err = err, .pong = agent_client_new(agent, PONG_S) };
  struct http_answer answer = { 0 };
  struct http_client *client = agent_client_new(agent, SILENCE_S);
  write_hello(agent, &hello);
  int r = -ECANCELED;
  if (set_session(agent, client))
    r = http_client_call(client,
                         &(struct http_call) { .method = "POST",
                                               .path = "/agent/v1/session",
                                               .type = "application/json",
                                               .body = buf_str(&hello),
                                               .reply_piece = on_piece,
                                               .reply_state = &session },
                         &answer, err);
  (void) set_session(agent, NULL);
  r = session_result(&session, r, answer.status, err);
  *ret_welcomed = session.welcomed;
  http_answer_free(&answer);
  http_client_free(client);
  http_client_free(session.pong);
  buf_free(&session.line);
  return r;
}
