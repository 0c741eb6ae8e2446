/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Is everything still there that is offered? Files may be lost with a disk or by a
   slip; what has none any more is withdrawn only when somebody says so, as the folder
   may just not be mounted. */
#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "cache/cache_private.h"
#include "cache/cache_sql.h"

#define PAGE 1000

void
cache_note_loss(struct cache *cache, const struct error *err)
{
  atomic_fetch_add(&cache->losses_met, 1);
  log_failure("cache", err, "what is offered is lost ('panoply cache check' tells how much)");
}

int64_t
cache_losses_met(const struct cache *cache)
{
  return atomic_load(&cache->losses_met);
}

void
cache_check_free(struct cache_check *check)
{
  free(check->lost);
  *check = (struct cache_check) { 0 };
}

static char *
file_of(const struct cache *cache, const struct cache_lost *lost)
{
  return cache_nar_file(cache, &lost->nar_hash, lost->compression);
}

/* A file of another size was cut by a power failure. */
static bool
is_whole(const struct cache *cache, const struct cache_lost *lost, int64_t size)
{
  struct stat status;
  CLEANUP_FREE char *file = file_of(cache, lost);
  return stat(file, &status) == 0 && status.st_size == size;
}

static void
look_at(const struct cache *cache, const struct cache_check_page_row *row,
        struct cache_check *check)
{
  struct cache_lost form = { .path_id = row->path_id,
                             .compression = (enum guix_compression) row->compression };
  memcpy(form.nar_hash.bytes, row->nar_hash.data, GUIX_HASH_SIZE);
  check->looked_at++;
  if (is_whole(cache, &form, row->file_size))
    return;
  mem_grow(&check->lost, &check->capacity, check->count + 1, sizeof *check->lost);
  check->lost[check->count++] = form;
}

struct page
{
  const struct cache *cache;
  struct arena arena;
  int64_t path_id; /* the last form that was looked at */
  int16_t compression;
  struct cache_check_page_rows rows;
};

static int
read_page(struct db *db, void *context, struct error *err)
{
  struct page *page = context;
  return cache_check_page(db, page->path_id, page->compression, PAGE, &page->arena, &page->rows,
                          err);
}

int
cache_check_files(struct cache *cache, struct cache_check *ret, struct error *err)
{
  struct page page = { .cache = cache, .compression = -1 };
  int r;
  do {
    r = db_pool_run(cache->pool, DB_READ, read_page, &page, err);
    for (size_t i = 0; r == 0 && i < page.rows.count; i++)
      look_at(cache, &page.rows.items[i], ret);
    if (r == 0 && page.rows.count > 0) {
      page.path_id = page.rows.items[page.rows.count - 1].path_id;
      page.compression = page.rows.items[page.rows.count - 1].compression;
    }
    bool more = r == 0 && page.rows.count == PAGE;
    arena_free(&page.arena);
    if (!more)
      break;
  } while (!cache_is_stopping(cache));
  return r < 0 ? r : 0;
}

int
cache_withdraw_lost(struct cache *cache, struct db *db, const struct cache_check *check,
                    struct arena *arena, int64_t **ret_ids, size_t *ret_count, struct error *err)
{
  int64_t *ids = arena_array(arena, check->count, sizeof *ids);
  int16_t *compressions = arena_array(arena, check->count, sizeof *compressions);
  for (size_t i = 0; i < check->count; i++) {
    /* What is there is damaged, and would be kept when the same is made again. */
    CLEANUP_FREE char *file = file_of(cache, &check->lost[i]);
    if (unlink(file) != 0 && errno != ENOENT)
      return error_set_errno(err, "cannot remove %s", file);
    ids[i] = check->lost[i].path_id;
    compressions[i] = (int16_t) check->lost[i].compression;
  }
  struct cache_withdraw_rows rows = { 0 };
  struct db_i64s lost = { ids, check->count };
  int r = cache_forget_forms(db, lost, (struct db_i16s) { compressions, check->count }, err);
  if (r >= 0)
    r = cache_withdraw(db, lost, arena, &rows, err);
  *ret_ids = arena_array(arena, rows.count, sizeof **ret_ids);
  *ret_count = rows.count;
  for (size_t i = 0; r >= 0 && i < rows.count; i++)
    (*ret_ids)[i] = rows.items[i].path_id;
  if (r >= 0)
    r = cache_forget_narinfos(db, (struct db_i64s) { *ret_ids, *ret_count }, err);
  return r < 0 ? r : 0;
}
