/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Follows the server's stream of events (doc/api.md). */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/terminal.h"
#include "cli/view.h"

struct follower
{
  struct cli *cli;
  int64_t left; /* events until the end; -1 = for ever */
};

/* ---- an event as a line ---- */

/* `agent=builder-1`; paths of derivations lose what says nothing to people. */
static void
append_fact(struct cli *cli, struct buf *out, const char *name, const json_t *value)
{
  const char *text = cli_text(cli, value);
  if (text[0] == '\0' || json_is_null(value))
    return;
  if (strcmp(name, "derivation") == 0 && strlen(text) > strlen("/gnu/store/") + 33)
    text += strlen("/gnu/store/") + 33;
  bool spaced = strpbrk(text, " =") != NULL;
  buf_printf(out, " %s=%s%s%s", terminal_line(&cli->arena, str_of(name)), spaced ? "\"" : "", text,
             spaced ? "\"" : "");
}

/* What people look for first. */
static const char *const first_facts[] = { "specification", "evaluation", "derivation", "system",
                                           "agent",         "cause",      "message" };

static bool
is_first(const char *name)
{
  for (size_t i = 0; i < ARRAY_SIZE(first_facts); i++)
    if (strcmp(first_facts[i], name) == 0)
      return true;
  return false;
}

/* The subject says it already: `build` of `build.failed`. */
static bool
is_subject(const json_t *event, const char *name, const json_t *value)
{
  size_t size = strlen(name);
  const char *kind = json_string_value(json_object_get(event, "kind"));
  return kind != NULL && strncmp(kind, name, size) == 0 && kind[size] == '.'
         && json_equal(value, json_object_get(event, "subject"));
}

static void
append_facts(struct cli *cli, struct buf *line, const json_t *event)
{
  const char *name;
  json_t *value;
  json_t *facts = json_object_get(event, "facts");
  for (size_t i = 0; i < ARRAY_SIZE(first_facts); i++)
    if ((value = json_object_get(facts, first_facts[i])) != NULL)
      append_fact(cli, line, first_facts[i], value);
  json_object_foreach(facts, name, value) if (!is_first(name) && !is_subject(event, name, value))
      append_fact(cli, line, name, value);
}

static void
print_event(struct cli *cli, const json_t *event)
{
  CLEANUP_BUF struct buf line = { 0 };
  buf_printf(&line, "%s %s", cli_text(cli, json_object_get(event, "happened_at")),
             cli_text(cli, json_object_get(event, "kind")));
  buf_printf(&line, " %s", cli_text(cli, json_object_get(event, "subject")));
  append_facts(cli, &line, event);
  puts(buf_text(&line));
}

static int
take_event(void *state, struct str data)
{
  struct follower *follower = state;
  struct cli cli = *follower->cli;
  cli.arena = (struct arena) { 0 }; /* or the whole program's would grow for ever */
  json_t *event = json_loadb(data.data, data.size, 0, NULL);
  if (!json_is_object(event)) {
    json_decref(event);
    return -EPROTO;
  }
  if (cli.json)
    cli_print_json_line(&cli, event);
  else
    print_event(&cli, event);
  json_decref(event);
  arena_free(&cli.arena);
  if (follower->left > 0)
    follower->left--;
  if (fflush(stdout) != 0)
    return -errno;
  return follower->left == 0 ? 1 : 0;
}

/* "12-34": as an event's id tells it. */
static bool
is_place(const char *text)
{
  struct str rest = str_of(text);
  struct str first;
  int64_t number;
  bool split = str_split(&rest, '-', &first);
  return split && str_to_i64(first, &number) == 0 && number >= 0 && str_to_i64(rest, &number) == 0
         && number >= 0;
}

static int
check_options(const struct cli *cli)
{
  struct error err = { 0 };
  static const char of_kind[] = "abcdefghijklmnopqrstuvwxyz_.";
  if (cli->since != NULL && !is_place(cli->since)) {
    error_set(&err, -EINVAL, "--since: \"%s\" is no place in the stream", cli->since);
    error_hint(&err, "A place looks like 7310-512; 0-0 is the first event that is kept.");
    return cli_fail(CLI_USAGE, &err);
  }
  if (cli->kind != NULL && cli->kind[strspn(cli->kind, of_kind)] != '\0') {
    error_set(&err, -EINVAL, "--kind: no kind of event begins with \"%s\"", cli->kind);
    error_hint(&err, "Kinds are like build.failed; they begin with specification., evaluation., "
                     "build., attempt. or agent.");
    return cli_fail(CLI_USAGE, &err);
  }
  return CLI_DONE;
}

static int
events_run(struct cli *cli, int count, char **words)
{
  (void) count;
  (void) words;
  struct follower follower = { .cli = cli, .left = cli->limit > 0 ? cli->limit : -1 };
  struct feed feed = { .cli = cli, .kind = cli->kind, .take = take_event, .state = &follower };
  int status = check_options(cli);
  if (status != CLI_DONE)
    return status;
  if (cli->since != NULL)
    buf_append_text(&feed.reached, cli->since);
  status = cli_feed(&feed);
  buf_free(&feed.reached);
  return status;
}

const struct verb cli_events_verbs[] = {
  { "", "", CLI_CALL | CLI_LIMIT | CLI_KIND | CLI_SINCE, "Follows all that happens, a line each.",
    0, 0, events_run, CLI_WORD_ANY },
  { 0 },
};
