/* SPDX-License-Identifier: GPL-3.0-or-later */
/* One thing for people: a headline, sentences, facts, and tables of what belongs to it. */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "cli/cli.h"
#include "cli/terminal.h"
#include "cli/value.h"
#include "cli/view.h"

#define LABEL_WIDTH 14

/* ---- values ---- */

const char *
cli_moment(struct cli *cli, const json_t *value)
{
  const char *text = cli_text(cli, value);
  int64_t then;
  if (!cli_is_for_people() || value_parse_time(str_of(text), &then) < 0)
    return text;
  return arena_printf(&cli->arena, "%s, %.10s %.5s UTC", cli_value(cli, value, COLUMN_TIME), text,
                      text + 11);
}

int64_t
cli_span(const json_t *begin, const json_t *end)
{
  int64_t from, to = clock_now_us() / CLOCK_US_PER_S;
  if (value_parse_time(str_of(json_string_value(begin)), &from) < 0
      || (!json_is_string(end) && !cli_is_for_people())
      || (json_is_string(end) && value_parse_time(str_of(json_string_value(end)), &to) < 0))
    return -1;
  return to > from ? to - from : 0;
}

const char *
cli_duration(struct cli *cli, int64_t seconds)
{
  if (cli_is_for_people())
    return value_duration(&cli->arena, seconds);
  return arena_printf(&cli->arena, "%lld s", (long long) seconds);
}

bool
cli_tells_news(const struct cli *cli)
{
  return cli->follow && !cli_is_for_people();
}

const char *
cli_counts(struct cli *cli, const json_t *counts)
{
  const char *joined = "";
  const char *name;
  json_t *count;
  json_object_foreach((json_t *) counts, name, count)
  {
    if (json_integer_value(count) > 0)
      joined = arena_printf(&cli->arena, "%s%s%lld %s", joined, joined[0] != '\0' ? ", " : "",
                            (long long) json_integer_value(count),
                            terminal_line(&cli->arena, str_of(name)));
  }
  return joined;
}

/* ---- lines ---- */

void
cli_print_headline(struct cli *cli, const char *name, const char *state)
{
  CLEANUP_BUF struct buf line = { 0 };
  buf_printf(&line, "%s: ", name);
  table_write_state(state, table_style_of_output().colours, &line);
  fprintf(cli->out, "%s\n", buf_text(&line));
  cli->begun = true;
}

void
cli_print_text(struct cli *cli, const char *text)
{
  CLEANUP_BUF struct buf lines = { 0 };
  table_write_text(str_of(text), 0, 0, table_style_of_output().width, &lines);
  fputs(buf_text(&lines), cli->out);
}

void
cli_print_fact(struct cli *cli, const char *label, const char *value)
{
  CLEANUP_BUF struct buf line = { 0 };
  buf_printf(&line, "%-*s ", LABEL_WIDTH, label);
  table_write_text(str_of(value), LABEL_WIDTH + 1, LABEL_WIDTH + 1, table_style_of_output().width,
                   &line);
  fputs(buf_text(&line), cli->out);
}

static bool
is_empty(const json_t *value)
{
  return value == NULL || json_is_null(value)
         || (json_is_string(value) && json_string_length(value) == 0)
         || (json_is_array(value) && json_array_size(value) == 0)
         || (json_is_object(value) && json_object_size(value) == 0);
}

void
cli_print_facts(struct cli *cli, const struct fact *facts, const json_t *object)
{
  for (; facts->label != NULL; facts++) {
    const json_t *value = cli_member(object, facts->path);
    if (!is_empty(value))
      cli_print_fact(cli, facts->label,
                     facts->kind == COLUMN_TIME ? cli_moment(cli, value)
                                                : cli_value(cli, value, facts->kind));
  }
}

size_t
cli_print_section(struct cli *cli, const char *title, const struct column *columns,
                  const json_t *items)
{
  if (json_array_size(items) == 0)
    return 0;
  fprintf(cli->out, "%s%s:\n", cli->begun ? "\n" : "", title);
  cli->begun = true;
  cli_print_table(cli, columns, items);
  return json_array_size(items);
}
