/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Decompressors: push and pull, and pieces of any size, come to the same. */
#include "guix/compression.h"

#include <errno.h>

#include "base/buf.h"
#include "guix/fuzz/fuzz.h"

#define LIMIT (1u << 18) /* bytes of output */

static int
collect(void *context, struct str piece)
{
  buf_append_str(context, piece);
  return 0;
}

static int
push(enum guix_compression format, struct str data, size_t step, struct buf *out)
{
  struct guix_decompressor *decompressor = guix_decompressor_new(format, LIMIT, collect, out);
  int r = 0;
  while (r == 0 && data.size > 0) {
    size_t size = data.size < step ? data.size : step;
    r = guix_decompressor_feed(decompressor, str_make(data.data, size), NULL);
    data = str_from(data, size);
  }
  if (r == 0)
    r = guix_decompressor_end(decompressor, NULL);
  guix_decompressor_free(decompressor);
  MUST(out->size <= LIMIT);
  return r;
}

static int
pull(enum guix_compression format, struct str data, size_t step, struct buf *out)
{
  struct guix_source *source = guix_source_of_bytes(format, data);
  int64_t got;
  do {
    got = guix_source_read(source, buf_reserve(out, step), step);
    MUST(got <= (int64_t) step);
    if (got > 0)
      out->size += (size_t) got;
  } while (got > 0 && out->size <= LIMIT);
  guix_source_free(source);
  return out->size > LIMIT ? -EFBIG : (int) got;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  struct str input = str_make(data, size);
  unsigned choice = fuzz_choose(&input);
  enum guix_compression format = choice % GUIX_COMPRESSION_MAX;
  size_t step = 1 + choice / GUIX_COMPRESSION_MAX * 7;
  CLEANUP_BUF struct buf whole = { 0 }, pieces = { 0 }, pulled = { 0 };
  int r = push(format, input, input.size + 1, &whole);
  MUST((push(format, input, step, &pieces) == 0) == (r == 0));
  MUST((pull(format, input, step + 100, &pulled) == 0) == (r == 0));
  MUST(r != 0
       || (str_equal(buf_str(&whole), buf_str(&pieces))
           && str_equal(buf_str(&whole), buf_str(&pulled))));
  return 0;
}
