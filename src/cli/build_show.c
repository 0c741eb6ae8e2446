/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A build for people: how it stands, in the words of its page, and what belongs to it. */
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/terminal.h"
#include "cli/view.h"
#include "farm/farm.h"
#include "serve/serve.h"

/* ---- why it waits ---- */

static json_int_t
number_of(const json_t *object, const char *path)
{
  return json_integer_value(cli_member(object, path));
}

/* "; 3 builds go first" */
static const char *
ahead_of(struct cli *cli, const json_t *why)
{
  long long ahead = number_of(why, "ahead_count");
  if (!json_is_integer(cli_member(why, "ahead_count")))
    return "";
  if (ahead == 0)
    return " It is the next.";
  return arena_printf(&cli->arena,
                      ahead == 1 ? " %lld build goes first." : " %lld builds go first.", ahead);
}

static const char *
needs_sentence(struct cli *cli, const json_t *why)
{
  long long count = number_of(why, "missing_count");
  return arena_printf(
      &cli->arena,
      count == 1 ? "It waits for %lld other build." : "It waits for %lld other builds.", count);
}

static const char *
held_up_sentence(struct cli *cli, const json_t *why)
{
  const json_t *first = json_array_get(json_object_get(why, "missing"), 0);
  return arena_printf(&cli->arena,
                      "It cannot go on: it needs build %s, which is %s by no fault of its own. "
                      "'panoply build restart %s', and this goes on.",
                      cli_text(cli, cli_member(first, "id")),
                      cli_text(cli, cli_member(first, "state")),
                      cli_text(cli, cli_member(first, "id")));
}

static const char *
retry_sentence(struct cli *cli, const json_t *why)
{
  const char *when =
      cli_tells_news(cli)
          ? "later"
          : arena_printf(&cli->arena, "in %s", cli_duration(cli, number_of(why, "retry_in_s")));
  return arena_printf(&cli->arena, "It rests after a try that failed, and is tried again %s.",
                      when);
}

static const char *
no_agent_sentence(struct cli *cli, const json_t *why)
{
  return arena_printf(&cli->arena,
                      "No agent builds for %s. Enrol one, and it begins: 'panoply agents token "
                      "create' makes a token for it.",
                      cli_text(cli, cli_member(why, "system")));
}

static const char *
away_sentence(struct cli *cli, const json_t *why)
{
  return arena_printf(&cli->arena,
                      "No agent for %s is connected. 'panoply agents list' shows since when.",
                      cli_text(cli, cli_member(why, "system")));
}

static const char *
paused_sentence(struct cli *cli, const json_t *why)
{
  return arena_printf(&cli->arena,
                      "Each connected agent for %s is paused. 'panoply agents resume NAME', and it "
                      "begins.",
                      cli_text(cli, cli_member(why, "system")));
}

static const char *
busy_sentence(struct cli *cli, const json_t *why)
{
  return arena_printf(&cli->arena, "All agents for %s are busy.%s",
                      cli_text(cli, cli_member(why, "system")), ahead_of(cli, why));
}

static const char *
queue_sentence(struct cli *cli, const json_t *why)
{
  return arena_printf(&cli->arena, "It goes to the next free agent.%s",
                      number_of(why, "ahead_count") > 0 ? ahead_of(cli, why) : "");
}

static const struct
{
  const char *reason;
  const char *(*sentence)(struct cli *cli, const json_t *why);
} reasons[] = {
  { "dependencies", needs_sentence }, { "held-up", held_up_sentence },
  { "retry-pause", retry_sentence },  { "no-agent", no_agent_sentence },
  { "agents-away", away_sentence },   { "agents-paused", paused_sentence },
  { "agents-busy", busy_sentence },   { "queue", queue_sentence },
};

static const char *
waiting_sentence(struct cli *cli, const json_t *why)
{
  const char *reason = json_string_value(json_object_get(why, "reason"));
  for (size_t i = 0; reason != NULL && i < ARRAY_SIZE(reasons); i++)
    if (strcmp(reasons[i].reason, reason) == 0)
      return reasons[i].sentence(cli, why);
  return "It waits; the scheduler cannot be asked why at present.";
}

/* ---- how it ended ---- */

/* The daemon's message says of a builder that failed only that it did. */
static const char *
failed_sentence(struct cli *cli, const json_t *build)
{
  const json_t *last = json_array_get(json_object_get(build, "attempts"), 0);
  const char *cause = json_string_value(json_object_get(last, "cause"));
  const char *message = json_string_value(json_object_get(last, "message"));
  int known = cause != NULL ? farm_cause_parse(str_of(cause)) : FARM_CAUSE_NONE;
  struct cause_words words = cause_words(known < 0 ? FARM_CAUSE_NONE : (enum farm_cause) known);
  if (words.what[0] == '\0')
    return "It failed.";
  if (known == FARM_CAUSE_BUILD || message == NULL || message[0] == '\0')
    return arena_printf(&cli->arena, "%s %s", words.what, words.hint);
  return arena_printf(&cli->arena, "%s (%s.) %s", words.what,
                      terminal_line(&cli->arena, str_of(message)), words.hint);
}

