/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <assert.h>
#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/options.h"
#include "cli/cli.h"
#include "cli/near.h"
#include "cli/terminal.h"

#define TOKEN_FILE_MAX 4096

int
cli_fail(int status, const struct error *err)
{
  CLEANUP_ARENA struct arena arena = { 0 };
  fprintf(stderr, "panoply: %s\n", terminal_line(&arena, str_of(err->message)));
  if (err->hint[0] != '\0')
    fprintf(stderr, "  %s\n", terminal_line(&arena, str_of(err->hint)));
  return status;
}

/* ---- options ---- */

#define MEMBER(member) offsetof(struct cli, member)

/* In the order of the bits. */
const struct option cli_options[] = {
  { "url", OPTION_TEXT, MEMBER(url), 0, 0, NULL, "URL",
    "the server [PANOPLY_URL, or http://127.0.0.1:8080]" },
  { "token-file", OPTION_TEXT, MEMBER(token_file), 0, 0, NULL, "FILE",
    "file with the administrator token [or PANOPLY_TOKEN]" },
  { "json", OPTION_FLAG, MEMBER(json), 0, 0, "no", NULL, "print the server's JSON" },
  { "limit", OPTION_NUMBER, MEMBER(limit), 1, 1000, NULL, "N",
    "at most so many: of a list 100 unless told, of events all" },
  { "before", OPTION_TEXT, MEMBER(before), 0, 0, NULL, "CURSOR",
    "go on with a list from where it said" },
  { "state", OPTION_TEXT, MEMBER(state), 0, 0, NULL, "STATE", "only those in this state" },
  { "follow", OPTION_FLAG, MEMBER(follow), 0, 0, "no", NULL,
    "go on: a log, or what changes: in place on a terminal, else what is new" },
  { "dependents", OPTION_FLAG, MEMBER(dependents), 0, 0, "no", NULL,
    "and what failed or was cancelled with it" },
  { "force", OPTION_FLAG, MEMBER(force), 0, 0, "no", NULL, "even where there is a reason not to" },
  { "no-wait", OPTION_FLAG, MEMBER(no_wait), 0, 0, "no", NULL,
    "do not wait until its channels were looked at" },
  { "withdraw", OPTION_FLAG, MEMBER(withdraw), 0, 0, "no", NULL,
    "offer it no more, and build it again" },
  { "name", OPTION_TEXT, MEMBER(name), 0, 0, NULL, "TEXT", "only those whose name contains it" },
  { "system", OPTION_TEXT, MEMBER(system), 0, 0, NULL, "SYSTEM",
    "only those for it, x86_64-linux for example" },
  { "evaluation", OPTION_TEXT, MEMBER(evaluation), 0, 0, NULL, "ID",
    "only what this evaluation asked for" },
  { "kind", OPTION_TEXT, MEMBER(kind), 0, 0, NULL, "PREFIX",
    "only kinds that begin so, build. for example" },
  { "since", OPTION_TEXT, MEMBER(since), 0, 0, NULL, "PLACE",
    "begin behind this place in the stream; 0-0: with the first that is kept" },
  { "against", OPTION_TEXT, MEMBER(against), 0, 0, NULL, "ID",
    "compare with this evaluation [the newest before it that succeeded]" },
  { "show", OPTION_TEXT, MEMBER(show), 0, 0, NULL, "WHAT",
    "of changes: broken, fixed, failing, added, removed, changed, unfinished or a state; of "
    "errors: "
    "new or gone" },
  { "attempt", OPTION_NUMBER, MEMBER(attempt), 1, INT64_MAX, NULL, "ATTEMPT",
    "the log of this attempt, as 'build show' lists them [the newest]" },
  { "days", OPTION_NUMBER, MEMBER(days), 1, 3650, NULL, "N", "valid for so long [for ever]" },
  { "agent", OPTION_TEXT, MEMBER(agent), 0, 0, NULL, "NAME", "only what this agent has tried" },
  { 0 },
};
static_assert(CLI_AGENT == 1 << (ARRAY_SIZE(cli_options) - 2), "a bit for each option");

/* Takes the options out; the words that stay are in WORDS, room for ARGC. Returns the bits of
   the options, or -EINVAL. */
static int
take_options(struct cli *cli, int argc, char **argv, char **words, int *ret_count,
             struct error *err)
{
  int count = 0;
  unsigned given = 0;
  for (int i = 1; i < argc; i++) {
    const struct option *option;
    int r = options_take(cli_options, argc, argv, &i, cli, &option, err);
    if (r < 0)
      return r;
    if (r == 1)
      given |= 1u << (option - cli_options);
    else
      words[count++] = argv[i];
  }
  *ret_count = count;
  return (int) given;
}

