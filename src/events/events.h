/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The append-only feed of all that happens. A fact's owner appends the event
   in the transaction that writes the fact. Readers go on from a position. */
#pragma once

#include "db/db.h"
#include "http/http.h"

/* Appends one event inside the caller's transaction. KIND is "noun.verb"
   ("build.succeeded"); SUBJECT the id of the noun; FACTS a JSON object. */
int events_append(struct db *db, const char *kind, int64_t subject, struct str facts,
                  struct error *err);

struct events_new
{
  const char *kind;
  int64_t subject;
  struct str facts;
};

/* Many at once, in the order given. */
int events_append_all(struct db *db, const struct events_new *events, size_t count,
                      struct error *err);

/* A reader's place: events are ordered by (transaction, id), and only those of
   transactions older than every running one are shown, so that none which
   commits late is skipped. All zero = before the first. */
struct events_position
{
  int64_t transaction;
  int64_t id;
};

struct events_event
{
  struct events_position position;
  int64_t happened_at; /* microseconds since 1970 */
  struct str kind;
  int64_t subject;
  struct str facts; /* a JSON object */
};

struct events_page
{
  struct events_event *items; /* in order */
  size_t count;
  struct events_position end; /* where to go on */
  bool whole;                 /* nothing follows for now */
};

/* Of the next MOST events behind AFTER those whose kind begins with PREFIX, in ARENA:
   perhaps none although more follow, so that a rare kind does not take a walk over
   all that ever happened. For a reader that keeps its position itself (a webhook, a
   mailing). */
int events_read(struct db *db, struct events_position after, struct str prefix, size_t most,
                struct arena *arena, struct events_page *ret, struct error *err);

struct events_feed;

/* Follows the feed on a thread of its own (one a process); woken by NOTIFY
   `panoply_events`, at the latest every 2 seconds. Survives the loss of its
   connection without skipping or repeating an event. */
int events_feed_start(const char *uri, struct events_feed **ret, struct error *err);

/* Stop the HTTP server that serves events_routes first. NULL is fine. */
void events_feed_stop(struct events_feed *feed);

/* After a commit that appended events: wakes the feeds of all processes. Call
   once a batch, outside the transaction. */
int events_wake(struct db *db, struct error *err);

/* GET /api/panoply/v1/events: server-sent events, `Last-Event-ID`. Call once a
   feed; POOL serves those who come back and ask for what they missed. */
struct http_routes events_routes(struct events_feed *feed, struct db_pool *pool);
