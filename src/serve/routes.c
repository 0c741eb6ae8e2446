/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "serve/routes.h"

#include "serve/openapi.h"
#include "ui/ui.h"

/* ---- the API's description of itself ---- */

static int
get_description(struct http_request *request, void *context, struct error *err)
{
  struct serve_context *serve = context;
  CLEANUP_BUF struct buf body = { 0 };
  (void) err;
  pthread_mutex_lock(&serve->description.lock);
  if (serve->description.text.size == 0)
    openapi_write(serve->routes, serve->routes_count, &serve->description.text);
  pthread_mutex_unlock(&serve->description.lock);
  buf_append_str(&body, buf_str(&serve->description.text)); /* never changes again */
  return http_reply_json(request, 200, &body);
}

static const struct http_route description_routes[] = {
  { "GET", HTTP_API "/openapi.json", get_description,
    .summary = "This description of the API (OpenAPI 3.1)", .reply = "Description" },
};

/* ---- all ---- */

void
serve_collect_routes(struct serve_context *context)
{
  struct http_routes *ret = context->routes;
  size_t count = 0;
  ret[count++] = serve_overview_page(context);
  ret[count++] = serve_builds_page(context);
  ret[count++] = serve_build_pages(context);
  ret[count++] = serve_log_page(context);
  ret[count++] = serve_graph_page(context);
  ret[count++] = serve_agent_pages(context);
  ret[count++] = serve_joining(context);
  ret[count++] = serve_queue(context);
  ret[count++] = serve_search(context);
  ret[count++] = serve_substitutes_page(context);
  ret[count++] = serve_api_builds(context);
  ret[count++] = serve_api_submit(context);
  ret[count++] = serve_api_farm(context);
  ret[count++] =
      (struct http_routes) { description_routes, ARRAY_SIZE(description_routes), context };
  ret[count++] = ui_routes();
  ret[count++] = ui_style_routes();
  ret[count++] = accounts_routes(context->pool);
  ret[count++] = events_routes(context->feed, context->pool);
  ret[count++] = cache_routes(context->cache);
  if (context->schedules)
    ret[count++] = farm_agent_routes(context->farm);
  ret[count++] = evaluations_routes(context->evaluations);
  ret[count++] = evaluations_specification_pages(context->evaluations);
  ret[count++] = evaluations_specification_forms(context->evaluations);
  ret[count++] = evaluations_page(context->evaluations);
  ret[count++] = evaluations_actions(context->evaluations);
  ret[count++] = evaluations_changes(context->evaluations);
  context->routes_count = count;
}
