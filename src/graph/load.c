/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Collecting derivations: look up which are known, read the others, queue what
   they refer to, until the queue is empty. */
#include "graph/load.h"

#include <errno.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "graph/graph_sql.h"

/* Names that wait before they are looked up together. */
#define QUEUE_TARGET 512
/* Texts are small and alike: more effort gains little. */
#define TEXT_ZSTD_LEVEL 3
#define SYSTEM_MAX 64    /* bytes of its name */
#define LOOK_UP_TRIES 10 /* a second apart, after the pool's own patience */

struct graph_load *
graph_load_new(struct db_pool *pool, const char *store_root)
{
  struct graph_load *load = mem_alloc(sizeof *load);
  load->pool = pool;
  load->store_root = mem_strdup(store_root);
  load->compressor = ZSTD_createCCtx();
  if (load->compressor == NULL)
    abort(); /* out of memory, as in mem_alloc */
  return load;
}

void
graph_load_free(struct graph_load *load)
{
  if (load == NULL)
    return;
  ZSTD_freeCCtx(load->compressor);
  buf_free(&load->text);
  buf_free(&load->packed);
  str_map_free(&load->places);
  str_map_free(&load->word_places);
  str_map_free(&load->set_places);
  free(load->nodes);
  free(load->queue);
  free(load->derivations);
  free(load->outputs);
  free(load->inputs);
  free(load->sources);
  free(load->words);
  free(load->output_sets);
  free(load->source_paths);
  arena_free(&load->arena);
  free(load->store_root);
  free(load);
}

/* ---- interning ---- */

/* The number of PATH, which becomes a node when new. */
static uint32_t
node_of(struct graph_load *load, struct str path)
{
  struct str basename = guix_path_basename(path);
  int64_t place;
  if (str_map_get(&load->places, basename, &place))
    return (uint32_t) place;
  mem_grow(&load->nodes, &load->nodes_capacity, load->nodes_count + 1, sizeof *load->nodes);
  load->nodes[load->nodes_count] = (struct load_node) { .path = arena_str(&load->arena, path) };
  str_map_put(&load->places, basename, (int64_t) load->nodes_count);
  return (uint32_t) load->nodes_count++;
}

static uint32_t
word_of(struct graph_load *load, struct str word)
{
  int64_t place;
  if (str_map_get(&load->word_places, word, &place))
    return (uint32_t) place;
  mem_grow(&load->words, &load->words_capacity, load->words_count + 1, sizeof *load->words);
  load->words[load->words_count] = arena_str(&load->arena, word);
  str_map_put(&load->word_places, word, (int64_t) load->words_count);
  return (uint32_t) load->words_count++;
}

static struct db_strs
copy_names(struct graph_load *load, const struct str *names, size_t count)
{
  struct str *copies = arena_array(&load->arena, count, sizeof *copies);
  for (size_t i = 0; i < count; i++)
    copies[i] = arena_str(&load->arena, names[i]);
  return (struct db_strs) { copies, count };
}

/* Nearly all inputs name the set "out": a few hundred sets serve a million
   edges. */
static uint32_t
set_of(struct graph_load *load, const struct str *names, size_t count)
{
  CLEANUP_BUF struct buf key = { 0 };
  for (size_t i = 0; i < count; i++) {
    buf_append_str(&key, names[i]);
    buf_append_char(&key, '\n');
  }
  int64_t place;
  struct str joined = key.size > 0 ? buf_str(&key) : STR("");
  if (str_map_get(&load->set_places, joined, &place))
    return (uint32_t) place;
  mem_grow(&load->output_sets, &load->sets_capacity, load->sets_count + 1,
           sizeof *load->output_sets);
  load->output_sets[load->sets_count] = copy_names(load, names, count);
  str_map_put(&load->set_places, joined, (int64_t) load->sets_count);
  return (uint32_t) load->sets_count++;
}

static void
enqueue(struct graph_load *load, uint32_t place)
{
  if (load->nodes[place].queued)
    return;
  load->nodes[place].queued = true;
  mem_grow(&load->queue, &load->queue_capacity, load->queue_count + 1, sizeof *load->queue);
  load->queue[load->queue_count++] = place;
}

/* ---- one derivation ---- */

static void
record_outputs(struct graph_load *load, uint32_t place, const struct guix_derivation *derivation)
{
  CLEANUP_FREE struct str *names = mem_array(derivation->outputs_count, sizeof *names);
  mem_grow(&load->outputs, &load->outputs_capacity, load->outputs_count + derivation->outputs_count,
           sizeof *load->outputs);
  for (size_t i = 0; i < derivation->outputs_count; i++) {
    names[i] = derivation->outputs[i].name;
    load->outputs[load->outputs_count++] =
        (struct load_output) { node_of(load, derivation->outputs[i].path),
                               word_of(load, names[i]) };
  }
  load->nodes[place].outputs = set_of(load, names, derivation->outputs_count);
}

