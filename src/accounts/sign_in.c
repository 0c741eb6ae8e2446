/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Signing in and out. */
#include <errno.h>
#include <stdio.h>

#include "accounts/accounts_pages.h"
#include "accounts/accounts_private.h"
#include "ui/ui.h"

#define FORM_LIMIT 8192

static int
show(struct http_request *request, struct db_pool *pool, struct str then, const char *problem)
{
  struct ui_frame frame;
  struct sign_in_view view = { .then = ui_local_path(request, then, "/"), .problem = problem };
  CLEANUP_BUF struct buf page = { 0 };
  accounts_frame(request, pool, &frame);
  sign_in_page(&page, &view, &frame);
  return ui_reply_status(request, &frame, problem[0] == '\0' ? 200 : 403, &page);
}

static int
get_sign_in(struct http_request *request, void *context, struct error *err)
{
  (void) err;
  return show(request, context, http_query(request, "then"), "");
}

/* A proxy in front says whether the visitor came over TLS; then the cookie stays there. */
static void
set_cookie(struct http_request *request, const char *text, int max_age_s)
{
  bool secure = str_equal(http_header(request, "X-Forwarded-Proto"), STR("https"));
  http_reply_header(request, "Set-Cookie",
                    arena_printf(http_arena(request),
                                 SESSION_COOKIE "=%s; Max-Age=%d; Path=/; HttpOnly; SameSite=Lax%s",
                                 text, max_age_s, secure ? "; Secure" : ""));
}

struct sign_in
{
  struct str token;
  bool is_known; /* the token */
  char session[SESSION_TEXT_SIZE];
};

static int
sign_in(struct db *db, void *context, struct error *err)
{
  struct sign_in *attempt = context;
  int64_t id = 0;
  int r = accounts_token_check(db, "admin", attempt->token, &id, err);
  attempt->is_known = r == 1;
  return r == 1 ? session_create(db, id, attempt->session, err) : r;
}

static int
post_sign_in(struct http_request *request, void *context, struct error *err)
{
  struct str then = http_form(request, "then");
  struct sign_in attempt = { .token = str_trim(http_form(request, "token")) };
  struct str site = http_header(request, "Sec-Fetch-Site");
  if (site.data != NULL && !str_equal(site, STR("same-origin")))
    return error_set(err, -EPERM, "this form comes from another site");
  if (attempt.token.size == 0)
    return show(request, context, then, "Give the token.");
  int r = db_pool_run(context, DB_WRITE, sign_in, &attempt, err);
  if (r < 0)
    return r;
  if (!attempt.is_known)
    return show(request, context, then,
                "This is no administrator token of this server, or it was revoked.");
  set_cookie(request, attempt.session, SESSION_S);
  return ui_done(request, ui_local_path(request, then, "/"), "You are signed in.");
}

static int
sign_out(struct db *db, void *context, struct error *err)
{
  return session_end(context, db, err);
}

static int
post_sign_out(struct http_request *request, void *context, struct error *err)
{
  int r = db_pool_run(context, DB_WRITE, sign_out, request, err);
  if (r < 0)
    return r;
  set_cookie(request, "", 0);
  return ui_done(request, "/", "You are signed out.");
}

struct http_routes
accounts_routes(struct db_pool *pool)
{
  static const struct http_route items[] = {
    { "GET", "/sign-in", get_sign_in, .summary = "Signing in" },
    { "POST", "/sign-in", post_sign_in, .body_limit = FORM_LIMIT, .form = true,
      .members = "then token", .summary = "Sign in with a token" },
    { "POST", "/sign-out", post_sign_out, .body_limit = FORM_LIMIT, .form = true, .role = "admin",
      .summary = "Sign out" },
  };
  return (struct http_routes) { items, ARRAY_SIZE(items), pool };
}
