/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "http/exchange.h"

#include <errno.h>
#include <string.h>
#include <strings.h>

#include "base/log.h"
#include "base/thread.h"
#include "http/request.h"

/* The body of a refused request is read and dropped, so that the client sees the reply and the
   connection lives on. One of more bytes than this is not waited for when its size is announced:
   the reply goes out at once, and the connection ends. Otherwise, as nothing can be answered
   inside a body, up to so many are dropped before the connection is cut without a reply. */
#define AWAITED_MAX (1024 * 1024)
#define DISCARD_MAX (64 * 1024 * 1024)

/* ---- choosing the route ---- */

static void
fail(struct http_request *request, int code, const struct error *err)
{
  if (error_is_internal(code))
    log_failure("http", err, "%s %s failed", request->method, request->path.data);
  reply_error(request, code, err);
}

void
http_reply_failure(struct http_request *request, const struct error *err)
{
  fail(request, err->code, err);
}

/* "/builds/" is asked and "/builds" is known, or the other way round. Repeats
   the target as the client sent it; never one that a browser could take for
   another host's ("//host"). */
static bool
redirect_slash(struct http_request *request, struct str raw)
{
  struct arena *arena = &request->arena;
  bool slash = raw.size > 1 && raw.data[raw.size - 1] == '/';
  struct str other =
      slash ? str_make(raw.data, raw.size - 1) : str_of(arena_printf(arena, "%.*s/", STR_FMT(raw)));
  struct router_match match;
  if (str_starts(other, STR("//")) || str_find(other, '\\') >= 0
      || router_find(request->server->router, arena, str_of(request->method), other, &match) < 0
      || match.route == NULL)
    return false;
  struct str path, query;
  if (uri_split(request->target, &path, &query) < 0)
    return false;
  const char *mark = query.data == NULL ? "" : "?";
  http_reply_redirect(request, 308,
                      arena_printf(arena, "%.*s%s%.*s", STR_FMT(other), mark, STR_FMT(query)));
  return true;
}

static void
refuse_method(struct http_request *request)
{
  struct error err = { 0 };
  http_reply_header(request, "Allow", request->match.allow.data);
  if (strcmp(request->method, "OPTIONS") == 0) {
    http_reply_text(request, 204, NULL, "");
    return;
  }
  error_set(&err, -EOPNOTSUPP, "%s is not possible here, only %s", request->method,
            request->match.allow.data);
  reply_refusal(request, 405, &err);
}

static int
find_route(struct http_request *request, struct error *err)
{
  struct str path, query;
  struct router_match *match = &request->match;
  if (uri_split(request->target, &path, &query) < 0
      || router_find(request->server->router, &request->arena, str_of(request->method), path, match)
             < 0)
    return error_set(err, -EINVAL, "the request's path is malformed");
  if (match->route != NULL)
    return 0;
  if (match->allow.size > 0)
    refuse_method(request);
  else if (!redirect_slash(request, path))
    return error_set(err, -ENOENT, "there is nothing at %s", request->path.data);
  return 0;
}

static int
check_role(struct http_request *request, struct error *err)
{
  const struct http_options *options = &request->server->options;
  const char *role = request->match.route->role;
  if (role == NULL)
    return 0;
  if (options->guard == NULL)
    return error_set(err, -EPERM, "this needs the role '%s', and nobody can have it here", role);
  return options->guard(request, role, options->guard_context, err);
}

static int
check_body_size(const struct http_request *request, struct error *err)
{
  const struct http_route *route = request->match.route;
  if (request->body_size <= 0 || (uint64_t) request->body_size <= route->body_limit)
    return 0;
  if (route->body_limit == 0)
    return error_set(err, -EFBIG, "this request may have no body");
  return error_set(err, -EFBIG, "the body has %lld bytes, above the limit of %zu",
                   (long long) request->body_size, route->body_limit);
}

/* Everything that can be said before the body is read. May leave a reply. */
static int
admit(struct http_request *request, const char *method, struct error *err)
{
  int r = request_read_head(request, method, err);
  if (r == 0)
    r = find_route(request, err);
  if (r < 0 || request->reply != NULL)
    return r;
  const struct http_route *route = request->match.route;
  r = route->form ? 0 : check_role(request, err);
  if (r == 0)
    r = check_body_size(request, err);
  if (r == 0)
    r = request_check_query(request, err);
  if (r == 0 && route->body_begin != NULL)
    r = route->body_begin(request, request->match.context, err);
  return r;
}

/* ---- queueing the reply ---- */

static enum MHD_Result
queue_reply(struct http_request *request)
{
  struct MHD_Response *response = request->reply;
  request->reply = NULL;
  request->phase = REQUEST_QUEUED;
  wait_close(&request->wait); /* a stream has one of its own, for the same socket */
  enum MHD_Result result =
      MHD_queue_response(request->connection, (unsigned) request->status, response);
  MHD_destroy_response(response);
  return result;
}

