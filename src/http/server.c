/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "http/server.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/mem.h"
#include "http/exchange.h"
#include "http/wait.h"

#define CONNECTION_MEMORY ((size_t) 16 * 1024) /* bounds a request's head */
#define OTHER_DESCRIPTORS 128                  /* left for files, children, databases */
#define DRAIN_MS 2000                          /* at the stop, for replies under way */

/* ---- life ---- */

struct http_server *
server_ref(struct http_server *server)
{
  atomic_fetch_add(&server->references, 1);
  return server;
}

void
server_unref(struct http_server *server)
{
  if (atomic_fetch_sub(&server->references, 1) > 1)
    return;
  int_map_free(&server->waits);
  pthread_cond_destroy(&server->no_waits);
  pthread_mutex_destroy(&server->lock);
  free(server);
}

static int
within_descriptor_limit(int wanted)
{
  struct rlimit limit;
  if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur == RLIM_INFINITY)
    return wanted;
  int64_t room = (int64_t) limit.rlim_cur - OTHER_DESCRIPTORS;
  if (room < 16)
    room = 16;
  return room < wanted ? (int) room : wanted;
}

static struct http_server *
server_new(const struct http_options *options)
{
  struct http_server *server = mem_alloc(sizeof *server);
  server->references = 1;
  server->options = *options;
  server->epoll = server->wake = -1;
  server->connection_limit =
      within_descriptor_limit(options->connection_limit > 0 ? options->connection_limit : 10000);
  pthread_mutex_init(&server->lock, NULL);
  pthread_condattr_t monotonic;
  pthread_condattr_init(&monotonic);
  pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
  pthread_cond_init(&server->no_waits, &monotonic);
  pthread_condattr_destroy(&monotonic);
  return server;
}

/* ---- starting ---- */

static void
count_connection(void *context, struct MHD_Connection *connection, void **slot,
                 enum MHD_ConnectionNotificationCode what)
{
  struct http_server *server = context;
  (void) connection, (void) slot;
  atomic_fetch_add(&server->connections, what == MHD_CONNECTION_NOTIFY_STARTED ? 1 : -1);
}

static int
start_daemon(struct http_server *server, struct error *err)
{
  const struct http_options *options = &server->options;
  int threads = options->threads > 0 ? options->threads : 2;
  int idle = options->idle_timeout_s > 0 ? options->idle_timeout_s : 60;
  unsigned limit = (unsigned) server->connection_limit;
  if (threads > (int) limit)
    threads = (int) limit;
  server->daemon = MHD_start_daemon(
      MHD_USE_EPOLL_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_NO_LISTEN_SOCKET, 0, NULL,
      NULL, exchange_continue, server, MHD_OPTION_CONNECTION_MEMORY_LIMIT, CONNECTION_MEMORY,
      MHD_OPTION_CONNECTION_LIMIT, limit, MHD_OPTION_CONNECTION_TIMEOUT, (unsigned) idle,
      MHD_OPTION_URI_LOG_CALLBACK, exchange_begin, server, MHD_OPTION_UNESCAPE_CALLBACK,
      exchange_keep_escapes, NULL, MHD_OPTION_NOTIFY_COMPLETED, exchange_end, server,
      MHD_OPTION_NOTIFY_CONNECTION, count_connection, server,
      threads > 1 ? MHD_OPTION_THREAD_POOL_SIZE : MHD_OPTION_END, (unsigned) threads,
      MHD_OPTION_END);
  if (server->daemon == NULL)
    return error_set_errno(err, "cannot start the HTTP server");
  return 0;
}

static int
open_listeners(struct http_server *server, struct error *err)
{
  const struct http_options *options = &server->options;
  server->listeners = mem_array(options->listen_count, sizeof *server->listeners);
  for (; server->listeners_count < options->listen_count; server->listeners_count++) {
    int r = listener_open(options->listen[server->listeners_count],
                          &server->listeners[server->listeners_count], err);
    if (r < 0)
      return r;
  }
  return 0;
}

static int
start_door(struct http_server *server, struct error *err)
{
  server->epoll = epoll_create1(EPOLL_CLOEXEC);
  server->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (server->epoll < 0 || server->wake < 0)
    return error_set_errno(err, "cannot start the HTTP server");
  return 0;
}

static int
start_parts(struct http_server *server, struct error *err)
{
  const struct http_options *options = &server->options;
  int r = router_new(options->routes, options->routes_count, &server->router, err);
  if (r == 0)
    r = open_listeners(server, err);
  if (r == 0)
    r = start_door(server, err);
  if (r == 0)
    r = start_daemon(server, err);
  if (r < 0)
    return r;
  r = -pthread_create(&server->door, NULL, door_run, server);
  if (r < 0)
    return error_set(err, r, "cannot start the HTTP server: no thread");
  server->door_runs = true;
  return 0;
}

int
http_server_start(const struct http_options *options, struct http_server **ret, struct error *err)
{
  struct http_server *server = server_new(options);
  int r = start_parts(server, err);
  if (r < 0) {
    http_server_stop(server);
    return r;
  }
  *ret = server;
  return 0;
}

int
http_try_addresses(const char *const *listen, size_t count, struct error *err)
{
  return listener_try(listen, count, err);
}

/* ---- running ---- */

int
http_server_port(const struct http_server *server, size_t index)
{
  return index < server->listeners_count ? server->listeners[index].port : 0;
}

/* ---- stopping ---- */

static void
stop_door(struct http_server *server)
{
  uint64_t one = 1;
  if (server->door_runs && write(server->wake, &one, sizeof one) == sizeof one)
    pthread_join(server->door, NULL);
  for (size_t i = 0; i < server->listeners_count; i++)
    listener_close(&server->listeners[i]);
  free(server->listeners);
}

void
http_server_stop(struct http_server *server)
{
  if (server == NULL)
    return;
  stop_door(server);
  if (server->daemon != NULL) {
    wait_stop_all(server, DRAIN_MS);
    MHD_stop_daemon(server->daemon);
  }
  if (server->wake >= 0)
    close(server->wake);
  if (server->epoll >= 0)
    close(server->epoll);
  router_free(server->router);
  server_unref(server);
}
