/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Clearing what a crash, a given-up upload or a nar that went into the database
   left behind. Only old files go: whoever is about to register one made it young. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/mem.h"
#include "cache/cache_private.h"
#include "cache/cache_sql.h"

#define AWAY ".away"

static void
close_folder(DIR **folder)
{
  if (*folder != NULL)
    closedir(*folder);
}

static bool
is_old_file(DIR *folder, const char *name, int64_t older_than_s)
{
  struct stat status;
  return fstatat(dirfd(folder), name, &status, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(status.st_mode)
         && time(NULL) - status.st_mtime >= older_than_s;
}

int
cache_sweep_uploads(struct cache *cache, int64_t older_than_s, struct error *err)
{
  PN_CLEANUP(close_folder) DIR *folder = opendir(cache->upload_folder);
  const struct dirent *entry;
  if (folder == NULL)
    return error_set_errno(err, "cannot list %s", cache->upload_folder);
  while ((entry = readdir(folder)) != NULL)
    if (is_old_file(folder, entry->d_name, older_than_s))
      unlinkat(dirfd(folder), entry->d_name, 0);
  return 0;
}

/* ---- nars ---- */

struct candidates /* all in one arena */
{
  struct arena arena;
  struct str *hashes;
  int16_t *compressions;
  char **names;
  size_t count, capacity[3];
};

static void
candidates_free(struct candidates *candidates)
{
  free(candidates->hashes);
  free(candidates->compressions);
  free(candidates->names);
  arena_free(&candidates->arena);
}

static enum guix_compression
compression_of(struct str suffix)
{
  for (int i = 0; i < GUIX_COMPRESSION_MAX; i++)
    if (str_equal(suffix, str_of(cache_nar_suffix((enum guix_compression) i))))
      return (enum guix_compression) i;
  return GUIX_COMPRESSION_INVALID;
}

/* A name that is not one of ours is left alone. */
static void
add_candidate(struct candidates *candidates, const char *name)
{
  unsigned char hash[GUIX_HASH_SIZE];
  struct str digits, suffix = str_of(name);
  if (!str_split(&suffix, '.', &digits) || digits.size != GUIX_HASH_BASE32_SIZE
      || guix_base32_decode(digits, hash, sizeof hash) < 0)
    return;
  enum guix_compression compression = compression_of(suffix);
  if (compression == GUIX_COMPRESSION_INVALID)
    return;
  size_t count = candidates->count + 1;
  mem_grow(&candidates->hashes, &candidates->capacity[0], count, sizeof *candidates->hashes);
  mem_grow(&candidates->compressions, &candidates->capacity[1], count, sizeof(int16_t));
  mem_grow(&candidates->names, &candidates->capacity[2], count, sizeof(char *));
  candidates->hashes[count - 1] = arena_str(&candidates->arena, str_make(hash, sizeof hash));
  candidates->compressions[count - 1] = (int16_t) compression;
  candidates->names[count - 1] = arena_printf(&candidates->arena, "%s", name);
  candidates->count = count;
}

static void
put_back(DIR *folder, const char *away, const char *name)
{
  (void) !linkat(dirfd(folder), away, dirfd(folder), name, 0); /* another may be there by now */
  unlinkat(dirfd(folder), away, 0);
}

/* Whoever wants to use the file after all makes it young. Away from its name nobody can
   do so unseen: a second look tells whether somebody has done it before, and who comes
   later finds no file. */
static void
remove_if_old(DIR *folder, const char *name, int64_t older_than_s)
{
  CLEANUP_FREE char *away = mem_printf("%s" AWAY, name);
  if (!is_old_file(folder, name, older_than_s)
      || renameat(dirfd(folder), name, dirfd(folder), away) != 0)
    return;
  if (is_old_file(folder, away, older_than_s))
    unlinkat(dirfd(folder), away, 0);
  else
    put_back(folder, away, name);
}

/* A kill between the two looks left it away. */
static bool
is_away(DIR *folder, const char *away)
{
  struct str name = str_of(away);
  if (!str_ends(name, STR(AWAY)))
    return false;
  CLEANUP_FREE char *back = mem_strndup(away, name.size - strlen(AWAY));
  put_back(folder, away, back);
  return true;
}

static int
remove_unused(struct cache *cache, DIR *folder, struct candidates *candidates, int64_t older_than_s,
              struct error *err)
{
  struct cache_sweep_unused_rows rows = { 0 };
  struct db *db;
  int r = db_pool_get(cache->pool, &db, err);
  if (r < 0)
    return r;
  r = cache_sweep_unused(db, (struct db_strs) { candidates->hashes, candidates->count },
                         (struct db_i16s) { candidates->compressions, candidates->count },
                         &candidates->arena, &rows, err);
  db_pool_put(cache->pool, db);
  for (size_t i = 0; r == 0 && i < rows.count; i++)
    remove_if_old(folder, candidates->names[rows.items[i].place - 1], older_than_s);
  return r;
}

static int
sweep_folder(struct cache *cache, const char *path, int64_t older_than_s, struct error *err)
{
  PN_CLEANUP(candidates_free) struct candidates candidates = { 0 };
  PN_CLEANUP(close_folder) DIR *folder = opendir(path);
  const struct dirent *entry;
  if (folder == NULL)
    return error_set_errno(err, "cannot list %s", path);
  while ((entry = readdir(folder)) != NULL)
    if (!is_away(folder, entry->d_name) && is_old_file(folder, entry->d_name, older_than_s))
      add_candidate(&candidates, entry->d_name);
  return candidates.count == 0 ? 0 : remove_unused(cache, folder, &candidates, older_than_s, err);
}

int
cache_sweep_nars(struct cache *cache, int64_t older_than_s, struct error *err)
{
  PN_CLEANUP(close_folder) DIR *folder = opendir(cache->nar_folder);
  const struct dirent *entry;
  int r = 0;
  if (folder == NULL)
    return error_set_errno(err, "cannot list %s", cache->nar_folder);
  while (r == 0 && !cache_is_stopping(cache) && (entry = readdir(folder)) != NULL) {
    if (entry->d_name[0] == '.')
      continue;
    CLEANUP_FREE char *path = mem_printf("%s/%s", cache->nar_folder, entry->d_name);
    r = sweep_folder(cache, path, older_than_s, err);
  }
  return r;
}
