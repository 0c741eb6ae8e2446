/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Writing what a load has collected. Under the lock of graph_load_lock nobody
   else adds derivations, so after one look at what a rival added meanwhile all goes
   in by COPY, without conflicts. Store paths are added by others too: those go
   through graph_path_ids, in one order for all. */
#include <errno.h>
#include <stdlib.h>

#include "base/mem.h"
#include "graph/graph_sql.h"
#include "graph/load.h"

#define PATHS_BATCH 16384

struct load_write
{
  struct graph_load *load;
  struct db *db;
  struct arena arena;
  int64_t *system_ids; /* of each word; 0 = not a system */
  uint32_t *order;     /* the derivations to write, by id: so indexes grow at one end */
  size_t count;
};

static void
load_write_free(struct load_write *write)
{
  arena_free(&write->arena);
}

/* ---- ids ---- */

static int
compare_nodes(const void *a, const void *b, void *context)
{
  const struct graph_load *load = context;
  return str_compare(load->nodes[*(const uint32_t *) a].path,
                     load->nodes[*(const uint32_t *) b].path);
}

/* Ids of all nodes that are used but known derivations, anew each time: those of a transaction
   that was rolled back are void. */
static int
resolve_paths(struct load_write *write, struct error *err)
{
  struct graph_load *load = write->load;
  CLEANUP_FREE uint32_t *places = mem_array(load->nodes_count + 1, sizeof *places);
  CLEANUP_FREE struct str *names = mem_array(PATHS_BATCH, sizeof *names);
  CLEANUP_FREE int64_t *ids = mem_array(PATHS_BATCH, sizeof *ids);
  size_t count = 0;
  for (uint32_t i = 0; i < load->nodes_count; i++)
    if (load->nodes[i].used && !load->nodes[i].known)
      places[count++] = i;
  qsort_r(places, count, sizeof *places, compare_nodes, load);

  for (size_t start = 0; start < count; start += PATHS_BATCH) {
    size_t batch = count - start < PATHS_BATCH ? count - start : PATHS_BATCH;
    for (size_t i = 0; i < batch; i++)
      names[i] = load_basename(&load->nodes[places[start + i]]);
    int r = graph_path_ids(write->db, names, batch, ids, err);
    if (r < 0)
      return r;
    for (size_t i = 0; i < batch; i++)
      load->nodes[places[start + i]].id = ids[i];
  }
  return 0;
}

static int
resolve_systems(struct load_write *write, struct error *err)
{
  struct graph_load *load = write->load;
  write->system_ids = arena_array(&write->arena, load->words_count, sizeof(int64_t));
  struct str *names = arena_array(&write->arena, load->words_count, sizeof *names);
  uint32_t *words = arena_array(&write->arena, load->words_count, sizeof *words);
  size_t count = 0;
  for (size_t i = 0; i < load->derivations_count; i++) {
    uint32_t word = load->derivations[i].system;
    if (write->system_ids[word] != 0)
      continue;
    write->system_ids[word] = -1;
    words[count] = word;
    names[count++] = load->words[word];
  }
  struct graph_load_systems_rows rows;
  int r = graph_load_systems_insert(write->db, (struct db_strs) { names, count }, err);
  if (r >= 0)
    r = graph_load_systems(write->db, (struct db_strs) { names, count }, &write->arena, &rows, err);
  if (r < 0)
    return r;
  for (size_t i = 0; i < rows.count; i++)
    write->system_ids[words[i]] = rows.items[i].id;
  return 0;
}

static int64_t
id_of(const struct graph_load *load, uint32_t place)
{
  return load->nodes[place].id;
}

static int
compare_ids(const void *a, const void *b, void *context)
{
  const struct graph_load *load = context;
  int64_t x = id_of(load, load->derivations[*(const uint32_t *) a].node);
  int64_t y = id_of(load, load->derivations[*(const uint32_t *) b].node);
  return x < y ? -1 : x > y;
}

/* Those that nobody wrote since they were looked up, by id. */
static int
choose(struct load_write *write, struct error *err)
{
  const struct graph_load *load = write->load;
  CLEANUP_FREE int64_t *ids = mem_array(load->derivations_count + 1, sizeof *ids);
  for (size_t i = 0; i < load->derivations_count; i++)
    ids[i] = id_of(load, load->derivations[i].node);
  struct graph_load_present_rows rows;
  int r = graph_load_present(write->db, (struct db_i64s) { ids, load->derivations_count },
                             &write->arena, &rows, err);
  if (r < 0)
    return r;

  struct int_map present = { 0 };
  for (size_t i = 0; i < rows.count; i++)
    int_map_put(&present, rows.items[i].id, write);
  write->order = arena_array(&write->arena, load->derivations_count, sizeof *write->order);
  for (uint32_t i = 0; i < load->derivations_count; i++)
    if (int_map_get(&present, ids[i]) == NULL)
      write->order[write->count++] = i;
  int_map_free(&present);
  qsort_r(write->order, write->count, sizeof *write->order, compare_ids, write->load);
  return 0;
}

