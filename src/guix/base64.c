/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "guix/base64.h"

#include <errno.h>

static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/* Groups: three bytes, four digits; COUNT bytes of the group are there. */
static void
encode_group(const unsigned char *bytes, size_t count, char ret[4])
{
  uint32_t group = (uint32_t) bytes[0] << 16;
  if (count > 1)
    group |= (uint32_t) bytes[1] << 8;
  if (count > 2)
    group |= bytes[2];
  for (size_t i = 0; i < 4; i++)
    ret[i] = i <= count ? digits[group >> (18 - 6 * i) & 63] : '=';
}

void
base64_encode(struct str data, struct buf *out)
{
  char *next = buf_reserve(out, (data.size + 2) / 3 * 4);
  for (size_t i = 0; i < data.size; i += 3, next += 4) {
    size_t count = data.size - i < 3 ? data.size - i : 3;
    encode_group((const unsigned char *) data.data + i, count, next);
  }
  out->size += (data.size + 2) / 3 * 4;
}

static int
digit_value(char c)
{
  const char *found = c == '\0' ? NULL : strchr(digits, c);
  return found == NULL ? -1 : (int) (found - digits);
}

static int
decode_group(const char *text, size_t count, struct buf *out)
{
  uint32_t group = 0;
  for (size_t i = 0; i <= count; i++) {
    int value = digit_value(text[i]);
    if (value < 0)
      return -EINVAL;
    group |= (uint32_t) value << (18 - 6 * i);
  }
  if ((group & (0xffffffu >> (8 * count))) != 0)
    return -EINVAL;
  for (size_t i = 0; i < count; i++)
    buf_append_char(out, (char) (group >> (16 - 8 * i)));
  return 0;
}

int
base64_decode(struct str text, struct buf *out)
{
  if (text.size % 4 != 0)
    return -EINVAL;
  for (size_t i = 0; i < text.size; i += 4) {
    size_t count = 3;
    if (i + 4 == text.size && text.data[i + 3] == '=')
      count = text.data[i + 2] == '=' ? 1 : 2;
    int r = decode_group(text.data + i, count, out);
    if (r < 0)
      return r;
  }
  return 0;
}
