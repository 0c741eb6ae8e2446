/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What waits: what cannot run, what comes next, and how much by system and specification. */
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/mem.h"
#include "serve/queue_view.h"
#include "serve/routes.h"
#include "serve/serve_pages.h"
#include "serve/views.h"
#include "ui/list.h"
#include "ui/ui.h"

#define SHOWN 50
#define WINDOW 1000 /* waiting builds that are looked at for one page */
#define KEEP_MS 2000
#define KEEP_TIMES 20 /* what reading took: at most a twentieth of the time goes into it */

/* ---- what comes next ---- */

/* Systems that agents work for now. */
static struct db_strs
served_systems(const struct queue_systems_rows *systems, struct arena *arena)
{
  struct str *names = arena_array(arena, systems->count + 1, sizeof *names);
  size_t count = 0;
  for (size_t i = 0; i < systems->count; i++)
    if (systems->items[i].agents > 0)
      names[count++] = systems->items[i].system;
  return (struct db_strs) { names, count };
}

/* Of ROWS the first that can be built; the rest of the window counts as passed. */
static void
take_ready(const struct queue_next_rows *rows, size_t limit, struct queue_part *ret)
{
  *ret = (struct queue_part) { .builds = { rows->items, 0 } };
  size_t i = 0;
  for (; i < rows->count && ret->builds.count < limit; i++) {
    if (rows->items[i].ready)
      rows->items[ret->builds.count++] = rows->items[i];
    else
      ret->passed++;
    ret->last = rows->items[i].id;
  }
  if (i == rows->count && rows->count < WINDOW)
    ret->last = 0;
}

/* Behind the build AFTER; 0 = from the front. */
static int
read_part(struct db *db, const struct queue_systems_rows *systems, int64_t after, int64_t limit,
          struct arena *arena, struct queue_part *ret, struct error *err)
{
  struct queue_place_row place = { 0 };
  struct queue_next_rows rows = { 0 };
  int r = after == 0 ? 1 : queue_place(db, after, &place, err);
  if (r == 0)
    return error_set(err, -ENOENT, "there is no build %lld", (long long) after);
  if (r > 0)
    r = queue_next(db, served_systems(systems, arena), after == 0, place.priority, place.created_at,
                   after, WINDOW, arena, &rows, err);
  if (r == 0)
    take_ready(&rows, (size_t) limit, ret);
  return r;
}

static void
count_all(struct queue_view *view)
{
  view->waiting = view->running = view->stuck = 0;
  for (size_t i = 0; i < view->systems.count; i++) {
    const struct queue_systems_row *system = &view->systems.items[i];
    view->waiting += system->waiting;
    view->running += system->running;
    view->stuck += system->agents == 0 ? system->waiting : 0;
  }
}

/* ---- what is kept ---- */

struct queue_kept
{
  atomic_int references;
  struct arena arena; /* of `view` */
  struct queue_view view;
};

static void
kept_drop(struct queue_kept *kept)
{
  if (kept == NULL || atomic_fetch_sub(&kept->references, 1) > 1)
    return;
  arena_free(&kept->arena);
  free(kept);
}

void
serve_queue_forget(struct serve_context *context)
{
  kept_drop(context->queue.kept);
  context->queue.kept = NULL;
}

static int
read_queue(struct db *db, void *context, struct error *err)
{
  struct queue_kept *kept = context;
  struct queue_view *view = &kept->view;
  arena_free(&kept->arena);
  int r = queue_systems(db, &kept->arena, &view->systems, err);
  if (r == 0)
    r = queue_specifications(db, &kept->arena, &view->specifications, err);
  if (r == 0)
    r = read_part(db, &view->systems, 0, SHOWN, &kept->arena, &view->part, err);
  if (r == 0)
    r = queue_oldest(db, SHOWN, &kept->arena, &view->oldest, err);
  count_all(view);
  return r;
}

static int
refresh(struct serve_context *serve, struct error *err)
{
  struct queue *queue = &serve->queue;
  int64_t start = clock_monotonic_ms();
  if (start < queue->until_ms)
    return 0;
  struct queue_kept *fresh = mem_alloc(sizeof *fresh);
  *fresh = (struct queue_kept) { .references = 1 };
  int r = db_pool_run(serve->pool, DB_READ, read_queue, fresh, err);
  if (r < 0) {
    kept_drop(fresh);
    return r;
  }
  int64_t end = clock_monotonic_ms();
  int64_t keep = KEEP_TIMES * (end - start);
  queue->until_ms = end + (keep > KEEP_MS ? keep : KEEP_MS);
  kept_drop(queue->kept);
  queue->kept = fresh;
  return 0;
}

