/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Starting and stopping: folders and threads. */
#include "cache/cache.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "cache/cache_private.h"

static char *
host_name(const char *given)
{
  char name[256] = "";
  if (given != NULL)
    return mem_strdup(given);
  (void) gethostname(name, sizeof name - 1);
  return mem_strdup(name[0] != '\0' ? name : "localhost");
}

static int
make_folders(const struct cache *cache, struct error *err)
{
  const char *const folders[] = { cache->nar_folder, cache->upload_folder, cache->log_folder };
  int r = 0;
  for (size_t i = 0; r == 0 && i < ARRAY_SIZE(folders); i++)
    r = file_make_dirs(folders[i], 0755, err);
  return r;
}

static int
check_options(const struct cache_options *options, struct error *err)
{
  if (options->second_compression != GUIX_COMPRESSION_GZIP
      && options->second_compression != GUIX_COMPRESSION_LZIP)
    return error_set(err, -EINVAL, "the second compression must be gzip or lzip");
  return 0;
}

int
cache_start(const struct cache_options *options, struct cache **ret, struct error *err)
{
  int r = check_options(options, err);
  if (r < 0)
    return r;
  struct cache *cache = mem_alloc(sizeof *cache);
  cache->nar_folder = mem_printf("%s/nars", options->folder);
  cache->upload_folder = mem_printf("%s/uploads", options->folder);
  cache->log_folder = mem_strdup(options->log_folder);
  cache->pool = options->pool;
  cache->host_name = host_name(options->host_name);
  cache->second = options->second_compression;
  cache->inline_limit = options->inline_limit;
  pthread_mutex_init(&cache->mutex, NULL);
  pthread_cond_init(&cache->idle, NULL);

  r = make_folders(cache, err);
  if (r == 0)
    r = cache_key_open(cache, options->key_folder, err);
  if (r == 0)
    r = cache_pump_start(cache, err);
  if (r == 0)
    r = cache_background_start(cache, err);
  if (r < 0) {
    cache_stop(cache);
    return r;
  }
  *ret = cache;
  return 0;
}

static void
close_logs(struct cache *cache)
{
  struct cache_log *log;
  size_t position = 0;
  while ((log = int_map_next(&cache->logs, &position)) != NULL)
    cache_log_unref(cache, log);
  int_map_free(&cache->logs);
}

void
cache_stop(struct cache *cache)
{
  if (cache == NULL)
    return;
  pthread_mutex_lock(&cache->mutex);
  cache->stopping = true;
  while (cache->bundles > 0)
    pthread_cond_wait(&cache->idle, &cache->mutex);
  pthread_mutex_unlock(&cache->mutex);
  cache_background_stop(cache);
  cache_pump_stop(cache);
  close_logs(cache);
  pthread_cond_destroy(&cache->idle);
  pthread_mutex_destroy(&cache->mutex);
  guix_key_free(cache->key);
  free(cache->public_text);
  free(cache->host_name);
  free(cache->nar_folder);
  free(cache->upload_folder);
  free(cache->log_folder);
  free(cache->private_key_file);
  free(cache);
}

bool
cache_is_stopping(struct cache *cache)
{
  pthread_mutex_lock(&cache->mutex);
  bool stopping = cache->stopping;
  pthread_mutex_unlock(&cache->mutex);
  return stopping;
}

const struct guix_key *
cache_key(const struct cache *cache)
{
  return cache->key;
}

void
cache_set_log_lookup(struct cache *cache, cache_log_lookup *look_up, void *context)
{
  cache->log_lookup = look_up;
  cache->log_lookup_context = context;
}
