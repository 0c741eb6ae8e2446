/* SPDX-License-Identifier: GPL-3.0-or-later */
/* For the tests of this room: a cache over a real database, behind a real
   server. Failures are cmocka failures. */
#pragma once

#include "cache/cache_private.h"
#include "db/test_cluster.h"
#include "graph/test_store.h"

#define HOUSE_INLINE_LIMIT 2048

struct house
{
  struct test_database *database;
  char *folder;
  struct cache *cache; /* its background thread is stopped */
  struct http_server *server;
  int port;
  struct arena arena;
};

/* For cmocka: *state becomes the struct house. */
int house_setup(void **state);
int house_teardown(void **state);

/* Stops and starts cache and server over the same database and folder. */
void house_restart(struct house *house);

/* An item whose nar holds one file; ITEM and PACKED, its zstd form, are in the
   house's arena. Contents that repeat little: SIZE bytes from SEED. */
struct house_item
{
  struct cache_item item;
  struct str contents;
  struct str packed;
};
struct house_item house_item(struct house *house, const char *name, size_t size, unsigned seed);
/* The same with given contents. */
struct house_item house_item_of(struct house *house, const char *name, struct str contents);
/* The zstd form of BYTES. */
struct str house_pack(struct house *house, struct str bytes);
/* Makes the item refer to OTHER (a basename). */
void house_refer(struct house *house, struct house_item *item, struct str other);

/* Uploads it in one go. */
void house_upload(struct house *house, const struct house_item *item);
/* Uploads, verifies and registers it. */
void house_store(struct house *house, const struct house_item *item);
/* cache_register in a transaction of its own. */
int house_register(struct house *house, const struct cache_item *items, size_t count,
                   struct error *err);
/* Loads a derivation of STORE into the graph. */
void house_load(struct house *house, struct test_store *store, struct str drv_path);

bool house_offers(struct house *house, struct str basename);
