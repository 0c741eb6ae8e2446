/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Joining tokens: what a machine needs once to become an agent. Their API and their page. */
#include <errno.h>

#include "serve/api_list.h"
#include "serve/routes.h"
#include "serve/serve_pages.h"
#include "serve/views.h"
#include "ui/ui.h"

#define TOKEN_VALID_MAX (10LL * 365 * 24 * 3600)
#define DAY_S (24 * 3600)
#define NAME_MAX 200 /* bytes */
#define FORM_LIMIT 8192
#define TOKENS_SHOWN 1000

/* ---- the API ---- */

struct token_wish
{
  struct str name;
  int64_t valid_s;
  int64_t id;
  char text[ACCOUNTS_TOKEN_SIZE];
};

static int
make_token(struct db *db, void *context, struct error *err)
{
  struct token_wish *wish = context;
  return accounts_token_create(db, "join", wish->name, wish->valid_s, wish->text, &wish->id, err);
}

static int
check_wish(const struct token_wish *wish, struct error *err)
{
  if (wish->name.size == 0 || wish->name.size > NAME_MAX)
    return error_set(err, -EINVAL, "\"name\" must be a text of 1 to %d bytes", NAME_MAX);
  if (wish->valid_s < 0 || wish->valid_s > TOKEN_VALID_MAX)
    return error_set(err, -EINVAL, "\"valid_s\" must be 0 (for ever) to ten years in seconds");
  return 0;
}

static int
post_token(struct http_request *request, void *context, struct error *err)
{
  struct serve_context *serve = context;
  json_t *asked = NULL;
  int r = http_body_json(request, &asked, err);
  if (r < 0)
    return r;
  const json_t *valid = json_object_get(asked, "valid_s");
  struct token_wish wish = { .name = str_of(json_string_value(json_object_get(asked, "name"))),
                             .valid_s = json_integer_value(valid) };
  if (valid != NULL && !json_is_integer(valid))
    wish.valid_s = -1;
  r = check_wish(&wish, err);
  if (r == 0)
    r = db_pool_run(serve->pool, DB_WRITE, make_token, &wish, err);
  if (r < 0)
    return r;
  CLEANUP_BUF struct buf body = { 0 };
  struct json json = json_begin(&body);
  json_object_open(&json);
  json_put_i64(&json, "id", wish.id);
  json_put_cstr(&json, "token", wish.text);
  json_object_close(&json);
  return http_reply_json(request, 201, &body);
}

struct token_list
{
  struct arena *arena;
  int64_t after, limit;
  struct serve_join_tokens_rows rows;
};

static int
read_tokens(struct db *db, void *context, struct error *err)
{
  struct token_list *list = context;
  return serve_join_tokens(db, list->after, list->limit + 1, list->arena, &list->rows, err);
}

static int
get_tokens(struct http_request *request, void *context, struct error *err)
{
  struct serve_context *serve = context;
  struct token_list list = { .arena = http_arena(request) };
  int r = api_limit(request, &list.limit, err);
  if (r == 0)
    r = http_query_i64(request, "before", 1, INT64_MAX, 0, &list.after, err);
  if (r == 0)
    r = db_pool_run(serve->pool, DB_READ, read_tokens, &list, err);
  if (r < 0)
    return r;
  const char *next = NULL;
  if (api_cut(&list.rows.count, list.limit))
    next = arena_printf(list.arena, "%lld", (long long) list.rows.items[list.limit - 1].id);
  CLEANUP_BUF struct buf body = { 0 };
  struct json json = json_begin(&body);
  api_list_open(&json);
  for (size_t i = 0; i < list.rows.count; i++) {
    const struct serve_join_tokens_row *row = &list.rows.items[i];
    json_object_open(&json);
    json_put_i64(&json, "id", row->id);
    json_put_text(&json, "name", row->name);
    json_put_time(&json, "created_at", row->created_at, false);
    json_put_time(&json, "expires_at", row->expires_at, row->expires_at_null);
    json_object_close(&json);
  }
  return api_list_reply(request, &json, &body, next);
}

