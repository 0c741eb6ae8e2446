/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "ui/ui.h"

#include <errno.h>
#include <stdlib.h>

#include "ui/assets.h"
#include "ui/ui_pages.h"

/* ---- static files ---- */

static int
compare_name(const void *name, const void *asset)
{
  return str_compare(*(const struct str *) name, str_of(((const struct ui_asset *) asset)->path));
}

static int
serve_asset(struct http_request *request, void *context, struct error *err)
{
  (void) context;
  struct str name = http_param(request, "name");
  const struct ui_asset *asset =
      bsearch(&name, ui_assets, ui_assets_count, sizeof *ui_assets, compare_name);
  if (asset == NULL)
    return error_set(err, -ENOENT, "there is no file '%.*s'", STR_FMT(name));
  http_reply_header(request, "Cache-Control", "public, no-cache");
  return http_reply_bytes(request, asset->type, asset->etag, asset->bytes);
}

struct http_routes
ui_routes(void)
{
  static const struct http_route items[] = {
    { .method = "GET",
      .path = "/static/{name}",
      .handler = serve_asset,
      .summary = "A style sheet, script or picture of the pages" },
  };
  return (struct http_routes) { items, ARRAY_SIZE(items), NULL };
}

/* ---- the error page ---- */

/* In people's words: what happened, and what to do unless the error says it. */
static const struct
{
  int status;
  const char *title;
  const char *advice;
} explanations[] = {
  { 400, "This request makes no sense", "Check the address or what was typed." },
  { 401, "Not signed in", "Sign in, and do it again." },
  { 403, "Not allowed", "Ask the operator of this server for the right." },
  { 404, "Not found", "It may have been removed, or the address has a slip." },
  { 405, "Not possible here", "Go back and use the page's own links and buttons." },
  { 409, "In conflict with the present state", "Reload the page and look again." },
  { 410, "No longer there", "" },
  { 413, "Too large", "Send less at once." },
  { 503, "Busy", "Try again in a few seconds." },
};

void
ui_error_page(const struct ui_frame *frame, int status, const struct error *err, struct buf *page)
{
  struct ui_error_view view = {
    .status = status,
    .title = status >= 500 ? "Something went wrong" : "This did not work",
    .message = err->message,
    .advice = "If it stays so, tell the operator of this server.",
  };
  for (size_t i = 0; i < ARRAY_SIZE(explanations); i++)
    if (explanations[i].status == status) {
      view.title = explanations[i].title;
      view.advice = explanations[i].advice;
    }
  if (err->hint[0] != '\0')
    view.advice = err->hint;
  error_page(page, &view, frame);
}
