/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Loads every derivation of a store into the graph and tells how long it took
   and how much memory; then again, now that all are known. The store is the folder
   that PANOPLY_ALL_DERIVATIONS names (".../gnu/store", see tests/guix); without it
   the test is skipped. */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

#include "base/clock.h"
#include "base/mem.h"
#include "db/test_cluster.h"
#include "graph/graph.h"

#define SKIPPED 77
#define MEMORY_LIMIT_MIB 300

struct survey
{
  char *root; /* store root */
  struct arena arena;
  struct str *paths;
  size_t count, capacity;
};

static void
must(int r, const struct error *err)
{
  if (r >= 0)
    return;
  fprintf(stderr, "%s\n", err->message);
  exit(1);
}

static void
list_derivations(struct survey *survey, const char *folder)
{
  DIR *list = opendir(folder);
  const struct dirent *entry;
  if (list == NULL) {
    perror(folder);
    exit(1);
  }
  while ((entry = readdir(list)) != NULL) {
    struct str path = str_of(arena_printf(&survey->arena, GUIX_STORE_PREFIX "%s", entry->d_name));
    if (!guix_path_is_valid(path) || !guix_path_is_derivation(path))
      continue;
    mem_grow(&survey->paths, &survey->capacity, survey->count + 1, sizeof path);
    survey->paths[survey->count++] = path;
  }
  closedir(list);
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

/* Of this process: PostgreSQL's is not in it. */
static double
processor_s(void)
{
  struct rusage usage;
  getrusage(RUSAGE_SELF, &usage);
  return (double) (usage.ru_utime.tv_sec + usage.ru_stime.tv_sec)
         + (double) (usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

static void
load_all(const struct survey *survey, struct db_pool *pool)
{
  struct error err = { 0 };
  size_t sources;
  struct graph_load *load = graph_load_new(pool, survey->root);
  double used = processor_s();
  int64_t start = clock_monotonic_ms();
  for (size_t i = 0; i < survey->count; i++)
    must(graph_load_add(load, survey->paths[i], &err), &err);
  graph_load_sources(load, &sources);
  int64_t collected = clock_monotonic_ms();
  must(db_pool_run(pool, DB_WRITE, write_body, load, &err), &err);
  int64_t written = clock_monotonic_ms();
  graph_load_free(load);
  printf("%zu sources; collected in %.1f s, written in %.1f s; %.1f s of processor\n", sources,
         (double) (collected - start) / 1000, (double) (written - collected) / 1000,
         processor_s() - used);
}

int
main(void)
{
  const char *folder = getenv("PANOPLY_ALL_DERIVATIONS");
  if (folder == NULL)
    return SKIPPED;
  struct survey survey = { 0 };
  struct str root = str_of(folder);
  if (!str_ends(root, STR(GUIX_STORE)))
    return SKIPPED;
  survey.root = mem_strndup(root.data, root.size - strlen(GUIX_STORE));
  list_derivations(&survey, folder);
  struct test_database *database = test_database_new();
  load_all(&survey, database->pool);
  load_all(&survey, database->pool);

  struct rusage usage;
  getrusage(RUSAGE_SELF, &usage);
  long mebibytes = usage.ru_maxrss / 1024;
  printf("%zu derivations, at most %ld MiB\n", survey.count, mebibytes);
  test_database_free(database);
  test_cluster_teardown(NULL);
  free(survey.paths);
  free(survey.root);
  arena_free(&survey.arena);
  return mebibytes < MEMORY_LIMIT_MIB ? 0 : 1;
}
