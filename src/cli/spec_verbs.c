/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Specifications. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "cli/cli.h"
#include "cli/terminal.h"
#include "cli/view.h"
#include "evaluation/evaluation.h"

#define SPECIFICATION_MAX (1 << 20) /* bytes of a file */

#define SPECIFICATION_MEMBERS "name:text definition:object"

/* What is no JSON is told with its place in the file; all else the server knows better. */
static int
read_specification(const char *path, struct buf *ret)
{
  struct error err = { 0 };
  json_error_t where;
  if (file_read_all(path, SPECIFICATION_MAX, ret, &err) < 0) {
    error_hint(&err, "FILE holds a specification as JSON: " SPECIFICATION_GUIDE ".");
    return cli_fail(CLI_USAGE, &err);
  }
  json_t *value = json_loadb(ret->data, ret->size, JSON_REJECT_DUPLICATES, &where);
  if (value == NULL) {
    error_set(&err, -EINVAL, "%s is no JSON: line %d, column %d: %s", path, where.line,
              where.column, where.text);
    error_hint(&err, "Examples: " SPECIFICATION_GUIDE ".");
    return cli_fail(CLI_USAGE, &err);
  }
  json_decref(value);
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
    status = cli_call(cli,
                      &(struct cli_call) { .method = "POST",
                                           .path = "/specifications",
                                           .body = buf_text(&text),
                                           .status = 201,
                                           .members = SPECIFICATION_MEMBERS },
                      &answer);
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
    status =
        cli_call(cli,
                 &(struct cli_call) { .method = "PUT",
                                      .path = cli_path_of(cli, "/specifications/", words[0], ""),
                                      .body = buf_text(&text),
                                      .members = SPECIFICATION_MEMBERS },
                 &answer);
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
  static const struct column columns[] = {
    { "NAME", "name", COLUMN_NAME, 0 },
    { "PERIOD", "period_s", COLUMN_DURATION, 5 },
    { "PAUSED", "paused", COLUMN_TEXT, 4 },
    { "EVALUATION", "newest_evaluation.id", COLUMN_TEXT, 1 },
    { "STATE", "newest_evaluation.summary", COLUMN_OUTCOME, 0 },
    { "JOBS", "newest_evaluation.jobs_count", COLUMN_TEXT, 3 },
    { "ERRORS", "newest_evaluation.errors_count", COLUMN_TEXT, 2 },
    { "FAILURE", "failure", COLUMN_PROSE, 0 },
    { 0 },
  };
  return cli_show(
      cli, &(struct cli_view) {
               .path = cli_with_filters(cli, "/specifications"),
               .members = "items:list",
               .columns = columns,
               .empty = "There is no specification yet: add one with 'panoply spec add FILE'.",
               .kinds = "specification. evaluation." });
}

/* What its definition says beside the channels and what has a line of its own. */
static void
print_definition(struct cli *cli, const json_t *definition)
{
  static const struct column columns[] = { { "CHANNEL", "name", COLUMN_NAME, 0 },
                                           { "BRANCH", "branch", COLUMN_NAME, 0 },
                                           { "URL", "url", COLUMN_NAME, 1 },
                                           { 0 } };
  static const struct column with_pins[] = { { "CHANNEL", "name", COLUMN_NAME, 0 },
                                             { "BRANCH", "branch", COLUMN_NAME, 0 },
                                             { "PINNED", "commit", COLUMN_COMMIT, 2 },
                                             { "URL", "url", COLUMN_NAME, 1 },
                                             { 0 } };
  const json_t *channels = json_object_get(definition, "channels");
  bool is_pinned = false;
  size_t place;
  json_t *channel;
  static const char *const told[] = { "name", "channels", "period", "priority" };
  const char *name;
  json_t *value;
  json_object_foreach((json_t *) definition, name, value)
  {
    bool is_told = false;
    for (size_t i = 0; i < ARRAY_SIZE(told); i++)
      is_told |= strcmp(told[i], name) == 0;
    if (!is_told)
      cli_print_fact(cli, terminal_line(&cli->arena, str_of(name)), cli_text(cli, value));
  }
  json_array_foreach(channels, place, channel) is_pinned |=
      json_is_string(json_object_get(channel, "commit"));
  cli_print_section(cli, "Channels", is_pinned ? with_pins : columns, channels);
}

