/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A graph of ids that is explored level by level and then put into order,
   references before referrers. Zero-initialise, free with CLEANUP_ORDER.

   To explore: ids[0 .. count) are all that were met, in order of meeting, so
   those since the last level are the next level. */
#pragma once

#include "base/arena.h"
#include "base/map.h"

struct graph_edge
{
  uint32_t from, to; /* places in `ids` */
};

struct graph_order
{
  int64_t *ids;
  size_t count, capacity;
  struct graph_edge *edges;
  size_t edges_count, edges_capacity;
  struct int_map places; /* id to its place + 1 */
};

void graph_order_free(struct graph_order *order);
#define CLEANUP_ORDER PN_CLEANUP(graph_order_free)

/* The place of ID, which is added when new. */
uint32_t graph_order_add(struct graph_order *order, int64_t id);
/* FROM refers to TO; both are added when new. An edge to itself is dropped. */
void graph_order_edge(struct graph_order *order, int64_t from, int64_t to);

/* All ids, references first, otherwise in order of meeting; in ARENA. The graph
   has no circles; should one appear, it is cut somewhere. */
int64_t *graph_order_sorted(const struct graph_order *order, struct arena *arena);
