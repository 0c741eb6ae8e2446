/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "http/wait.h"

#include <errno.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>

#include "http/server.h"

/* All of these hold the server's lock. */

static void
resume(struct http_wait *wait)
{
  if (!wait->suspended)
    return;
  wait->suspended = false;
  MHD_resume_connection(wait->connection);
}

static int
socket_of(struct MHD_Connection *connection)
{
  const union MHD_ConnectionInfo *info =
      MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
  return info == NULL ? -1 : (int) info->connect_fd;
}

/* Once is enough: a hang-up is final. Failing to watch only means that it is
   noticed later, at the next write or by the idle time-out. */
static void
watch(struct http_wait *wait, enum wait_watch what)
{
  struct epoll_event event = { .events = EPOLLRDHUP | EPOLLONESHOT,
                               .data.u64 = (uint64_t) wait->id };
  if (epoll_ctl(wait->server->epoll, EPOLL_CTL_ADD, socket_of(wait->connection), &event) == 0)
    wait->watch = what;
}

/* libmicrohttpd 0.9.75 loses a hang-up that comes together with the last bytes, as its epoll is
   edge-triggered and it reads once an edge. This makes a new edge and changes nothing else: what
   was received stays readable. */
static void
make_edge(struct http_wait *wait)
{
  shutdown(socket_of(wait->connection), SHUT_RD);
}

void
wait_init(struct http_wait *wait, struct http_server *server, struct MHD_Connection *connection)
{
  *wait = (struct http_wait) { .server = server, .connection = connection };
}

void
wait_open(struct http_wait *wait, enum wait_watch what)
{
  struct http_server *server = wait->server;
  pthread_mutex_lock(&server->lock);
  if (wait->id == 0) {
    wait->id = ++server->last_wait_id;
    int_map_put(&server->waits, wait->id, wait);
    if (what != WATCH_NOTHING)
      watch(wait, what);
  }
  pthread_mutex_unlock(&server->lock);
}

/* An edge that was made before the last bytes were read is gone with them; with this one there
   is always an edge after the last read. */
void
wait_has_read(struct http_wait *wait)
{
  pthread_mutex_lock(&wait->server->lock);
  if (wait->hung_up)
    make_edge(wait);
  pthread_mutex_unlock(&wait->server->lock);
}

enum wait_result
wait_sleep(struct http_wait *wait)
{
  enum wait_result result = WAIT_ASLEEP;
  pthread_mutex_lock(&wait->server->lock);
  if (wait->woken) {
    wait->woken = false;
    result = WAIT_WOKEN;
  } else if (wait->gone || wait->server->stopping) {
    wait->gone = true;
    result = WAIT_GONE;
  } else if (!wait->suspended) {
    wait->suspended = true;
    MHD_suspend_connection(wait->connection);
  }
  pthread_mutex_unlock(&wait->server->lock);
  return result;
}

bool
wait_wake(struct http_wait *wait)
{
  pthread_mutex_lock(&wait->server->lock);
  bool there = !wait->gone;
  if (there) {
    wait->woken = true;
    resume(wait);
  }
  pthread_mutex_unlock(&wait->server->lock);
  return there;
}

bool
wait_is_gone(struct http_wait *wait)
{
  pthread_mutex_lock(&wait->server->lock);
  bool gone = wait->gone;
  pthread_mutex_unlock(&wait->server->lock);
  return gone;
}

void
wait_close(struct http_wait *wait)
{
  struct http_server *server = wait->server;
  pthread_mutex_lock(&server->lock);
  wait->gone = true;
  if (wait->id != 0) {
    if (wait->watch != WATCH_NOTHING)
      epoll_ctl(server->epoll, EPOLL_CTL_DEL, socket_of(wait->connection), NULL);
    int_map_remove(&server->waits, wait->id);
    wait->id = 0;
    if (server->waits.count == 0)
      pthread_cond_broadcast(&server->no_waits);
  }
  pthread_mutex_unlock(&server->lock);
}

void
wait_hung_up(struct http_server *server, int64_t id)
{
  pthread_mutex_lock(&server->lock);
  struct http_wait *wait = int_map_get(&server->waits, id);
  if (wait != NULL && wait->watch == WATCH_READER) {
    wait->gone = true;
    resume(wait);
  } else if (wait != NULL) {
    wait->hung_up = true;
    make_edge(wait);
  }
  pthread_mutex_unlock(&server->lock);
}

void
wait_stop_all(struct http_server *server, int milliseconds)
{
  struct timespec deadline;
  clock_gettime(CLOCK_MONOTONIC, &deadline);
  deadline.tv_sec += milliseconds / 1000;
  pthread_mutex_lock(&server->lock);
  server->stopping = true;
  struct http_wait *wait;
  for (size_t position = 0; (wait = int_map_next(&server->waits, &position)) != NULL;)
    resume(wait);
  int r = 0;
  while (server->waits.count > 0 && r != ETIMEDOUT)
    r = pthread_cond_timedwait(&server->no_waits, &server->lock, &deadline);
  pthread_mutex_unlock(&server->lock);
}
