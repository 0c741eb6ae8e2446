/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The running server, as its parts see it. */
#pragma once

#include <microhttpd.h>
#include <pthread.h>
#include <stdatomic.h>

#include "base/map.h"
#include "http/http.h"
#include "http/listener.h"
#include "http/router.h"

/* Counted references: the owner's, one for each request and each stream, so
   that late answers from other threads find the lock they need. */
struct http_server
{
  atomic_int references;
  struct http_options options; /* `listen` and `routes` are not used after the start */
  struct router *router;
  struct MHD_Daemon *daemon;
  struct listener *listeners;
  size_t listeners_count;

  /* The door: one thread that accepts connections and watches for hang-ups. */
  pthread_t door;
  bool door_runs;
  int epoll;
  int wake; /* eventfd: the door ends */
  int connection_limit;
  atomic_int connections;

  /* Guards what follows, and the `suspended`, `woken` and `gone` of all waits. */
  pthread_mutex_t lock;
  pthread_cond_t no_waits;
  struct int_map waits; /* by id, open ones */
  int64_t last_wait_id;
  bool stopping;
};

struct http_server *server_ref(struct http_server *server);
void server_unref(struct http_server *server);

/* The door thread; CONTEXT: the server. */
void *door_run(void *context);
