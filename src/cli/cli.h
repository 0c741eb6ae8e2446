/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The command line: verbs as a table; client commands speak to a server's API. */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>

#include "base/arena.h"
#include "base/error.h"
#include "base/options.h"
#include "cli/table.h"
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
  CLI_NAME = 1 << 11,
  CLI_SYSTEM = 1 << 12,
  CLI_EVALUATION = 1 << 13,
  CLI_KIND = 1 << 14,
  CLI_SINCE = 1 << 15,
  CLI_AGAINST = 1 << 16,
  CLI_SHOW = 1 << 17,

  CLI_TEXT = CLI_URL | CLI_TOKEN_FILE,         /* asks a server, prints text */
  CLI_CALL = CLI_TEXT | CLI_JSON,              /* prints what JSON says */
  CLI_LIST = CLI_CALL | CLI_LIMIT | CLI_BEFORE /* a list in pages */
};

/* What a word or the value of an option names, so that it can be completed. */
enum cli_word
{
  CLI_WORD_ANY,
  CLI_WORD_FILE,
  CLI_WORD_SPECIFICATION,
  CLI_WORD_EVALUATION,
  CLI_WORD_BUILD,
  CLI_WORD_AGENT,
  CLI_WORD_TOKEN,
  CLI_WORD_BUILD_STATE,
  CLI_WORD_EVALUATION_STATE,
  CLI_WORD_CHANGE,
  CLI_WORD_SYSTEM,
  CLI_WORD_SHELL,
};

/* A verb of a command. */
struct verb
{
  const char *name;      /* "add", "token create"; "" = what the command does without a verb */
  const char *arguments; /* "FILE", as the usage line shows them */
  unsigned options;      /* bits */
  const char *help;      /* one line */
  int least, most;       /* words after the verb; MOST -1 = any number */
  int (*run)(struct cli *cli, int count, char **words);
  enum cli_word kind; /* of the first of those words; others name files */
};

/* A command line that does something, and what. */
struct example
{
  const char *command;
  const char *effect;
};

/* A command: a client of the server's API, with verbs, or a program, with options of its
   own. From this one table come dispatch, help, completion and manual. */
struct command
{
  const char *name;
  const char *help;             /* one line */
  const char *description;      /* for the manual: paragraphs with an empty line between them */
  const struct verb *verbs;     /* ended by a NULL name; NULL = a program */
  const struct option *options; /* of a program; NULL = none */
  const char *arguments;        /* of a program, as the usage line shows them */
  int (*run)(int argc, char **argv); /* a program */
  const struct example *examples;    /* ended by a NULL command */
};

extern const struct command cli_commands[];               /* ended by a NULL name; commands.c */
const struct command *cli_find_command(const char *name); /* NULL = there is none */

/* Options of client commands, in the order of the bits above; ended by a NULL name. */
extern const struct option cli_options[];

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
  const char *name; /* filters of lists; NULL = all */
  const char *system;
  const char *evaluation;
  const char *kind;    /* of events; NULL = all */
  const char *against; /* an evaluation to compare with; NULL = the server's choice */
  const char *show;    /* which changes; NULL = those that are one */
  const char *since;   /* an event's place in the stream; NULL = now */
};

/* Parses options anywhere among the words, picks the verb of COMMAND, checks that it
   takes these options and that many words, runs it. */
int cli_dispatch(const struct command *command, int argc, char **argv);
/* Server and token, as PANOPLY_URL and PANOPLY_TOKEN name them. */
void cli_read_environment(struct cli *cli);
/* What --help prints of a command with verbs. */
void cli_print_usage(const struct command *command, FILE *out);
/* The verb that the first words name, and how many words these are; NULL = none. */
const struct verb *cli_find_verb(const struct verb *table, int count, char *const *words,
                                 int *ret_used);

/* Prints "panoply: MESSAGE" and "HINT"; returns STATUS. */
int cli_fail(int status, const struct error *err);

/* ---- calls (client.c) ---- */

/* METHOD and PATH below /api/panoply/v1. BODY: JSON or NULL. On success the
   answer's JSON (NULL for an empty one) is in *RET, owned by the caller; on failure
   the error was printed and the exit status is returned. */
int cli_call(struct cli *cli, const char *method, const char *path, const char *body, json_t **ret);
/* To the server of --url; ends a call on which nothing moves for so long. */
struct http_client *cli_client(const struct cli *cli, int silence_s);
/* Prints why a call of PATH failed and what to do next; returns the exit status. */
int cli_fail_call(const struct cli *cli, const char *path, struct error *err);
/* GET of text, written to standard output as it arrives. */
int cli_stream(struct cli *cli, const char *path);
/* TEXT to standard output, harmless where that is a terminal. */
int cli_write(struct str text);
/* POST without body, and then cli_done. */
int cli_action(struct cli *cli, const char *path, const char *done);
/* Says that it was DONE, or with --json what the server answered (NULL = nothing);
   takes ANSWER over. */
int cli_done(struct cli *cli, json_t *answer, const char *done);
/* "/agents/" NAME "/pause", with the name encoded; in the arena. */
const char *cli_path_of(struct cli *cli, const char *prefix, const char *name, const char *suffix);
/* The same of a number; NULL after printing that WORD is none. */
const char *cli_path_of_id(struct cli *cli, const char *prefix, const char *word,
                           const char *suffix);
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

/* ---- output (output.c) ---- */

/* GET a list and print it as a table that fits the terminal, or with --json as
   it came. EMPTY: said when there is none. */
int cli_list(struct cli *cli, const char *path, const struct column *columns, const char *empty);
/* Its two halves: to ask, with all filters that were given, and to print. */
int cli_ask_list(struct cli *cli, const char *path, json_t **ret);
void cli_print_list(struct cli *cli, const json_t *answer, const struct column *columns,
                    const char *empty);
void cli_print_table(struct cli *cli, const struct column *columns, const json_t *items);
/* GET one thing and print its members. */
int cli_show(struct cli *cli, const char *path);
/* The text of a value for people: one line, harmless; in the arena. */
const char *cli_text(struct cli *cli, const json_t *value);
void cli_print_json(const json_t *value);
void cli_print_json_line(const json_t *value); /* in one line */

/* ---- commands ---- */

extern const struct verb cli_spec_verbs[], cli_evaluation_verbs[], cli_build_verbs[],
    cli_agents_verbs[], cli_key_verbs[], cli_cache_verbs[], cli_doctor_verbs[], cli_events_verbs[],
    cli_queue_verbs[], cli_search_verbs[];

extern const struct option cli_agent_options[];
int cli_serve(int argc, char **argv);
int cli_agent(int argc, char **argv);
int cli_completion(int argc, char **argv); /* prints the script of a shell */

/* ---- what installed files and scripts ask for; not in the help ---- */

/* Candidates for the last of WORDS, a line each: "WORD\tHELP"; ":files" asks for files. */
int cli_complete(int count, char **words);
/* A page of the manual, in mdoc(7): "panoply" or the name of a command. */
int cli_manual(int count, char **words);
