/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The HTTP server and client that all rooms use. Handlers never see
   libmicrohttpd or libcurl.

   Server threads: an epoll loop each (a small pool). A handler runs on such a
   thread, may block for a short database query, never for longer: what has to
   wait takes the request along (http_defer) and answers later from any thread,
   or answers with a stream that other threads write to. */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/error.h"
#include "base/str.h"

struct stat;
struct http_server;
struct http_request;
struct http_stream;

/* Where the JSON API begins: doc/api.md. */
#define HTTP_API "/api/panoply/v1"

/* ---- routes ---- */

/* Answers the request by exactly one http_reply_* (or http_defer) and returns
   0; or returns negative with ERR set, and the server answers: -ENOENT 404,
   -EINVAL 400, -EPERM 403, -EACCES 401, -EEXIST 409, -ESTALE 410, -EFBIG 413, -EBUSY
   503, -EMEDIUMTYPE 415, anything else 500 (logged). As JSON (problem details, RFC 9457) under /api
   and /agent, otherwise as a plain page by the server's error page function. */
typedef int http_handler(struct http_request *request, void *context, struct error *err);

/* Receives a large body piece by piece instead of having it collected: called
   with each piece as it arrives, at last with size 0 (then it must answer, or
   defer). Returning negative refuses the rest and answers with the error. */
typedef int http_body_handler(struct http_request *request, struct str piece, void *context,
                              struct error *err);

struct http_route
{
  const char *method; /* "GET" also serves HEAD */
  /* Segments; `{name}` matches one whole segment or, with literal text around
     it, a part of one ("/{hash}.narinfo"). A last `{name...}` takes the rest. */
  const char *path;
  http_handler *handler;    /* body collected up to `body_limit` */
  http_body_handler *body;  /* or: streamed */
  http_handler *body_begin; /* before the first piece of a streamed body; may refuse */
  size_t body_limit;        /* bytes; 0 = no body allowed */
  bool form;                /* the body is a form of one of our pages: http_form() */
  const char *role;         /* NULL = anybody; what http_options.guard knows */
  const char *summary;      /* one line for the API description */
  /* Below HTTP_API: the names of all parameters of its query ("before limit follow?");
     one with a question mark is "yes" or "no". Others are refused there, and ignored
     elsewhere. None of them comes twice, or is empty. */
  const char *query;
  /* Below HTTP_API: the names of all members of its body, a JSON object; NULL = it takes
     none, and only an empty body or object; HTTP_MEMBERS_READ = its handler checks
     http_body itself. A misspelt one would be a wish silently not fulfilled. Of a form: the
     names of its fields, but for HTTP_FORM_TOKEN; likewise. */
  const char *members;
  /* What the API's description (serve/openapi.h) says besides: names of schemas. Without
     a reply a 202 is http_reply_accepted's and a 204 is empty. */
  const char *request; /* of the body; NULL = none is needed */
  const char *reply;
  const char *type; /* of a reply that is no JSON; NULL = it is */
  int status;       /* when all goes well; 0 = 200 */
};

#define HTTP_MEMBERS_READ "*"
#define HTTP_FORM_TOKEN "csrf" /* what every form has besides, and the guard looks at */

/* A list of routes with the context that their handlers get. */
struct http_routes
{
  const struct http_route *items;
  size_t count;
  void *context;
};

/* ---- server ---- */

struct http_options
{
  const char *const *listen; /* "127.0.0.1:8080", "[::1]:8080", "unix:/path" */
  size_t listen_count;
  int threads;                      /* of the pool; 0 = 2 */
  int connection_limit;             /* 0 = 10000, within the descriptor limit */
  int idle_timeout_s;               /* of a silent connection; 0 = 60 */
  const struct http_routes *routes; /* copied shallowly: items must outlive the server */
  size_t routes_count;
  /* Called for a route that has a role, before its body is read, or, where it is a form,
     before its handler, so that a field can speak for the form: 0 lets it pass; -EACCES
     (401) or -EPERM (403) with ERR set refuses. */
  int (*guard)(struct http_request *request, const char *role, void *context, struct error *err);
  void *guard_context;
  /* Writes the HTML error page for STATUS into PAGE; NULL = a bare one. The context is
     the guard's. */
  void (*error_page)(struct http_request *request, int status, const struct error *err,
                     void *context, struct buf *page);
};

/* -EADDRINUSE and the like come with the address in ERR. */
int http_server_start(const struct http_options *options, struct http_server **ret,
                      struct error *err);
/* Whether a server could listen there, before anything else is made or started. */
int http_try_addresses(const char *const *listen, size_t count, struct error *err);
/* The port of listener INDEX (useful when ":0" was asked). */
int http_server_port(const struct http_server *server, size_t index);
/* Ends streams and deferred requests, waits for handlers, frees. Late answers
   to deferred requests and writes to streams are still allowed (and vain). */
