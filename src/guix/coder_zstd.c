/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Zstandard (RFC 8878) by libzstd. */
#include <errno.h>
#include <stdlib.h>
#include <zstd.h>

#include "base/mem.h"
#include "guix/coder.h"

struct zstd
{
  struct coder coder;
  ZSTD_CCtx *writer;
  ZSTD_DCtx *reader;
  bool is_between; /* reading: a frame has ended and no other has begun */
  bool is_pending; /* reading: OUT was full, more may come without input */
};

static int
step_writer(struct coder *coder, struct str *in, struct room *out, bool last, struct error *err)
{
  struct zstd *zstd = (struct zstd *) coder;
  ZSTD_inBuffer input = { in->data, in->size, 0 };
  ZSTD_outBuffer output = { out->data, out->size, 0 };
  size_t left =
      ZSTD_compressStream2(zstd->writer, &output, &input, last ? ZSTD_e_end : ZSTD_e_continue);
  coder_advance(in, input.pos, out, output.pos);
  if (ZSTD_isError(left))
    return error_set(err, -EBADMSG, "zstd: %s", ZSTD_getErrorName(left));
  return last && left == 0;
}

static void
free_coder(struct coder *coder)
{
  struct zstd *zstd = (struct zstd *) coder;
  ZSTD_freeCCtx(zstd->writer);
  ZSTD_freeDCtx(zstd->reader);
  free(zstd);
}

struct coder *
coder_zstd_writer(int level)
{
  struct zstd *zstd = mem_alloc(sizeof *zstd);
  zstd->coder = (struct coder) { step_writer, free_coder };
  zstd->writer = ZSTD_createCCtx();
  if (zstd->writer == NULL)
    abort(); /* out of memory */
  ZSTD_CCtx_setParameter(zstd->writer, ZSTD_c_compressionLevel, level);
  ZSTD_CCtx_setParameter(zstd->writer, ZSTD_c_checksumFlag, 1);
  return &zstd->coder;
}

static int
step_reader(struct coder *coder, struct str *in, struct room *out, bool last, struct error *err)
{
  struct zstd *zstd = (struct zstd *) coder;
  ZSTD_inBuffer input = { in->data, in->size, 0 };
  ZSTD_outBuffer output = { out->data, out->size, 0 };
  while (output.pos < output.size && (input.pos < input.size || zstd->is_pending)) {
    size_t left = ZSTD_decompressStream(zstd->reader, &output, &input);
    if (ZSTD_isError(left))
      return error_set(err, -EBADMSG, "bad zstd data: %s", ZSTD_getErrorName(left));
    zstd->is_between = left == 0;
    zstd->is_pending = left > 0 && output.pos == output.size;
  }
  coder_advance(in, input.pos, out, output.pos);
  return last && in->size == 0 && zstd->is_between;
}

struct coder *
coder_zstd_reader(void)
{
  struct zstd *zstd = mem_alloc(sizeof *zstd);
  zstd->coder = (struct coder) { step_reader, free_coder };
  zstd->reader = ZSTD_createDCtx();
  if (zstd->reader == NULL)
    abort(); /* out of memory */
  return &zstd->coder;
}
