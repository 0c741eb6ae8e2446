/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Private: one step of a compressor or decompressor, whatever the library.
   Both ways of using it, push and pull, are built on this. */
#pragma once

#include "guix/compression.h"

/* Where output goes: the unused end of somebody's bytes. */
struct room
{
  char *data;
  size_t size;
};

/* Advances both by what was used and made. */
static inline void
coder_advance(struct str *in, size_t used, struct room *out, size_t made)
{
  *in = str_from(*in, used);
  out->data += made;
  out->size -= made;
}

struct coder
{
  /* Moves on: takes bytes off the front of *IN and puts bytes into *OUT until
     *IN is used up or *OUT is full; with a full *OUT there may be more to come.
     LAST: nothing follows *IN. Returns 1 when, with LAST, everything was
     written (compressor) or the stream was whole (decompressor), else 0, or
     -EBADMSG with the reason in ERR. */
  int (*step)(struct coder *coder, struct str *in, struct room *out, bool last, struct error *err);
  void (*free)(struct coder *coder);
};

struct coder *coder_gzip_writer(int level);
struct coder *coder_gzip_reader(void);
struct coder *coder_lzip_writer(int level);
struct coder *coder_lzip_reader(void);
struct coder *coder_zstd_writer(int level);
struct coder *coder_zstd_reader(void);

/* NULL for GUIX_COMPRESSION_NONE, which needs no coder, and for what is no
   compression (see coder_is_known). LEVEL as in compression.h. */
struct coder *coder_writer(enum guix_compression compression, int level);
struct coder *coder_reader(enum guix_compression compression);
bool coder_is_known(enum guix_compression compression);

/* `step`, which it checks for progress: -EBADMSG when neither input was taken
   nor output made though there was some of the one and room for the other. */
int coder_step(struct coder *coder, struct str *in, struct room *out, bool last, struct error *err);

static inline void
coder_free(struct coder *coder)
{
  if (coder != NULL)
    coder->free(coder);
}
