/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What waits, and where something is. */
#include <stdio.h>

#include "cli/cli.h"
#include "cli/view.h"

/* ---- queue ---- */

static int
print_queue(struct cli *cli, const json_t *answer)
{
  static const struct column systems[] = {
    { "SYSTEM", "system", COLUMN_TEXT, 0 },
    { "WAITING", "waiting_count", COLUMN_TEXT, 0 },
    { "RUNNING", "running_count", COLUMN_TEXT, 0 },
    { "OLDEST", "waiting_since", COLUMN_TIME, 1 },
    { "AGENTS", "agents_count", COLUMN_TEXT, 2 },
    { "PLACES", "places", COLUMN_TEXT, 3 },
    { 0 },
  };
  static const struct column specifications[] = {
    { "SPEC", "specification", COLUMN_NAME, 0 },
    { "EVALUATION", "evaluation", COLUMN_TEXT, 2 },
    { "PRIORITY", "priority", COLUMN_TEXT, 3 },
    { "WAITING", "waiting_count", COLUMN_TEXT, 0 },
    { "RUNNING", "running_count", COLUMN_TEXT, 0 },
    { "OLDEST", "waiting_since", COLUMN_TIME, 1 },
    { 0 },
  };
  static const struct column longest[] = {
    { "BUILD", "build", COLUMN_TEXT, 0 },         { "NAME", "name", COLUMN_NAME, 0 },
    { "SYSTEM", "system", COLUMN_TEXT, 1 },       { "PRIORITY", "priority", COLUMN_TEXT, 2 },
    { "SINCE", "waiting_since", COLUMN_TIME, 0 }, { 0 }
  };
  size_t count = cli_print_section(cli, "By system", systems, json_object_get(answer, "systems"));
  count += cli_print_section(cli, "By specification", specifications,
                             json_object_get(answer, "specifications"));
  count += cli_print_section(cli, "Waiting longest", longest,
                             json_object_get(answer, "waiting_longest"));
  fputs(count == 0 ? "Nothing waits.\n"
                   : "\n'panoply build list --state waiting' shows the builds.\n",
        cli->out);
  return CLI_DONE;
}

static int
queue_run(struct cli *cli, int count, char **words)
{
  (void) count;
  (void) words;
  return cli_show(cli, &(struct cli_view) { .path = "/queue",
                                            .members = "systems:list specifications:list "
                                                       "waiting_longest:list",
                                            .print = print_queue,
                                            .kinds = "build. agent." });
}

const struct verb cli_queue_verbs[] = {
  { "", "", CLI_CALL | CLI_FOLLOW, "What waits, by system and by specification.", 0, 0, queue_run,
    CLI_WORD_ANY },
  { 0 },
};

/* ---- search ---- */

static bool
has_found(const json_t *answer)
{
  static const char *const lists[] = { "jobs", "builds", "store_items", "commits", "things" };
  size_t count = 0;
  for (size_t i = 0; i < ARRAY_SIZE(lists); i++)
    count += json_array_size(json_object_get(answer, lists[i]));
  return count > 0;
}

static void
print_found(struct cli *cli, const json_t *answer)
{
  static const struct column jobs[] = {
    { "JOB", "name", COLUMN_NAME, 0 },
    { "SPEC", "specification", COLUMN_NAME, 0 },
    { "EVALUATION", "evaluation", COLUMN_TEXT, 2 },
    { "BUILD", "build", COLUMN_TEXT, 0 },
    { "STATE", "state", COLUMN_STATE, 0 },
    { 0 },
  };
  static const struct column builds[] = {
    { "ID", "id", COLUMN_TEXT, 0 },
    { "NAME", "name", COLUMN_NAME, 0 },
    { "SYSTEM", "system", COLUMN_TEXT, 1 },
    { "STATE", "state", COLUMN_STATE, 0 },
    { 0 },
  };
  static const struct column items[] = {
    { "ITEM", "path", COLUMN_NAME, 0 },
    { "BUILD", "build", COLUMN_TEXT, 0 },
    { "STATE", "state", COLUMN_STATE, 0 },
    { "SUBSTITUTE", "available", COLUMN_TEXT, 1 },
    { 0 },
  };
  static const struct column commits[] = {
    { "COMMIT", "commit", COLUMN_COMMIT, 0 },
    { "SUBJECT", "subject", COLUMN_PROSE, 0 },
    { "EVALUATION", "evaluation", COLUMN_TEXT, 2 },
    { "REPOSITORY", "url", COLUMN_NAME, 1 },
    { 0 },
  };
  static const struct column things[] = {
    { "KIND", "kind", COLUMN_TEXT, 0 },
    { "ID", "id", COLUMN_TEXT, 0 },
    { "NAME", "name", COLUMN_NAME, 0 },
    { "STATE", "state", COLUMN_STATE, 1 },
    { 0 },
  };
  cli_print_section(cli, "Jobs", jobs, json_object_get(answer, "jobs"));
  cli_print_section(cli, "Other builds", builds, json_object_get(answer, "builds"));
  cli_print_section(cli, "Store items", items, json_object_get(answer, "store_items"));
  cli_print_section(cli, "Commits", commits, json_object_get(answer, "commits"));
  cli_print_section(cli, "By name or number", things, json_object_get(answer, "things"));
}

/* 1: nothing was found, as grep has it. */
static int
search_run(struct cli *cli, int count, char **words)
{
  (void) count;
  json_t *answer = NULL;
  int status = cli_get(cli, cli_path_of(cli, "/search?q=", words[0], ""),
                       "jobs:list builds:list store_items:list commits:list things:list", &answer);
  bool is_found = status == CLI_DONE && has_found(answer);
  if (status == CLI_DONE && cli->json)
    cli_print_json(cli, answer);
  else if (is_found)
    print_found(cli, answer);
  else if (status == CLI_DONE)
    puts("Nothing fits. Jobs and builds are found by a part of their name, store items by their "
         "path or\n"
         "the beginning of its hash, commits by hash or subject.");
  json_decref(answer);
  return status == CLI_DONE && !is_found ? CLI_FAILED : status;
}

const struct verb cli_search_verbs[] = {
  { "", "WORD", CLI_CALL, "Jobs, store items, commits and names that fit a word.", 1, 1, search_run,
    CLI_WORD_ANY },
  { 0 },
};
