/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The door: one thread that accepts connections on all listeners, hands them to
   libmicrohttpd's pool, and notices when a client that waits for a stream hangs
   up (a suspended connection's events are nobody else's). */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "http/server.h"
#include "http/wait.h"

#define EVENTS_MAX 64
#define ACCEPT_BURST 64
#define PAUSE_MS 100 /* without descriptors or connections to spare */

/* Ids of events: waits are positive; listeners and the end are these. */
#define LISTENER_ID(index) ((uint64_t) (-2 - (int64_t) (index)))
#define END_ID UINT64_MAX

static void
set_listening(struct http_server *server, bool on)
{
  for (size_t i = 0; i < server->listeners_count; i++) {
    struct epoll_event event = { .events = on ? EPOLLIN : 0, .data.u64 = LISTENER_ID(i) };
    int fd = server->listeners[i].fd;
    if (epoll_ctl(server->epoll, EPOLL_CTL_MOD, fd, &event) < 0 && errno == ENOENT)
      epoll_ctl(server->epoll, EPOLL_CTL_ADD, fd, &event);
  }
}

/* False when the listeners should rest for a while. */
static bool
accept_some(struct http_server *server, const struct listener *listener)
{
  for (int i = 0; i < ACCEPT_BURST; i++) {
    if (atomic_load(&server->connections) >= server->connection_limit)
      return false;
    struct sockaddr_storage address = { 0 };
    socklen_t size = sizeof address;
    int fd =
        accept4(listener->fd, (struct sockaddr *) &address, &size, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd < 0)
      return errno == EAGAIN || errno == EINTR || errno == ECONNABORTED;
    int on = 1;
    if (listener->path == NULL)
      setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    MHD_add_connection(server->daemon, fd, (struct sockaddr *) &address, size);
  }
  return true;
}

/* False at the end. */
static bool
handle(struct http_server *server, const struct epoll_event *event, bool *resting)
{
  uint64_t id = event->data.u64;
  if (id == END_ID)
    return false;
  if ((int64_t) id > 0) {
    wait_hung_up(server, (int64_t) id);
    return true;
  }
  size_t index = (size_t) (-2 - (int64_t) id);
  if (!*resting && !accept_some(server, &server->listeners[index])) {
    *resting = true;
    set_listening(server, false);
  }
  return true;
}

void *
door_run(void *context)
{
  struct http_server *server = context;
  struct epoll_event end = { .events = EPOLLIN, .data.u64 = END_ID };
  epoll_ctl(server->epoll, EPOLL_CTL_ADD, server->wake, &end);
  set_listening(server, true);
  for (bool resting = false;;) {
    struct epoll_event events[EVENTS_MAX];
    int count = epoll_wait(server->epoll, events, EVENTS_MAX, resting ? PAUSE_MS : -1);
    if (resting) {
      resting = false;
      set_listening(server, true);
    }
    for (int i = 0; i < count; i++)
      if (!handle(server, &events[i], &resting))
        return NULL;
  }
}
