/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "serve/routes.h"

#include <assert.h>

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

static void
add(struct serve_context *context, struct http_routes routes)
{
  assert(context->routes_count < SERVE_ROUTES_MAX);
  context->routes[context->routes_count++] = routes;
}

void
serve_collect_routes(struct serve_context *context)
{
  add(context, serve_overview_page(context));
  add(context, serve_builds_page(context));
  add(context, serve_build_pages(context));
  add(context, serve_log_page(context));
  add(context, serve_graph_page(context));
  add(context, serve_agent_pages(context));
  add(context, serve_help(context));
  add(context, serve_joining(context));
  add(context, serve_queue(context));
  add(context, serve_search(context));
  add(context, serve_substitutes_page(context));
  add(context, serve_api_builds(context));
  add(context, serve_api_build(context));
  add(context, serve_api_agents(context));
  add(context, serve_api_submit(context));
  add(context, serve_api_farm(context));
  add(context,
      (struct http_routes) { description_routes, ARRAY_SIZE(description_routes), context });
  add(context, ui_routes());
  add(context, ui_style_routes());
  add(context, accounts_routes(context->pool));
  add(context, events_routes(context->feed, context->pool));
  add(context, cache_routes(context->cache));
  if (context->schedules)
    add(context, farm_agent_routes(context->farm));
  add(context, evaluations_routes(context->evaluations));
  add(context, evaluations_specification_pages(context->evaluations));
  add(context, evaluations_specification_forms(context->evaluations));
  add(context, evaluations_page(context->evaluations));
  add(context, evaluations_actions(context->evaluations));
  add(context, evaluations_facts(context->evaluations));
  add(context, evaluations_changes(context->evaluations));
}
