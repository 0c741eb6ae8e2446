/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Asks every request on a guarded route for a token. What the database said
   about one is remembered for a second, in a table of fixed size that newer
   answers simply overwrite, so that neither a busy agent nor somebody who tries
   out tokens puts load on the database or fills memory. */
#include <errno.h>
#include <pthread.h>
#include <strings.h>

#include "accounts/accounts_private.h"
#include "base/clock.h"

#define REMEMBER_MS 1000
#define SLOTS 1024 /* a power of two */

struct answer
{
  const struct db_pool *pool; /* NULL = empty slot */
  unsigned char digest[TOKEN_DIGEST_SIZE];
  int64_t until_ms; /* monotonic */
  enum role role;   /* ROLE_NONE = no living token */
  int64_t id;
};

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER; /* guards `answers` */
static struct answer answers[SLOTS];

/* A digest is as good as random: any of its bits make a hash. */
static struct answer *
slot_of(const unsigned char digest[TOKEN_DIGEST_SIZE])
{
  return &answers[(digest[0] | digest[1] << 8) & (SLOTS - 1)];
}

static bool
recall(const struct db_pool *pool, const unsigned char digest[TOKEN_DIGEST_SIZE],
       struct answer *ret)
{
  pthread_mutex_lock(&mutex);
  *ret = *slot_of(digest);
  pthread_mutex_unlock(&mutex);
  return ret->pool == pool && memcmp(ret->digest, digest, TOKEN_DIGEST_SIZE) == 0
         && clock_monotonic_ms() < ret->until_ms;
}

static void
remember(const struct answer *answer)
{
  pthread_mutex_lock(&mutex);
  *slot_of(answer->digest) = *answer;
  pthread_mutex_unlock(&mutex);
}

static int
ask(struct db_pool *pool, const unsigned char digest[TOKEN_DIGEST_SIZE], struct answer *ret,
    struct error *err)
{
  struct db *db = NULL;
  if (recall(pool, digest, ret))
    return 0;
  *ret = (struct answer) { .pool = pool, .until_ms = clock_monotonic_ms() + REMEMBER_MS };
  memcpy(ret->digest, digest, TOKEN_DIGEST_SIZE);
  int r = db_pool_get(pool, &db, err);
  if (r == 0)
    r = accounts_token_look_up(db, digest, &ret->role, &ret->id, err);
  db_pool_put(pool, db);
  if (r == 0)
    remember(ret);
  return r;
}

/* The token after "Bearer", whose case does not matter (RFC 9110, 11.1). */
static struct str
bearer_token(struct http_request *request)
{
  static const char scheme[] = "Bearer ";
  struct str header = http_header(request, "Authorization");
  if (header.size < sizeof scheme || strncasecmp(header.data, scheme, sizeof scheme - 1) != 0)
    return (struct str) { 0 };
  return str_trim(str_from(header, sizeof scheme - 1));
}

/* What a route's role is called, and where such a token comes from: an agent that
   enrols is not to be sent for the administrator's. */
static const struct
{
  const char *what;
  const char *hint;
} wanted[ROLE_MAX] = {
  [ROLE_NONE] = { "token", "" },
  [ROLE_ADMIN] = { "administrator token", "send `Authorization: Bearer TOKEN`; the server's first "
                                          "admin token lies in its state folder" },
  [ROLE_JOIN] = { "joining token", "the server's own is the file join-token in its state folder; "
                                   "`panoply agents token create` makes others" },
  [ROLE_AGENT] = { "token of an agent", "enrol the agent anew, with a joining token" },
};

/* RFC 6750, 3: without credentials just the challenge, else what is wrong. */
static int
refuse(struct http_request *request, bool has_token, enum role role, struct error *err)
{
  http_reply_header(request, "WWW-Authenticate",
                    has_token ? "Bearer realm=\"panoply\", error=\"invalid_token\""
                              : "Bearer realm=\"panoply\"");
  if (has_token)
    error_set(err, -EACCES, "the %s is not valid, has expired or was revoked", wanted[role].what);
  else
    error_set(err, -EACCES, "this needs a token, the %s", wanted[role].what);
  return error_hint(err, "%s", wanted[role].hint);
}

static int
guard_program(struct http_request *request, const char *role, struct db_pool *pool,
              struct error *err)
{
  unsigned char digest[TOKEN_DIGEST_SIZE];
  struct str text = bearer_token(request);
  enum role asked = accounts_role_of(str_of(role));
  struct answer answer;
  if (!accounts_token_digest(text, digest))
    return refuse(request, text.size > 0, asked, err);
  int r = ask(pool, digest, &answer, err);
  if (r < 0)
    return r;
  if (answer.role == ROLE_NONE)
    return refuse(request, true, asked, err);
  if (answer.role != asked) {
    error_set(err, -EPERM, "the token's role does not suffice: this needs '%s'", role);
    return error_hint(err, "%s", wanted[asked].hint);
  }
  http_set_identity(request, answer.id);
  return 0;
}

/* ---- people ---- */

/* A browser tells from which site a form comes; one that does not has the token alone. */
static int
check_form(const struct http_request *request, const struct session *session, struct error *err)
{
  struct str site = http_header(request, "Sec-Fetch-Site");
  bool is_ours = site.data == NULL || str_equal(site, STR("same-origin"));
  if (is_ours && str_equal(http_form(request, HTTP_FORM_TOKEN), str_of(session->csrf)))
    return 0;
  error_set(err, -EPERM, "this form does not come from a page that you were given here");
  return error_hint(err, "Go back, reload the page and try again.");
}

static int
guard_person(struct http_request *request, const char *role, struct db_pool *pool,
             struct error *err)
{
  struct session session;
  int r = session_of(request, pool, &session, err);
  if (r < 0)
    return r;
  if (session.role == ROLE_NONE)
    return error_set(err, -EACCES, "this is for who is signed in");
  if (session.role != accounts_role_of(str_of(role)))
    return error_set(err, -EPERM, "this needs the role '%s'", role);
  http_set_identity(request, session.token_id);
  return http_is_form(request) ? check_form(request, &session, err) : 0;
}

int
accounts_guard(struct http_request *request, const char *role, void *context, struct error *err)
{
  return http_is_for_programs(request) ? guard_program(request, role, context, err)
                                       : guard_person(request, role, context, err);
}
