/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Starting and stopping: folders, the signing key, threads. */
#include "cache/cache.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "cache/cache_private.h"

#define KEY_TEXT_MAX 65536

/* ---- the key ---- */

/* A key pair is made once. The private half goes first: a public one without it
   would be taken for a key that somebody removed. */
static int
make_key(const char *public_file, const char *private_file, struct error *err)
{
  struct guix_key *key;
  int r = guix_key_generate(&key, err);
  if (r < 0)
    return r;
  CLEANUP_BUF struct buf public_text = { 0 }, private_text = { 0 };
  guix_key_public_text(key, &public_text);
  r = guix_key_private_text(key, &private_text);
  guix_key_free(key);
  if (r == 0)
    r = file_write_atomic(private_file, buf_str(&private_text), 0600, err);
  if (r == 0)
    r = file_write_atomic(public_file, buf_str(&public_text), 0444, err);
  explicit_bzero(private_text.data, private_text.size);
  return r;
}

static int
read_key(struct cache *cache, const char *public_file, const char *private_file, struct error *err)
{
  CLEANUP_BUF struct buf public_text = { 0 }, private_text = { 0 };
  int r = file_read_all(public_file, KEY_TEXT_MAX, &public_text, err);
  if (r == 0)
    r = file_read_all(private_file, KEY_TEXT_MAX, &private_text, err);
  if (r == 0)
    r = guix_key_parse(buf_str(&public_text), buf_str(&private_text), &cache->key, err);
  if (private_text.size > 0)
    explicit_bzero(private_text.data, private_text.size);
  if (r < 0)
    return error_prefix(err, "the signing key in %s", public_file);

  struct guix_hash hash = guix_hash_of(buf_str(&public_text));
  memcpy(&cache->key_number, hash.bytes, sizeof cache->key_number);
  cache->public_text = mem_strndup(public_text.data, public_text.size);
  return 0;
}

static int
open_key(struct cache *cache, const char *folder, struct error *err)
{
  CLEANUP_FREE char *public_file = mem_printf("%s/signing-key.pub", folder);
  CLEANUP_FREE char *private_file = mem_printf("%s/signing-key.sec", folder);
  int r = file_make_dirs(folder, 0755, err);
  if (r == 0 && !file_exists(private_file)) {
    if (file_exists(public_file))
      return error_set(err, -ENOENT, "%s is there, but %s is not", public_file, private_file);
    r = make_key(public_file, private_file, err);
  }
  return r < 0 ? r : read_key(cache, public_file, private_file, err);
}

/* ---- start and stop ---- */

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
    r = open_key(cache, options->key_folder, err);
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
