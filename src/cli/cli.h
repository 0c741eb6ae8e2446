/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The command line: verbs as a table; client commands speak to a server's API. */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>

#include "base/arena.h"
#include "base/error.h"
#include "base/options.h"
#include "http/http.h"

enum
{
  CLI_DONE = 0,
  CLI_FAILED = 1, /* the thing asked for failed */
  CLI_USAGE = 2,  /* a wrong command line, no token, or no server that answers */
  CLI_AWAY = 3,   /* no exit status: the server is away while we are patient */
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
  CLI_ATTEMPT = 1 << 18,
  CLI_DAYS = 1 << 19,
  CLI_AGENT = 1 << 20,

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
  CLI_WORD_ERROR,
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
  const struct verb *verb;
  FILE *out;    /* standard output, or what is collected for it */
  bool begun;   /* a part of the output stands above the next */
  bool quiet;   /* a call that fails prints nothing */
  bool patient; /* a server that is away for a while is no failure: CLI_AWAY */
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
  const char *agent;   /* filter of builds; NULL = all */
  const char *against; /* an evaluation to compare with; NULL = the server's choice */
  const char *show;    /* which changes; NULL = those that are one */
  int64_t attempt;     /* of a build; 0 = the newest */
  int64_t days;        /* that a token is valid; 0 = for ever */
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

/* What the value of OPTION names for VERB (NULL = not known); and the words, with spaces
   between them, that there are of a kind: NULL = they are not known beforehand. */
enum cli_word cli_kind_of_value(const struct verb *verb, const struct option *option);
const char *cli_words_of(enum cli_word kind);

/* Prints "panoply: MESSAGE" and "HINT"; returns STATUS. */
int cli_fail(int status, const struct error *err);

/* ---- calls (client.c) ---- */

/* What is asked of the server, and which answer makes sense. */
struct cli_call
{
  const char *method;  /* NULL = GET */
  const char *path;    /* below /api/panoply/v1 */
  const char *body;    /* JSON or NULL */
  int status;          /* of success; 0 = 200 */
  const char *members; /* that its reader needs: answer_check; NULL = it may be empty */
  int silence_s;       /* that the answer may be waited for; 0 = as usual */
};

/* On success the answer's JSON (NULL for an empty one) is in *RET, owned by the caller; on
   failure, also when it is none of a Panoply server's, the error was printed and the exit
   status is returned. */
int cli_call(struct cli *cli, const struct cli_call *call, json_t **ret);
int cli_get(struct cli *cli, const char *path, const char *members, json_t **ret);
/* To the server of --url; ends a call on which nothing moves for so long. */
struct http_client *cli_client(const struct cli *cli, int silence_s);
/* Prints why a call of PATH failed and what to do next; returns the exit status. */
int cli_fail_call(const struct cli *cli, const char *path, const struct http_answer *answer,
                  struct error *err);
int cli_fail_output(int r); /* standard output cannot be written; R: negative errno */
/* TEXT to standard output, harmless where that is a terminal. */
int cli_write(struct str text);
/* POST without body, and then cli_done. */
int cli_action(struct cli *cli, const char *path, const char *done);
/* Says that it was DONE, or with --json what the server answered (NULL = {});
   takes ANSWER over. */
int cli_done(struct cli *cli, json_t *answer, const char *done);
/* "/agents/" NAME "/pause", with the name encoded; in the arena. */
const char *cli_path_of(struct cli *cli, const char *prefix, const char *name, const char *suffix);
/* The same of a number; NULL after printing that WORD is none. */
const char *cli_path_of_id(struct cli *cli, const char *prefix, const char *word,
                           const char *suffix);
const char *cli_path_of_build(struct cli *cli, const char *word, const char *suffix);
/* TEXT percent-encoded, in the arena. */
const char *cli_encode(struct cli *cli, const char *text);

/* ---- what goes on for long (stream.c) ---- */

/* GET of text, written to standard output as it arrives. With --follow a connection that is
   lost is dialled again, and the text goes on where it was: PATH takes `from`. */
int cli_stream(struct cli *cli, const char *path);
/* Follows the stream of events behind *REACHED (empty: from now on), in which the place of the
   last whole one is kept, over lost connections. */
struct feed
{
  struct cli *cli;
  const char *kind; /* what kinds begin with; NULL = all */
  /* An event's JSON. Negative fails, 1 = enough was seen. NULL = not asked */
  int (*take)(void *state, struct str event);
  /* Something came, perhaps only a sign of life every 15 seconds; the same results. */
  int (*beat)(void *state);
  void *state;
  struct buf reached;
};
int cli_feed(struct feed *feed); /* returns the exit status */
/* After an error of this code; one who answers no (-EINVAL, say) will do so again. */
bool cli_may_come_back(int code);

/* ---- waiting for what was asked for (look.c) ---- */

/* One line on standard error, where that is a terminal; "" takes it away again. */
void cli_show_progress(const char *line);
/* The same while something is away that is tried again; elsewhere a line when it goes and one
   when it comes. *SAID: that it is away. */
void cli_say_away(bool *said, const char *what);
void cli_say_back(bool *said);
/* Waits, but not for ever, until the channels of specification NAME were looked at as
   somebody asked; *RET: what the server says of it then, owned by the caller. */
int cli_await_look(struct cli *cli, const char *name, json_t **ret);
/* Says what was changed and, when the look went well, what is new (NULL = nothing);
   fails with the look. Takes SPECIFICATION over. */
int cli_end_look(struct cli *cli, const char *name, json_t *specification, const char *change,
                 const char *news);

/* ---- commands ---- */

extern const struct verb cli_spec_verbs[], cli_evaluation_verbs[], cli_build_verbs[],
    cli_agents_verbs[], cli_key_verbs[], cli_cache_verbs[], cli_doctor_verbs[], cli_events_verbs[],
    cli_queue_verbs[], cli_search_verbs[], cli_overview_verbs[];
int cli_build_history(struct cli *cli, int count, char **words); /* verbs in build_about.c */
int cli_build_graph(struct cli *cli, int count, char **words);
int cli_build_reproduce(struct cli *cli, int count, char **words);

extern const struct option cli_agent_options[];
int cli_serve(int argc, char **argv);
int cli_agent(int argc, char **argv);
int cli_completion(int argc, char **argv); /* prints the script of a shell */

/* ---- what installed files and scripts ask for; not in the help ---- */

/* Candidates for the last of WORDS, a line each: "WORD\tHELP"; ":files" asks for files. */
int cli_complete(int count, char **words);
/* A page of the manual, in mdoc(7): "panoply" or the name of a command. */
int cli_manual(int count, char **words);
