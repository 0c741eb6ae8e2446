/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "http/router.h"

#include <errno.h>
#include <stdlib.h>

#include "base/mem.h"

/* In order of precedence. */
enum node_kind
{
  NODE_LITERAL,
  NODE_PART,  /* a name with literal text around it */
  NODE_WHOLE, /* a name */
  NODE_REST,  /* a name that takes all that follows */
};

struct endpoint
{
  const struct http_route *route;
  void *context;
  struct endpoint *next;
};

struct node
{
  enum node_kind kind;
  struct str before; /* literal text; all of it for NODE_LITERAL */
  struct str name;
  struct str after;
  struct node *children; /* in order of precedence */
  struct node *next;     /* sibling */
  struct endpoint *endpoints;
};

struct router
{
  struct arena arena;
  struct node root;
};

static int
parse_segment(struct str segment, bool last, struct node *ret)
{
  ptrdiff_t open = str_find(segment, '{');
  ptrdiff_t close = str_find(segment, '}');
  if (open < 0 && close < 0) {
    *ret = (struct node) { .kind = NODE_LITERAL, .before = segment };
    return 0;
  }
  if (open < 0 || close < open + 2)
    return -EINVAL;
  struct str name = str_make(segment.data + open + 1, (size_t) (close - open - 1));
  struct str before = str_make(segment.data, (size_t) open);
  struct str after = str_from(segment, (size_t) close + 1);
  if (str_find(after, '{') >= 0 || str_find(after, '}') >= 0)
    return -EINVAL;
  *ret = (struct node) { .kind = NODE_WHOLE, .before = before, .name = name, .after = after };
  if (before.size + after.size > 0)
    ret->kind = NODE_PART;
  if (!str_ends(name, STR("...")))
    return 0;
  if (!last || ret->kind == NODE_PART || name.size == 3)
    return -EINVAL;
  ret->name.size -= 3;
  ret->kind = NODE_REST;
  return 0;
}

static bool
node_same(const struct node *a, const struct node *b)
{
  return a->kind == b->kind && str_equal(a->before, b->before) && str_equal(a->name, b->name)
         && str_equal(a->after, b->after);
}

/* True when A is to be tried before B: by kind, then the one that says more. */
static bool
node_precedes(const struct node *a, const struct node *b)
{
  if (a->kind != b->kind)
    return a->kind < b->kind;
  return a->before.size + a->after.size > b->before.size + b->after.size;
}

static struct node *
node_child(struct router *router, struct node *parent, const struct node *wanted)
{
  struct node **place = &parent->children;
  for (; *place != NULL && !node_precedes(wanted, *place); place = &(*place)->next)
    if (node_same(*place, wanted))
      return *place;
  struct node *child = arena_alloc(&router->arena, sizeof *child);
  *child = *wanted;
  child->next = *place;
  *place = child;
  return child;
}

static int
add_route(struct router *router, const struct http_route *route, void *context, struct error *err)
{
  if (route->path[0] != '/' || (route->handler == NULL) == (route->body == NULL))
    return error_set(err, -EINVAL, "route %s %s is malformed", route->method, route->path);
  struct node *node = &router->root;
  struct str rest = str_of(route->path + 1);
  for (struct str segment; str_split(&rest, '/', &segment);) {
    struct node wanted;
    if (parse_segment(segment, rest.data == NULL, &wanted) < 0)
      return error_set(err, -EINVAL, "route %s %s is malformed", route->method, route->path);
    node = node_child(router, node, &wanted);
  }
  for (const struct endpoint *other = node->endpoints; other != NULL; other = other->next)
    if (strcmp(other->route->method, route->method) == 0)
      return error_set(err, -EEXIST, "route %s %s stands twice", route->method, route->path);
  struct endpoint *endpoint = arena_alloc(&router->arena, sizeof *endpoint);
  *endpoint = (struct endpoint) { route, context, node->endpoints };
  node->endpoints = endpoint;
  return 0;
}

int
router_new(const struct http_routes *routes, size_t count, struct router **ret, struct error *err)
{
  struct router *router = mem_alloc(sizeof *router);
  for (size_t i = 0; i < count; i++)
    for (size_t j = 0; j < routes[i].count; j++) {
      int r = add_route(router, &routes[i].items[j], routes[i].context, err);
      if (r < 0) {
        router_free(router);
        return r;
      }
    }
  *ret = router;
  return 0;
}

