/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The program on each build machine: HTTP to the server, the worker protocol
   to its guix-daemon, never a database. */
#pragma once

#include "guix/guix.h"
#include "http/http.h"

struct agent_options
{
  const char *server;          /* base URL */
  const char *token_file;      /* the agent's own token; made by enrolling */
  const char *join_token_file; /* NULL = token_file must exist */
  const char *name;            /* NULL = this host's name */
  const char *state;           /* folder for token, spools; NULL = /var/lib/panoply-agent */
  const char *store_root;      /* "" = none */
  const char *daemon_socket;   /* NULL = STORE_ROOT/var/guix/daemon-socket/socket */
  const char *const *systems;  /* NULL-terminated; NULL = this machine's */
  int64_t jobs;                /* builds at once; 0 = 1 */
  int64_t cores;               /* for each build; 0 = all */
  int64_t uploads;             /* at once; 0 = 4 */
};

/* Runs until *STOP becomes non-zero (set it from a signal handler and write to
   the eventfd WAKE). Returns 0, or negative when the agent can never work
   (refused token, no daemon socket ...) with ERR set. */
int agent_run(const struct agent_options *options, volatile int *stop, int wake, struct error *err);
