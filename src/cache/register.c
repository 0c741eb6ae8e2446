/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Making items known. The invariant is kept here: rows go in first, which waits
   for rivals that add the same items, and then every reference of what was new
   must be offered, or the caller's transaction ends. */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "cache/cache_private.h"
#include "cache/cache_sql.h"

struct registration
{
  struct db *db;
  const struct cache_row *rows;
  size_t count;
  struct arena arena;
  struct str_map places; /* basenames that occur, to their place in `ids` */
  struct str *names;
  size_t names_count, names_capacity;
  int64_t *ids;
  struct int_map added; /* ids of items that were not there, to their row */
};

static void
registration_free(struct registration *work)
{
  str_map_free(&work->places);
  int_map_free(&work->added);
  free(work->names);
  arena_free(&work->arena);
}

/* ---- ids ---- */

static void
note_name(struct registration *work, struct str basename)
{
  int64_t place;
  if (basename.size == 0 || str_map_get(&work->places, basename, &place))
    return;
  mem_grow(&work->names, &work->names_capacity, work->names_count + 1, sizeof *work->names);
  work->names[work->names_count] = basename;
  str_map_put(&work->places, basename, (int64_t) work->names_count++);
}

static int64_t
id_of(const struct registration *work, struct str basename)
{
  int64_t place;
  return basename.size > 0 && str_map_get(&work->places, basename, &place) ? work->ids[place] : 0;
}

/* All names in one go: one call a transaction cannot deadlock. */
static int
resolve_names(struct registration *work, struct error *err)
{
  for (size_t i = 0; i < work->count; i++) {
    const struct cache_row *row = &work->rows[i];
    note_name(work, row->basename);
    note_name(work, row->deriver);
    for (size_t j = 0; j < row->references_count; j++)
      note_name(work, row->references[j]);
  }
  work->ids = arena_array(&work->arena, work->names_count, sizeof *work->ids);
  return graph_path_ids(work->db, work->names, work->names_count, work->ids, err);
}

/* ---- rows ---- */

struct edges
{
  int64_t *from, *to;
  size_t count;
};

static struct edges
edges_of(struct registration *work)
{
  size_t count = 0;
  for (size_t i = 0; i < work->count; i++)
    count += work->rows[i].references_count;
  struct edges edges = { .from = arena_array(&work->arena, count, sizeof(int64_t)),
                         .to = arena_array(&work->arena, count, sizeof(int64_t)) };
  for (size_t i = 0; i < work->count; i++)
    for (size_t j = 0; j < work->rows[i].references_count; j++) {
      edges.from[edges.count] = id_of(work, work->rows[i].basename);
      edges.to[edges.count++] = id_of(work, work->rows[i].references[j]);
    }
  return edges;
}

static int
insert_nars(struct registration *work, struct error *err)
{
  size_t count = work->count;
  int64_t *ids = arena_array(&work->arena, count, sizeof *ids);
  int64_t *derivers = arena_array(&work->arena, count, sizeof *derivers);
  int64_t *sizes = arena_array(&work->arena, count, sizeof *sizes);
  struct str *hashes = arena_array(&work->arena, count, sizeof *hashes);
  for (size_t i = 0; i < count; i++) {
    const struct cache_row *row = &work->rows[i];
    ids[i] = id_of(work, row->basename);
    derivers[i] = id_of(work, row->deriver);
    sizes[i] = row->nar_size;
    hashes[i] = str_make(row->nar_hash.bytes, GUIX_HASH_SIZE);
  }
  struct edges edges = edges_of(work);
  struct cache_register_nars_rows added;
  int r = cache_register_nars(work->db, (struct db_i64s) { edges.from, edges.count },
                              (struct db_i64s) { edges.to, edges.count },
                              (struct db_i64s) { ids, count }, (struct db_strs) { hashes, count },
                              (struct db_i64s) { sizes, count },
                              (struct db_i64s) { derivers, count }, &work->arena, &added, err);
  if (r < 0)
    return r;
  struct int_map rows = { 0 };
  for (size_t i = 0; i < count; i++)
    int_map_put(&rows, ids[i], (void *) &work->rows[i]);
  for (size_t i = 0; i < added.count; i++)
    int_map_put(&work->added, added.items[i].path_id, int_map_get(&rows, added.items[i].path_id));
  int_map_free(&rows);
  return 0;
}

static int
check_references(struct registration *work, struct error *err)
{
  struct edges edges = edges_of(work);
  size_t count = 0;
  for (size_t i = 0; i < edges.count; i++)
    if (int_map_get(&work->added, edges.from[i]) != NULL)
      edges.to[count++] = edges.to[i];
  struct cache_register_missing_rows missing;
  int r = cache_register_missing(work->db, (struct db_i64s) { edges.to, count }, &work->arena,
                                 &missing, err);
  if (r < 0 || missing.count == 0)
    return r;
  return error_set(err, -ENOKEY, "the reference %.*s is not in the cache",
                   STR_FMT(missing.items[0].basename));
}

static bool
wants_second(const struct cache_row *row)
{
  return row->nar_size >= CACHE_SECOND_MINIMUM && !cache_is_compressed_name(row->basename);
}

