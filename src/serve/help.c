/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "ui/help.h"

#include <errno.h>

#include "serve/routes.h"
#include "serve/serve_pages.h"
#include "ui/ui.h"

static int
show(struct http_request *request, const struct serve_context *serve, const struct help_page *shown)
{
  CLEANUP_BUF struct buf page = { 0 };
  struct ui_frame frame;
  accounts_frame(request, serve->pool, &frame);
  help_page(&page, &(struct help_view) { { help_pages, help_pages_count }, shown }, &frame);
  return ui_reply(request, &frame, &page);
}

static int
get_first(struct http_request *request, void *context, struct error *err)
{
  (void) err;
  return show(request, context, &help_pages[0]);
}

static int
get_one(struct http_request *request, void *context, struct error *err)
{
  struct str name = http_param(request, "name");
  for (size_t i = 0; i < help_pages_count; i++)
    if (str_equal(name, help_pages[i].name))
      return show(request, context, &help_pages[i]);
  error_set(err, -ENOENT, "there is no document \"%.*s\"", STR_FMT(name));
  return error_hint(err, "/help begins with the user's guide, and names the others.");
}

static const struct http_route routes[] = {
  { "GET", "/help", get_first, .summary = "The user's guide" },
  { "GET", "/help/{name}", get_one, .summary = "A document" },
};

struct http_routes
serve_help(struct serve_context *context)
{
  return (struct http_routes) { routes, ARRAY_SIZE(routes), context };
}
