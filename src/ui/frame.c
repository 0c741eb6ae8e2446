/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What a page is told of its request, and how it is answered. What came of a form
   travels to the next page in a cookie, which that page deletes. */
#include "ui/frame.h"

#include <stdarg.h>
#include <stdio.h>

#include "ui/html.h"
#include "ui/ui.h"
#include "ui/ui_pages.h"

#define SAID_COOKIE "panoply_said"
#define SAID_MAX 1000 /* bytes of the sentence */
#define COOKIE_REST "; Path=/; HttpOnly; SameSite=Lax"

/* What ui_put_url_part encoded. No text at all when somebody else wrote the cookie. */
static struct str
decode(struct arena *arena, struct str text)
{
  char *out = arena_alloc(arena, text.size + 1);
  size_t size = 0;
  for (size_t i = 0; i < text.size; i++) {
    char byte = text.data[i];
    if (byte == '%' && text.size - i > 2
        && str_from_hex(str_make(text.data + i + 1, 2), &byte, 1) == 0)
      i += 2;
    out[size++] = byte;
  }
  struct str said = str_make(out, size);
  return str_is_utf8(said) && str_find(said, '\0') < 0 ? said : (struct str) { 0 };
}

void
ui_frame_read(struct http_request *request, struct ui_frame *ret)
{
  struct arena *arena = http_arena(request);
  struct str said = http_cookie(request, SAID_COOKIE);
  /* Its address would hold itself, and the next page's that one, for ever. */
  bool is_sign_in = str_equal(str_of(http_path(request)), STR("/sign-in"));
  *ret = (struct ui_frame) {
    .here = is_sign_in ? STR("/") : http_target(request),
    .search = http_query(request, "q"),
  };
  if (said.size > 0 && said.size <= 3 * SAID_MAX)
    ret->said = decode(arena, said);
}

int
ui_reply_status(struct http_request *request, const struct ui_frame *frame, int status,
                struct buf *page)
{
  http_reply_header(request, "Vary", "Cookie");
  http_reply_header(request, "Cache-Control", frame->has_secret ? "no-store" : "private, no-cache");
  if (frame->said.size > 0)
    http_reply_header(request, "Set-Cookie", SAID_COOKIE "=; Max-Age=0" COOKIE_REST);
  return http_reply(request, status, "text/html; charset=utf-8", page);
}

int
ui_reply(struct http_request *request, const struct ui_frame *frame, struct buf *page)
{
  return ui_reply_status(request, frame, 200, page);
}

int
ui_done(struct http_request *request, const char *location, const char *format, ...)
{
  char said[SAID_MAX + 1];
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(said, sizeof said, format, arguments);
  va_end(arguments);
  CLEANUP_BUF struct buf cookie = { 0 };
  buf_append_str(&cookie, STR(SAID_COOKIE "="));
  ui_put_url_part(&cookie, (const char *) said);
  buf_append_str(&cookie, STR("; Max-Age=60" COOKIE_REST));
  http_reply_header(request, "Set-Cookie", arena_str(http_arena(request), buf_str(&cookie)).data);
  return http_reply_redirect(request, 303, location);
}

/* "//host" and "/\host" are another host's to a browser. */
const char *
ui_local_path(struct http_request *request, struct str path, const char *fallback)
{
  if (path.size == 0 || path.data[0] != '/' || str_find(path, '\\') >= 0
      || str_starts(path, STR("//")))
    return fallback;
  for (size_t i = 0; i < path.size; i++)
    if ((unsigned char) path.data[i] <= ' ' || path.data[i] == 0x7f)
      return fallback;
  return arena_str(http_arena(request), path).data;
}

int
ui_ask(struct http_request *request, const struct ui_frame *frame,
       const struct ui_question *question)
{
  CLEANUP_BUF struct buf page = { 0 };
  question_page(&page, question, frame);
  return ui_reply(request, frame, &page);
}
