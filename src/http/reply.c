/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Making replies; conditional and range requests. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "http/range.h"
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

/* ---- conditions and ranges ---- */

/* What is to be sent: known bytes with a validator. */
struct entity
{
  struct str etag; /* quoted; "" = none */
  int64_t changed; /* seconds; -1 = unknown */
  uint64_t size;
};

struct cut
{
  int status; /* 200, 206, 304, 416 */
  uint64_t from;
  uint64_t count;
};

static bool
is_fresh(const struct http_request *request, const struct entity *entity)
{
  struct str listed = http_header(request, "If-None-Match");
  if (listed.data != NULL)
    return entity->etag.size > 0 && etag_listed(listed, entity->etag);
  struct str since = http_header(request, "If-Modified-Since");
  int64_t when;
  return since.data != NULL && entity->changed >= 0 && http_date_parse(since, &when) == 0
         && entity->changed <= when;
}

/* If-Range: a part is wanted only of the thing that the client already knows. */
static bool
range_applies(const struct http_request *request, const struct entity *entity)
{
  struct str condition = http_header(request, "If-Range");
  if (condition.data == NULL)
    return true;
  int64_t when;
  if (http_date_parse(condition, &when) == 0)
    return entity->changed >= 0 && entity->changed == when;
  return entity->etag.size > 0 && !str_starts(entity->etag, STR("W/"))
         && str_equal(condition, entity->etag);
}

static struct cut
choose_cut(const struct http_request *request, const struct entity *entity)
{
  struct cut cut = { .status = 200, .count = entity->size };
  if (is_fresh(request, entity))
    return (struct cut) { .status = 304 };
  struct str range = http_header(request, "Range");
  if (range.data == NULL || strcmp(request->method, "GET") != 0 || !range_applies(request, entity))
    return cut;
  switch (range_parse(range, entity->size, &cut.from, &cut.count)) {
  case RANGE_PART:
    cut.status = 206;
    break;
  case RANGE_UNSATISFIABLE:
    return (struct cut) { .status = 416 };
  case RANGE_WHOLE:
    return (struct cut) { .status = 200, .count = entity->size };
  }
  return cut;
}

static void
set_entity_headers(struct http_request *request, const struct entity *entity, const struct cut *cut)
{
  struct arena *arena = &request->arena;
  char date[HTTP_DATE_SIZE];
  if (entity->etag.size > 0)
    http_reply_header(request, "ETag", arena_str(arena, entity->etag).data);
  if (entity->changed >= 0)
    http_reply_header(request, "Last-Modified", http_date_format(entity->changed, date));
  if (cut->status != 304)
    http_reply_header(request, "Accept-Ranges", "bytes");
  unsigned long long from = cut->from, size = entity->size;
  if (cut->status == 206)
    http_reply_header(
        request, "Content-Range",
        arena_printf(arena, "bytes %llu-%llu/%llu", from, from + cut->count - 1, size));
  if (cut->status == 416)
    http_reply_header(request, "Content-Range", arena_printf(arena, "bytes */%llu", size));
}

/* A 304 or 416 carries no body. */
static bool
reply_without_body(struct http_request *request, const struct cut *cut)
{
  if (cut->status != 304 && cut->status != 416)
    return false;
  http_reply_text(request, cut->status, NULL, "");
  return true;
}

int
http_reply_bytes(struct http_request *request, const char *type, const char *etag, struct str bytes)
{
  struct entity entity = { .etag = str_of(etag), .changed = -1, .size = bytes.size };
  struct cut cut = choose_cut(request, &entity);
  set_entity_headers(request, &entity, &cut);
  if (reply_without_body(request, &cut))
    return 0;
  void *start = cut.count == 0 ? (void *) "" : (void *) (bytes.data + cut.from);
  return reply_set(request, cut.status, type,
                   MHD_create_response_from_buffer(cut.count, start, MHD_RESPMEM_MUST_COPY));
}

int
http_reply_file(struct http_request *request, const char *type, const char *etag, int file)
{
  CLEANUP_FD int fd = file;
  struct stat info;
  if (fstat(fd, &info) < 0 || !S_ISREG(info.st_mode))
    return -EBADF;
  struct entity entity = { .etag = str_of(etag),
                           .changed = info.st_mtime,
                           .size = (uint64_t) info.st_size };
  struct cut cut = choose_cut(request, &entity);
  set_entity_headers(request, &entity, &cut);
  if (reply_without_body(request, &cut))
    return 0;
  struct MHD_Response *response = MHD_create_response_from_fd_at_offset64(cut.count, fd, cut.from);
  if (response == NULL)
    return -ENOMEM;
  (void) TAKE_FD(fd); /* closed with the response */
  return reply_set(request, cut.status, type, response);
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
  return reply_set(request, status, type, response);
}
