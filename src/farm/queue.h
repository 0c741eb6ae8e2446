/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A heap of nodes that knows each node's place, so that any can be taken out.
   A node stands in one queue at most. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct node;

struct queue
{
  bool (*before)(const struct node *a, const struct node *b); /* a strict order */
  struct node **items;                                        /* [0] is the first */
  size_t count;
  size_t capacity;
};

void queue_free(struct queue *queue);
void queue_put(struct queue *queue, struct node *node);
void queue_remove(struct queue *queue, struct node *node);

/* After the node's sort keys changed. */
void queue_moved(struct queue *queue, struct node *node);
