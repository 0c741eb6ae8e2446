/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Replies of JSON: validators, and the way to the next page of a list. */
#include <gcrypt.h>
#include <pthread.h>
#include <string.h>

#include "http/range.h"
#include "http/request.h"

#define DIGEST_SIZE 32 /* SHA-256 */
#define ETAG_DIGITS 32 /* half of it tells any two bodies apart */

/* ---- validators ---- */

static void
start_gcrypt(void)
{
  (void) gcry_check_version(NULL);
}

/* Strong: of the very bytes. A page of a thousand builds takes less than a millisecond,
   a fraction of what asking the database for it takes. */
static const char *
make_etag(struct arena *arena, struct str bytes)
{
  static pthread_once_t once = PTHREAD_ONCE_INIT;
  (void) pthread_once(&once, start_gcrypt);
  unsigned char digest[DIGEST_SIZE];
  char digits[2 * DIGEST_SIZE];
  gcry_md_hash_buffer(GCRY_MD_SHA256, digest, bytes.data, bytes.size);
  str_to_hex(digest, sizeof digest, digits);
  return arena_printf(arena, "\"%.*s\"", ETAG_DIGITS, digits);
}

static bool
is_reading(const struct http_request *request)
{
  return strcmp(request->method, "GET") == 0 || strcmp(request->method, "HEAD") == 0;
}

int
http_reply_json(struct http_request *request, int status, struct buf *json)
{
  if (status != 200 || !is_reading(request))
    return http_reply(request, status, "application/json", json);
  const char *etag = make_etag(&request->arena, buf_str(json));
  struct str known = http_header(request, "If-None-Match");
  http_reply_header(request, "ETag", etag);
  http_reply_header(request, "Cache-Control", "private, no-cache");
  if (known.data != NULL && etag_listed(known, str_of(etag)))
    status = 304; /* and Content-Length as in the 200 */
  return http_reply(request, status, "application/json", json);
}

/* ---- pages of lists ---- */

static void
put_parameter(struct buf *out, struct str name, struct str value)
{
  buf_append_char(out, out->size == 0 ? '?' : '&');
  uri_encode(out, name);
  buf_append_char(out, '=');
  uri_encode(out, value);
}

/* A reference that is all query means the same path, whatever a proxy in front calls it. */
static void
link_next(struct http_request *request, struct str cursor)
{
  static const struct str before = { "before", 6 };
  CLEANUP_BUF struct buf query = { 0 };
  for (size_t i = 0; i < request->query.count; i++)
    if (!str_equal(request->query.items[i].name, before))
      put_parameter(&query, request->query.items[i].name, request->query.items[i].value);
  put_parameter(&query, before, cursor);
  http_reply_header(request, "Link",
                    arena_printf(&request->arena, "<%s>; rel=\"next\"", buf_text(&query)));
}

int
http_reply_page(struct http_request *request, struct buf *json, struct str next)
{
  if (next.data != NULL)
    link_next(request, next);
  return http_reply_json(request, 200, json);
}

/* ---- orders ---- */

int
http_reply_accepted(struct http_request *request)
{
  return http_reply_text(request, 202, "application/json", "{}");
}
