/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What waits, by system and by specification. */
#include <errno.h>

#include "base/clock.h"
#include "base/json.h"
#include "serve/routes.h"
#include "serve/serve_pages.h"
#include "serve/views.h"
#include "ui/ui.h"

#define OLDEST_SHOWN 50
#define KEEP_MS 2000
#define KEEP_TIMES 20 /* what reading took: at most a twentieth of the time goes into it */

static int
read_queue(struct db *db, void *context, struct error *err)
{
  struct queue *queue = context;
  struct queue_view *view = &queue->view;
  arena_free(&queue->arena);
  int r = queue_systems(db, &queue->arena, &view->systems, err);
  if (r == 0)
    r = queue_specifications(db, &queue->arena, &view->specifications, err);
  if (r == 0)
    r = queue_oldest(db, OLDEST_SHOWN, &queue->arena, &view->oldest, err);
  return r;
}

/* Under the lock, which holds until what was read is printed: those who come meanwhile
   wait for it, and take it. */
static int
refresh(struct serve_context *serve, struct error *err)
{
  struct queue *queue = &serve->queue;
  int64_t start = clock_monotonic_ms();
  if (start < queue->until_ms)
    return 0;
  queue->until_ms = 0;
  int r = db_pool_run(serve->pool, DB_READ, read_queue, queue, err);
  int64_t end = clock_monotonic_ms();
  int64_t keep = KEEP_TIMES * (end - start);
  if (r == 0)
    queue->until_ms = end + (keep > KEEP_MS ? keep : KEEP_MS);
  return r;
}

static int
show_queue(struct http_request *request, void *context, struct error *err)
{
  struct serve_context *serve = context;
  struct ui_frame frame;
  CLEANUP_BUF struct buf page = { 0 };
  accounts_frame(request, serve->pool, &frame);
  pthread_mutex_lock(&serve->queue.lock);
  int r = refresh(serve, err);
  if (r == 0)
    queue_page(&page, &serve->queue.view, &frame);
  pthread_mutex_unlock(&serve->queue.lock);
  return r < 0 ? r : ui_reply(request, &frame, &page);
}

static int
get_queue(struct http_request *request, void *context, struct error *err)
{
  (void) err;
  return serve_later(context, request, show_queue);
}

/* ---- the API ---- */

static void
put_systems(struct json *json, const struct queue_systems_rows *systems)
{
  json_key(json, "systems");
  json_array_open(json);
  for (size_t i = 0; i < systems->count; i++) {
    const struct queue_systems_row *row = &systems->items[i];
    json_object_open(json);
    json_put_text(json, "system", row->system);
    json_put_i64(json, "waiting_count", row->waiting);
    json_put_i64(json, "running_count", row->running);
    json_put_time(json, "waiting_since", row->oldest, row->oldest_null);
    json_put_i64(json, "agents_count", row->agents);
    json_put_i64(json, "places", row->places);
    json_object_close(json);
  }
  json_array_close(json);
}

static void
put_specifications(struct json *json, const struct queue_specifications_rows *specifications)
{
  json_key(json, "specifications");
  json_array_open(json);
  for (size_t i = 0; i < specifications->count; i++) {
    const struct queue_specifications_row *row = &specifications->items[i];
    json_object_open(json);
    json_put_text(json, "specification", row->specification);
    json_put_i64(json, "evaluation", row->evaluation);
    json_put_i64(json, "priority", row->priority);
    json_put_i64(json, "waiting_count", row->waiting);
    json_put_i64(json, "running_count", row->running);
    json_put_time(json, "waiting_since", row->oldest, false);
    json_object_close(json);
  }
  json_array_close(json);
}

static void
put_oldest(struct json *json, const struct queue_oldest_rows *oldest)
{
  json_key(json, "waiting_longest");
  json_array_open(json);
  for (size_t i = 0; i < oldest->count; i++) {
    const struct queue_oldest_row *row = &oldest->items[i];
    json_object_open(json);
    json_put_i64(json, "build", row->id);
    json_put_text(json, "name", row->name);
    json_put_text(json, "system", row->system);
    json_put_i64(json, "priority", row->priority);
    json_put_time(json, "waiting_since", row->created_at, false);
    json_object_close(json);
  }
  json_array_close(json);
}

static int
tell_queue(struct http_request *request, void *context, struct error *err)
{
  struct serve_context *serve = context;
  CLEANUP_BUF struct buf body = { 0 };
  struct json json = json_begin(&body);
  pthread_mutex_lock(&serve->queue.lock);
  int r = refresh(serve, err);
  if (r == 0) {
    json_object_open(&json);
    put_systems(&json, &serve->queue.view.systems);
    put_specifications(&json, &serve->queue.view.specifications);
    put_oldest(&json, &serve->queue.view.oldest);
    json_object_close(&json);
  }
  pthread_mutex_unlock(&serve->queue.lock);
  return r < 0 ? r : http_reply_json(request, 200, &body);
}

static int
get_api_queue(struct http_request *request, void *context, struct error *err)
{
  (void) err;
  return serve_later(context, request, tell_queue);
}

static const struct http_route routes[] = {
  { "GET", "/queue", get_queue, .summary = "What waits" },
  { "GET", HTTP_API "/queue", get_api_queue,
    .summary = "What waits and runs, by system and by specification", .reply = "Queue" },
};

struct http_routes
serve_queue(struct serve_context *context)
{
  return (struct http_routes) { routes, ARRAY_SIZE(routes), context };
}
