/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What was parsed prints as the same bytes, and its hash can be computed. */
#include "guix/derivation.h"

#include "guix/fuzz/fuzz.h"

static int
modulo_of_name(void *context, struct str drv_path, struct guix_hash *ret, struct error *err)
{
  (void) context;
  (void) err;
  *ret = guix_hash_of(str_make(guix_path_name(drv_path).data, 1));
  return 0;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  CLEANUP_ARENA struct arena arena = { 0 };
  struct str text = str_make(data, size), path;
  struct guix_derivation derivation;
  struct error err = { 0 };
  if (guix_derivation_parse(text, &arena, &derivation, &err) < 0) {
    MUST(err.code < 0 && err.message[0] != '\0');
    return 0;
  }
  CLEANUP_BUF struct buf printed = { 0 };
  guix_derivation_print(&derivation, &printed);
  MUST(str_equal(buf_str(&printed), text));
  size_t count;
  guix_derivation_references(&derivation, &arena, &count);
  MUST(count <= derivation.inputs_count + derivation.sources_count);
  struct guix_hash hash;
  MUST(guix_derivation_hash_modulo(&derivation, false, modulo_of_name, NULL, &hash, NULL) == 0);
  for (size_t i = 0; i < derivation.outputs_count; i++)
    if (guix_derivation_output_path(&derivation, STR("x"), i, modulo_of_name, NULL, &arena, &path,
                                    NULL)
        == 0)
      MUST(guix_path_is_valid(path));
  return 0;
}