static int
print_specification(struct cli *cli, const json_t *item)
{
  static const struct fact facts[] = { { "Looked at", "polled_at", COLUMN_TIME },
                                       { "Changed", "changed_at", COLUMN_TIME },
                                       { "Added", "created_at", COLUMN_TIME },
                                       { "Priority", "priority", COLUMN_TEXT },
                                       { 0 } };
  const json_t *failure = json_object_get(item, "failure");
  const json_t *newest = json_object_get(item, "newest_evaluation");
  int64_t period = json_integer_value(json_object_get(item, "period_s"));
  bool paused = json_is_true(json_object_get(item, "paused"));
  const char *name =
      arena_printf(&cli->arena, "Specification %s", cli_text(cli, json_object_get(item, "name")));
  cli_print_headline(cli, name, paused ? "paused" : json_is_string(failure) ? "failed" : "active");
  if (json_is_string(failure))
    cli_print_text(cli, cli_text(cli, failure));
  fputc('\n', cli->out);
  if (json_is_object(newest))
    cli_print_fact(cli, "Newest",
                   arena_printf(&cli->arena, "evaluation %s, %s, %s jobs, %s errors",
                                cli_text(cli, json_object_get(newest, "id")),
                                cli_text(cli, json_object_get(newest, "summary")),
                                cli_text(cli, json_object_get(newest, "jobs_count")),
                                cli_text(cli, json_object_get(newest, "errors_count"))));
  cli_print_fact(cli, "Period",
                 period == 0 ? "only when asked"
                 : !paused   ? cli_duration(cli, period)
                             : arena_printf(&cli->arena, "%s, but only when asked while paused",
                                            cli_duration(cli, period)));
  cli_print_facts(cli, facts, item);
  print_definition(cli, json_object_get(item, "definition"));
  return CLI_DONE;
}

static int
spec_show(struct cli *cli, int count, char **words)
{
  (void) count;
  return cli_show(cli,
                  &(struct cli_view) { .path = cli_path_of(cli, "/specifications/", words[0], ""),
                                       .members = SPECIFICATION_MEMBERS,
                                       .print = print_specification,
                                       .kinds = "specification. evaluation." });
}

static int
spec_delete(struct cli *cli, int count, char **words)
{
  (void) count;
  const struct cli_call call = { .method = "DELETE",
                                 .path = cli_path_of(cli, "/specifications/", words[0], ""),
                                 .status = 204 };
  int status = cli_call(cli, &call, NULL);
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

/* Nothing is new, but what there is did not work: a failure of Guix' own, say, which this
   wish was meant to end. */
static const char *
nothing_new(struct cli *cli, const char *name, const json_t *newest)
{
  const char *state = cli_text(cli, json_object_get(newest, "summary"));
  const char *id = cli_text(cli, json_object_get(newest, "id"));
  bool bad = strcmp(state, "failed") == 0 || strcmp(state, "cancelled") == 0;
  if (!json_is_object(newest))
    return "looked at its channels: there is nothing to evaluate";
  if (!bad)
    return arena_printf(&cli->arena, "looked at its channels: nothing new since evaluation %s", id);
  return arena_printf(&cli->arena,
                      "looked at its channels: nothing new since evaluation %s, which %s\n"
                      "'panoply evaluation log %s' says why; 'panoply spec evaluate %s --force' "
                      "evaluates again",
                      id, strcmp(state, "failed") == 0 ? "failed" : "was cancelled", id, name);
}

/* Its channels were looked at: is there something new? BEFORE: the newest evaluation. */
static int
tell_news(struct cli *cli, const char *name, int64_t before, json_t *specification)
{
  long long newest = newest_evaluation(specification);
  const char *news =
      newest == before
          ? nothing_new(cli, name, json_object_get(specification, "newest_evaluation"))
          : arena_printf(&cli->arena, "looked at its channels: made evaluation %lld", newest);
  return cli_end_look(cli, name, specification, NULL, news);
}

static int
spec_evaluate(struct cli *cli, int count, char **words)
{
  (void) count;
  const struct cli_call call = {
    .method = "POST",
    .path = cli_path_of(cli, "/specifications/", words[0],
                        cli->force ? "/evaluate?force=yes" : "/evaluate"),
    .body = "{}",
    .status = 202,
    .members = "",
  };
  json_t *specification = NULL;
  if (cli->no_wait)
    return cli_action(cli, call.path, "its channels are being looked at");
  int status = cli_get(cli, cli_path_of(cli, "/specifications/", words[0], ""),
                       SPECIFICATION_MEMBERS, &specification);
  int64_t before = newest_evaluation(specification);
  json_decref(specification);
  if (status == CLI_DONE)
    status = cli_call(cli, &call, NULL);
  if (status == CLI_DONE)
    status = cli_await_look(cli, words[0], &specification);
  return status == CLI_DONE ? tell_news(cli, words[0], before, specification) : status;
}

static int
spec_pause(struct cli *cli, int count, char **words)
{
  (void) count;
  return cli_action(cli, cli_path_of(cli, "/specifications/", words[0], "/pause"),
                    "paused: its channels are looked at only when asked");
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
    "add the specification in FILE (JSON: see /help/specification of the server)", 1, 1, spec_add,
    CLI_WORD_FILE },
  { "list", "", CLI_LIST | CLI_FOLLOW, "all specifications", 0, 0, spec_list, CLI_WORD_ANY },
  { "show", "NAME", CLI_CALL | CLI_FOLLOW, "one, with its newest evaluation", 1, 1, spec_show,
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
