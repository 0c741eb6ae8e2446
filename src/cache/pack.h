/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Packing items of a store on this machine: nar, hash and zstd in one pass.
   What is small never touches a file. */
#pragma once

#include "cache/cache_private.h"

struct cache_packer;
struct cache_packer *cache_packer_new(struct cache *cache);
void cache_packer_free(struct cache_packer *packer);

struct cache_packed
{
  struct guix_hash nar_hash;
  int64_t nar_size;
  int64_t file_size;
  struct str contents; /* "" = the file is in its place in the nar folder */
  struct str nar;      /* "" = it is large */
};

/* Packs the file, link or folder at PATH. Slices live until the next call. */
int cache_pack(struct cache_packer *packer, const char *path, struct cache_packed *ret,
               struct error *err);
