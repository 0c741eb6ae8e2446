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

/* Options that a verb takes, as bits; rows of the table in dispatch.c. */
enum
{
  CLI_URL = 1 << 0,
  CLI_TOKEN_FILE = 1 << 1,
  CLI_JSON = 1 << 2,
  CLI_LIMIT = 1 << 3,
  CLI_BEFORE = 1 << 4,
  CLI_STATE = 1 << 5,
  CLI_FOLLOW = 1 << 6,
  CLI_DEPENDENTS = 1 << 7,
  CLI_FORCE = 1 << 8,
  CLI_NO_WAIT = 1 << 9,
  CLI_WITHDRAW = 1 << 10,

  CLI_TEXT = CLI_URL | CLI_TOKEN_FILE,         /* asks a server, prints text */
  CLI_CALL = CLI_TEXT | CLI_JSON,              /* prints what JSON says */
  CLI_LIST = CLI_CALL | CLI_LIMIT | CLI_BEFORE /* a list in pages */
};

/* A verb of a command. */
struct verb
{
  const char *name;      /* "add"; "" = what the command does without a verb */
  const char *arguments; /* "FILE", as the usage line shows them */
  unsigned options;      /* bits */
  const char *help;      /* one line */
  int least, most;       /* words after the verb; MOST -1 = any number */
  int (*run)(struct cli *cli, int count, char **words);
};

struct cli
{
  const char *command; /* "spec", for messages */
  struct arena arena;
  const char *token; /* NULL = none */
  /* options: */
  const char *url;
  const char *token_file; /* NULL = none */
  bool json;
  int64_t limit;      /* 0 = the server's */
  const char *before; /* cursor of a list; NULL = its beginning */
  const char *state;  /* filter of a list; NULL = all */
  bool follow;
  bool dependents;
  bool force;
  bool no_wait;
  bool withdraw;
};

/* Parses options anywhere among the words, picks the verb from TABLE (ended by a NULL
   name), checks that it takes these options and that many words, runs it. */
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
/* TEXT to standard output, harmless where that is a terminal. */
int cli_write(struct str text);
/* POST without body, and then cli_done. */
int cli_action(struct cli *cli, const char *path, const char *done);
/* Says that it was DONE, or with --json what the server answered (NULL = nothing);
   takes ANSWER over. */
int cli_done(struct cli *cli, json_t *answer, const char *done);
/* TEXT percent-encoded, in the arena. */
const char *cli_encode(struct cli *cli, const char *text);

/* ---- waiting for what was asked for (look.c) ---- */

/* One line on standard error, where that is a terminal; "" takes it away again. */
void cli_show_progress(const char *line);
/* Waits, but not for ever, until the channels of specification NAME were looked at as
   somebody asked; *RET: what the server says of it then, owned by the caller. */
int cli_await_look(struct cli *cli, const char *name, json_t **ret);
/* Says what was changed and, when the look went well, what is new (NULL = nothing);
   fails with the look. Takes SPECIFICATION over. */
int cli_end_look(struct cli *cli, const char *name, json_t *specification, const char *change,
                 const char *news);

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
/* The text of a value for people: one line, harmless; in the arena. */
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
int cli_cache(int argc, char **argv);
int cli_doctor(int argc, char **argv);
