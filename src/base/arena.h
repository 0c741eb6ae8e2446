/* SPDX-License-Identifier: GPL-3.0-or-later */
/* An arena: memory for one request, job or load that is freed at once.
   Zero-initialise; free with arena_free or CLEANUP_ARENA. Not thread-safe. */
#pragma once

#include "base/compiler.h"
#include "base/str.h"

struct arena_block;

struct arena
{
  struct arena_block *blocks;
};

void arena_free(struct arena *arena);
#define CLEANUP_ARENA PN_CLEANUP(arena_free)

/* Zeroed memory, aligned for any type, valid until arena_free. */
void *arena_alloc(struct arena *arena, size_t size) PN_MUST_USE;
void *arena_array(struct arena *arena, size_t count, size_t size) PN_MUST_USE;

/* Copies; both are NUL-terminated behind their last byte. */
struct str arena_str(struct arena *arena, struct str text);
char *arena_printf(struct arena *arena, const char *format, ...) PN_PRINTF(2, 3);
