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
#define MADE_COOKIE "panoply_made"
#define MADE_S 60 /* in which the page must be loaded */

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

/* Something to see in one line: it is what people tell tokens apart by. */
static bool
is_name(struct str name)
{
  for (size_t i = 0; i < name.size; i++)
    if ((unsigned char) name.data[i] < ' ' || name.data[i] == 0x7f)
      return false;
  return str_trim(name).size > 0 && name.size <= NAME_MAX;
}

static int
check_wish(const struct token_wish *wish, struct error *err)
{
  if (!is_name(wish->name))
    return error_set(err, -EINVAL, "\"name\" must be a text of 1 to %d bytes in one line",
                     NAME_MAX);
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
  http_reply_header(request, "Cache-Control", "no-store");
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

/* No other machine reaches the server by it. */
static bool
is_loopback(struct str url)
{
  struct str host = str_from(url, strlen(str_starts(url, STR("https:")) ? "https://" : "http://"));
  return str_starts(host, STR("127.")) || str_starts(host, STR("localhost"))
         || str_starts(host, STR("[::1]"));
}

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
  view->url_is_loopback = is_loopback(view->url);
  accounts_frame(request, serve->pool, &frame);
  frame.has_secret = view->made.size > 0;
  joining_page(&page, view, &frame);
  return ui_reply_status(request, &frame, view->problem.size > 0 ? 400 : 200, &page);
}

/* A token that was just made travels to the page that shows it in a cookie, which that page
   deletes: so the page can be loaded again without making another, and no address holds it. */
static void
set_made(struct http_request *request, const char *text, int max_age_s)
{
  bool secure = str_equal(http_header(request, "X-Forwarded-Proto"), STR("https"));
  http_reply_header(request, "Set-Cookie",
                    arena_printf(http_arena(request),
                                 MADE_COOKIE "=%s; Max-Age=%d; Path=/join-agents; HttpOnly; "
                                             "SameSite=Strict%s",
                                 text, max_age_s, secure ? "; Secure" : ""));
}

struct made
{
  struct str text;
  int64_t id; /* 0 = it is no living token */
};

static int
check_made(struct db *db, void *context, struct error *err)
{
  struct made *made = context;
  int r = accounts_token_check(db, "join", made->text, &made->id, err);
  return r < 0 ? r : 0;
}

static int
get_page(struct http_request *request, void *context, struct error *err)
{
  struct serve_context *serve = context;
  struct joining_view view = { .days = STR("30") };
  struct made made = { .text = http_cookie(request, MADE_COOKIE) };
  if (made.text.size == 0)
    return show(request, serve, &view, err);
  int r = db_pool_run(serve->pool, DB_READ, check_made, &made, err);
  if (r < 0)
    return r;
  set_made(request, "", 0);
  if (made.id != 0) {
    view.made = made.text;
    view.made_id = made.id;
  }
  return show(request, serve, &view, err);
}

static int
post_page(struct http_request *request, void *context, struct error *err)
{
  struct serve_context *serve = context;
  struct token_wish wish = { .name = str_trim(http_form(request, "name")) };
  struct joining_view view = { .name = wish.name, .days = http_form(request, "days") };
  int64_t days = -1;
  if (!is_name(wish.name)) {
    view.wrong = STR("name");
    view.problem = STR("Give it a name of at most 200 characters: what it is for.");
  } else if (str_to_i64(view.days, &days) < 0 || days < 0 || days > TOKEN_VALID_MAX / DAY_S) {
    view.wrong = STR("days");
    view.problem = STR("Days must be a number, at most ten years of them; 0: it never ends.");
  }
  if (view.problem.size > 0)
    return show(request, serve, &view, err);
  wish.valid_s = days * DAY_S;
  int r = db_pool_run(serve->pool, DB_WRITE, make_token, &wish, err);
  if (r < 0)
    return r;
  set_made(request, wish.text, MADE_S);
  http_reply_header(request, "Cache-Control", "no-store");
  return http_reply_redirect(request, 303, "/join-agents");
}

struct revoke_question
{
  struct token_list list;
  int64_t id;
  struct str name;
};

static int
find_token(struct db *db, void *context, struct error *err)
{
  struct revoke_question *question = context;
  const struct serve_join_tokens_rows *rows = &question->list.rows;
  question->list.after = question->id - 1;
  int r = read_tokens(db, &question->list, err);
  if (r < 0)
    return r;
  if (rows->count == 0 || rows->items[0].id != question->id)
    return error_set(err, -ENOENT, "there is no valid joining token %lld",
                     (long long) question->id);
  question->name = rows->items[0].name;
  return 0;
}

static int
get_page_revoke(struct http_request *request, void *context, struct error *err)
{
  struct serve_context *serve = context;
  struct arena *arena = http_arena(request);
  struct revoke_question found = { .list = { .arena = arena } };
  struct ui_frame frame;
  int r = http_param_id(request, "token", &found.id, err);
  if (r == 0)
    r = db_pool_run(serve->pool, DB_READ, find_token, &found, err);
  if (r < 0)
    return r;
  accounts_frame(request, serve->pool, &frame);
  const struct ui_question question = {
    .title = str_of(arena_printf(arena, "Revoke the token \u201c%.*s\u201d?", STR_FMT(found.name))),
    .what = STR("No machine can be enrolled with it any more, and it cannot be made valid again. "
                "Agents that it enrolled stay."),
    .button = STR("Revoke it"),
    .action = arena_printf(arena, "/join-agents/%lld/revoke", (long long) found.id),
    .back = "/join-agents",
  };
  return ui_ask(request, &frame, &question);
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
    .members = "name days", .summary = "Make a joining token" },
  { "GET", "/join-agents/{token}/revoke", get_page_revoke, .role = "admin",
    .summary = "Revoke it?" },
  { "POST", "/join-agents/{token}/revoke", post_page_revoke, .form = true, .role = "admin",
    .body_limit = FORM_LIMIT, .summary = "Revoke a joining token" },
};

struct http_routes
serve_joining(struct serve_context *context)
{
  return (struct http_routes) { routes, ARRAY_SIZE(routes), context };
}
