/* SPDX-License-Identifier: GPL-3.0-or-later */
/* How to use the substitutes. */
#include <errno.h>

#include "serve/counts.h"
#include "serve/routes.h"
#include "serve/serve_pages.h"
#include "serve/views.h"
#include "ui/ui.h"

/* A host and perhaps a port, which may stand in a command to be pasted. */
static bool
is_plain_host(struct str host)
{
  for (size_t i = 0; i < host.size; i++) {
    char c = host.data[i];
    if (!(c >= 'a' && c <= 'z') && !(c >= 'A' && c <= 'Z') && !(c >= '0' && c <= '9')
        && strchr(".-:[]", c) == NULL)
      return false;
  }
  return host.size > 0 && host.size <= 255;
}

struct str
serve_own_url(struct http_request *request)
{
  struct str host = http_header(request, "Host");
  bool tls = str_equal(http_header(request, "X-Forwarded-Proto"), STR("https"));
  if (!is_plain_host(host))
    return STR("https://ci.example.org");
  return str_of(
      arena_printf(http_arena(request), "%s://%.*s", tls ? "https" : "http", STR_FMT(host)));
}

static int
show_substitutes(struct http_request *request, void *context, struct error *err)
{
  struct serve_context *serve = context;
  struct serve_counts_row counts = { 0 };
  int r = counts_get(serve, &counts, err);
  if (r < 0)
    return r;
  CLEANUP_BUF struct buf key = { 0 };
  CLEANUP_BUF struct buf page = { 0 };
  struct ui_frame frame;
  accounts_frame(request, serve->pool, &frame);
  guix_key_public_text(cache_key(serve->cache), &key);
  substitutes_page(
      &page,
      &(struct substitutes_view) { str_trim(buf_str(&key)), counts.nars, serve_own_url(request) },
      &frame);
  return ui_reply(request, &frame, &page);
}

static int
get_substitutes(struct http_request *request, void *context, struct error *err)
{
  (void) err;
  return serve_later(context, request, show_substitutes);
}

static const struct http_route routes[] = {
  { "GET", "/substitutes", get_substitutes, .summary = "How to use the substitutes" },
};

struct http_routes
serve_substitutes_page(struct serve_context *context)
{
  return (struct http_routes) { routes, ARRAY_SIZE(routes), context };
}
