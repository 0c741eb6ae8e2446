/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Evaluations. */
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/view.h"

static int
evaluation_list(struct cli *cli, int count, char **words)
{
  static const struct column columns[] = { { "ID", "id", COLUMN_TEXT, 0 },
                                           { "SPEC", "specification", COLUMN_NAME, 0 },
                                           { "STATE", "summary", COLUMN_OUTCOME, 0 },
                                           { "JOBS", "jobs_count", COLUMN_TEXT, 3 },
                                           { "ERRORS", "errors_count", COLUMN_TEXT, 2 },
                                           { "CREATED", "created_at", COLUMN_TIME, 1 },
                                           { 0 } };
  const char *path =
      count > 0 ? cli_path_of(cli, "/evaluations?specification=", words[0], "") : "/evaluations";
  path = cli_with_parameter(cli, path, "outcome", cli->state); /* what the column shows */
  return cli_show(cli, &(struct cli_view) { .path = cli_with_page(cli, path),
                                            .members = "items:list",
                                            .columns = columns,
                                            .empty = "There is no such evaluation.",
                                            .kinds = "evaluation. build." });
}

/* ---- one ---- */

/* Its builds may go on for long; what came of them is told a second or two after the last. */
static bool
is_over(const json_t *evaluation)
{
  const char *outcome = json_string_value(json_object_get(evaluation, "outcome"));
  return json_is_string(json_object_get(evaluation, "finished_at")) && outcome != NULL
         && strcmp(outcome, "building") != 0
         && json_integer_value(cli_member(evaluation, "builds_by_state.waiting")) == 0
         && json_integer_value(cli_member(evaluation, "builds_by_state.running")) == 0;
}

static void
print_next_steps(struct cli *cli, const json_t *evaluation)
{
  const char *id = cli_text(cli, json_object_get(evaluation, "id"));
  fputc('\n', cli->out);
  if (json_integer_value(json_object_get(evaluation, "errors_count")) > 0)
    cli_print_text(cli, arena_printf(&cli->arena,
                                     "'panoply evaluation errors %s' shows what could not be "
                                     "evaluated.",
                                     id));
  cli_print_text(
      cli, strcmp(cli_text(cli, json_object_get(evaluation, "state")), "succeeded") == 0
               ? arena_printf(&cli->arena,
                              "'panoply evaluation changes %s' shows what it broke and "
                              "mended.",
                              id)
               : arena_printf(&cli->arena, "'panoply evaluation log %s' has what Guix said.", id));
}

static int
print_evaluation(struct cli *cli, const json_t *evaluation)
{
  static const struct fact facts[] = {
    { "Asked for", "created_at", COLUMN_TIME },
    { "Ended", "finished_at", COLUMN_TIME },
    { "Jobs", "jobs_count", COLUMN_TEXT },
    { "Errors", "errors_count", COLUMN_TEXT },
    { "Derivations", "derivations_count", COLUMN_TEXT },
    { 0 },
  };
  static const struct column revisions[] = {
    { "CHANNEL", "channel", COLUMN_NAME, 0 },   { "COMMIT", "commit", COLUMN_COMMIT, 0 },
    { "SUBJECT", "subject", COLUMN_PROSE, 0 },  { "AUTHOR", "author", COLUMN_NAME, 2 },
    { "WHEN", "committed_at", COLUMN_TIME, 1 }, { 0 }
  };
  const json_t *message = json_object_get(evaluation, "message");
  const char *builds = cli_counts(cli, json_object_get(evaluation, "builds_by_state"));
  const json_t *ended = json_object_get(evaluation, "finished_at");
  int64_t span = cli_span(json_object_get(evaluation, "started_at"), ended);
  cli_print_headline(cli,
                     arena_printf(&cli->arena, "Evaluation %s of %s",
                                  cli_text(cli, json_object_get(evaluation, "id")),
                                  cli_text(cli, json_object_get(evaluation, "specification"))),
                     cli_text(cli, json_object_get(evaluation, "summary")));
  if (json_string_length(message) > 0)
    cli_print_text(cli, cli_text(cli, message));
  fputc('\n', cli->out);
  cli_print_facts(cli, facts, evaluation);
  if (span >= 0)
    cli_print_fact(cli, json_is_string(ended) ? "Took" : "Runs for", cli_duration(cli, span));
  if (json_is_string(json_object_get(evaluation, "expected_end_at")))
    cli_print_fact(cli, "Ends, likely",
                   cli_moment(cli, json_object_get(evaluation, "expected_end_at")));
  if (builds[0] != '\0')
    cli_print_fact(cli, "Builds", builds);
  cli_print_section(cli, "Commits", revisions, json_object_get(evaluation, "revisions"));
  print_next_steps(cli, evaluation);
  return CLI_DONE;
}

