/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Logs of attempts that ended without a word of their agent: nobody else closes
   them. */
#include "base/log.h"
#include "base/mem.h"
#include "farm/farm_private.h"
#include "farm/farm_sql.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

int
farm_log_close(struct farm *farm, int64_t attempt_id, struct error *err)
{
  struct db *db = NULL;
  int64_t size = 0;
  int r = cache_log_finish(farm->options.cache, attempt_id, &size, err);
  if (r == 0)
    r = db_pool_get(farm->options.pool, &db, err);
  if (r == 0)
    r = farm_batch_log_size(db, size, attempt_id, err);
  db_pool_put(farm->options.pool, db);
  return r < 0 ? r : 0;
}

/* ---- on a worker ---- */

struct closing
{
  struct work work;
  int64_t attempt_id;
};

static void
close_or_complain(struct farm *farm, int64_t attempt_id)
{
  struct error err = { 0 };
  if (farm_log_close(farm, attempt_id, &err) < 0)
    log_failure("farm", &err, "cannot close the log of attempt %" PRId64, attempt_id);
}

/* What is not done when the server stops is done when it starts again. */
static void
close_one(void *context, struct work *work, bool stopping)
{
  if (!stopping)
    close_or_complain(context, ((struct closing *) work)->attempt_id);
  free(work);
}

void
logs_close(struct farm *farm, int64_t attempt_id)
{
  struct closing *closing = mem_alloc(sizeof *closing);
  *closing = (struct closing) { .work = { .run = close_one }, .attempt_id = attempt_id };
  work_pool_put(&farm->slow, &closing->work);
}

/* ---- what was left open ---- */

static int
find_ended(struct farm *farm, const struct cache_attempts *live, struct arena *arena,
           struct farm_batch_ended_rows *ret, struct error *err)
{
  struct db *db = NULL;
  int r = db_pool_get(farm->options.pool, &db, err);
  if (r == 0)
    r = farm_batch_ended(db, (struct db_i64s) { live->ids, live->count }, arena, ret, err);
  db_pool_put(farm->options.pool, db);
  return r < 0 ? r : 0;
}

static int
close_ended(struct farm *farm, struct error *err)
{
  CLEANUP_ARENA struct arena arena = { 0 };
  PN_CLEANUP(cache_attempts_free) struct cache_attempts live = { 0 };
  struct farm_batch_ended_rows ended = { 0 };
  int r = cache_logs_live(farm->options.cache, &live, err);
  if (r == 0 && live.count > 0)
    r = find_ended(farm, &live, &arena, &ended, err);
  for (size_t i = 0; r == 0 && i < ended.count && !atomic_load(&farm->stopping); i++)
    close_or_complain(farm, ended.items[i].id);
  return r;
}

static void
close_leftovers(void *context, struct work *work, bool stopping)
{
  struct error err = { 0 };
  if (!stopping && close_ended(context, &err) < 0)
    log_failure("farm", &err, "cannot look for logs that were left open");
  free(work);
}

void
logs_close_leftovers(struct farm *farm)
{
  struct work *work = mem_alloc(sizeof *work);
  *work = (struct work) { .run = close_leftovers };
  work_pool_put(&farm->slow, work);
}
