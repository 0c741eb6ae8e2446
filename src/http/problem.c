/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Error replies: problem details (RFC 9457) for programs, pages for people. */
#include <errno.h>
#include <string.h>
#include <strings.h>

#include "base/json.h"
#include "http/request.h"

static const struct
{
  int error;
  int status;
} statuses[] = {
  { -EINVAL, 400 },      { -EACCES, 401 }, { -EPERM, 403 },
  { -ENOENT, 404 },      { -EEXIST, 409 }, { -ESTALE, 410 },
  { -EFBIG, 413 },       { -EBUSY, 503 },  { -ERROR_UNAVAILABLE, 503 },
  { -EMEDIUMTYPE, 415 }, { -ENOSPC, 507 }, { -EDQUOT, 507 },
};

/* What strangers hear of what went wrong inside: the rest is for the log (see exchange.c). */
static const struct public_words
{
  int status;
  const char *message;
  const char *hint;
} public_words[] = {
  { 503, "the server has lost its database", "Try again in a moment." },
  { 507, "the server's disk is full", "Nothing can be stored until an operator has made room." },
  { 500, "the server failed to handle this request", "Its log says why." },
};

bool
error_is_internal(int code)
{
  int status = status_of_error(code);
  return status == 500 || status == 507 || code == -ERROR_UNAVAILABLE;
}

int
status_of_error(int code)
{
  for (size_t i = 0; i < ARRAY_SIZE(statuses); i++)
    if (statuses[i].error == code)
      return statuses[i].status;
  return 500;
}

int
error_of_status(int status)
{
  for (size_t i = 0; i < ARRAY_SIZE(statuses); i++)
    if (statuses[i].status == status)
      return statuses[i].error;
  return -EIO;
}

/* ---- forms of the reply ---- */

static void
write_problem(struct buf *out, int status, const struct error *err)
{
  struct json json = json_begin(out);
  json_object_open(&json);
  json_put_cstr(&json, "type", "about:blank");
  json_put_cstr(&json, "title", MHD_get_reason_phrase_for((unsigned) status));
  json_put_i64(&json, "status", status);
  if (err->message[0] != '\0')
    json_put_cstr(&json, "detail", err->message);
  if (err->hint[0] != '\0')
    json_put_cstr(&json, "hint", err->hint);
  json_object_close(&json);
  buf_append_char(out, '\n');
}

static void
write_plain(struct buf *out, int status, const struct error *err)
{
  buf_printf(out, "%d %s\n", status, MHD_get_reason_phrase_for((unsigned) status));
  if (err->message[0] != '\0')
    buf_printf(out, "%s\n", err->message);
  if (err->hint[0] != '\0')
    buf_printf(out, "%s\n", err->hint);
}

static int
reply_error_body(struct http_request *request, int status, const struct error *err)
{
  const struct http_options *options = &request->server->options;
  CLEANUP_BUF struct buf body = { 0 };
  if (http_is_for_programs(request)) {
    write_problem(&body, status, err);
    return http_reply(request, status, "application/problem+json", &body);
  }
  if (http_wants_html(request) && options->error_page != NULL) {
    options->error_page(request, status, err, options->guard_context, &body);
    return http_reply(request, status, "text/html; charset=utf-8", &body);
  }
  write_plain(&body, status, err);
  return http_reply(request, status, "text/plain; charset=utf-8", &body);
}

/* ---- replying ---- */

int
http_reply_problem(struct http_request *request, int status, const struct error *err)
{
  CLEANUP_BUF struct buf body = { 0 };
  write_problem(&body, status, err);
  return http_reply(request, status, "application/problem+json", &body);
}

static bool
has_reply_header(const struct http_request *request, const char *name)
{
  for (size_t i = 0; i < request->reply_headers.count; i++)
    if (strcasecmp(request->reply_headers.items[i].name.data, name) == 0)
      return true;
  return false;
}

void
reply_refusal(struct http_request *request, int status, const struct error *err)
{
  if (request->reply != NULL) {
    MHD_destroy_response(request->reply);
    request->reply = NULL;
    request->reply_headers.count = 0;
  }
  if (status == 401 && !has_reply_header(request, "WWW-Authenticate"))
    http_reply_header(request, "WWW-Authenticate", "Bearer realm=\"panoply\"");
  if (status == 503)
    http_reply_header(request, "Retry-After", "5");
  http_reply_header(request, "Cache-Control", "no-store");
  reply_error_body(request, status, err);
}

void
reply_error(struct http_request *request, int code, const struct error *err)
{
  int status = status_of_error(code);
  if (!error_is_internal(code)) {
    reply_refusal(request, status, err);
    return;
  }
  const struct public_words *words = public_words;
  while (words->status != status)
    words++;
  struct error said = { 0 };
  error_set(&said, code, "%s", words->message);
  error_hint(&said, "%s", words->hint);
  reply_refusal(request, status, &said);
}
