/* SPDX-License-Identifier: GPL-3.0-or-later */
/* gzip (RFC 1952) by zlib. */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <zlib.h>

#include "base/mem.h"
#include "guix/coder.h"

#define GZIP_WINDOW (15 + 16) /* 32 KiB, and gzip framing instead of zlib's */
#define MEMORY_LEVEL 8        /* zlib's default */

struct gzip
{
  struct coder coder;
  z_stream stream;
  bool is_between; /* reading: a member has ended and no other has begun */
  bool is_pending; /* reading: OUT was full, more may come without input */
};

static void
set_stream(z_stream *stream, struct str in, const struct room *out)
{
  stream->next_in = (Bytef *) in.data; /* zlib does not write there */
  stream->avail_in = in.size < UINT_MAX ? (uInt) in.size : UINT_MAX;
  stream->next_out = (Bytef *) out->data;
  stream->avail_out = out->size < UINT_MAX ? (uInt) out->size : UINT_MAX;
}

static void
advance(const z_stream *stream, struct str *in, struct room *out)
{
  coder_advance(in, (size_t) ((const char *) stream->next_in - in->data), out,
                (size_t) ((char *) stream->next_out - out->data));
}

static int
step_writer(struct coder *coder, struct str *in, struct room *out, bool last, struct error *err)
{
  struct gzip *gzip = (struct gzip *) coder;
  set_stream(&gzip->stream, *in, out);
  bool is_final = last && gzip->stream.avail_in == in->size;
  int status = deflate(&gzip->stream, is_final ? Z_FINISH : Z_NO_FLUSH);
  advance(&gzip->stream, in, out);
  if (status == Z_STREAM_END)
    return 1;
  /* Z_BUF_ERROR only says that there was nothing to do. */
  return status == Z_OK || status == Z_BUF_ERROR
             ? 0
             : error_set(err, -EBADMSG, "gzip: %s", zError(status));
}

static void
free_writer(struct coder *coder)
{
  deflateEnd(&((struct gzip *) coder)->stream);
  free(coder);
}

struct coder *
coder_gzip_writer(int level)
{
  struct gzip *gzip = mem_alloc(sizeof *gzip);
  gzip->coder = (struct coder) { step_writer, free_writer };
  if (deflateInit2(&gzip->stream, level, Z_DEFLATED, GZIP_WINDOW, MEMORY_LEVEL, Z_DEFAULT_STRATEGY)
      != Z_OK)
    abort(); /* out of memory */
  return &gzip->coder;
}

static int
step_reader(struct coder *coder, struct str *in, struct room *out, bool last, struct error *err)
{
  struct gzip *gzip = (struct gzip *) coder;
  while (out->size > 0 && (in->size > 0 || gzip->is_pending)) {
    if (gzip->is_between)
      inflateReset(&gzip->stream);
    set_stream(&gzip->stream, *in, out);
    int status = inflate(&gzip->stream, Z_NO_FLUSH);
    advance(&gzip->stream, in, out);
    gzip->is_between = status == Z_STREAM_END;
    gzip->is_pending = status == Z_OK && out->size == 0;
    if (status != Z_STREAM_END && status != Z_OK && status != Z_BUF_ERROR)
      return error_set(err, -EBADMSG, "bad gzip data: %s",
                       gzip->stream.msg != NULL ? gzip->stream.msg : zError(status));
  }
  return last && in->size == 0 && gzip->is_between;
}

static void
free_reader(struct coder *coder)
{
  inflateEnd(&((struct gzip *) coder)->stream);
  free(coder);
}

struct coder *
coder_gzip_reader(void)
{
  struct gzip *gzip = mem_alloc(sizeof *gzip);
  gzip->coder = (struct coder) { step_reader, free_reader };
  if (inflateInit2(&gzip->stream, GZIP_WINDOW) != Z_OK)
    abort(); /* out of memory */
  return &gzip->coder;
}
