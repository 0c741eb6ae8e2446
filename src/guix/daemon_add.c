/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Changing the store: adding, importing, exporting, roots and garbage
   (operations of Guix's nix/nix-daemon/nix-daemon.cc). */
#include <errno.h>

#include "guix/daemon_private.h"
#include "guix/store_path.h"

#define TEXT_MAX (1u << 30) /* bytes; the daemon holds a text in memory */
#define NAR_ROOM 65536

static int
check_name(struct str name, struct error *err)
{
  if (guix_name_is_valid(name))
    return 0;
  return error_set(err, -EINVAL, "'%.*s' cannot be the name of a store item", STR_FMT(name));
}

/* ---- adding ---- */

int
guix_daemon_add_text(struct guix_daemon *daemon, struct str name, struct str contents,
                     const struct str *references, size_t count, struct arena *arena,
                     struct str *ret, struct error *err)
{
  if (contents.size > TEXT_MAX)
    return error_set(err, -EFBIG, "text of %zu bytes, more than %u", contents.size, TEXT_MAX);
  int r = check_name(name, err);
  if (r == 0)
    r = guix_daemon_check_paths(references, count, err);
  if (r == 0)
    r = guix_daemon_begin(daemon, GUIX_OP_ADD_TEXT_TO_STORE, err);
  if (r < 0)
    return r;
  guix_wire_put_str(&daemon->wire, name);
  guix_wire_put_str(&daemon->wire, contents);
  guix_wire_put_strs(&daemon->wire, references, count);
  r = guix_daemon_finish(daemon, NULL, err);
  return r < 0 ? r : guix_daemon_get_path(daemon, arena, ret, err);
}

/* Until READ's end, or until the daemon reads no more: then its answer tells
   why. */
static int
send_nar(struct guix_wire *wire, int64_t (*read)(void *, char *, size_t), void *state,
         struct error *err)
{
  char room[NAR_ROOM];
  int64_t n;
  while ((n = read(state, room, sizeof room)) > 0) {
    guix_wire_put_raw(wire, str_make(room, (size_t) n));
    int r = guix_wire_flush(wire, err);
    if (r < 0)
      return r == -EPIPE ? 0 : r;
  }
  if (n < 0)
    return guix_wire_break(wire, err, (int) n, "source of a nar for guix-daemon: %s",
                           strerror((int) -n));
  return 0;
}

int
guix_daemon_add_nar(struct guix_daemon *daemon, struct str name, bool recursive,
                    struct str algorithm, int64_t (*read)(void *, char *, size_t), void *state,
                    struct arena *arena, struct str *ret, struct error *err)
{
  struct guix_wire *wire = &daemon->wire;
  int r = check_name(name, err);
  if (r == 0)
    r = guix_daemon_begin(daemon, GUIX_OP_ADD_TO_STORE, err);
  if (r < 0)
    return r;
  guix_wire_put_str(wire, name);
  guix_wire_put_int(wire, 1); /* always */
  guix_wire_put_int(wire, recursive);
  guix_wire_put_str(wire, algorithm);
  r = send_nar(wire, read, state, err);
  if (r == 0)
    r = guix_daemon_finish(daemon, NULL, err);
  return r < 0 ? r : guix_daemon_get_path(daemon, arena, ret, err);
}

int
guix_daemon_import(struct guix_daemon *daemon, int64_t (*read)(void *, char *, size_t), void *state,
                   struct arena *arena, struct str **ret, size_t *ret_count, struct error *err)
{
  struct guix_transfer transfer = { .read = read, .state = state };
  struct str *paths = NULL;
  size_t count = 0;
  int r = guix_daemon_begin(daemon, GUIX_OP_IMPORT_PATHS, err);
  if (r == 0)
    r = guix_daemon_finish(daemon, &transfer, err);
  if (r == 0)
    r = guix_daemon_get_paths(daemon, arena, &paths, &count, err);
  if (r < 0 || ret == NULL)
    return r;
  *ret = paths;
  *ret_count = count;
  return 0;
}

int
guix_daemon_export(struct guix_daemon *daemon, struct str path, bool sign,
                   int (*write)(void *, struct str piece), void *state, struct error *err)
{
  struct guix_transfer transfer = { .write = write, .state = state };
  int r = guix_daemon_check_path(path, err);
  if (r == 0)
    r = guix_daemon_begin(daemon, GUIX_OP_EXPORT_PATH, err);
  if (r < 0)
    return r;
  guix_wire_put_str(&daemon->wire, path);
  guix_wire_put_int(&daemon->wire, sign);
  r = guix_daemon_finish(daemon, &transfer, err);
  return r < 0 ? r : guix_daemon_get_done(daemon, err);
}

/* ---- roots and garbage ---- */

int
guix_daemon_add_temp_root(struct guix_daemon *daemon, struct str path, struct error *err)
{
  int r = guix_daemon_check_path(path, err);
  if (r == 0)
    r = guix_daemon_begin(daemon, GUIX_OP_ADD_TEMP_ROOT, err);
  if (r < 0)
    return r;
  guix_wire_put_str(&daemon->wire, path);
  r = guix_daemon_finish(daemon, NULL, err);
  return r < 0 ? r : guix_daemon_get_done(daemon, err);
}

int
guix_daemon_add_indirect_root(struct guix_daemon *daemon, const char *link, struct error *err)
{
  if (link[0] != '/')
    return error_set(err, -EINVAL, "'%s' is not an absolute file name", link);
  int r = guix_daemon_begin(daemon, GUIX_OP_ADD_INDIRECT_ROOT, err);
  if (r < 0)
    return r;
  guix_wire_put_str(&daemon->wire, str_of(link));
  r = guix_daemon_finish(daemon, NULL, err);
  return r < 0 ? r : guix_daemon_get_done(daemon, err);
}

/* What is collected need not have the form of a store path: leftover locks. */
static int
get_collected(struct guix_wire *wire, struct arena *arena, struct str **ret, size_t *ret_count,
              uint64_t *ret_freed, struct error *err)
{
  struct str *paths = NULL;
  size_t count = 0;
  uint64_t freed = 0, obsolete;
  int r = guix_wire_get_strs(wire, GUIX_WIRE_PATH_MAX, arena, &paths, &count, err);
  if (r == 0)
    r = guix_wire_get_long(wire, &freed, err);
  if (r == 0)
    r = guix_wire_get_long(wire, &obsolete, err);
  if (r < 0)
    return r;
  *ret = paths;
  *ret_count = count;
  *ret_freed = freed;
  return 0;
}

int
guix_daemon_collect_garbage(struct guix_daemon *daemon, enum guix_gc_action action,
                            const struct str *paths, size_t count, uint64_t max_freed,
                            struct arena *arena, struct str **ret, size_t *ret_count,
                            uint64_t *ret_freed, struct error *err)
{
  struct guix_wire *wire = &daemon->wire;
  int r = guix_daemon_check_paths(paths, count, err);
  if (r == 0)
    r = guix_daemon_begin(daemon, GUIX_OP_COLLECT_GARBAGE, err);
  if (r < 0)
    return r;
  guix_wire_put_int(wire, action);
  guix_wire_put_strs(wire, paths, count);
  guix_wire_put_int(wire, 0); /* do not ignore what is alive */
  guix_wire_put_int(wire, max_freed);
  for (int i = 0; i < 3; i++)
    guix_wire_put_int(wire, 0); /* obsolete */
  r = guix_daemon_finish(daemon, NULL, err);
  return r < 0 ? r : get_collected(wire, arena, ret, ret_count, ret_freed, err);
}
