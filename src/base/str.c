/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "base/str.h"

#include <errno.h>

int
str_compare(struct str a, struct str b)
{
  size_t common = a.size < b.size ? a.size : b.size;
  int order = common == 0 ? 0 : memcmp(a.data, b.data, common);
  if (order != 0)
    return order < 0 ? -1 : 1;
  return (a.size > b.size) - (a.size < b.size);
}

bool
str_starts(struct str text, struct str prefix)
{
  return text.size >= prefix.size && str_equal(str_make(text.data, prefix.size), prefix);
}

bool
str_ends(struct str text, struct str suffix)
{
  return text.size >= suffix.size
         && str_equal(str_make(text.data + (text.size - suffix.size), suffix.size), suffix);
}

ptrdiff_t
str_find(struct str text, char c)
{
  const char *found = text.size == 0 ? NULL : memchr(text.data, c, text.size);
  return found == NULL ? -1 : found - text.data;
}

struct str
str_from(struct str text, size_t offset)
{
  if (offset >= text.size)
    return str_make(text.data == NULL ? NULL : text.data + text.size, 0);
  return str_make(text.data + offset, text.size - offset);
}

bool
str_split(struct str *rest, char separator, struct str *ret_part)
{
  if (rest->data == NULL)
    return false;
  ptrdiff_t at = str_find(*rest, separator);
  if (at < 0) {
    *ret_part = *rest;
    *rest = (struct str) { NULL, 0 };
    return true;
  }
  *ret_part = str_make(rest->data, (size_t) at);
  *rest = str_from(*rest, (size_t) at + 1);
  return true;
}

static bool
is_blank(char c)
{
  return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

struct str
str_trim(struct str text)
{
  while (text.size > 0 && is_blank(text.data[0]))
    text = str_from(text, 1);
  while (text.size > 0 && is_blank(text.data[text.size - 1]))
    text.size--;
  return text;
}

int
str_to_u64(struct str text, uint64_t *ret)
{
  uint64_t value = 0;
  if (text.size == 0)
    return -EINVAL;
  for (size_t i = 0; i < text.size; i++) {
    if (text.data[i] < '0' || text.data[i] > '9')
      return -EINVAL;
    if (__builtin_mul_overflow(value, 10, &value)
        || __builtin_add_overflow(value, (uint64_t) (text.data[i] - '0'), &value))
      return -ERANGE;
  }
  *ret = value;
  return 0;
}

int
str_to_i64(struct str text, int64_t *ret)
{
  bool negative = text.size > 0 && text.data[0] == '-';
  uint64_t size;
  int r = str_to_u64(negative ? str_from(text, 1) : text, &size);
  if (r < 0)
    return r;
  if (size > (uint64_t) INT64_MAX + (negative ? 1 : 0))
    return -ERANGE;
  *ret = negative ? (int64_t) -size : (int64_t) size;
  return 0;
}

void
str_to_hex(const void *data, size_t size, char *ret_digits)
{
  static const char digits[] = "0123456789abcdef";
  const unsigned char *bytes = data;
  for (size_t i = 0; i < size; i++) {
    ret_digits[2 * i] = digits[bytes[i] >> 4];
    ret_digits[2 * i + 1] = digits[bytes[i] & 15];
  }
}

static int
hex_value(char c)
{
  if (c >= '0' && c <= '9')
    return c - '0';
  if (c >= 'a' && c <= 'f')
    return c - 'a' + 10;
  if (c >= 'A' && c <= 'F')
    return c - 'A' + 10;
  return -1;
}

int
str_from_hex(struct str digits, void *ret_data, size_t size)
{
  unsigned char *bytes = ret_data;
  if (digits.size != 2 * size)
    return -EINVAL;
  for (size_t i = 0; i < digits.size; i++)
    if (hex_value(digits.data[i]) < 0)
      return -EINVAL;
  for (size_t i = 0; i < size; i++) {
    unsigned high = (unsigned) hex_value(digits.data[2 * i]);
    unsigned low = (unsigned) hex_value(digits.data[2 * i + 1]);
    bytes[i] = (unsigned char) (high << 4 | low);
  }
  return 0;
}

/* Length of the well-formed UTF-8 sequence at P with REST bytes left; 0 = none. */
static size_t
utf8_sequence(const unsigned char *p, size_t rest)
{
  if (p[0] < 0x80)
    return 1;
  size_t size = p[0] >= 0xc2 && p[0] <= 0xdf   ? 2
                : p[0] >= 0xe0 && p[0] <= 0xef ? 3
                : p[0] >= 0xf0 && p[0] <= 0xf4 ? 4
                                               : 0;
  if (size == 0 || size > rest)
    return 0;
  for (size_t i = 1; i < size; i++)
    if ((p[i] & 0xc0) != 0x80)
      return 0;
  bool overlong = (p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xf0 && p[1] < 0x90);
  bool beyond = (p[0] == 0xed && p[1] > 0x9f) || (p[0] == 0xf4 && p[1] > 0x8f);
  return overlong || beyond ? 0 : size;
}

void
str_mend_utf8(char *text)
{
  unsigned char *bytes = (unsigned char *) text;
  size_t rest = strlen(text);
  while (rest > 0) {
    size_t step = utf8_sequence(bytes, rest);
    if (step == 0)
      *bytes = '?';
    bytes += step == 0 ? 1 : step;
    rest -= step == 0 ? 1 : step;
  }
}

bool
str_is_utf8(struct str text)
{
  const unsigned char *bytes = (const unsigned char *) text.data;
  for (size_t i = 0; i < text.size;) {
    size_t step = utf8_sequence(bytes + i, text.size - i);
    if (step == 0)
      return false;
    i += step;
  }
  return true;
}
