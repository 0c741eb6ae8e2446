/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Heap memory. Running out of it ends the process with a message: every
   server role restarts without loss, and no caller could do better. */
#pragma once

#include <stddef.h>

#include "base/compiler.h"

/* Zeroed memory of SIZE bytes; never NULL. Free with free(). */
void *mem_alloc(size_t size) PN_MUST_USE;

/* Zeroed memory for COUNT elements of SIZE bytes; aborts on overflow. */
void *mem_array(size_t count, size_t size) PN_MUST_USE;

/* Resizes BLOCK to COUNT elements of SIZE bytes; new bytes are undefined. */
void *mem_resize(void *block, size_t count, size_t size) PN_MUST_USE;

/* NUL-terminated copies. mem_strdup(NULL) is NULL. */
char *mem_strdup(const char *text) PN_MUST_USE;
char *mem_strndup(const char *data, size_t size) PN_MUST_USE;
char *mem_printf(const char *format, ...) PN_PRINTF(1, 2) PN_MUST_USE;

/* Makes room for at least NEED elements in a growing array: *DATA has
 *CAPACITY elements of SIZE bytes; doubles, so appending is cheap. */
void mem_grow(void *data, size_t *capacity, size_t need, size_t size);

/* For PN_CLEANUP: frees the pointer that POINTER points to. */
void mem_freep(void *pointer);
#define CLEANUP_FREE PN_CLEANUP(mem_freep)
