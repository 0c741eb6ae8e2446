/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Which addresses of repositories are taken. Everybody may read them, so no secret may stand
   in one. */
#include <errno.h>

#include "channels/channels_private.h"

bool
channels_is_printable(struct str text)
{
  for (size_t i = 0; i < text.size; i++)
    if ((unsigned char) text.data[i] <= 0x20 || text.data[i] == 0x7f)
      return false;
  return str_is_utf8(text);
}

/* What stands before the "@" of "scheme://USER@host/": *RET_USER empty = nothing. */
static bool
split_user(struct str url, struct str *ret_scheme, struct str *ret_user)
{
  const char *mark = memmem(url.data, url.size, "://", 3);
  if (mark == NULL)
    return false;
  *ret_scheme = str_make(url.data, (size_t) (mark - url.data));
  struct str rest = str_from(url, ret_scheme->size + 3);
  struct str host;
  (void) str_split(&rest, '/', &host);
  const char *at = memrchr(host.data, '@', host.size);
  *ret_user = str_make(host.data, at == NULL ? 0 : (size_t) (at - host.data));
  return true;
}

/* A user's name alone may be a token (https), or is needed (ssh): channels_mask_secrets holds
   it so, too. */
static int
refuse_secrets(struct str url, struct error *err)
{
  struct str scheme, user;
  if (!split_user(url, &scheme, &user) || user.size == 0)
    return 0;
  bool is_http = str_equal(scheme, STR("http")) || str_equal(scheme, STR("https"));
  if (!is_http && str_find(user, ':') < 0)
    return 0;
  error_set(err, -EINVAL, "a URL with a user or a password in it would show them to everybody");
  return error_hint(err, "Leave them out of it, and put them into git-credentials in the server's "
                         "state folder, or use ssh://git@HOST/PATH with a key of the server's "
                         "account: \"Private repositories\" in doc/operating.md.");
}

/* "git@host:path", as forges show it. */
static int
hint_for_short_form(struct str url, struct error *err)
{
  struct str path = url, host;
  if (memmem(url.data, url.size, "://", 3) == NULL && str_split(&path, ':', &host) && host.size > 0
      && path.size > 0 && str_find(host, '/') < 0
      && (str_find(host, '@') > 0 || str_find(host, '.') > 0) && path.data[0] != ':')
    return error_hint(err, "Write it ssh://%.*s/%.*s.", STR_FMT(host),
                      STR_FMT(path.data[0] == '/' ? str_from(path, 1) : path));
  return error_hint(err, "Use https, http, ssh, git or file URLs, or an absolute path.");
}

int
channels_check_url(struct str url, struct error *err)
{
  static const char *const starts[] = {
    "https://", "http://", "ssh://", "git://", "file:///", "/"
  };
  if (url.size == 0 || url.size > CHANNELS_URL_MAX || !channels_is_printable(url))
    return error_set(err, -EINVAL, "a repository URL has 1 to %d characters without spaces",
                     CHANNELS_URL_MAX);
  int r = refuse_secrets(url, err);
  if (r < 0)
    return r;
  for (size_t i = 0; i < ARRAY_SIZE(starts); i++)
    if (str_starts(url, str_of(starts[i])) && url.size > strlen(starts[i]))
      return 0;
  error_set(err, -EINVAL, "\"%.*s\" is no repository URL", STR_FMT(url));
  return hint_for_short_form(url, err);
}

static bool
ends_host(char c)
{
  return c == '\0' || strchr("/ \t\n'\"", c) != NULL;
}

/* Whether "http://" or "https://" ends before AT. */
static bool
is_behind_http(const char *text, const char *at)
{
  struct str before = str_make(text, (size_t) (at - text));
  return str_ends(before, STR("http://")) || str_ends(before, STR("https://"));
}

void
channels_mask_secrets(char *text)
{
  for (char *at = strstr(text, "://"); at != NULL; at = strstr(at, "://")) {
    at += 3;
    char *end = at, *sign = NULL;
    for (; !ends_host(*end); end++)
      if (*end == '@')
        sign = end;
    bool is_secret =
        sign != NULL && (is_behind_http(text, at) || memchr(at, ':', (size_t) (sign - at)) != NULL);
    for (char *c = at; is_secret && c < sign; c++)
      *c = '*';
  }
}
