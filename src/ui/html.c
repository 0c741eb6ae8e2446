/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "ui/html.h"

#include <math.h>
#include <stdio.h>
#include <strings.h>

/* ---- every printable value as a text ---- */

struct ui_text
ui_text_str(struct str value)
{
  struct ui_text text;
  text.view = value.data == NULL ? STR("") : value;
  text.is_html = false;
  return text;
}

struct ui_text
ui_text_cstr(const char *value)
{
  return ui_text_str(str_of(value));
}

struct ui_text
ui_text_bool(bool value)
{
  return ui_text_str(value ? STR("yes") : STR("no"));
}

/* A text of its own, as snprintf(3) left it in OWN: SIZE may tell of more. */
static void
text_end(struct ui_text *text, int size)
{
  text->view.data = NULL;
  text->view.size = size < UI_TEXT_SIZE ? (size_t) size : UI_TEXT_SIZE - 1;
  text->is_html = false;
}

struct ui_text
ui_text_i64(int64_t value)
{
  struct ui_text text;
  text_end(&text, snprintf(text.own, sizeof text.own, "%lld", (long long) value));
  return text;
}

struct ui_text
ui_text_u64(uint64_t value)
{
  struct ui_text text;
  text_end(&text, snprintf(text.own, sizeof text.own, "%llu", (unsigned long long) value));
  return text;
}

struct ui_text
ui_text_double(double value)
{
  struct ui_text text;
  text_end(&text, snprintf(text.own, sizeof text.own, "%g", value));
  return text;
}

struct ui_text
ui_text_self(struct ui_text value)
{
  return value;
}

struct ui_text
ui_text_html(struct ui_html value)
{
  struct ui_text text = ui_text_str(value.html);
  text.is_html = true;
  return text;
}

struct str
ui_text_view(const struct ui_text *text)
{
  return text->view.data != NULL ? text->view : str_make(text->own, text->view.size);
}

/* ---- escaping ---- */

/* HTML has no control characters, and a copied one could steer a terminal. */
static bool
is_control(char c)
{
  return ((unsigned char) c < 0x20 && c != '\n' && c != '\t' && c != '\r') || c == 0x7f;
}

/* U+202A to U+202E and U+2066 to U+2069 turn the direction of what follows, so that a name
   could pass for another. Words of right-to-left scripts do without. */
static bool
turns_direction(struct str text)
{
  const unsigned char *c = (const unsigned char *) text.data;
  return text.size >= 3 && c[0] == 0xe2
         && ((c[1] == 0x80 && c[2] >= 0xaa && c[2] <= 0xae)
             || (c[1] == 0x81 && c[2] >= 0xa6 && c[2] <= 0xa9));
}

/* What stands for the beginning of TEXT, whose first *RET_SIZE bytes it replaces; NULL = they
   stand for themselves. The same for content and for attributes in either quotes. */
static const char *
replacement_of(struct str text, size_t *ret_size)
{
  *ret_size = 1;
  switch (text.data[0]) {
  case '&':
    return "&amp;";
  case '<':
    return "&lt;";
  case '>':
    return "&gt;";
  case '"':
    return "&quot;";
  case '\'':
    return "&#39;";
  default:
    break;
  }
  if (turns_direction(text))
    *ret_size = 3;
  else if (!is_control(text.data[0]))
    return NULL;
  return "\xef\xbf\xbd"; /* U+FFFD */
}

void
ui_write_escaped(struct buf *out, struct ui_text text)
{
  struct str value = ui_text_view(&text);
  if (text.is_html) {
    buf_append_str(out, value);
    return;
  }
  size_t start = 0;
  size_t size = 0;
  for (size_t i = 0; i < value.size; i += size) {
    const char *replacement = replacement_of(str_from(value, i), &size);
    if (replacement == NULL)
      continue;
    buf_append(out, value.data + start, i - start);
    buf_append_text(out, replacement);
    start = i + size;
  }
  buf_append(out, value.data + start, value.size - start);
}

void
ui_write_plain(struct buf *out, struct ui_text text)
{
  buf_append_str(out, ui_text_view(&text));
}

static void
put_percent(struct buf *out, char c)
{
  static const char digits[] = "0123456789ABCDEF";
  unsigned char byte = (unsigned char) c;
  buf_append(out, (const char[]) { '%', digits[byte >> 4], digits[byte & 15] }, 3);
}

static bool
is_unreserved(char c)
{
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9')
         || memchr("-._~", c, 4) != NULL;
}

void
ui_write_url_part(struct buf *out, struct ui_text text)
{
  struct str value = ui_text_view(&text);
  for (size_t i = 0; i < value.size; i++) {
    if (is_unreserved(value.data[i]))
      buf_append_char(out, value.data[i]);
    else
      put_percent(out, value.data[i]);
  }
}

static bool
starts_without_case(struct str text, const char *prefix)
{
  size_t size = strlen(prefix);
  return text.size >= size && strncasecmp(text.data, prefix, size) == 0;
}

/* Whether a browser can take it for nothing but a place on the web. */
static bool
is_web_url(struct str value)
{
  return (value.size > 0 && memchr("/?#", value.data[0], 3) != NULL)
         || starts_without_case(value, "http://") || starts_without_case(value, "https://");
}

/* Reserved characters keep their meaning, and a percent sign is taken for a
   finished code: the value is a URL, not text to be put into one. */
void
ui_write_url(struct buf *out, struct ui_text text)
{
  struct str value = ui_text_view(&text);
  if (!is_web_url(value))
    value = STR("#");
  for (size_t i = 0; i < value.size; i++) {
    char c = value.data[i];
    if (c == '&')
      buf_append_text(out, "&amp;");
    else if (is_unreserved(c) || (c != '\0' && strchr("!$()*+,;=:@/?#[]%", c) != NULL))
      buf_append_char(out, c);
    else
      put_percent(out, c);
  }
}

/* ---- conditions ---- */

bool
ui_is_true_double(double value)
{
  return fpclassify(value) != FP_ZERO;
}

bool
ui_is_true_integer(int64_t value)
{
  return value != 0;
}

bool
ui_is_true_str(struct str value)
{
  return value.size > 0;
}

bool
ui_is_true_cstr(const char *value)
{
  return value != NULL && *value != '\0';
}

bool
ui_is_true_pointer(const void *value)
{
  return value != NULL;
}

bool
ui_is_equal_integer(int64_t a, int64_t b)
{
  return a == b;
}

bool
ui_is_equal_double(double a, double b)
{
  return a == b;
}

bool
ui_is_equal_cstr(const char *a, struct str b)
{
  return str_equal(str_of(a), b);
}
