/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What libFuzzer calls: never fails, aborts on what must not be. */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "base/str.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MUST(condition) \
  do {                  \
    if (!(condition))   \
      abort();          \
  } while (0)

/* The first byte of the input chooses something; the rest is the matter. */
static inline unsigned
fuzz_choose(struct str *input)
{
  if (input->size == 0)
    return 0;
  unsigned choice = (unsigned char) input->data[0];
  *input = str_from(*input, 1);
  return choice;
}
