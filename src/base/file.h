/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Files and descriptors. Every descriptor made here is close-on-exec. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/buf.h"
#include "base/error.h"
#include "base/str.h"

/* For PN_CLEANUP: closes the descriptor unless it is -1. */
void file_closep(int *fd);
#define CLEANUP_FD PN_CLEANUP(file_closep)

/* Reads or writes all SIZE bytes; go on after signals and short counts.
   file_read_full: -EPIPE when the end comes early. */
int file_read_full(int fd, void *data, size_t size) PN_MUST_USE;
int file_write_full(int fd, const void *data, size_t size) PN_MUST_USE;

/* Appends the whole file to RET; -EFBIG when it is larger than LIMIT bytes. */
int file_read_all(const char *path, size_t limit, struct buf *ret, struct error *err);
/* The same for a path of somebody else's making, which may be anything: -ELOOP a symbolic
   link, -EINVAL otherwise no regular file. Never waits for another process. */
int file_read_regular(const char *path, size_t limit, struct buf *ret, struct error *err);

/* Replaces PATH whole or not at all: temporary file beside it, fsync, rename,
   fsync of the folder. MODE as for open(2). */
int file_write_atomic(const char *path, struct str contents, mode_t mode, struct error *err);

/* mkdir -p; existing folders are fine (also with another mode). */
int file_make_dirs(const char *path, mode_t mode, struct error *err);

/* rm -r; never follows symbolic links; a missing PATH is fine. */
int file_remove_tree(const char *path, struct error *err);

/* Allows this process WANTED descriptors, or as many as may be: how many they are. */
uint64_t file_allow_descriptors(uint64_t wanted);

bool file_exists(const char *path);

/* fsync of the folder that holds PATH, so that a rename into it lasts. */
int file_sync_parent(const char *path, struct error *err);

/* SIZE unpredictable bytes from the kernel. */
void file_random(void *ret, size_t size);

/* BYTES random bytes as NUL-terminated lower-case base16; needs 2*BYTES+1. */
void file_random_hex(size_t bytes, char *ret_text);
