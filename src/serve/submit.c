/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Derivations of the server's store that somebody asks to be built, without an
   evaluation. Reading a closure and taking its sources into the cache can take
   seconds: a worker does it and answers the request. */
#include <errno.h>
#include <stdlib.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/thread.h"
#include "serve/routes.h"

#define SUBMIT_MAX 1000 /* derivations of one request */
#define SUBMIT_BODY_MAX (1 << 20)
#define PRIORITY_MAX 1000
#define DEFAULT_TIMEOUT_S 72000 /* as Guix gives to packages that say nothing */
#define DEFAULT_SILENCE_S 3600

struct submission
{
  struct work work;
  struct http_request *request; /* deferred; its arena holds the rest */
  struct arena *arena;
  struct graph_load *load;
  struct str *paths;
  size_t count;
  int32_t priority;
  int64_t *builds; /* one for each path */
};

static int
read_priority(const json_t *value, int32_t *ret, struct error *err)
{
  json_int_t priority = json_integer_value(value);
  if ((value != NULL && !json_is_integer(value)) || priority < -PRIORITY_MAX
      || priority > PRIORITY_MAX)
    return error_set(err, -EINVAL, "\"priority\" must be a whole number from %d to %d",
                     -PRIORITY_MAX, PRIORITY_MAX);
  *ret = (int32_t) priority;
  return 0;
}

static int
read_submission(struct submission *submission, struct error *err)
{
  json_t *body = NULL;
  int r = http_body_json(submission->request, &body, err);
  if (r < 0)
    return r;
  r = read_priority(json_object_get(body, "priority"), &submission->priority, err);
  if (r < 0)
    return r;
  const json_t *list = json_object_get(body, "derivations");
  submission->count = json_array_size(list);
  if (submission->count == 0 || submission->count > SUBMIT_MAX)
    return error_set(err, -EINVAL, "\"derivations\" must be a list of 1 to %d store paths",
                     SUBMIT_MAX);
  submission->paths = arena_array(submission->arena, submission->count, sizeof *submission->paths);
  for (size_t i = 0; i < submission->count; i++) {
    const json_t *path = json_array_get(list, i);
    if (!json_is_string(path))
      return error_set(err, -EINVAL, "\"derivations\" must be texts: number %zu is none", i + 1);
    submission->paths[i] = str_of(json_string_value(path));
    if (!guix_path_is_derivation(submission->paths[i]))
      return error_set(err, -EINVAL, "\"%.*s\" is no derivation", STR_FMT(submission->paths[i]));
  }
  return 0;
}

static int
write_wishes(struct db *db, void *context, struct error *err)
{
  struct submission *submission = context;
  size_t count = submission->count;
  struct farm_wish *wishes = arena_array(submission->arena, count, sizeof *wishes);
  submission->builds = arena_array(submission->arena, count, sizeof *submission->builds);
  int64_t fresh = 0;
  int r = graph_load_write(submission->load, db, &fresh, err);
  for (size_t i = 0; i < count; i++)
    wishes[i] =
        (struct farm_wish) { .derivation_id = graph_load_id(submission->load, submission->paths[i]),
                             .priority = submission->priority,
                             .timeout_s = DEFAULT_TIMEOUT_S,
                             .max_silent_s = DEFAULT_SILENCE_S };
  return r < 0 ? r : farm_wish(db, wishes, count, submission->builds, err);
}

/* The sources go into the cache first, as for an evaluation. */
static int
adopt_sources(const struct serve_context *serve, const struct submission *submission,
              struct error *err)
{
  size_t count = 0;
  const struct str *sources = graph_load_sources(submission->load, &count);
  if (count == 0)
    return 0;
  struct guix_daemon *daemon = NULL;
  const char *socket =
      arena_printf(submission->arena, "%s/var/guix/daemon-socket/socket", serve->store_root);
  int r = guix_daemon_open(socket, &daemon, err);
  if (r == 0)
    r = cache_adopt(serve->cache, serve->store_root, daemon, sources, count, err);
  guix_daemon_close(daemon);
  return r;
}

static int
submit(const struct serve_context *serve, struct submission *submission, struct error *err)
{
  int r = 0;
  for (size_t i = 0; r == 0 && i < submission->count; i++)
    r = graph_load_add(submission->load, submission->paths[i], err);
  if (r == 0)
    r = adopt_sources(serve, submission, err);
  if (r == 0)
    r = db_pool_run(serve->pool, DB_WRITE, write_wishes, submission, err);
  return r;
}

void
serve_wake_scheduler(const struct serve_context *serve)
{
  struct db *db = NULL;
  if (db_pool_get(serve->pool, &db, NULL) < 0)
    return; /* it looks by itself after a while */
  (void) farm_wake(db, NULL);
  db_pool_put(serve->pool, db);
}

static void
reply_builds(const struct submission *submission)
{
  CLEANUP_BUF struct buf body = { 0 };
  struct json json = json_begin(&body);
  json_object_open(&json);
  json_key(&json, "builds");
  json_array_open(&json);
  for (size_t i = 0; i < submission->count; i++)
    json_i64(&json, submission->builds[i]);
  json_array_close(&json);
  json_object_close(&json);
  http_reply_json(submission->request, 201, &body);
}

static void
submission_run(void *context, struct work *work, bool stopping)
{
  const struct serve_context *serve = context;
  struct submission *submission = (struct submission *) work;
  struct error err = { 0 };
  int r = 0;
  thread_forbid_outages();
  if (stopping)
    r = error_set(&err, -EBUSY, "the server stops");
  else {
    submission->load = graph_load_new(serve->pool, serve->store_root);
    r = submit(serve, submission, &err);
    graph_load_free(submission->load);
  }
  if (r < 0)
    http_reply_failure(submission->request, &err);
  else {
    serve_wake_scheduler(serve);
    reply_builds(submission);
  }
  free(submission);
}

static int
post_builds(struct http_request *request, void *context, struct error *err)
{
  struct serve_context *serve = context;
  if (!serve->evaluates) {
    error_set(err, -EBUSY, "this process has no store to read derivations from");
    return error_hint(err, "Ask one that has the evaluator role.");
  }
  struct submission *submission = mem_alloc(sizeof *submission);
  *submission = (struct submission) { .work = { .run = submission_run },
                                      .request = request,
                                      .arena = http_arena(request) };
  int r = read_submission(submission, err);
  if (r < 0) {
    free(submission);
    return r;
  }
  http_defer(request);
  work_pool_put(serve->submissions, &submission->work);
  return 0;
}

static const struct http_route routes[] = {
  { "POST", HTTP_API "/builds", post_builds, .body_limit = SUBMIT_BODY_MAX, .role = "admin",
    .summary = "Build derivations of the server's store", .request = "Submission",
    .members = "derivations priority", .reply = "Submitted", .status = 201 },
};

struct http_routes
serve_api_submit(struct serve_context *context)
{
  return (struct http_routes) { routes, ARRAY_SIZE(routes), context };
}
