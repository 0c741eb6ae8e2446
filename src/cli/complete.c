/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Completion: the scripts of shells are small and ask `panoply complete WORD...`, so that
   what is completed is always what this program takes. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/terminal.h"
#include "cli/view.h"

#define WORDS_MAX 256
#define SERVER_PATIENCE_S 1 /* who presses TAB does not wait */
#define NEWEST "50"         /* of evaluations and builds */

struct completion
{
  struct cli cli;
  const struct command *command;
  const struct verb *verb; /* NULL = not said yet, or a program */
  const char *plain[WORDS_MAX];
  int plain_count;    /* words that are no options, after the command */
  int verb_words;     /* how many of these name the verb */
  struct str current; /* what is being typed */
  struct str glued;   /* "--state=": in front of each candidate */
};

/* ---- candidates ---- */

/* Shells put a candidate into a command line: what means something there, in the name of
   an agent say, is better typed by hand. */
static bool
is_safe(const char *word)
{
  for (const char *c = word; *c != '\0'; c++)
    if (!((*c >= 'a' && *c <= 'z') || (*c >= 'A' && *c <= 'Z') || (*c >= '0' && *c <= '9')
          || strchr("-_./@+,=", *c) != NULL))
      return false;
  return word[0] != '\0';
}

static void
offer(struct completion *completion, const char *word, const char *help)
{
  if (!str_starts(str_of(word), completion->current) || !is_safe(word))
    return;
  printf("%.*s%s\t%s\n", STR_FMT(completion->glued), word,
         terminal_line(&completion->cli.arena, str_of(help)));
}

static void
offer_words(struct completion *completion, const char *list)
{
  struct str rest = str_of(list);
  struct str word;
  while (str_split(&rest, ' ', &word))
    offer(completion, arena_str(&completion->cli.arena, word).data, "");
}

/* ---- what the server has ---- */

/* NULL, and not a word, when it does not answer. */
static json_t *
ask_server(struct cli *cli, const char *path)
{
  json_t *value = NULL;
  struct http_answer answer = { 0 };
  struct http_client *client =
      http_client_new(&(struct http_client_options) { .base_url = cli->url,
                                                      .token = cli->token,
                                                      .connect_timeout_s = SERVER_PATIENCE_S,
                                                      .silence_timeout_s = SERVER_PATIENCE_S });
  const struct http_call call = { .method = "GET",
                                  .path = arena_printf(&cli->arena, HTTP_API "%s", path) };
  if (http_client_expect(client, &call, &answer, NULL) == 0)
    value = json_loadb(answer.body.data, answer.body.size, 0, NULL);
  http_answer_free(&answer);
  http_client_free(client);
  return value;
}

/* What can be named, where it is listed, and which members tell it from others. */
static const struct source
{
  enum cli_word kind;
  const char *path;
  const char *word;
  const char *help[2];
} sources[] = {
  { CLI_WORD_SPECIFICATION, "/specifications", "name", { "failure", NULL } },
  { CLI_WORD_EVALUATION, "/evaluations?limit=" NEWEST, "id", { "specification", "state" } },
  { CLI_WORD_BUILD, "/builds?limit=" NEWEST, "id", { "name", "state" } },
  { CLI_WORD_AGENT, "/agents", "name", { "systems", NULL } },
  { CLI_WORD_TOKEN, "/agents/tokens", "id", { "name", NULL } },
};

static void
offer_item(struct completion *completion, const struct source *source, const json_t *item)
{
  struct cli *cli = &completion->cli;
  const char *help = "";
  for (size_t i = 0; i < ARRAY_SIZE(source->help) && source->help[i] != NULL; i++) {
    const json_t *value = json_object_get(item, source->help[i]);
    if (value != NULL && !json_is_null(value))
      help = arena_printf(&cli->arena, "%s%s%s", help, i > 0 ? " " : "", cli_text(cli, value));
  }
  const json_t *word = json_object_get(item, source->word);
  if (word != NULL)
    offer(completion, cli_text(cli, word), help);
}

static void
offer_things(struct completion *completion, enum cli_word kind)
{
  for (size_t i = 0; i < ARRAY_SIZE(sources); i++) {
    if (sources[i].kind != kind)
      continue;
    size_t j;
    json_t *item;
    json_t *answer = ask_server(&completion->cli, sources[i].path);
    json_array_foreach(json_object_get(answer, "items"), j, item)
        offer_item(completion, &sources[i], item);
    json_decref(answer);
  }
}

