/* SPDX-License-Identifier: GPL-3.0-or-later */
/* lzip by lzlib. */
#include <errno.h>
#include <limits.h>
#include <stdint.h>
#include <stdlib.h>

#include <lzlib.h> /* wants stdint.h before it */

#include "base/mem.h"
#include "guix/coder.h"

#define MEMBER_SIZE_MAX (1ull << 51) /* bytes; the format's limit: one member is enough */

struct lzip
{
  struct coder coder;
  struct LZ_Encoder *encoder;
  struct LZ_Decoder *decoder;
  bool is_finishing;
};

/* What the levels of the lzip program mean. */
static const struct
{
  int dictionary_size; /* bytes */
  int match_length;
} levels[10] = {
  { 65535, 16 },   { 1 << 20, 5 },  { 3 << 19, 6 },  { 1 << 21, 8 },   { 3 << 20, 12 },
  { 1 << 22, 20 }, { 1 << 23, 36 }, { 1 << 24, 68 }, { 3 << 23, 132 }, { 1 << 25, 273 },
};

static int
clamp(size_t size)
{
  return size < INT_MAX ? (int) size : INT_MAX;
}

static int
step_writer(struct coder *coder, struct str *in, struct room *out, bool last, struct error *err)
{
  struct lzip *lzip = (struct lzip *) coder;
  int used, made;
  do {
    used = LZ_compress_write(lzip->encoder, (const uint8_t *) in->data, clamp(in->size));
    if (used > 0)
      *in = str_from(*in, (size_t) used);
    if (last && in->size == 0 && !lzip->is_finishing) {
      LZ_compress_finish(lzip->encoder);
      lzip->is_finishing = true;
    }
    made = LZ_compress_read(lzip->encoder, (uint8_t *) out->data, clamp(out->size));
    if (made < 0)
      return error_set(err, -EBADMSG, "lzip: %s", LZ_strerror(LZ_compress_errno(lzip->encoder)));
    coder_advance(in, 0, out, (size_t) made);
  } while (out->size > 0 && (used > 0 || made > 0));
  return last && LZ_compress_finished(lzip->encoder) == 1;
}

static void
free_coder(struct coder *coder)
{
  struct lzip *lzip = (struct lzip *) coder;
  if (lzip->encoder != NULL)
    LZ_compress_close(lzip->encoder);
  if (lzip->decoder != NULL)
    LZ_decompress_close(lzip->decoder);
  free(lzip);
}

struct coder *
coder_lzip_writer(int level)
{
  struct lzip *lzip = mem_alloc(sizeof *lzip);
  lzip->coder = (struct coder) { step_writer, free_coder };
  lzip->encoder =
      LZ_compress_open(levels[level].dictionary_size, levels[level].match_length, MEMBER_SIZE_MAX);
  if (lzip->encoder == NULL || LZ_compress_errno(lzip->encoder) != LZ_ok)
    abort(); /* out of memory */
  return &lzip->coder;
}

/* Members one after another are the library's business, and so is what follows
   the last one: it takes that for a broken header. */
static int
step_reader(struct coder *coder, struct str *in, struct room *out, bool last, struct error *err)
{
  struct lzip *lzip = (struct lzip *) coder;
  int used, made;
  do {
    used = LZ_decompress_write(lzip->decoder, (const uint8_t *) in->data, clamp(in->size));
    if (used > 0)
      *in = str_from(*in, (size_t) used);
    if (last && in->size == 0 && !lzip->is_finishing) {
      LZ_decompress_finish(lzip->decoder);
      lzip->is_finishing = true;
    }
    made = LZ_decompress_read(lzip->decoder, (uint8_t *) out->data, clamp(out->size));
    if (made < 0)
      return error_set(err, -EBADMSG, "bad lzip data: %s",
                       LZ_strerror(LZ_decompress_errno(lzip->decoder)));
    coder_advance(in, 0, out, (size_t) made);
  } while (out->size > 0 && (used > 0 || made > 0));
  return last && LZ_decompress_finished(lzip->decoder) == 1
         && LZ_decompress_total_in_size(lzip->decoder) > 0;
}

struct coder *
coder_lzip_reader(void)
{
  struct lzip *lzip = mem_alloc(sizeof *lzip);
  lzip->coder = (struct coder) { step_reader, free_coder };
  lzip->decoder = LZ_decompress_open();
  if (lzip->decoder == NULL || LZ_decompress_errno(lzip->decoder) != LZ_ok)
    abort(); /* out of memory */
  return &lzip->coder;
}
