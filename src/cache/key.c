/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The files of the signing key. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "cache/cache_private.h"

#define KEY_TEXT_MAX 65536

struct key_files
{
  char *public_file;
  char *private_file;
  char *next_file; /* the public half while a key is being made */
};

static void
key_files_free(struct key_files *files)
{
  free(files->public_file);
  free(files->private_file);
  free(files->next_file);
}

static struct key_files
key_files_in(const char *folder)
{
  return (struct key_files) { .public_file = mem_printf("%s/signing-key.pub", folder),
                              .private_file = mem_printf("%s/signing-key.sec", folder),
                              .next_file = mem_printf("%s/signing-key.pub.next", folder) };
}

/* The public half of the private key that is there gets its name. */
static int
settle_public(const struct key_files *files, struct error *err)
{
  if (rename(files->next_file, files->public_file) != 0)
    return error_set_errno(err, "cannot write %s", files->public_file);
  return file_sync_parent(files->public_file, err);
}

/* The private half is what makes it the key: from then on, however we end, the public
   one is beside it. */
static int
make_key(const struct key_files *files, struct error *err)
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
    r = file_write_atomic(files->next_file, buf_str(&public_text), 0444, err);
  if (r == 0)
    r = file_write_atomic(files->private_file, buf_str(&private_text), 0600, err);
  if (r == 0)
    r = settle_public(files, err);
  explicit_bzero(private_text.data, private_text.size);
  return r;
}

static int
parse_pair(const struct key_files *files, const char *public_file, struct str public_text,
           struct str private_text, struct guix_key **ret, struct error *err)
{
  struct guix_key *half;
  int r = guix_key_parse(public_text, (struct str) { 0 }, &half, err);
  if (r < 0)
    return error_prefix(err, "the signing key in %s", public_file);
  guix_key_free(half);
  r = guix_key_parse(public_text, private_text, ret, err);
  return r < 0 ? error_prefix(err, "the signing key in %s", files->private_file) : 0;
}

/* PUBLIC_FILE and the private half, which must belong together; the text of the former. */
static int
read_pair(const struct key_files *files, const char *public_file, struct guix_key **ret,
          struct buf *public_text, struct error *err)
{
  CLEANUP_BUF struct buf private_text = { 0 };
  int r = file_read_all(public_file, KEY_TEXT_MAX, public_text, err);
  if (r == 0)
    r = file_read_all(files->private_file, KEY_TEXT_MAX, &private_text, err);
  if (r == 0)
    r = parse_pair(files, public_file, buf_str(public_text), buf_str(&private_text), ret, err);
  if (private_text.size > 0)
    explicit_bzero(private_text.data, private_text.size);
  return r;
}

/* Whoever was killed while making a key left its public half: of the key that is there
   now, or of one that never came to be. */
static int
end_making(const struct key_files *files, struct error *err)
{
  CLEANUP_BUF struct buf public_text = { 0 };
  struct guix_key *key;
  if (!file_exists(files->next_file))
    return 0;
  int r = read_pair(files, files->next_file, &key, &public_text, err);
  if (r == -EINVAL || r == -ENOENT) {
    unlink(files->next_file);
    return 0;
  }
  if (r < 0)
    return r;
  guix_key_free(key);
  return settle_public(files, err);
}

static int
read_key(struct cache *cache, const struct key_files *files, struct error *err)
{
  CLEANUP_BUF struct buf public_text = { 0 };
  int r = read_pair(files, files->public_file, &cache->key, &public_text, err);
  if (r < 0)
    return error_hint(err, "Put both files of one key there: signing-key.pub and "
                           "signing-key.sec; older ones end in .retired-TIME.");
  struct guix_hash hash = guix_hash_of(buf_str(&public_text));
  memcpy(&cache->key_number, hash.bytes, sizeof cache->key_number);
  cache->public_text = mem_strndup(public_text.data, public_text.size);
  return 0;
}

bool
cache_key_is_exposed(const struct cache *cache)
{
  struct stat status;
  return stat(cache->private_key_file, &status) == 0 && (status.st_mode & (S_IRWXG | S_IRWXO)) != 0;
}

int
cache_key_open(struct cache *cache, const char *folder, struct error *err)
{
  PN_CLEANUP(key_files_free) struct key_files files = key_files_in(folder);
  int r = file_make_dirs(folder, 0755, err);
  if (r == 0)
    r = end_making(&files, err);
  if (r == 0 && !file_exists(files.private_file)) {
    if (file_exists(files.public_file))
      return error_set(err, -ENOENT, "%s is there, but %s is not", files.public_file,
                       files.private_file);
    r = make_key(&files, err);
  }
  if (r == 0)
    r = read_key(cache, &files, err);
  if (r < 0)
    return r;
  cache->private_key_file = TAKE_PTR(files.private_file);
  if (cache_key_is_exposed(cache))
    log_warning("cache", "others than its owner can read or write %s: chmod 600 it, or rotate",
                cache->private_key_file);
  return 0;
}

/* ---- another key ---- */

/* A second name for FILE, so that it never lacks one; a missing FILE is fine. */
static int
retire(const char *file, const char *time, struct error *err)
{
  CLEANUP_FREE char *retired = mem_printf("%s.retired-%s", file, time);
  if (link(file, retired) != 0 && errno != ENOENT)
    return error_set_errno(err, "cannot keep %s as %s", file, retired);
  return 0;
}

int
cache_key_rotate(const char *folder, struct error *err)
{
  PN_CLEANUP(key_files_free) struct key_files files = key_files_in(folder);
  char time[CLOCK_TEXT_SIZE];
  if (!file_exists(files.private_file))
    return error_set(err, -ENOENT, "%s does not exist: there is no key to replace",
                     files.private_file);
  clock_format(clock_now_us(), time);
  int r = end_making(&files, err);
  if (r == 0)
    r = retire(files.private_file, time, err);
  if (r == 0)
    r = retire(files.public_file, time, err);
  return r < 0 ? r : make_key(&files, err);
}
