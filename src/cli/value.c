/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "cli/value.h"

#include <errno.h>

#include "base/clock.h"

#define MINUTE 60
#define HOUR (60 * MINUTE)
#define DAY (24 * HOUR)

/* ---- times ---- */

static int
take_number(struct str text, size_t offset, size_t size, int64_t low, int64_t high, int64_t *ret)
{
  if (str_to_i64(str_make(text.data + offset, size), ret) < 0 || *ret < low || *ret > high)
    return -EINVAL;
  return 0;
}

/* Days from 1970-01-01 in the Gregorian calendar; years begin in March, so that the day
   that comes and goes is their last. */
static int64_t
days_of(int64_t year, int64_t month, int64_t day)
{
  int64_t shifted = month > 2 ? year : year - 1;
  int64_t of_year = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;
  return 365 * shifted + shifted / 4 - shifted / 100 + shifted / 400 + of_year - 719468;
}

int
value_parse_time(struct str text, int64_t *ret)
{
  int64_t year, month, day, hour, minute, second;
  static const struct str form = { "....-..-..T..:..:..", 19 };
  if (text.size < form.size + 1 || text.data[text.size - 1] != 'Z')
    return -EINVAL;
  for (size_t i = 0; i < form.size; i++)
    if (form.data[i] != '.' && text.data[i] != form.data[i])
      return -EINVAL;
  if (take_number(text, 0, 4, 1970, 9999, &year) < 0 || take_number(text, 5, 2, 1, 12, &month) < 0
      || take_number(text, 8, 2, 1, 31, &day) < 0 || take_number(text, 11, 2, 0, 23, &hour) < 0
      || take_number(text, 14, 2, 0, 59, &minute) < 0
      || take_number(text, 17, 2, 0, 60, &second) < 0)
    return -EINVAL;
  *ret = days_of(year, month, day) * DAY + hour * HOUR + minute * MINUTE + second;
  return 0;
}

static const char *
date_of(struct arena *arena, int64_t seconds)
{
  char text[CLOCK_TEXT_SIZE];
  clock_format(seconds * CLOCK_US_PER_S, text);
  return arena_printf(arena, "%.10s", text);
}

const char *
value_ago(struct arena *arena, int64_t then_s, int64_t now_s)
{
  static const struct
  {
    int64_t below, unit;
    const char *name;
  } units[] = {
    { MINUTE, 1, "s" }, { HOUR, MINUTE, "min" }, { 2 * DAY, HOUR, "h" }, { 100 * DAY, DAY, "d" }
  };
  int64_t distance = then_s > now_s ? then_s - now_s : now_s - then_s;
  for (size_t i = 0; i < ARRAY_SIZE(units); i++)
    if (distance < units[i].below)
      return arena_printf(arena, then_s > now_s ? "in %lld %s" : "%lld %s ago",
                          (long long) (distance / units[i].unit), units[i].name);
  return date_of(arena, then_s);
}

/* ---- durations and sizes ---- */

const char *
value_duration(struct arena *arena, int64_t seconds)
{
  static const struct
  {
    int64_t unit, below;
    const char *name, *next;
  } units[] = { { DAY, HOUR, "d", "h" }, { HOUR, MINUTE, "h", "min" }, { MINUTE, 1, "min", "s" } };
  for (size_t i = 0; i < ARRAY_SIZE(units); i++) {
    long long whole = seconds / units[i].unit;
    long long rest = seconds % units[i].unit / units[i].below;
    if (whole > 0 && rest > 0)
      return arena_printf(arena, "%lld %s %lld %s", whole, units[i].name, rest, units[i].next);
    if (whole > 0)
      return arena_printf(arena, "%lld %s", whole, units[i].name);
  }
  return arena_printf(arena, "%lld s", (long long) seconds);
}

const char *
value_size(struct arena *arena, int64_t bytes)
{
  static const char *const units[] = { "KiB", "MiB", "GiB", "TiB", "PiB" };
  if (bytes < 1024)
    return arena_printf(arena, "%lld B", (long long) bytes);
  double value = (double) bytes / 1024;
  size_t unit = 0;
  for (; value >= 1023.95 && unit + 1 < ARRAY_SIZE(units); unit++)
    value /= 1024;
  return arena_printf(arena, "%.1f %s", value, units[unit]);
}
