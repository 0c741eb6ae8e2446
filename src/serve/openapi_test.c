/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
/* cmocka needs the three above first. */
#include <cmocka.h>

#include "serve/openapi.h"

static const struct http_route first[] = {
  { .method = "GET", .path = "/page", .summary = "not of the API" },
  { .method = "GET",
    .path = HTTP_API "/builds",
    .summary = "Builds",
    .query = "before limit",
    .reply = "Builds" },
  { .method = "DELETE", .path = HTTP_API "/builds/{id}", .role = "admin", .status = 204 },
};
static const struct http_route second[] = {
  { .method = "POST",
    .path = HTTP_API "/builds",
    .role = "admin",
    .request = "Submission",
    .reply = "Submitted",
    .status = 201 },
  { .method = "GET",
    .path = HTTP_API "/builds/{id}/log",
    .query = "follow? from",
    .type = "text/plain" },
  { .method = "POST", .path = HTTP_API "/builds/{id}/cancel", .role = "admin", .status = 202 },
  { .method = "GET", .path = HTTP_API "/events", .reply = "Event", .type = "text/event-stream" },
};

static json_t *document;

static int
describe(void **state)
{
  (void) state;
  const struct http_routes routes[] = { { first, ARRAY_SIZE(first), NULL },
                                        { second, ARRAY_SIZE(second), NULL } };
  CLEANUP_BUF struct buf text = { 0 };
  openapi_write(routes, ARRAY_SIZE(routes), &text);
  document = json_loadb(text.data, text.size, JSON_REJECT_DUPLICATES, NULL);
  return document != NULL ? 0 : -1;
}

static int
forget(void **state)
{
  (void) state;
  json_decref(document);
  return 0;
}

static json_t *
operation(const char *path, const char *method)
{
  json_t *found =
      json_object_get(json_object_get(json_object_get(document, "paths"), path), method);
  assert_non_null(found);
  return found;
}

/* What PATH and METHOD have is FORMAT, packed as jansson does it. */
#define ASSERT_MEMBER(path, method, name, ...)                                        \
  do {                                                                                \
    json_t *wanted_ = json_pack(__VA_ARGS__);                                         \
    assert_non_null(wanted_);                                                         \
    assert_true(json_equal(json_object_get(operation(path, method), name), wanted_)); \
    json_decref(wanted_);                                                             \
  } while (0)

static void
test_methods_of_a_path_stand_together(void **state)
{
  (void) state;
  const json_t *paths = json_object_get(document, "paths");
  assert_int_equal(json_object_size(paths), 5);
  assert_int_equal(json_object_size(json_object_get(paths, "/builds")), 2);
  assert_null(json_object_get(paths, "/page"));
}

static void
test_what_is_asked(void **state)
{
  (void) state;
  ASSERT_MEMBER("/builds", "get", "parameters", "[{s:s},{s:s},{s:s}]", "$ref",
                "#/components/parameters/query-before", "$ref",
                "#/components/parameters/query-limit", "$ref",
                "#/components/parameters/header-If-None-Match");
  ASSERT_MEMBER("/builds/{id}/log", "get", "parameters", "[{s:s},{s:s},{s:s},{s:s},{s:s}]", "$ref",
                "#/components/parameters/path-id", "$ref", "#/components/parameters/query-follow",
                "$ref", "#/components/parameters/query-from", "$ref",
                "#/components/parameters/header-If-None-Match", "$ref",
                "#/components/parameters/header-Range");
  ASSERT_MEMBER("/builds/{id}/log", "get", "operationId", "s", "get_builds_id_log");
  ASSERT_MEMBER("/builds/{id}/log", "get", "tags", "[s]", "builds");
  ASSERT_MEMBER("/builds/{id}/log", "get", "security", "[]");
  ASSERT_MEMBER("/builds/{id}/cancel", "post", "security", "[{s:[]}]", "admin");
  ASSERT_MEMBER("/builds", "post", "requestBody", "{s:b,s:{s:{s:{s:s}}}}", "required", 1, "content",
                "application/json", "schema", "$ref", "#/components/schemas/Submission");
  assert_null(json_object_get(operation("/builds/{id}/cancel", "post"), "requestBody"));
}

/* Member by member down the NAMES, to a text. */
static const char *
reply_text(json_t *operation_found, const char *const *names)
{
  const json_t *at = json_object_get(operation_found, "responses");
  for (; *names != NULL; names++)
    at = json_object_get(at, *names);
  return json_string_value(at);
}

static void
test_what_is_answered(void **state)
{
  static const struct
  {
    const char *path, *method;
    const char *names[6];
    const char *text;
  } rows[] = {
    { "/builds",
      "get",
      { "200", "content", "application/json", "schema", "$ref" },
      "#/components/schemas/Builds" },
    { "/builds", "get", { "200", "headers", "Link", "$ref" }, "#/components/headers/Link" },
    { "/builds", "get", { "304", "$ref" }, "#/components/responses/Unchanged" },
    { "/builds", "get", { "400", "$ref" }, "#/components/responses/Problem" },
    { "/events", "get", { "503", "$ref" }, "#/components/responses/Busy" },
    { "/builds",
      "post",
      { "201", "content", "application/json", "schema", "$ref" },
      "#/components/schemas/Submitted" },
    { "/builds", "post", { "200", "description" }, NULL },
    { "/builds", "post", { "304", "$ref" }, NULL },
    { "/builds/{id}", "delete", { "204", "description" }, "Done" },
    { "/builds/{id}", "delete", { "204", "content", "application/json", "schema", "$ref" }, NULL },
    { "/builds/{id}/cancel",
      "post",
      { "202", "content", "application/json", "schema", "$ref" },
      "#/components/schemas/Accepted" },
    { "/builds/{id}/log", "get", { "200", "content", "text/plain", "schema", "type" }, "string" },
    { "/builds/{id}/log", "get", { "206", "$ref" }, "#/components/responses/Part" },
    { "/builds/{id}/log", "get", { "416", "$ref" }, "#/components/responses/NoSuchPart" },
    { "/builds/{id}/log",
      "get",
      { "200", "headers", "ETag", "$ref" },
      "#/components/headers/ETag" },
    { "/builds", "get", { "206", "$ref" }, NULL },
    { "/events", "get", { "200", "headers", "ETag", "$ref" }, NULL },
    { "/events", "get", { "200", "content", "text/event-stream", "schema", "type" }, "string" },
  };
  (void) state;
  for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
    const char *text = reply_text(operation(rows[i].path, rows[i].method), rows[i].names);
    if (rows[i].text == NULL)
      assert_null(text);
    else
      assert_string_equal(text, rows[i].text);
  }
}

static void
test_the_components_are_in_it(void **state)
{
  (void) state;
  const json_t *components = json_object_get(document, "components");
  assert_non_null(json_object_get(json_object_get(components, "schemas"), "Problem"));
  assert_non_null(json_object_get(json_object_get(components, "parameters"), "query-limit"));
}

int
main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_methods_of_a_path_stand_together),
    cmocka_unit_test(test_what_is_asked),
    cmocka_unit_test(test_what_is_answered),
    cmocka_unit_test(test_the_components_are_in_it),
  };
  return cmocka_run_group_tests_name("openapi", tests, describe, forget);
}
