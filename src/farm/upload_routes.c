/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Uploads: nars that grow until they are whole. */
#include "farm/agent_routes.h"

#include "base/mem.h"
#include "farm/reply.h"

#include <errno.h>
#include <stdlib.h>

/* 1 = *RET and *RET_NAME are what the request is about; 0 = answered. */
static int
upload_of(struct http_request *request, struct farm *farm, struct open_attempt *ret,
          const char **ret_name, struct error *err)
{
  struct str basename = http_param(request, "basename");
  if (!guix_basename_is_valid(basename))
    return error_set(err, -EINVAL, "'%.*s' is no store item's name", STR_FMT(basename));
  int r = agent_route_attempt(request, farm, ret, err);
  if (r == 1)
    *ret_name = agent_upload_name(http_arena(request), ret->id, basename);
  return r;
}

static bool
is_output(const struct open_attempt *attempt, const struct http_request *request)
{
  return open_output(attempt, http_param(request, "basename")) != NULL;
}

/* May the item come from that attempt? Looks through all that it is built from. */
static int
check_supply(struct asking *asking, struct db *db, struct error *err)
{
  struct str basename = http_param(asking->request, "basename");
  struct str *strangers;
  size_t count;
  int r = agent_strangers(db, &asking->attempt, &basename, 1, http_arena(asking->request),
                          &strangers, &count, err);
  if (r == 0 && count > 0)
    r = error_set(err, -EPERM, "%.*s is neither an output nor part of what it is built from",
                  STR_FMT(basename));
  return r;
}

/* ---- how much is here ---- */

static int
ask_offset(struct asking *asking, struct db *db, struct error *err)
{
  struct http_request *request = asking->request;
  const char *name =
      agent_upload_name(http_arena(request), asking->attempt.id, http_param(request, "basename"));
  int r = check_supply(asking, db, err);
  if (r == 0)
    reply_number(request, 200, "offset", cache_upload_offset(asking->farm->options.cache, name));
  return r;
}

int
agent_upload_offset(struct http_request *request, void *context, struct error *err)
{
  struct farm *farm = context;
  struct open_attempt attempt;
  const char *name;
  int r = upload_of(request, farm, &attempt, &name, err);
  if (r <= 0)
    return r;
  if (!is_output(&attempt, request))
    return asking_start(asking_new(farm, request, &attempt, ask_offset));
  reply_number(request, 200, "offset", cache_upload_offset(farm->options.cache, name));
  return 0;
}

/* ---- a piece of an upload ---- */

struct receiving
{
  struct open_attempt attempt;
  struct cache_upload *upload; /* NULL once closed */
  int64_t size;
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
  struct open_attempt attempt;
  const char *name;
  int64_t offset;
  int r = upload_of(request, farm, &attempt, &name, err);
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
  *receiving = (struct receiving) { .attempt = attempt, .upload = upload, .size = offset };
  http_set_state(request, receiving, receiving_free);
  return 0;
}

static void
take(struct http_request *request, struct receiving *receiving)
{
  int64_t size = receiving->size; /* a reply may be the end of RECEIVING */
  cache_upload_close(receiving->upload);
  receiving->upload = NULL;
  reply_number(request, 200, "offset", size);
}

/* What may not come from there is not kept. */
static int
ask_supply(struct asking *asking, struct db *db, struct error *err)
{
  struct receiving *receiving = http_state(asking->request);
  int r = check_supply(asking, db, err);
  if (r == 0) {
    take(asking->request, receiving);
    return 0;
  }
  if (r == -EPERM) {
    cache_upload_discard(receiving->upload);
    receiving->upload = NULL;
  }
  return r;
}

/* Whether an item that is no output may come from here is looked up at its end: a
   server thread has no time for it, and an agent asked for the offset before. */
int
agent_upload_piece(struct http_request *request, struct str piece, void *context, struct error *err)
{
  struct farm *farm = context;
  struct receiving *receiving = http_state(request);
  open_hear(&farm->open, http_identity(request));
  if (piece.size > 0) {
    receiving->size += (int64_t) piece.size;
    return cache_upload_append(receiving->upload, piece, err);
  }
  if (!is_output(&receiving->attempt, request))
    return asking_start(asking_new(farm, request, &receiving->attempt, ask_supply));
  take(request, receiving);
  return 0;
}
