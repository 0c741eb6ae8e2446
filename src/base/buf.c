/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "base/buf.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"

void
buf_free(struct buf *buf)
{
  free(buf->data);
  *buf = (struct buf) { 0 };
}

char *
buf_reserve(struct buf *buf, size_t size)
{
  mem_grow(&buf->data, &buf->capacity, buf->size + size + 1, 1);
  return buf->data + buf->size;
}

void
buf_append(struct buf *buf, const void *data, size_t size)
{
  if (size == 0)
    return;
  memcpy(buf_reserve(buf, size), data, size);
  buf->size += size;
}

void
buf_append_str(struct buf *buf, struct str text)
{
  buf_append(buf, text.data, text.size);
}

void
buf_append_text(struct buf *buf, const char *text)
{
  buf_append(buf, text, strlen(text));
}

void
buf_append_char(struct buf *buf, char c)
{
  *buf_reserve(buf, 1) = c;
  buf->size++;
}

void
buf_append_i64(struct buf *buf, int64_t value)
{
  char digits[24];
  int size = snprintf(digits, sizeof digits, "%lld", (long long) value);
  buf_append(buf, digits, (size_t) size);
}

void
buf_printf(struct buf *buf, const char *format, ...)
{
  va_list arguments, again;
  va_start(arguments, format);
  va_copy(again, arguments);
  int size = vsnprintf(NULL, 0, format, arguments);
  va_end(arguments);
  if (size > 0) {
    vsnprintf(buf_reserve(buf, (size_t) size), (size_t) size + 1, format, again);
    buf->size += (size_t) size;
  }
  va_end(again);
}

void
buf_consume(struct buf *buf, size_t size)
{
  if (size >= buf->size) {
    buf->size = 0;
    return;
  }
  memmove(buf->data, buf->data + size, buf->size - size);
  buf->size -= size;
}

const char *
buf_text(struct buf *buf)
{
  *buf_reserve(buf, 1) = '\0';
  return buf->data;
}
