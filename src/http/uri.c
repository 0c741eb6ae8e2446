/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "http/uri.h"

#include <errno.h>
#include <strings.h>

void
http_fields_add(struct http_fields *fields, struct arena *arena, struct str name, struct str value)
{
  if (fields->count == fields->capacity) {
    size_t capacity = fields->capacity == 0 ? 8 : 2 * fields->capacity;
    struct http_field *items = arena_array(arena, capacity, sizeof *items);
    if (fields->count > 0)
      memcpy(items, fields->items, fields->count * sizeof *items);
    fields->items = items;
    fields->capacity = capacity;
  }
  fields->items[fields->count++] = (struct http_field) { name, value };
}

struct str
http_fields_get(const struct http_fields *fields, struct str name)
{
  for (size_t i = 0; i < fields->count; i++)
    if (str_equal(fields->items[i].name, name))
      return fields->items[i].value;
  return str_make(NULL, 0);
}

struct str
http_fields_get_nocase(const struct http_fields *fields, struct str name)
{
  for (size_t i = 0; i < fields->count; i++)
    if (fields->items[i].name.size == name.size
        && strncasecmp(fields->items[i].name.data, name.data, name.size) == 0)
      return fields->items[i].value;
  return str_make(NULL, 0);
}

/* Takes "http://host" off an absolute-form target, which servers must accept. */
static struct str
without_authority(struct str target)
{
  static const struct str schemes[] = { { "http://", 7 }, { "https://", 8 } };
  for (size_t i = 0; i < ARRAY_SIZE(schemes); i++) {
    if (target.size < schemes[i].size
        || strncasecmp(target.data, schemes[i].data, schemes[i].size) != 0)
      continue;
    struct str rest = str_from(target, schemes[i].size);
    ptrdiff_t slash = str_find(rest, '/');
    return slash < 0 ? STR("/") : str_from(rest, (size_t) slash);
  }
  return target;
}

int
uri_split(struct str target, struct str *ret_path, struct str *ret_query)
{
  target = without_authority(target);
  if (target.size == 0 || target.data[0] != '/')
    return -EINVAL;
  struct str rest = target;
  if (!str_split(&rest, '?', ret_path))
    return -EINVAL;
  *ret_query = rest;
  return 0;
}

static int
decode_byte(struct str text, size_t at, char *ret)
{
  if (text.size - at < 3)
    return -EINVAL;
  return str_from_hex(str_make(text.data + at + 1, 2), ret, 1);
}

int
uri_decode(struct arena *arena, struct str text, bool plus, struct str *ret)
{
  char *out = arena_alloc(arena, text.size + 1);
  size_t size = 0;
  for (size_t at = 0; at < text.size; at++) {
    char c = text.data[at];
    if (c == '%') {
      int r = decode_byte(text, at, &c);
      if (r < 0)
        return r;
      at += 2;
    } else if (c == '+' && plus) {
      c = ' ';
    }
    if (c == '\0')
      return -EINVAL;
    out[size++] = c;
  }
  if (!str_is_utf8(str_make(out, size)))
    return -EINVAL;
  *ret = str_make(out, size);
  return 0;
}

static bool
is_unreserved(char c)
{
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-'
         || c == '.' || c == '_' || c == '~';
}

void
uri_encode(struct buf *out, struct str text)
{
  for (size_t i = 0; i < text.size; i++)
    if (is_unreserved(text.data[i]))
      buf_append_char(out, text.data[i]);
    else
      buf_printf(out, "%%%02X", (unsigned) (unsigned char) text.data[i]);
}

static bool
is_dots(struct str segment)
{
  return str_equal(segment, STR(".")) || str_equal(segment, STR(".."));
}

int
uri_decode_path(struct arena *arena, struct str raw, struct str *ret)
{
  struct str path;
  int r = uri_decode(arena, raw, false, &path);
  if (r < 0)
    return r;
  for (size_t i = 0; i < path.size; i++)
    if ((unsigned char) path.data[i] < 0x20 || path.data[i] == 0x7f)
      return -EINVAL;
  struct str segment;
  for (struct str rest = path; str_split(&rest, '/', &segment);)
    if (is_dots(segment))
      return -EINVAL;
  *ret = path;
  return 0;
}

int
uri_parse_query(struct arena *arena, struct str text, size_t limit, struct http_fields *ret)
{
  struct str pair;
  for (struct str rest = text; str_split(&rest, '&', &pair);) {
    if (pair.size == 0)
      continue;
    if (ret->count >= limit)
      return -E2BIG;
    struct str name, value = STR("");
    struct str after = pair;
    str_split(&after, '=', &name);
    int r = uri_decode(arena, name, true, &name);
    if (r == 0 && after.data != NULL)
      r = uri_decode(arena, after, true, &value);
    if (r < 0)
      return r;
    http_fields_add(ret, arena, name, value);
  }
  return 0;
}
