/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "farm/reply.h"

#include "base/json.h"

#include <errno.h>

#define PROBLEM_TYPE "application/problem+json"

static const struct
{
  int status;
  const char *title;
} titles[] = {
  { 409, "this does not fit what is here" },
  { 422, "some outputs are not here as they should be" },
};

static struct json
object_open(struct buf *out, int status)
{
  struct json json = json_begin(out);
  json_object_open(&json);
  for (size_t i = 0; i < ARRAY_SIZE(titles); i++)
    if (titles[i].status == status) {
      json_put_cstr(&json, "title", titles[i].title);
      json_put_i64(&json, "status", status);
    }
  return json;
}

static void
send(struct http_request *request, int status, struct json *json)
{
  json_object_close(json);
  http_reply(request, status, status < 400 ? "application/json" : PROBLEM_TYPE, json->out);
}

static void
put_paths(struct json *json, const char *name, const struct str *paths, size_t count)
{
  json_key(json, name);
  json_array_open(json);
  for (size_t i = 0; i < count; i++)
    json_text(json, paths[i]);
  json_array_close(json);
}

void
reply_done(struct http_request *request)
{
  CLEANUP_BUF struct buf body = { 0 };
  struct json json = object_open(&body, 200);
  send(request, 200, &json);
}

void
reply_gone(struct http_request *request)
{
  struct error err = { 0 };
  error_set(&err, -ESTALE, "this attempt is not yours, or no longer");
  http_reply_problem(request, 410, &err);
}

void
reply_busy(struct http_request *request)
{
  struct error err = { 0 };
  error_set(&err, -EBUSY, "no scheduler is active here at the moment");
  http_reply_problem(request, 503, &err);
}

void
reply_number(struct http_request *request, int status, const char *name, int64_t number)
{
  CLEANUP_BUF struct buf body = { 0 };
  struct json json = object_open(&body, status);
  json_put_i64(&json, name, number);
  send(request, status, &json);
}

void
reply_paths(struct http_request *request, int status, const char *name, const struct str *paths,
            size_t count)
{
  CLEANUP_BUF struct buf body = { 0 };
  struct json json = object_open(&body, status);
  put_paths(&json, name, paths, count);
  send(request, status, &json);
}

void
reply_unfit(struct http_request *request, const struct str *damaged, size_t damaged_count,
            const struct str *missing, size_t missing_count)
{
  CLEANUP_BUF struct buf body = { 0 };
  struct json json = object_open(&body, 422);
  put_paths(&json, "damaged", damaged, damaged_count);
  put_paths(&json, "missing", missing, missing_count);
  send(request, 422, &json);
}

void
reply_refused(struct http_request *request, struct str why, const struct str *paths, size_t count)
{
  CLEANUP_BUF struct buf body = { 0 };
  struct json json = object_open(&body, 422);
  json_put_text(&json, "detail", why);
  put_paths(&json, "refused", paths, count);
  send(request, 422, &json);
}
