/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What needs attention. */
#include <stdio.h>

#include "cli/cli.h"
#include "cli/view.h"

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
                                               { "BROKEN", "broken_count", COLUMN_TEXT, 1 },
                                               { "NEW ERRORS", "errors_new_count", COLUMN_TEXT, 2 },
                                               { "BUILDS", "summary", COLUMN_PROSE, 0 },
                                               { 0 } };
  static const struct column builds[] = {
    { "BUILD", "build", COLUMN_TEXT, 0 },        { "NAME", "name", COLUMN_NAME, 0 },
    { "SPEC", "specification", COLUMN_NAME, 1 }, { "EVALUATION", "evaluation", COLUMN_TEXT, 2 },
    { "FAILED", "finished_at", COLUMN_TIME, 0 }, { 0 }
  };
  static const struct column agents[] = { { "AGENT", "agent", COLUMN_NAME, 0 },
                                          { "SEEN", "seen_at", COLUMN_TIME, 0 },
                                          { 0 } };
  return cli_print_section(cli, "Specifications that fail", specifications,
                           json_object_get(overview, "failing_specifications"))
         + cli_print_section(cli, "Evaluations that broke something", evaluations,
                             json_object_get(overview, "worse_evaluations"))
         + cli_print_section(cli, "Newly broken builds", builds,
                             json_object_get(overview, "broken_builds"))
         + cli_print_section(cli, "Agents that are away", agents,
                             json_object_get(overview, "agents_away"));
}

static int
print_overview(struct cli *cli, const json_t *overview)
{
  bool scheduled = json_is_true(json_object_get(overview, "scheduler"));
  const char *builds = cli_counts(cli, json_object_get(overview, "builds_by_state"));
  if (!scheduled)
    cli_print_text(cli, "No scheduler was active in the last minute: 'panoply doctor' says more.");
  cli->begun = !scheduled;
  if (print_attention(cli, overview) == 0 && scheduled)
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
                                           "broken_builds:list agents_away:list",
                                .print = print_overview,
                                .kinds = "specification. evaluation. build. agent." });
}

const struct verb cli_overview_verbs[] = {
  { "", "", CLI_CALL | CLI_FOLLOW, "What needs attention, the newest first.", 0, 0, overview_run,
    CLI_WORD_ANY },
  { 0 },
};
