/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "graph/test_store.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/file.h"
#include "base/mem.h"
#include "guix/guix.h"

static void
must(int r, const struct error *err)
{
  if (r >= 0)
    return;
  fprintf(stderr, "test store: %s\n", err->message);
  abort();
}

struct test_store *
test_store_new(void)
{
  struct error err = { 0 };
  struct test_store *store = mem_alloc(sizeof *store);
  char *root = mem_strdup("/tmp/panoply-store-XXXXXX");
  if (mkdtemp(root) == NULL)
    abort();
  store->root = root;
  must(file_make_dirs(arena_printf(&store->arena, "%s" GUIX_STORE, root), 0755, &err), &err);
  return store;
}

void
test_store_free(struct test_store *store)
{
  struct error err = { 0 };
  must(file_remove_tree(store->root, &err), &err);
  arena_free(&store->arena);
  free(store->root);
  free(store);
}

const char *
test_store_file(struct test_store *store, struct str path)
{
  return arena_printf(&store->arena, "%s%.*s", store->root, STR_FMT(path));
}

static struct str
add(struct test_store *store, struct str name, struct str contents, const struct str *references,
    size_t count)
{
  struct error err = { 0 };
  struct str path = guix_path_of_text(&store->arena, name, contents, references, count);
  must(file_write_atomic(test_store_file(store, path), contents, 0444, &err), &err);
  return path;
}

struct str
test_store_text(struct test_store *store, const char *name, const char *contents)
{
  return add(store, str_of(name), str_of(contents), NULL, 0);
}

static int
compare_paths(const void *a, const void *b)
{
  return str_compare(*(const struct str *) a, *(const struct str *) b);
}

static struct str *
sorted_copy(struct test_store *store, const struct str *paths, size_t count)
{
  struct str *copy = arena_array(&store->arena, count, sizeof *copy);
  for (size_t i = 0; i < count; i++)
    copy[i] = paths[i];
  qsort(copy, count, sizeof *copy, compare_paths);
  return copy;
}

/* Paths follow from the name alone: good enough where nobody builds. */
static struct guix_output
output_of(struct test_store *store, const char *name, const char *output, bool fixed)
{
  struct guix_hash hash = guix_hash_of(str_of(arena_printf(&store->arena, "%s:%s", name, output)));
  return (struct guix_output) {
    .name = str_of(output),
    .path = guix_path_make(&store->arena, str_of(arena_printf(&store->arena, "output:%s", output)),
                           &hash, str_of(name)),
    .hash_algorithm = fixed ? STR("sha256") : STR(""),
    .hash =
        fixed ? STR("a948904f2f0f479b8f8197694b30184b0d2ed1c1cd2a1ec0fb85d299a192a447") : STR(""),
  };
}

struct str
test_store_derivation(struct test_store *store, const char *name, const struct str *inputs,
                      size_t inputs_count, const struct str *sources, size_t sources_count,
                      bool fixed)
{
  static const struct str out = { "out", 3 };
  struct guix_output outputs[2] = { output_of(store, name, "lib", false),
                                    output_of(store, name, "out", false) };
  if (fixed)
    outputs[0] = output_of(store, name, "out", true);
  /* Every output is a variable too: the parser insists. */
  struct guix_variable variables[2] = { { outputs[0].name, outputs[0].path },
                                        { outputs[1].name, outputs[1].path } };
  struct str *input_paths = sorted_copy(store, inputs, inputs_count);
  struct guix_input *edges = arena_array(&store->arena, inputs_count, sizeof *edges);
  struct str *references =
      arena_array(&store->arena, inputs_count + sources_count, sizeof *references);
  for (size_t i = 0; i < inputs_count; i++) {
    edges[i] = (struct guix_input) { .path = input_paths[i], .outputs = &out, .outputs_count = 1 };
    references[i] = input_paths[i];
  }
  struct guix_derivation derivation = { .outputs = outputs,
                                        .outputs_count = fixed ? 1 : 2,
                                        .inputs = edges,
                                        .inputs_count = inputs_count,
                                        .sources = sorted_copy(store, sources, sources_count),
                                        .sources_count = sources_count,
                                        .system = STR("x86_64-linux"),
                                        .builder = STR("builtin:download"),
                                        .variables = variables,
                                        .variables_count = fixed ? 1 : 2 };
  for (size_t i = 0; i < sources_count; i++)
    references[inputs_count + i] = derivation.sources[i];
  qsort(references, inputs_count + sources_count, sizeof *references, compare_paths);

  CLEANUP_BUF struct buf text = { 0 };
  guix_derivation_print(&derivation, &text);
  return add(store, str_of(arena_printf(&store->arena, "%s.drv", name)), buf_str(&text), references,
             inputs_count + sources_count);
}
