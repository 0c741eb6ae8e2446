/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Putting roles and routes together; start and stop of a server. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "base/arena.h"
#include "base/error.h"
#include "base/options.h"
#include "farm/farm.h"

/* What a server is told, on the command line or in a configuration file. All
   texts live in the arena given to serve_options_parse, or are constants. */
struct serve_options
{
  const char *state;    /* folder for everything that lasts */
  const char *database; /* URI; NULL = a private PostgreSQL in STATE */
  struct option_list listen;
  const char *roles;
  const char *config;
  const char *store_root;
  const char *guix; /* NULL = found by itself */
  const char *scheme;
  const char *host_name;
  const char *compression; /* the second one: gzip or lzip */
  int64_t evaluations;     /* at once */
  int64_t agent_grace_s;
  int64_t attempts;
  int64_t threads; /* of the HTTP server */
  bool fsync;      /* of the private PostgreSQL */
  bool verbose;
};

extern const struct option serve_options_table[]; /* ended by a NULL name */

/* Parses command-line options (argv[0] is skipped) and the file they name with
   --config; the command line wins. -EINVAL with ERR set. 1 = --help was asked
   for and printed. */
int serve_options_parse(int argc, char **argv, struct arena *arena, struct serve_options *ret,
                        struct error *err);
/* The options with their defaults and explanations. */
void serve_options_help(FILE *out);

/* Runs a server until SIGTERM or SIGINT. Prints "listening on http://ADDR:PORT"
   for each address once it answers. 0, or negative with ERR set. */
int serve_run(const struct serve_options *options, struct error *err);

/* Replaces the signing key in the state folder of a server that does not run (else
   -EBUSY); the old pair stays beside it, under another name. */
int serve_rotate_key(const char *state, struct error *err);

/* What a cause means to people, on a build's page and on the command line. */
struct cause_words
{
  const char *what; /* a sentence: "It took longer than it may." */
  const char *hint; /* what follows, or can be done */
};

struct cause_words cause_words(enum farm_cause cause);
