/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "serve/openapi.h"

#include <string.h>

#include "base/json.h"

/* ---- pieces ---- */

/* `"KEY": {"$ref": "#/components/KIND/NAME"}`; without KEY an item of an array. */
static void
put_reference(struct json *json, const char *key, const char *kind, const char *name)
{
  CLEANUP_BUF struct buf target = { 0 };
  buf_printf(&target, "#/components/%s/%s", kind, name);
  if (key != NULL)
    json_key(json, key);
  json_object_open(json);
  json_put_text(json, "$ref", buf_str(&target));
  json_object_close(json);
}

/* Below HTTP_API: "/builds/{id}"; data NULL = the route is not part of the API. */
static struct str
api_path(const struct http_route *route)
{
  struct str path = str_of(route->path);
  if (!str_starts(path, STR(HTTP_API "/")))
    return str_make(NULL, 0);
  return str_from(path, strlen(HTTP_API));
}

/* "get_builds_id_log" */
static void
append_operation_id(struct buf *id, const struct http_route *route)
{
  struct str path = api_path(route);
  for (const char *c = route->method; *c != '\0'; c++)
    buf_append_char(id, (char) (*c | 0x20));
  for (size_t i = 0; i < path.size; i++)
    if (path.data[i] == '/' || path.data[i] == '.')
      buf_append_char(id, '_');
    else if (path.data[i] != '{' && path.data[i] != '}')
      buf_append_char(id, path.data[i]);
}

static void
put_operation_id(struct json *json, const struct http_route *route)
{
  CLEANUP_BUF struct buf id = { 0 };
  append_operation_id(&id, route);
  json_put_text(json, "operationId", buf_str(&id));
}

/* The first segment of its path. */
static void
put_tag(struct json *json, const struct http_route *route)
{
  struct str rest = str_from(api_path(route), 1);
  struct str tag;
  (void) str_split(&rest, '/', &tag);
  json_key(json, "tags");
  json_array_open(json);
  json_text(json, tag);
  json_array_close(json);
}

/* ---- what is asked ---- */

/* A parameter that means something else to one operation has a component of its own for it:
   "query-state-of-get_evaluations". */
static void
put_parameter(struct json *json, const struct http_route *route, const char *where, struct str name)
{
  CLEANUP_BUF struct buf full = { 0 };
  CLEANUP_BUF struct buf own = { 0 };
  CLEANUP_BUF struct buf member = { 0 };
  buf_printf(&full, "%s-%.*s", where, STR_FMT(name));
  buf_printf(&own, "%s-of-", buf_text(&full));
  append_operation_id(&own, route);
  buf_printf(&member, "\"%s\":", buf_text(&own));
  bool has_own = strstr(openapi_components, buf_text(&member)) != NULL;
  put_reference(json, NULL, "parameters", buf_text(has_own ? &own : &full));
}

/* Of a parameter, whatever its values. */
static bool
takes(const struct http_route *route, const char *name)
{
  struct str word;
  for (struct str rest = str_of(route->query); str_split(&rest, ' ', &word);) {
    word.size -= str_ends(word, STR("?"));
    if (str_equal(word, str_of(name)))
      return true;
  }
  return false;
}

/* Text that can be had from any byte on; see http_reply_content. */
static bool
is_log(const struct http_route *route)
{
  return takes(route, "follow");
}

static bool
is_event_stream(const struct http_route *route)
{
  return route->type != NULL && strcmp(route->type, "text/event-stream") == 0;
}

static void
put_parameters(struct json *json, const struct http_route *route)
{
  struct str part;
  json_key(json, "parameters");
  json_array_open(json);
  for (struct str rest = api_path(route); str_split(&rest, '/', &part);)
    if (part.size > 2 && part.data[0] == '{')
      put_parameter(json, route, "path", str_make(part.data + 1, part.size - 2));
  for (struct str rest = str_of(route->query); str_split(&rest, ' ', &part);) {
    part.size -= str_ends(part, STR("?"));
    put_parameter(json, route, "query", part);
  }
  if (strcmp(route->method, "GET") == 0 && (route->type == NULL || is_log(route)))
    put_parameter(json, route, "header", STR("If-None-Match"));
  if (is_event_stream(route))
    put_parameter(json, route, "header", STR("Last-Event-ID"));
  if (is_log(route))
    put_parameter(json, route, "header", STR("Range"));
  json_array_close(json);
}

