/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the files daemon*.c share: the frame of a request, as in Guix's guix/store.scm
   (define-operation, process-stderr).

     guix_daemon_begin, guix_wire_put_* of the arguments,
     guix_daemon_finish, guix_wire_get_* of the result. */
#pragma once

#include "guix/daemon.h"
#include "guix/wire.h"

struct guix_daemon
{
  struct guix_wire wire;
  uint32_t version; /* the daemon's own */
  int status;       /* of the last error reply */
  bool has_options;
  struct guix_event_parser *events; /* NULL = text is dropped */
};

enum guix_op
{
  GUIX_OP_VALID_PATH = 1,
  GUIX_OP_QUERY_REFERENCES = 5,
  GUIX_OP_QUERY_REFERRERS = 6,
  GUIX_OP_ADD_TO_STORE = 7,
  GUIX_OP_ADD_TEXT_TO_STORE = 8,
  GUIX_OP_BUILD_THINGS = 9,
  GUIX_OP_ADD_TEMP_ROOT = 11,
  GUIX_OP_ADD_INDIRECT_ROOT = 12,
  GUIX_OP_EXPORT_PATH = 16,
  GUIX_OP_SET_OPTIONS = 19,
  GUIX_OP_COLLECT_GARBAGE = 20,
  GUIX_OP_QUERY_PATH_INFO = 26,
  GUIX_OP_IMPORT_PATHS = 27,
  GUIX_OP_QUERY_PATH_FROM_HASH_PART = 29,
  GUIX_OP_QUERY_VALID_PATHS = 31,
  GUIX_OP_QUERY_VALID_DERIVERS = 33,
  GUIX_OP_SUBSTITUTE_URLS = 81,
};

/* Data besides arguments and result: what the daemon reads from us (import) or
   writes to us (export). Either may be NULL: then the daemon must not ask. */
struct guix_transfer
{
  int64_t (*read)(void *, char *, size_t);
  guix_sink *write;
  void *state;
  int64_t failure; /* set when READ has failed; the daemon was told "end" */
};

int guix_daemon_begin(struct guix_daemon *daemon, enum guix_op op, struct error *err) PN_MUST_USE;

/* Sends the request and serves the side channel until the result is due.
   TRANSFER NULL = none. */
int guix_daemon_finish(struct guix_daemon *daemon, struct guix_transfer *transfer,
                       struct error *err) PN_MUST_USE;

/* A path is checked before it is sent, since the daemon ends the connection
   over one that is none. -EINVAL. */
int guix_daemon_check_path(struct str path, struct error *err) PN_MUST_USE;
int guix_daemon_check_paths(const struct str *paths, size_t count, struct error *err) PN_MUST_USE;

/* One or many store paths of a result; -EPROTO when they are none. */
int guix_daemon_get_path(struct guix_daemon *daemon, struct arena *arena, struct str *ret,
                         struct error *err) PN_MUST_USE;
int guix_daemon_get_paths(struct guix_daemon *daemon, struct arena *arena, struct str **ret,
                          size_t *ret_count, struct error *err) PN_MUST_USE;
/* Like _get_path, but may also be "". */
int guix_daemon_get_path_or_none(struct guix_daemon *daemon, struct arena *arena, struct str *ret,
                                 struct error *err) PN_MUST_USE;

/* The result of requests that have none to speak of: int 1. */
int guix_daemon_get_done(struct guix_daemon *daemon, struct error *err) PN_MUST_USE;
