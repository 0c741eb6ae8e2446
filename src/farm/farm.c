/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The room's life: threads and what they share. */
#include "base/mem.h"
#include "farm/agent_routes.h"
#include "farm/farm_private.h"
#include "farm/farm_sql.h"
#include "farm/reply.h"

#include <stdlib.h>

#define DEFAULT_GRACE_S 60
#define DEFAULT_ATTEMPTS 3
#define QUICK_THREADS 3
#define SLOW_THREADS 2

void
farm_post(struct farm *farm, struct message *message)
{
  if (mailbox_put(&farm->mailbox, message))
    return;
  if (message->request != NULL)
    reply_busy(message->request);
  free(message);
}

static int
find_log(void *context, struct db *db, struct str basename, int64_t *ret_attempt_id,
         struct error *err)
{
  struct farm_attempt_log_row row;
  (void) context;
  int r = farm_attempt_log(db, basename, &row, err);
  if (r == 1)
    *ret_attempt_id = row.id;
  return r;
}

static struct farm *
farm_new(const struct farm_options *options)
{
  struct farm *farm = mem_alloc(sizeof *farm);
  CLEANUP_BUF struct buf key = { 0 };
  farm->options = *options;
  if (farm->options.agent_grace_s <= 0)
    farm->options.agent_grace_s = DEFAULT_GRACE_S;
  if (farm->options.attempts_limit <= 0)
    farm->options.attempts_limit = DEFAULT_ATTEMPTS;
  farm->uri = mem_strdup(options->uri);
  guix_key_public_text(cache_key(options->cache), &key);
  farm->key = mem_strdup(buf_text(&key));
  mailbox_init(&farm->mailbox);
  open_init(&farm->open);
  work_pool_init(&farm->quick, farm);
  work_pool_init(&farm->slow, farm);
  rounds_init(&farm->rounds);
  pthread_mutex_init(&farm->mirror_lock, NULL);
  return farm;
}

static int
start_threads(struct farm *farm, struct error *err)
{
  int r = work_pool_start(&farm->quick, QUICK_THREADS);
  if (r == 0)
    r = work_pool_start(&farm->slow, SLOW_THREADS);
  if (r == 0 && !farm->options.passive) {
    r = -pthread_create(&farm->thread, NULL, scheduler_main, farm);
    farm->thread_runs = r == 0;
  }
  return r == 0 ? 0 : error_set(err, r, "cannot start the scheduler: no thread");
}

int
farm_start(const struct farm_options *options, struct farm **ret, struct error *err)
{
  struct farm *farm = farm_new(options);
  int r = start_threads(farm, err);
  if (r < 0) {
    farm_stop(farm);
    return r;
  }
  cache_set_log_lookup(options->cache, find_log, farm);
  *ret = farm;
  return 0;
}

void
farm_stop(struct farm *farm)
{
  if (farm == NULL)
    return;
  atomic_store(&farm->stopping, true);
  mailbox_wake(&farm->mailbox);
  if (farm->thread_runs)
    pthread_join(farm->thread, NULL);
  work_pool_stop(&farm->quick);
  work_pool_stop(&farm->slow);
  work_pool_free(&farm->quick);
  work_pool_free(&farm->slow);
  mailbox_free(&farm->mailbox);
  open_free(&farm->open);
  rounds_free(&farm->rounds);
  pthread_mutex_destroy(&farm->mirror_lock);
  free(farm->uri);
  free(farm->key);
  free(farm);
}
