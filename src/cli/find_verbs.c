/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What waits, and where something is. */
#include <stdio.h>

#include "cli/cli.h"

/* A table with its TITLE; nothing when there is nothing. Returns how many rows. */
static size_t
print_part(struct cli *cli, const json_t *answer, const char *member, const char *title,
           const struct column *columns)
{
  const json_t *items = json_object_get(answer, member);
  size_t count = json_array_size(items);
  if (count == 0)
    return 0;
  printf("%s:\n", title);
  cli_print_table(cli, columns, items);
  putchar('\n');
  return count;
}

/* ---- queue ---- */

static void
print_queue(struct cli *cli, const json_t *answer)
{
  static const struct column systems[] = {
    { "SYSTEM", "system", COLUMN_TEXT },
    { "WAITING", "waiting_count", COLUMN_TEXT },
    { "RUNNING", "running_count", COLUMN_TEXT },
    { "OLDEST", "waiting_since", COLUMN_TIME },
    { "AGENTS", "agents_count", COLUMN_TEXT },
    { "PLACES", "places", COLUMN_TEXT },
    { 0 },
  };
  static const struct column specifications[] = {
    { "SPECIFICATION", "specification", COLUMN_NAME }, { "EVALUATION", "evaluation", COLUMN_TEXT },
    { "WAITING", "waiting_count", COLUMN_TEXT },       { "RUNNING", "running_count", COLUMN_TEXT },
    { "OLDEST", "waiting_since", COLUMN_TIME },        { 0 },
  };
  size_t count = print_part(cli, answer, "systems", "By system", systems);
  count += print_part(cli, answer, "specifications", "By specification", specifications);
  puts(count == 0 ? "Nothing waits." : "'panoply build list --state waiting' shows the builds.");
}

static int
queue_run(struct cli *cli, int count, char **words)
{
  (void) count;
  (void) words;
  json_t *answer = NULL;
  int status = cli_call(cli, "GET", "/queue", NULL, &answer);
  if (status == CLI_DONE && cli->json)
    cli_print_json(answer);
  else if (status == CLI_DONE)
    print_queue(cli, answer);
  json_decref(answer);
  return status;
}

const struct verb cli_queue_verbs[] = {
  { "", "", CLI_CALL, "What waits, by system and by specification.", 0, 0, queue_run,
    CLI_WORD_ANY },
  { 0 },
};

/* ---- search ---- */

/* 1: nothing was found, as grep has it. */
static int
print_found(struct cli *cli, const json_t *answer)
{
  static const struct column jobs[] = {
    { "JOB", "name", COLUMN_NAME },
    { "SPECIFICATION", "specification", COLUMN_NAME },
    { "EVALUATION", "evaluation", COLUMN_TEXT },
    { "BUILD", "build", COLUMN_TEXT },
    { "STATE", "state", COLUMN_STATE },
    { 0 },
  };
  static const struct column items[] = {
    { "ITEM", "path", COLUMN_NAME },
    { "BUILD", "build", COLUMN_TEXT },
    { "STATE", "state", COLUMN_STATE },
    { "SUBSTITUTE", "available", COLUMN_TEXT },
    { 0 },
  };
  static const struct column commits[] = {
    { "COMMIT", "commit", COLUMN_TEXT },
    { "SUBJECT", "subject", COLUMN_TEXT },
    { "EVALUATION", "evaluation", COLUMN_TEXT },
    { "REPOSITORY", "url", COLUMN_NAME },
    { 0 },
  };
  static const struct column things[] = {
    { "KIND", "kind", COLUMN_TEXT },
    { "ID", "id", COLUMN_TEXT },
    { "NAME", "name", COLUMN_NAME },
    { "STATE", "state", COLUMN_STATE },
    { 0 },
  };
  size_t count = print_part(cli, answer, "jobs", "Jobs", jobs);
  count += print_part(cli, answer, "store_items", "Store items", items);
  count += print_part(cli, answer, "commits", "Commits", commits);
  count += print_part(cli, answer, "things", "By name or number", things);
  if (count > 0)
    return CLI_DONE;
  puts("Nothing fits. Jobs are found by a part of their name, store items by their path or the\n"
       "beginning of its hash, commits by hash or subject.");
  return CLI_FAILED;
}

static int
search_run(struct cli *cli, int count, char **words)
{
  (void) count;
  json_t *answer = NULL;
  int status = cli_call(cli, "GET", cli_path_of(cli, "/search?q=", words[0], ""), NULL, &answer);
  if (status == CLI_DONE && cli->json)
    cli_print_json(answer);
  else if (status == CLI_DONE)
    status = print_found(cli, answer);
  json_decref(answer);
  return status;
}

const struct verb cli_search_verbs[] = {
  { "", "WORD", CLI_CALL, "Jobs, store items, commits and names that fit a word.", 1, 1, search_run,
    CLI_WORD_ANY },
  { 0 },
};
