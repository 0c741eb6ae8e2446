/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Server-sent events (WHATWG HTML, "Server-sent events"). The feed's thread
   writes to every client; a client that comes back with `Last-Event-ID` first
   gets what it missed from the database, on a worker, and joins the others only
   when it has caught up with the feed. A client that reads too slowly is cut off:
   it comes back and goes on where it was. */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/thread.h"
#include "base/work.h"
#include "events/events_private.h"

#define CLIENTS_MAX 1000
#define CLIENT_LIMIT ((size_t) 1 << 20) /* bytes that may wait for a slow reader */
#define PREFIX_MAX 64
#define HEARTBEAT_MS 15000
#define CATCH_UP_BATCH 500
/* A request gets no more at once than fits into what may wait, for nothing drains
   meanwhile, and looks at so many events; a client further behind comes back. */
#define CATCH_UP_BYTES (CLIENT_LIMIT / 2)
#define CATCH_UP_BATCHES 20

struct client
{
  struct client *next;
  struct http_stream *stream;
  struct events_position position; /* what it has, up to this */
  int64_t written_at_ms;           /* monotonic; heartbeats fill silence */
  size_t prefix_size;
  char prefix[PREFIX_MAX];
};

struct hub
{
  struct db_pool *pool;
  struct work_pool worker;         /* for clients that catch up */
  pthread_mutex_t mutex;           /* guards what follows */
  struct events_position position; /* the feed's, as far as told to clients */
  struct client *clients;
  size_t clients_count;
};

/* ---- clients ---- */

static void
client_free(struct client *client)
{
  if (client == NULL)
    return;
  if (client->stream != NULL)
    http_stream_close(client->stream);
  free(client);
}

static void
client_freep(struct client **client)
{
  client_free(*client);
}
#define CLEANUP_CLIENT PN_CLEANUP(client_freep)

static int
client_write(struct client *client, struct str text)
{
  client->written_at_ms = clock_monotonic_ms();
  return http_stream_write(client->stream, text);
}

static void
format_position(struct events_position position, struct buf *ret)
{
  buf_printf(ret, "id: %lld-%lld\n", (long long) position.transaction, (long long) position.id);
}

/* Tells where the client stands without a message: it comes back to there even
   if its filter let nothing through. The comment is for the proxies between. */
static void
client_write_position(struct client *client, struct events_position position)
{
  CLEANUP_BUF struct buf text = { 0 };
  buf_append_text(&text, ":\n");
  format_position(position, &text);
  buf_append_char(&text, '\n');
  (void) client_write(client, buf_str(&text));
}

/* One message. JSON has no raw line ends, so one `data` line holds it. */
static void
format_event(const struct events_event *event, struct buf *ret)
{
  format_position(event->position, ret);
  buf_append_text(ret, "data: ");
  struct json json = json_begin(ret);
  json_object_open(&json);
  json_put_i64(&json, "id", event->position.id);
  json_put_time(&json, "happened_at", event->happened_at, false);
  json_put_text(&json, "kind", event->kind);
  json_put_i64(&json, "subject", event->subject);
  json_key(&json, "facts");
  json_raw(&json, event->facts);
  json_object_close(&json);
  buf_append_text(ret, "\n\n");
}

/* ---- the feed's side ---- */

static bool
client_wants(const struct client *client, const struct events_event *event)
{
  return str_starts(event->kind, str_make(client->prefix, client->prefix_size))
         && events_position_compare(event->position, client->position) > 0;
}

static struct events_position
later_of(struct events_position a, struct events_position b)
{
  return events_position_compare(a, b) > 0 ? a : b;
}

static void
hub_receive(void *context, const struct events_event *event)
{
  struct hub *hub = context;
  CLEANUP_BUF struct buf text = { 0 };
  pthread_mutex_lock(&hub->mutex);
  hub->position = event->position;
  if (hub->clients != NULL)
    format_event(event, &text);
  for (struct client *client = hub->clients; client != NULL; client = client->next)
    if (client_wants(client, event))
      (void) client_write(client, buf_str(&text)); /* the gone are taken out by hub_tick */
  pthread_mutex_unlock(&hub->mutex);
}

static void
hub_tick(void *context)
{
  struct hub *hub = context;
  int64_t now = clock_monotonic_ms();
  pthread_mutex_lock(&hub->mutex);
  for (struct client **link = &hub->clients; *link != NULL;) {
    struct client *client = *link;
    if (now - client->written_at_ms >= HEARTBEAT_MS)
      client_write_position(client, later_of(client->position, hub->position));
    if (http_stream_is_open(client->stream)) {
      link = &client->next;
      continue;
    }
    *link = client->next;
    hub->clients_count--;
    client_free(client);
  }
  pthread_mutex_unlock(&hub->mutex);
}

