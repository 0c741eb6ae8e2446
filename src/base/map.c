/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "base/map.h"

#include <stdlib.h>

#include "base/mem.h"

#define FIRST_CAPACITY 64

/* Full when three quarters are used: short probes, no large waste. */
static bool
is_crowded(size_t count, size_t capacity)
{
  return (count + 1) * 4 > capacity * 3;
}

static size_t
hash_int(int64_t key)
{
  uint64_t h = (uint64_t) key * UINT64_C(0x9e3779b97f4a7c15);
  return (size_t) (h ^ (h >> 32));
}

/* FNV-1a; keys come from store names, which hold hashes already. */
static size_t
hash_str(struct str key)
{
  uint64_t h = UINT64_C(0xcbf29ce484222325);
  for (size_t i = 0; i < key.size; i++)
    h = (h ^ (unsigned char) key.data[i]) * UINT64_C(0x100000001b3);
  return (size_t) (h ^ (h >> 32));
}

void
int_map_free(struct int_map *map)
{
  free(map->slots);
  *map = (struct int_map) { 0 };
}

/* The slot that holds KEY, or the free slot where it would go. */
static struct int_map_slot *
int_map_slot(const struct int_map *map, int64_t key)
{
  size_t mask = map->capacity - 1;
  size_t i = hash_int(key) & mask;
  while (map->slots[i].value != NULL && map->slots[i].key != key)
    i = (i + 1) & mask;
  return &map->slots[i];
}

void *
int_map_get(const struct int_map *map, int64_t key)
{
  return map->count == 0 ? NULL : int_map_slot(map, key)->value;
}

static void
int_map_rehash(struct int_map *map)
{
  struct int_map old = *map;
  map->capacity = old.capacity ? old.capacity * 2 : FIRST_CAPACITY;
  map->slots = mem_array(map->capacity, sizeof *map->slots);
  for (size_t i = 0; i < old.capacity; i++)
    if (old.slots[i].value != NULL)
      *int_map_slot(map, old.slots[i].key) = old.slots[i];
  free(old.slots);
}

void *
int_map_put(struct int_map *map, int64_t key, void *value)
{
  if (is_crowded(map->count, map->capacity))
    int_map_rehash(map);
  struct int_map_slot *slot = int_map_slot(map, key);
  void *old = slot->value;
  if (old == NULL)
    map->count++;
  *slot = (struct int_map_slot) { key, value };
  return old;
}

/* Closes the gap at HOLE: moves later members of the probe run back. */
static void
int_map_close_gap(struct int_map *map, size_t hole)
{
  size_t mask = map->capacity - 1;
  for (size_t i = (hole + 1) & mask; map->slots[i].value != NULL; i = (i + 1) & mask) {
    size_t home = hash_int(map->slots[i].key) & mask;
    if (((i - home) & mask) >= ((i - hole) & mask)) {
      map->slots[hole] = map->slots[i];
      map->slots[i].value = NULL;
      hole = i;
    }
  }
}

void *
int_map_remove(struct int_map *map, int64_t key)
{
  if (map->count == 0)
    return NULL;
  struct int_map_slot *slot = int_map_slot(map, key);
  void *old = slot->value;
  if (old == NULL)
    return NULL;
  slot->value = NULL;
  map->count--;
  int_map_close_gap(map, (size_t) (slot - map->slots));
  return old;
}

void *
int_map_next(const struct int_map *map, size_t *position)
{
  while (*position < map->capacity) {
    void *value = map->slots[(*position)++].value;
    if (value != NULL)
      return value;
  }
  return NULL;
}

void
str_map_free(struct str_map *map)
{
  free(map->slots);
  arena_free(&map->keys);
  *map = (struct str_map) { 0 };
}

static struct str_map_slot *
str_map_slot(const struct str_map *map, struct str key)
{
  size_t mask = map->capacity - 1;
  size_t i = hash_str(key) & mask;
  while (map->slots[i].key.data != NULL && !str_equal(map->slots[i].key, key))
    i = (i + 1) & mask;
  return &map->slots[i];
}

bool
str_map_get(const struct str_map *map, struct str key, int64_t *ret_value)
{
  if (map->count == 0)
    return false;
  const struct str_map_slot *slot = str_map_slot(map, key);
  if (slot->key.data == NULL)
    return false;
  *ret_value = slot->value;
  return true;
}

static void
str_map_rehash(struct str_map *map)
{
  struct str_map_slot *old = map->slots;
  size_t old_capacity = map->capacity;
  map->capacity = old_capacity ? old_capacity * 2 : FIRST_CAPACITY;
  map->slots = mem_array(map->capacity, sizeof *map->slots);
  for (size_t i = 0; i < old_capacity; i++)
    if (old[i].key.data != NULL)
      *str_map_slot(map, old[i].key) = old[i];
  free(old);
}

bool
str_map_put(struct str_map *map, struct str key, int64_t value)
{
  if (is_crowded(map->count, map->capacity))
    str_map_rehash(map);
  struct str_map_slot *slot = str_map_slot(map, key);
  bool fresh = slot->key.data == NULL;
  if (fresh) {
    slot->key = arena_str(&map->keys, key);
    map->count++;
  }
  slot->value = value;
  return fresh;
}
