/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Sessions: 256 random bits in a cookie. The CSRF token is a hash of the same bits, so
   nothing needs to be kept for it, and it tells nothing about them. */
#include <string.h>

#include "accounts/accounts_private.h"
#include "accounts/accounts_sql.h"
#include "base/file.h"
#include "ui/ui.h"

#define SECRET_BYTES 32
#define CSRF_PREFIX "panoply csrf "

/* Of a cookie's value; false when it cannot be one by its form. */
static bool
session_digest(struct str text, unsigned char ret[TOKEN_DIGEST_SIZE])
{
  unsigned char secret[SECRET_BYTES];
  if (str_from_hex(text, secret, sizeof secret) < 0)
    return false;
  accounts_hash(text, ret);
  return true;
}

static void
derive_csrf(struct str text, char ret[SESSION_CSRF_SIZE])
{
  unsigned char digest[TOKEN_DIGEST_SIZE];
  char whole[sizeof CSRF_PREFIX + 2 * SECRET_BYTES] = CSRF_PREFIX;
  memcpy(whole + strlen(CSRF_PREFIX), text.data, 2 * SECRET_BYTES);
  accounts_hash(str_make(whole, strlen(CSRF_PREFIX) + 2 * SECRET_BYTES), digest);
  str_to_hex(digest, sizeof digest, ret);
  ret[SESSION_CSRF_SIZE - 1] = '\0';
}

int
session_create(struct db *db, int64_t token_id, char ret_text[SESSION_TEXT_SIZE], struct error *err)
{
  unsigned char digest[TOKEN_DIGEST_SIZE];
  file_random_hex(SECRET_BYTES, ret_text);
  (void) session_digest(str_of(ret_text), digest);
  int r = accounts_session_sweep(db, err);
  if (r >= 0)
    r = accounts_session_insert(db, str_make(digest, sizeof digest), token_id, SESSION_S, err);
  return r < 0 ? r : 0;
}

int
session_of(struct http_request *request, struct db_pool *pool, struct session *ret,
           struct error *err)
{
  unsigned char digest[TOKEN_DIGEST_SIZE];
  struct accounts_session_find_row row = { 0 };
  struct db *db = NULL;
  struct str text = http_cookie(request, SESSION_COOKIE);
  *ret = (struct session) { .role = ROLE_NONE };
  if (text.data == NULL || !session_digest(text, digest))
    return 0;
  int r = db_pool_get(pool, &db, err);
  if (r == 0)
    r = accounts_session_find(db, str_make(digest, sizeof digest), http_arena(request), &row, err);
  db_pool_put(pool, db);
  if (r <= 0)
    return r;
  ret->role = accounts_role_of(row.role);
  ret->token_id = row.id;
  ret->name = row.name;
  derive_csrf(text, ret->csrf);
  return 0;
}

int
session_end(struct http_request *request, struct db *db, struct error *err)
{
  unsigned char digest[TOKEN_DIGEST_SIZE];
  struct str text = http_cookie(request, SESSION_COOKIE);
  if (text.data == NULL || !session_digest(text, digest))
    return 0;
  int r = accounts_session_delete(db, str_make(digest, sizeof digest), err);
  return r < 0 ? r : 0;
}

void
accounts_frame(struct http_request *request, struct db_pool *pool, struct ui_frame *ret)
{
  struct session session;
  struct error err = { 0 };
  ui_frame_read(request, ret);
  if (session_of(request, pool, &session, &err) < 0 || session.role != ROLE_ADMIN)
    return;
  ret->account = session.name;
  ret->csrf = arena_str(http_arena(request), str_of(session.csrf));
}

void
accounts_error_page(struct http_request *request, int status, const struct error *err,
                    void *context, struct buf *page)
{
  struct ui_frame frame;
  accounts_frame(request, context, &frame);
  ui_error_page(&frame, status, err, page);
}
