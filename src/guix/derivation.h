/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Derivations: the text of `.drv` files, read and written byte for byte, and
   the output paths that follow from it. */
#pragma once

#include "base/arena.h"
#include "base/buf.h"
#include "guix/store_path.h"

struct guix_output
{
  struct str name;           /* "out", ... */
  struct str path;           /* full path */
  struct str hash_algorithm; /* "", "sha256", "r:sha256", ... */
  struct str hash;           /* "" or base16 */
};

struct guix_input
{
  struct str path;           /* full path of a .drv */
  const struct str *outputs; /* names, sorted */
  size_t outputs_count;
};

struct guix_variable
{
  struct str name;
  struct str value;
};

/* All slices live in the arena given to guix_derivation_parse. Arrays are
   sorted as in the text. */
struct guix_derivation
{
  struct guix_output *outputs;
  size_t outputs_count;
  struct guix_input *inputs;
  size_t inputs_count;
  struct str *sources; /* full paths */
  size_t sources_count;
  struct str system;
  struct str builder;
  struct str *arguments;
  size_t arguments_count;
  struct guix_variable *variables;
  size_t variables_count;
};

#define GUIX_DERIVATION_SIZE_MAX (16u << 20) /* bytes of text accepted */

/* Strict: exactly the form that guix writes (sorted, no white space, nothing
   after it) and that guix-daemon takes (each output's variable holds its path),
   so printing gives the same bytes; -EINVAL with the byte offset in ERR, -EFBIG.
   Store paths are checked; whether output paths are the right ones is not
   (guix_derivation_output_path). TEXT may go afterwards. */
int guix_derivation_parse(struct str text, struct arena *arena, struct guix_derivation *ret,
                          struct error *err);

void guix_derivation_print(const struct guix_derivation *derivation, struct buf *out);

bool guix_derivation_is_fixed(const struct guix_derivation *derivation);
/* Value of a variable; data NULL = absent. */
struct str guix_derivation_variable(const struct guix_derivation *derivation, const char *name);
const struct guix_variable *guix_derivation_find_variable(const struct guix_derivation *derivation,
                                                          struct str name);

/* References of the `.drv` as a store item, which whoever adds it must pass
   (guix_daemon_add_text) and its name depends on (guix_path_of_text): its inputs
   and sources, full paths, sorted; in ARENA. */
struct str *guix_derivation_references(const struct guix_derivation *derivation,
                                       struct arena *arena, size_t *ret_count);

/* Looks up M(input), the hash modulo, of an input derivation. */
typedef int guix_modulo_lookup(void *context, struct str drv_path, struct guix_hash *ret,
                               struct error *err);

/* M(drv) (MASKED false), which dependents use, or Mmask(drv) (true), from which
   output paths are made; reference 2.3. LOOKUP is asked for each input of a
   derivation that is not fixed; its failure is passed on. */
int guix_derivation_hash_modulo(const struct guix_derivation *derivation, bool masked,
                                guix_modulo_lookup *lookup, void *context, struct guix_hash *ret,
                                struct error *err);

/* Recomputes output INDEX's path. NAME: the derivation's name without ".drv". */
int guix_derivation_output_path(const struct guix_derivation *derivation, struct str name,
                                size_t index, guix_modulo_lookup *lookup, void *context,
                                struct arena *arena, struct str *ret, struct error *err);