static void
hub_free(void *context)
{
  struct hub *hub = context;
  work_pool_stop(&hub->worker);
  work_pool_free(&hub->worker);
  while (hub->clients != NULL) {
    struct client *client = hub->clients;
    hub->clients = client->next;
    client_free(client);
  }
  pthread_mutex_destroy(&hub->mutex);
  free(hub);
}

/* ---- the server's side ---- */

/* "TRANSACTION-ID", as we sent it. */
static int
parse_position(struct str text, struct events_position *ret, struct error *err)
{
  struct str rest = text;
  struct str transaction;
  if (str_split(&rest, '-', &transaction) && str_to_i64(transaction, &ret->transaction) == 0
      && str_to_i64(rest, &ret->id) == 0 && ret->transaction >= 0 && ret->id >= 0)
    return 0;
  return error_set(err, -EINVAL, "Last-Event-ID is not one of ours: TRANSACTION-ID");
}

static int
parse_prefix(struct str text, struct client *client, struct error *err)
{
  if (text.size > PREFIX_MAX)
    return error_set(err, -EINVAL, "kind has more than %d characters", PREFIX_MAX);
  for (size_t i = 0; i < text.size; i++)
    if (strchr("abcdefghijklmnopqrstuvwxyz_.", text.data[i]) == NULL || text.data[i] == '\0')
      return error_set(err, -EINVAL, "kind is the beginning of a kind of event, like 'build.'");
  if (text.size > 0)
    memcpy(client->prefix, text.data, text.size);
  client->prefix_size = text.size;
  return 0;
}

static struct events_position
hub_position(struct hub *hub)
{
  pthread_mutex_lock(&hub->mutex);
  struct events_position position = hub->position;
  pthread_mutex_unlock(&hub->mutex);
  return position;
}

/* Takes the client in when it has all that the others have: 1. Leaves it when
   the feed is ahead of it: 0. */
static int
join(struct hub *hub, struct client **client)
{
  pthread_mutex_lock(&hub->mutex);
  bool level = events_position_compare(hub->position, (*client)->position) <= 0;
  if (level) {
    client_write_position(*client, (*client)->position);
    (*client)->next = hub->clients;
    hub->clients = TAKE_PTR(*client);
    hub->clients_count++;
  }
  pthread_mutex_unlock(&hub->mutex);
  return level;
}

static void
join_from_now(struct hub *hub, struct client **client)
{
  do
    (*client)->position = hub_position(hub);
  while (join(hub, client) == 0);
}

/* Formats what the client missed until TEXT has SIZE bytes: then false. */
static bool
format_page(const struct events_page *page, struct client *client, size_t size, struct buf *text)
{
  for (size_t i = 0; i < page->count; i++) {
    if (text->size >= size)
      return false;
    format_event(&page->items[i], text);
    client->position = page->items[i].position;
  }
  client->position = page->end;
  return true;
}

/* Reads a batch of what the client missed: 1 = goes on, 0 = TEXT has SIZE bytes.
   Having read to the end it has all that the feed had told before the reading began. */
static int
catch_up_batch(struct hub *hub, struct db *db, struct client *client, size_t size, struct buf *text,
               struct error *err)
{
  CLEANUP_ARENA struct arena arena = { 0 };
  struct events_position told = hub_position(hub);
  struct events_page page;
  int r = events_read(db, client->position, str_make(client->prefix, client->prefix_size),
                      CATCH_UP_BATCH, &arena, &page, err);
  if (r < 0)
    return r;
  if (!format_page(&page, client, size, text))
    return 0;
  if (page.whole)
    client->position = later_of(client->position, told);
  return 1;
}

/* Reads and writes; the client has joined the others when it is taken (NULL). */
static int
catch_up_with(struct hub *hub, struct db *db, struct client **client, struct error *err)
{
  size_t written = 0;
  for (int i = 0; i < CATCH_UP_BATCHES && *client != NULL; i++) {
    CLEANUP_BUF struct buf text = { 0 };
    int more = catch_up_batch(hub, db, *client, CATCH_UP_BYTES - written, &text, err);
    int r = more < 0 || text.size == 0 ? more : client_write(*client, buf_str(&text));
    written += text.size;
    if (r < 0 || more == 0 || written >= CATCH_UP_BYTES)
      return r < 0 ? r : 0;
    join(hub, client);
  }
  return 0;
}

