/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "channels/forge.h"

#include <stdio.h>

#include "base/buf.h"

/* ---- hosts ---- */

enum host_match
{
  HOST_IS,
  HOST_BEGINS, /* its first label begins so */
};

static const struct
{
  enum host_match match;
  const char *name;
  enum forge_kind kind;
} hosts[] = {
  { HOST_IS, "github.com", FORGE_GITHUB },
  { HOST_IS, "git.sr.ht", FORGE_SOURCEHUT },
  { HOST_IS, "git.savannah.gnu.org", FORGE_SAVANNAH },
  { HOST_IS, "git.savannah.nongnu.org", FORGE_SAVANNAH },
  { HOST_IS, "codeberg.org", FORGE_FORGEJO },
  { HOST_IS, "git.guix.gnu.org", FORGE_FORGEJO },
  { HOST_IS, "git.disroot.org", FORGE_FORGEJO },
  { HOST_IS, "framagit.org", FORGE_GITLAB },
  { HOST_IS, "salsa.debian.org", FORGE_GITLAB },
  { HOST_BEGINS, "gitlab.", FORGE_GITLAB },
  { HOST_BEGINS, "forgejo.", FORGE_FORGEJO },
  { HOST_BEGINS, "gitea.", FORGE_FORGEJO },
};

static enum forge_kind
kind_of_host(struct str host)
{
  for (size_t i = 0; i < ARRAY_SIZE(hosts); i++) {
    struct str name = str_of(hosts[i].name);
    if (hosts[i].match == HOST_IS ? str_equal(host, name) : str_starts(host, name))
      return hosts[i].kind;
  }
  return FORGE_UNKNOWN;
}

/* ---- the repository's page ---- */

static bool
is_alphanumeric(char c)
{
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

static bool
consists_of(struct str text, const char *others)
{
  for (size_t i = 0; i < text.size; i++)
    if (!is_alphanumeric(text.data[i]) && (text.data[i] == '\0' || !strchr(others, text.data[i])))
      return false;
  return true;
}

/* No empty segment, "." or ".."; RET_COUNT says how many there are. */
static bool
has_plain_segments(struct str path, size_t *ret_count)
{
  struct str segment;
  *ret_count = 0;
  while (str_split(&path, '/', &segment)) {
    if (segment.size == 0 || str_equal(segment, STR(".")) || str_equal(segment, STR("..")))
      return false;
    ++*ret_count;
  }
  return *ret_count > 0;
}

static struct str
without_end(struct str text, struct str end)
{
  if (text.size > end.size && str_ends(text, end))
    text.size -= end.size;
  return text;
}

/* cgit's page of what is cloned from /git/NAME.git or /r/NAME.git. */
static struct str
savannah_page(struct str host, struct str path, struct arena *arena)
{
  static const char *const folders[] = { "git/", "cgit/", "r/" };
  for (size_t i = 0; i < ARRAY_SIZE(folders); i++)
    if (str_starts(path, str_of(folders[i])))
      return str_of(arena_printf(arena, "https://%.*s/cgit/%.*s", STR_FMT(host),
                                 STR_FMT(str_from(path, strlen(folders[i])))));
  return STR("");
}

struct forge
forge_of(struct str url, struct arena *arena)
{
  const struct forge unknown = { FORGE_UNKNOWN, STR("") };
  bool secure = str_starts(url, STR("https://"));
  if (!secure && !str_starts(url, STR("http://")))
    return unknown;
  struct str path = str_from(url, secure ? 8 : 7);
  struct str authority;
  struct str host;
  size_t segments;
  if (!str_split(&path, '/', &authority) || !consists_of(authority, ".-:"))
    return unknown;
  struct str port = authority;
  (void) str_split(&port, ':', &host);
  path = without_end(path, STR("/"));
  if (!consists_of(path, "/._~+-") || !has_plain_segments(path, &segments) || segments < 2)
    return unknown;
  struct forge forge = { kind_of_host(host), STR("") };
  if (forge.kind == FORGE_SAVANNAH)
    forge.page = savannah_page(host, path, arena);
  else if (forge.kind != FORGE_UNKNOWN)
    forge.page = str_of(arena_printf(arena, "%s://%.*s/%.*s", secure ? "https" : "http",
                                     STR_FMT(authority), STR_FMT(without_end(path, STR(".git")))));
  return forge.page.size > 0 ? forge : unknown;
}

/* ---- pages below it ---- */

/* How each kind writes its pages: @ stands for the hash (of the old end), ^ for the new
   end, % for the file and $ for its line. NULL = it has none. */
static const struct
{
  const char *commit, *compare, *file, *line;
} pages[] = {
  [FORGE_GITHUB] = { "/commit/@", "/compare/@...^", "/blob/@/%", "#L$" },
  [FORGE_GITLAB] = { "/-/commit/@", "/-/compare/@...^", "/-/blob/@/%", "#L$" },
  [FORGE_FORGEJO] = { "/commit/@", "/compare/@...^", "/src/commit/@/%", "#L$" },
  [FORGE_SOURCEHUT] = { "/commit/@", NULL, "/tree/@/item/%", "#L$" },
  [FORGE_SAVANNAH] = { "/commit/?id=@", "/log/?id=^&qt=range&q=@..^", "/tree/%?id=@", "#n$" },
};

struct place
{
  struct str commit, to, file;
  int32_t line;
};

static bool
is_hash(struct str text)
{
  return text.size >= 7 && text.size <= 64 && consists_of(text, "");
}

static void
put_encoded(struct buf *out, struct str text)
{
  for (size_t i = 0; i < text.size; i++) {
    char c = text.data[i];
    if (is_alphanumeric(c) || (c != '\0' && strchr("/._~-", c) != NULL))
      buf_append_char(out, c);
    else
      buf_printf(out, "%%%02X", (unsigned) (unsigned char) c);
  }
}

static void
fill(struct buf *out, const char *pattern, const struct place *place)
{
  for (; *pattern != '\0'; pattern++)
    switch (*pattern) {
    case '@':
      buf_append_str(out, place->commit);
      break;
    case '^':
      buf_append_str(out, place->to);
      break;
    case '%':
      put_encoded(out, place->file);
      break;
    case '$':
      buf_append_i64(out, place->line);
      break;
    default:
      buf_append_char(out, *pattern);
    }
}

static struct str
make_page(const struct forge *forge, const char *pattern, const char *end,
          const struct place *place, struct arena *arena)
{
  if (pattern == NULL || !is_hash(place->commit))
    return STR("");
  CLEANUP_BUF struct buf page = { 0 };
  buf_append_str(&page, forge->page);
  fill(&page, pattern, place);
  fill(&page, end, place);
  return arena_str(arena, buf_str(&page));
}

struct str
forge_commit(const struct forge *forge, struct str commit, struct arena *arena)
{
  const struct place place = { .commit = commit };
  return make_page(forge, pages[forge->kind].commit, "", &place, arena);
}

struct str
forge_compare(const struct forge *forge, struct str from, struct str to, struct arena *arena)
{
  const struct place place = { .commit = from, .to = to };
  if (!is_hash(to))
    return STR("");
  return make_page(forge, pages[forge->kind].compare, "", &place, arena);
}

struct str
forge_file(const struct forge *forge, struct str commit, struct str file, int32_t line,
           struct arena *arena)
{
  const struct place place = { .commit = commit, .file = file, .line = line };
  size_t segments;
  if (!has_plain_segments(file, &segments) || str_find(file, '\0') >= 0)
    return STR("");
  return make_page(forge, pages[forge->kind].file, line > 0 ? pages[forge->kind].line : "", &place,
                   arena);
}
