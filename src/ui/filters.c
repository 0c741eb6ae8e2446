/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Filters of templates: values as people read them. */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/compiler.h"
#include "ui/html.h"

#define SECOND CLOCK_US_PER_S
#define MINUTE (60 * SECOND)
#define HOUR (60 * MINUTE)
#define DAY (24 * HOUR)

static struct ui_text PN_PRINTF(1, 2) text_printf(const char *format, ...)
{
  struct ui_text text = { 0 };
  va_list arguments;
  va_start(arguments, format);
  int size = vsnprintf(text.own, sizeof text.own, format, arguments);
  va_end(arguments);
  text.view.size = size < UI_TEXT_SIZE ? (size_t) size : UI_TEXT_SIZE - 1;
  return text;
}

/* ---- times ---- */

/* HTML's <time datetime> allows three digits of a second, not six. */
struct ui_text
ui_filter_iso_time(int64_t time)
{
  char text[CLOCK_TEXT_SIZE];
  return text_printf("%.23sZ", clock_format(time, text));
}

/* From the largest; a span is told in the first unit that it fills. */
static const struct
{
  int64_t size;
  const char *name;
} units[] = {
  { 365 * DAY, "year" }, { 30 * DAY, "month" }, { DAY, "day" },
  { HOUR, "hour" },      { MINUTE, "minute" },  { SECOND, "second" },
};

/* SPAN and what follows; INSTEAD, when it is less than a second. */
static struct ui_text
span_text(int64_t span, const char *behind, const char *instead)
{
  for (size_t i = 0; i < ARRAY_SIZE(units); i++) {
    int64_t number = span / units[i].size;
    if (number > 0)
      return text_printf("%" PRId64 " %s%s%s", number, units[i].name, number == 1 ? "" : "s",
                         behind);
  }
  return text_printf("%s", instead);
}

/* To the nearest: what was made for 30 days a moment ago does not end "in 29 days". */
static struct ui_text
time_left(int64_t span)
{
  for (size_t i = 0; i < ARRAY_SIZE(units); i++) {
    int64_t number = (span + units[i].size / 2) / units[i].size;
    if (span >= units[i].size)
      return text_printf("in %" PRId64 " %s%s", number, units[i].name, number == 1 ? "" : "s");
  }
  return text_printf("now");
}

struct ui_text
ui_filter_relative_time(int64_t time)
{
  int64_t span = clock_now_us() - time;
  return span >= 0 ? span_text(span, " ago", "now") : time_left(-span);
}

struct ui_text
ui_filter_span_since(int64_t time)
{
  int64_t span = clock_now_us() - time;
  return span_text(span > 0 ? span : 0, "", "a moment");
}

struct ui_text
ui_filter_duration(int64_t duration)
{
  if (duration < 0)
    duration = 0;
  if (duration < 10 * SECOND)
    return text_printf("%" PRId64 ".%" PRId64 " s", duration / SECOND,
                       duration % SECOND / (SECOND / 10));
  if (duration < MINUTE)
    return text_printf("%" PRId64 " s", duration / SECOND);
  if (duration < HOUR && duration % MINUTE < SECOND)
    return text_printf("%" PRId64 " min", duration / MINUTE);
  if (duration < HOUR)
    return text_printf("%" PRId64 " min %" PRId64 " s", duration / MINUTE,
                       duration % MINUTE / SECOND);
  if (duration < DAY && duration % HOUR < MINUTE)
    return text_printf("%" PRId64 " h", duration / HOUR);
  if (duration < DAY)
    return text_printf("%" PRId64 " h %" PRId64 " min", duration / HOUR, duration % HOUR / MINUTE);
  return text_printf("%" PRId64 " d %" PRId64 " h", duration / DAY, duration % DAY / HOUR);
}

/* ---- numbers ---- */