static const char *
end_sentence(struct cli *cli, const json_t *build, const char *state)
{
  const json_t *other = json_object_get(build, "failed_build");
  const char *number = cli_text(cli, other);
  if (strcmp(state, "failed") == 0)
    return failed_sentence(cli, build);
  if (strcmp(state, "dependency-failed") == 0)
    return arena_printf(&cli->arena,
                        "It needs build %s, which failed. When that one succeeds after a restart, "
                        "this is built as well.",
                        number);
  if (strcmp(state, "cancelled") == 0)
    return arena_printf(&cli->arena,
                        "It was cancelled%s%s. It is built when an evaluation wants it again, or "
                        "when it is restarted.",
                        json_is_integer(other) ? " with build " : "",
                        json_is_integer(other) ? number : "");
  return "";
}

static const char *
running_sentence(struct cli *cli, const json_t *build)
{
  const json_t *last = json_array_get(json_object_get(build, "attempts"), 0);
  const char *agent = cli_text(cli, json_object_get(last, "agent"));
  const json_t *since = json_object_get(last, "created_at");
  int64_t span = cli_span(since, NULL);
  if (span < 0)
    return arena_printf(&cli->arena, "%s builds it, since %s.", agent, cli_text(cli, since));
  return arena_printf(&cli->arena, "%s builds it, for %s now.", agent, cli_duration(cli, span));
}

/* ---- the build ---- */

#define BUILD_MEMBERS                                                                      \
  "id:number name:text derivation:text system:text state:text outputs:list attempts:list " \
  "dependencies:list dependents:list jobs:list"

static bool
is_state(const json_t *build, const char *state)
{
  const char *its = json_string_value(json_object_get(build, "state"));
  return its != NULL && strcmp(its, state) == 0;
}

static bool
is_over(const json_t *build)
{
  return !is_state(build, "waiting") && !is_state(build, "running");
}

/* The first line of its log that looks like the error. A log that is gone has none. */
static void
print_error(struct cli *cli, const char *id)
{
  json_t *outline = NULL;
  cli->quiet = true;
  int status = cli_get(cli, arena_printf(&cli->arena, "/builds/%s/log/outline", id),
                       "attempt:number lines_count:number", &outline);
  cli->quiet = false;
  const json_t *line = json_object_get(outline, "error_line");
  if (status == CLI_DONE && json_is_integer(line))
    cli_print_text(cli, arena_printf(&cli->arena, "Line %s of its log: %s", cli_text(cli, line),
                                     cli_text(cli, json_object_get(outline, "error"))));
  cli_print_text(cli, arena_printf(&cli->arena, "'panoply build log %s' has its log.", id));
  json_decref(outline);
}

/* Headline and sentences; WHY: NULL, or the answer of /explain. */
static void
print_standing(struct cli *cli, const json_t *build, const json_t *why)
{
  const char *state = cli_text(cli, json_object_get(build, "state"));
  const char *id = cli_text(cli, json_object_get(build, "id"));
  const char *sentence = is_state(build, "waiting")   ? waiting_sentence(cli, why)
                         : is_state(build, "running") ? running_sentence(cli, build)
                                                      : end_sentence(cli, build, state);
  cli_print_headline(
      cli,
      arena_printf(&cli->arena, "Build %s, %s", id, cli_text(cli, json_object_get(build, "name"))),
      state);
  if (sentence[0] != '\0')
    cli_print_text(cli, sentence);
  if (is_state(build, "failed"))
    print_error(cli, id);
  if (is_state(build, "dependency-failed"))
    cli_print_text(cli,
                   arena_printf(&cli->arena, "'panoply build explain %s' says why that failed.",
                                cli_text(cli, json_object_get(build, "failed_build"))));
}

/* Why a build waits; *RET stays NULL for one that does not. */
static int
ask_why(struct cli *cli, const json_t *build, json_t **ret)
{
  if (!is_state(build, "waiting"))
    return CLI_DONE;
  const char *path =
      arena_printf(&cli->arena, "/builds/%s/explain", cli_text(cli, json_object_get(build, "id")));
  return cli_get(cli, path, "state:text reason:text", ret);
}

static void
print_facts(struct cli *cli, const json_t *build)
{
  static const struct fact facts[] = {
    { "System", "system", COLUMN_TEXT },         { "Wanted", "created_at", COLUMN_TIME },
    { "Ended", "finished_at", COLUMN_TIME },     { "Priority", "priority", COLUMN_TEXT },
    { "Derivation", "derivation", COLUMN_TEXT }, { 0 },
  };
  int64_t limit = number_of(build, "timeout_s");
  int64_t silence = number_of(build, "max_silent_s");
  fputc('\n', cli->out);
  cli_print_facts(cli, facts, build);
  if (limit > 0 || silence > 0)
    cli_print_fact(cli, "Limits",
                   arena_printf(&cli->arena, "%s in all, %s of silence", cli_duration(cli, limit),
                                cli_duration(cli, silence)));
}

