/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
/* cmocka needs the three above first. */
#include <cmocka.h>

#include <errno.h>

#include "http/router.h"

static int
handler(struct http_request *request, void *context, struct error *err)
{
  (void) request, (void) context, (void) err;
  return 0;
}

static struct http_route
route(const char *method, const char *path)
{
  return (struct http_route) { .method = method, .path = path, .handler = handler };
}

/* One router for all lookups: the least particular routes come first, so that
   precedence cannot come from their order. */
static int
make_router(void **state)
{
  static struct http_route routes[13];
  static char first[] = "first", second[] = "second";
  const struct http_route made[] = {
    route("GET", "/{path...}"),
    route("GET", "/{name}"),
    route("GET", "/{hash}.narinfo"),
    route("GET", "/nix-cache-info"),
    route("GET", "/"),
    route("GET", "/builds/{id}"),
    route("POST", "/builds/{id}"),
    route("GET", "/builds/new"),
    route("GET", "/builds/{build}/log"),
    route("GET", "/nar/{compression}/{item}"),
    route("GET", "/v{major}/x"),
    route("DELETE", "/only/delete"),
    route("GET", "/list/"),
  };
  memcpy(routes, made, sizeof made);
  const struct http_routes tables[] = { { routes, 7, first }, { routes + 7, 6, second } };
  struct router *router = NULL;
  struct error err = { 0 };
  assert_int_equal(router_new(tables, 2, &router, &err), 0);
  *state = router;
  return 0;
}

static int
drop_router(void **state)
{
  router_free(*state);
  return 0;
}

static struct router_match
find(void **state, struct arena *arena, const char *method, const char *path)
{
  struct router_match match;
  assert_int_equal(router_find(*state, arena, str_of(method), str_of(path), &match), 0);
  return match;
}

static void
test_precedence(void **state)
{
  static const struct
  {
    const char *method, *path, *route;
  } cases[] = {
    { "GET", "/", "/" },
    { "GET", "/nix-cache-info", "/nix-cache-info" },
    { "GET", "/abc.narinfo", "/{hash}.narinfo" },
    { "GET", "/.narinfo", "/{name}" }, /* a name is never empty */
    { "GET", "/abc", "/{name}" },
    { "GET", "/a/b/c/d", "/{path...}" },
    { "GET", "/builds/7", "/builds/{id}" },
    { "HEAD", "/builds/7", "/builds/{id}" },
    { "POST", "/builds/7", "/builds/{id}" },
    { "GET", "/builds/new", "/builds/new" },
    { "POST", "/builds/new", "/builds/{id}" },           /* the literal one has no POST */
    { "GET", "/builds/new/log", "/builds/{build}/log" }, /* and leads nowhere here */
    { "GET", "/builds/7/other", "/{path...}" },
    { "GET", "/v2/x", "/v{major}/x" },
    { "GET", "/list/", "/list/" },
  };
  for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
    CLEANUP_ARENA struct arena arena = { 0 };
    struct router_match match = find(state, &arena, cases[i].method, cases[i].path);
    assert_non_null(match.route);
    assert_string_equal(match.route->path, cases[i].route);
  }
}

static void
test_params_are_decoded_once(void **state)
{
  CLEANUP_ARENA struct arena arena = { 0 };
  struct router_match match = find(state, &arena, "GET", "/nar/zstd/a%2Fb%2541%20c");
  assert_true(str_equal(http_fields_get(&match.params, STR("compression")), STR("zstd")));
  assert_true(str_equal(http_fields_get(&match.params, STR("item")), STR("a/b%41 c")));
  match = find(state, &arena, "GET", "/builds/%6eew");
  assert_string_equal(match.route->path, "/builds/new");
  assert_string_equal(match.context, "second");
  match = find(state, &arena, "GET", "/x/y%20z/");
  assert_true(str_equal(http_fields_get(&match.params, STR("path")), STR("x/y z/")));
  assert_int_equal(match.params.count, 1); /* nothing left over from other branches */
}

static void
test_wrong_method_names_the_right_ones(void **state)
{
  CLEANUP_ARENA struct arena arena = { 0 };
  struct router_match match = find(state, &arena, "PUT", "/builds/new");
  assert_null(match.route);
  assert_string_equal(match.allow.data, "OPTIONS, GET, HEAD, POST");
  match = find(state, &arena, "PATCH", "/only/delete");
  assert_string_equal(match.allow.data, "OPTIONS, DELETE, GET, HEAD"); /* "/{path...}" too */
}

static void
test_long_paths_lead_nowhere(void **state)
{
  CLEANUP_ARENA struct arena arena = { 0 };
  CLEANUP_BUF struct buf path = { 0 };
  for (int i = 0; i <= ROUTER_SEGMENTS_MAX; i++)
    buf_append_text(&path, "/a");
  struct router_match match = find(state, &arena, "GET", buf_text(&path));
  assert_null(match.route);
  assert_int_equal(match.allow.size, 0);
}

static void
test_malformed_routes_are_refused(void **state)
{
  static const char *const bad[] = { "builds", "/{",        "/}",       "/{}",   "/a{b}{c}",
                                     "/{a}}",  "/{a...}/b", "/x{a...}", "/{...}" };
  (void) state;
  for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
    struct http_route item = route("GET", bad[i]);
    struct http_routes table = { &item, 1, NULL };
    struct router *router = NULL;
    assert_int_equal(router_new(&table, 1, &router, NULL), -EINVAL);
  }
  const struct http_route twice[] = { route("GET", "/a/{b}"), route("GET", "/a/{b}") };
  struct http_routes table = { twice, 2, NULL };
  struct router *router = NULL;
  struct error err = { 0 };
  assert_int_equal(router_new(&table, 1, &router, &err), -EEXIST);
  assert_string_equal(err.message, "route GET /a/{b} stands twice");
}

int
main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_precedence),
    cmocka_unit_test(test_params_are_decoded_once),
    cmocka_unit_test(test_wrong_method_names_the_right_ones),
    cmocka_unit_test(test_long_paths_lead_nowhere),
    cmocka_unit_test(test_malformed_routes_are_refused),
  };
  return cmocka_run_group_tests_name("router", tests, make_router, drop_router);
}
