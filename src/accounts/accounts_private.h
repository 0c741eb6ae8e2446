/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Inside the accounts room: token.c knows tokens, session.c browsers that signed in with
   one, guard.c asks for either. */
#pragma once

#include "accounts/accounts.h"

enum role
{
  ROLE_NONE, /* no living token */
  ROLE_ADMIN,
  ROLE_JOIN,
  ROLE_AGENT,
  ROLE_MAX,
};

#define TOKEN_DIGEST_SIZE 32

/* ROLE_NONE for an unknown name. */
enum role accounts_role_of(struct str name);

/* SHA-256. */
void accounts_hash(struct str text, unsigned char ret[TOKEN_DIGEST_SIZE]);

/* SHA-256 of a token's text; false when TEXT cannot be a token by its form. */
bool accounts_token_digest(struct str text, unsigned char ret[TOKEN_DIGEST_SIZE]);

/* The role and id of a living token, or ROLE_NONE. */
int accounts_token_look_up(struct db *db, const unsigned char digest[TOKEN_DIGEST_SIZE],
                           enum role *ret_role, int64_t *ret_id, struct error *err);

/* ---- sessions ---- */

#define SESSION_COOKIE "panoply_session"
#define SESSION_S (30 * 24 * 3600)
#define SESSION_TEXT_SIZE 65 /* of a cookie's value with its NUL */
#define SESSION_CSRF_SIZE 65 /* likewise of the CSRF token */

struct session
{
  enum role role;   /* ROLE_NONE = there is no such session */
  int64_t token_id; /* which it was made with */
  struct str name;  /* of that token; in the request's arena */
  char csrf[SESSION_CSRF_SIZE];
};

/* Makes a session of token TOKEN_ID; its text goes into the cookie and is kept nowhere. */
int session_create(struct db *db, int64_t token_id, char ret_text[SESSION_TEXT_SIZE],
                   struct error *err);
/* The session whose cookie came with the request. 0, also when there is none. */
int session_of(struct http_request *request, struct db_pool *pool, struct session *ret,
               struct error *err);
/* Ends it. */
int session_end(struct http_request *request, struct db *db, struct error *err);

/* What the page for signing in shows. */
struct sign_in_view
{
  const char *then;    /* path to go on to */
  const char *problem; /* with what was typed; "" = none yet */
};