static void
put_security(struct json *json, const struct http_route *route)
{
  json_key(json, "security");
  json_array_open(json);
  if (route->role != NULL) {
    json_object_open(json);
    json_key(json, route->role);
    json_array_open(json);
    json_array_close(json);
    json_object_close(json);
  }
  json_array_close(json);
}

static void
put_request(struct json *json, const struct http_route *route)
{
  if (route->request == NULL)
    return;
  json_key(json, "requestBody");
  json_object_open(json);
  json_put_bool(json, "required", true);
  json_key(json, "content");
  json_object_open(json);
  json_key(json, "application/json");
  json_object_open(json);
  put_reference(json, "schema", "schemas", route->request);
  json_object_close(json);
  json_object_close(json);
  json_object_close(json);
}

/* ---- what is answered ---- */

/* JSON of a schema, or a text whose parts, if they are JSON, have that schema. */
static void
put_content(struct json *json, const struct http_route *route)
{
  json_key(json, "content");
  json_object_open(json);
  json_key(json, route->type != NULL ? route->type : "application/json");
  json_object_open(json);
  if (route->type == NULL) {
    put_reference(json, "schema", "schemas", route->reply != NULL ? route->reply : "Accepted");
  } else {
    json_key(json, "schema");
    json_object_open(json);
    json_put_cstr(json, "type", "string");
    if (route->reply != NULL) {
      json_put_cstr(json, "contentMediaType", "application/json");
      put_reference(json, "contentSchema", "schemas", route->reply);
    }
    json_object_close(json);
  }
  json_object_close(json);
  json_object_close(json);
}

/* As http_reply_json, http_reply_page and http_reply_content do it. */
static void
put_headers(struct json *json, const struct http_route *route)
{
  json_key(json, "headers");
  json_object_open(json);
  put_reference(json, "ETag", "headers", "ETag");
  if (takes(route, "before")) /* a list in pages */
    put_reference(json, "Link", "headers", "Link");
  if (is_log(route)) {
    put_reference(json, "Accept-Ranges", "headers", "Accept-Ranges");
    put_reference(json, "Last-Modified", "headers", "Last-Modified");
  }
  json_object_close(json);
}

static void
put_success(struct json *json, const struct http_route *route, int status, bool has_etag)
{
  char digits[16];
  snprintf(digits, sizeof digits, "%d", status);
  json_key(json, digits);
  json_object_open(json);
  json_put_cstr(json, "description",
                status == 202   ? "Ordered"
                : status == 204 ? "Done"
                                : "It is in the body");
  if (has_etag)
    put_headers(json, route);
  if (status != 204)
    put_content(json, route);
  json_object_close(json);
}

/* What can go wrong with such a route, by status. */
static void
put_problems(struct json *json, const struct http_route *route)
{
  bool changes = strcmp(route->method, "GET") != 0;
  bool names = strchr(route->path, '{') != NULL || route->request != NULL
               || takes(route, "evaluation") || takes(route, "specification");
  const struct
  {
    const char *status, *response;
    bool can_be;
  } problems[] = {
    { "400", "Problem", true },
    { "401", "NoToken", route->role != NULL },
    { "403", "Problem", route->role != NULL },
    { "404", "Problem", names },
    { "409", "Problem", changes },
    { "413", "Problem", route->body_limit > 0 },
    { "415", "Problem", route->body_limit > 0 },
    { "500", "Problem", true },
    { "503", "Busy", true },
    { "507", "Problem", changes },
  };
  for (size_t i = 0; i < ARRAY_SIZE(problems); i++)
    if (problems[i].can_be)
      put_reference(json, problems[i].status, "responses", problems[i].response);
}

