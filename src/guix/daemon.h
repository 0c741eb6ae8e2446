/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A client of guix-daemon: the worker protocol, version 0x164, over a Unix
   socket. Blocking, one request at a time; a connection belongs to one thread
   (guix_daemon_cancel excepted). Every call returns -ECONNRESET and the like
   when the connection is gone and -EREMOTEIO when the daemon answered with an
   error, whose text is then in ERR and whose status in guix_daemon_status.

   After -EREMOTEIO the connection usually goes on; guix_daemon_is_usable tells.
   After a time-out, a cancellation, a lost connection or an answer that breaks
   the protocol (-EPROTO) it is of no more use: every later call returns
   -ECONNRESET at once. -EINVAL is an argument that was not sent at all. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/error.h"
#include "guix/hash.h"

struct guix_daemon;

/* SOCKET: file name of the Unix socket, e.g. STORE_ROOT
   "/var/guix/daemon-socket/socket" (names longer than sun_path are fine). */
int guix_daemon_open(const char *socket, struct guix_daemon **ret, struct error *err);
void guix_daemon_close(struct guix_daemon *daemon); /* NULL is fine */

/* From any thread, before _close: shuts the socket; the daemon kills a running
   build, and the call under way (or the next one) returns -ECANCELED. */
void guix_daemon_cancel(struct guix_daemon *daemon);

/* False when another call could only fail. Between calls, costs one recv(2). */
bool guix_daemon_is_usable(struct guix_daemon *daemon);

/* No reply byte for this long fails the call with -ETIMEDOUT (0 = wait for
   ever, the default; a build may be silent for long). */
void guix_daemon_set_timeout(struct guix_daemon *daemon, int seconds);

/* Of the last -EREMOTEIO: 1, 100 (permanent) or 101 (time-out): Guix's
   nix/libstore/build.cc. */
int guix_daemon_status(const struct guix_daemon *daemon);
unsigned guix_daemon_version(const struct guix_daemon *daemon);

/* ---- options and builds ---- */

struct guix_build_options
{
  bool keep_going;
  bool use_substitutes;        /* cannot turn on what the daemon was started without */
  bool use_build_hook;         /* let the daemon offload to machines of its own */
  int max_jobs;                /* -1 = the daemon's default */
  int cores;                   /* -1 = default, 0 = all */
  int64_t timeout_s;           /* -1 = default, 0 = none */
  int64_t max_silent_s;        /* -1 = default, 0 = none */
  const char *substitute_urls; /* space separated; NULL = default */
};

#define GUIX_BUILD_OPTIONS_INIT                                                               \
  {                                                                                           \
    .use_substitutes = true, .max_jobs = -1, .cores = -1, .timeout_s = -1, .max_silent_s = -1 \
  }

/* Stay with the connection. Builder output is always asked for in a form that
   cannot forge events; guix_daemon_build sets GUIX_BUILD_OPTIONS_INIT if nothing
   was set before. */
int guix_daemon_set_options(struct guix_daemon *daemon, const struct guix_build_options *options,
                            struct error *err);

enum guix_event_kind
{
  GUIX_EVENT_LOG,             /* builder output: `text`, of process `pid`; any pieces */
  GUIX_EVENT_MESSAGE,         /* other text of the daemon: `text`, one line without LF */
  GUIX_EVENT_BUILD_STARTED,   /* drv, system, log_file, pid */
  GUIX_EVENT_BUILD_SUCCEEDED, /* drv */
  GUIX_EVENT_BUILD_FAILED,    /* drv, reason ("timeout", "cached", or ""), text */
  GUIX_EVENT_HOOK_FAILED,     /* drv, reason = its wait status, text */
  GUIX_EVENT_HASH_MISMATCH,   /* item, algorithm, expected, actual */
  GUIX_EVENT_SUBSTITUTER,     /* item, reason = "started", "succeeded" or "failed", text */
  GUIX_EVENT_DOWNLOAD,        /* reason = "started", "progress", "succeeded"; item = URL;
                                 text = its size or "-", with progress " " and how much came */
};

struct guix_event /* slices live during the callback */
{
  enum guix_event_kind kind;
  struct str drv, system, log_file, reason, item, algorithm, expected, actual, text;
  int64_t pid;
};

typedef void guix_event_receiver(void *context, const struct guix_event *event);

/* Splits the daemon's log stream into events (guix/status.scm), whatever the
   pieces in which it arrives. Usable without a daemon. A line that looks like
   an event but is none comes as a message; so do, in parts, lines of more than
   GUIX_EVENT_LINE_MAX bytes. */
