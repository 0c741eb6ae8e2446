/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "serve/routes.h"

#include "ui/ui.h"

size_t
serve_routes(struct serve_context *context, struct http_routes ret[SERVE_ROUTES_MAX])
{
  size_t count = 0;
  ret[count++] = serve_overview_page(context);
  ret[count++] = serve_builds_page(context);
  ret[count++] = serve_build_pages(context);
  ret[count++] = serve_agent_pages(context);
  ret[count++] = serve_substitutes_page(context);
  ret[count++] = serve_api_builds(context);
  ret[count++] = serve_api_submit(context);
  ret[count++] = serve_api_farm(context);
  ret[count++] = ui_routes();
  ret[count++] = accounts_routes(context->pool);
  ret[count++] = events_routes(context->feed, context->pool);
  ret[count++] = cache_routes(context->cache);
  if (context->schedules)
    ret[count++] = farm_agent_routes(context->farm);
  ret[count++] = evaluations_routes(context->evaluations);
  ret[count++] = evaluations_specification_pages(context->evaluations);
  ret[count++] = evaluations_page(context->evaluations);
  return count;
}
