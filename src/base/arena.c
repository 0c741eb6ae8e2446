/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "base/arena.h"

#include <stdalign.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"

#define BLOCK_SIZE 16384

struct arena_block
{
  struct arena_block *next;
  size_t used;
  size_t capacity;
  alignas(max_align_t) char data[];
};

void
arena_free(struct arena *arena)
{
  while (arena->blocks != NULL) {
    struct arena_block *next = arena->blocks->next;
    free(arena->blocks);
    arena->blocks = next;
  }
}

static struct arena_block *
block_with_room(struct arena *arena, size_t size)
{
  struct arena_block *block = arena->blocks;
  if (block != NULL && block->capacity - block->used >= size)
    return block;
  size_t capacity = size > BLOCK_SIZE ? size : BLOCK_SIZE;
  struct arena_block *fresh = mem_alloc(sizeof *fresh + capacity);
  fresh->capacity = capacity;
  fresh->next = block;
  arena->blocks = fresh;
  return fresh;
}

void *
arena_alloc(struct arena *arena, size_t size)
{
  const size_t unit = alignof(max_align_t);
  size_t rounded = (size + unit - 1) / unit * unit;
  struct arena_block *block = block_with_room(arena, rounded);
  void *memory = block->data + block->used;
  block->used += rounded;
  return memory;
}

void *
arena_array(struct arena *arena, size_t count, size_t size)
{
  size_t total;
  if (__builtin_mul_overflow(count, size, &total))
    total = SIZE_MAX / 2; /* mem_alloc ends the process with a message */
  return arena_alloc(arena, total);
}

struct str
arena_str(struct arena *arena, struct str text)
{
  char *copy = arena_alloc(arena, text.size + 1);
  if (text.size > 0)
    memcpy(copy, text.data, text.size);
  return str_make(copy, text.size);
}

char *
arena_printf(struct arena *arena, const char *format, ...)
{
  va_list arguments, again;
  va_start(arguments, format);
  va_copy(again, arguments);
  int size = vsnprintf(NULL, 0, format, arguments);
  va_end(arguments);
  char *text = arena_alloc(arena, (size_t) size + 1);
  vsnprintf(text, (size_t) size + 1, format, again);
  va_end(again);
  return text;
}