#define GUIX_EVENT_LINE_MAX 65536
struct guix_event_parser;
struct guix_event_parser *guix_event_parser_new(guix_event_receiver *receive, void *context);
void guix_event_parser_feed(struct guix_event_parser *parser, struct str piece);
void guix_event_parser_end(struct guix_event_parser *parser); /* flushes a last line */
void guix_event_parser_free(struct guix_event_parser *parser);

/* Where the text of all following requests goes (NULL = dropped). The receiver
   must not use the connection, guix_daemon_cancel excepted. */
void guix_daemon_on_event(struct guix_daemon *daemon, guix_event_receiver *receive, void *context);

/* op 9, normal mode; THINGS: full paths, or DRV!OUTPUT,OUTPUT. 0 = built or
   valid already (but a path that is no derivation and that no substitute
   server has is passed over by the daemon). */
int guix_daemon_build(struct guix_daemon *daemon, const struct str *things, size_t count,
                      struct error *err);

/* ---- asking ---- */

struct guix_path_info /* in the arena of the call */
{
  struct str deriver;     /* full path or "" */
  struct guix_hash hash;  /* of the nar */
  struct str *references; /* full paths, sorted; may include itself */
  size_t references_count;
  int64_t registered_at; /* seconds since 1970 */
  int64_t nar_size;
};

int guix_daemon_is_valid(struct guix_daemon *daemon, struct str path, struct error *err); /* 1, 0 */
int guix_daemon_query_path_info(struct guix_daemon *daemon, struct str path, struct arena *arena,
                                struct guix_path_info *ret, struct error *err);
/* The subset of PATHS that is valid (op 31); in ARENA, sorted. */
int guix_daemon_query_valid_paths(struct guix_daemon *daemon, const struct str *paths, size_t count,
                                  struct arena *arena, struct str **ret, size_t *ret_count,
                                  struct error *err);
int guix_daemon_query_references(struct guix_daemon *daemon, struct str path, struct arena *arena,
                                 struct str **ret, size_t *ret_count, struct error *err);
int guix_daemon_query_referrers(struct guix_daemon *daemon, struct str path, struct arena *arena,
                                struct str **ret, size_t *ret_count, struct error *err);
int guix_daemon_query_derivers(struct guix_daemon *daemon, struct str path, struct arena *arena,
                               struct str **ret, size_t *ret_count, struct error *err);
/* Full path, or "" (op 29). */
int guix_daemon_query_hash_part(struct guix_daemon *daemon, struct str hash_part,
                                struct arena *arena, struct str *ret, struct error *err);
int guix_daemon_substitute_urls(struct guix_daemon *daemon, struct arena *arena, struct str **ret,
                                size_t *ret_count, struct error *err);

/* ---- adding, roots, garbage ---- */

int guix_daemon_add_temp_root(struct guix_daemon *daemon, struct str path, struct error *err);
int guix_daemon_add_indirect_root(struct guix_daemon *daemon, const char *link, struct error *err);
/* op 8; REFERENCES: full paths. The store path goes into ARENA. */
int guix_daemon_add_text(struct guix_daemon *daemon, struct str name, struct str contents,
                         const struct str *references, size_t count, struct arena *arena,
                         struct str *ret, struct error *err);
/* op 7. Pulls a nar from READ (fills up to SIZE bytes, returns count, 0 = end,
   negative = fail, which is returned and ends the connection, since a nar can
   only end where it ends). RECURSIVE false: a flat file inside the nar. */
int guix_daemon_add_nar(struct guix_daemon *daemon, struct str name, bool recursive,
                        struct str algorithm, int64_t (*read)(void *, char *, size_t), void *state,
                        struct arena *arena, struct str *ret, struct error *err);
/* op 27: READ supplies a whole export stream; its failure is returned and the
   connection goes on. Imported paths go into ARENA (RET may be NULL). */
int guix_daemon_import(struct guix_daemon *daemon, int64_t (*read)(void *, char *, size_t),
                       void *state, struct arena *arena, struct str **ret, size_t *ret_count,
                       struct error *err);
/* op 16: hands one ITEM of an export stream to WRITE (0 or negative, which is
   returned and ends the connection, since the rest would have to be read). */
int guix_daemon_export(struct guix_daemon *daemon, struct str path, bool sign,
                       int (*write)(void *, struct str piece), void *state, struct error *err);

enum guix_gc_action
{
  GUIX_GC_LIVE,
  GUIX_GC_DEAD,
  GUIX_GC_DELETE_DEAD,
  GUIX_GC_DELETE,
};
/* op 20, on a connection of its own. MAX_FREED in bytes,
   UINT64_MAX = no limit. */
int guix_daemon_collect_garbage(struct guix_daemon *daemon, enum guix_gc_action action,
                                const struct str *paths, size_t count, uint64_t max_freed,
                                struct arena *arena, struct str **ret, size_t *ret_count,
                                uint64_t *ret_freed, struct error *err);
