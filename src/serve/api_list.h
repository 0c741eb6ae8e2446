/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Lists of the API, a page at a time. Statements are asked for one row more than is shown:
   so there is a next page only where something is on it. */
#pragma once

#include "base/json.h"
#include "http/http.h"

#define API_LIST_DEFAULT 100
#define API_LIST_MAX 1000

/* `limit` of a request. -EINVAL. */
int api_limit(struct http_request *request, int64_t *ret, struct error *err);
/* `limit`, and `before`, a number: INT64_MAX when absent. -EINVAL. */
int api_page(struct http_request *request, int64_t *ret_limit, int64_t *ret_before,
             struct error *err);
/* A cursor of two numbers, "7/12": -EINVAL; *RET_FIRST stays as it is when there is none. */
int api_pair(struct http_request *request, int64_t *ret_first, int64_t *ret_second,
             struct error *err);
/* Whether there is more than LIMIT; *COUNT is cut to it. */
bool api_cut(size_t *count, int64_t limit);

/* An object with the array `items`, which is open then. */
void api_list_open(struct json *json);
/* Closes both and answers. NEXT: the cursor of the next page; NULL = there is none. */
int api_list_reply(struct http_request *request, struct json *json, struct buf *body,
                   const char *next);
