/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "cache/test_house.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>
#include <zstd.h>

#include "base/file.h"
#include "base/mem.h"

static void
must(int r, const struct error *err)
{
  if (r < 0)
    fail_msg("%d: %s", r, err->message);
}

/* ---- routes that other rooms have ---- */

#define NAMES_MAX 2048

static int
handle_bundle(struct http_request *request, void *context, struct error *err)
{
  struct str rest = http_query(request, "items");
  struct str *names = arena_array(http_arena(request), NAMES_MAX, sizeof *names);
  size_t count = 0;
  while (count < NAMES_MAX && str_split(&rest, ' ', &names[count]))
    count++;
  return cache_send_bundle(context, request, names, count, err);
}

static int
handle_attempt_log(struct http_request *request, void *context, struct error *err)
{
  int64_t attempt_id = 0, from = 0;
  int r = http_param_id(request, "id", &attempt_id, err);
  if (r == 0)
    r = http_query_i64(request, "from", 0, INT64_MAX, 0, &from, err);
  if (r < 0)
    return r;
  bool follow = http_query(request, "follow").data != NULL;
  return cache_log_reply(context, request, attempt_id, from, follow, err);
}

static const struct http_route routes[] = {
  { .method = "GET", .path = "/bundle", .handler = handle_bundle },
  { .method = "GET", .path = "/attempt-log/{id}", .handler = handle_attempt_log },
};

/* ---- start and stop ---- */

static void
open_house(struct house *house)
{
  struct error err = { 0 };
  struct cache_options options = {
    .folder = arena_printf(&house->arena, "%s/cache", house->folder),
    .log_folder = arena_printf(&house->arena, "%s/logs", house->folder),
    .key_folder = arena_printf(&house->arena, "%s/keys", house->folder),
    .pool = house->database->pool,
    .host_name = "test.example.org",
    .second_compression = GUIX_COMPRESSION_GZIP,
    .inline_limit = HOUSE_INLINE_LIMIT,
  };
  must(cache_start(&options, &house->cache, &err), &err);
  cache_background_stop(house->cache);

  const char *listen[] = { "127.0.0.1:0" };
  struct http_routes all[] = { cache_routes(house->cache),
                               { routes, ARRAY_SIZE(routes), house->cache } };
  struct http_options server = {
    .listen = listen, .listen_count = 1, .routes = all, .routes_count = ARRAY_SIZE(all)
  };
  must(http_server_start(&server, &house->server, &err), &err);
  house->port = http_server_port(house->server, 0);
}

static void
close_house(struct house *house)
{
  http_server_stop(house->server);
  cache_stop(house->cache);
}

int
house_setup(void **state)
{
  struct house *house = mem_alloc(sizeof *house);
  house->database = test_database_new();
  house->folder = mem_strdup("/tmp/panoply-cache-XXXXXX");
  assert_non_null(mkdtemp(house->folder));
  open_house(house);
  *state = house;
  return 0;
}

int
house_teardown(void **state)
{
  struct house *house = *state;
  struct error err = { 0 };
  close_house(house);
  test_database_free(house->database);
  must(file_remove_tree(house->folder, &err), &err);
  arena_free(&house->arena);
  free(house->folder);
  free(house);
  return 0;
}

void
house_restart(struct house *house)
{
  close_house(house);
  open_house(house);
}

/* ---- items ---- */

struct str
house_pack(struct house *house, struct str bytes)
{
  size_t room = ZSTD_compressBound(bytes.size);
  char *packed = arena_alloc(&house->arena, room);
  size_t size = ZSTD_compress(packed, room, bytes.data, bytes.size, 1);
  assert_false(ZSTD_isError(size));
  return str_make(packed, size);
}

struct house_item
house_item_of(struct house *house, const char *name, struct str contents)
{
  CLEANUP_BUF struct buf nar = { 0 };
  cache_nar_of_text(contents, &nar);
  struct guix_hash hash = guix_hash_of(buf_str(&nar));
  struct str path = guix_path_of_source(&house->arena, str_of(name), &hash);
  struct str basename = guix_path_basename(path);
  return (struct house_item) {
    .item = { .basename = basename,
              .nar_hash = hash,
              .nar_size = (int64_t) nar.size,
              .deriver = STR(""),
              .upload = arena_printf(&house->arena, "upload-%.32s", basename.data) },
    .contents = arena_str(&house->arena, contents),
    .packed = house_pack(house, buf_str(&nar)),
  };
}

struct house_item
house_item(struct house *house, const char *name, size_t size, unsigned seed)
{
  char *contents = arena_alloc(&house->arena, size + 1);
  for (size_t i = 0; i < size; i++)
    contents[i] = (char) (rand_r(&seed) >> 8);
  return house_item_of(house, name, str_make(contents, size));
}

void
house_refer(struct house *house, struct house_item *item, struct str other)
{
  size_t count = item->item.references_count;
  struct str *references = arena_array(&house->arena, count + 1, sizeof *references);
  for (size_t i = 0; i < count; i++)
    references[i] = item->item.references[i];
  references[count] = other;
  item->item.references = references;
  item->item.references_count = count + 1;
}

void
house_upload(struct house *house, const struct house_item *item)
{
  struct error err = { 0 };
  struct cache_upload *upload;
  must(cache_upload_open(house->cache, item->item.upload, 0, &upload, &err), &err);
  must(cache_upload_append(upload, item->packed, &err), &err);
  cache_upload_close(upload);
}

struct registering
{
  struct cache *cache;
  const struct cache_item *items;
  size_t count;
};

static int
register_body(struct db *db, void *context, struct error *err)
{
  struct registering *work = context;
  return cache_register(work->cache, db, work->items, work->count, err);
}

int
house_register(struct house *house, const struct cache_item *items, size_t count, struct error *err)
{
  struct registering work = { house->cache, items, count };
  return db_pool_run(house->database->pool, DB_WRITE, register_body, &work, err);
}

void
house_store(struct house *house, const struct house_item *item)
{
  struct error err = { 0 };
  house_upload(house, item);
  must(cache_upload_verify(house->cache, &item->item, &err), &err);
  must(house_register(house, &item->item, 1, &err), &err);
}

/* ---- the graph ---- */

static int
load_body(struct db *db, void *context, struct error *err)
{
  int64_t fresh;
  return graph_load_write(context, db, &fresh, err);
}

void
house_load(struct house *house, struct test_store *store, struct str drv_path)
{
  struct error err = { 0 };
  struct graph_load *load = graph_load_new(house->database->pool, store->root);
  must(graph_load_add(load, drv_path, &err), &err);
  must(db_pool_run(house->database->pool, DB_WRITE, load_body, load, &err), &err);
  graph_load_free(load);
}

bool
house_offers(struct house *house, struct str basename)
{
  CLEANUP_ARENA struct arena arena = { 0 };
  struct error err = { 0 };
  struct str *missing;
  size_t count;
  struct db *db;
  must(db_pool_get(house->database->pool, &db, &err), &err);
  must(cache_missing(db, &basename, 1, &arena, &missing, &count, &err), &err);
  db_pool_put(house->database->pool, db);
  return count == 0;
}
