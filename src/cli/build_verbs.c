/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Builds. */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/json.h"
#include "cli/cli.h"
#include "cli/view.h"

#define BEGIN_PAUSE_MS 500 /* between looks whether a build has begun */

static int
build_submit(struct cli *cli, int count, char **words)
{
  CLEANUP_BUF struct buf body = { 0 };
  struct json json = json_begin(&body);
  json_object_open(&json);
  json_key(&json, "derivations");
  json_array_open(&json);
  for (int i = 0; i < count; i++)
    json_cstr(&json, words[i]);
  json_array_close(&json);
  json_object_close(&json);
  json_t *answer = NULL;
  const struct cli_call call = { .method = "POST",
                                 .path = "/builds",
                                 .body = buf_text(&body),
                                 .status = 201,
                                 .members = "builds:numbers" };
  int status = cli_call(cli, &call, &answer);
  if (status != CLI_DONE)
    return status;
  size_t i;
  json_t *id;
  if (cli->json)
    cli_print_json(cli, answer);
  else
    json_array_foreach(json_object_get(answer, "builds"), i, id)
    {
      printf("build %s of %s\n", cli_text(cli, id), i < (size_t) count ? words[i] : "");
    }
  json_decref(answer);
  return CLI_DONE;
}

static int
build_list(struct cli *cli, int count, char **words)
{
  (void) count;
  (void) words;
  static const struct column columns[] = { { "ID", "id", COLUMN_TEXT, 0 },
                                           { "NAME", "name", COLUMN_NAME, 0 },
                                           { "SYSTEM", "system", COLUMN_TEXT, 3 },
                                           { "STATE", "state", COLUMN_STATE, 0 },
                                           { "CREATED", "created_at", COLUMN_TIME, 1 },
                                           { "FINISHED", "finished_at", COLUMN_TIME, 2 },
                                           { 0 } };
  return cli_show(cli, &(struct cli_view) { .path = cli_with_filters(cli, "/builds"),
                                            .members = "items:list",
                                            .columns = columns,
                                            .empty = "There are no such builds.",
                                            .kinds = "build." });
}

static int
build_show(struct cli *cli, int count, char **words)
{
  (void) count;
  const char *path = cli_path_of_build(cli, words[0], "");
  return path == NULL ? CLI_USAGE : cli_show_build(cli, path);
}

static int64_t
newest_attempt(const json_t *build)
{
  return json_integer_value(
      cli_member(json_array_get(json_object_get(build, "attempts"), 0), "id"));
}

/* Until a build has begun there is no log to follow. *RET: the attempt that runs: a log that
   is read in two pieces is to be one log; stays as it is when none runs. */
static int
await_begin(struct cli *cli, const char *path, int64_t *ret)
{
  bool waiting = true;
  int status = CLI_DONE;
  while (status == CLI_DONE && waiting) {
    json_t *build = NULL;
    status = cli_get(cli, path, "state:text attempts:list", &build);
    const char *state = json_string_value(json_object_get(build, "state"));
    waiting = state != NULL && strcmp(state, "waiting") == 0;
    if (state != NULL && strcmp(state, "running") == 0)
      *ret = newest_attempt(build);
    json_decref(build);
    if (waiting) {
      cli_show_progress("It has not begun yet ...");
      clock_sleep_ms(BEGIN_PAUSE_MS);
    }
  }
  cli_show_progress("");
  return status;
}

static int
build_log(struct cli *cli, int count, char **words)
{
  (void) count;
  const char *build = cli_path_of_build(cli, words[0], "");
  int64_t attempt = cli->attempt;
  if (build == NULL)
    return CLI_USAGE;
  int status = cli->follow && attempt == 0 ? await_begin(cli, build, &attempt) : CLI_DONE;
  if (status != CLI_DONE)
    return status;
  const char *path =
      arena_printf(&cli->arena, "%s/log?follow=%s", build, cli->follow ? "yes" : "no");
  if (attempt > 0)
    path = arena_printf(&cli->arena, "%s&attempt=%lld", path, (long long) attempt);
  return cli_stream(cli, path);
}

/* The same with each of these builds: one that the server refuses keeps it from none of the
   others, but a word that is no number from all. */
static int
act_on_builds(struct cli *cli, int count, char **words, const char *action, const char *done)
{
  int status = CLI_DONE;
  for (int i = 0; i < count; i++)
    if (cli_path_of_build(cli, words[i], action) == NULL)
      return CLI_USAGE;
  for (int i = 0; i < count && status != CLI_USAGE; i++) {
    int r =
        cli_action(cli, cli_path_of_build(cli, words[i], action),
                   count == 1 ? done : arena_printf(&cli->arena, "build %s: %s", words[i], done));
    status = r != CLI_DONE ? r : status;
  }
  return status;
}

static int
build_cancel(struct cli *cli, int count, char **words)
{
  return act_on_builds(cli, count, words, "/cancel", "cancelled");
}

static int
build_restart(struct cli *cli, int count, char **words)
{
  return act_on_builds(cli, count, words, cli->dependents ? "/restart?dependents=yes" : "/restart",
                       "it will be built again");
}

static int
build_explain(struct cli *cli, int count, char **words)
{
  (void) count;
  const char *path = cli_path_of_build(cli, words[0], "");
  return path == NULL ? CLI_USAGE : cli_explain_build(cli, path);
}

const struct verb cli_build_verbs[] = {
  { "submit", "DRV...", CLI_CALL, "build derivations of the server's store", 1, -1, build_submit,
    CLI_WORD_FILE },
  { "list", "",
    CLI_LIST | CLI_STATE | CLI_NAME | CLI_SYSTEM | CLI_EVALUATION | CLI_AGENT | CLI_FOLLOW,
    "newest first", 0, 0, build_list, CLI_WORD_ANY },
  { "show", "ID", CLI_CALL | CLI_FOLLOW, "one, with attempts, outputs, dependencies", 1, 1,
    build_show, CLI_WORD_BUILD },
  { "history", "ID", CLI_CALL, "how its job went before", 1, 1, cli_build_history, CLI_WORD_BUILD },
  { "graph", "ID", CLI_CALL | CLI_FOLLOW, "what it needs and what needs it, four steps far", 1, 1,
    cli_build_graph, CLI_WORD_BUILD },
  { "reproduce", "ID", CLI_CALL, "commands that make the same elsewhere", 1, 1, cli_build_reproduce,
    CLI_WORD_BUILD },
  { "log", "ID", CLI_TEXT | CLI_FOLLOW | CLI_ATTEMPT, "what the builder printed", 1, 1, build_log,
    CLI_WORD_BUILD },
  { "cancel", "ID...", CLI_CALL, "stop it, or do not begin it", 1, -1, build_cancel,
    CLI_WORD_BUILD },
  { "restart", "ID...", CLI_CALL | CLI_DEPENDENTS, "try again what failed", 1, -1, build_restart,
    CLI_WORD_BUILD },
  { "explain", "ID", CLI_CALL, "why it waits, or how it ended", 1, 1, build_explain,
    CLI_WORD_BUILD },
  { 0 },
};