static void
record_inputs(struct graph_load *load, const struct guix_derivation *derivation)
{
  mem_grow(&load->inputs, &load->inputs_capacity, load->inputs_count + derivation->inputs_count,
           sizeof *load->inputs);
  for (size_t i = 0; i < derivation->inputs_count; i++) {
    const struct guix_input *input = &derivation->inputs[i];
    uint32_t place = node_of(load, input->path);
    enqueue(load, place);
    load->inputs[load->inputs_count++] =
        (struct load_input) { place, set_of(load, input->outputs, input->outputs_count) };
  }
}

static void
record_sources(struct graph_load *load, const struct guix_derivation *derivation)
{
  mem_grow(&load->sources, &load->sources_capacity, load->sources_count + derivation->sources_count,
           sizeof *load->sources);
  for (size_t i = 0; i < derivation->sources_count; i++) {
    uint32_t place = node_of(load, derivation->sources[i]);
    load->sources[load->sources_count++] = place;
  }
}

static int
pack_text(struct graph_load *load, struct str *ret, struct error *err)
{
  buf_clear(&load->packed);
  size_t room = ZSTD_compressBound(load->text.size);
  size_t size = ZSTD_compressCCtx(load->compressor, buf_reserve(&load->packed, room), room,
                                  load->text.data, load->text.size, TEXT_ZSTD_LEVEL);
  if (ZSTD_isError(size))
    return error_set(err, -EIO, "cannot compress: %s", ZSTD_getErrorName(size));
  *ret = arena_str(&load->arena, str_make(load->packed.data, size));
  return 0;
}

static int
record(struct graph_load *load, uint32_t place, const struct guix_derivation *derivation,
       struct error *err)
{
  struct load_derivation fresh = {
    .node = place,
    .system = word_of(load, derivation->system),
    .outputs_start = (uint32_t) load->outputs_count,
    .outputs_count = (uint32_t) derivation->outputs_count,
    .inputs_start = (uint32_t) load->inputs_count,
    .inputs_count = (uint32_t) derivation->inputs_count,
    .sources_start = (uint32_t) load->sources_count,
    .sources_count = (uint32_t) derivation->sources_count,
    .text_size = (uint32_t) load->text.size,
    .fixed_output = guix_derivation_is_fixed(derivation),
  };
  int r = pack_text(load, &fresh.packed, err);
  if (r < 0)
    return r;
  record_outputs(load, place, derivation);
  record_inputs(load, derivation);
  record_sources(load, derivation);
  mem_grow(&load->derivations, &load->derivations_capacity, load->derivations_count + 1,
           sizeof fresh);
  load->derivations[load->derivations_count++] = fresh;
  return 0;
}

/* The name of a .drv covers its text and references: a damaged file shows. */
static int
check_name(const struct graph_load *load, struct str path, const struct guix_derivation *derivation,
           struct arena *arena, struct error *err)
{
  size_t count;
  struct str *references = guix_derivation_references(derivation, arena, &count);
  struct str right =
      guix_path_of_text(arena, guix_path_name(path), buf_str(&load->text), references, count);
  if (str_equal(right, path))
    return 0;
  error_set(err, -EBADMSG, "%.*s is damaged: its contents belong to %.*s", STR_FMT(path),
            STR_FMT(right));
  return error_hint(err, "Run `guix gc --verify=contents,repair` on the server's store.");
}

/* As "x86_64-linux": nothing else is a system, and a text that is none may be anything. */
static bool
is_system(struct str name)
{
  if (name.size > SYSTEM_MAX || str_find(name, '-') <= 0)
    return false;
  for (size_t i = 0; i < name.size; i++) {
    char c = name.data[i];
    if (!(c >= 'a' && c <= 'z') && !(c >= '0' && c <= '9') && c != '_' && c != '-')
      return false;
  }
  return name.data[name.size - 1] != '-';
}

/* Into `text`. Errors are told to strangers too, whom it does not concern where the store lies. */
static int
read_text(struct graph_load *load, struct str path, struct error *err)
{
  CLEANUP_BUF struct buf file = { 0 };
  buf_printf(&file, "%s%.*s", load->store_root, STR_FMT(path));
  buf_clear(&load->text);
  int r = file_read_regular(buf_text(&file), GUIX_DERIVATION_SIZE_MAX, &load->text, NULL);
  if (r == -ENOENT)
    return error_set(err, r, "%.*s is not in the server's store", STR_FMT(path));
  return r < 0 ? error_set(err, r, "%.*s cannot be read: %s", STR_FMT(path), strerror(-r)) : 0;
}

