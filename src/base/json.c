/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "base/json.h"

#include <assert.h>
#include <stdio.h>

#include "base/clock.h"

struct json
json_begin(struct buf *out)
{
  return (struct json) { .out = out };
}

/* The comma before a value, where one is due. */
static void
separate(struct json *json)
{
  if (json->after_key) {
    json->after_key = false;
    return;
  }
  if (json->has_member[json->depth])
    buf_append_char(json->out, ',');
  json->has_member[json->depth] = true;
}

static void
open_level(struct json *json, char c)
{
  separate(json);
  buf_append_char(json->out, c);
  assert(json->depth + 1 < JSON_DEPTH_MAX);
  json->has_member[++json->depth] = false;
}

static void
close_level(struct json *json, char c)
{
  assert(json->depth > 0 && !json->after_key);
  json->depth--;
  buf_append_char(json->out, c);
}

void
json_object_open(struct json *json)
{
  open_level(json, '{');
}

void
json_object_close(struct json *json)
{
  close_level(json, '}');
}

void
json_array_open(struct json *json)
{
  open_level(json, '[');
}

void
json_array_close(struct json *json)
{
  close_level(json, ']');
}

static void
append_escaped(struct buf *out, unsigned char c)
{
  static const char short_forms[] = "\"\"\\\\\bb\ff\nn\rr\tt";
  for (size_t i = 0; i + 1 < sizeof short_forms; i += 2)
    if ((unsigned char) short_forms[i] == c) {
      buf_append_char(out, '\\');
      buf_append_char(out, short_forms[i + 1]);
      return;
    }
  buf_printf(out, "\\u%04x", c);
}

/* Bytes at the start of TEXT that can be copied as they are. */
static size_t
plain_run(struct str text)
{
  size_t i = 0;
  while (i < text.size && (unsigned char) text.data[i] >= 0x20 && text.data[i] != '"'
         && text.data[i] != '\\' && (unsigned char) text.data[i] < 0x7f)
    i++;
  return i;
}

/* Length of the UTF-8 sequence that TEXT starts with; 0 = malformed. */
static size_t
sequence_at(struct str text)
{
  for (size_t size = 2; size <= 4 && size <= text.size; size++)
    if (str_is_utf8(str_make(text.data, size)))
      return size;
  return 0;
}

static void
append_quoted(struct buf *out, struct str text)
{
  buf_append_char(out, '"');
  while (text.size > 0) {
    size_t run = plain_run(text);
    buf_append(out, text.data, run);
    text = str_from(text, run);
    if (text.size == 0)
      break;
    size_t step = 1;
    if ((unsigned char) text.data[0] < 0x80)
      append_escaped(out, (unsigned char) text.data[0]);
    else if ((step = sequence_at(text)) > 0)
      buf_append(out, text.data, step);
    else {
      buf_append_text(out, "\xef\xbf\xbd");
      step = 1;
    }
    text = str_from(text, step);
  }
  buf_append_char(out, '"');
}

void
json_key(struct json *json, const char *name)
{
  assert(json->depth > 0 && !json->after_key);
  separate(json);
  append_quoted(json->out, str_of(name));
  buf_append_char(json->out, ':');
  json->after_key = true;
}

void
json_text(struct json *json, struct str text)
{
  separate(json);
  append_quoted(json->out, text);
}

void
json_cstr(struct json *json, const char *text)
{
  if (text == NULL)
    json_none(json);
  else
    json_text(json, str_of(text));
}

void
json_raw(struct json *json, struct str value)
{
  separate(json);
  buf_append_str(json->out, value);
}

void
json_i64(struct json *json, int64_t number)
{
  separate(json);
  buf_append_i64(json->out, number);
}

void
json_bool(struct json *json, bool truth)
{
  json_raw(json, truth ? STR("true") : STR("false"));
}

void
json_none(struct json *json)
{
  json_raw(json, STR("null"));
}

void
json_time(struct json *json, int64_t microseconds)
{
  char text[CLOCK_TEXT_SIZE];
  json_cstr(json, clock_format(microseconds, text));
}

void
json_put_text(struct json *json, const char *name, struct str text)
{
  json_key(json, name);
  json_text(json, text);
}

void
json_put_cstr(struct json *json, const char *name, const char *text)
{
  json_key(json, name);
  json_cstr(json, text);
}

void
json_put_time(struct json *json, const char *name, int64_t microseconds, bool none)
{
  json_key(json, name);
  if (none)
    json_none(json);
  else
    json_time(json, microseconds);
}

void
json_put_i64(struct json *json, const char *name, int64_t number)
{
  json_key(json, name);
  json_i64(json, number);
}

void
json_put_id(struct json *json, const char *name, int64_t id)
{
  json_key(json, name);
  if (id == 0)
    json_none(json);
  else
    json_i64(json, id);
}

void
json_put_words(struct json *json, const char *name, struct str text)
{
  json_key(json, name);
  if (text.size == 0)
    json_none(json);
  else
    json_text(json, text);
}

void
json_put_bool(struct json *json, const char *name, bool truth)
{
  json_key(json, name);
  json_bool(json, truth);
}
