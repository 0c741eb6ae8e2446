/* SPDX-License-Identifier: GPL-3.0-or-later */
/* All routes of a server, and what their handlers get. */
#pragma once

#include "base/work.h"
#include "evaluation/evaluation.h"
#include "serve/drawing.h"
#include "serve/log_window.h"
#include "serve/serve_sql.h"

#define SERVE_ROUTES_MAX 48 /* lists */

struct counts /* counts.c */
{
  pthread_mutex_t lock;
  struct serve_counts_row row;
  int result; /* of counting: what failed, failed for all who come before until_ms */
  struct error err;
  int64_t until_ms; /* monotonic; 0 = not counted yet */
};

struct queue /* queue.c */
{
  pthread_mutex_t lock;
  struct queue_kept *kept; /* what was read last; NULL = nothing yet */
  int64_t until_ms;        /* monotonic */
};

struct description /* routes.c */
{
  pthread_mutex_t lock;
  struct buf text; /* made when it is first asked for */
};

struct serve_context
{
  struct db_pool *pool;
  struct cache *cache;
  struct farm *farm;
  bool schedules; /* has the scheduler role: agents may dial in here */
  bool evaluates; /* has the evaluator role, and so a store */
  struct evaluations *evaluations;
  struct events_feed *feed;
  const char *store_root;
  struct work_pool *submissions; /* its context: this */
  struct work_pool *workers;     /* the same */
  struct counts counts;
  struct log_scans log_scans;
  struct drawings drawings;
  struct queue queue;
  struct http_routes routes[SERVE_ROUTES_MAX]; /* of all rooms */
  size_t routes_count;
  struct description description;
};

/* Defers REQUEST: HANDLER, which gets CONTEXT, answers it on a worker, where it may
   wait, though not for a database that is away. Returns 0, for the handler of the route to return.
 */
int serve_later(struct serve_context *context, struct http_request *request, http_handler *handler);

/* Fills in CONTEXT's routes; it must outlive the server. */
void serve_collect_routes(struct serve_context *context);

/* After a commit of wishes or orders, in whatever process it runs (submit.c). */
void serve_wake_scheduler(const struct serve_context *serve);

/* POST: are all files there that are offered? (losses.c) */
int serve_check_cache(struct http_request *request, void *context, struct error *err);

struct http_routes serve_overview_page(struct serve_context *context);
struct http_routes serve_builds_page(struct serve_context *context);
struct http_routes serve_build_pages(struct serve_context *context);
struct http_routes serve_graph_page(struct serve_context *context);
struct http_routes serve_log_page(struct serve_context *context);
struct http_routes serve_agent_pages(struct serve_context *context);
/* This server's address as the visitor, or a proxy in front, says that it is; something
   to be replaced when that makes no sense. In the request's arena. */
struct str serve_own_url(struct http_request *request);

struct http_routes serve_help(struct serve_context *context);
struct http_routes serve_joining(struct serve_context *context);
struct http_routes serve_queue(struct serve_context *context);
void serve_queue_forget(struct serve_context *context); /* what is kept of it */
struct http_routes serve_search(struct serve_context *context);
struct http_routes serve_substitutes_page(struct serve_context *context);
struct http_routes serve_api_builds(struct serve_context *context);
struct http_routes serve_api_build(struct serve_context *context);
struct http_routes serve_api_agents(struct serve_context *context);
struct http_routes serve_api_submit(struct serve_context *context);
struct http_routes serve_api_farm(struct serve_context *context);
