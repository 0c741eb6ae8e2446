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

#define MEMBER(member) offsetof(struct serve_options, member)

const struct option serve_options_table[] = {
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
  { 0 },
};

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
  const struct option *option = options_find(serve_options_table, str_of(name));
  if (section[0] != '\0')
    file->result = error_set(file->err, -EINVAL, "the file has no sections: [%s]", section);
  else if (option == NULL || strcmp(name, "config") == 0)
    file->result = error_set(file->err, -EINVAL, "there is no option \"%s\"", name);
  else
    file->result =
        option_set(option, arena_str(file->arena, str_of(value)).data, file->options, file->err);
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

static int
read_words(int argc, char **argv, struct serve_options *options, struct error *err)
{
  for (int i = 1; i < argc; i++) {
    const struct option *option;
    int r = options_take(serve_options_table, argc, argv, &i, options, &option, err);
    if (r == 0)
      return error_set(err, -EINVAL, "unexpected argument \"%s\"", argv[i]);
    if (r < 0)
      return r;
  }
  return 0;
}

static void
set_defaults(struct serve_options *options)
{
  *options = (struct serve_options) { 0 };
  options_set_defaults(serve_options_table, options);
}

static int
check_choices(const struct serve_options *options, struct error *err)
{
  if (options->state[0] == '\0')
    return error_set(err, -EINVAL, "--state names no folder");
  if (options->database != NULL && options->database[0] == '\0') {
    error_set(err, -EINVAL, "--database names no database");
    return error_hint(err, "Leave it out for a private one in the state folder.");
  }
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
  if (r == 0 && first.listen.count > 0)
    ret->listen.count = 0;
  if (r == 0)
    r = read_words(argc, argv, ret, err);
  if (r == 0 && ret->listen.count == 0)
    ret->listen.items[ret->listen.count++] = "127.0.0.1:8080";
  return r == 0 ? check_choices(ret, err) : r;
}

void
serve_options_help(FILE *out)
{
  fputs("Usage: panoply serve [OPTION]...\n"
        "Runs the server: pages, API, substitutes, scheduler and evaluator.\n\n",
        out);
  options_print(serve_options_table, out);
  fputs("\nA joining token for agents and an administrator token for the client commands are\n"
        "made at first start: STATE/join-token and STATE/admin-token.\n",
        out);
}
