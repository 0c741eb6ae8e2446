/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Streaming compression and decompression: none, gzip, lzip, zstd. */
#pragma once

#include "base/error.h"
#include "base/str.h"
#include "guix/nar.h"

enum guix_compression
{
  GUIX_COMPRESSION_NONE,
  GUIX_COMPRESSION_GZIP,
  GUIX_COMPRESSION_LZIP,
  GUIX_COMPRESSION_ZSTD,
  GUIX_COMPRESSION_MAX,
  GUIX_COMPRESSION_INVALID = -22, /* -EINVAL */
};

/* "none", "gzip", "lzip", "zstd", as narinfos spell them. */
const char *guix_compression_name(enum guix_compression compression);
enum guix_compression guix_compression_parse(struct str name);

/* Push: input goes in by _feed, output goes to SINK at any time. LEVEL: the
   format's own scale (gzip and lzip 1 to 9, zstd 1 to 19), clamped to it; 0 = a
   sensible default. Always end with _end, which flushes (compressors) or checks
   that the stream was whole (decompressors). A failed SINK's code is returned
   as it is; after an error, only _free. _new: NULL = no such compression. */
struct guix_compressor;
struct guix_compressor *guix_compressor_new(enum guix_compression compression, int level,
                                            guix_sink *sink, void *context);
int guix_compressor_feed(struct guix_compressor *compressor, struct str piece, struct error *err);
int guix_compressor_end(struct guix_compressor *compressor, struct error *err);
void guix_compressor_free(struct guix_compressor *compressor); /* NULL is fine */

/* Output beyond LIMIT bytes is refused with -EFBIG (0 = no limit): compressed
   data from outside may grow a thousandfold. -EBADMSG: damaged, truncated, or
   followed by something else; members (frames) one after another are fine. */
struct guix_decompressor;
struct guix_decompressor *guix_decompressor_new(enum guix_compression compression, uint64_t limit,
                                                guix_sink *sink, void *context);
int guix_decompressor_feed(struct guix_decompressor *decompressor, struct str piece,
                           struct error *err);
int guix_decompressor_end(struct guix_decompressor *decompressor, struct error *err);
void guix_decompressor_free(struct guix_decompressor *decompressor);

/* Pull: a file descriptor's decompressed bytes. READ semantics of the http room:
   count, 0 = end, negative = fail. FD is owned by the source. NULL: no such
   compression (FD is closed). Memory does not grow with the data. */
struct guix_source;
struct guix_source *guix_source_open(enum guix_compression compression, int fd);
struct guix_source *guix_source_of_bytes(enum guix_compression compression,
                                         struct str bytes); /* copied */
int64_t guix_source_read(void *source, char *room, size_t size);
void guix_source_free(void *source); /* NULL is fine */