static int
evaluation_show(struct cli *cli, int count, char **words)
{
  (void) count;
  const char *path = cli_path_of_id(cli, "/evaluations/", words[0], "");
  if (path == NULL)
    return CLI_USAGE;
  return cli_show(
      cli, &(struct cli_view) { .path = path,
                                .members = "id:number specification:text state:text outcome:text "
                                           "summary:text builds_by_state:object revisions:list",
                                .print = print_evaluation,
                                .kinds = "evaluation. build.",
                                .is_over = is_over });
}

/* ---- its jobs ---- */

/* A list of evaluation WORD's, with the view's path behind its number. */
static int
show_list(struct cli *cli, const char *word, struct cli_view view)
{
  const char *path = cli_path_of_id(cli, "/evaluations/", word, view.path);
  if (path == NULL)
    return CLI_USAGE;
  view.path = cli_with_filters(cli, path);
  return cli_show(cli, &view);
}

static int
evaluation_jobs(struct cli *cli, int count, char **words)
{
  (void) count;
  static const struct column columns[] = { { "JOB", "name", COLUMN_NAME, 0 },
                                           { "BUILD", "build", COLUMN_TEXT, 0 },
                                           { "STATE", "state", COLUMN_STATE, 0 },
                                           { 0 } };
  return show_list(cli, words[0],
                   (struct cli_view) { .path = "/jobs",
                                       .members = "items:list",
                                       .columns = columns,
                                       .empty = "It has no such jobs." });
}

/* Why there is nothing to tell of it. */
static int
print_not_computed(struct cli *cli, const char *id, const char *state)
{
  bool has_ended = strcmp(state, "failed") == 0 || strcmp(state, "cancelled") == 0;
  cli_print_text(cli,
                 arena_printf(&cli->arena, "Evaluation %s %s%s: it has no jobs to compare%s.", id,
                              strcmp(state, "failed") == 0 ? ""
                              : has_ended                  ? "was "
                                                           : "is ",
                              state, has_ended ? "" : " yet"));
  return CLI_DONE;
}

/* "Against evaluation 11: 3 broken, 1 fixed, 0 failing, ...; 1 new error, 0 gone"; and that no
   job is listed below. */
static int
print_counts(struct cli *cli, const json_t *answer)
{
  const char *state = cli_text(cli, json_object_get(answer, "state"));
  const char *id = cli_text(cli, json_object_get(answer, "evaluation"));
  static const char *const names[] = { "broken", "fixed", "failing", "added", "removed" };
  const json_t *against = json_object_get(answer, "against");
  const json_t *counts = json_object_get(answer, "counts");
  long long added = json_integer_value(json_object_get(answer, "errors_new_count"));
  long long gone = json_integer_value(json_object_get(answer, "errors_gone_count"));
  if (strcmp(state, "succeeded") != 0)
    return print_not_computed(cli, id, state);
  if (!json_is_integer(against)) {
    fputs("There is no evaluation to compare with.\n", cli->out);
    return CLI_DONE;
  }
  const char *line = arena_printf(&cli->arena, "Against evaluation %s:", cli_text(cli, against));
  for (size_t i = 0; i < ARRAY_SIZE(names); i++)
    line = arena_printf(&cli->arena, "%s%s %s %s", line, i > 0 ? "," : "",
                        cli_text(cli, json_object_get(counts, names[i])), names[i]);
  cli_print_text(cli, line);
  if (added + gone > 0)
    cli_print_text(cli, arena_printf(&cli->arena,
                                     "Errors: %lld new, %lld gone: 'panoply evaluation errors %s "
                                     "--show new' (or gone) shows them.",
                                     added, gone, id));
  if (json_array_size(json_object_get(answer, "items")) == 0 && cli->before == NULL)
    cli_print_text(cli, cli->show == NULL && cli->name == NULL ? "No job has changed."
                                                               : "There is no such job.");
  return CLI_DONE;
}

static int
evaluation_changes(struct cli *cli, int count, char **words)
{
  (void) count;
  static const struct column columns[] = { { "JOB", "name", COLUMN_NAME, 0 },
                                           { "CHANGE", "change", COLUMN_STATE, 0 },
                                           { "BUILD", "build", COLUMN_TEXT, 1 },
                                           { "STATE", "state", COLUMN_STATE, 2 },
                                           { "BEFORE", "state_before", COLUMN_STATE, 3 },
                                           { 0 } };
  return show_list(cli, words[0],
                   (struct cli_view) { .path = "/changes",
                                       .members = "state:text counts:object items:list",
                                       .print = print_counts,
                                       .columns = columns });
}

/* ---- commits ---- */

