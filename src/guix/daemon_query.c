/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Asking what the store holds (Guix's nix/libstore/worker-protocol.hh). */
#include <errno.h>

#include "guix/daemon_private.h"
#include "guix/store_path.h"

#define URL_MAX 4096
#define HASH_TEXT_MAX 256

/* Requests whose one argument is a store path. */
static int
ask_about(struct guix_daemon *daemon, enum guix_op op, struct str path, struct error *err)
{
  int r = guix_daemon_check_path(path, err);
  if (r == 0)
    r = guix_daemon_begin(daemon, op, err);
  if (r < 0)
    return r;
  guix_wire_put_str(&daemon->wire, path);
  return guix_daemon_finish(daemon, NULL, err);
}

static int
ask_for_paths(struct guix_daemon *daemon, enum guix_op op, struct str path, struct arena *arena,
              struct str **ret, size_t *ret_count, struct error *err)
{
  int r = ask_about(daemon, op, path, err);
  return r < 0 ? r : guix_daemon_get_paths(daemon, arena, ret, ret_count, err);
}

int
guix_daemon_is_valid(struct guix_daemon *daemon, struct str path, struct error *err)
{
  uint32_t valid = 0;
  int r = ask_about(daemon, GUIX_OP_VALID_PATH, path, err);
  if (r == 0)
    r = guix_wire_get_int(&daemon->wire, &valid, err);
  return r < 0 ? r : valid != 0;
}

static int
get_hash(struct guix_daemon *daemon, struct arena *arena, struct guix_hash *ret, struct error *err)
{
  struct str text = STR("");
  int r = guix_wire_get_str(&daemon->wire, HASH_TEXT_MAX, arena, &text, err);
  if (r < 0)
    return r;
  if (guix_hash_parse(text, ret) < 0)
    return guix_wire_break(&daemon->wire, err, -EPROTO, "guix-daemon sent '%.*s' as a hash",
                           STR_FMT(text));
  return 0;
}

static int
get_size(struct guix_daemon *daemon, int64_t *ret, struct error *err)
{
  uint64_t size = 0;
  int r = guix_wire_get_long(&daemon->wire, &size, err);
  if (r < 0)
    return r;
  if (size > INT64_MAX)
    return guix_wire_break(&daemon->wire, err, -EPROTO, "guix-daemon sent an impossible size");
  *ret = (int64_t) size;
  return 0;
}

int
guix_daemon_query_path_info(struct guix_daemon *daemon, struct str path, struct arena *arena,
                            struct guix_path_info *ret, struct error *err)
{
  struct guix_path_info info = { 0 };
  uint32_t time = 0;
  int r = ask_about(daemon, GUIX_OP_QUERY_PATH_INFO, path, err);
  if (r == 0)
    r = guix_daemon_get_path_or_none(daemon, arena, &info.deriver, err);
  if (r == 0)
    r = get_hash(daemon, arena, &info.hash, err);
  if (r == 0)
    r = guix_daemon_get_paths(daemon, arena, &info.references, &info.references_count, err);
  if (r == 0)
    r = guix_wire_get_int(&daemon->wire, &time, err);
  if (r == 0)
    r = get_size(daemon, &info.nar_size, err);
  if (r < 0)
    return r;
  info.registered_at = time;
  *ret = info;
  return 0;
}

int
guix_daemon_query_valid_paths(struct guix_daemon *daemon, const struct str *paths, size_t count,
                              struct arena *arena, struct str **ret, size_t *ret_count,
                              struct error *err)
{
  int r = guix_daemon_check_paths(paths, count, err);
  if (r == 0)
    r = guix_daemon_begin(daemon, GUIX_OP_QUERY_VALID_PATHS, err);
  if (r < 0)
    return r;
  guix_wire_put_strs(&daemon->wire, paths, count);
  r = guix_daemon_finish(daemon, NULL, err);
  return r < 0 ? r : guix_daemon_get_paths(daemon, arena, ret, ret_count, err);
}

int
guix_daemon_query_references(struct guix_daemon *daemon, struct str path, struct arena *arena,
                             struct str **ret, size_t *ret_count, struct error *err)
{
  return ask_for_paths(daemon, GUIX_OP_QUERY_REFERENCES, path, arena, ret, ret_count, err);
}

int
guix_daemon_query_referrers(struct guix_daemon *daemon, struct str path, struct arena *arena,
                            struct str **ret, size_t *ret_count, struct error *err)
{
  return ask_for_paths(daemon, GUIX_OP_QUERY_REFERRERS, path, arena, ret, ret_count, err);
}

int
guix_daemon_query_derivers(struct guix_daemon *daemon, struct str path, struct arena *arena,
                           struct str **ret, size_t *ret_count, struct error *err)
{
  return ask_for_paths(daemon, GUIX_OP_QUERY_VALID_DERIVERS, path, arena, ret, ret_count, err);
}

/* The daemon takes any 32 bytes; other lengths end the connection. */
int
guix_daemon_query_hash_part(struct guix_daemon *daemon, struct str hash_part, struct arena *arena,
                            struct str *ret, struct error *err)
{
  if (hash_part.size != GUIX_PATH_HASH_SIZE)
    return error_set(err, -EINVAL, "'%.*s' is not a hash part", STR_FMT(hash_part));
  int r = guix_daemon_begin(daemon, GUIX_OP_QUERY_PATH_FROM_HASH_PART, err);
  if (r < 0)
    return r;
  guix_wire_put_str(&daemon->wire, hash_part);
  r = guix_daemon_finish(daemon, NULL, err);
  return r < 0 ? r : guix_daemon_get_path_or_none(daemon, arena, ret, err);
}

int
guix_daemon_substitute_urls(struct guix_daemon *daemon, struct arena *arena, struct str **ret,
                            size_t *ret_count, struct error *err)
{
  if (daemon->version < 0x164)
    return error_set(err, -EOPNOTSUPP, "this guix-daemon cannot tell its substitute servers");
  int r = guix_daemon_begin(daemon, GUIX_OP_SUBSTITUTE_URLS, err);
  if (r == 0)
    r = guix_daemon_finish(daemon, NULL, err);
  return r < 0 ? r : guix_wire_get_strs(&daemon->wire, URL_MAX, arena, ret, ret_count, err);
}
