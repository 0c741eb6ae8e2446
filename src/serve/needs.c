/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "serve/needs.h"

#include <errno.h>
#include <stdlib.h>

int
needs_rank(struct str state)
{
  static const char *const order[] = { "failed", "dependency-failed", "cancelled", "running",
                                       "waiting" };
  for (size_t i = 0; i < ARRAY_SIZE(order); i++)
    if (str_equal(state, str_of(order[i])))
      return (int) i;
  return ARRAY_SIZE(order);
}

/* ---- the question ---- */

static bool
is_one_of(struct str word, struct str usual, struct str other)
{
  return word.size == 0 || str_equal(word, usual) || str_equal(word, other);
}

int
needs_read_question(struct http_request *request, struct needs_view *ret, struct error *err)
{
  struct str part = http_query(request, "part"), sort = http_query(request, "sort");
  if (!is_one_of(part, STR("needs"), STR("needed-by")))
    return error_set(err, -EINVAL, "a part is 'needs' or 'needed-by'");
  if (!is_one_of(sort, STR("step"), STR("state")) && !str_equal(sort, STR("name")))
    return error_set(err, -EINVAL, "it can be sorted by 'step', 'state' and 'name'");
  ret->users = str_equal(part, STR("needed-by"));
  ret->part = ret->users ? "needed-by" : "needs";
  ret->sort = sort.size > 0 ? sort : STR("step");
  return http_query_i64(request, "page", 1, INT32_MAX, 1, &ret->page, err);
}

/* ---- order ---- */

static int
compare_names(const struct needs_item *a, const struct needs_item *b)
{
  int r = str_compare(a->name, b->name);
  return r != 0 ? r : (a->build > b->build) - (a->build < b->build);
}

static int
by_step(const void *a, const void *b)
{
  const struct needs_item *x = *(struct needs_item *const *) a;
  const struct needs_item *y = *(struct needs_item *const *) b;
  if (x->step != y->step)
    return x->step - y->step;
  return x->rank != y->rank ? x->rank - y->rank : compare_names(x, y);
}

static int
by_state(const void *a, const void *b)
{
  const struct needs_item *x = *(struct needs_item *const *) a;
  const struct needs_item *y = *(struct needs_item *const *) b;
  return x->rank != y->rank ? x->rank - y->rank : by_step(a, b);
}

static int
by_name(const void *a, const void *b)
{
  return compare_names(*(struct needs_item *const *) a, *(struct needs_item *const *) b);
}

void
needs_take_page(struct needs_view *view)
{
  size_t count = view->items.count;
  int (*compare)(const void *, const void *) = by_step;
  if (str_equal(view->sort, STR("state")))
    compare = by_state;
  if (str_equal(view->sort, STR("name")))
    compare = by_name;
  qsort(view->items.items, count, sizeof *view->items.items, compare);
  view->pages = ((int64_t) count + NEEDS_LIMIT - 1) / NEEDS_LIMIT;
  if (view->page > view->pages)
    view->page = view->pages > 0 ? view->pages : 1;
  size_t begin = (size_t) (view->page - 1) * NEEDS_LIMIT;
  view->items.items += begin;
  view->items.count = count - begin < NEEDS_LIMIT ? count - begin : NEEDS_LIMIT;
}