static int
read_token_file(struct cli *cli, struct error *err)
{
  CLEANUP_BUF struct buf text = { 0 };
  int r = file_read_all(cli->token_file, TOKEN_FILE_MAX, &text, err);
  if (r == 0)
    cli->token = arena_printf(&cli->arena, "%.*s", STR_FMT(str_trim(buf_str(&text))));
  return r;
}

/* ---- help ---- */

/* The space in front of WORD, when there is one. */
static const char *
before(const char *word)
{
  return word[0] != '\0' ? " " : "";
}

#define HELP_COLUMN 34

/* "list [--state STATE]": what a call needs everywhere is told once, below. */
static void
print_verb(const struct verb *verb, FILE *out)
{
  CLEANUP_BUF struct buf left = { 0 };
  buf_printf(&left, "%s%s%s", verb->name, before(verb->arguments), verb->arguments);
  for (size_t i = 0; cli_options[i].name != NULL; i++)
    if ((verb->options & ~(unsigned) CLI_CALL & 1u << i) != 0)
      buf_printf(&left, " [--%s%s%s]", cli_options[i].name,
                 cli_options[i].placeholder != NULL ? " " : "",
                 cli_options[i].placeholder != NULL ? cli_options[i].placeholder : "");
  if (left.size > HELP_COLUMN)
    fprintf(out, "  %s\n  %*s %s\n", buf_text(&left), HELP_COLUMN, "", verb->help);
  else
    fprintf(out, "  %-*s %s\n", HELP_COLUMN, buf_text(&left), verb->help);
}

void
cli_print_usage(const struct command *command, FILE *out)
{
  const struct verb *table = command->verbs;
  bool has_verbs = table->name[0] != '\0';
  unsigned taken = 0;
  fprintf(out, "Usage: panoply %s%s%s [OPTION]...\n%s\n", command->name,
          has_verbs ? " VERB [ARGUMENT]..." : before(table->arguments),
          has_verbs ? "" : table->arguments, has_verbs ? "" : table->help);
  for (const struct verb *verb = table; verb->name != NULL; verb++) {
    if (has_verbs)
      print_verb(verb, out);
    taken |= verb->options;
  }
  fputs("\nOptions:\n", out);
  for (size_t i = 0; cli_options[i].name != NULL; i++)
    if ((taken & 1u << i) != 0)
      option_print(&cli_options[i], out);
  fprintf(out, "\n'man panoply-%s' has examples.\n", command->name);
}

/* ---- verbs ---- */

/* How many of WORDS NAME ("token create") consists of; 0 = they say something else. */
static int
count_words_of(const char *name, int count, char *const *words)
{
  int used = 0;
  struct str rest = str_of(name);
  struct str word;
  while (str_split(&rest, ' ', &word)) {
    if (used == count || !str_equal(word, str_of(words[used])))
      return 0;
    used++;
  }
  return used;
}

const struct verb *
cli_find_verb(const struct verb *table, int count, char *const *words, int *ret_used)
{
  for (const struct verb *verb = table; verb->name != NULL; verb++) {
    *ret_used = verb->name[0] == '\0' ? 0 : count_words_of(verb->name, count, words);
    if (*ret_used > 0 || verb->name[0] == '\0')
      return verb;
  }
  return NULL;
}

/* An empty value is a script's unset variable, and would ask for all. */
static int
check_values(const struct cli *cli, unsigned given, struct error *err)
{
  for (size_t i = 0; cli_options[i].name != NULL; i++) {
    const char *value = "-";
    if ((given & 1u << i) != 0 && cli_options[i].type == OPTION_TEXT)
      memcpy(&value, (const char *) cli + cli_options[i].offset, sizeof value);
    if (value[0] == '\0')
      return error_set(err, -EINVAL, "the value of --%s is empty", cli_options[i].name);
  }
  return 0;
}

/* Refuses options that the verb does not take: one that is passed over in silence
   would be a wish not fulfilled. */
static int
check_options(const struct cli *cli, const struct verb *verb, unsigned given, struct error *err)
{
  for (size_t i = 0; cli_options[i].name != NULL; i++)
    if ((given & ~verb->options & 1u << i) != 0)
      return error_set(err, -EINVAL, "'panoply %s%s%s' takes no --%s", cli->command,
                       before(verb->name), verb->name, cli_options[i].name);
  return 0;
}

/* COUNT: words behind the verb. An empty one is a script's unset variable, and would
   ask for something else. */
