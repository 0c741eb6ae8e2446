/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "serve/serve.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/file.h>
#include <unistd.h>

#include "accounts/accounts.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "evaluation/evaluation.h"
#include "serve/routes.h"
#include "ui/ui.h"

#define POOL_CONNECTIONS 16
#define DESCRIPTORS_WANTED 16384
#define WATCH_MS 1000
#define WORKER_THREADS 4     /* for answers that take a while */
#define SUBMISSION_THREADS 1 /* each may hold a large closure in memory */

/* Everything that runs in one server process, in the order in which it starts. */
struct server
{
  const struct serve_options *options;
  struct arena arena;
  const char *state; /* absolute, as children have working folders of their own */
  bool is_new;       /* the first start in this folder */
  int lock_fd;       /* on STATE/lock */
  struct cluster *cluster;
  const char *uri;
  struct db_pool *pool;
  struct events_feed *feed;
  struct cache *cache;
  struct farm *farm;
  struct channels *channels;
  struct evaluations *evaluations;
  struct serve_context context; /* of the handlers */
  struct work_pool submissions;
  struct work_pool workers;
  struct http_server *http;
};

static const char *
in_state(struct server *server, const char *name)
{
  return arena_printf(&server->arena, "%s/%s", server->state, name);
}

static bool
has_role(const struct server *server, const char *role)
{
  struct str rest = str_of(server->options->roles);
  struct str part;
  while (str_split(&rest, ',', &part))
    if (str_equal(part, STR("all")) || str_equal(part, str_of(role)))
      return true;
  return false;
}

/* ---- the ground ---- */

/* A substitute server has many idle connections; 1024 descriptors run out
   without a word. */
static void
raise_descriptor_limit(void)
{
  uint64_t allowed = file_allow_descriptors(DESCRIPTORS_WANTED);
  if (allowed < DESCRIPTORS_WANTED)
    log_warning("serve", "only %llu descriptors allowed: raise the limit (ulimit -n) to %d",
                (unsigned long long) allowed, DESCRIPTORS_WANTED);
}

/* Returns the descriptor that holds the lock. */
static int
take_state(const char *state, struct error *err)
{
  CLEANUP_FREE char *path = mem_printf("%s/lock", state);
  CLEANUP_FD int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (fd < 0)
    return error_set_errno(err, "cannot open %s", path);
  if (flock(fd, LOCK_EX | LOCK_NB) != 0)
    return error_set(err, -EBUSY, "another server runs in %s", state);
  return TAKE_FD(fd);
}

static bool
has_door(const struct server *server)
{
  return has_role(server, "web") || has_role(server, "scheduler");
}

static int
hint_port(int r, struct error *err)
{
  return r == -EADDRINUSE
             ? error_hint(err, "Stop what uses the port, or name another with --listen.")
             : r;
}

/* What is wrong with the options is to be told before anything is made. */
static int
check_options(struct server *server, struct error *err)
{
  const struct serve_options *options = server->options;
  CLEANUP_FREE char *script = mem_printf("%s/evaluate.scm", options->scheme);
  CLEANUP_FREE char *store = mem_printf("%s/gnu/store", options->store_root);
  if (has_door(server)) {
    int r = http_try_addresses(options->listen.items, options->listen.count, err);
    if (r < 0)
      return hint_port(r, err);
  }
  if (!has_role(server, "evaluator"))
    return 0;
  if (!file_exists(script)) {
    error_set(err, -EINVAL, "there is no %s", script);
    return error_hint(err, "Name the folder that holds evaluate.scm with --scheme.");
  }
  if (options->store_root[0] != '\0' && !file_exists(store)) {
    error_set(err, -EINVAL, "there is no %s", store);
    return error_hint(err, "Name the folder that holds gnu/store with --store-root.");
  }
  return 0;
}

static int
lock_state(struct server *server, struct error *err)
{
  /* PostgreSQL's account must be able to pass through to its own folder. */
  int r = file_make_dirs(server->options->state, 0755, err);
  CLEANUP_FREE char *state = r < 0 ? NULL : realpath(server->options->state, NULL);
  if (r == 0 && state == NULL)
    r = error_set_errno(err, "cannot use %s", server->options->state);
  if (r < 0)
    return error_hint(err, "Name another folder with --state.");
  server->state = arena_str(&server->arena, str_of(state)).data;
  server->lock_fd = take_state(server->state, err);
  if (server->lock_fd == -EBUSY)
    error_hint(err, "Stop it first, or give this one a folder of its own with --state.");
  return server->lock_fd < 0 ? server->lock_fd : 0;
}

