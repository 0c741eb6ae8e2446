/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "ui/ui.h"

#include <errno.h>

#include "ui/assets.h"
#include "ui/error_view.h"
#include "ui/ui_pages.h"

static int
get_asset(struct http_request *request, void *context, struct error *err)
{
  (void) context;
  struct str name = http_param(request, "name");
  for (size_t i = 0; i < ui_assets_count; i++)
    if (str_equal(name, str_of(ui_assets[i].path))) {
      /* Asked for again each time, answered 304: a new version shows at once. */
      http_reply_header(request, "Cache-Control", "no-cache");
      return http_reply_bytes(request, ui_assets[i].type, ui_assets[i].etag, ui_assets[i].bytes);
    }
  return error_set(err, -ENOENT, "there is no static file \"%.*s\"", STR_FMT(name));
}

static const struct http_route routes[] = {
  { "GET", "/static/{name}", get_asset, .summary = "Style sheet and scripts of the pages" },
};

struct http_routes
ui_routes(void)
{
  return (struct http_routes) { routes, ARRAY_SIZE(routes), NULL };
}

static const struct
{
  int status;
  const char *title;
} titles[] = {
  { 400, "That cannot be understood" },
  { 401, "Who are you?" },
  { 403, "Not allowed" },
  { 404, "Not found" },
  { 405, "Not that way" },
  { 409, "Not now" },
  { 413, "Too large" },
  { 500, "Something broke here" },
  { 503, "Not available now" },
};

void
ui_error_page(int status, const struct error *err, struct buf *page)
{
  struct error_view view = { .status = status, .title = "Error", .message = "", .hint = "" };
  for (size_t i = 0; i < ARRAY_SIZE(titles); i++)
    if (titles[i].status == status)
      view.title = titles[i].title;
  if (err != NULL) {
    view.message = err->message;
    view.hint = err->hint;
  }
  error_page(page, &view);
}
