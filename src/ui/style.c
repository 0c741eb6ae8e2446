/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The design system, shown: for who makes pages. */
#include "ui/ui.h"
#include "ui/ui_pages.h"
#include "ui/ui_private.h"

#define SAMPLE_SIZE 54016
#define SAMPLE_TIME INT64_C(1700000000000000)

static const struct ui_role roles[] = {
  { "paper", "behind everything" },
  { "raised", "bars, rows under the pointer, code" },
  { "sunken", "what is not active" },
  { "line", "between rows" },
  { "edge", "of controls" },
  { "ink", "text" },
  { "quiet", "text that is not the matter itself" },
  { "link", "links, the main action, focus" },
  { "good", "succeeded, connected, fixed" },
  { "good-paper", "behind it" },
  { "bad", "failed, lost, broken; what destroys" },
  { "bad-paper", "behind it" },
  { "busy", "running" },
  { "busy-paper", "behind it" },
  { "warn", "away, paused, cancelled" },
  { "warn-paper", "behind it" },
};

static const struct ui_state states[] = {
  { "succeeded" }, { "failed" },      { "dependency-failed" },
  { "running" },   { "waiting" },     { "cancelled" },
  { "building" },  { "some-failed" }, { "connected" },
  { "away" },      { "paused" },      { "released" },
  { "broken" },    { "fixed" },       { "added" },
  { "removed" },
};

static int
get_style(struct http_request *request, void *context, struct error *err)
{
  (void) context, (void) err;
  struct ui_frame frame;
  const struct ui_style_view view = {
    .roles = { roles, ARRAY_SIZE(roles) },
    .states = { states, ARRAY_SIZE(states) },
    .path = "/gnu/store/0fhgxxqiqmcdzsvqsrxm5xd3x0qlcp4j-hello-2.12.drv",
    .commit = "273e052c5f1f2b7e5a1c2f3d4e5f60718293a4b5",
    .size = SAMPLE_SIZE,
    .time = SAMPLE_TIME,
  };
  CLEANUP_BUF struct buf page = { 0 };
  ui_frame_read(request, &frame);
  style_page(&page, &view, &frame);
  return ui_reply(request, &frame, &page);
}

struct http_routes
ui_style_routes(void)
{
  static const struct http_route items[] = {
    { .method = "GET",
      .path = "/style",
      .handler = get_style,
      .summary = "The pieces that pages are made of" },
  };
  return (struct http_routes) { items, PANOPLY_DEVELOPMENT ? ARRAY_SIZE(items) : 0, NULL };
}
