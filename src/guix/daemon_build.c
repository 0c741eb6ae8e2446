/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Options and builds (ops 19 and 9 of Guix's nix/nix-daemon/nix-daemon.cc). */
#include <errno.h>

#include "base/mem.h"
#include "guix/daemon_private.h"
#include "guix/store_path.h"

#define PAIRS_MAX 8

/* The pairs of set-options, collected before their count is written. */
struct pairs
{
  struct arena arena;
  struct str texts[2 * PAIRS_MAX]; /* key, value, key, value ... */
  size_t count;
};

static void
add_pair(struct pairs *pairs, const char *key, const char *value)
{
  pairs->texts[2 * pairs->count] = str_of(key);
  pairs->texts[2 * pairs->count + 1] = str_of(value);
  pairs->count++;
}

/* Negative = the daemon's default, which is had by saying nothing. */
static void
add_number(struct pairs *pairs, const char *key, int64_t value)
{
  if (value >= 0)
    add_pair(pairs, key, arena_printf(&pairs->arena, "%lld", (long long) value));
}

static void
put_pairs(struct guix_wire *wire, const struct guix_build_options *options)
{
  struct pairs pairs = { 0 };
  add_number(&pairs, "build-max-jobs", options->max_jobs);
  add_number(&pairs, "build-cores", options->cores);
  add_number(&pairs, "build-timeout", options->timeout_s);
  add_number(&pairs, "build-max-silent-time", options->max_silent_s);
  add_pair(&pairs, "multiplexed-build-output", "true");
  add_pair(&pairs, "print-extended-build-trace", "1");
  if (options->substitute_urls != NULL)
    add_pair(&pairs, "substitute-urls", options->substitute_urls);
  guix_wire_put_int(wire, pairs.count);
  for (size_t i = 0; i < 2 * pairs.count; i++)
    guix_wire_put_str(wire, pairs.texts[i]);
  arena_free(&pairs.arena);
}

int
guix_daemon_set_options(struct guix_daemon *daemon, const struct guix_build_options *options,
                        struct error *err)
{
  struct guix_wire *wire = &daemon->wire;
  int r = guix_daemon_begin(daemon, GUIX_OP_SET_OPTIONS, err);
  if (r < 0)
    return r;
  guix_wire_put_int(wire, 0); /* keep-failed */
  guix_wire_put_int(wire, options->keep_going);
  guix_wire_put_int(wire, 0); /* fallback */
  guix_wire_put_int(wire, 0); /* verbosity */
  guix_wire_put_int(wire, options->use_build_hook);
  guix_wire_put_int(wire, 0); /* build verbosity: no more than verbosity shows the output */
  guix_wire_put_int(wire, 0); /* log type */
  guix_wire_put_int(wire, 1); /* build trace */
  guix_wire_put_int(wire, options->use_substitutes);
  put_pairs(wire, options);
  r = guix_daemon_finish(daemon, NULL, err);
  if (r == 0)
    daemon->has_options = true;
  return r;
}

/* A store path, or a derivation with "!" and output names behind it. */
static int
check_thing(struct str thing, struct error *err)
{
  ptrdiff_t mark = str_find(thing, '!');
  return guix_daemon_check_path(mark < 0 ? thing : str_make(thing.data, (size_t) mark), err);
}

int
guix_daemon_build(struct guix_daemon *daemon, const struct str *things, size_t count,
                  struct error *err)
{
  static const struct guix_build_options options = GUIX_BUILD_OPTIONS_INIT;
  int r = 0;
  for (size_t i = 0; i < count && r == 0; i++)
    r = check_thing(things[i], err);
  if (r == 0 && !daemon->has_options)
    r = guix_daemon_set_options(daemon, &options, err);
  if (r == 0)
    r = guix_daemon_begin(daemon, GUIX_OP_BUILD_THINGS, err);
  if (r < 0)
    return r;
  guix_wire_put_strs(&daemon->wire, things, count);
  guix_wire_put_int(&daemon->wire, 0); /* mode: build what is not valid */
  r = guix_daemon_finish(daemon, NULL, err);
  return r < 0 ? r : guix_daemon_get_done(daemon, err);
}