static int
check_words(const struct cli *cli, const struct verb *verb, int count, char **words,
            struct error *err)
{
  for (int i = 0; i < count; i++)
    if (words[i][0] == '\0')
      return error_set(err, -EINVAL, "an argument is empty");
  if (count >= verb->least && (verb->most < 0 || count <= verb->most))
    return 0;
  return error_set(err, -EINVAL, "usage: panoply %s%s%s%s%s", cli->command, before(verb->name),
                   verb->name, before(verb->arguments), verb->arguments);
}

/* The verb whose first word is the nearest to what was said, or all that there are. */
static void
hint_verbs(const struct cli *cli, const struct verb *table, const char *word, struct error *err)
{
  CLEANUP_BUF struct buf names = { 0 };
  const struct verb *nearest = NULL;
  size_t distance = NEAR_MOST + 1;
  for (; table->name != NULL; table++) {
    struct str rest = str_of(table->name);
    struct str first;
    str_split(&rest, ' ', &first);
    size_t its = near_distance(str_of(word), first);
    if (its < distance) {
      distance = its;
      nearest = table;
    }
    buf_printf(&names, "%s%s", names.size == 0 ? "" : ", ", table->name);
  }
  if (nearest != NULL)
    error_hint(err, "Did you mean \"%s\"? See 'panoply %s --help'.", nearest->name, cli->command);
  else
    error_hint(err, "Its verbs are %s: see 'panoply %s --help'.", buf_text(&names), cli->command);
}

/* "token" alone is the beginning of several verbs: what could follow? */
static int
refuse_verb(const struct cli *cli, const struct verb *table, const char *word, struct error *err)
{
  CLEANUP_BUF struct buf seconds = { 0 };
  size_t size = strlen(word);
  for (const struct verb *verb = table; verb->name != NULL; verb++)
    if (strncmp(verb->name, word, size) == 0 && verb->name[size] == ' ')
      buf_printf(&seconds, "%s%s", seconds.size == 0 ? "" : ", ", verb->name + size + 1);
  if (seconds.size > 0)
    return error_set(err, -EINVAL, "'panoply %s %s' needs one of: %s", cli->command, word,
                     buf_text(&seconds));
  error_set(err, -EINVAL, "'panoply %s' has no verb \"%s\"", cli->command, word);
  hint_verbs(cli, table, word, err);
  return err->code;
}

/* The verb that the first words name; they are then taken off. A command without verbs
   has one named "". */
static const struct verb *
pick_verb(const struct cli *cli, const struct verb *table, int *count, char ***words,
          struct error *err)
{
  int used;
  const struct verb *verb = cli_find_verb(table, *count, *words, &used);
  if (verb == NULL) {
    if (*count == 0)
      error_set(err, -EINVAL, "'panoply %s' needs a verb", cli->command);
    else
      refuse_verb(cli, table, (*words)[0], err);
    return NULL;
  }
  *words += used;
  *count -= used;
  return verb;
}

static int
run(struct cli *cli, const struct verb *table, int argc, char **argv)
{
  struct error err = { 0 };
  char **words = arena_array(&cli->arena, (size_t) argc, sizeof *words);
  int count = 0;
  int given = take_options(cli, argc, argv, words, &count, &err);
  const struct verb *verb = given < 0 ? NULL : pick_verb(cli, table, &count, &words, &err);
  if (verb != NULL && check_options(cli, verb, (unsigned) given, &err) == 0
      && check_values(cli, (unsigned) given, &err) == 0
      && check_words(cli, verb, count, words, &err) == 0) {
    cli->verb = verb;
    if (cli->token_file == NULL || read_token_file(cli, &err) == 0)
      return verb->run(cli, count, words);
    return cli_fail(CLI_USAGE, &err);
  }
  if (err.hint[0] == '\0')
    error_hint(&err, "See 'panoply %s --help'.", cli->command);
  return cli_fail(CLI_USAGE, &err);
}

static bool
wants_help(int argc, char **argv)
{
  for (int i = 1; i < argc; i++)
    if (strcmp(argv[i], "--help") == 0)
      return true;
  return false;
}

void
cli_read_environment(struct cli *cli)
{
  const char *url = getenv("PANOPLY_URL");
  cli->url = url != NULL && url[0] != '\0' ? url : "http://127.0.0.1:8080";
  cli->token = getenv("PANOPLY_TOKEN");
}

int
cli_dispatch(const struct command *command, int argc, char **argv)
{
  if (wants_help(argc, argv)) {
    cli_print_usage(command, stdout);
    return CLI_DONE;
  }
  struct cli cli = { .command = command->name, .out = stdout };
  cli_read_environment(&cli);
  int status = run(&cli, command->verbs, argc, argv);
  arena_free(&cli.arena);
  return status;
}
