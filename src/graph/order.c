/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "graph/order.h"

#include <stdlib.h>

#include "base/mem.h"

void
graph_order_free(struct graph_order *order)
{
  free(order->ids);
  free(order->edges);
  int_map_free(&order->places);
  *order = (struct graph_order) { 0 };
}

uint32_t
graph_order_add(struct graph_order *order, int64_t id)
{
  void *known = int_map_get(&order->places, id);
  if (known != NULL)
    return (uint32_t) ((uintptr_t) known - 1);
  mem_grow(&order->ids, &order->capacity, order->count + 1, sizeof *order->ids);
  order->ids[order->count++] = id;
  int_map_put(&order->places, id, (void *) (uintptr_t) order->count);
  return (uint32_t) (order->count - 1);
}

void
graph_order_edge(struct graph_order *order, int64_t from, int64_t to)
{
  if (from == to)
    return;
  struct graph_edge edge = { graph_order_add(order, from), graph_order_add(order, to) };
  mem_grow(&order->edges, &order->edges_capacity, order->edges_count + 1, sizeof edge);
  order->edges[order->edges_count++] = edge;
}

/* Edges grouped by where they start: those of place P are
   targets[starts[P] .. starts[P + 1]). */
struct adjacency
{
  uint32_t *starts;
  uint32_t *targets;
};

static void
adjacency_free(struct adjacency *adjacency)
{
  free(adjacency->starts);
  free(adjacency->targets);
}

static struct adjacency
adjacency_of(const struct graph_order *order)
{
  struct adjacency ret = {
    .starts = mem_array(order->count + 2, sizeof(uint32_t)),
    .targets = mem_array(order->edges_count + 1, sizeof(uint32_t)),
  };
  /* Counted two places on, so that filling moves each start to its place. */
  for (size_t i = 0; i < order->edges_count; i++)
    ret.starts[order->edges[i].from + 2]++;
  for (size_t i = 2; i < order->count + 2; i++)
    ret.starts[i] += ret.starts[i - 1];
  for (size_t i = 0; i < order->edges_count; i++)
    ret.targets[ret.starts[order->edges[i].from + 1]++] = order->edges[i].to;
  return ret;
}

struct walk
{
  const struct graph_order *order;
  struct adjacency adjacency;
  uint32_t *next;  /* the next edge of each place */
  uint32_t *stack; /* places whose edges are being followed */
  bool *seen;
  int64_t *sorted;
  size_t done;
};

/* Depth first, without recursion: a place is done when all its edges are. */
static void
walk_from(struct walk *walk, uint32_t root)
{
  size_t depth = 0;
  walk->seen[root] = true;
  walk->stack[depth++] = root;
  while (depth > 0) {
    uint32_t place = walk->stack[depth - 1];
    if (walk->next[place] == walk->adjacency.starts[place + 1]) {
      walk->sorted[walk->done++] = walk->order->ids[place];
      depth--;
      continue;
    }
    uint32_t target = walk->adjacency.targets[walk->next[place]++];
    if (walk->seen[target])
      continue;
    walk->seen[target] = true;
    walk->stack[depth++] = target;
  }
}

int64_t *
graph_order_sorted(const struct graph_order *order, struct arena *arena)
{
  size_t count = order->count;
  PN_CLEANUP(adjacency_free) struct adjacency adjacency = adjacency_of(order);
  CLEANUP_FREE uint32_t *next = mem_array(count + 1, sizeof *next);
  CLEANUP_FREE uint32_t *stack = mem_array(count + 1, sizeof *stack);
  CLEANUP_FREE bool *seen = mem_array(count + 1, sizeof *seen);
  struct walk walk = {
    .order = order,
    .adjacency = adjacency,
    .next = next,
    .stack = stack,
    .seen = seen,
    .sorted = arena_array(arena, count + 1, sizeof(int64_t)),
  };
  memcpy(next, adjacency.starts, count * sizeof *next);
  for (uint32_t place = 0; place < count; place++)
    if (!seen[place])
      walk_from(&walk, place);
  return walk.sorted;
}
