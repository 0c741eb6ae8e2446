/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "http/request.h"

#include <errno.h>
#include <stdlib.h>
#include <strings.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/thread.h"

#define QUERY_FIELDS_MAX 256
#define FORM_FIELDS_MAX 64
#define JSON_NESTING_MAX 64

/* ---- life ---- */

struct http_request *
request_new(struct http_server *server, struct MHD_Connection *connection, const char *target)
{
  struct http_request *request = mem_alloc(sizeof *request);
  request->server = server_ref(server);
  request->connection = connection;
  request->references = 1;
  request->target = arena_str(&request->arena, str_of(target));
  request->path = request->local_target = STR("/");
  request->method = "";
  request->began_ms = clock_monotonic_ms();
  wait_init(&request->wait, server, connection);
  return request;
}

void
request_ref(struct http_request *request)
{
  atomic_fetch_add(&request->references, 1);
}

void
request_unref(struct http_request *request)
{
  if (atomic_fetch_sub(&request->references, 1) > 1)
    return;
  if (request->reply != NULL)
    MHD_destroy_response(request->reply);
  if (request->free_state != NULL)
    request->free_state(request->state);
  json_decref(request->json);
  buf_free(&request->body);
  arena_free(&request->arena);
  server_unref(request->server);
  free(request);
}

/* ---- reading the head ---- */

static enum MHD_Result
copy_header(void *context, enum MHD_ValueKind kind, const char *name, const char *value)
{
  struct http_request *request = context;
  (void) kind;
  http_fields_add(&request->headers, &request->arena, arena_str(&request->arena, str_of(name)),
                  arena_str(&request->arena, str_of(value)));
  return MHD_YES;
}

static size_t
count_headers(const struct http_request *request, const char *name)
{
  size_t count = 0;
  for (size_t i = 0; i < request->headers.count; i++)
    count += strcasecmp(request->headers.items[i].name.data, name) == 0;
  return count;
}

/* A body whose end a proxy in front could see elsewhere than we do is refused
   (RFC 9112 section 6.3). */
static int
read_body_size(struct http_request *request, struct error *err)
{
  struct str coding = http_header(request, "Transfer-Encoding");
  struct str length = http_header(request, "Content-Length");
  request->broken = true;
  if (count_headers(request, "Content-Length") > 1
      || count_headers(request, "Transfer-Encoding") > 1
      || (coding.data != NULL && length.data != NULL))
    return error_set(err, -EINVAL, "the size of the request's body is ambiguous");
  if (coding.data != NULL) {
    if (strcasecmp(coding.data, "chunked") != 0)
      return error_set(err, -EINVAL, "transfer coding '%s' is not supported", coding.data);
    request->body_size = -1;
  } else if (length.data != NULL && str_to_i64(length, &request->body_size) < 0) {
    return error_set(err, -EINVAL, "Content-Length is not a number");
  }
  request->broken = false;
  return 0;
}

int
request_read_head(struct http_request *request, const char *method, struct error *err)
{
  struct arena *arena = &request->arena;
  request->method = arena_str(arena, str_of(method)).data;
  MHD_get_connection_values(request->connection, MHD_HEADER_KIND, copy_header, request);
  int r = read_body_size(request, err);
  if (r < 0)
    return r;
  struct str path, query;
  if (uri_split(request->target, &path, &query) < 0)
    return error_set(err, -EINVAL, "the request's path is malformed");
  request->path = arena_str(arena, path); /* the error's form depends on it */
  request->local_target = str_of(arena_printf(arena, "%.*s%s%.*s", STR_FMT(path),
                                              query.data == NULL ? "" : "?", STR_FMT(query)));
  if (uri_decode_path(arena, path, &request->path) < 0)
    return error_set(err, -EINVAL, "the request's path is malformed");
  if (uri_parse_query(arena, query, QUERY_FIELDS_MAX, &request->query) < 0)
    return error_set(err, -EINVAL, "the request's query is malformed or has more than %d parts",
                     QUERY_FIELDS_MAX);
  return 0;
}

static bool
has_type(const struct http_request *request, const char *type)
{
  struct str value = http_header(request, "Content-Type");
  size_t size = strlen(type);
  return value.size >= size && strncasecmp(value.data, type, size) == 0
         && (value.size == size || value.data[size] == ';' || value.data[size] == ' ');
}

/* A browser sends other sites' forms only with types that are not JSON, so
   insisting on the type also keeps such forms out. */
static int
check_json_type(const struct http_request *request, struct error *err)
{
  struct str type = http_header(request, "Content-Type");
  if (type.data == NULL || has_type(request, "application/json"))
    return 0;
  error_set(err, -EMEDIUMTYPE, "the body must be JSON, not %.100s", type.data);
  return error_hint(err, "Send the header `Content-Type: application/json`.");
}

int
request_read_form(struct http_request *request, struct error *err)
{
  if (request->body_size != 0 && !has_type(request, "application/x-www-form-urlencoded"))
    return error_set(err, -EMEDIUMTYPE, "the body must be a form, as the pages send it");
  if (uri_parse_query(&request->arena, buf_str(&request->body), FORM_FIELDS_MAX, &request->form)
      < 0)
    return error_set(err, -EINVAL, "the form is malformed or has more than %d fields",
                     FORM_FIELDS_MAX);
  return 0;
}