/* ---- rows ---- */

/* Ends a COPY that went well so far (R = 0), else drops it. */
static int
finish_copy(struct db_copy *copy, int r, struct error *err)
{
  if (r >= 0)
    return db_copy_end(copy, err);
  db_copy_abort(copy);
  return r;
}

static int
copy_derivations(const struct load_write *write, struct error *err)
{
  const struct graph_load *load = write->load;
  struct db_copy *copy = NULL;
  int r = graph_copy_derivation_begin(write->db, &copy, err);
  for (size_t n = 0; r >= 0 && n < write->count; n++) {
    const struct load_derivation *derivation = &load->derivations[write->order[n]];
    r = graph_copy_derivation_row(
        copy, id_of(load, derivation->node), (int16_t) write->system_ids[derivation->system],
        id_of(load, load->outputs[derivation->outputs_start].node), derivation->fixed_output,
        (int32_t) derivation->text_size, derivation->packed, err);
  }
  return finish_copy(copy, r, err);
}

static int
copy_outputs(const struct load_write *write, struct error *err)
{
  const struct graph_load *load = write->load;
  struct db_copy *copy = NULL;
  int r = graph_copy_output_begin(write->db, &copy, err);
  for (size_t n = 0; r >= 0 && n < write->count; n++) {
    const struct load_derivation *derivation = &load->derivations[write->order[n]];
    const struct load_output *outputs = &load->outputs[derivation->outputs_start];
    for (size_t i = 0; r >= 0 && i < derivation->outputs_count; i++)
      r = graph_copy_output_row(copy, id_of(load, derivation->node), load->words[outputs[i].name],
                                id_of(load, outputs[i].node), err);
  }
  return finish_copy(copy, r, err);
}

static int
copy_inputs(const struct load_write *write, struct error *err)
{
  const struct graph_load *load = write->load;
  struct db_copy *copy = NULL;
  int r = graph_copy_input_begin(write->db, &copy, err);
  for (size_t n = 0; r >= 0 && n < write->count; n++) {
    const struct load_derivation *derivation = &load->derivations[write->order[n]];
    const struct load_input *inputs = &load->inputs[derivation->inputs_start];
    for (size_t i = 0; r >= 0 && i < derivation->inputs_count; i++)
      r = graph_copy_input_row(copy, id_of(load, derivation->node), id_of(load, inputs[i].node),
                               load->output_sets[inputs[i].outputs], err);
  }
  return finish_copy(copy, r, err);
}

static int
copy_sources(const struct load_write *write, struct error *err)
{
  const struct graph_load *load = write->load;
  struct db_copy *copy = NULL;
  int r = graph_copy_source_begin(write->db, &copy, err);
  for (size_t n = 0; r >= 0 && n < write->count; n++) {
    const struct load_derivation *derivation = &load->derivations[write->order[n]];
    const uint32_t *sources = &load->sources[derivation->sources_start];
    for (size_t i = 0; r >= 0 && i < derivation->sources_count; i++)
      r = graph_copy_source_row(copy, id_of(load, derivation->node), id_of(load, sources[i]), err);
  }
  return finish_copy(copy, r, err);
}

/* ---- the whole ---- */

static int
lock_graph(struct load_write *write, struct error *err)
{
  return graph_load_lock(write->db, err);
}

int
graph_load_write(struct graph_load *load, struct db *db, int64_t *ret_new, struct error *err)
{
  static int (*const resolving[])(
      struct load_write *, struct error *) = { lock_graph, resolve_paths, resolve_systems, choose };
  static int (*const copying[])(const struct load_write *,
                                struct error *) = { copy_derivations, copy_outputs, copy_inputs,
                                                    copy_sources };
  PN_CLEANUP(load_write_free) struct load_write write = { .load = load, .db = db };
  *ret_new = 0;
  int r = graph_load_settle(load, err);
  if (r < 0 || load->derivations_count == 0)
    return r;
  for (size_t i = 0; r >= 0 && i < ARRAY_SIZE(resolving); i++)
    r = resolving[i](&write, err);
  for (size_t i = 0; r >= 0 && write.count > 0 && i < ARRAY_SIZE(copying); i++)
    r = copying[i](&write, err);
  if (r < 0)
    return r;
  *ret_new = (int64_t) write.count;
  return 0;
}
