/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What is offered but lost: looked for and, when the administrator says so, withdrawn
   and built again. */
#include <errno.h>

#include "base/json.h"
#include "base/log.h"
#include "serve/routes.h"

/* Nothing left at all looks like a disk that is not mounted. */
#define SUSPICIOUS_FORMS 2

struct losses
{
  struct serve_context *serve;
  struct cache_check check;
  struct arena arena;
  int64_t *ids; /* of what was withdrawn; in the arena */
  size_t withdrawn, builds;
  struct str *names; /* their basenames */
  size_t restored;   /* from the evaluator's store */
};

static void
losses_free(struct losses *losses)
{
  cache_check_free(&losses->check);
  arena_free(&losses->arena);
}

static int
withdraw(struct db *db, void *context, struct error *err)
{
  struct losses *losses = context;
  struct arena *arena = &losses->arena;
  arena_free(arena); /* it may run again */
  int r = cache_withdraw_lost(losses->serve->cache, db, &losses->check, arena, &losses->ids,
                              &losses->withdrawn, err);
  losses->names = arena_array(arena, losses->withdrawn, sizeof *losses->names);
  if (r == 0)
    r = graph_path_basenames(db, losses->ids, losses->withdrawn, arena, losses->names, err);
  if (r == 0)
    r = farm_rebuild(db, losses->ids, losses->withdrawn, arena, &losses->builds, err);
  return r;
}

/* Sources have no build that could make them again, but the store in which they were
   evaluated may still hold them. */
static int
adopt_valid(struct losses *losses, struct guix_daemon *daemon, struct error *err)
{
  struct serve_context *serve = losses->serve;
  struct str *paths = arena_array(&losses->arena, losses->withdrawn, sizeof *paths);
  struct str *valid = NULL;
  for (size_t i = 0; i < losses->withdrawn; i++)
    paths[i] =
        str_of(arena_printf(&losses->arena, GUIX_STORE_PREFIX "%.*s", STR_FMT(losses->names[i])));
  int r = guix_daemon_query_valid_paths(daemon, paths, losses->withdrawn, &losses->arena, &valid,
                                        &losses->restored, err);
  return r < 0 ? r
               : cache_adopt(serve->cache, serve->store_root, daemon, valid, losses->restored, err);
}

/* What cannot be restored now comes with the next derivation that uses it. */
static void
restore(struct losses *losses)
{
  struct error err = { 0 };
  struct guix_daemon *daemon = NULL;
  const char *socket =
      arena_printf(&losses->arena, "%s/var/guix/daemon-socket/socket", losses->serve->store_root);
  int r = guix_daemon_open(socket, &daemon, &err);
  if (r == 0)
    r = adopt_valid(losses, daemon, &err);
  guix_daemon_close(daemon);
  if (r < 0) {
    losses->restored = 0;
    log_failure("serve", &err, "cannot take lost sources from the store again");
  }
}

static int
check_folder(const struct cache_check *check, struct error *err)
{
  if (check->looked_at < SUSPICIOUS_FORMS || (int64_t) check->count < check->looked_at)
    return 0;
  error_set(err, -EEXIST, "not one of %lld files is there", (long long) check->looked_at);
  return error_hint(err, "Is the folder of the cache mounted? If it is lost: withdraw with force.");
}

static int
reply_losses(struct http_request *request, const struct losses *losses)
{
  CLEANUP_BUF struct buf body = { 0 };
  struct json json = json_begin(&body);
  json_object_open(&json);
  json_put_i64(&json, "files", losses->check.looked_at);
  json_put_i64(&json, "lost", (int64_t) losses->check.count);
  json_put_i64(&json, "withdrawn", (int64_t) losses->withdrawn);
  json_put_i64(&json, "restored", (int64_t) losses->restored);
  json_put_i64(&json, "builds_count", (int64_t) losses->builds);
  json_object_close(&json);
  return http_reply_json(request, 200, &body);
}

static int
check_cache(struct http_request *request, void *context, struct error *err)
{
  struct serve_context *serve = context;
  PN_CLEANUP(losses_free) struct losses losses = { .serve = serve };
  bool wanted = str_equal(http_query(request, "withdraw"), STR("yes"));
  bool force = str_equal(http_query(request, "force"), STR("yes"));
  int r = cache_check_files(serve->cache, &losses.check, err);
  if (r == 0 && wanted && !force)
    r = check_folder(&losses.check, err);
  if (r == 0 && wanted && losses.check.count > 0)
    r = db_pool_run(serve->pool, DB_WRITE, withdraw, &losses, err);
  if (r == 0 && losses.withdrawn > 0 && serve->evaluates)
    restore(&losses);
  if (r == 0 && losses.builds > 0)
    serve_wake_scheduler(serve);
  return r < 0 ? r : reply_losses(request, &losses);
}

int
serve_check_cache(struct http_request *request, void *context, struct error *err)
{
  (void) err;
  return serve_later(context, request, check_cache);
}