static int
insert_files(struct registration *work, struct error *err)
{
  size_t capacity = work->added.count, count = 0, seconds = 0, position = 0;
  int64_t *ids = arena_array(&work->arena, capacity, sizeof *ids);
  int64_t *sizes = arena_array(&work->arena, capacity, sizeof *sizes);
  int64_t *second_ids = arena_array(&work->arena, capacity, sizeof *second_ids);
  struct str *contents = arena_array(&work->arena, capacity, sizeof *contents);
  struct str *hashes = arena_array(&work->arena, capacity, sizeof *hashes);
  const struct cache_row *row;
  while ((row = int_map_next(&work->added, &position)) != NULL) {
    ids[count] = id_of(work, row->basename);
    sizes[count] = row->file_size;
    contents[count] = row->contents;
    hashes[count] = str_make(row->nar_hash.bytes, GUIX_HASH_SIZE);
    if (wants_second(row))
      second_ids[seconds++] = ids[count];
    count++;
  }
  int r = cache_register_sizes(work->db, (struct db_strs) { hashes, count },
                               (struct db_i64s) { sizes, count }, GUIX_COMPRESSION_ZSTD, err);
  if (r < 0)
    return r;
  return cache_register_files(work->db, GUIX_COMPRESSION_ZSTD, (struct db_i64s) { ids, count },
                              (struct db_i64s) { sizes, count },
                              (struct db_strs) { contents, count },
                              (struct db_i64s) { second_ids, seconds }, err);
}

int
cache_register_rows(struct db *db, const struct cache_row *rows, size_t count, struct error *err)
{
  PN_CLEANUP(registration_free)
  struct registration work = { .db = db, .rows = rows, .count = count };
  int r = resolve_names(&work, err);
  if (r == 0)
    r = insert_nars(&work, err);
  if (r == 0)
    r = check_references(&work, err);
  if (r == 0 && work.added.count > 0)
    r = insert_files(&work, err);
  return r < 0 ? r : 0;
}

/* ---- uploaded items ---- */

/* Size and, if small, contents of the file of a checked upload. What is taken
   into the database leaves a file that the sweep removes. */
static int
take_stored(struct cache *cache, const struct cache_item *item, struct arena *arena,
            struct cache_row *row, struct error *err)
{
  CLEANUP_FREE char *file = cache_nar_file(cache, &item->nar_hash, GUIX_COMPRESSION_ZSTD);
  CLEANUP_FD int fd = open(file, O_RDONLY | O_CLOEXEC);
  struct stat status;
  if (fd < 0 || fstat(fd, &status) != 0)
    return error_set_errno(err, "%.*s was not uploaded", STR_FMT(item->basename));
  row->file_size = status.st_size;
  row->contents = STR("");
  if (row->file_size > cache->inline_limit)
    return 0;
  char *room = arena_alloc(arena, (size_t) row->file_size + 1);
  int r = file_read_full(fd, room, (size_t) row->file_size);
  if (r < 0)
    return error_set(err, r, "cannot read %s", file);
  row->contents = str_make(room, (size_t) row->file_size);
  return 0;
}

int
cache_register(struct cache *cache, struct db *db, const struct cache_item *items, size_t count,
               struct error *err)
{
  CLEANUP_ARENA struct arena arena = { 0 };
  struct cache_row *rows = arena_array(&arena, count, sizeof *rows);
  struct str *names = arena_array(&arena, count, sizeof *names);
  for (size_t i = 0; i < count; i++)
    names[i] = items[i].basename;
  struct str *missing;
  size_t missing_count;
  int r = cache_missing(db, names, count, &arena, &missing, &missing_count, err);
  struct str_map wanted = { 0 };
  for (size_t i = 0; r == 0 && i < missing_count; i++)
    str_map_put(&wanted, missing[i], 1);

  size_t fresh = 0;
  for (size_t i = 0; r == 0 && i < count; i++) {
    int64_t is_wanted;
    if (!str_map_get(&wanted, items[i].basename, &is_wanted) || !is_wanted)
      continue; /* offered (and stays as it is), or given twice */
    str_map_put(&wanted, items[i].basename, 0);
    struct cache_row *row = &rows[fresh++];
    *row = (struct cache_row) { .basename = items[i].basename,
                                .nar_hash = items[i].nar_hash,
                                .nar_size = items[i].nar_size,
                                .references = items[i].references,
                                .references_count = items[i].references_count,
                                .deriver = items[i].deriver };
    r = take_stored(cache, &items[i], &arena, row, err);
  }
  str_map_free(&wanted);
  if (r < 0)
    return r;
  cache_background_wake(cache);
  return fresh == 0 ? 0 : cache_register_rows(db, rows, fresh, err);
}

bool
cache_is_compressed_name(struct str basename)
{
  static const char *const suffixes[] = { ".gz",  ".bz2",  ".xz",   ".lz",  ".lzma",
                                          ".tgz", ".tbz2", ".tzst", ".zip", ".zst" };
  for (size_t i = 0; i < ARRAY_SIZE(suffixes); i++)
    if (str_ends(basename, str_of(suffixes[i])))
      return true;
  return false;
}
