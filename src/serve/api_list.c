/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "serve/api_list.h"

#include <errno.h>

int
api_limit(struct http_request *request, int64_t *ret, struct error *err)
{
  return http_query_i64(request, "limit", 1, API_LIST_MAX, API_LIST_DEFAULT, ret, err);
}

int
api_page(struct http_request *request, int64_t *ret_limit, int64_t *ret_before, struct error *err)
{
  int r = api_limit(request, ret_limit, err);
  return r < 0 ? r : http_query_i64(request, "before", 1, INT64_MAX, INT64_MAX, ret_before, err);
}

int
api_pair(struct http_request *request, int64_t *ret_first, int64_t *ret_second, struct error *err)
{
  struct str first, rest = http_query(request, "before");
  if (rest.data == NULL)
    return 0;
  (void) str_split(&rest, '/', &first);
  if (str_to_i64(first, ret_first) < 0 || str_to_i64(rest, ret_second) < 0)
    return error_set(err, -EINVAL, "that is no cursor of this list");
  return 0;
}

bool
api_cut(size_t *count, int64_t limit)
{
  bool has_more = *count > (size_t) limit;
  if (has_more)
    *count = (size_t) limit;
  return has_more;
}

void
api_list_open(struct json *json)
{
  json_object_open(json);
  json_key(json, "items");
  json_array_open(json);
}

int
api_list_reply(struct http_request *request, struct json *json, struct buf *body, const char *next)
{
  json_array_close(json);
  json_put_cstr(json, "next", next);
  json_object_close(json);
  return http_reply_page(request, body, str_of(next));
}