void http_server_stop(struct http_server *server); /* NULL is fine */

/* ---- request: all slices live until the request is answered ---- */

const char *http_method(const struct http_request *request);
const char *http_path(const struct http_request *request);  /* decoded, without query */
struct str http_target(const struct http_request *request); /* path and query as they came */
struct arena *http_arena(struct http_request *request);     /* dies with the request */
/* A `{name}` of the route, percent-decoded. */
struct str http_param(const struct http_request *request, const char *name);
/* As a positive 64-bit number: else -ENOENT with ERR set. */
int http_param_id(const struct http_request *request, const char *name, int64_t *ret,
                  struct error *err);
/* Query parameter, decoded; data NULL = absent, or, on a page, empty. */
struct str http_query(const struct http_request *request, const char *name);
/* Within [low, high], FALLBACK when absent; -EINVAL with ERR set otherwise. */
int http_query_i64(const struct http_request *request, const char *name, int64_t low, int64_t high,
                   int64_t fallback, int64_t *ret, struct error *err);
struct str http_header(const struct http_request *request,
                       const char *name); /* data NULL = absent */
/* A cookie's value as it came, without any decoding; data NULL = absent. */
struct str http_cookie(const struct http_request *request, const char *name);
struct str http_body(const struct http_request *request); /* collected body */
/* A field of a form, decoded; data NULL = absent. Only for routes with `form`. */
struct str http_form(const struct http_request *request, const char *name);
/* True for a route with `form`: who asks is a browser, with cookies. */
bool http_is_form(const struct http_request *request);
/* True below /api and /agent: who asks is a program, with a token. */
bool http_is_for_programs(const struct http_request *request);
/* Strict: no duplicate keys, nothing behind it, no NUL; an object or array. -EINVAL with the
   position in ERR. */
int http_parse_json(struct str text, json_t **ret, struct error *err);
/* The body as JSON; owned by the request; also -EMEDIUMTYPE when the client says that it is
   none. */
int http_body_json(struct http_request *request, json_t **ret, struct error *err);
/* Slot for a handler's own state across body pieces; FREE runs at the end of
   the request, however it ends. */
void http_set_state(struct http_request *request, void *state, void (*free)(void *state));
void *http_state(const struct http_request *request);
/* The identity that the guard found, e.g. an agent's id; 0 = none. */
void http_set_identity(struct http_request *request, int64_t id);
int64_t http_identity(const struct http_request *request);
/* True when the client prefers HTML (a browser). */
bool http_wants_html(const struct http_request *request);

/* ---- replies ---- */

/* Before the reply. Values with control characters are refused (dropped). */
void http_reply_header(struct http_request *request, const char *name, const char *value);

/* BODY is taken over (left empty). TYPE: media type. */
int http_reply(struct http_request *request, int status, const char *type, struct buf *body);
int http_reply_text(struct http_request *request, int status, const char *type, const char *text);
/* What a GET asked for (200) gets a strong ETag and is to be asked for again each time:
   who has it already hears 304. */
int http_reply_json(struct http_request *request, int status, struct buf *json);
/* A page of a list, 200. NEXT: the cursor of the page behind it (data NULL = there is none),
   which the header Link names (RFC 8288): the request's own query with another `before`. */
int http_reply_page(struct http_request *request, struct buf *json, struct str next);
/* 202 and an empty object: it was ordered, and will be. */
int http_reply_accepted(struct http_request *request);
int http_reply_problem(struct http_request *request, int status, const struct error *err);
int http_reply_redirect(struct http_request *request, int status, const char *location);
/* For deferred requests: the reply that a handler gets by returning ERR's code. */
void http_reply_failure(struct http_request *request, const struct error *err);
/* A file's bytes from FROM on, by sendfile, with ranges (single range, If-Range), Last-Modified
   and If-None-Match against ETAG (quoted text; NULL = made of the file's time and size). FD is
   taken over. */
int http_reply_file(struct http_request *request, const char *type, const char *etag, int fd,
                    int64_t from);
/* The ETag of a file's bytes in a FORM ("" = as they are), quoted. */
const char *http_file_etag(struct http_request *request, const struct stat *info, const char *form);
/* Bytes in memory with the same treatment of ranges and conditions; copied. */
int http_reply_bytes(struct http_request *request, const char *type, const char *etag,
                     struct str bytes);
/* Bytes that READ has from any place on, likewise. */
struct http_content
{
  const char *etag; /* quoted; NULL = none */
  int64_t changed;  /* seconds since 1970; -1 = unknown */
  int64_t size;     /* bytes */
  /* Fills at most SIZE bytes with those at POSITION: at first any, then where it stopped.
     Their number; anything else fails. On the server thread: must not wait. */
  int64_t (*read)(void *state, int64_t position, char *room, size_t size);
  void *state;
  void (*free)(void *state); /* runs once, always */
};
int http_reply_content(struct http_request *request, const char *type,
                       const struct http_content *content);
