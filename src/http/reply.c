/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Making replies. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/clock.h"
#include "base/mem.h"
#include "http/request.h"

#define PULL_BLOCK (32 * 1024)

/* ---- headers ---- */

static bool
has_control_characters(const char *text)
{
  for (; *text != '\0'; text++)
    if ((unsigned char) *text < 0x20 || *text == 0x7f)
      return true;
  return false;
}

void
http_reply_header(struct http_request *request, const char *name, const char *value)
{
  if (value == NULL || has_control_characters(name) || has_control_characters(value))
    return;
  http_fields_add(&request->reply_headers, &request->arena,
                  arena_str(&request->arena, str_of(name)),
                  arena_str(&request->arena, str_of(value)));
}

static const struct
{
  const char *name;
  const char *value;
} page_headers[] = {
  { "Content-Security-Policy", "default-src 'self'; base-uri 'none'; form-action 'self'; "
                               "frame-ancestors 'none'; object-src 'none'" },
  { "Referrer-Policy", "same-origin" },
  { "X-Frame-Options", "DENY" },
};

static void
add_headers(struct http_request *request, const char *type, struct MHD_Response *response)
{
  const struct http_fields *headers = &request->reply_headers;
  for (size_t i = 0; i < headers->count; i++)
    MHD_add_response_header(response, headers->items[i].name.data, headers->items[i].value.data);
  if (type == NULL || has_control_characters(type))
    return;
  MHD_add_response_header(response, "Content-Type", type);
  MHD_add_response_header(response, "X-Content-Type-Options", "nosniff");
  if (strncasecmp(type, "text/html", 9) != 0)
    return;
  for (size_t i = 0; i < ARRAY_SIZE(page_headers); i++)
    MHD_add_response_header(response, page_headers[i].name, page_headers[i].value);
}

/* What it took, for people's developer tools and our tests. */
static void
add_timing(const struct http_request *request, struct MHD_Response *response)
{
  char text[64];
  if (!request->is_counted)
    return;
  snprintf(text, sizeof text, "total;dur=%lld, statements;desc=%u",
           (long long) (clock_monotonic_ms() - request->began_ms), request_statements(request));
  MHD_add_response_header(response, "Server-Timing", text);
}

/* ---- giving the reply to the request ---- */

int
reply_set(struct http_request *request, int status, const char *type, struct MHD_Response *response)
{
  if (response == NULL)
    return -ENOMEM;
  if (request->reply != NULL) {
    MHD_destroy_response(response);
    return -EALREADY;
  }
  add_headers(request, type, response);
  add_timing(request, response);
  request->reply = response;
  request->status = status;
  if (!request->deferred)
    return 0;
  wait_wake(&request->wait); /* when nobody is there, the last reference drops the reply */
  request_unref(request);
  return 0;
}

int
reply_set_endless(struct http_request *request, int status, const char *type,
                  struct MHD_Response *response)
{
  if (response != NULL && strcmp(request->method, "HEAD") == 0) {
    MHD_set_response_options(response, MHD_RF_HTTP_VERSION_1_0_ONLY, MHD_RO_END);
    http_reply_header(request, "Connection", "close");
  }
  return reply_set(request, status, type, response);
}

/* ---- plain replies ---- */

static struct MHD_Response *
response_of_buf(struct buf *body)
{
  struct buf taken = *body;
  *body = (struct buf) { 0 };
  if (taken.size == 0) {
    buf_free(&taken);
    return MHD_create_response_from_buffer(0, (void *) "", MHD_RESPMEM_PERSISTENT);
  }
  return MHD_create_response_from_buffer_with_free_callback(taken.size, taken.data, free);
}

int
http_reply(struct http_request *request, int status, const char *type, struct buf *body)
{
  return reply_set(request, status, type, response_of_buf(body));
}

int
http_reply_text(struct http_request *request, int status, const char *type, const char *text)
{
  struct MHD_Response *response =
      MHD_create_response_from_buffer(strlen(text), (void *) text, MHD_RESPMEM_MUST_COPY);
  return reply_set(request, status, type, response);
}

int
http_reply_redirect(struct http_request *request, int status, const char *location)
{
  http_reply_header(request, "Location", location);
  return http_reply_text(request, status, NULL, "");
}

/* ---- pulled replies ---- */

struct pull
{
  int64_t size;
  int64_t (*read)(void *state, char *room, size_t size);
  void *state;
  void (*free)(void *state);
};

static ssize_t
pull_read(void *context, uint64_t position, char *room, size_t size)
{
  struct pull *pull = context;
  int64_t got = pull->read(pull->state, room, size);
  if (got > 0 && (uint64_t) got <= size)
    return (ssize_t) got;
  bool whole = pull->size < 0 || position == (uint64_t) pull->size;
  return got == 0 && whole ? MHD_CONTENT_READER_END_OF_STREAM : MHD_CONTENT_READER_END_WITH_ERROR;
}

static void
pull_free(void *context)
{
  struct pull *pull = context;
  if (pull->free != NULL)
    pull->free(pull->state);
  free(pull);
}

int
http_reply_pull(struct http_request *request, int status, const char *type, int64_t size,
                int64_t (*read)(void *state, char *room, size_t size), void *state,
                void (*free_state)(void *state))
{
  struct pull *pull = mem_alloc(sizeof *pull);
  *pull = (struct pull) { size, read, state, free_state };
  uint64_t announced = size < 0 ? MHD_SIZE_UNKNOWN : (uint64_t) size;
  struct MHD_Response *response =
      MHD_create_response_from_callback(announced, PULL_BLOCK, pull_read, pull, pull_free);
  if (response == NULL)
    pull_free(pull);
  return size < 0 ? reply_set_endless(request, status, type, response)
                  : reply_set(request, status, type, response);
}
