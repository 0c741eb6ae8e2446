/* SPDX-License-Identifier: GPL-3.0-or-later */
/* One table says what may be configured: it parses the command line and the
   configuration file, checks, and prints the help. */
#include <errno.h>
#include <ini.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "serve/serve.h"

#ifndef PANOPLY_SCHEME_FOLDER
#define PANOPLY_SCHEME_FOLDER "/usr/local/share/panoply/scheme"
#endif

enum option_type
{
  OPTION_TEXT,
  OPTION_NUMBER,
  OPTION_FLAG,
  OPTION_LIST, /* may be given several times */
};

struct option
{
  const char *name;
  enum option_type type;
  size_t offset; /* of the member in struct serve_options */
  int64_t low, high;
  const char *value; /* default, as a user would write it; NULL = none */
  const char *placeholder;
  const char *help;
};

#define MEMBER(member) offsetof(struct serve_options, member)

static const struct option options_table[] = {
  { "state", OPTION_TEXT, MEMBER(state), 0, 0, "/var/lib/panoply", "DIR",
    "folder for all that lasts: database, nars, logs, keys" },
  { "database", OPTION_TEXT, MEMBER(database), 0, 0, NULL, "URI",
    "PostgreSQL 15 or newer; without it a private one runs in the state folder" },
  { "listen", OPTION_LIST, MEMBER(listen), 0, 0, NULL, "ADDR:PORT",
    "where to answer (may be repeated; unix:PATH too); default 127.0.0.1:8080" },
  { "roles", OPTION_TEXT, MEMBER(roles), 0, 0, "all", "LIST",
    "what this process does: all, or some of web,scheduler,evaluator" },
  { "config", OPTION_TEXT, MEMBER(config), 0, 0, NULL, "FILE",
    "a file with these options, one NAME = VALUE a line" },
  { "store-root", OPTION_TEXT, MEMBER(store_root), 0, 0, "", "DIR",
    "prefix in front of /gnu/store and /var/guix, for evaluating" },
  { "guix", OPTION_TEXT, MEMBER(guix), 0, 0, NULL, "COMMAND",
    "how to run Guix; default guix, or with a store root: chroot DIR guix" },
  { "scheme", OPTION_TEXT, MEMBER(scheme), 0, 0, PANOPLY_SCHEME_FOLDER, "DIR",
    "folder with evaluate.scm" },
  { "host-name", OPTION_TEXT, MEMBER(host_name), 0, 0, NULL, "NAME",
    "name in the signatures of substitutes; default this host's" },
  { "compression", OPTION_TEXT, MEMBER(compression), 0, 0, "gzip", "NAME",
    "second form of nars, for clients without zstd: gzip or lzip" },
  { "evaluations", OPTION_NUMBER, MEMBER(evaluations), 1, 64, "1", "N",
    "evaluations at once; each may take some gigabytes" },
  { "agent-grace", OPTION_NUMBER, MEMBER(agent_grace_s), 5, 86400, "60", "SECONDS",
    "how long a silent agent keeps its builds" },
  { "attempts", OPTION_NUMBER, MEMBER(attempts), 1, 100, "3", "N",
    "tries of a build that failed for reasons not its own" },
  { "threads", OPTION_NUMBER, MEMBER(threads), 1, 64, "2", "N", "threads that answer HTTP" },
  { "no-fsync", OPTION_FLAG, MEMBER(fsync), 0, 0, "yes", NULL,
    "let the private database lose its last seconds on a power cut (tests)" },
  { "verbose", OPTION_FLAG, MEMBER(verbose), 0, 0, "no", NULL, "log more" },
};

static const struct option *
find_option(struct str name)
{
  for (size_t i = 0; i < ARRAY_SIZE(options_table); i++)
    if (str_equal(str_of(options_table[i].name), name))
      return &options_table[i];
  return NULL;
}

/* ---- setting one ---- */

static int
set_number(const struct option *option, const char *value, void *member, struct error *err)
{
  int64_t number;
  if (str_to_i64(str_of(value), &number) < 0 || number < option->low || number > option->high)
    return error_set(err, -EINVAL, "--%s takes a whole number from %lld to %lld, not \"%s\"",
                     option->name, (long long) option->low, (long long) option->high, value);
  *(int64_t *) member = number;
  return 0;
}

/* A flag turns its member's default round: "no-fsync" clears, "verbose" sets. */
static int
set_flag(const struct option *option, const char *value, bool *member, struct error *err)
{
  bool given = strcmp(value, "yes") == 0;
  if (!given && strcmp(value, "no") != 0)
    return error_set(err, -EINVAL, "%s is yes or no, not \"%s\"", option->name, value);
  bool fallback = strcmp(option->value, "yes") == 0;
  *member = given ? !fallback : fallback;
  return 0;
}

static int
append_list(const struct option *option, const char *value, struct serve_options *options,
            struct error *err)
{
  if (options->listen_count == SERVE_LISTEN_MAX)
    return error_set(err, -EINVAL, "--%s may be given at most %d times", option->name,
                     SERVE_LISTEN_MAX);
  options->listen[options->listen_count++] = value;
  return 0;
}

static int
set_option(const struct option *option, const char *value, struct serve_options *options,
           struct error *err)
{
  void *member = (char *) options + option->offset;
  switch (option->type) {
  case OPTION_TEXT:
    *(const char **) member = value;
    return 0;
  case OPTION_NUMBER:
    return set_number(option, value, member, err);
  case OPTION_FLAG:
    return set_flag(option, value, member, err);
  case OPTION_LIST:
    return append_list(option, value, options, err);
  }
  return -EINVAL;
}