/* True when the refusal should go out before the body: the client waits for our
   word, or the body is too large to read it for nothing. The connection then
   closes, as its next bytes would be that body. */
static bool
refuse_early(const struct http_request *request)
{
  return request->broken
         || (request->body_size != 0
             && (http_header(request, "Expect").data != NULL || request->status == 413
                 || request->body_size > AWAITED_MAX));
}

static enum MHD_Result
start(struct http_request *request, const char *method)
{
  struct error err = { 0 };
  http_take_up(request);
  int r = admit(request, method, &err);
  if (r < 0)
    fail(request, r, &err);
  request->statements = request_statements(request);
  request->phase = REQUEST_BODY;
  if (request->reply != NULL && refuse_early(request))
    return queue_reply(request);
  if (request->body_size != 0)
    wait_open(&request->wait, WATCH_SENDER);
  return MHD_YES; /* replies are queued in the final call, so that the connection can live on */
}

/* ---- the body ---- */

static int
accept_piece(struct http_request *request, struct str piece, struct error *err)
{
  const struct http_route *route = request->match.route;
  if (route->body != NULL)
    return route->body(request, piece, request->match.context, err);
  if (piece.size > route->body_limit - request->body.size)
    return error_set(err, -EFBIG, "the body is larger than the limit of %zu bytes",
                     route->body_limit);
  buf_append_str(&request->body, piece);
  return 0;
}

static enum MHD_Result
take_piece(struct http_request *request, struct str piece)
{
  wait_has_read(&request->wait);
  if (request->reply != NULL) {
    request->discarded += piece.size;
    return request->discarded <= DISCARD_MAX ? MHD_YES : MHD_NO;
  }
  struct error err = { 0 };
  http_take_up(request); /* others may have come since the last piece */
  int r = accept_piece(request, piece, &err);
  if (r < 0)
    fail(request, r, &err);
  request->statements = request_statements(request);
  return MHD_YES;
}

/* ---- the answer ---- */

static int
call_handler(struct http_request *request, struct error *err)
{
  const struct http_route *route = request->match.route;
  void *context = request->match.context;
  if (route->body != NULL)
    return route->body(request, str_make(NULL, 0), context, err);
  int r = route->form ? request_read_form(request, err) : 0;
  if (r == 0 && route->form)
    r = check_role(request, err);
  if (r == 0)
    r = route->form ? request_check_form(request, err) : request_check_members(request, err);
  return r < 0 ? r : route->handler(request, context, err);
}

/* Another thread has the request: sleep until its reply is there. */
static enum MHD_Result
await_reply(struct http_request *request)
{
  request->phase = REQUEST_DEFERRED;
  wait_open(&request->wait, WATCH_NOTHING);
  switch (wait_sleep(&request->wait)) {
  case WAIT_ASLEEP:
    return MHD_YES;
  case WAIT_WOKEN:
    wait_close(&request->wait);
    return queue_reply(request);
  case WAIT_GONE:
    break;
  }
  return MHD_NO;
}

static enum MHD_Result
answer(struct http_request *request)
{
  if (request->reply != NULL)
    return queue_reply(request);
  struct error err = { 0 };
  http_take_up(request); /* others may have come since the head */
  int r = call_handler(request, &err);
  if (r < 0)
    fail(request, r, &err);
  else if (request->deferred)
    return await_reply(request);
  else if (request->reply == NULL)
    fail(request, error_set(&err, -EPROTO, "its handler made no reply"), &err);
  return queue_reply(request);
}

/* ---- libmicrohttpd's callbacks ---- */

void *
exchange_begin(void *context, const char *target, struct MHD_Connection *connection)
{
  return request_new(context, connection, target);
}

enum MHD_Result
exchange_continue(void *context, struct MHD_Connection *connection, const char *url,
                  const char *method, const char *version, const char *piece, size_t *piece_size,
                  void **slot)
{
  struct http_request *request = *slot;
  (void) context, (void) connection, (void) url, (void) version;
  thread_forbid_waiting(); /* this is a server thread: it belongs to many connections */
  switch (request->phase) {
  case REQUEST_NEW:
    return start(request, method);
  case REQUEST_BODY:
    if (*piece_size == 0)
      return answer(request);
    struct str bytes = str_make(piece, *piece_size);
    *piece_size = 0;
    return take_piece(request, bytes);
  case REQUEST_DEFERRED:
    return await_reply(request);
  case REQUEST_QUEUED:
    return MHD_YES;
  }
  return MHD_NO;
}

void
exchange_end(void *context, struct MHD_Connection *connection, void **slot,
             enum MHD_RequestTerminationCode reason)
{
  struct http_request *request = *slot;
  (void) context, (void) connection, (void) reason;
  if (request == NULL)
    return;
  *slot = NULL;
  wait_close(&request->wait);
  request_unref(request);
}

size_t
exchange_keep_escapes(void *context, struct MHD_Connection *connection, char *text)
{
  (void) context, (void) connection;
  return strlen(text);
}
