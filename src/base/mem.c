/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "base/mem.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static PN_NORETURN void
out_of_memory(size_t size)
{
  fprintf(stderr, "panoply: out of memory (%zu bytes wanted)\n", size);
  abort();
}

static void *
checked(void *block, size_t size)
{
  if (block == NULL)
    out_of_memory(size);
  return block;
}

void *
mem_alloc(size_t size)
{
  return checked(calloc(1, size ? size : 1), size);
}

void *
mem_array(size_t count, size_t size)
{
  size_t total;
  if (__builtin_mul_overflow(count, size, &total))
    out_of_memory(SIZE_MAX);
  return mem_alloc(total);
}

void *
mem_resize(void *block, size_t count, size_t size)
{
  size_t total;
  if (__builtin_mul_overflow(count, size, &total))
    out_of_memory(SIZE_MAX);
  return checked(realloc(block, total ? total : 1), total);
}

char *
mem_strdup(const char *text)
{
  return text == NULL ? NULL : checked(strdup(text), strlen(text) + 1);
}

char *
mem_strndup(const char *data, size_t size)
{
  char *copy = mem_resize(NULL, size + 1, 1);
  if (size > 0)
    memcpy(copy, data, size);
  copy[size] = '\0';
  return copy;
}

char *
mem_printf(const char *format, ...)
{
  va_list arguments;
  char *text = NULL;
  va_start(arguments, format);
  int size = vasprintf(&text, format, arguments);
  va_end(arguments);
  if (size < 0)
    out_of_memory(0);
  return text;
}

void
mem_grow(void *data, size_t *capacity, size_t need, size_t size)
{
  if (need <= *capacity)
    return;
  size_t wanted = *capacity ? *capacity * 2 : 16;
  if (wanted < need)
    wanted = need;
  void **block = data;
  *block = mem_resize(*block, wanted, size);
  *capacity = wanted;
}

void
mem_freep(void *pointer)
{
  void **block = pointer;
  free(*block);
  *block = NULL;
}
