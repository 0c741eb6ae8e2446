/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "farm/queue.h"

#include "base/mem.h"
#include "farm/node.h"

#include <stdlib.h>

static void
put_at(struct queue *queue, size_t place, struct node *node)
{
  queue->items[place] = node;
  node->place = (uint32_t) place;
}

static void
sift_up(struct queue *queue, size_t place, struct node *node)
{
  while (place > 0) {
    size_t parent = (place - 1) / 2;
    if (!queue->before(node, queue->items[parent]))
      break;
    put_at(queue, place, queue->items[parent]);
    place = parent;
  }
  put_at(queue, place, node);
}

static void
sift_down(struct queue *queue, size_t place, struct node *node)
{
  for (;;) {
    size_t child = 2 * place + 1;
    if (child >= queue->count)
      break;
    if (child + 1 < queue->count && queue->before(queue->items[child + 1], queue->items[child]))
      child++;
    if (!queue->before(queue->items[child], node))
      break;
    put_at(queue, place, queue->items[child]);
    place = child;
  }
  put_at(queue, place, node);
}

static void
sift(struct queue *queue, size_t place, struct node *node)
{
  if (place > 0 && queue->before(node, queue->items[(place - 1) / 2]))
    sift_up(queue, place, node);
  else
    sift_down(queue, place, node);
}

void
queue_free(struct queue *queue)
{
  free(queue->items);
  queue->items = NULL;
  queue->count = queue->capacity = 0;
}

void
queue_put(struct queue *queue, struct node *node)
{
  mem_grow(&queue->items, &queue->capacity, queue->count + 1, sizeof(struct node *));
  node->queue = queue;
  sift_up(queue, queue->count++, node);
}

void
queue_remove(struct queue *queue, struct node *node)
{
  size_t place = node->place;
  struct node *last = queue->items[--queue->count];
  node->queue = NULL;
  if (last != node)
    sift(queue, place, last);
}

void
queue_moved(struct queue *queue, struct node *node)
{
  sift(queue, node->place, node);
}