static int
read_derivation(struct graph_load *load, uint32_t place, struct error *err)
{
  CLEANUP_ARENA struct arena arena = { 0 };
  struct str path = load->nodes[place].path;
  int r = read_text(load, path, err);
  if (r < 0)
    return r;
  struct guix_derivation derivation;
  r = guix_derivation_parse(buf_str(&load->text), &arena, &derivation, err);
  if (r < 0)
    return error_prefix(err, "%.*s", STR_FMT(path));
  if (derivation.outputs_count == 0)
    return error_set(err, -EINVAL, "%.*s has no outputs", STR_FMT(path));
  if (!is_system(derivation.system))
    return error_set(err, -EINVAL, "%.*s is for a system that is none", STR_FMT(path));
  r = check_name(load, path, &derivation, &arena, err);
  return r < 0 ? r : record(load, place, &derivation, err);
}

/* ---- what is bad ---- */

/* Is that a fault of the derivation, rather than of the store or the database? */
static bool
is_own_fault(int r)
{
  return r == -ENOENT || r == -ELOOP || r == -EFBIG || r == -EINVAL || r == -EBADMSG;
}

/* WHY stops this derivation, or all. */
static int
refuse(struct graph_load *load, uint32_t place, const struct error *why, struct error *err)
{
  if (!load->sifts || !is_own_fault(why->code)) {
    *err = *why;
    return why->code;
  }
  load->nodes[place].refusal = arena_str(&load->arena, str_of(why->message));
  return 0;
}

static bool
has_all(struct db_strs set, struct db_strs wanted)
{
  size_t found = 0; /* both are sorted */
  for (size_t i = 0; i < set.count && found < wanted.count; i++)
    found += str_equal(set.items[i], wanted.items[found]);
  return found == wanted.count;
}

static int
check_inputs(const struct graph_load *load, const struct load_derivation *derivation,
             struct error *err)
{
  const struct load_input *inputs = &load->inputs[derivation->inputs_start];
  for (size_t i = 0; i < derivation->inputs_count; i++) {
    const struct load_node *node = &load->nodes[inputs[i].node];
    if (node->refusal.data != NULL)
      return error_set(err, -EINVAL, "%.*s", STR_FMT(node->refusal));
    if (!has_all(load->output_sets[node->outputs], load->output_sets[inputs[i].outputs]))
      return error_set(err, -EINVAL, "%.*s needs an output that %.*s does not have",
                       STR_FMT(load->nodes[derivation->node].path), STR_FMT(node->path));
  }
  return 0;
}

/* Leaves out derivations whose inputs cannot be. The last were read first as inputs of
   others, so that one round from the end mostly does. True: another is needed. */
static bool
sift(struct graph_load *load)
{
  size_t before = load->derivations_count;
  for (size_t i = load->derivations_count; load->failure.code == 0 && i > 0; i--) {
    struct error why = { 0 };
    const struct load_derivation *derivation = &load->derivations[i - 1];
    if (check_inputs(load, derivation, &why) < 0)
      (void) refuse(load, derivation->node, &why, &load->failure);
  }
  size_t kept = 0;
  for (size_t i = 0; i < before; i++)
    if (load->nodes[load->derivations[i].node].refusal.data == NULL)
      load->derivations[kept++] = load->derivations[i];
  load->derivations_count = kept;
  return kept < before;
}

static void
mark_uses(struct graph_load *load)
{
  for (size_t i = 0; i < load->nodes_count; i++)
    load->nodes[i].used = load->nodes[i].source = false;
  for (size_t i = 0; i < load->derivations_count; i++) {
    const struct load_derivation *derivation = &load->derivations[i];
    load->nodes[derivation->node].used = true;
    for (size_t n = 0; n < derivation->outputs_count; n++)
      load->nodes[load->outputs[derivation->outputs_start + n].node].used = true;
    for (size_t n = 0; n < derivation->sources_count; n++) {
      struct load_node *node = &load->nodes[load->sources[derivation->sources_start + n]];
      node->used = node->source = true;
    }
  }
}

/* ---- the queue ---- */

/* One statement, so without the round trips of a transaction; asked again when the
   connection was lost on the way. */
