/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Replies of bytes whose number is known: conditional and range requests (RFC 9110, 13 and 14). */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/mem.h"
#include "http/range.h"
#include "http/request.h"

#define CONTENT_BLOCK (32 * 1024)

/* What is to be sent: known bytes with a validator. */
struct entity
{
  struct str etag; /* quoted; "" = none */
  int64_t changed; /* seconds; -1 = unknown */
  uint64_t size;
};

/* What of it. A 304 has the size of the whole, as Content-Length is what a 200 would say
   (RFC 9110, 8.6); libmicrohttpd sends no body with it. */
struct cut
{
  int status; /* 200, 206, 304, 416 */
  uint64_t from;
  uint64_t count;
};

/* ---- conditions ---- */

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
    return (struct cut) { .status = 304, .count = entity->size };
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

/* ---- headers ---- */

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
}

static void
refuse_range(struct http_request *request, const struct entity *entity)
{
  struct error err = { 0 };
  unsigned long long size = entity->size;
  request->reply_headers.count = 0; /* they were said of the bytes: a coding, an age */
  http_reply_header(request, "Content-Range", arena_printf(&request->arena, "bytes */%llu", size));
  error_set(&err, -ERANGE, "the range begins behind the end: there are %llu bytes", size);
  reply_refusal(request, 416, &err);
}

/* Chooses what is sent and sets its headers; false when the answer is made already. */
static bool
begin(struct http_request *request, const struct entity *entity, struct cut *ret)
{
  *ret = choose_cut(request, entity);
  if (ret->status == 416) {
    refuse_range(request, entity);
    return false;
  }
  set_entity_headers(request, entity, ret);
  return true;
}

/* ---- bytes, files, and what must be read from its own source ---- */

int
http_reply_bytes(struct http_request *request, const char *type, const char *etag, struct str bytes)
{
  const struct entity entity = { .etag = str_of(etag), .changed = -1, .size = bytes.size };
  struct cut cut;
  if (!begin(request, &entity, &cut))
    return 0;
  void *start = cut.count == 0 ? (void *) "" : (void *) (bytes.data + cut.from);
  return reply_set(request, cut.status, type,
                   MHD_create_response_from_buffer(cut.count, start, MHD_RESPMEM_MUST_COPY));
}

const char *
http_file_etag(struct http_request *request, const struct stat *info, const char *form)
{
  unsigned long long seconds = (unsigned long long) info->st_mtim.tv_sec;
  return arena_printf(&request->arena, "\"%llx.%09lx-%llx%s\"", seconds,
                      (unsigned long) info->st_mtim.tv_nsec, (unsigned long long) info->st_size,
                      form);
}

int
http_reply_file(struct http_request *request, const char *type, const char *etag, int file,
                int64_t from)
{
  CLEANUP_FD int fd = file;
  struct stat info;
  if (fstat(fd, &info) < 0 || !S_ISREG(info.st_mode))
    return -EBADF;
  uint64_t start = from < info.st_size ? (uint64_t) from : (uint64_t) info.st_size;
  const struct entity entity = {
    .etag = str_of(etag != NULL ? etag : http_file_etag(request, &info, "")),
    .changed = info.st_mtime,
    .size = (uint64_t) info.st_size - start,
  };
  struct cut cut;
  if (!begin(request, &entity, &cut))
    return 0;
  struct MHD_Response *response =
      MHD_create_response_from_fd_at_offset64(cut.count, fd, start + cut.from);
  if (response == NULL)
    return -ENOMEM;
  (void) TAKE_FD(fd); /* closed with the response */
  return reply_set(request, cut.status, type, response);
}

struct source
{
  struct http_content content;
  int64_t from;
};

static ssize_t
source_read(void *context, uint64_t position, char *room, size_t size)
{
  struct source *source = context;
  const struct http_content *content = &source->content;
  int64_t got = content->read(content->state, source->from + (int64_t) position, room, size);
  return got > 0 && (uint64_t) got <= size ? (ssize_t) got : MHD_CONTENT_READER_END_WITH_ERROR;
}

static void
source_free(void *context)
{
  struct source *source = context;
  if (source->content.free != NULL)
    source->content.free(source->content.state);
  free(source);
}

int
http_reply_content(struct http_request *request, const char *type,
                   const struct http_content *content)
{
  const struct entity entity = { .etag = str_of(content->etag),
                                 .changed = content->changed,
                                 .size = (uint64_t) content->size };
  struct source *source = mem_alloc(sizeof *source);
  struct cut cut;
  source->content = *content;
  if (!begin(request, &entity, &cut)) {
    source_free(source);
    return 0;
  }
  source->from = (int64_t) cut.from;
  struct MHD_Response *response =
      MHD_create_response_from_callback(cut.count, CONTENT_BLOCK, source_read, source, source_free);
  if (response == NULL)
    source_free(source);
  return reply_set(request, cut.status, type, response);
}