/* Pulled: READ fills at most ROOM bytes and returns the count, 0 = end,
   negative = fail (connection closed). SIZE in bytes, or -1 = chunked. Runs on
   the server thread: must not wait. FREE runs once, always. */
int http_reply_pull(struct http_request *request, int status, const char *type, int64_t size,
                    int64_t (*read)(void *state, char *room, size_t size), void *state,
                    void (*free)(void *state));

/* ---- answering later ---- */

/* Keeps the request open; the handler then returns 0 without a reply. Exactly
   one http_reply_* must follow, from any thread; the request may not be touched
   after it. */
void http_defer(struct http_request *request);
/* The calling thread, another than the server's, answers from now on: what it asks of the
   database is told with the answer (header Server-Timing), which says nothing of deferred
   requests without this. */
void http_take_up(struct http_request *request);

/* ---- streams: a chunked reply of open end, written by any thread ---- */

/* Starts the reply; the handle is reference-counted and outlives the connection.
   LIMIT: bytes that may wait for a slow reader; above it the stream fails. */
int http_reply_stream(struct http_request *request, int status, const char *type, size_t limit,
                      struct http_stream **ret);
/* Appends; wakes the connection. 0, -EPIPE when the client is gone, -ENOBUFS
   when it is too slow (the stream is then closed). */
int http_stream_write(struct http_stream *stream, struct str data);
/* Waits until SIZE more bytes may be written within the limit (SIZE at most the
   limit): a writer's back-pressure. 0; -EPIPE when the client is gone or the
   server stops; -ETIMEDOUT when the client took nothing off for TIMEOUT_MS. Not on
   a server thread. */
int http_stream_wait(struct http_stream *stream, size_t size, int timeout_ms);
/* Ends the reply after what was written. Drops the caller's reference. */
void http_stream_close(struct http_stream *stream);
/* The same for a reply that lacks its rest: the client sees that it was cut off. */
void http_stream_fail(struct http_stream *stream);
bool http_stream_is_open(const struct http_stream *stream);
/* CLOSED is called exactly once, on a server thread, when the client went away or
   the reply ended, also after http_stream_close or _fail: the place to let CONTEXT go. No
   lock is held. When the reply is over already, it is called at once. */
void http_stream_on_close(struct http_stream *stream, void (*closed)(void *context), void *context);

/* ---- client: blocking, one handle a thread, connection kept alive ---- */

struct http_client;

struct http_client_options
{
  const char *base_url;   /* "https://ci.example.org"; or "unix:/path" */
  const char *token;      /* bearer token; NULL = none */
  const char *user_agent; /* NULL = "panoply/VERSION" */
  int connect_timeout_s;  /* 0 = 15 */
  int silence_timeout_s;  /* ends a call on which nothing moves; 0 = 60 */
};

struct http_client *http_client_new(const struct http_client_options *options);
void http_client_free(struct http_client *client); /* NULL is fine */

struct http_call
{
  const char *method;
  const char *path;           /* with query; appended to base_url */
  const char *const *headers; /* "Name: value", NULL-terminated; NULL = none */
  const char *type;           /* of the body */
  struct str body;            /* or: */
  int64_t (*body_read)(void *state, char *room, size_t size); /* 0 = end, <0 = abort */
  int64_t body_size;                                          /* of body_read; -1 = chunked */
  void *body_state;
  /* Receives the reply's body piece by piece (2xx only); 0 to go on. NULL = collect. */
  int (*reply_piece)(void *state, struct str piece);
  void *reply_state;
  size_t reply_limit;     /* of a collected body; 0 = 64 MiB */
  const char *reply_type; /* media type of a 2xx; another one is -EPROTO. NULL = any */
};

struct http_answer
{
  int status;      /* of a call that failed: of the answer that broke off, or 0 */
  struct buf body; /* collected body, or the error's */
  char etag[128];
  int64_t upload_offset; /* header Upload-Offset; -1 = absent */
};

void http_answer_free(struct http_answer *answer);

/* Performs the call. 0 when an answer came (any status); negative when none did
   (-ECONNREFUSED, -ETIMEDOUT, -ECANCELED by a callback ...). */
int http_client_call(struct http_client *client, const struct http_call *call,
                     struct http_answer *ret, struct error *err);
/* Like it, but a status other than 2xx is an error too: its problem details
   become the message; codes as for http_handler, reversed. */
int http_client_expect(struct http_client *client, const struct http_call *call,
                       struct http_answer *ret, struct error *err);
/* Makes a running call of another thread return -ECANCELED at once; when none
   runs, the next one: a cancel is never lost. */
void http_client_cancel(struct http_client *client);