static const struct
{
  enum cli_word kind;
  const char *words;
} vocabularies[] = {
  { CLI_WORD_BUILD_STATE, "waiting running succeeded failed dependency-failed cancelled" },
  { CLI_WORD_EVALUATION_STATE, "waiting running building some-failed succeeded failed cancelled" },
  { CLI_WORD_CHANGE, "broken fixed failing added removed changed unfinished waiting running "
                     "succeeded failed dependency-failed cancelled" },
  { CLI_WORD_ERROR, "new gone" },
  { CLI_WORD_SYSTEM, "x86_64-linux i686-linux aarch64-linux armhf-linux powerpc64le-linux "
                     "riscv64-linux i586-gnu x86_64-gnu" },
  { CLI_WORD_SHELL, "bash zsh fish" },
};

const char *
cli_words_of(enum cli_word kind)
{
  for (size_t i = 0; i < ARRAY_SIZE(vocabularies); i++)
    if (vocabularies[i].kind == kind)
      return vocabularies[i].words;
  return NULL;
}

static void
offer_kind(struct completion *completion, enum cli_word kind)
{
  const char *words = cli_words_of(kind);
  if (words != NULL)
    offer_words(completion, words);
  else if (kind == CLI_WORD_FILE)
    puts(":files");
  else
    offer_things(completion, kind);
}

/* ---- options ---- */

static const struct option *
option_table(const struct completion *completion)
{
  return completion->command->verbs != NULL ? cli_options : completion->command->options;
}

static const struct option *
find_option(const struct completion *completion, struct str word)
{
  const struct option *table = option_table(completion);
  return str_starts(word, STR("--")) && table != NULL ? options_find(table, str_from(word, 2))
                                                      : NULL;
}

enum cli_word
cli_kind_of_value(const struct verb *verb, const struct option *option)
{
  static const struct
  {
    const char *placeholder;
    enum cli_word kind;
  } kinds[] = { { "FILE", CLI_WORD_FILE },
                { "DIR", CLI_WORD_FILE },
                { "SYSTEM", CLI_WORD_SYSTEM },
                { "WHAT", CLI_WORD_CHANGE },
                { "ID", CLI_WORD_EVALUATION } };
  if (strcmp(option->name, "agent") == 0)
    return CLI_WORD_AGENT;
  if (strcmp(option->name, "show") == 0 && verb != NULL && strcmp(verb->name, "errors") == 0)
    return CLI_WORD_ERROR;
  if (strcmp(option->name, "state") == 0 && verb != NULL)
    return verb->kind == CLI_WORD_SPECIFICATION ? CLI_WORD_EVALUATION_STATE : CLI_WORD_BUILD_STATE;
  for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
    if (option->placeholder != NULL && strcmp(option->placeholder, kinds[i].placeholder) == 0)
      return kinds[i].kind;
  return CLI_WORD_ANY;
}

/* Those of the verb, or of any verb while none is named. */
static void
offer_options(struct completion *completion)
{
  const struct verb *verbs = completion->command->verbs;
  const struct option *table = option_table(completion);
  unsigned taken = ~0u;
  if (completion->verb != NULL)
    taken = completion->verb->options;
  else if (verbs != NULL)
    for (taken = 0; verbs->name != NULL; verbs++)
      taken |= verbs->options;
  for (size_t i = 0; table != NULL && table[i].name != NULL; i++)
    if (completion->command->verbs == NULL || (taken & 1u << i) != 0)
      offer(completion, arena_printf(&completion->cli.arena, "--%s", table[i].name), table[i].help);
  offer(completion, "--help", "tell what there is");
}

/* ---- words ---- */

/* The next word of the verbs that begin as what was typed: "token", and then "create". */
static void
offer_verbs(struct completion *completion)
{
  const char *last = "";
  for (const struct verb *verb = completion->command->verbs; verb->name != NULL; verb++) {
    struct str rest = str_of(verb->name);
    struct str word;
    int i = 0;
    while (str_split(&rest, ' ', &word) && i < completion->plain_count
           && str_equal(word, str_of(completion->plain[i])))
      i++;
    const char *text = arena_str(&completion->cli.arena, word).data;
    if (i == completion->plain_count && strcmp(text, last) != 0)
      offer(completion, text, rest.data == NULL ? verb->help : "");
    last = text;
  }
}

static void
offer_arguments(struct completion *completion)
{
  const struct verb *verb = completion->verb;
  int place = completion->plain_count - completion->verb_words;
  if (verb->most >= 0 && place >= verb->most)
    return;
  offer_kind(completion, place == 0 ? verb->kind : CLI_WORD_FILE);
}

