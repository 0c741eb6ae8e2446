/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Hash modulo and the output paths that follow from it (reference 2.3, 2.4). */
#include <errno.h>
#include <stdlib.h>

#include "guix/derivation.h"

static int
compare_inputs(const void *a, const void *b)
{
  const struct guix_input *left = a, *right = b;
  return str_compare(left->path, right->path);
}

static int
compare_names(const void *a, const void *b)
{
  const struct str *left = a, *right = b;
  return str_compare(*left, *right);
}

/* Inputs with base16 of their hashes in place of their paths, sorted by them. */
static int
hashed_inputs(const struct guix_derivation *derivation, guix_modulo_lookup *lookup, void *context,
              struct arena *arena, struct guix_input **ret, struct error *err)
{
  size_t count = derivation->inputs_count;
  struct guix_input *inputs = arena_array(arena, count, sizeof *inputs);
  for (size_t i = 0; i < count; i++) {
    struct guix_hash hash;
    int r = lookup(context, derivation->inputs[i].path, &hash, err);
    if (r < 0)
      return r;
    char *digits = arena_alloc(arena, GUIX_HASH_HEX_SIZE);
    str_to_hex(hash.bytes, sizeof hash.bytes, digits);
    inputs[i] = derivation->inputs[i];
    inputs[i].path = str_make(digits, GUIX_HASH_HEX_SIZE);
  }
  if (count > 0)
    qsort(inputs, count, sizeof *inputs, compare_inputs);
  *ret = inputs;
  return 0;
}

/* One input with the output names of COUNT equal ones, sorted, each once. */
static struct guix_input
merged_input(const struct guix_input *inputs, size_t count, struct arena *arena)
{
  size_t total = 0, filled = 0, kept = 0;
  for (size_t i = 0; i < count; i++)
    total += inputs[i].outputs_count;
  struct str *names = arena_array(arena, total, sizeof *names);
  for (size_t i = 0; i < count; i++)
    for (size_t j = 0; j < inputs[i].outputs_count; j++)
      names[filled++] = inputs[i].outputs[j];
  qsort(names, total, sizeof *names, compare_names);
  for (size_t i = 0; i < total; i++)
    if (kept == 0 || !str_equal(names[kept - 1], names[i]))
      names[kept++] = names[i];
  return (struct guix_input) { inputs[0].path, names, kept };
}

/* Different derivations may have the same hash, e.g. two ways to download one
   file: then they count as one input. Returns how many are left. */
static size_t
merge_equal_inputs(struct guix_input *inputs, size_t count, struct arena *arena)
{
  size_t kept = 0;
  for (size_t i = 0, next; i < count; i = next) {
    next = i + 1;
    while (next < count && str_equal(inputs[next].path, inputs[i].path))
      next++;
    inputs[kept++] = next == i + 1 ? inputs[i] : merged_input(inputs + i, next - i, arena);
  }
  return kept;
}

static bool
has_output(const struct guix_derivation *derivation, struct str name)
{
  for (size_t i = 0; i < derivation->outputs_count; i++)
    if (str_equal(derivation->outputs[i].name, name))
      return true;
  return false;
}

/* Replaces all output paths by nothing, in outputs and variables. */
static void
mask_outputs(struct guix_derivation *derivation, struct arena *arena)
{
  size_t outputs = derivation->outputs_count, variables = derivation->variables_count;
  struct guix_output *masked = arena_array(arena, outputs, sizeof *masked);
  struct guix_variable *environment = arena_array(arena, variables, sizeof *environment);
  for (size_t i = 0; i < outputs; i++) {
    masked[i] = derivation->outputs[i];
    masked[i].path = STR("");
  }
  for (size_t i = 0; i < variables; i++) {
    environment[i] = derivation->variables[i];
    if (has_output(derivation, environment[i].name))
      environment[i].value = STR("");
  }
  derivation->outputs = masked;
  derivation->variables = environment;
}

/* A fixed output is what it is, however it was come by. */
static struct guix_hash
fixed_hash(const struct guix_output *output, bool masked)
{
  CLEANUP_BUF struct buf text = { 0 };
  buf_append_text(&text, "fixed:out:");
  buf_append_str(&text, output->hash_algorithm);
  buf_append_char(&text, ':');
  buf_append_str(&text, output->hash);
  buf_append_char(&text, ':');
  buf_append_str(&text, masked ? STR("") : output->path);
  return guix_hash_of(buf_str(&text));
}

int
guix_derivation_hash_modulo(const struct guix_derivation *derivation, bool masked,
                            guix_modulo_lookup *lookup, void *context, struct guix_hash *ret,
                            struct error *err)
{
  if (guix_derivation_is_fixed(derivation)) {
    *ret = fixed_hash(&derivation->outputs[0], masked);
    return 0;
  }
  CLEANUP_ARENA struct arena arena = { 0 };
  struct guix_derivation changed = *derivation;
  int r = hashed_inputs(derivation, lookup, context, &arena, &changed.inputs, err);
  if (r < 0)
    return r;
  changed.inputs_count = merge_equal_inputs(changed.inputs, changed.inputs_count, &arena);
  if (masked)
    mask_outputs(&changed, &arena);
  CLEANUP_BUF struct buf text = { 0 };
  guix_derivation_print(&changed, &text);
  *ret = guix_hash_of(buf_str(&text));
  return 0;
}

static int
fixed_output_path(const struct guix_output *output, struct str name, struct arena *arena,
                  struct str *ret, struct error *err)
{
  struct guix_hash hash;
  if (str_equal(output->hash_algorithm, STR("r:sha256"))) {
    int r = guix_hash_parse(output->hash, &hash);
    if (r < 0)
      return error_set(err, r, "bad hash in a fixed output");
    *ret = guix_path_of_source(arena, name, &hash);
    return 0;
  }
  bool recursive = str_starts(output->hash_algorithm, STR("r:"));
  struct str algorithm = str_from(output->hash_algorithm, recursive ? 2 : 0);
  *ret = guix_path_of_fixed(arena, name, recursive, algorithm, output->hash);
  return 0;
}

int
guix_derivation_output_path(const struct guix_derivation *derivation, struct str name, size_t index,
                            guix_modulo_lookup *lookup, void *context, struct arena *arena,
                            struct str *ret, struct error *err)
{
  if (index >= derivation->outputs_count)
    return error_set(err, -EINVAL, "derivation has no output %zu", index);
  const struct guix_output *output = &derivation->outputs[index];
  bool plain = str_equal(output->name, STR("out"));
  struct str item =
      plain ? name : str_of(arena_printf(arena, "%.*s-%.*s", STR_FMT(name), STR_FMT(output->name)));
  if (!guix_name_is_valid(item))
    return error_set(err, -EINVAL, "bad store item name '%.*s'", STR_FMT(item));
  if (guix_derivation_is_fixed(derivation))
    return fixed_output_path(output, item, arena, ret, err);
  struct guix_hash hash;
  int r = guix_derivation_hash_modulo(derivation, true, lookup, context, &hash, err);
  if (r < 0)
    return r;
  struct str type = str_of(arena_printf(arena, "output:%.*s", STR_FMT(output->name)));
  *ret = guix_path_make(arena, type, &hash, item);
  return 0;
}
