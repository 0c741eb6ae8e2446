/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Specifications and their evaluations. */
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "cli/cli.h"

#define SPECIFICATION_MAX (1 << 20) /* bytes of a file */

/* ---- spec ---- */

static int
read_specification(const char *path, struct buf *ret)
{
  struct error err = { 0 };
  if (file_read_all(path, SPECIFICATION_MAX, ret, &err) < 0)
    return cli_fail(CLI_USAGE, &err);
  return CLI_DONE;
}

/* With the ANSWER to a change that has its channels looked at. */
static int
end_change(struct cli *cli, const char *name, json_t *answer, const char *done)
{
  if (cli->no_wait)
    return cli_done(cli, answer, done);
  json_t *specification = NULL;
  json_decref(answer);
  int status = cli_await_look(cli, name, &specification);
  return status == CLI_DONE ? cli_end_look(cli, name, specification, done, NULL) : status;
}

static int
spec_add(struct cli *cli, int count, char **words)
{
  (void) count;
  CLEANUP_BUF struct buf text = { 0 };
  json_t *answer = NULL;
  int status = read_specification(words[0], &text);
  if (status == CLI_DONE)
    status = cli_call(cli, "POST", "/specifications", buf_text(&text), &answer);
  if (status != CLI_DONE)
    return status;
  const char *name = cli_text(cli, json_object_get(answer, "name"));
  return end_change(cli, name, answer, arena_printf(&cli->arena, "added specification %s", name));
}

static int
spec_edit(struct cli *cli, int count, char **words)
{
  CLEANUP_BUF struct buf text = { 0 };
  json_t *answer = NULL;
  int status = read_specification(count > 1 ? words[1] : "/dev/stdin", &text);
  if (status == CLI_DONE)
    status = cli_call(cli, "PUT", cli_path_of(cli, "/specifications/", words[0], ""),
                      buf_text(&text), &answer);
  if (status != CLI_DONE)
    return status;
  return end_change(cli, words[0], answer,
                    arena_printf(&cli->arena, "changed specification %s", words[0]));
}

static int
spec_list(struct cli *cli, int count, char **words)
{
  (void) count;
  (void) words;
  static const struct column columns[] = { { "NAME", "name", COLUMN_NAME },
                                           { "PERIOD", "period_s", COLUMN_TEXT },
                                           { "PAUSED", "paused", COLUMN_TEXT },
                                           { "EVALUATION", "newest_evaluation.id", COLUMN_TEXT },
                                           { "STATE", "newest_evaluation.summary", COLUMN_STATE },
                                           { "JOBS", "newest_evaluation.jobs_count", COLUMN_TEXT },
                                           { "ERRORS", "newest_evaluation.errors_count",
                                             COLUMN_TEXT },
                                           { "FAILURE", "failure", COLUMN_TEXT },
                                           { 0 } };
  return cli_list(cli, "/specifications", columns,
                  "There is no specification yet: add one with 'panoply spec add FILE'.");
}

static int
spec_show(struct cli *cli, int count, char **words)
{
  (void) count;
  return cli_show(cli, cli_path_of(cli, "/specifications/", words[0], ""));
}

static int
spec_delete(struct cli *cli, int count, char **words)
{
  (void) count;
  int status =
      cli_call(cli, "DELETE", cli_path_of(cli, "/specifications/", words[0], ""), NULL, NULL);
  if (status != CLI_DONE)
    return status;
  return cli_done(
      cli, NULL,
      arena_printf(&cli->arena, "deleted specification %s and its evaluations", words[0]));
}

static int64_t
newest_evaluation(const json_t *specification)
{
  const json_t *newest = json_object_get(specification, "newest_evaluation");
  return json_integer_value(json_object_get(newest, "id"));
}

/* Its channels were looked at: is there something new? BEFORE: the newest evaluation. */
static int
tell_news(struct cli *cli, const char *name, int64_t before, json_t *specification)
{
  long long newest = newest_evaluation(specification);
  return cli_end_look(cli, name, specification, NULL,
                      arena_printf(&cli->arena, "looked at its channels: %s evaluation %lld",
                                   newest == before ? "nothing new since" : "made", newest));
}

