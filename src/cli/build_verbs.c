/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Builds. */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/json.h"
#include "cli/cli.h"

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
  int status = cli_call(cli, "POST", "/builds", buf_text(&body), &answer);
  if (status != CLI_DONE)
    return status;
  size_t i;
  json_t *id;
  if (cli->json)
    cli_print_json(answer);
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
  static const struct column columns[] = { { "ID", "id", COLUMN_TEXT },
                                           { "NAME", "name", COLUMN_NAME },
                                           { "SYSTEM", "system", COLUMN_TEXT },
                                           { "STATE", "state", COLUMN_STATE },
                                           { "CREATED", "created_at", COLUMN_TIME },
                                           { "FINISHED", "finished_at", COLUMN_TIME },
                                           { 0 } };
  return cli_list(cli, "/builds", columns, "There are no such builds.");
}

static int
build_show(struct cli *cli, int count, char **words)
{
  (void) count;
  const char *path = cli_path_of_id(cli, "/builds/", words[0], "");
  return path == NULL ? CLI_USAGE : cli_show(cli, path);
}

/* Until a build has begun there is no log to follow. */
static int
await_begin(struct cli *cli, const char *path)
{
  bool waiting = true;
  int status = CLI_DONE;
  while (status == CLI_DONE && waiting) {
    json_t *build = NULL;
    status = cli_call(cli, "GET", path, NULL, &build);
    const char *state = json_string_value(json_object_get(build, "state"));
    waiting = state != NULL && strcmp(state, "waiting") == 0;
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
  const char *build = cli_path_of_id(cli, "/builds/", words[0], "");
  if (build == NULL)
    return CLI_USAGE;
  int status = cli->follow ? await_begin(cli, build) : CLI_DONE;
  if (status != CLI_DONE)
    return status;
  return cli_stream(cli,
                    arena_printf(&cli->arena, "%s/log%s", build, cli->follow ? "?follow=yes" : ""));
}

static int
build_cancel(struct cli *cli, int count, char **words)
{
  (void) count;
  const char *path = cli_path_of_id(cli, "/builds/", words[0], "/cancel");
  return path == NULL ? CLI_USAGE : cli_action(cli, path, "cancelled");
}

static int
build_restart(struct cli *cli, int count, char **words)
{
  (void) count;
  const char *path = cli_path_of_id(cli, "/builds/", words[0],
                                    cli->dependents ? "/restart?dependents=yes" : "/restart");
  return path == NULL ? CLI_USAGE : cli_action(cli, path, "it will be built again");
}

static int
build_explain(struct cli *cli, int count, char **words)
{
  (void) count;
  const char *path = cli_path_of_id(cli, "/builds/", words[0], "/explain");
  return path == NULL ? CLI_USAGE : cli_show(cli, path);
}

const struct verb cli_build_verbs[] = {
  { "submit", "DRV...", CLI_CALL, "build derivations of the server's store", 1, -1, build_submit,
    CLI_WORD_FILE },
  { "list", "", CLI_LIST | CLI_STATE | CLI_NAME | CLI_SYSTEM | CLI_EVALUATION, "newest first", 0, 0,
    build_list, CLI_WORD_ANY },
  { "show", "ID", CLI_CALL, "one, with attempts, outputs, dependencies", 1, 1, build_show,
    CLI_WORD_BUILD },
  { "log", "ID", CLI_TEXT | CLI_FOLLOW, "what the builder printed", 1, 1, build_log,
    CLI_WORD_BUILD },
  { "cancel", "ID", CLI_CALL, "stop it, or do not begin it", 1, 1, build_cancel, CLI_WORD_BUILD },
  { "restart", "ID", CLI_CALL | CLI_DEPENDENTS, "try again what failed", 1, 1, build_restart,
    CLI_WORD_BUILD },
  { "explain", "ID", CLI_CALL, "why it waits", 1, 1, build_explain, CLI_WORD_BUILD },
  { 0 },
};