static int
ask_known(const struct graph_load *load, struct db_strs basenames, struct arena *arena,
          struct graph_load_known_rows *ret, struct error *err)
{
  struct db *db;
  int r = db_pool_get(load->pool, &db, err);
  if (r < 0)
    return r;
  for (int tries = 0; tries < LOOK_UP_TRIES; tries++) {
    r = graph_load_known(db, basenames, arena, ret, err);
    if (r != -DB_ERROR_LOST)
      break;
    clock_sleep_ms(1000);
  }
  db_pool_put(load->pool, db);
  return r;
}

/* Marks those of PLACES that the database has. */
static int
look_up(struct graph_load *load, const uint32_t *places, size_t count, struct error *err)
{
  CLEANUP_ARENA struct arena arena = { 0 };
  struct str *basenames = arena_array(&arena, count, sizeof *basenames);
  for (size_t i = 0; i < count; i++)
    basenames[i] = load_basename(&load->nodes[places[i]]);

  struct graph_load_known_rows rows;
  int r = ask_known(load, (struct db_strs) { basenames, count }, &arena, &rows, err);
  if (r < 0)
    return r;
  for (size_t i = 0; i < rows.count; i++) {
    struct load_node *node = &load->nodes[places[rows.items[i].place - 1]];
    node->id = rows.items[i].id;
    node->known = true;
    struct db_strs outputs = rows.items[i].outputs;
    node->outputs = set_of(load, outputs.items, outputs.count);
  }
  return 0;
}

/* One level: the whole queue is looked up at once; reading the unknown ones
   queues the next level. */
static int
take_level(struct graph_load *load, struct error *err)
{
  CLEANUP_FREE uint32_t *level = TAKE_PTR(load->queue);
  size_t count = load->queue_count;
  load->queue_count = load->queue_capacity = 0;
  int r = look_up(load, level, count, err);
  for (size_t i = 0; r == 0 && i < count; i++) {
    struct error why = { 0 };
    if (!load->nodes[level[i]].known && read_derivation(load, level[i], &why) < 0)
      r = refuse(load, level[i], &why, err);
  }
  return r;
}

static int
outcome(const struct graph_load *load, struct error *err)
{
  if (load->failure.code != 0 && err != NULL)
    *err = load->failure;
  return load->failure.code;
}

static int
finish(struct graph_load *load, struct error *err)
{
  while (load->failure.code == 0 && load->queue_count > 0)
    take_level(load, &load->failure);
  return outcome(load, err);
}

int
graph_load_settle(struct graph_load *load, struct error *err)
{
  int r = finish(load, err);
  if (r < 0)
    return r;
  while (sift(load))
    continue;
  mark_uses(load);
  return outcome(load, err);
}

int
graph_load_add(struct graph_load *load, struct str drv_path, struct error *err)
{
  if (!guix_path_is_valid(drv_path) || !guix_path_is_derivation(drv_path))
    return error_set(err, -EINVAL, "\"%.*s\" is not the path of a derivation", STR_FMT(drv_path));
  enqueue(load, node_of(load, drv_path));
  if (load->failure.code == 0 && load->queue_count < QUEUE_TARGET)
    return 0;
  return finish(load, err);
}

void
graph_load_sift(struct graph_load *load)
{
  load->sifts = true;
}

size_t
graph_load_count(const struct graph_load *load)
{
  return load->derivations_count;
}

const struct str *
graph_load_sources(struct graph_load *load, size_t *ret_count)
{
  (void) graph_load_settle(load, NULL); /* graph_load_write tells */
  load->source_paths_count = 0;
  for (size_t i = 0; i < load->nodes_count; i++) {
    if (!load->nodes[i].source)
      continue;
    mem_grow(&load->source_paths, &load->source_paths_capacity, load->source_paths_count + 1,
             sizeof *load->source_paths);
    load->source_paths[load->source_paths_count++] = load->nodes[i].path;
  }
  *ret_count = load->source_paths_count;
  return load->source_paths;
}

static const struct load_node *
find_node(const struct graph_load *load, struct str path)
{
  int64_t place;
  if (!guix_path_is_valid(path) || !str_map_get(&load->places, guix_path_basename(path), &place))
    return NULL;
  return &load->nodes[place];
}

struct str
graph_load_refusal(const struct graph_load *load, struct str drv_path)
{
  const struct load_node *node = find_node(load, drv_path);
  return node == NULL ? (struct str) { NULL, 0 } : node->refusal;
}

int64_t
graph_load_id(const struct graph_load *load, struct str drv_path)
{
  const struct load_node *node = find_node(load, drv_path);
  return node == NULL || node->refusal.data != NULL ? 0 : node->id;
}
