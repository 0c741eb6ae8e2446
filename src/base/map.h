/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Hash tables, open addressing. Zero-initialise; free with *_free.
   `int_map`: int64_t key (not INT64_MIN) to pointer. `str_map`: bytes to int64_t;
   keys are copied. Not thread-safe. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/str.h"

struct int_map_slot
{
  int64_t key;
  void *value; /* NULL = free slot */
};

struct int_map
{
  struct int_map_slot *slots;
  size_t capacity; /* power of two, or 0 */
  size_t count;
};

void int_map_free(struct int_map *map);
void *int_map_get(const struct int_map *map, int64_t key);        /* NULL = absent */
void *int_map_put(struct int_map *map, int64_t key, void *value); /* returns the old one */
void *int_map_remove(struct int_map *map, int64_t key);           /* returns it, or NULL */

/* Iterates in no particular order: start with *POSITION = 0, NULL at the end.
   The map must not change meanwhile. */
void *int_map_next(const struct int_map *map, size_t *position);

struct str_map_slot
{
  struct str key; /* data NULL = free slot */
  int64_t value;
};

struct str_map
{
  struct str_map_slot *slots;
  size_t capacity;
  size_t count;
  struct arena keys;
};

void str_map_free(struct str_map *map);
bool str_map_get(const struct str_map *map, struct str key, int64_t *ret_value);

/* True when the key was new; otherwise its value is replaced. KEY may not be
   empty with data NULL. */
bool str_map_put(struct str_map *map, struct str key, int64_t value);
