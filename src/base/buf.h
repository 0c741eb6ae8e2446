/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A growing byte buffer. Zero-initialise (`struct buf b = { 0 };`), free with
   buf_free or CLEANUP_BUF. `data` is NULL while nothing was ever appended. */
#pragma once

#include <stdarg.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/str.h"

struct buf
{
  char *data;
  size_t size;
  size_t capacity;
};

void buf_free(struct buf *buf); /* empties it; may be used again */
#define CLEANUP_BUF PN_CLEANUP(buf_free)

void buf_append(struct buf *buf, const void *data, size_t size);
void buf_append_str(struct buf *buf, struct str text);
void buf_append_text(struct buf *buf, const char *text);
void buf_append_char(struct buf *buf, char c);
void buf_append_i64(struct buf *buf, int64_t value); /* decimal */
void buf_printf(struct buf *buf, const char *format, ...) PN_PRINTF(2, 3);

/* Room for SIZE more bytes; returns where they go. Then add to buf->size. */
char *buf_reserve(struct buf *buf, size_t size);

/* Drops the first SIZE bytes (moves the rest down). */
void buf_consume(struct buf *buf, size_t size);

/* Empties it but keeps the memory. */
static inline void
buf_clear(struct buf *buf)
{
  buf->size = 0;
}

/* Its contents as a slice, valid until the next append. */
static inline struct str
buf_str(const struct buf *buf)
{
  return str_make(buf->data, buf->size);
}

/* NUL-terminates (the NUL is not counted) and returns the text. */
const char *buf_text(struct buf *buf);