/* A client that is too far behind, or went away, is let go with what it has; it is
   told how far that is, though its filter may have let nothing through. */
static int
catch_up(struct hub *hub, struct client **client, struct error *err)
{
  struct db *db = NULL;
  int r = db_pool_get(hub->pool, &db, err);
  if (r == 0)
    r = catch_up_with(hub, db, client, err);
  db_pool_put(hub->pool, db);
  if (r == 0 && *client != NULL)
    client_write_position(*client, (*client)->position);
  return r;
}

struct comeback
{
  struct work work;
  struct client *client;
};

static void
comeback_run(void *context, struct work *work, bool stopping)
{
  struct comeback *back = (struct comeback *) work;
  CLEANUP_CLIENT struct client *client = back->client;
  free(back);
  if (stopping)
    return;
  thread_forbid_outages();
  (void) catch_up(context, &client, NULL); /* trouble just ends the reply */
}

/* Takes the client, which is let go, to come back, when too many catch up already. */
static void
catch_up_later(struct hub *hub, struct client **client)
{
  struct comeback *back = mem_alloc(sizeof *back);
  *back = (struct comeback) { .work.run = comeback_run, .client = TAKE_PTR(*client) };
  if (work_pool_offer(&hub->worker, &back->work, CLIENTS_MAX))
    return;
  client_free(back->client);
  free(back);
}

static int
check_known(struct db *db, void *context, struct error *err)
{
  const struct client *client = context;
  return events_check_position(db, client->position, err);
}

static int
read_position(struct hub *hub, struct str last, struct client *client, struct error *err)
{
  int r = parse_position(last, &client->position, err);
  return r < 0 ? r : db_pool_run(hub->pool, DB_READ, check_known, client, err);
}

static int
open_stream(struct http_request *request, struct client *client)
{
  http_reply_header(request, "Cache-Control", "no-store");
  http_reply_header(request, "X-Accel-Buffering", "no"); /* nginx would keep it back */
  int r = http_reply_stream(request, 200, "text/event-stream", CLIENT_LIMIT, &client->stream);
  return r < 0 ? r : client_write(client, STR("retry: 1000\n"));
}

/* About: clients that still catch up are not counted, but they are few. */
static int
check_room(struct hub *hub, struct error *err)
{
  pthread_mutex_lock(&hub->mutex);
  bool full = hub->clients_count >= CLIENTS_MAX;
  pthread_mutex_unlock(&hub->mutex);
  return full ? error_set(err, -EBUSY, "%d clients follow the events already", CLIENTS_MAX) : 0;
}

static int
follow_events(struct http_request *request, void *context, struct error *err)
{
  struct hub *hub = context;
  CLEANUP_CLIENT struct client *client = mem_alloc(sizeof *client);
  struct str last = http_header(request, "Last-Event-ID");
  int r = check_room(hub, err);
  if (r == 0)
    r = parse_prefix(http_query(request, "kind"), client, err);
  if (r == 0 && last.size > 0)
    r = read_position(hub, last, client, err);
  if (r < 0)
    return r;
  r = open_stream(request, client);
  if (r < 0)
    return error_set(err, r, "cannot stream events");
  if (last.size > 0)
    catch_up_later(hub, &client);
  else
    join_from_now(hub, &client);
  return 0;
}

static const struct http_route routes[] = {
  { .method = "GET",
    .path = HTTP_API "/events",
    .handler = follow_events,
    .summary = "All that happens, as server-sent events",
    .query = "kind",
    .reply = "Event",
    .type = "text/event-stream" },
};

struct http_routes
events_routes(struct events_feed *feed, struct db_pool *pool)
{
  struct hub *hub = mem_alloc(sizeof *hub);
  hub->pool = pool;
  pthread_mutex_init(&hub->mutex, NULL);
  work_pool_init(&hub->worker, hub);
  if (work_pool_start(&hub->worker, 1) < 0)
    work_pool_stop(&hub->worker); /* nobody catches up then */
  const struct events_watcher watcher = {
    .receive = hub_receive, .tick = hub_tick, .free = hub_free, .context = hub
  };
  struct events_position position = events_feed_watch(feed, &watcher);
  pthread_mutex_lock(&hub->mutex);
  if (events_position_compare(position, hub->position) > 0)
    hub->position = position;
  pthread_mutex_unlock(&hub->mutex);
  return (struct http_routes) { routes, ARRAY_SIZE(routes), hub };
}
