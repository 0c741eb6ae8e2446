/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "farm/agent_routes.h"

#include "base/mem.h"

#include <errno.h>
#include <stdlib.h>

static void
asking_run(void *context, struct work *work, bool stopping)
{
  struct farm *farm = context;
  struct asking *asking = (struct asking *) work;
  struct error err = { 0 };
  struct db *db = NULL;
  int r = stopping ? error_set(&err, -EBUSY, "the server stops")
                   : db_pool_get(farm->options.pool, &db, &err);
  if (r == 0)
    r = asking->ask(asking, db, &err);
  db_pool_put(farm->options.pool, db);
  if (r < 0)
    http_reply_failure(asking->request, &err);
  free(asking);
}

struct asking *
asking_new(struct farm *farm, struct http_request *request, const struct open_attempt *attempt,
           asking_handler *ask)
{
  struct asking *asking = mem_alloc(sizeof *asking);
  *asking = (struct asking) {
    .work = { .run = asking_run }, .farm = farm, .request = request, .attempt = *attempt, .ask = ask
  };
  return asking;
}

int
asking_start(struct asking *asking)
{
  http_defer(asking->request);
  work_pool_put(&asking->farm->quick, &asking->work);
  return 0;
}