static int
spec_evaluate(struct cli *cli, int count, char **words)
{
  (void) count;
  const char *path = cli_path_of(cli, "/specifications/", words[0],
                                 cli->force ? "/evaluate?force=yes" : "/evaluate");
  json_t *specification = NULL;
  if (cli->no_wait)
    return cli_action(cli, path, "its channels are being looked at");
  int status = cli_call(cli, "GET", cli_path_of(cli, "/specifications/", words[0], ""), NULL,
                        &specification);
  int64_t before = newest_evaluation(specification);
  json_decref(specification);
  if (status == CLI_DONE)
    status = cli_call(cli, "POST", path, "{}", NULL);
  if (status == CLI_DONE)
    status = cli_await_look(cli, words[0], &specification);
  return status == CLI_DONE ? tell_news(cli, words[0], before, specification) : status;
}

static int
spec_pause(struct cli *cli, int count, char **words)
{
  (void) count;
  return cli_action(cli, cli_path_of(cli, "/specifications/", words[0], "/pause"),
                    "paused: its channels are looked at only when somebody asks");
}

static int
spec_resume(struct cli *cli, int count, char **words)
{
  (void) count;
  return cli_action(cli, cli_path_of(cli, "/specifications/", words[0], "/resume"),
                    "its channels are looked at by its period again");
}

const struct verb cli_spec_verbs[] = {
  { "add", "FILE", CLI_CALL | CLI_NO_WAIT,
    "add the specification in FILE (JSON: doc/specification.md)", 1, 1, spec_add, CLI_WORD_FILE },
  { "list", "", CLI_CALL, "all specifications", 0, 0, spec_list, CLI_WORD_ANY },
  { "show", "NAME", CLI_CALL, "one, with its newest evaluation", 1, 1, spec_show,
    CLI_WORD_SPECIFICATION },
  { "edit", "NAME [FILE]", CLI_CALL | CLI_NO_WAIT,
    "replace its definition by FILE, or standard input", 1, 2, spec_edit, CLI_WORD_SPECIFICATION },
  { "delete", "NAME", CLI_CALL, "delete it and its evaluations; outputs stay", 1, 1, spec_delete,
    CLI_WORD_SPECIFICATION },
  { "evaluate", "NAME", CLI_CALL | CLI_FORCE | CLI_NO_WAIT,
    "look at its channels now; --force: evaluate in any case", 1, 1, spec_evaluate,
    CLI_WORD_SPECIFICATION },
  { "pause", "NAME", CLI_CALL, "look at its channels only when asked to", 1, 1, spec_pause,
    CLI_WORD_SPECIFICATION },
  { "resume", "NAME", CLI_CALL, "look at its channels by its period again", 1, 1, spec_resume,
    CLI_WORD_SPECIFICATION },
  { 0 },
};

/* ---- evaluation ---- */

static int
evaluation_list(struct cli *cli, int count, char **words)
{
  static const struct column columns[] = { { "ID", "id", COLUMN_TEXT },
                                           { "SPECIFICATION", "specification", COLUMN_NAME },
                                           { "STATE", "summary", COLUMN_STATE },
                                           { "JOBS", "jobs_count", COLUMN_TEXT },
                                           { "ERRORS", "errors_count", COLUMN_TEXT },
                                           { "CREATED", "created_at", COLUMN_TIME },
                                           { 0 } };
  const char *path =
      count > 0 ? cli_path_of(cli, "/evaluations?specification=", words[0], "") : "/evaluations";
  return cli_list(cli, path, columns, "There is no evaluation yet.");
}

static int
evaluation_show(struct cli *cli, int count, char **words)
{
  (void) count;
  const char *path = cli_path_of_id(cli, "/evaluations/", words[0], "");
  return path == NULL ? CLI_USAGE : cli_show(cli, path);
}

static int
evaluation_jobs(struct cli *cli, int count, char **words)
{
  (void) count;
  static const struct column columns[] = { { "JOB", "name", COLUMN_NAME },
                                           { "BUILD", "build", COLUMN_TEXT },
                                           { "STATE", "state", COLUMN_STATE },
                                           { 0 } };
  const char *path = cli_path_of_id(cli, "/evaluations/", words[0], "/jobs");
  return path == NULL ? CLI_USAGE : cli_list(cli, path, columns, "It has no such jobs.");
}

