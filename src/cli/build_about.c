/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What is known around a build: how its job went before, what it hangs together with, and how
   others make the same. */
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/terminal.h"
#include "cli/view.h"

/* ---- history ---- */

static const char *
history_sentence(struct cli *cli, const json_t *history)
{
  const char *outcome = json_string_value(json_object_get(history, "outcome"));
  const char *job = cli_text(cli, json_object_get(history, "job"));
  if (!json_is_string(json_object_get(history, "job")))
    return "It is no job of a specification's.";
  if (outcome == NULL)
    return arena_printf(&cli->arena, "No build of the job %s has ended yet.", job);
  return arena_printf(
      &cli->arena, "The job %s of %s %s since evaluation %s%s (%s).", job,
      cli_text(cli, json_object_get(history, "specification")),
      strcmp(outcome, "failed") == 0 ? "fails" : "succeeds",
      cli_text(cli, json_object_get(history, "since_evaluation")),
      json_is_true(json_object_get(history, "perhaps_longer")) ? " or an earlier one" : "",
      cli_moment(cli, json_object_get(history, "outcome_since")));
}

static int
print_history(struct cli *cli, const json_t *history)
{
  cli_print_text(cli, history_sentence(cli, history));
  return CLI_DONE;
}

int
cli_build_history(struct cli *cli, int count, char **words)
{
  (void) count;
  static const struct column columns[] = {
    { "BUILD", "build", COLUMN_TEXT, 0 },        { "NAME", "name", COLUMN_NAME, 1 },
    { "STATE", "state", COLUMN_STATE, 0 },       { "EVALUATION", "evaluation", COLUMN_TEXT, 2 },
    { "CREATED", "created_at", COLUMN_TIME, 3 }, { 0 }
  };
  const char *path = cli_path_of_build(cli, words[0], "/history");
  if (path == NULL)
    return CLI_USAGE;
  return cli_show(cli, &(struct cli_view) { .path = path,
                                            .members = "build:number items:list",
                                            .print = print_history,
                                            .columns = columns,
                                            .empty = "There are no builds of it." });
}

/* ---- graph ---- */

#define STEPS_MAX 4 /* as far as the server looks */

/* One direction of a graph, as an indented list: each build stands once, on one of the shortest
   ways to it. */
struct walk
{
  struct cli *cli;
  const json_t *graph;
  const char *from, *to; /* members of an edge */
  json_t *steps;         /* ids as keys: how far it is to builds that have no row yet */
  json_t *rows;
};

struct id_key
{
  char text[24];
};

static struct id_key
key_of(const json_t *edge, const char *member)
{
  struct id_key key;
  snprintf(key.text, sizeof key.text, "%lld",
           (long long) json_integer_value(json_object_get(edge, member)));
  return key;
}

/* -1 = none is known, or it has a row. */
static json_int_t
steps_to(const struct walk *walk, const char *key)
{
  const json_t *steps = json_object_get(walk->steps, key);
  return steps != NULL ? json_integer_value(steps) : -1;
}

static void
measure(struct walk *walk)
{
  size_t i;
  json_t *edge;
  json_object_set_new(walk->steps, key_of(walk->graph, "build").text, json_integer(0));
  for (int step = 0; step < STEPS_MAX; step++)
    json_array_foreach(json_object_get(walk->graph, "edges"), i, edge)
    {
      struct id_key next = key_of(edge, walk->to);
      if (steps_to(walk, key_of(edge, walk->from).text) == step && steps_to(walk, next.text) < 0)
        json_object_set_new(walk->steps, next.text, json_integer(step + 1));
    }
}

static const json_t *
find_node(const json_t *graph, json_int_t id)
{
  size_t i;
  json_t *node;
  json_array_foreach(json_object_get(graph, "nodes"), i, node)
  {
    if (json_integer_value(json_object_get(node, "id")) == id)
      return node;
  }
  return NULL;
}

static void
add_row(struct walk *walk, const json_t *node, int depth)
{
  struct cli *cli = walk->cli;
  const char *name = cli_text(cli, json_object_get(node, "name"));
  json_t *row = json_copy((json_t *) node);
  json_object_set_new(row, "name",
                      json_string(arena_printf(&cli->arena, "%*s%s", 2 * depth, "", name)));
  json_array_append_new(walk->rows, row);
}

