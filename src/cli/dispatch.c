/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "cli/cli.h"

#define TOKEN_FILE_MAX 4096
#define WORDS_MAX 4096

int
cli_fail(int status, const struct error *err)
{
  fprintf(stderr, "panoply: %s\n", err->message);
  if (err->hint[0] != '\0')
    fprintf(stderr, "  %s\n", err->hint);
  return status;
}

static void
print_usage(FILE *out, const char *command, const struct verb *table)
{
  fprintf(out, "Usage: panoply %s VERB [ARGUMENT]... [OPTION]...\n\n", command);
  for (const struct verb *verb = table; verb->name != NULL; verb++) {
    char left[80];
    snprintf(left, sizeof left, "%s %s", verb->name, verb->arguments);
    fprintf(out, "  %-32s %s\n", left, verb->help);
  }
  fputs("\nOptions:\n"
        "  --url URL            the server [PANOPLY_URL, or http://127.0.0.1:8080]\n"
        "  --token-file FILE    file with the administrator token [or PANOPLY_TOKEN]\n"
        "  --json               print the server's JSON\n"
        "  --state STATE, --limit N    of lists\n",
        out);
}

/* ---- options ---- */

static int
read_token_file(struct cli *cli, const char *path, struct error *err)
{
  CLEANUP_BUF struct buf text = { 0 };
  int r = file_read_all(path, TOKEN_FILE_MAX, &text, err);
  if (r == 0)
    cli->token = arena_printf(&cli->arena, "%.*s", STR_FMT(str_trim(buf_str(&text))));
  return r;
}

static int
set_token_file(struct cli *cli, const char *value, struct error *err)
{
  return read_token_file(cli, value, err);
}

static int
set_url(struct cli *cli, const char *value, struct error *err)
{
  (void) err;
  cli->url = value;
  return 0;
}

static int
set_state(struct cli *cli, const char *value, struct error *err)
{
  (void) err;
  cli->state = value;
  return 0;
}

static int
set_limit(struct cli *cli, const char *value, struct error *err)
{
  int64_t number;
  cli->limit = value;
  if (str_to_i64(str_of(value), &number) < 0 || number < 1 || number > 1000)
    return error_set(err, -EINVAL, "--limit takes a number from 1 to 1000");
  return 0;
}

static const struct
{
  const char *name;
  int (*set)(struct cli *cli, const char *value, struct error *err);
} valued[] = {
  { "--url", set_url },
  { "--token-file", set_token_file },
  { "--state", set_state },
  { "--limit", set_limit },
};

static bool
set_flag(struct cli *cli, const char *word)
{
  const struct
  {
    const char *name;
    bool *flag;
  } flags[] = {
    { "--json", &cli->json },
    { "--follow", &cli->follow },
    { "--dependents", &cli->dependents },
    { "--force", &cli->force },
  };
  for (size_t i = 0; i < ARRAY_SIZE(flags); i++)
    if (strcmp(word, flags[i].name) == 0)
      return *flags[i].flag = true;
  return false;
}

/* 1 = taken, 0 = not an option with a value, negative = wrong. */
static int
take_valued(struct cli *cli, int argc, char **argv, int *index, struct error *err)
{
  struct str rest = str_of(argv[*index]);
  struct str name;
  (void) str_split(&rest, '=', &name);
  for (size_t i = 0; i < ARRAY_SIZE(valued); i++) {
    if (!str_equal(name, str_of(valued[i].name)))
      continue;
    const char *value = rest.data;
    if (value == NULL && *index + 1 < argc)
      value = argv[++*index];
    if (value == NULL)
      return error_set(err, -EINVAL, "%s needs a value", valued[i].name);
    int r = valued[i].set(cli, value, err);
    return r < 0 ? r : 1;
  }
  return 0;
}

/* Takes the options out; the words that stay are in WORDS. */
static int
take_options(struct cli *cli, int argc, char **argv, char **words, int *ret_count,
             struct error *err)
{
  int count = 0;
  for (int i = 1; i < argc; i++) {
    if (argv[i][0] != '-' || argv[i][1] == '\0') {
      if (count < WORDS_MAX)
        words[count++] = argv[i];
      continue;
    }
    int r = set_flag(cli, argv[i]) ? 1 : take_valued(cli, argc, argv, &i, err);
    if (r == 0)
      return error_set(err, -EINVAL, "there is no option %s", argv[i]);
    if (r < 0)
      return r;
  }
  *ret_count = count;
  return 0;
}

/* ---- verbs ---- */

static const struct verb *
find_verb(const struct verb *table, const char *name)
{
  for (const struct verb *verb = table; verb->name != NULL; verb++)
    if (strcmp(verb->name, name) == 0)
      return verb;
  return NULL;
}

static int
run_verb(struct cli *cli, const struct verb *table, int count, char **words, struct error *err)
{
  const struct verb *verb = find_verb(table, count > 0 ? words[0] : "");
  if (verb != NULL && count == 0)
    return verb->run(cli, 0, words);
  if (count == 0)
    error_set(err, -EINVAL, "'panoply %s' needs a verb", cli->command);
  else if (verb == NULL)
    error_set(err, -EINVAL, "'panoply %s' has no verb \"%s\"", cli->command, words[0]);
  else if (count - 1 < verb->least || (verb->most >= 0 && count - 1 > verb->most))
    error_set(err, -EINVAL, "usage: panoply %s %s %s", cli->command, verb->name, verb->arguments);
  else
    return verb->run(cli, count - 1, words + 1);
  error_hint(err, "See 'panoply %s --help'.", cli->command);
  return cli_fail(CLI_USAGE, err);
}

static bool
wants_help(int argc, char **argv)
{
  for (int i = 1; i < argc; i++)
    if (strcmp(argv[i], "--help") == 0)
      return true;
  return false;
}

int
cli_dispatch(const char *command, const struct verb *table, int argc, char **argv)
{
  if (wants_help(argc, argv)) {
    print_usage(stdout, command, table);
    return CLI_DONE;
  }
  struct error err = { 0 };
  struct cli cli = { .command = command,
                     .url = getenv("PANOPLY_URL"),
                     .token = getenv("PANOPLY_TOKEN") };
  if (cli.url == NULL || cli.url[0] == '\0')
    cli.url = "http://127.0.0.1:8080";
  char **words = arena_array(&cli.arena, WORDS_MAX, sizeof *words);
  int count = 0;
  int status = take_options(&cli, argc, argv, words, &count, &err) < 0
                   ? cli_fail(CLI_USAGE, &err)
                   : run_verb(&cli, table, count, words, &err);
  arena_free(&cli.arena);
  return status;
}
