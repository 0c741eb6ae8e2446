/* SPDX-License-Identifier: GPL-3.0-or-later */
/* For tests: a guix-daemon of one connection whose store is a list of names. A
   "bundle" is, to it, lines: the paths that it then holds, and "end". */
#pragma once

#include <pthread.h>

#include "base/map.h"
#include "guix/guix.h"

struct test_daemon
{
  int listener;
  char *socket;
  pthread_t thread;
  pthread_mutex_t lock; /* guards what follows */
  struct str_map valid; /* full paths */
  int imports;
  bool refuses; /* every import, before its first byte */
};

void test_daemon_start(struct test_daemon *daemon, const char *folder);
/* The connection must be closed. */
void test_daemon_stop(struct test_daemon *daemon);
bool test_daemon_holds(struct test_daemon *daemon, const char *path);
int test_daemon_imports(struct test_daemon *daemon);