/* "against evaluation 11: 3 broken, 1 fixed, 0 failing still, ..." */
static void
print_counts(struct cli *cli, const json_t *answer)
{
  static const char *const names[] = { "broken", "fixed", "failing", "added", "removed" };
  const json_t *against = json_object_get(answer, "against");
  const json_t *counts = json_object_get(answer, "counts");
  if (!json_is_integer(against)) {
    puts("There is no evaluation to compare with.");
    return;
  }
  printf("Against evaluation %s:", cli_text(cli, against));
  for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
    const json_t *count = json_object_get(counts, names[i]);
    printf("%s %s %s", i > 0 ? "," : "", count == NULL ? "-" : cli_text(cli, count), names[i]);
  }
  putchar('\n');
}

static int
evaluation_changes(struct cli *cli, int count, char **words)
{
  (void) count;
  static const struct column columns[] = { { "JOB", "name", COLUMN_NAME },
                                           { "CHANGE", "change", COLUMN_STATE },
                                           { "BUILD", "build", COLUMN_TEXT },
                                           { "STATE", "state", COLUMN_STATE },
                                           { "BEFORE", "state_before", COLUMN_STATE },
                                           { 0 } };
  const char *path = cli_path_of_id(cli, "/evaluations/", words[0], "/changes");
  json_t *answer = NULL;
  int status = path == NULL ? CLI_USAGE : cli_ask_list(cli, path, &answer);
  if (status == CLI_DONE && cli->json)
    cli_print_json(answer);
  else if (status == CLI_DONE) {
    print_counts(cli, answer);
    cli_print_list(cli, answer, columns, "There are no such changes.");
  }
  json_decref(answer);
  return status;
}

static int
evaluation_restart(struct cli *cli, int count, char **words)
{
  (void) count;
  const char *path = cli_path_of_id(cli, "/evaluations/", words[0], "/restart");
  return path == NULL ? CLI_USAGE : cli_action(cli, path, "what failed of it will be built again");
}

static int
evaluation_errors(struct cli *cli, int count, char **words)
{
  (void) count;
  static const struct column columns[] = { { "JOB", "name", COLUMN_NAME },
                                           { "FILE", "file", COLUMN_NAME },
                                           { "LINE", "line", COLUMN_TEXT },
                                           { "MESSAGE", "message", COLUMN_TEXT },
                                           { 0 } };
  const char *path = cli_path_of_id(cli, "/evaluations/", words[0], "/errors");
  return path == NULL ? CLI_USAGE : cli_list(cli, path, columns, "It has no errors.");
}

static int
evaluation_log(struct cli *cli, int count, char **words)
{
  (void) count;
  const char *path =
      cli_path_of_id(cli, "/evaluations/", words[0], cli->follow ? "/log?follow=yes" : "/log");
  return path == NULL ? CLI_USAGE : cli_stream(cli, path);
}

static int
evaluation_cancel(struct cli *cli, int count, char **words)
{
  (void) count;
  const char *path = cli_path_of_id(cli, "/evaluations/", words[0], "/cancel");
  return path == NULL ? CLI_USAGE : cli_action(cli, path, "cancelled");
}

const struct verb cli_evaluation_verbs[] = {
  { "list", "[SPECIFICATION]", CLI_LIST | CLI_STATE, "newest first", 0, 1, evaluation_list,
    CLI_WORD_SPECIFICATION },
  { "show", "ID", CLI_CALL, "one", 1, 1, evaluation_show, CLI_WORD_EVALUATION },
  { "jobs", "ID", CLI_LIST | CLI_STATE | CLI_NAME | CLI_SYSTEM, "what it asked for, by name", 1, 1,
    evaluation_jobs, CLI_WORD_EVALUATION },
  { "changes", "ID", CLI_LIST | CLI_AGAINST | CLI_SHOW | CLI_NAME,
    "what became broken, fixed, new or gone in it", 1, 1, evaluation_changes, CLI_WORD_EVALUATION },
  { "errors", "ID", CLI_LIST, "packages that could not be evaluated", 1, 1, evaluation_errors,
    CLI_WORD_EVALUATION },
  { "log", "ID", CLI_TEXT | CLI_FOLLOW, "Guix's own words", 1, 1, evaluation_log,
    CLI_WORD_EVALUATION },
  { "restart", "ID", CLI_CALL, "build again what failed of it", 1, 1, evaluation_restart,
    CLI_WORD_EVALUATION },
  { "cancel", "ID", CLI_CALL, "stop it", 1, 1, evaluation_cancel, CLI_WORD_EVALUATION },
  { 0 },
};