static int
revoke_token(struct db *db, void *context, struct error *err)
{
  const int64_t *id = context;
  return accounts_token_revoke(db, "join", *id, err);
}

static int
post_revoke(struct http_request *request, void *context, struct error *err)
{
  struct serve_context *serve = context;
  int64_t id;
  int r = http_param_id(request, "token", &id, err);
  if (r == 0)
    r = db_pool_run(serve->pool, DB_WRITE, revoke_token, &id, err);
  return r < 0 ? r : http_reply_accepted(request);
}

/* ---- the page ---- */

static int
show(struct http_request *request, struct serve_context *serve, struct joining_view *view,
     struct error *err)
{
  struct token_list list = { .arena = http_arena(request), .limit = TOKENS_SHOWN };
  struct ui_frame frame;
  int r = db_pool_run(serve->pool, DB_READ, read_tokens, &list, err);
  if (r < 0)
    return r;
  CLEANUP_BUF struct buf page = { 0 };
  view->tokens = list.rows;
  view->url = serve_own_url(request);
  accounts_frame(request, serve->pool, &frame);
  joining_page(&page, view, &frame);
  return ui_reply_status(request, &frame, view->problem.size > 0 ? 400 : 200, &page);
}

static int
get_page(struct http_request *request, void *context, struct error *err)
{
  struct joining_view view = { .days = STR("30") };
  return show(request, context, &view, err);
}

/* The token is on this one answer and nowhere else. */
static int
post_page(struct http_request *request, void *context, struct error *err)
{
  struct serve_context *serve = context;
  struct token_wish wish = { .name = str_trim(http_form(request, "name")) };
  struct joining_view view = { .name = wish.name, .days = http_form(request, "days") };
  int64_t days = -1;
  if (str_to_i64(view.days, &days) < 0 || days < 0 || days > TOKEN_VALID_MAX / DAY_S)
    view.problem = STR("Days must be a number: 0 for ever, at most ten years.");
  wish.valid_s = days * DAY_S;
  if (view.problem.size == 0 && check_wish(&wish, err) < 0)
    view.problem = STR("Give it a name of at most 200 characters: what it is for.");
  if (view.problem.size > 0)
    return show(request, serve, &view, err);
  int r = db_pool_run(serve->pool, DB_WRITE, make_token, &wish, err);
  if (r < 0)
    return r;
  view.made = arena_str(http_arena(request), str_of(wish.text));
  return show(request, serve, &view, err);
}

static int
post_page_revoke(struct http_request *request, void *context, struct error *err)
{
  struct serve_context *serve = context;
  int64_t id;
  int r = http_param_id(request, "token", &id, err);
  if (r == 0)
    r = db_pool_run(serve->pool, DB_WRITE, revoke_token, &id, err);
  return r < 0 ? r
               : ui_done(request, "/join-agents",
                         "The token is revoked. Agents that it enrolled stay.");
}

static const struct http_route routes[] = {
  { "GET", HTTP_API "/agents/tokens", get_tokens, .role = "admin",
    .summary = "Joining tokens that are valid, oldest first", .query = "before limit",
    .reply = "Tokens" },
  { "POST", HTTP_API "/agents/tokens/{token}/revoke", post_revoke, .body_limit = 1024,
    .role = "admin", .summary = "Revoke a joining token", .status = 202 },
  { "POST", HTTP_API "/agents/tokens", post_token, .body_limit = 4096, .role = "admin",
    .members = "name valid_s", .summary = "Make a joining token", .request = "TokenWish",
    .reply = "Token", .status = 201 },
  { "GET", "/join-agents", get_page, .role = "admin", .summary = "Enrol agents" },
  { "POST", "/join-agents", post_page, .form = true, .role = "admin", .body_limit = FORM_LIMIT,
    .summary = "Make a joining token" },
  { "POST", "/join-agents/{token}/revoke", post_page_revoke, .form = true, .role = "admin",
    .body_limit = FORM_LIMIT, .summary = "Revoke a joining token" },
};

struct http_routes
serve_joining(struct serve_context *context)
{
  return (struct http_routes) { routes, ARRAY_SIZE(routes), context };
}