static void
walk_from(struct walk *walk, json_int_t id, int depth)
{
  size_t i;
  json_t *edge;
  json_array_foreach(json_object_get(walk->graph, "edges"), i, edge)
  {
    json_int_t next = json_integer_value(json_object_get(edge, walk->to));
    struct id_key key = key_of(edge, walk->to);
    if (json_integer_value(json_object_get(edge, walk->from)) != id
        || steps_to(walk, key.text) != depth + 1)
      continue;
    const json_t *node = find_node(walk->graph, next);
    json_object_del(walk->steps, key.text);
    if (node == NULL)
      continue;
    add_row(walk, node, depth);
    walk_from(walk, next, depth + 1);
  }
}

/* COUNT: the member that says how many builds are no nodes; MORE: that there are more. */
static void
print_direction(struct cli *cli, const json_t *graph, const char *title, const char *from,
                const char *to, const char *count, const char *more)
{
  static const struct column columns[] = { { "NAME", "name", COLUMN_NAME, 0 },
                                           { "BUILD", "id", COLUMN_TEXT, 0 },
                                           { "STATE", "state", COLUMN_STATE, 0 },
                                           { 0 } };
  struct walk walk = { cli, graph, from, to, json_object(), json_array() };
  measure(&walk);
  walk_from(&walk, json_integer_value(json_object_get(graph, "build")), 0);
  cli_print_section(cli, title, columns, walk.rows);
  json_int_t left_out = json_integer_value(json_object_get(graph, count));
  if (left_out > 0)
    fprintf(cli->out, "(and %lld%s others)\n", (long long) left_out,
            json_is_true(json_object_get(graph, more)) ? " or more" : "");
  json_decref(walk.steps);
  json_decref(walk.rows);
}

static int
print_graph(struct cli *cli, const json_t *graph)
{
  const json_t *node = find_node(graph, json_integer_value(json_object_get(graph, "build")));
  cli_print_headline(cli,
                     arena_printf(&cli->arena, "Build %s, %s",
                                  cli_text(cli, json_object_get(graph, "build")),
                                  cli_text(cli, json_object_get(node, "name"))),
                     cli_text(cli, json_object_get(node, "state")));
  print_direction(cli, graph, "It needs", "dependent", "dependency", "dependencies_left_out_count",
                  "more_dependencies");
  print_direction(cli, graph, "Needed by", "dependency", "dependent", "dependents_left_out_count",
                  "more_dependents");
  return CLI_DONE;
}

int
cli_build_graph(struct cli *cli, int count, char **words)
{
  (void) count;
  const char *path = cli_path_of_build(cli, words[0], "/graph");
  if (path == NULL)
    return CLI_USAGE;
  return cli_show(cli, &(struct cli_view) { .path = path,
                                            .members = "build:number nodes:list edges:list",
                                            .print = print_graph,
                                            .kinds = "build." });
}

/* ---- reproduction ---- */

/* The file that the command behind needs, as one that makes it. */
static int
print_channels(struct cli *cli, struct str text)
{
  fputs("cat > channels.scm <<'EOF'\n", cli->out);
  (void) fflush(cli->out);
  int status = cli_write(text);
  fprintf(cli->out, "%sEOF\n", str_ends(text, STR("\n")) ? "" : "\n");
  return status;
}

/* Fit to be pasted into a shell: what is no command is a comment. */
static int
print_reproduction(struct cli *cli, const json_t *answer)
{
  const char *channels = json_string_value(json_object_get(answer, "channels_scm"));
  const json_t *machine = json_object_get(answer, "time_machine_command");
  fprintf(cli->out, "# The derivation itself, fetched from here:\n%s\n",
          cli_text(cli, json_object_get(answer, "build_command")));
  if (!json_is_string(machine))
    return CLI_DONE;
  fprintf(cli->out, "\n# From the same commits%s:\n",
          json_is_true(json_object_get(answer, "same_guix")) ? ", with the same Guix"
                                                             : "; Guix itself may be another");
  int status = channels != NULL ? print_channels(cli, str_of(channels)) : CLI_DONE;
  if (status == CLI_DONE)
    fprintf(cli->out, "%s\n", cli_text(cli, machine));
  return status;
}

int
cli_build_reproduce(struct cli *cli, int count, char **words)
{
  (void) count;
  const char *path = cli_path_of_build(cli, words[0], "/reproduction");
  if (path == NULL)
    return CLI_USAGE;
  return cli_show(cli, &(struct cli_view) { .path = path,
                                            .members = "build_command:text",
                                            .print = print_reproduction });
}
