/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The command line: verbs as a table; client commands speak to a server's API. */
#pragma once

#include <jansson.h>
#include <stdbool.h>

#include "base/arena.h"
#include "base/error.h"
#include "http/http.h"

enum
{
  CLI_DONE = 0,
  CLI_FAILED = 1, /* the thing asked for failed */
  CLI_USAGE = 2,  /* it was asked for wrongly, or cannot be asked for at all */
};

struct cli;

/* A verb of a command. */
struct verb
{
  const char *name;      /* "add"; "" = what the command does without a verb */
  const char *arguments; /* "FILE", as the usage line shows them */
  const char *help;      /* one line */
  int least, most;       /* words after the verb; MOST -1 = any number */
  int (*run)(struct cli *cli, int count, char **words);
};

struct cli
{
  const char *command; /* "spec", for messages */
  struct arena arena;
  bool json;       /* --json */
  bool follow;     /* --follow */
  bool dependents; /* --dependents */
  bool force;      /* --force */
  const char *url;
  const char *token; /* NULL = none */
  const char *state; /* --state FILTER of lists */
  const char *limit; /* --limit N of lists */
};

/* Parses the client options (--url, --json ...) anywhere among the words, picks
   the verb from TABLE (ended by a NULL name), checks the number of words, runs. */
int cli_dispatch(const char *command, const struct verb *table, int argc, char **argv);

/* Prints "panoply: MESSAGE" and "HINT"; returns STATUS. */
int cli_fail(int status, const struct error *err);

/* ---- calls (client.c) ---- */

/* METHOD and PATH below /api/panoply/v1. BODY: JSON or NULL. On success the
   answer's JSON (NULL for an empty one) is in *RET, owned by the caller; on failure
   the error was printed and the exit status is returned. */
int cli_call(struct cli *cli, const char *method, const char *path, const char *body, json_t **ret);
/* GET of text, written to standard output as it arrives. */
int cli_stream(struct cli *cli, const char *path);
/* POST without body; prints DONE when it worked. */
int cli_action(struct cli *cli, const char *path, const char *done);
/* TEXT percent-encoded, in the arena. */
const char *cli_encode(struct cli *cli, const char *text);

/* ---- output (table.c) ---- */

/* A column of a table: a path into the item ("build.state") and a title. */
struct column
{
  const char *title;
  const char *path;
};

/* GET a list and print it as a table that fits the terminal, or with --json as
   it came. EMPTY: said when there is none. */
int cli_list(struct cli *cli, const char *path, const struct column *columns, const char *empty);
/* GET one thing and print its members. */
int cli_show(struct cli *cli, const char *path);
/* The text of a value for people; in the arena. */
const char *cli_text(struct cli *cli, const json_t *value);
void cli_print_json(const json_t *value);

/* ---- commands ---- */

int cli_serve(int argc, char **argv);
int cli_agent(int argc, char **argv);
int cli_spec(int argc, char **argv);
int cli_evaluation(int argc, char **argv);
int cli_build(int argc, char **argv);
int cli_agents(int argc, char **argv);
int cli_key(int argc, char **argv);
int cli_doctor(int argc, char **argv);
