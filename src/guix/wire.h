/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The worker protocol's primitive encodings over a socket (Guix's
   nix/libutil/serialise.cc), buffered both ways, for either side of it. The first failure breaks
   the wire: bytes were lost or out of step, so all that follows fails with -ECONNRESET. Nothing
   here allocates by what the other side merely announces. */
#pragma once

#include <stdatomic.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/error.h"
#include "guix/nar.h"

#define GUIX_WIRE_ROOM 32768          /* bytes read at once; the daemon's own unit */
#define GUIX_WIRE_STRINGS_MAX 4000000 /* in one list; more than a store has items */
#define GUIX_WIRE_PATH_MAX 4096       /* bytes of a string where a path is due */

struct guix_wire
{
  int fd;           /* owned; -1 = none */
  const char *peer; /* "guix-daemon", for error messages */
  int timeout_s;    /* no byte for this long is -ETIMEDOUT; 0 = wait for ever */
  int broken;       /* 0, or the negative errno that ended it */
  atomic_bool cancelled;
  struct buf out; /* not sent yet */
  size_t at, end; /* of IN: received, not read yet */
  char in[GUIX_WIRE_ROOM];
};

void guix_wire_close(struct guix_wire *wire); /* idempotent */

/* From any thread, while the wire lives: ends every read and write under way
   with -ECANCELED. */
void guix_wire_cancel(struct guix_wire *wire);

/* Breaks the wire with CODE, unless it is broken already; returns error_set. */
int guix_wire_break(struct guix_wire *wire, struct error *err, int code, const char *format, ...)
    PN_PRINTF(4, 5);

/* 0, or -ECONNRESET when the wire is broken, the other side has closed it, or
   it has sent something that nobody asked for. */
int guix_wire_check_idle(struct guix_wire *wire, struct error *err);

/* ---- writing: collects; _flush sends ---- */

void guix_wire_put_int(struct guix_wire *wire, uint64_t value); /* int, bool, long */
void guix_wire_put_str(struct guix_wire *wire, struct str text);
void guix_wire_put_strs(struct guix_wire *wire, const struct str *texts, size_t count);
void guix_wire_put_raw(struct guix_wire *wire, struct str bytes);
/* -EPIPE: the other side reads no more. That does not break the wire: it may
   have said why, so read its answer. */
int guix_wire_flush(struct guix_wire *wire, struct error *err) PN_MUST_USE;

/* ---- reading ---- */

int guix_wire_get_long(struct guix_wire *wire, uint64_t *ret, struct error *err) PN_MUST_USE;
/* Refuses more than 32 bits, as the daemon does. */
int guix_wire_get_int(struct guix_wire *wire, uint32_t *ret, struct error *err) PN_MUST_USE;
/* A string of at most LIMIT bytes, in ARENA. */
int guix_wire_get_str(struct guix_wire *wire, size_t limit, struct arena *arena, struct str *ret,
                      struct error *err) PN_MUST_USE;
/* A list of strings of at most LIMIT bytes each. */
int guix_wire_get_strs(struct guix_wire *wire, size_t limit, struct arena *arena, struct str **ret,
                       size_t *ret_count, struct error *err) PN_MUST_USE;
/* A string of any length, handed to SINK in pieces (NULL = dropped). A failure
   of SINK leaves the rest of it unread and so breaks the wire. */
int guix_wire_get_pieces(struct guix_wire *wire, guix_sink *sink, void *context,
                         struct error *err) PN_MUST_USE;
