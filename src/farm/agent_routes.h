/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The routes below /agent/v1: handlers, in files by subject, and what they share.
   Their context is the struct farm. */
#pragma once

#include "farm/farm_private.h"

/* Bounds of what an agent may send. */
#define AGENT_PATHS_MAX 200000
#define AGENT_JSON_LIMIT ((size_t) 32 << 20)
#define AGENT_LOG_PIECE ((size_t) 1 << 20)
#define AGENT_UPLOAD_LIMIT ((size_t) 64 << 30)
#define AGENT_MESSAGE_MAX 4096
#define AGENT_FACTS_MAX 16384
#define AGENT_SYSTEMS_MAX 16
#define AGENT_JOBS_MAX 1024

/* The attempt that the request is about, by its fence header. 1 = found (a copy in
   the request's arena); 0 = it was answered (410 or 503); negative: malformed.
   Counts as a sign of life. */
int agent_attempt(struct http_request *request, struct farm *farm, int64_t attempt_id,
                  struct open_attempt *ret, struct error *err);
/* The same for "{attempt}" of the route. */
int agent_route_attempt(struct http_request *request, struct farm *farm, struct open_attempt *ret,
                        struct error *err);
/* The header Panoply-Fence. */
int agent_fence(const struct http_request *request, int64_t *ret, struct error *err);

/* A list of basenames, checked; slices of the JSON. */
int agent_read_paths(struct arena *arena, const json_t *list, struct str **ret, size_t *ret_count,
                     struct error *err);
/* A text of at most LIMIT bytes; absent = FALLBACK (NULL: must be there). */
int agent_read_text(const json_t *object, const char *name, size_t limit, const char *fallback,
                    struct str *ret, struct error *err);
int agent_read_number(const json_t *object, const char *name, int64_t low, int64_t high,
                      int64_t *ret, struct error *err);

/* Which of BASENAMES (COUNT) may not come from this attempt: neither outputs of
   its derivation nor outputs or sources of what that is built from. In ARENA. */
int agent_strangers(struct db *db, const struct open_attempt *attempt, const struct str *basenames,
                    size_t count, struct arena *arena, struct str **ret, size_t *ret_count,
                    struct error *err);

/* Sets `address` of those ITEMS, outputs and sources that the graph knows, whose
   contents follow from their derivation or their name; in ARENA. */
int agent_addresses(struct db *db, struct cache_item **items, size_t count, struct arena *arena,
                    struct error *err);

/* A look-up for one attempt, on a worker. */
struct asking;
typedef int asking_handler(struct asking *asking, struct db *db, struct error *err);
struct asking
{
  struct work work;
  struct farm *farm;
  struct http_request *request; /* deferred */
  struct open_attempt attempt;
  struct str *paths;
  size_t paths_count;
  asking_handler *ask; /* replies, or fails */
};
struct asking *asking_new(struct farm *farm, struct http_request *request,
                          const struct open_attempt *attempt, asking_handler *ask);
/* Defers the request; 0. Frees ASKING in the end. */
int asking_start(struct asking *asking);

/* Name of the upload of an item, in ARENA. */
const char *agent_upload_name(struct arena *arena, int64_t attempt_id, struct str basename);

http_handler agent_enrol, agent_session, agent_pong;     /* session_routes.c */
http_handler agent_closure, agent_bundle, agent_started, /* attempt_routes.c */
    agent_log, agent_missing;
http_handler agent_upload_offset, agent_upload_begin; /* upload_routes.c */
http_body_handler agent_upload_piece;
http_handler agent_result; /* result.c */
