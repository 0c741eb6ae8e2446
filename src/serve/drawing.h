/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A graph drawn as a picture. Graphviz's dot, a child under limits, says where nodes and edges
   go: it is told how large they are, never what they are called, so no name can mean anything to
   it, and what it finds holds however states change. It is kept for the next time. */
#pragma once

#include <pthread.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/error.h"
#include "base/str.h"

#define DRAWING_NODES_MAX 302 /* 300 and what stands for the rest of either side */
#define DRAWINGS_KEPT 64
#define DRAWING_NAME_MAX 32 /* bytes that are shown */

struct drawing_node
{
  int64_t build;    /* 0 = stands for others */
  struct str name;  /* whole */
  struct str state; /* "" = stands for others */
  bool is_centre;
  int left, top, width; /* in pixels; all are equally high */
};

struct drawing_edge
{
  size_t from, to;  /* nodes */
  struct str curve; /* for a path's d */
};

struct drawing
{
  struct
  {
    struct drawing_node *items;
    size_t count;
  } nodes;
  struct
  {
    struct drawing_edge *items;
    size_t count;
  } edges;
  int width, height;
};

struct drawings
{
  pthread_mutex_t lock;
  struct drawing_kept *items; /* a ring of DRAWINGS_KEPT */
  size_t next;
  int running;
  bool is_possible; /* there is a dot */
};

void drawings_init(struct drawings *drawings);
void drawings_free(struct drawings *drawings);

/* Fills in where everything is. May take seconds: not for server threads. -ENOENT: there is no
   dot; -EBUSY: too many are being drawn; -ETIMEDOUT: it takes dot too long, or too much. */
int drawing_lay_out(struct drawings *drawings, struct drawing *drawing, struct arena *arena,
                    struct error *err);

/* The parts, for tests. What dot is told; what it answers: -EBADMSG when that is no answer. */
struct buf;
void drawing_describe(const struct drawing *drawing, struct buf *out);
int drawing_read(struct str answer, struct drawing *drawing, struct arena *arena);