static void
print_outputs(struct cli *cli, const json_t *outputs)
{
  size_t i;
  json_t *output;
  if (json_array_size(outputs) > 0)
    fputs("\nOutputs:\n", cli->out);
  json_array_foreach((json_t *) outputs, i, output)
  {
    const json_t *size = json_object_get(output, "nar_size");
    bool offered = json_is_true(json_object_get(output, "available"));
    fprintf(cli->out, "%s  %s%s%s\n", cli_text(cli, json_object_get(output, "path")),
            offered ? "offered" : "not offered", json_is_integer(size) ? ", " : "",
            json_is_integer(size) ? cli_value(cli, size, COLUMN_SIZE) : "");
  }
}

static void
print_attempts(struct cli *cli, const json_t *attempts)
{
  static const struct column columns[] = {
    { "ATTEMPT", "id", COLUMN_TEXT, 3 },
    { "AGENT", "agent", COLUMN_NAME, 0 },
    { "STATE", "state", COLUMN_STATE, 0 },
    { "CAUSE", "cause", COLUMN_TEXT, 2 },
    { "BEGUN", "created_at", COLUMN_TIME, 4 },
    { "TOOK", "took", COLUMN_DURATION, 1 },
    { 0 },
  };
  size_t i;
  json_t *attempt;
  json_t *list = json_deep_copy(attempts);
  json_array_foreach(list, i, attempt)
  {
    int64_t took =
        cli_span(json_object_get(attempt, "started_at"), json_object_get(attempt, "finished_at"));
    if (took >= 0)
      json_object_set_new(attempt, "took", json_integer(took));
  }
  cli_print_section(cli, "Attempts", columns, list);
  json_decref(list);
}

static int
print_build(struct cli *cli, const json_t *build)
{
  static const struct column others[] = { { "ID", "id", COLUMN_TEXT, 0 },
                                          { "NAME", "name", COLUMN_NAME, 0 },
                                          { "STATE", "state", COLUMN_STATE, 0 },
                                          { 0 } };
  static const struct column jobs[] = { { "JOB", "name", COLUMN_NAME, 0 },
                                        { "SPEC", "specification", COLUMN_NAME, 0 },
                                        { "EVALUATION", "evaluation", COLUMN_TEXT, 1 },
                                        { 0 } };
  json_t *why = NULL;
  int status = ask_why(cli, build, &why);
  if (status != CLI_DONE)
    return status;
  print_standing(cli, build, why);
  print_facts(cli, build);
  print_outputs(cli, json_object_get(build, "outputs"));
  print_attempts(cli, json_object_get(build, "attempts"));
  cli_print_section(cli, "Builds that it needs", others, json_object_get(build, "dependencies"));
  cli_print_section(cli, "Builds that need it", others, json_object_get(build, "dependents"));
  cli_print_section(cli, "Jobs that want it, the newest", jobs, json_object_get(build, "jobs"));
  json_decref(why);
  return CLI_DONE;
}

int
cli_show_build(struct cli *cli, const char *path)
{
  return cli_show(cli, &(struct cli_view) { .path = path,
                                            .members = BUILD_MEMBERS,
                                            .print = print_build,
                                            .kinds = "build. attempt. agent.",
                                            .is_over = is_over });
}

/* ---- why ---- */

static void
print_needs(struct cli *cli, const json_t *why)
{
  static const struct column needs[] = { { "BUILD", "id", COLUMN_TEXT, 0 },
                                         { "STATE", "state", COLUMN_STATE, 0 },
                                         { "CAUSE", "cause", COLUMN_TEXT, 1 },
                                         { "NAME", "name", COLUMN_NAME, 0 },
                                         { 0 } };
  static const struct column agents[] = {
    { "AGENT", "name", COLUMN_NAME, 0 },    { "CONNECTED", "connected", COLUMN_TEXT, 1 },
    { "PAUSED", "paused", COLUMN_TEXT, 2 }, { "BUILDS", "running_count", COLUMN_TEXT, 0 },
    { "PLACES", "places", COLUMN_TEXT, 0 }, { 0 }
  };
  cli_print_section(cli, "What is not there yet", needs, json_object_get(why, "missing"));
  cli_print_section(cli, "Agents for its system", agents, json_object_get(why, "agents"));
}

static int
explain_to_people(struct cli *cli, const char *path)
{
  json_t *build = NULL;
  json_t *why = NULL;
  int status = cli_get(cli, path, BUILD_MEMBERS, &build);
  if (status == CLI_DONE)
    status = ask_why(cli, build, &why);
  if (status == CLI_DONE) {
    print_standing(cli, build, why);
    print_needs(cli, why);
  }
  json_decref(build);
  json_decref(why);
  return status;
}

int
cli_explain_build(struct cli *cli, const char *path)
{
  if (!cli->json)
    return explain_to_people(cli, path);
  return cli_show(cli, &(struct cli_view) { .path = arena_printf(&cli->arena, "%s/explain", path),
                                            .members = "state:text reason:text" });
}
