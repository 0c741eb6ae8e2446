/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Tokens: 256 random bits with a readable front, "panoply_agent_3f09...". The
   front helps people and secret scanners; only the database tells the role. */
#include <errno.h>
#include <gcrypt.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "accounts/accounts_private.h"
#include "accounts/accounts_sql.h"
#include "base/file.h"
#include "base/mem.h"

#define SECRET_BYTES 32
#define FILE_LIMIT 4096

static const char *const role_names[ROLE_MAX] = {
  [ROLE_ADMIN] = "admin",
  [ROLE_JOIN] = "join",
  [ROLE_AGENT] = "agent",
};

enum role
accounts_role_of(struct str name)
{
  for (enum role role = ROLE_ADMIN; role < ROLE_MAX; role++)
    if (str_equal(name, str_of(role_names[role])))
      return role;
  return ROLE_NONE;
}

/* ---- one token ---- */

static void
initialise_gcrypt(void)
{
  (void) gcry_check_version(NULL);
}

void
accounts_hash(struct str text, unsigned char ret[TOKEN_DIGEST_SIZE])
{
  static pthread_once_t once = PTHREAD_ONCE_INIT;
  (void) pthread_once(&once, initialise_gcrypt);
  gcry_md_hash_buffer(GCRY_MD_SHA256, ret, text.data, text.size);
}

bool
accounts_token_digest(struct str text, unsigned char ret[TOKEN_DIGEST_SIZE])
{
  struct str rest = text;
  struct str part;
  unsigned char secret[SECRET_BYTES];
  if (!str_split(&rest, '_', &part) || !str_equal(part, STR("panoply"))
      || !str_split(&rest, '_', &part) || accounts_role_of(part) == ROLE_NONE
      || str_from_hex(rest, secret, sizeof secret) < 0)
    return false;
  accounts_hash(text, ret);
  return true;
}

int
accounts_token_create(struct db *db, const char *role, struct str name, int64_t valid_s,
                      char ret_text[ACCOUNTS_TOKEN_SIZE], int64_t *ret_id, struct error *err)
{
  char secret[2 * SECRET_BYTES + 1];
  unsigned char digest[TOKEN_DIGEST_SIZE];
  struct accounts_token_insert_row row = { 0 };
  if (accounts_role_of(str_of(role)) == ROLE_NONE)
    return error_set(err, -EINVAL, "there is no role '%s'", role);
  file_random_hex(SECRET_BYTES, secret);
  snprintf(ret_text, ACCOUNTS_TOKEN_SIZE, "panoply_%s_%s", role, secret);
  (void) accounts_token_digest(str_of(ret_text), digest);
  int r = accounts_token_insert(db, name, str_of(role), str_make(digest, sizeof digest), valid_s,
                                &row, err);
  if (r < 0)
    return r;
  *ret_id = row.id;
  return 0;
}

int
accounts_token_look_up(struct db *db, const unsigned char digest[TOKEN_DIGEST_SIZE],
                       enum role *ret_role, int64_t *ret_id, struct error *err)
{
  CLEANUP_ARENA struct arena arena = { 0 };
  struct accounts_token_find_row row = { 0 };
  int found = accounts_token_find(db, str_make(digest, TOKEN_DIGEST_SIZE), &arena, &row, err);
  if (found < 0)
    return found;
  *ret_role = found == 0 ? ROLE_NONE : accounts_role_of(row.role);
  *ret_id = found == 0 ? 0 : row.id;
  return 0;
}

int
accounts_token_check(struct db *db, const char *role, struct str text, int64_t *ret_id,
                     struct error *err)
{
  unsigned char digest[TOKEN_DIGEST_SIZE];
  enum role found = ROLE_NONE;
  int64_t id = 0;
  if (!accounts_token_digest(text, digest))
    return 0;
  int r = accounts_token_look_up(db, digest, &found, &id, err);
  if (r < 0)
    return r;
  if (found == ROLE_NONE || found != accounts_role_of(str_of(role)))
    return 0;
  *ret_id = id;
  return 1;
}

int
accounts_token_is_revoked(struct db *db, const char *role, struct str text, struct error *err)
{
  unsigned char digest[TOKEN_DIGEST_SIZE];
  struct accounts_token_find_revoked_row row;
  if (!accounts_token_digest(text, digest))
    return 0;
  return accounts_token_find_revoked(db, str_make(digest, sizeof digest), str_of(role), &row, err);
}

int
accounts_token_revoke(struct db *db, const char *role, int64_t id, struct error *err)
{
  int count = accounts_token_set_revoked(db, id, str_of(role), err);
  if (count < 0)
    return count;
  return count == 1 ? 0
                    : error_set(err, -ENOENT, "there is no living token %lld of the role '%s'",
                                (long long) id, role);
}

/* ---- the first tokens ---- */

struct first_token
{
  const char *role;
  const char *path;
  bool works; /* the one in the file */
  char text[ACCOUNTS_TOKEN_SIZE];
};

/* A missing or damaged file is the same as a token that does not work. */
static int
check_file(struct db *db, void *context, struct error *err)
{
  struct first_token *token = context;
  CLEANUP_BUF struct buf text = { 0 };
  int64_t id;
  if (file_read_all(token->path, FILE_LIMIT, &text, NULL) < 0)
    return 0;
  int r = accounts_token_check(db, token->role, str_trim(buf_str(&text)), &id, err);
  token->works = r == 1;
  return r < 0 ? r : 0;
}

static int
create_first(struct db *db, void *context, struct error *err)
{
  struct first_token *token = context;
  int64_t id;
  return accounts_token_create(db, token->role, STR("made at the first start"), 0, token->text, &id,
                               err);
}

static int
ensure_first(struct db_pool *pool, struct first_token *token, struct error *err)
{
  int r = db_pool_run(pool, DB_READ, check_file, token, err);
  if (r < 0 || token->works)
    return r;
  r = db_pool_run(pool, DB_WRITE, create_first, token, err);
  if (r < 0)
    return r;
  CLEANUP_BUF struct buf line = { 0 };
  buf_printf(&line, "%s\n", token->text);
  return file_write_atomic(token->path, buf_str(&line), 0600, err);
}

int
accounts_bootstrap(struct db_pool *pool, const char *state, struct error *err)
{
  struct error own = { 0 };
  err = err != NULL ? err : &own;
  CLEANUP_FREE char *admin = mem_printf("%s/admin-token", state);
  CLEANUP_FREE char *join = mem_printf("%s/join-token", state);
  struct first_token tokens[] = { { .role = "admin", .path = admin },
                                  { .role = "join", .path = join } };
  for (size_t i = 0; i < ARRAY_SIZE(tokens); i++) {
    int r = ensure_first(pool, &tokens[i], err);
    if (r < 0)
      return error_prefix(err, "cannot set up the first %s token", tokens[i].role);
  }
  return 0;
}
