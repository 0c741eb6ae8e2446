/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Who may do what: bearer tokens and their roles.

   | role  | may                                 |
   | admin | everything that a person may        |
   | join  | enrol an agent, nothing else        |
   | agent | what the agent protocol needs       |

   A route names the role that it wants. Programs send their token with each request;
   people sign in with it, and their browser gets a session. */
#pragma once

#include "db/db.h"
#include "http/http.h"
#include "ui/frame.h"

#define ACCOUNTS_TOKEN_SIZE 80 /* bytes of a token's text with its NUL */

/* Makes a token "panoply_ROLE_<64 hex>" inside the caller's transaction and
   returns its text, which is kept nowhere. VALID_S 0 = for ever. -EINVAL for an
   unknown role. (A transaction that is repeated leaves a token that nobody
   knows.) */
int accounts_token_create(struct db *db, const char *role, struct str name, int64_t valid_s,
                          char ret_text[ACCOUNTS_TOKEN_SIZE], int64_t *ret_id, struct error *err);

/* 1 and its id when TEXT is a living token of ROLE; 0 otherwise. */
int accounts_token_check(struct db *db, const char *role, struct str text, int64_t *ret_id,
                         struct error *err);

/* 1 when TEXT was a token of ROLE and has been revoked; 0 otherwise. */
int accounts_token_is_revoked(struct db *db, const char *role, struct str text, struct error *err);

/* From a second after the commit on, nobody lets it in any more. -ENOENT when
   there is no such token of ROLE, or it was revoked before. */
int accounts_token_revoke(struct db *db, const char *role, int64_t id, struct error *err);

/* At first start: an admin token and a joining token, written (0600) to
   STATE/admin-token and STATE/join-token; kept when they still work. */
int accounts_bootstrap(struct db_pool *pool, const char *state, struct error *err);

/* The server's guard (http_options.guard); context: the struct db_pool. Of programs it
   wants `Authorization: Bearer TOKEN`, whose answer is remembered for a second; of a
   page's visitor a session, and with a form that session's CSRF token in the field
   `csrf`. Sets the request's identity to the token's id. -EACCES without a living token
   or session, -EPERM when its role does not suffice or the form is not from a page of
   that session. */
int accounts_guard(struct http_request *request, const char *role, void *context,
                   struct error *err);

/* GET and POST /sign-in, POST /sign-out. */
struct http_routes accounts_routes(struct db_pool *pool);

/* What the frame of a page shows to who asks; nobody is signed in when the database
   cannot say. */
void accounts_frame(struct http_request *request, struct db_pool *pool, struct ui_frame *ret);

/* http_options.error_page; context: the struct db_pool. */
void accounts_error_page(struct http_request *request, int status, const struct error *err,
                         void *context, struct buf *page);
