/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Listening sockets: "127.0.0.1:8080", "[::1]:8080", "localhost:8080", "unix:/path". */
#pragma once

#include <sys/stat.h>

#include "base/error.h"

struct listener
{
  int fd;
  int port;     /* 0 for a Unix socket */
  char *path;   /* of a Unix socket, owned; NULL = TCP */
  dev_t device; /* of the socket file, so that only our own is removed */
  ino_t inode;
};

/* Non-blocking, listening. A Unix socket that nobody listens on any more is
   replaced; -EADDRINUSE when somebody does. */
int listener_open(const char *address, struct listener *ret, struct error *err);
/* Whether all could be opened together; none stays open. */
int listener_try(const char *const *addresses, size_t count, struct error *err);
/* Closes it and removes its socket file. */
void listener_close(struct listener *listener);
