/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "http/range.h"

#include <errno.h>
#include <stdio.h>
#include <time.h>

/* "N-M", "N-" or "-N" into [FIRST, LAST]; -ERANGE when it lies past the end. */
static int
parse_one(struct str spec, uint64_t size, uint64_t *ret_first, uint64_t *ret_last)
{
  ptrdiff_t dash = str_find(spec, '-');
  if (dash < 0)
    return -EINVAL;
  struct str low = str_make(spec.data, (size_t) dash);
  struct str high = str_from(spec, (size_t) dash + 1);
  uint64_t first = 0, last = UINT64_MAX;
  if ((low.size > 0 && str_to_u64(low, &first) < 0)
      || (high.size > 0 && str_to_u64(high, &last) < 0) || (low.size == 0 && high.size == 0))
    return -EINVAL;
  if (low.size == 0) {
    if (last == 0 || size == 0)
      return -ERANGE;
    *ret_first = last < size ? size - last : 0;
    *ret_last = size - 1;
    return 0;
  }
  if (last < first)
    return -EINVAL;
  if (first >= size)
    return -ERANGE;
  *ret_first = first;
  *ret_last = last < size ? last : size - 1;
  return 0;
}

enum range_kind
range_parse(struct str header, uint64_t size, uint64_t *ret_from, uint64_t *ret_count)
{
  if (!str_starts(header, STR("bytes=")))
    return RANGE_WHOLE;
  struct str spec = str_trim(str_from(header, 6));
  if (str_find(spec, ',') >= 0)
    return RANGE_WHOLE;
  uint64_t last;
  int r = parse_one(spec, size, ret_from, &last);
  if (r == -ERANGE)
    return RANGE_UNSATISFIABLE;
  if (r < 0)
    return RANGE_WHOLE;
  *ret_count = last - *ret_from + 1;
  return RANGE_PART;
}

static struct str
etag_opaque(struct str etag)
{
  return str_starts(etag, STR("W/")) ? str_from(etag, 2) : etag;
}

bool
etag_listed(struct str header, struct str etag)
{
  struct str item;
  for (struct str rest = header; str_split(&rest, ',', &item);) {
    item = str_trim(item);
    if (str_equal(item, STR("*")) || str_equal(etag_opaque(item), etag_opaque(etag)))
      return true;
  }
  return false;
}

const char *
http_date_format(int64_t seconds, char text[HTTP_DATE_SIZE])
{
  time_t when = (time_t) seconds;
  struct tm parts;
  if (gmtime_r(&when, &parts) == NULL
      || strftime(text, HTTP_DATE_SIZE, "%a, %d %b %Y %H:%M:%S GMT", &parts) == 0)
    text[0] = '\0';
  return text;
}

int
http_date_parse(struct str text, int64_t *ret)
{
  char copy[HTTP_DATE_SIZE];
  if (text.size >= sizeof copy)
    return -EINVAL;
  snprintf(copy, sizeof copy, "%.*s", STR_FMT(text));
  struct tm parts = { 0 };
  const char *end = strptime(copy, "%a, %d %b %Y %H:%M:%S GMT", &parts);
  if (end == NULL || *end != '\0')
    return -EINVAL;
  *ret = timegm(&parts);
  return 0;
}