static void
put_responses(struct json *json, const struct http_route *route)
{
  int status = route->status != 0 ? route->status : 200;
  bool has_etag =
      status == 200 && strcmp(route->method, "GET") == 0 && (route->type == NULL || is_log(route));
  json_key(json, "responses");
  json_object_open(json);
  put_success(json, route, status, has_etag);
  if (has_etag)
    put_reference(json, "304", "responses", "Unchanged");
  if (is_log(route)) {
    put_reference(json, "206", "responses", "Part");
    put_reference(json, "416", "responses", "NoSuchPart");
  }
  put_problems(json, route);
  json_object_close(json);
}

/* ---- the whole ---- */

static void
put_operation(struct json *json, const struct http_route *route)
{
  char method[16] = { 0 };
  for (size_t i = 0; i + 1 < sizeof method && route->method[i] != '\0'; i++)
    method[i] = (char) (route->method[i] | 0x20);
  json_key(json, method);
  json_object_open(json);
  put_operation_id(json, route);
  json_put_cstr(json, "summary", route->summary);
  put_tag(json, route);
  put_parameters(json, route);
  put_security(json, route);
  put_request(json, route);
  put_responses(json, route);
  json_object_close(json);
}

/* All routes in the order of the tables. */
struct cursor
{
  const struct http_routes *routes;
  size_t count;
  size_t list, item;
};

static const struct http_route *
next_route(struct cursor *cursor)
{
  for (; cursor->list < cursor->count; cursor->list++, cursor->item = 0)
    while (cursor->item < cursor->routes[cursor->list].count) {
      const struct http_route *route = &cursor->routes[cursor->list].items[cursor->item++];
      if (api_path(route).data != NULL)
        return route;
    }
  return NULL;
}

/* A path is a key, and its methods are below it: they are written where it stands first. */
static void
put_path(struct json *json, const struct cursor *start, const struct http_route *first)
{
  struct cursor all = { .routes = start->routes, .count = start->count };
  const struct http_route *route = next_route(&all);
  while (strcmp(route->path, first->path) != 0)
    route = next_route(&all);
  if (route != first)
    return;
  CLEANUP_BUF struct buf key = { 0 };
  buf_append_str(&key, api_path(first));
  json_key(json, buf_text(&key));
  json_object_open(json);
  for (; route != NULL; route = next_route(&all))
    if (strcmp(route->path, first->path) == 0)
      put_operation(json, route);
  json_object_close(json);
}

static void
put_head(struct json *json)
{
  json_put_cstr(json, "openapi", "3.1.0");
  json_key(json, "info");
  json_object_open(json);
  json_put_cstr(json, "title", "Panoply");
  json_put_cstr(json, "version", PANOPLY_VERSION);
  json_put_cstr(json, "summary", "Specifications, evaluations, builds and agents of a farm");
  json_key(json, "license");
  json_object_open(json);
  json_put_cstr(json, "name", "GPL-3.0-or-later");
  json_put_cstr(json, "identifier", "GPL-3.0-or-later");
  json_object_close(json);
  json_object_close(json);
  json_key(json, "servers");
  json_array_open(json);
  json_object_open(json);
  json_put_cstr(json, "url", HTTP_API);
  json_object_close(json);
  json_array_close(json);
}

void
openapi_write(const struct http_routes *routes, size_t count, struct buf *out)
{
  struct json json = json_begin(out);
  struct cursor cursor = { .routes = routes, .count = count };
  json_object_open(&json);
  put_head(&json);
  json_key(&json, "paths");
  json_object_open(&json);
  for (const struct http_route *route; (route = next_route(&cursor)) != NULL;)
    put_path(&json, &cursor, route);
  json_object_close(&json);
  json_key(&json, "components");
  json_raw(&json, str_of(openapi_components));
  json_object_close(&json);
}
