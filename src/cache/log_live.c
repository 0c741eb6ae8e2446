/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Which logs are not finished, as the folder says: also those of a server that is
   no more. */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/file.h"
#include "base/mem.h"
#include "cache/cache_private.h"

void
cache_attempts_free(struct cache_attempts *attempts)
{
  free(attempts->ids);
}

bool
cache_log_is_live(const struct cache *cache, int64_t attempt_id)
{
  CLEANUP_FREE char *file = cache_log_live_file(cache, attempt_id);
  return file_exists(file);
}

static void
close_folder(DIR **folder)
{
  if (*folder != NULL)
    closedir(*folder);
}

/* "NUMBER.log"; others, such as finished ones, are passed over. */
static bool
read_name(const char *name, int64_t *ret_attempt_id)
{
  struct str digits, suffix = str_of(name);
  return str_split(&suffix, '.', &digits) && str_equal(suffix, STR("log"))
         && str_to_i64(digits, ret_attempt_id) == 0;
}

/* A folder that is not there has no logs. */
static int
list_folder(const char *path, struct cache_attempts *ret, struct error *err)
{
  PN_CLEANUP(close_folder) DIR *folder = opendir(path);
  const struct dirent *entry;
  int64_t attempt_id;
  if (folder == NULL)
    return errno == ENOENT ? 0 : error_set_errno(err, "cannot list %s", path);
  while ((entry = readdir(folder)) != NULL)
    if (read_name(entry->d_name, &attempt_id)) {
      mem_grow(&ret->ids, &ret->capacity, ret->count + 1, sizeof *ret->ids);
      ret->ids[ret->count++] = attempt_id;
    }
  return 0;
}

int
cache_logs_live(const struct cache *cache, struct cache_attempts *ret, struct error *err)
{
  int r = 0;
  for (unsigned i = 0; r == 0 && i < CACHE_LOG_FOLDERS; i++) {
    CLEANUP_FREE char *folder = mem_printf("%s/%02x", cache->log_folder, i);
    r = list_folder(folder, ret, err);
  }
  return r;
}