static void
offer_commands(struct completion *completion)
{
  for (const struct command *command = cli_commands; command->name != NULL; command++)
    offer(completion, command->name, command->help);
  offer(completion, "--help", "tell what there is");
  offer(completion, "--version", "tell the version");
}

/* "--state=fa": the value is completed, and what stands before it stays. */
static bool
offer_glued_value(struct completion *completion)
{
  struct str rest = completion->current;
  struct str name;
  (void) str_split(&rest, '=', &name);
  const struct option *option = find_option(completion, name);
  if (option == NULL || rest.data == NULL)
    return false;
  completion->glued = str_make(completion->current.data, name.size + 1);
  completion->current = rest;
  offer_kind(completion, cli_kind_of_value(completion->verb, option));
  return true;
}

/* BEFORE: the option whose value is being typed, or NULL. */
static void
offer_all(struct completion *completion, const struct option *before)
{
  if (before != NULL)
    offer_kind(completion, cli_kind_of_value(completion->verb, before));
  else if (offer_glued_value(completion))
    return;
  else if (str_starts(completion->current, STR("-")))
    offer_options(completion);
  else if (completion->verb != NULL)
    offer_arguments(completion);
  else if (completion->command->verbs != NULL)
    offer_verbs(completion);
  else if (completion->command->run == cli_completion && completion->plain_count == 0)
    offer_kind(completion, CLI_WORD_SHELL);
}

/* ---- the words so far ---- */

/* bash makes three words of "--state=failed". Returns how many stay. */
static int
join_words(char **words, int count, const char *ret[WORDS_MAX])
{
  int kept = 0;
  for (int i = 0; i < count && kept < WORDS_MAX; i++) {
    bool equals = i > 0 && strcmp(words[i], "=") == 0 && strncmp(words[i - 1], "--", 2) == 0;
    if (!equals)
      ret[kept++] = words[i];
    else if (i == count - 1)
      ret[kept++] = "";
  }
  return kept;
}

/* Sorts the words before the last one; returns the option whose value that one is. */
static const struct option *
read_words(struct completion *completion, const char *const words[], int count)
{
  const struct option *before = NULL;
  for (int i = 1; i < count - 1; i++) {
    struct str word = str_of(words[i]);
    if (before != NULL) {
      before = NULL;
      continue;
    }
    before = find_option(completion, word);
    if (before != NULL && before->type == OPTION_FLAG)
      before = NULL;
    if (!str_starts(word, STR("-")))
      completion->plain[completion->plain_count++] = words[i];
  }
  return before;
}

static void
complete(struct completion *completion, const char *const words[], int count)
{
  completion->current = str_of(words[count - 1]);
  if (count == 1) {
    offer_commands(completion);
    return;
  }
  completion->command = cli_find_command(words[0]);
  if (completion->command == NULL)
    return;
  const struct option *before = read_words(completion, words, count);
  if (completion->command->verbs != NULL)
    completion->verb = cli_find_verb(completion->command->verbs, completion->plain_count,
                                     (char *const *) completion->plain, &completion->verb_words);
  offer_all(completion, before);
}

int
cli_complete(int count, char **words)
{
  const char *joined[WORDS_MAX];
  struct completion completion = { 0 };
  cli_read_environment(&completion.cli);
  count = join_words(words, count, joined);
  if (count > 0)
    complete(&completion, joined, count);
  arena_free(&completion.cli.arena);
  return CLI_DONE;
}

/* ---- scripts ---- */

extern const char completion_bash[], completion_zsh[], completion_fish[];

int
cli_completion(int argc, char **argv)
{
  const struct
  {
    const char *shell;
    const char *script;
  } scripts[] = { { "bash", completion_bash },
                  { "zsh", completion_zsh },
                  { "fish", completion_fish } };
  struct error err = { 0 };
  for (size_t i = 0; argc == 2 && i < ARRAY_SIZE(scripts); i++)
    if (strcmp(argv[1], scripts[i].shell) == 0) {
      fputs(scripts[i].script, stdout);
      return CLI_DONE;
    }
  if (argc == 2 && strcmp(argv[1], "--help") == 0) {
    const struct command *command = cli_find_command(argv[0]);
    printf("Usage: panoply completion bash|zsh|fish\n%s\n", command->description);
    return CLI_DONE;
  }
  error_set(&err, -EINVAL, "usage: panoply completion bash|zsh|fish");
  error_hint(&err, "For this bash: source <(panoply completion bash)");
  return cli_fail(CLI_USAGE, &err);
}
