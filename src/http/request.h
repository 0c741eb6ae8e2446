/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A request on its way through the server, as its parts see it. */
#pragma once

#include <microhttpd.h>
#include <stdatomic.h>

#include "http/http.h"
#include "http/router.h"
#include "http/server.h"
#include "http/uri.h"
#include "http/wait.h"

/* What the next call of libmicrohttpd's access handler finds. */
enum request_phase
{
  REQUEST_NEW,      /* headers not looked at */
  REQUEST_BODY,     /* body pieces, if any, then the final call */
  REQUEST_DEFERRED, /* another thread will answer */
  REQUEST_QUEUED,   /* the reply is libmicrohttpd's */
};

struct http_request
{
  atomic_int references; /* libmicrohttpd's, and one while deferred */
  struct http_server *server;
  struct MHD_Connection *connection;
  enum request_phase phase;
  struct arena arena;

  const char *method;
  struct str target;       /* raw */
  struct str local_target; /* the same without scheme and host; "/" if it is malformed */
  struct str path;         /* decoded, or as it came where that fails; NUL-terminated */
  struct http_fields headers;
  struct http_fields query;
  struct http_fields form; /* of the body, once it is whole */
  struct router_match match;
  int64_t body_size; /* announced; -1 = chunked */
  bool broken;       /* where it ends is unclear: the connection must close */
  struct buf body;
  uint64_t discarded; /* bytes of body after a refusal */
  json_t *json;

  void *state;
  void (*free_state)(void *state);
  int64_t identity;
  bool deferred;
  int64_t began_ms;
  bool is_counted;          /* what follows is of the thread that answers */
  unsigned statements_from; /* thread_statements when it took the request up */
  unsigned statements;      /* before that */
  struct http_wait wait;

  struct http_fields reply_headers;
  struct MHD_Response *reply; /* made, not yet queued */
  int status;
};

struct http_request *request_new(struct http_server *server, struct MHD_Connection *connection,
                                 const char *target);
void request_ref(struct http_request *request);
void request_unref(struct http_request *request);

/* Takes method, headers, path and query over from libmicrohttpd; -EINVAL with
   ERR set refuses the request. */
int request_read_head(struct http_request *request, const char *method, struct error *err);

/* On its way to the route. Below HTTP_API: parameters that the route knows, none of them empty,
   and a body, if any, of JSON. On pages an empty parameter is none. -EINVAL, -EMEDIUMTYPE. */
int request_check_query(struct http_request *request, struct error *err);
/* The same once the body is there: members that the route knows, */
int request_check_members(struct http_request *request, struct error *err);
/* and fields of a form. */
int request_check_form(struct http_request *request, struct error *err);

/* Reads the whole body as a form; -EINVAL, -EMEDIUMTYPE. */
int request_read_form(struct http_request *request, struct error *err);

/* So many statements it took so far, on the thread that answers it. */
unsigned request_statements(const struct http_request *request);

/* ---- replies ---- */

/* Gives RESPONSE, which is taken over, to the request with the headers set so
   far. 0; -EALREADY when there is a reply (RESPONSE is then dropped). */
int reply_set(struct http_request *request, int status, const char *type,
              struct MHD_Response *response);

/* The same for RESPONSE of unknown size. Behind the head of such a one libmicrohttpd 0.9.75 sends
   the end of a chunked body to who asked with HEAD, and would spoil the next reply: there it is
   made to send none, and the connection ends. */
int reply_set_endless(struct http_request *request, int status, const char *type,
                      struct MHD_Response *response);

/* Turns a negative return into the reply: drops one that was made before. */
void reply_error(struct http_request *request, int code, const struct error *err);
/* The same by status. */
void reply_refusal(struct http_request *request, int status, const struct error *err);

/* ---- status codes and errno values, both ways ---- */

int status_of_error(int code);    /* 500 for what is not in the table */
bool error_is_internal(int code); /* its cause is for the log only */
int error_of_status(int status);  /* -EIO for what is not in the table */
