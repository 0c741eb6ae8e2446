/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Answering on a worker what would hold up a server thread. */
#include <errno.h>
#include <stdlib.h>

#include "base/mem.h"
#include "base/thread.h"
#include "serve/routes.h"

struct later
{
  struct work work;
  struct http_request *request; /* deferred */
  http_handler *handler;
};

static void
later_run(void *context, struct work *work, bool stopping)
{
  struct later *later = (struct later *) work;
  struct error err = { 0 };
  thread_forbid_outages();
  http_take_up(later->request);
  int r = stopping ? error_set(&err, -EBUSY, "the server stops")
                   : later->handler(later->request, context, &err);
  if (r < 0)
    http_reply_failure(later->request, &err);
  free(later);
}

int
serve_later(struct serve_context *context, struct http_request *request, http_handler *handler)
{
  struct later *later = mem_alloc(sizeof *later);
  *later = (struct later) { .work = { .run = later_run }, .request = request, .handler = handler };
  http_defer(request);
  work_pool_put(context->workers, &later->work);
  return 0;
}