void
router_free(struct router *router)
{
  if (router == NULL)
    return;
  arena_free(&router->arena);
  free(router);
}

/* ---- finding ---- */

struct segment
{
  struct str text; /* decoded */
  struct str raw;  /* from here to the end of the path */
};

struct search
{
  struct arena *arena;
  struct str method;
  struct segment segments[ROUTER_SEGMENTS_MAX];
  size_t count;
  struct http_fields params;
  struct http_fields allowed; /* names: methods seen on fitting paths */
};

static int
split_path(struct search *search, struct str path)
{
  struct str rest = str_from(path, 1);
  struct str raw = rest;
  for (struct str part; str_split(&rest, '/', &part); raw = rest) {
    if (search->count == ROUTER_SEGMENTS_MAX)
      return -E2BIG;
    struct segment *segment = &search->segments[search->count++];
    segment->raw = raw;
    int r = uri_decode(search->arena, part, false, &segment->text);
    if (r < 0)
      return r;
  }
  return 0;
}

/* The value that NODE's name takes from SEGMENT; false when it does not fit. */
static bool
node_fits(struct search *search, const struct node *node, const struct segment *segment,
          struct str *ret_value)
{
  struct str text = segment->text;
  switch (node->kind) {
  case NODE_LITERAL:
    return str_equal(text, node->before);
  case NODE_PART:
    if (text.size <= node->before.size + node->after.size || !str_starts(text, node->before)
        || !str_ends(text, node->after))
      return false;
    *ret_value =
        str_make(text.data + node->before.size, text.size - node->before.size - node->after.size);
    return true;
  case NODE_WHOLE:
    *ret_value = text;
    return text.size > 0;
  case NODE_REST:
    return uri_decode(search->arena, segment->raw, false, ret_value) == 0;
  }
  return false;
}

static const struct endpoint *
pick_endpoint(struct search *search, const struct node *node)
{
  bool head = str_equal(search->method, STR("HEAD"));
  const struct endpoint *by_get = NULL;
  for (const struct endpoint *at = node->endpoints; at != NULL; at = at->next) {
    struct str method = str_of(at->route->method);
    if (str_equal(method, search->method))
      return at;
    if (head && str_equal(method, STR("GET")))
      by_get = at;
    http_fields_add(&search->allowed, search->arena, method, STR(""));
  }
  return by_get;
}

static const struct endpoint *
search_below(struct search *search, const struct node *node, size_t depth)
{
  if (depth == search->count)
    return pick_endpoint(search, node);
  for (const struct node *child = node->children; child != NULL; child = child->next) {
    struct str value;
    if (!node_fits(search, child, &search->segments[depth], &value))
      continue;
    size_t before = search->params.count;
    if (child->kind != NODE_LITERAL)
      http_fields_add(&search->params, search->arena, child->name, value);
    const struct endpoint *found = child->kind == NODE_REST
                                       ? pick_endpoint(search, child)
                                       : search_below(search, child, depth + 1);
    if (found != NULL)
      return found;
    search->params.count = before;
  }
  return NULL;
}

/* "GET, HEAD, OPTIONS, POST": each method once. */
static struct str
allow_text(const struct search *search)
{
  static const char *const known[] = { "DELETE", "GET", "HEAD", "PATCH", "POST", "PUT" };
  const char *list = "OPTIONS";
  for (size_t i = 0; i < ARRAY_SIZE(known); i++) {
    const char *served_by = strcmp(known[i], "HEAD") == 0 ? "GET" : known[i];
    if (http_fields_get(&search->allowed, str_of(served_by)).data != NULL)
      list = arena_printf(search->arena, "%s, %s", list, known[i]);
  }
  return str_of(list);
}

int
router_find(const struct router *router, struct arena *arena, struct str method, struct str path,
            struct router_match *ret)
{
  struct search search = { .arena = arena, .method = method };
  *ret = (struct router_match) { .allow = STR("") };
  int r = split_path(&search, path);
  if (r == -E2BIG)
    return 0;
  if (r < 0)
    return r;
  const struct endpoint *found = search_below(&search, &router->root, 0);
  if (found != NULL) {
    ret->route = found->route;
    ret->context = found->context;
    ret->params = search.params;
  } else if (search.allowed.count > 0) {
    ret->allow = allow_text(&search);
  }
  return 0;
}
