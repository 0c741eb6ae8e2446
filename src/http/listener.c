/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "http/listener.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"

#define BACKLOG 4096 /* the kernel lowers it to net.core.somaxconn */

/* ---- Unix sockets ---- */

static bool
somebody_listens(const struct sockaddr_un *address)
{
  CLEANUP_FD int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  return fd >= 0
         && (connect(fd, (const struct sockaddr *) address, sizeof *address) == 0
             || errno == EAGAIN);
}

/* Removes the socket file of a server that ended without doing so. */
static int
clear_stale(const struct sockaddr_un *address, struct error *err)
{
  struct stat info;
  if (lstat(address->sun_path, &info) < 0)
    return 0; /* bind says what is wrong, if anything */
  if (!S_ISSOCK(info.st_mode))
    return error_set(err, -EADDRINUSE, "cannot listen on unix:%s: it exists and is no socket",
                     address->sun_path);
  if (somebody_listens(address))
    return error_set(err, -EADDRINUSE, "cannot listen on unix:%s: another program does",
                     address->sun_path);
  unlink(address->sun_path);
  return 0;
}

static int
open_unix(const char *path, struct listener *ret, struct error *err)
{
  struct sockaddr_un address = { .sun_family = AF_UNIX };
  size_t size = strlen(path);
  if (size == 0 || size >= sizeof address.sun_path)
    return error_set(err, -ENAMETOOLONG,
                     "cannot listen on unix:%s: the path may have 1 to %zu bytes", path,
                     sizeof address.sun_path - 1);
  memcpy(address.sun_path, path, size);
  int r = clear_stale(&address, err);
  if (r < 0)
    return r;
  CLEANUP_FD int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  struct stat info;
  /* Anybody may connect, as on a loopback port: the folder's mode limits it. */
  if (fd < 0 || bind(fd, (const struct sockaddr *) &address, sizeof address) < 0
      || chmod(path, 0666) < 0 || stat(path, &info) < 0 || listen(fd, BACKLOG) < 0)
    return error_set_errno(err, "cannot listen on unix:%s", path);
  *ret = (struct listener) {
    .fd = TAKE_FD(fd), .path = mem_strdup(path), .device = info.st_dev, .inode = info.st_ino
  };
  return 0;
}

/* ---- TCP ---- */

/* Splits "HOST:PORT" or "[HOST]:PORT". */
static int
split_address(const char *address, char **ret_host, const char **ret_port)
{
  const char *colon = strrchr(address, ':');
  if (colon == NULL || colon == address || colon[1] == '\0')
    return -EINVAL;
  size_t size = (size_t) (colon - address);
  if (address[0] != '[') {
    if (memchr(address, ':', size) != NULL)
      return -EINVAL;
    *ret_host = mem_strndup(address, size);
  } else {
    if (size < 3 || address[size - 1] != ']')
      return -EINVAL;
    *ret_host = mem_strndup(address + 1, size - 2);
  }
  *ret_port = colon + 1;
  return 0;
}

/* getaddrinfo takes any number, modulo 65536. */
static bool
is_port(const char *port)
{
  uint64_t number;
  return str_to_u64(str_of(port), &number) == 0 && number <= UINT16_MAX;
}

static int
bound_port(int fd)
{
  union
  {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
  } address = { 0 };
  socklen_t size = sizeof address;
  if (getsockname(fd, &address.any, &size) < 0)
    return 0;
  return ntohs(address.any.sa_family == AF_INET6 ? address.v6.sin6_port : address.v4.sin_port);
}

static int
listen_at(const struct addrinfo *info)
{
  CLEANUP_FD int fd = socket(info->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0)
    return -errno;
  int on = 1;
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (info->ai_family == AF_INET6) /* so that 0.0.0.0 and [::] can be given together */
    setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on);
  if (bind(fd, info->ai_addr, info->ai_addrlen) < 0 || listen(fd, BACKLOG) < 0)
    return -errno;
  return TAKE_FD(fd);
}

static int
open_tcp(const char *address, struct listener *ret, struct error *err)
{
  CLEANUP_FREE char *host = NULL;
  const char *port;
  if (split_address(address, &host, &port) < 0 || !is_port(port)) {
    error_set(err, -EINVAL, "cannot listen on '%s': not an address with a port", address);
    error_hint(err, "Write HOST:PORT, [IPV6]:PORT or unix:/PATH.");
    return -EINVAL;
  }
  const struct addrinfo wanted = { .ai_flags = AI_PASSIVE, .ai_socktype = SOCK_STREAM };
  struct addrinfo *found;
  int failed = getaddrinfo(host, port, &wanted, &found);
  if (failed != 0)
    return error_set(err, -EADDRNOTAVAIL, "cannot listen on %s: %s", address, gai_strerror(failed));
  int fd = listen_at(found);
  freeaddrinfo(found);
  if (fd < 0) {
    errno = -fd;
    return error_set_errno(err, "cannot listen on %s", address);
  }
  *ret = (struct listener) { .fd = fd, .port = bound_port(fd) };
  return 0;
}

int
listener_open(const char *address, struct listener *ret, struct error *err)
{
  if (strncmp(address, "unix:", 5) == 0)
    return open_unix(address + 5, ret, err);
  return open_tcp(address, ret, err);
}

int
listener_try(const char *const *addresses, size_t count, struct error *err)
{
  struct listener *listeners = mem_array(count, sizeof *listeners);
  size_t opened = 0;
  int r = 0;
  while (r == 0 && opened < count) {
    r = listener_open(addresses[opened], &listeners[opened], err);
    opened += r == 0;
  }
  while (opened > 0)
    listener_close(&listeners[--opened]);
  free(listeners);
  return r;
}

void
listener_close(struct listener *listener)
{
  if (listener->fd >= 0)
    close(listener->fd);
  listener->fd = -1;
  struct stat info;
  if (listener->path != NULL && lstat(listener->path, &info) == 0 && info.st_dev == listener->device
      && info.st_ino == listener->inode)
    unlink(listener->path);
  free(listener->path);
  listener->path = NULL;
}