/* The lock holds while it is read: those who come meanwhile wait for it, and take it. What
   they do with it, until they drop it, holds up nobody. */
static int
kept_take(struct serve_context *serve, struct queue_kept **ret, struct error *err)
{
  struct queue *queue = &serve->queue;
  pthread_mutex_lock(&queue->lock);
  int r = refresh(serve, err);
  if (r == 0) {
    *ret = queue->kept;
    atomic_fetch_add(&queue->kept->references, 1);
  }
  pthread_mutex_unlock(&queue->lock);
  return r;
}

/* ---- the page ---- */

struct further
{
  struct arena *arena;
  int64_t after, limit;
  struct queue_view view; /* what is kept, with a part of its own */
};

static int
read_further(struct db *db, void *context, struct error *err)
{
  struct further *further = context;
  return read_part(db, &further->view.systems, further->after, further->limit, further->arena,
                   &further->view.part, err);
}

static int
show_kept(struct http_request *request, struct serve_context *serve, const struct queue_kept *kept,
          struct further *further, struct error *err)
{
  const struct ui_list list = { request, "/queue", NULL, (const char *const[]) { "limit", NULL } };
  struct queue_view *view = &further->view;
  *view = kept->view;
  view->is_first = further->after == 0;
  int r = 0;
  if (further->after != 0 || further->limit != SHOWN)
    r = db_pool_run(serve->pool, DB_READ, read_further, further, err);
  if (r < 0)
    return r;
  const char *last = arena_printf(further->arena, "%lld", (long long) view->part.last);
  view->front = ui_list_address(&list, NULL, STR(""));
  view->next = view->part.last != 0 ? ui_list_address(&list, "after", str_of(last)) : "";
  CLEANUP_BUF struct buf page = { 0 };
  struct ui_frame frame;
  accounts_frame(request, serve->pool, &frame);
  queue_page(&page, view, &frame);
  return ui_reply(request, &frame, &page);
}

static int
show_queue(struct http_request *request, void *context, struct error *err)
{
  struct serve_context *serve = context;
  struct further further = { .arena = http_arena(request) };
  struct queue_kept *kept = NULL;
  int r = http_query_i64(request, "after", 1, INT64_MAX, 0, &further.after, err);
  if (r == 0)
    r = http_query_i64(request, "limit", 1, SHOWN, SHOWN, &further.limit, err);
  if (r == 0)
    r = kept_take(serve, &kept, err);
  if (r == 0)
    r = show_kept(request, serve, kept, &further, err);
  kept_drop(kept);
  return r;
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
    json_put_time(json, "waiting_since", row->oldest, row->oldest_null);
    json_object_close(json);
  }
  json_array_close(json);
}

static void
put_build(struct json *json, const struct queue_oldest_row *row)
{
  json_object_open(json);
  json_put_i64(json, "build", row->id);
  json_put_text(json, "name", row->name);
  json_put_text(json, "system", row->system);
  json_put_i64(json, "priority", row->priority);
  json_put_time(json, "waiting_since", row->created_at, false);
  json_object_close(json);
}

static void
put_builds(struct json *json, const struct queue_view *view)
{
  json_key(json, "next");
  json_array_open(json);
  for (size_t i = 0; i < view->part.builds.count; i++) {
    const struct queue_next_row *row = &view->part.builds.items[i];
    put_build(json, &(struct queue_oldest_row) { .id = row->id,
                                                 .name = row->name,
                                                 .system = row->system,
                                                 .priority = row->priority,
                                                 .created_at = row->created_at });
  }
  json_array_close(json);
  json_key(json, "waiting_longest");
  json_array_open(json);
  for (size_t i = 0; i < view->oldest.count; i++)
    put_build(json, &view->oldest.items[i]);
  json_array_close(json);
}

static int
tell_queue(struct http_request *request, void *context, struct error *err)
{
  struct queue_kept *kept = NULL;
  int r = kept_take(context, &kept, err);
  if (r < 0)
    return r;
  CLEANUP_BUF struct buf body = { 0 };
  struct json json = json_begin(&body);
  json_object_open(&json);
  put_systems(&json, &kept->view.systems);
  put_specifications(&json, &kept->view.specifications);
  put_builds(&json, &kept->view);
  json_object_close(&json);
  kept_drop(kept);
  return http_reply_json(request, 200, &body);
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
