/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Nars: store items as one stream (reference 3.1). Writing walks a tree;
   reading is a push parser that takes pieces of any size, checks every rule
   (order, names, padding, depth) and tells what it meets. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/str.h"
#include "guix/hash.h"

/* Nested directories: more than guix-daemon can hold, which names every file by
   its whole path of at most 4,095 bytes. */
#define GUIX_NAR_DEPTH_MAX 2048
#define GUIX_NAR_NAME_MAX 255    /* bytes of an entry's name */
#define GUIX_NAR_TARGET_MAX 4095 /* bytes of a symlink's target */

/* True for what may stand as an entry's name: not empty, ".", ".." or too
   long; no '/' and no NUL. */
bool guix_nar_name_is_valid(struct str name);

/* Receives bytes in order; returns 0 or a negative errno, which ends the work. */
typedef int guix_sink(void *context, struct str piece);

/* Writes the nar of the file, symlink or directory at PATH (not followed).
   Large files go through a 64 KiB window. -ESTALE: something changed while it
   was read; -ENOTSUP: a socket, device or FIFO; -ELOOP: nested too deeply. */
int guix_nar_write(const char *path, guix_sink *sink, void *context, struct error *err);

/* Size in bytes and hash of the nar of PATH. */
int guix_nar_measure(const char *path, struct guix_hash *ret_hash, int64_t *ret_size,
                     struct error *err);

/* Calls of the reader, in document order; each may be NULL; each returns 0 or a
   negative errno, which ends the reading. Names are those of the entry in its
   directory ("" at the top), valid and strictly ascending. Slices live during
   the call. SIZE may be anything up to INT64_MAX: do not reserve it. */
struct guix_nar_visitor
{
  int (*directory)(void *context, struct str name);
  int (*directory_end)(void *context);
  int (*symlink)(void *context, struct str name, struct str target);
  int (*file)(void *context, struct str name, bool executable, uint64_t size);
  int (*contents)(void *context, struct str piece);
  int (*file_end)(void *context);
};

struct guix_nar_reader;
/* VISITOR may be NULL: only checks. */
struct guix_nar_reader *guix_nar_reader_new(const struct guix_nar_visitor *visitor, void *context);
void guix_nar_reader_free(struct guix_nar_reader *reader); /* NULL is fine */
/* Takes a piece; *RET_USED (may be NULL: then bytes after the nar's end are an
   error) tells how much belonged to the nar. -EINVAL: not a nar; the byte
   offset stands in ERR. After an error every further call fails. A nar that
   stops early shows only in guix_nar_reader_is_done. */
int guix_nar_reader_feed(struct guix_nar_reader *reader, struct str piece, size_t *ret_used,
                         struct error *err);
bool guix_nar_reader_is_done(const struct guix_nar_reader *reader);

/* A visitor that unpacks to PATH (which must not exist, in a folder that does)
   with the modes and times of a store item: 0444 or 0555, mtime 1. Never leaves
   PATH, never follows a symlink, never opens what it did not make. What was
   unpacked before a failure stays: the caller removes PATH. */
struct guix_nar_unpacker;
struct guix_nar_unpacker *guix_nar_unpacker_new(const char *path);
void guix_nar_unpacker_free(struct guix_nar_unpacker *unpacker);
/* What went wrong and with which entry, after a visitor's call failed. */
const struct error *guix_nar_unpacker_error(const struct guix_nar_unpacker *unpacker);
extern const struct guix_nar_visitor guix_nar_unpacker_visitor; /* context: the unpacker */