/* ---- lists of words, as in struct http_route ---- */

/* True when NAME is a word of LIST; *RET_IS_FLAG: it stands there with a question mark. */
static bool
find_word(const char *list, struct str name, bool *ret_is_flag)
{
  struct str rest = str_of(list);
  struct str word;
  while (str_split(&rest, ' ', &word)) {
    *ret_is_flag = str_ends(word, STR("?"));
    word.size -= *ret_is_flag;
    if (str_equal(word, name))
      return true;
  }
  return false;
}

/* WHAT a field is called: "parameter", "field". */
static int
check_field(const char *list, const char *what, const struct http_field *field, struct error *err)
{
  bool is_flag = false;
  if (!find_word(list, field->name, &is_flag))
    return error_set(err, -EINVAL, "there is no %s \"%.*s\" here", what, STR_FMT(field->name));
  if (is_flag && !str_equal(field->value, STR("yes")) && !str_equal(field->value, STR("no")))
    return error_set(err, -EINVAL, "%.*s must be \"yes\" or \"no\"", STR_FMT(field->name));
  return 0;
}

static int
check_not_repeated(const struct http_fields *fields, const char *what, size_t place,
                   struct error *err)
{
  struct str name = fields->items[place].name;
  for (size_t i = 0; i < place; i++)
    if (str_equal(fields->items[i].name, name))
      return error_set(err, -EINVAL, "the %s \"%.*s\" comes twice", what, STR_FMT(name));
  return 0;
}

static int
check_fields(const struct http_fields *fields, const char *list, const char *what,
             struct error *err)
{
  int r = 0;
  for (size_t i = 0; i < fields->count && r == 0; i++) {
    r = check_field(list, what, &fields->items[i], err);
    if (r == 0)
      r = check_not_repeated(fields, what, i, err);
  }
  return r;
}

/* Probably a variable that was not set: it must not ask for everything. */
static int
check_not_empty(const struct http_fields *fields, struct error *err)
{
  for (size_t i = 0; i < fields->count; i++)
    if (fields->items[i].value.size == 0)
      return error_set(err, -EINVAL, "the parameter \"%.*s\" is empty: leave it out, or say what",
                       STR_FMT(fields->items[i].name));
  return 0;
}

/* A form that narrows a list sends all its fields, also those that nothing was typed into. */
static void
drop_empty(struct http_fields *fields)
{
  size_t kept = 0;
  for (size_t i = 0; i < fields->count; i++)
    if (fields->items[i].value.size > 0)
      fields->items[kept++] = fields->items[i];
  fields->count = kept;
}

static bool
is_of_api(const struct http_route *route)
{
  return str_starts(str_of(route->path), STR(HTTP_API "/"));
}

int
request_check_query(struct http_request *request, struct error *err)
{
  const struct http_route *route = request->match.route;
  if (!http_is_for_programs(request))
    drop_empty(&request->query);
  if (!is_of_api(route))
    return 0;
  int r = check_fields(&request->query, route->query, "parameter", err);
  if (r == 0)
    r = check_not_empty(&request->query, err);
  return r == 0 && request->body_size != 0 ? check_json_type(request, err) : r;
}

int
request_check_form(struct http_request *request, struct error *err)
{
  const char *members = request->match.route->members;
  const char *list =
      arena_printf(&request->arena, HTTP_FORM_TOKEN " %s", members != NULL ? members : "");
  return check_fields(&request->form, list, "field", err);
}

/* ---- what handlers ask ---- */

const char *
http_method(const struct http_request *request)
{
  return request->method;
}

const char *
http_path(const struct http_request *request)
{
  return request->path.data;
}

struct str
http_target(const struct http_request *request)
{
  return request->local_target;
}

struct arena *
http_arena(struct http_request *request)
{
  return &request->arena;
}

struct str
http_param(const struct http_request *request, const char *name)
{
  return http_fields_get(&request->match.params, str_of(name));
}

int
http_param_id(const struct http_request *request, const char *name, int64_t *ret, struct error *err)
{
  struct str text = http_param(request, name);
  int64_t id;
  if (str_to_i64(text, &id) < 0 || id <= 0)
    return error_set(err, -ENOENT, "there is no %s '%.*s'", name, STR_FMT(text));
  *ret = id;
  return 0;
}

struct str
http_query(const struct http_request *request, const char *name)
{
  return http_fields_get(&request->query, str_of(name));
}

int
http_query_i64(const struct http_request *request, const char *name, int64_t low, int64_t high,
               int64_t fallback, int64_t *ret, struct error *err)
{
  struct str text = http_query(request, name);
  if (text.data == NULL) {
    *ret = fallback;
    return 0;
  }
  int64_t value;
  if (str_to_i64(text, &value) < 0 || value < low || value > high)
    return error_set(err, -EINVAL, "%s must be a number from %lld to %lld", name, (long long) low,
                     (long long) high);
  *ret = value;
  return 0;
}

