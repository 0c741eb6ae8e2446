/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Names of compressions, and the push side. */
#include "guix/compression.h"

#include <errno.h>
#include <stdlib.h>

#include "base/mem.h"
#include "guix/coder.h"

#define WINDOW_SIZE (128u << 10) /* bytes; what libzstd likes best */

static const struct format
{
  const char *name;
  int default_level;
  int max_level;
  struct coder *(*writer)(int level);
  struct coder *(*reader)(void);
} formats[GUIX_COMPRESSION_MAX] = {
  [GUIX_COMPRESSION_NONE] = { "none", 0, 0, NULL, NULL },
  [GUIX_COMPRESSION_GZIP] = { "gzip", 6, 9, coder_gzip_writer, coder_gzip_reader },
  [GUIX_COMPRESSION_LZIP] = { "lzip", 6, 9, coder_lzip_writer, coder_lzip_reader },
  [GUIX_COMPRESSION_ZSTD] = { "zstd", 3, 19, coder_zstd_writer, coder_zstd_reader },
};

bool
coder_is_known(enum guix_compression compression)
{
  return (int) compression >= 0 && compression < GUIX_COMPRESSION_MAX;
}

const char *
guix_compression_name(enum guix_compression compression)
{
  return coder_is_known(compression) ? formats[compression].name : "invalid";
}

enum guix_compression
guix_compression_parse(struct str name)
{
  for (int i = 0; i < GUIX_COMPRESSION_MAX; i++)
    if (str_equal(name, str_of(formats[i].name)))
      return (enum guix_compression) i;
  return GUIX_COMPRESSION_INVALID;
}

struct coder *
coder_writer(enum guix_compression compression, int level)
{
  if (!coder_is_known(compression) || formats[compression].writer == NULL)
    return NULL;
  const struct format *format = &formats[compression];
  if (level <= 0)
    level = format->default_level;
  return format->writer(level < format->max_level ? level : format->max_level);
}

struct coder *
coder_reader(enum guix_compression compression)
{
  if (!coder_is_known(compression) || formats[compression].reader == NULL)
    return NULL;
  return formats[compression].reader();
}

int
coder_step(struct coder *coder, struct str *in, struct room *out, bool last, struct error *err)
{
  size_t given = in->size, room = out->size;
  int r = coder->step(coder, in, out, last, err);
  if (r == 0 && given > 0 && in->size == given && out->size == room)
    return error_set(err, -EBADMSG, "the compressed data leads nowhere");
  return r;
}

/* ---- push ---- */

struct pusher
{
  struct coder *coder; /* NULL: bytes pass as they are */
  guix_sink *sink;
  void *context;
  uint64_t limit; /* bytes of output, 0 = none */
  uint64_t total; /* bytes of output so far */
  char *window;
};

struct guix_compressor
{
  struct pusher pusher;
};

struct guix_decompressor
{
  struct pusher pusher;
};

static void
pusher_init(struct pusher *pusher, struct coder *coder, guix_sink *sink, void *context)
{
  pusher->coder = coder;
  pusher->sink = sink;
  pusher->context = context;
  if (coder != NULL)
    pusher->window = mem_alloc(WINDOW_SIZE);
}

static void
pusher_clear(struct pusher *pusher)
{
  coder_free(pusher->coder);
  free(pusher->window);
}

static int
pusher_pass(struct pusher *pusher, struct str piece, struct error *err)
{
  if (piece.size == 0)
    return 0;
  if (pusher->limit > 0 && piece.size > pusher->limit - pusher->total)
    return error_set(err, -EFBIG, "more than %llu bytes when decompressed",
                     (unsigned long long) pusher->limit);
  pusher->total += piece.size;
  int r = pusher->sink(pusher->context, piece);
  return r < 0 ? error_set(err, r, "cannot pass data on: %s", strerror(-r)) : 0;
}

/* Steps until PIECE is used up and nothing more comes out. Returns what the
   last step did. */
static int
pusher_run(struct pusher *pusher, struct str piece, bool last, struct error *err)
{
  for (;;) {
    struct room out = { pusher->window, WINDOW_SIZE };
    int step = coder_step(pusher->coder, &piece, &out, last, err);
    if (step < 0)
      return step;
    int r = pusher_pass(pusher, str_make(pusher->window, WINDOW_SIZE - out.size), err);
    if (r < 0)
      return r;
    if (piece.size == 0 && out.size > 0)
      return step;
  }
}

static int
pusher_feed(struct pusher *pusher, struct str piece, struct error *err)
{
  return pusher->coder == NULL ? pusher_pass(pusher, piece, err)
                               : pusher_run(pusher, piece, false, err);
}

/* 1 = everything was written or the stream was whole; 0 = not. */
static int
pusher_end(struct pusher *pusher, struct error *err)
{
  return pusher->coder == NULL ? 1 : pusher_run(pusher, STR(""), true, err);
}

struct guix_compressor *
guix_compressor_new(enum guix_compression compression, int level, guix_sink *sink, void *context)
{
  if (!coder_is_known(compression))
    return NULL;
  struct guix_compressor *compressor = mem_alloc(sizeof *compressor);
  pusher_init(&compressor->pusher, coder_writer(compression, level), sink, context);
  return compressor;
}

int
guix_compressor_feed(struct guix_compressor *compressor, struct str piece, struct error *err)
{
  return pusher_feed(&compressor->pusher, piece, err);
}

int
guix_compressor_end(struct guix_compressor *compressor, struct error *err)
{
  int r = pusher_end(&compressor->pusher, err);
  return r < 0 ? r : 0;
}

void
guix_compressor_free(struct guix_compressor *compressor)
{
  if (compressor == NULL)
    return;
  pusher_clear(&compressor->pusher);
  free(compressor);
}

struct guix_decompressor *
guix_decompressor_new(enum guix_compression compression, uint64_t limit, guix_sink *sink,
                      void *context)
{
  if (!coder_is_known(compression))
    return NULL;
  struct guix_decompressor *decompressor = mem_alloc(sizeof *decompressor);
  pusher_init(&decompressor->pusher, coder_reader(compression), sink, context);
  decompressor->pusher.limit = limit;
  return decompressor;
}

int
guix_decompressor_feed(struct guix_decompressor *decompressor, struct str piece, struct error *err)
{
  return pusher_feed(&decompressor->pusher, piece, err);
}

int
guix_decompressor_end(struct guix_decompressor *decompressor, struct error *err)
{
  int r = pusher_end(&decompressor->pusher, err);
  return r != 0 ? (r < 0 ? r : 0) : error_set(err, -EBADMSG, "the compressed data ends too early");
}

void
guix_decompressor_free(struct guix_decompressor *decompressor)
{
  if (decompressor == NULL)
    return;
  pusher_clear(&decompressor->pusher);
  free(decompressor);
}
