/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Inside the events room: events.c reads and appends, feed.c follows, and
   stream.c (server-sent events) watches the feed on behalf of browsers. */
#pragma once

#include "events/events.h"

#define EVENTS_CHANNEL "panoply_events"

/* -ESTALE with ERR set when POSITION is none that this database's feed has told: who goes
   on from there would wait for ever, or miss what it does not know of. */
int events_check_position(struct db *db, struct events_position position, struct error *err);

/* -1, 0 or 1. */
int events_position_compare(struct events_position a, struct events_position b);

/* What happens on the feed's thread. */
struct events_watcher
{
  void (*receive)(void *context, const struct events_event *event);
  /* At least every two seconds; NULL = not wanted. */
  void (*tick)(void *context);
  /* When the feed stops, on the stopping thread; NULL = nothing to free. */
  void (*free)(void *context);
  void *context;
};

/* Calls them from now on, in the order of adding. At most 16 a feed. Returns
   where the feed stands: the first event received lies behind it. */
struct events_position events_feed_watch(struct events_feed *feed,
                                         const struct events_watcher *watcher);
