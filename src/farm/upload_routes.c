/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Uploads: nars that grow until they are whole. */
#include "farm/agent_routes.h"

#include "base/mem.h"
#include "farm/reply.h"

#include <errno.h>
#include <stdlib.h>

/* 1 = the item may come from that attempt. */
static int
may_supply(struct http_request *request, struct farm *farm, const struct open_attempt *attempt,
           struct str basename, struct error *err)
{
  if (!guix_basename_is_valid(basename))
    return error_set(err, -EINVAL, "'%.*s' is no store item's name", STR_FMT(basename));
  if (open_output(attempt, basename) != NULL)
    return 1;
  struct db *db = NULL;
  struct str *strangers;
  size_t count = 0;
  int r = db_pool_get(farm->options.pool, &db, err);
  if (r == 0)
    r = agent_strangers(db, attempt, &basename, 1, http_arena(request), &strangers, &count, err);
  db_pool_put(farm->options.pool, db);
  if (r == 0 && count > 0)
    r = error_set(err, -EPERM, "%.*s is neither an output nor part of what it is built from",
                  STR_FMT(basename));
  return r < 0 ? r : 1;
}

/* 1 = *RET_NAME is the upload; 0 = answered. */
static int
upload_of(struct http_request *request, struct farm *farm, const char **ret_name, struct error *err)
{
  struct open_attempt attempt;
  struct str basename = http_param(request, "basename");
  int r = agent_route_attempt(request, farm, &attempt, err);
  if (r == 1)
    r = may_supply(request, farm, &attempt, basename, err);
  if (r == 1)
    *ret_name = agent_upload_name(http_arena(request), attempt.id, basename);
  return r;
}

int
agent_upload_offset(struct http_request *request, void *context, struct error *err)
{
  struct farm *farm = context;
  const char *name;
  int r = upload_of(request, farm, &name, err);
  if (r == 1)
    reply_number(request, 200, "offset", cache_upload_offset(farm->options.cache, name));
  return r < 0 ? r : 0;
}

/* ---- a piece of an upload ---- */

struct receiving
{
  struct work work;
  struct http_request *request;
  struct cache_upload *upload; /* NULL once closed */
  int64_t size;
  int64_t token_id;
};

static void
receiving_free(void *state)
{
  struct receiving *receiving = state;
  cache_upload_close(receiving->upload);
  free(receiving);
}

int
agent_upload_begin(struct http_request *request, void *context, struct error *err)
{
  struct farm *farm = context;
  struct cache *cache = farm->options.cache;
  const char *name;
  int64_t offset;
  int r = upload_of(request, farm, &name, err);
  if (r == 1)
    r = http_query_i64(request, "offset", 0, INT64_MAX / 2, 0, &offset, err) < 0 ? -EINVAL : 1;
  if (r <= 0)
    return r;
  struct cache_upload *upload;
  r = cache_upload_open(cache, name, offset, &upload, err);
  if (r == -EINVAL) {
    reply_number(request, 409, "offset", cache_upload_offset(cache, name));
    return 0;
  }
  if (r < 0)
    return r;
  struct receiving *receiving = mem_alloc(sizeof *receiving);
  *receiving = (struct receiving) {
    .request = request, .upload = upload, .size = offset, .token_id = http_identity(request)
  };
  http_set_state(request, receiving, receiving_free);
  return 0;
}

/* Closing makes the bytes durable, which takes a while. */
static void
finish(void *context, struct work *work, bool stopping)
{
  struct farm *farm = context;
  struct receiving *receiving = (struct receiving *) work;
  (void) farm;
  (void) stopping;
  int64_t size = receiving->size;
  cache_upload_close(receiving->upload);
  receiving->upload = NULL;
  reply_number(receiving->request, 200, "offset", size);
}

int
agent_upload_piece(struct http_request *request, struct str piece, void *context, struct error *err)
{
  struct farm *farm = context;
  struct receiving *receiving = http_state(request);
  open_hear(&farm->open, receiving->token_id);
  if (piece.size > 0) {
    receiving->size += (int64_t) piece.size;
    return cache_upload_append(receiving->upload, piece, err);
  }
  http_defer(request);
  receiving->work.run = finish;
  work_pool_put(&farm->slow, &receiving->work);
  return 0;
}
