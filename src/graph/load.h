/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What a load has collected. All of Guix is 72,000 derivations with 190,000
   names, 182 MB of text and a million edges: so names are stored once and referred
   to by number, and texts are compressed as they are read. */
#pragma once

#include <zstd.h>

#include "base/map.h"
#include "graph/graph.h"

/* A store path that was met. */
struct load_node
{
  struct str path;    /* full */
  int64_t id;         /* 0 = not resolved */
  struct str refusal; /* why this derivation is left out; data NULL = it is not */
  uint32_t outputs;   /* of a derivation: their names, in `output_sets` */
  bool known;         /* a derivation that the database has, with its closure */
  bool queued;        /* is, or was, on the queue */
  bool used;          /* by a new derivation, or is one; graph_load_settle tells */
  bool source;        /* of a new derivation; likewise */
};

struct load_output
{
  uint32_t node;
  uint32_t name; /* in `words` */
};

struct load_input
{
  uint32_t node;
  uint32_t outputs; /* in `output_sets` */
};

/* A new derivation. Its outputs, inputs and sources stand together, `_count` from
   `_start` on, in the load's arrays. */
struct load_derivation
{
  uint32_t node;
  uint32_t system; /* in `words` */
  uint32_t outputs_start, outputs_count;
  uint32_t inputs_start, inputs_count;
  uint32_t sources_start, sources_count;
  uint32_t text_size;
  struct str packed; /* zstd */
  bool fixed_output;
};

struct graph_load
{
  struct db_pool *pool;
  char *store_root;
  struct arena arena;
  struct error failure; /* the first one: nothing can follow it */
  bool sifts;           /* what is bad is left out, and no failure */

  struct str_map places; /* basename to its number in `nodes` */
  struct load_node *nodes;
  size_t nodes_count, nodes_capacity;

  uint32_t *queue; /* derivations that are still to be looked up */
  size_t queue_count, queue_capacity;

  struct load_derivation *derivations;
  size_t derivations_count, derivations_capacity;
  struct load_output *outputs;
  size_t outputs_count, outputs_capacity;
  struct load_input *inputs;
  size_t inputs_count, inputs_capacity;
  uint32_t *sources;
  size_t sources_count, sources_capacity;

  struct str_map word_places; /* systems and output names */
  struct str *words;
  size_t words_count, words_capacity;
  struct str_map set_places; /* output names, joined by LF */
  struct db_strs *output_sets;
  size_t sets_count, sets_capacity;

  ZSTD_CCtx *compressor; /* reused, with the buffers, for each text */
  struct buf text, packed;

  struct str *source_paths; /* answer of graph_load_sources */
  size_t source_paths_count, source_paths_capacity;
};

/* Looks up and reads all that is queued; leaves out what needs something bad; tells of
   each node what it is to those that stay. */
int graph_load_settle(struct graph_load *load, struct error *err);

static inline struct str
load_basename(const struct load_node *node)
{
  return guix_path_basename(node->path);
}