struct ui_text
ui_filter_bytes(int64_t size)
{
  static const char *const names[] = { "KiB", "MiB", "GiB", "TiB", "PiB", "EiB" };
  if (size < 1024)
    return text_printf("%" PRId64 " byte%s", size, size == 1 ? "" : "s");
  double value = (double) size / 1024;
  size_t name = 0;
  for (; value >= 1023.95 && name + 1 < ARRAY_SIZE(names); name++)
    value /= 1024;
  return text_printf(value < 9.95 ? "%.1f %s" : "%.0f %s", value, names[name]);
}

struct ui_text
ui_filter_number(int64_t number)
{
  char digits[24];
  uint64_t size_of = number < 0 ? -(uint64_t) number : (uint64_t) number;
  int count = snprintf(digits, sizeof digits, "%" PRIu64, size_of);
  struct ui_text text = { 0 };
  if (number < 0)
    text.own[text.view.size++] = '-';
  for (int i = 0; i < count; i++) {
    if (i > 0 && (count - i) % 3 == 0)
      text.own[text.view.size++] = ',';
    text.own[text.view.size++] = digits[i];
  }
  return text;
}

struct ui_text
ui_filter_count(int64_t number, const char *one, const char *many)
{
  struct ui_text digits = ui_filter_number(number);
  return text_printf("%.*s %s", STR_FMT(ui_text_view(&digits)), number == 1 ? one : many);
}

/* ---- texts ---- */

#define HASH_DIGITS 32
#define HASH_DIGITS_SHOWN 8
#define COMMIT_DIGITS_SHOWN 10
#define TRUNCATE_MAX (UI_TEXT_SIZE - 16)

/* How many of the first SIZE bytes make whole characters. */
static size_t
whole_characters(struct str text, size_t size)
{
  while (size > 0 && size < text.size && ((unsigned char) text.data[size] & 0xc0) == 0x80)
    size--;
  return size;
}

/* TEXT's bytes from START, SIZE of them. */
static struct ui_text
text_slice(struct ui_text text, size_t start, size_t size)
{
  if (text.view.data == NULL)
    memmove(text.own, text.own + start, size);
  else
    text.view.data += start;
  text.view.size = size;
  return text;
}

/* Where the part of a store item's hash begins that nobody reads; what is no store item has
   none: its end. */
static size_t
hash_rest(struct str path)
{
  size_t start = path.size;
  while (start > 0 && path.data[start - 1] != '/')
    start--;
  size_t left = path.size - start;
  bool is_item = left > HASH_DIGITS && path.data[start + HASH_DIGITS] == '-';
  return is_item ? start + HASH_DIGITS_SHOWN : path.size;
}

struct ui_text
ui_path_head(struct ui_text path)
{
  return text_slice(path, 0, hash_rest(ui_text_view(&path)));
}

struct ui_text
ui_path_middle(struct ui_text path)
{
  struct str view = ui_text_view(&path);
  size_t start = hash_rest(view);
  return text_slice(path, start, start < view.size ? HASH_DIGITS - HASH_DIGITS_SHOWN : 0);
}

struct ui_text
ui_path_tail(struct ui_text path)
{
  struct str view = ui_text_view(&path);
  size_t start = hash_rest(view);
  if (start < view.size)
    start += HASH_DIGITS - HASH_DIGITS_SHOWN;
  return text_slice(path, start, view.size - start);
}

struct ui_text
ui_short_commit(struct ui_text commit)
{
  struct str digits = ui_text_view(&commit);
  if (digits.size <= COMMIT_DIGITS_SHOWN)
    return commit;
  return text_printf("%.*s", COMMIT_DIGITS_SHOWN, digits.data);
}

struct ui_text
ui_truncate(struct ui_text text, size_t size)
{
  struct str view = ui_text_view(&text);
  if (size > TRUNCATE_MAX)
    size = TRUNCATE_MAX;
  if (view.size <= size)
    return text;
  return text_printf("%.*s…", (int) whole_characters(view, size), view.data);
}
