/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What needs attention. */
#include <stdio.h>

#include "cli/cli.h"
#include "cli/view.h"

/* LIST with the name of the first job of each. */
static json_t *
with_examples(struct cli *cli, const json_t *list)
{
  size_t i;
  json_t *item;
  json_t *copy = json_deep_copy(list);
  json_array_foreach(copy, i, item)
  {
    const json_t *first = json_array_get(json_object_get(item, "jobs"), 0);
    json_object_set_new(item, "example",
                        json_string(cli_text(cli, json_object_get(first, "name"))));
  }
  return copy;
}

static size_t
print_attention(struct cli *cli, const json_t *overview)
{
  static const struct column specifications[] = { { "SPEC", "specification", COLUMN_NAME, 0 },
                                                  { "EVALUATION", "evaluation", COLUMN_TEXT, 1 },
                                                  { "LOOK", "failure", COLUMN_PROSE, 0 },
                                                  { "MESSAGE", "message", COLUMN_PROSE, 0 },
                                                  { 0 } };
  static const struct column evaluations[] = { { "EVALUATION", "evaluation", COLUMN_TEXT, 0 },
                                               { "SPEC", "specification", COLUMN_NAME, 0 },
                                               { "AGAINST", "against", COLUMN_TEXT, 3 },
                                               { "NEW ERRORS", "errors_new_count", COLUMN_TEXT, 2 },
                                               { "BUILDS", "summary", COLUMN_PROSE, 0 },
                                               { 0 } };
  static const struct column breakages[] = {
    { "SPEC", "specification", COLUMN_NAME, 0 }, { "SINCE", "evaluation", COLUMN_TEXT, 0 },
    { "WHEN", "created_at", COLUMN_TIME, 1 },    { "JOBS", "jobs_count", COLUMN_TEXT, 0 },
    { "SUCH AS", "example", COLUMN_NAME, 0 },    { 0 }
  };
  static const struct column agents[] = { { "AGENT", "agent", COLUMN_NAME, 0 },
                                          { "SEEN", "seen_at", COLUMN_TIME, 0 },
                                          { 0 } };
  json_t *broken = with_examples(cli, json_object_get(overview, "breakages"));
  size_t count =
      cli_print_section(cli, "Specifications that fail", specifications,
                        json_object_get(overview, "failing_specifications"))
      + cli_print_section(cli, "Jobs that are broken since an evaluation", breakages, broken)
      + cli_print_section(cli, "Evaluations that are worse", evaluations,
                          json_object_get(overview, "worse_evaluations"))
      + cli_print_section(cli, "Agents that are away", agents,
                          json_object_get(overview, "agents_away"));
  json_decref(broken);
  return count;
}

static int
print_overview(struct cli *cli, const json_t *overview)
{
  bool scheduled = json_is_true(json_object_get(overview, "scheduler"));
  const json_t *trouble = json_object_get(overview, "evaluations_trouble");
  bool works = scheduled && !json_is_string(trouble);
  const char *builds = cli_counts(cli, json_object_get(overview, "builds_by_state"));
  if (!scheduled)
    cli_print_text(cli, "No scheduler was active in the last minute: 'panoply doctor' says more.");
  if (json_is_string(trouble))
    cli_print_text(cli,
                   arena_printf(&cli->arena, "Evaluations will fail: %s", cli_text(cli, trouble)));
  cli->begun = !works;
  if (print_attention(cli, overview) == 0 && works)
    cli_print_text(cli, "Nothing needs attention.");
  fputc('\n', cli->out);
  cli_print_fact(cli, "Builds", builds[0] != '\0' ? builds : "none yet");
  cli_print_fact(cli, "Agents",
                 arena_printf(&cli->arena, "%s of %s connected",
                              cli_text(cli, json_object_get(overview, "agents_connected_count")),
                              cli_text(cli, json_object_get(overview, "agents_enrolled_count"))));
  return CLI_DONE;
}

static int
overview_run(struct cli *cli, int count, char **words)
{
  (void) count;
  (void) words;
  return cli_show(
      cli, &(struct cli_view) { .path = "/overview",
                                .members = "scheduler:flag builds_by_state:object "
                                           "failing_specifications:list worse_evaluations:list "
                                           "breakages:list agents_away:list",
                                .print = print_overview,
                                .kinds = "specification. evaluation. build. agent." });
}

const struct verb cli_overview_verbs[] = {
  { "", "", CLI_CALL | CLI_FOLLOW, "What needs attention, the newest first.", 0, 0, overview_run,
    CLI_WORD_ANY },
  { 0 },
};