static int
start_database(struct server *server, struct error *err)
{
  const struct serve_options *options = server->options;
  server->is_new = !file_exists(in_state(server, "admin-token"));
  server->uri = options->database;
  if (server->uri == NULL) {
    int r = cluster_start(in_state(server, "postgresql"), options->fsync, &server->cluster, err);
    if (r < 0)
      return error_prefix(err, "cannot start the private PostgreSQL");
    server->uri = cluster_uri(server->cluster);
  }
  int r = db_migrate(server->uri, err);
  if (r < 0)
    return r;
  server->pool = db_pool_new(server->uri, POOL_CONNECTIONS);
  return accounts_bootstrap(server->pool, server->state, err);
}

/* ---- the rooms ---- */

static int
start_cache(struct server *server, struct error *err)
{
  const struct serve_options *options = server->options;
  return cache_start(
      &(struct cache_options) {
          .folder = in_state(server, "cache"),
          .log_folder = in_state(server, "logs"),
          .key_folder = in_state(server, "keys"),
          .pool = server->pool,
          .host_name = options->host_name,
          .second_compression = guix_compression_parse(str_of(options->compression)),
          .inline_limit = 16 << 10,
      },
      &server->cache, err);
}

static int
start_farm(struct server *server, struct error *err)
{
  return farm_start(
      &(struct farm_options) {
          .uri = server->uri,
          .pool = server->pool,
          .cache = server->cache,
          .agent_grace_s = (int) server->options->agent_grace_s,
          .attempts_limit = (int) server->options->attempts,
          .passive = !has_role(server, "scheduler"),
      },
      &server->farm, err);
}

static int
start_evaluations(struct server *server, struct error *err)
{
  const struct serve_options *options = server->options;
  server->channels = channels_new(
      &(struct channels_options) { .folder = in_state(server, "repositories"),
                                   .pool = server->pool,
                                   .credentials = in_state(server, "git-credentials") });
  return evaluations_start(
      &(struct evaluation_options) {
          .uri = server->uri,
          .pool = server->pool,
          .channels = server->channels,
          .cache = server->cache,
          .farm = server->farm,
          .folder = in_state(server, "evaluations"),
          .store_root = options->store_root,
          .guix = options->guix,
          .scheme_folder = options->scheme,
          .parallel = (int) options->evaluations,
          .passive = !has_role(server, "evaluator"),
      },
      &server->evaluations, err);
}

/* Agents dial in where the scheduler is, so that needs a door too; it shows the same
   as a web server's. */
static int
start_web(struct server *server, struct error *err)
{
  if (!has_door(server))
    return 0;
  server->context = (struct serve_context) { .pool = server->pool,
                                             .cache = server->cache,
                                             .farm = server->farm,
                                             .schedules = has_role(server, "scheduler"),
                                             .evaluates = has_role(server, "evaluator"),
                                             .evaluations = server->evaluations,
                                             .feed = server->feed,
                                             .store_root = server->options->store_root,
                                             .submissions = &server->submissions,
                                             .workers = &server->workers,
                                             .counts = { .lock = PTHREAD_MUTEX_INITIALIZER },
                                             .queue.lock = PTHREAD_MUTEX_INITIALIZER,
                                             .description.lock = PTHREAD_MUTEX_INITIALIZER };
  log_scans_init(&server->context.log_scans);
  drawings_init(&server->context.drawings);
  int r = work_pool_start(&server->submissions, SUBMISSION_THREADS);
  if (r == 0)
    r = work_pool_start(&server->workers, WORKER_THREADS);
  if (r < 0)
    return error_set(err, r, "cannot start a thread");
  serve_collect_routes(&server->context);
  r = http_server_start(
      &(struct http_options) {
          .listen = server->options->listen.items,
          .listen_count = server->options->listen.count,
          .threads = (int) server->options->threads,
          .routes = server->context.routes,
          .routes_count = server->context.routes_count,
          .guard = accounts_guard,
          .guard_context = server->pool,
          .error_page = accounts_error_page,
      },
      &server->http, err);
  return hint_port(r, err);
}

static int
start_feed(struct server *server, struct error *err)
{
  return events_feed_start(server->uri, &server->feed, err);
}

