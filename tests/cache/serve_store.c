/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A substitute server over a store on this machine, of graph and cache alone:
   for whole tests, and to see how long adopting takes.

     serve_store FOLDER STORE_ROOT LIST

   FOLDER is for the cache, LIST a file with full store paths, one a line:
   derivations go into the graph and their sources into the cache, as an
   evaluation does it, other items into the cache. Prints what it took, then
   "port N", and serves until SIGTERM; /bundle?items=BASENAME+BASENAME... is the
   route for bundles. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "cache/cache.h"
#include "db/test_cluster.h"

#define INLINE_LIMIT 32768
#define BUNDLE_MAX 2048

struct work
{
  const char *store_root;
  struct db_pool *pool;
  struct cache *cache;
  struct guix_daemon *daemon;
  struct buf list;
  struct str *items; /* of the list, not derivations */
  size_t items_count, items_capacity;
  struct graph_load *load;
};

static void
must(int r, const struct error *err)
{
  if (r >= 0)
    return;
  fprintf(stderr, "serve_store: %s\n", err->message);
  exit(1);
}

static double
seconds_since(int64_t start)
{
  return (double) (clock_monotonic_ms() - start) / 1000;
}

static void
read_list(struct work *work, const char *file)
{
  struct error err = { 0 };
  must(file_read_all(file, 64 << 20, &work->list, &err), &err);
  struct str rest = buf_str(&work->list), line;
  while (str_split(&rest, '\n', &line)) {
    if (line.size == 0)
      continue;
    if (guix_path_is_derivation(line)) {
      must(graph_load_add(work->load, line, &err), &err);
      continue;
    }
    mem_grow(&work->items, &work->items_capacity, work->items_count + 1, sizeof line);
    work->items[work->items_count++] = line;
  }
}

static void
adopt(struct work *work, const char *what, const struct str *paths, size_t count)
{
  struct error err = { 0 };
  int64_t start = clock_monotonic_ms();
  must(cache_adopt(work->cache, work->store_root, work->daemon, paths, count, &err), &err);
  printf("adopted %zu %s in %.1f s\n", count, what, seconds_since(start));
}

static int
write_body(struct db *db, void *context, struct error *err)
{
  int64_t fresh;
  int r = graph_load_write(context, db, &fresh, err);
  if (r == 0)
    printf("%lld new derivations\n", (long long) fresh);
  return r;
}

/* As an evaluation does it: sources first, so that no derivation is offered
   without them. */
static void
take_in(struct work *work, const char *list)
{
  struct error err = { 0 };
  size_t count;
  int64_t start = clock_monotonic_ms();
  work->load = graph_load_new(work->pool, work->store_root);
  read_list(work, list);
  const struct str *sources = graph_load_sources(work->load, &count);
  printf("collected in %.1f s\n", seconds_since(start));
  adopt(work, "sources", sources, count);
  start = clock_monotonic_ms();
  must(db_pool_run(work->pool, DB_WRITE, write_body, work->load, &err), &err);
  printf("written in %.1f s\n", seconds_since(start));
  graph_load_free(work->load);
  adopt(work, "items", work->items, work->items_count);

  struct rusage usage;
  getrusage(RUSAGE_SELF, &usage);
  printf("at most %ld MiB\n", usage.ru_maxrss / 1024);
}

static int
handle_bundle(struct http_request *request, void *context, struct error *err)
{
  struct str rest = http_query(request, "items");
  struct str *names = arena_array(http_arena(request), BUNDLE_MAX, sizeof *names);
  size_t count = 0;
  while (count < BUNDLE_MAX && str_split(&rest, ' ', &names[count]))
    count++;
  return cache_send_bundle(context, request, names, count, err);
}

static const struct http_route bundle_route[] = {
  { .method = "GET", .path = "/bundle", .handler = handle_bundle },
};

static void
serve(struct cache *cache, const sigset_t *ends)
{
  struct error err = { 0 };
  const char *listen[] = { "127.0.0.1:0" };
  struct http_routes routes[] = { cache_routes(cache), { bundle_route, 1, cache } };
  struct http_options options = {
    .listen = listen, .listen_count = 1, .routes = routes, .routes_count = 2
  };
  struct http_server *server;
  int signal_number;
  must(http_server_start(&options, &server, &err), &err);
  printf("port %d\n", http_server_port(server, 0));
  sigwait(ends, &signal_number);
  http_server_stop(server);
}

int
main(int argc, char **argv)
{
  if (argc != 4) {
    fprintf(stderr, "usage: serve_store FOLDER STORE_ROOT LIST\n");
    return 2;
  }
  sigset_t ends;
  sigemptyset(&ends);
  sigaddset(&ends, SIGTERM);
  sigaddset(&ends, SIGINT);
  sigprocmask(SIG_BLOCK, &ends, NULL);
  setvbuf(stdout, NULL, _IOLBF, 0);

  struct error err = { 0 };
  CLEANUP_ARENA struct arena arena = { 0 };
  struct test_database *database = test_database_new();
  struct work work = { .store_root = argv[2], .pool = database->pool };
  struct cache_options options = { .folder = argv[1],
                                   .log_folder = arena_printf(&arena, "%s/logs", argv[1]),
                                   .key_folder = arena_printf(&arena, "%s/keys", argv[1]),
                                   .pool = database->pool,
                                   .second_compression = GUIX_COMPRESSION_GZIP,
                                   .inline_limit = INLINE_LIMIT };
  must(guix_daemon_open(arena_printf(&arena, "%s/var/guix/daemon-socket/socket", argv[2]),
                        &work.daemon, &err),
       &err);
  must(cache_start(&options, &work.cache, &err), &err);
  take_in(&work, argv[3]);
  guix_daemon_close(work.daemon);
  serve(work.cache, &ends);
  cache_stop(work.cache);
  test_database_free(database);
  test_cluster_teardown(NULL);
  buf_free(&work.list);
  free(work.items);
  return 0;
}
