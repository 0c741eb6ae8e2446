/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Counting takes a walk over all builds and nars, and every open page asks after
   each event: so what was counted is kept for a while, the longer the more it
   took. */
#include "serve/counts.h"

#include "base/clock.h"
#include "base/json.h"

#define KEEP_MS 1000
#define KEEP_FAILURE_MS 500
#define KEEP_TIMES 20 /* what counting took: at most a twentieth of the time goes into it */

static int
read_counts(struct db *db, void *context, struct error *err)
{
  int r = serve_counts(db, context, err);
  return r < 0 ? r : 0;
}

/* Under the lock: those who come meanwhile wait for this result, and take it, be it a
   failure. */
static void
count_anew(struct serve_context *serve)
{
  struct counts *counts = &serve->counts;
  int64_t start = clock_monotonic_ms();
  counts->err = (struct error) { 0 };
  counts->result = db_pool_run(serve->pool, DB_READ, read_counts, &counts->row, &counts->err);
  int64_t end = clock_monotonic_ms();
  int64_t keep = KEEP_TIMES * (end - start);
  if (counts->result < 0)
    keep = KEEP_FAILURE_MS;
  else if (keep < KEEP_MS)
    keep = KEEP_MS;
  counts->until_ms = end + keep;
}

int
counts_get(struct serve_context *serve, struct serve_counts_row *ret, struct error *err)
{
  struct counts *counts = &serve->counts;
  pthread_mutex_lock(&counts->lock);
  if (clock_monotonic_ms() >= counts->until_ms)
    count_anew(serve);
  int r = counts->result;
  if (r < 0)
    *err = counts->err;
  else
    *ret = counts->row;
  pthread_mutex_unlock(&counts->lock);
  return r;
}

void
counts_write(struct json *json, const struct serve_counts_row *counts)
{
  json_key(json, "builds_by_state");
  json_object_open(json);
  json_put_i64(json, "waiting", counts->waiting);
  json_put_i64(json, "running", counts->running);
  json_put_i64(json, "succeeded", counts->succeeded);
  json_put_i64(json, "failed", counts->failed);
  json_put_i64(json, "dependency-failed", counts->dependency_failed);
  json_put_i64(json, "cancelled", counts->cancelled);
  json_object_close(json);
  json_put_i64(json, "agents_connected_count", counts->agents_connected);
  json_put_i64(json, "agents_enrolled_count", counts->agents);
}