static void
print_channel(struct cli *cli, const json_t *channel)
{
  static const struct column columns[] = { { "COMMIT", "commit", COLUMN_COMMIT, 0 },
                                           { "SUBJECT", "subject", COLUMN_PROSE, 0 },
                                           { "AUTHOR", "author", COLUMN_NAME, 2 },
                                           { "WHEN", "committed_at", COLUMN_TIME, 1 },
                                           { 0 } };
  const json_t *count = json_object_get(channel, "commits_count");
  const json_t *compare = json_object_get(channel, "compare_url");
  const json_t *commits = json_object_get(channel, "commits");
  const json_t *before = json_object_get(channel, "commit_before");
  const char *name = cli_text(cli, json_object_get(channel, "channel"));
  const char *since = cli_value(cli, before, COLUMN_COMMIT);
  const char *title =
      !json_is_string(before)
          ? arena_printf(&cli->arena, "%s, at %s", name,
                         cli_value(cli, json_object_get(channel, "commit"), COLUMN_COMMIT))
      : json_is_integer(count)
          ? arena_printf(&cli->arena, "%s, %s commits since %s", name, cli_text(cli, count), since)
          : arena_printf(&cli->arena, "%s, from %s to %s", name, since,
                         cli_value(cli, json_object_get(channel, "commit"), COLUMN_COMMIT));
  if (cli_print_section(cli, title, columns, commits) == 0)
    fprintf(cli->out, "%s%s.\n", cli->begun ? "\n" : "", title);
  cli->begun = true;
  if (json_is_string(compare))
    fprintf(cli->out, "%s\n", cli_text(cli, compare));
}

static int
print_commits(struct cli *cli, const json_t *answer)
{
  size_t i;
  json_t *channel;
  const json_t *against = json_object_get(answer, "against");
  fprintf(cli->out,
          json_is_integer(against) ? "Against evaluation %s:\n"
                                   : "There is no evaluation to compare with.\n",
          cli_text(cli, against));
  cli->begun = true;
  json_array_foreach(json_object_get(answer, "items"), i, channel) print_channel(cli, channel);
  return CLI_DONE;
}

static int
evaluation_commits(struct cli *cli, int count, char **words)
{
  (void) count;
  return show_list(
      cli, words[0],
      (struct cli_view) { .path = "/commits", .members = "items:list", .print = print_commits });
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
  static const struct column columns[] = {
    { "JOB", "name", COLUMN_NAME, 0 },         { "FILE", "file", COLUMN_NAME, 1 },
    { "LINE", "line", COLUMN_TEXT, 1 },        { "NEW", "new", COLUMN_TEXT, 2 },
    { "MESSAGE", "message", COLUMN_PROSE, 0 }, { 0 }
  };
  return show_list(cli, words[0],
                   (struct cli_view) { .path = "/errors",
                                       .members = "items:list",
                                       .columns = columns,
                                       .empty = cli->show != NULL ? "It has no such errors."
                                                                  : "It has no errors." });
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
  { "list", "[SPECIFICATION]", CLI_LIST | CLI_STATE | CLI_FOLLOW, "newest first", 0, 1,
    evaluation_list, CLI_WORD_SPECIFICATION },
  { "show", "ID", CLI_CALL | CLI_FOLLOW, "one, with its commits and how its builds stand", 1, 1,
    evaluation_show, CLI_WORD_EVALUATION },
  { "jobs", "ID", CLI_LIST | CLI_STATE | CLI_NAME | CLI_SYSTEM, "what it asked for, by name", 1, 1,
    evaluation_jobs, CLI_WORD_EVALUATION },
  { "changes", "ID", CLI_LIST | CLI_AGAINST | CLI_SHOW | CLI_NAME,
    "what became broken, fixed, new or gone in it", 1, 1, evaluation_changes, CLI_WORD_EVALUATION },
  { "commits", "ID", CLI_CALL | CLI_AGAINST, "what came into its channels since the one before", 1,
    1, evaluation_commits, CLI_WORD_EVALUATION },
  { "errors", "ID", CLI_LIST | CLI_AGAINST | CLI_SHOW,
    "what could not be evaluated: packages, or whole files", 1, 1, evaluation_errors,
    CLI_WORD_EVALUATION },
  { "log", "ID", CLI_TEXT | CLI_FOLLOW, "Guix's own words", 1, 1, evaluation_log,
    CLI_WORD_EVALUATION },
  { "restart", "ID", CLI_CALL, "build again what failed of it", 1, 1, evaluation_restart,
    CLI_WORD_EVALUATION },
  { "cancel", "ID", CLI_CALL, "stop it, or what is left of its builds", 1, 1, evaluation_cancel,
    CLI_WORD_EVALUATION },
  { 0 },
};
