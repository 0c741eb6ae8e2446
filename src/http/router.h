/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Finds the route of a request: a tree of path segments, compiled once from
   the route tables. Of several patterns that fit, literal segments win over
   partly literal ones, these over whole-segment names, these over a rest. */
#pragma once

#include "http/http.h"
#include "http/uri.h"

#define ROUTER_SEGMENTS_MAX 64

struct router;

/* -EINVAL for a malformed pattern, -EEXIST when two routes are the same; ERR
   names the route. The items of ROUTES must outlive the router. */
int router_new(const struct http_routes *routes, size_t count, struct router **ret,
               struct error *err);
void router_free(struct router *router); /* NULL is fine */

struct router_match
{
  const struct http_route *route; /* NULL = none for this method */
  void *context;
  struct http_fields params; /* decoded */
  struct str allow;          /* when route is NULL: methods that the path knows, "" = none */
};

/* Looks METHOD and the raw PATH up; HEAD is served by GET routes. Results lie
   in ARENA. -EINVAL when a segment is badly encoded. */
int router_find(const struct router *router, struct arena *arena, struct str method,
                struct str path, struct router_match *ret) PN_MUST_USE;
