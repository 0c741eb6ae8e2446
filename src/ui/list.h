/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Lists whose order and filters stand in the address: its links, and the heads of its table
   that sort it. `sort=name` rises, `sort=-name` falls. */
#pragma once

#include "http/http.h"

/* A list, for the addresses of its other parts and orders. */
struct ui_list
{
  struct http_request *request;
  const char *path;        /* "/builds" */
  const char *anchor;      /* "#jobs"; NULL = none */
  const char *const *kept; /* parameters of the query that its links keep; ends with NULL */
};

/* The list's address with the parameters that the request has, but NAME as VALUE (empty =
   without it). In the request's arena. */
const char *ui_list_address(const struct ui_list *list, const char *name, struct str value);

struct ui_column
{
  const char *name;
  const char *sort; /* in the address; NULL = the list cannot be sorted by it */
  bool falls;       /* chosen for the first time: the greatest first */
  bool is_number;
};

struct ui_sort
{
  size_t column;
  bool falls;
};

/* SORT of the request's query, or the list's own order when that is empty, which *RET is set
   to by the caller. -EINVAL with ERR set. */
int ui_sort_read(struct http_request *request, const struct ui_column *columns, size_t count,
                 struct ui_sort *ret, struct error *err);

struct ui_head
{
  const char *name;
  const char *address; /* sorts by it; "" = cannot */
  const char *order;   /* "ascending", "descending"; "" = the list is not sorted by it */
  bool is_number;
};

struct ui_heads
{
  struct ui_head *items;
  size_t count;
};

/* What macro heads() of components.html draws. LIST keeps no `sort` and no cursors. */
struct ui_heads ui_list_heads(const struct ui_list *list, const struct ui_column *columns,
                              size_t count, const struct ui_sort *sort);
