/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "ui/list.h"

#include <errno.h>

#include "ui/html.h"

static void
put_parameter(struct buf *out, const char *name, struct str value, bool *first)
{
  if (value.size == 0)
    return;
  buf_append_char(out, *first ? '?' : '&');
  buf_append_str(out, str_of(name));
  buf_append_char(out, '=');
  ui_put_url_part(out, value);
  *first = false;
}

const char *
ui_list_address(const struct ui_list *list, const char *name, struct str value)
{
  CLEANUP_BUF struct buf out = { 0 };
  bool first = true;
  buf_append_str(&out, str_of(list->path));
  for (const char *const *kept = list->kept; *kept != NULL; kept++)
    if (name == NULL || strcmp(*kept, name) != 0)
      put_parameter(&out, *kept, http_query(list->request, *kept), &first);
  if (name != NULL)
    put_parameter(&out, name, value, &first);
  buf_append_str(&out, str_of(list->anchor));
  return arena_str(http_arena(list->request), buf_str(&out)).data;
}

int
ui_sort_read(struct http_request *request, const struct ui_column *columns, size_t count,
             struct ui_sort *ret, struct error *err)
{
  struct str asked = http_query(request, "sort");
  struct str name = str_from(asked, str_starts(asked, STR("-")) ? 1 : 0);
  if (asked.size == 0)
    return 0;
  for (size_t i = 0; i < count; i++)
    if (columns[i].sort != NULL && str_equal(name, str_of(columns[i].sort))) {
      *ret = (struct ui_sort) { i, asked.size > name.size };
      return 0;
    }
  return error_set(err, -EINVAL, "nothing is sorted by \"%.*s\" here", STR_FMT(asked));
}

struct ui_heads
ui_list_heads(const struct ui_list *list, const struct ui_column *columns, size_t count,
              const struct ui_sort *sort)
{
  struct arena *arena = http_arena(list->request);
  struct ui_heads heads = { arena_array(arena, count, sizeof *heads.items), count };
  for (size_t i = 0; i < count; i++) {
    const struct ui_column *column = &columns[i];
    bool is_sorted = i == sort->column;
    heads.items[i] = (struct ui_head) { column->name, "", "", column->is_number };
    if (column->sort == NULL)
      continue;
    bool falls = is_sorted ? !sort->falls : column->falls;
    const char *next = arena_printf(arena, "%s%s", falls ? "-" : "", column->sort);
    heads.items[i].address = ui_list_address(list, "sort", str_of(next));
    if (is_sorted)
      heads.items[i].order = sort->falls ? "descending" : "ascending";
  }
  return heads;
}