static void
set_defaults(struct serve_options *options)
{
  *options = (struct serve_options) { 0 };
  for (size_t i = 0; i < ARRAY_SIZE(options_table); i++) {
    const struct option *option = &options_table[i];
    if (option->type == OPTION_FLAG)
      *(bool *) ((char *) options + option->offset) = strcmp(option->value, "yes") == 0;
    else if (option->value != NULL)
      (void) set_option(option, option->value, options, NULL);
  }
}

/* ---- the configuration file ---- */

struct file
{
  struct arena *arena;
  struct serve_options *options;
  struct error *err;
  int result;
};

/* inih's callback: 1 = go on, 0 = stop. */
static int
on_entry(void *context, const char *section, const char *name, const char *value)
{
  struct file *file = context;
  const struct option *option = find_option(str_of(name));
  if (section[0] != '\0')
    file->result = error_set(file->err, -EINVAL, "the file has no sections: [%s]", section);
  else if (option == NULL || strcmp(name, "config") == 0)
    file->result = error_set(file->err, -EINVAL, "there is no option \"%s\"", name);
  else
    file->result =
        set_option(option, arena_str(file->arena, str_of(value)).data, file->options, file->err);
  return file->result == 0;
}

static int
read_file(const char *path, struct arena *arena, struct serve_options *options, struct error *err)
{
  struct file file = { arena, options, err, 0 };
  int line = ini_parse(path, on_entry, &file);
  if (line < 0)
    return error_set(err, -ENOENT, "cannot read the configuration file %s", path);
  if (file.result < 0)
    return error_prefix(err, "%s, line %d", path, line);
  return line == 0 ? 0 : error_set(err, -EINVAL, "%s, line %d: not NAME = VALUE", path, line);
}

/* ---- the command line ---- */

/* Splits "--name=value"; takes the next word where the value is not attached. */
static int
next_option(int argc, char **argv, int *index, const struct option **ret_option,
            const char **ret_value, struct error *err)
{
  const char *word = argv[*index];
  struct str rest = str_of(word);
  struct str name;
  if (!str_starts(rest, STR("--")))
    return error_set(err, -EINVAL, "unexpected argument \"%s\"", word);
  rest = str_from(rest, 2);
  (void) str_split(&rest, '=', &name);
  *ret_option = find_option(name);
  if (*ret_option == NULL)
    return error_set(err, -EINVAL, "there is no option %s", word);
  *ret_value = rest.data;
  if ((*ret_option)->type == OPTION_FLAG) {
    if (rest.data == NULL)
      *ret_value = "yes";
  } else if (rest.data == NULL) {
    if (*index + 1 >= argc)
      return error_set(err, -EINVAL, "%s needs a value", word);
    *ret_value = argv[++*index];
  }
  return 0;
}

static int
read_words(int argc, char **argv, struct serve_options *options, struct error *err)
{
  for (int i = 1; i < argc; i++) {
    const struct option *option = NULL;
    const char *value = NULL;
    int r = next_option(argc, argv, &i, &option, &value, err);
    if (r == 0)
      r = set_option(option, value, options, err);
    if (r < 0)
      return r;
  }
  return 0;
}

static int
check_choices(const struct serve_options *options, struct error *err)
{
  if (strcmp(options->compression, "gzip") != 0 && strcmp(options->compression, "lzip") != 0)
    return error_set(err, -EINVAL, "--compression is gzip or lzip, not \"%s\"",
                     options->compression);
  struct str rest = str_of(options->roles);
  struct str role;
  while (str_split(&rest, ',', &role))
    if (!str_equal(role, STR("all")) && !str_equal(role, STR("web"))
        && !str_equal(role, STR("scheduler")) && !str_equal(role, STR("evaluator")))
      return error_set(err, -EINVAL, "there is no role \"%.*s\"", STR_FMT(role));
  return 0;
}

int
serve_options_parse(int argc, char **argv, struct arena *arena, struct serve_options *ret,
                    struct error *err)
{
  for (int i = 1; i < argc; i++)
    if (strcmp(argv[i], "--help") == 0) {
      serve_options_help(stdout);
      return 1;
    }
  /* The command line is read twice: once to find --config, then over the file. */
  struct serve_options first;
  set_defaults(&first);
  int r = read_words(argc, argv, &first, err);
  set_defaults(ret);
  if (r == 0 && first.config != NULL)
    r = read_file(first.config, arena, ret, err);
  if (r == 0 && first.listen_count > 0)
    ret->listen_count = 0;
  if (r == 0)
    r = read_words(argc, argv, ret, err);
  if (r == 0 && ret->listen_count == 0)
    ret->listen[ret->listen_count++] = "127.0.0.1:8080";
  return r == 0 ? check_choices(ret, err) : r;
}

void
serve_options_help(FILE *out)
{
  fputs("Usage: panoply serve [OPTION]...\n"
        "Runs the server: pages, API, substitutes, scheduler and evaluator.\n\n",
        out);
  for (size_t i = 0; i < ARRAY_SIZE(options_table); i++) {
    const struct option *option = &options_table[i];
    char left[64];
    snprintf(left, sizeof left, "--%s%s%s", option->name, option->placeholder != NULL ? " " : "",
             option->placeholder != NULL ? option->placeholder : "");
    fprintf(out, "  %-24s %s", left, option->help);
    if (option->value != NULL && option->type != OPTION_FLAG && option->value[0] != '\0')
      fprintf(out, " [%s]", option->value);
    fputc('\n', out);
  }
  fputs("\nA joining token for agents and an administrator token for the client commands are\n"
        "made at first start: STATE/join-token and STATE/admin-token.\n",
        out);
}