static int
start_all(struct server *server, struct error *err)
{
  static int (*const steps[])(struct server *, struct error *) = {
    check_options, lock_state, start_database,    start_feed,
    start_cache,   start_farm, start_evaluations, start_web,
  };
  int r = 0;
  for (size_t i = 0; r == 0 && i < ARRAY_SIZE(steps); i++)
    r = steps[i](server, err);
  return r;
}

/* Backwards: once no request can come in any more, nobody asks the rooms. */
static void
stop_all(struct server *server)
{
  if (server->evaluations != NULL)
    evaluations_quit(server->evaluations);
  http_server_stop(server->http);
  work_pool_stop(&server->submissions);
  work_pool_stop(&server->workers);
  work_pool_free(&server->submissions);
  work_pool_free(&server->workers);
  log_scans_free(&server->context.log_scans);
  drawings_free(&server->context.drawings);
  if (server->farm != NULL)
    farm_stop(server->farm);
  evaluations_stop(server->evaluations);
  channels_free(server->channels);
  if (server->cache != NULL)
    cache_stop(server->cache);
  if (server->feed != NULL)
    events_feed_stop(server->feed);
  if (server->pool != NULL)
    db_pool_free(server->pool);
  cluster_stop(server->cluster);
  file_closep(&server->lock_fd);
  serve_queue_forget(&server->context);
  buf_free(&server->context.description.text);
  arena_free(&server->arena);
}

/* ---- running ---- */

/* What somebody needs who has never started one: once. */
static void
introduce(const struct server *server, const char *url)
{
  fprintf(stderr,
          "Sign in with the token in %s/admin-token. An agent joins by:\n"
          "  panoply agent --server %s --join-token-file %s/join-token\n",
          server->state, url, server->state);
}

static void
announce(struct server *server)
{
  const char *first = NULL;
  const struct option_list *listen = &server->options->listen;
  for (size_t i = 0; server->http != NULL && i < listen->count; i++) {
    struct str address = str_of(listen->items[i]);
    if (str_starts(address, STR("unix:"))) {
      printf("listening on %.*s\n", STR_FMT(address));
      continue;
    }
    while (address.size > 0 && address.data[address.size - 1] != ':')
      address.size--;
    const char *url = arena_printf(&server->arena, "http://%.*s%d", STR_FMT(address),
                                   http_server_port(server->http, i));
    printf("listening on %s\n", url);
    first = first != NULL ? first : url;
  }
  fflush(stdout);
  if (server->is_new && server->http != NULL)
    introduce(server, first != NULL ? first : "URL");
}

/* Waits for the order to stop; meanwhile looks after the private PostgreSQL. */
static void
wait_for_signal(struct server *server, const sigset_t *signals)
{
  const struct timespec pause = { .tv_sec = WATCH_MS / 1000 };
  for (;;) {
    int signal = sigtimedwait(signals, NULL, &pause);
    if (signal > 0)
      return;
    if (server->cluster == NULL || cluster_is_running(server->cluster))
      continue;
    struct error err = { 0 };
    log_warning("serve", "the private PostgreSQL is gone: starting it again");
    if (cluster_restart(server->cluster, &err) < 0)
      log_failure("serve", &err, "cannot start the private PostgreSQL");
  }
}

int
serve_run(const struct serve_options *options, struct error *err)
{
  struct server server = { .options = options, .lock_fd = -1 };
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  /* Before any thread starts, so that all inherit it. */
  pthread_sigmask(SIG_BLOCK, &signals, NULL);
  signal(SIGPIPE, SIG_IGN);
  log_set_level(options->verbose ? LOG_LEVEL_DEBUG : LOG_LEVEL_INFO);
  raise_descriptor_limit();
  guix_init();
  work_pool_init(&server.submissions, &server.context);
  work_pool_init(&server.workers, &server.context);
  int r = start_all(&server, err);
  if (r == 0) {
    announce(&server);
    wait_for_signal(&server, &signals);
    log_info("serve", "stopping");
  }
  stop_all(&server);
  return r;
}

int
serve_rotate_key(const char *state, struct error *err)
{
  if (!file_exists(state))
    return error_set(err, -ENOENT, "%s does not exist", state);
  CLEANUP_FD int lock = take_state(state, err);
  if (lock == -EBUSY)
    error_hint(err, "Stop it, rotate, start it again.");
  if (lock < 0)
    return lock;
  CLEANUP_FREE char *folder = mem_printf("%s/keys", state);
  return cache_key_rotate(folder, err);
}