struct str
http_header(const struct http_request *request, const char *name)
{
  return http_fields_get_nocase(&request->headers, str_of(name));
}

/* RFC 6265, 4.2.1: "a=1; b=2". */
struct str
http_cookie(const struct http_request *request, const char *name)
{
  struct str rest = http_header(request, "Cookie");
  struct str pair;
  while (str_split(&rest, ';', &pair)) {
    struct str value = str_trim(pair);
    struct str key;
    if (str_split(&value, '=', &key) && value.data != NULL && str_equal(key, str_of(name)))
      return value;
  }
  return (struct str) { 0 };
}

struct str
http_form(const struct http_request *request, const char *name)
{
  return http_fields_get(&request->form, str_of(name));
}

bool
http_is_form(const struct http_request *request)
{
  return request->match.route != NULL && request->match.route->form;
}

bool
http_is_for_programs(const struct http_request *request)
{
  static const char *const folders[] = { "/api", "/agent" };
  for (size_t i = 0; i < ARRAY_SIZE(folders); i++) {
    struct str folder = str_of(folders[i]);
    if (str_starts(request->path, folder)
        && (request->path.size == folder.size || request->path.data[folder.size] == '/'))
      return true;
  }
  return false;
}

struct str
http_body(const struct http_request *request)
{
  return buf_str(&request->body);
}

/* Bounds the parser's recursion before it runs. */
static bool
json_nests_deeper(struct str text, int limit)
{
  int depth = 0;
  bool quoted = false;
  for (size_t i = 0; i < text.size; i++) {
    char c = text.data[i];
    if (quoted && c == '\\')
      i++;
    else if (c == '"')
      quoted = !quoted;
    else if (!quoted && (c == '{' || c == '[') && ++depth > limit)
      return true;
    else if (!quoted && (c == '}' || c == ']'))
      depth--;
  }
  return false;
}

int
http_parse_json(struct str text, json_t **ret, struct error *err)
{
  json_error_t fault;
  if (json_nests_deeper(text, JSON_NESTING_MAX))
    return error_set(err, -EINVAL, "the JSON nests deeper than %d levels", JSON_NESTING_MAX);
  *ret = json_loadb(text.data == NULL ? "" : text.data, text.size, JSON_REJECT_DUPLICATES, &fault);
  if (*ret != NULL)
    return 0;
  enum json_error_code code = json_error_code(&fault);
  bool is_nul = code == json_error_null_character || code == json_error_null_byte_in_key;
  return error_set(err, -EINVAL, "not valid JSON at line %d, column %d: %s", fault.line,
                   fault.column, is_nul ? "the character NUL is not allowed" : fault.text);
}

int
http_body_json(struct http_request *request, json_t **ret, struct error *err)
{
  int r = request->json == NULL ? check_json_type(request, err) : 0;
  if (r == 0 && request->json == NULL)
    r = http_parse_json(http_body(request), &request->json, err);
  *ret = request->json;
  return r;
}

/* MEMBERS NULL: none. */
static int
check_object(const json_t *object, const char *members, struct error *err)
{
  const char *key;
  json_t *value;
  if (!json_is_object(object))
    return error_set(err, -EINVAL, "the body must be a JSON object");
  json_object_foreach((json_t *) object, key, value)
  {
    bool is_flag;
    if (!find_word(members, str_of(key), &is_flag))
      return error_set(err, -EINVAL, "there is no member \"%.60s\" here", key);
  }
  return 0;
}

int
request_check_members(struct http_request *request, struct error *err)
{
  const struct http_route *route = request->match.route;
  bool read_by_handler = route->members != NULL && strcmp(route->members, HTTP_MEMBERS_READ) == 0;
  bool empty = http_body(request).size == 0;
  if (!is_of_api(route) || route->body_limit == 0 || read_by_handler
      || (empty && route->members == NULL))
    return 0;
  json_t *body = NULL;
  int r = http_body_json(request, &body, err);
  return r < 0 ? r : check_object(body, route->members, err);
}

void
http_set_state(struct http_request *request, void *state, void (*free_state)(void *state))
{
  request->state = state;
  request->free_state = free_state;
}

void *
http_state(const struct http_request *request)
{
  return request->state;
}

void
http_set_identity(struct http_request *request, int64_t id)
{
  request->identity = id;
}

int64_t
http_identity(const struct http_request *request)
{
  return request->identity;
}

bool
http_wants_html(const struct http_request *request)
{
  struct str accept = http_header(request, "Accept");
  return accept.data != NULL && strcasestr(accept.data, "text/html") != NULL;
}

unsigned
request_statements(const struct http_request *request)
{
  return request->statements + (thread_statements() - request->statements_from);
}

void
http_defer(struct http_request *request)
{
  if (request->deferred)
    return;
  request->deferred = true;
  request->is_counted = false;
  request->statements = request_statements(request);
  request_ref(request);
}

void
http_take_up(struct http_request *request)
{
  request->is_counted = true;
  request->statements_from = thread_statements();
}
