/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Showing what the server answered. */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "cli/cli.h"
#include "cli/terminal.h"
#include "cli/value.h"
#include "cli/view.h"

/* The same JSON, without a byte that a terminal could take for an order. */
static void
print_json(struct cli *cli, const json_t *value, size_t form)
{
  size_t escape = isatty(STDOUT_FILENO) ? JSON_ENSURE_ASCII : 0;
  json_dumpf(value, cli->out, form | JSON_ENCODE_ANY | escape);
  putc('\n', cli->out);
}

void
cli_print_json(struct cli *cli, const json_t *value)
{
  print_json(cli, value, JSON_INDENT(2));
}

void
cli_print_json_line(struct cli *cli, const json_t *value)
{
  print_json(cli, value, JSON_COMPACT);
}

/* ---- values ---- */

static bool
holds_texts_only(const json_t *list)
{
  for (size_t i = 0; i < json_array_size(list); i++)
    if (!json_is_string(json_array_get(list, i)))
      return false;
  return json_array_size(list) > 0;
}

/* One after the other. */
static const char *
join_texts(struct cli *cli, const json_t *list)
{
  CLEANUP_BUF struct buf joined = { 0 };
  for (size_t i = 0; i < json_array_size(list); i++)
    buf_printf(&joined, "%s%s", i > 0 ? " " : "", cli_text(cli, json_array_get(list, i)));
  return arena_str(&cli->arena, buf_str(&joined)).data;
}

const char *
cli_text(struct cli *cli, const json_t *value)
{
  if (value == NULL)
    return "-";
  if (holds_texts_only(value))
    return join_texts(cli, value);
  switch (json_typeof(value)) {
  case JSON_STRING:
    return terminal_line(&cli->arena, str_of(json_string_value(value)));
  case JSON_INTEGER:
    return arena_printf(&cli->arena, "%lld", (long long) json_integer_value(value));
  case JSON_REAL:
    return arena_printf(&cli->arena, "%g", json_real_value(value));
  case JSON_TRUE:
    return "yes";
  case JSON_FALSE:
    return "no";
  case JSON_NULL:
    return "-";
  case JSON_ARRAY:
  case JSON_OBJECT:
    break;
  }
  char *dump = json_dumps(value, JSON_COMPACT);
  const char *text = terminal_line(&cli->arena, str_of(dump));
  free(dump);
  return text;
}

const json_t *
cli_member(const json_t *item, const char *path)
{
  struct str rest = str_of(path);
  struct str part;
  while (item != NULL && str_split(&rest, '.', &part)) {
    char name[64];
    snprintf(name, sizeof name, "%.*s", STR_FMT(part));
    item = json_object_get(item, name);
  }
  return item;
}

bool
cli_is_for_people(void)
{
  return isatty(STDOUT_FILENO) == 1;
}

const char *
cli_value(struct cli *cli, const json_t *value, enum column_kind kind)
{
  const char *text = cli_text(cli, value);
  int64_t then;
  if (!cli_is_for_people())
    return text;
  if (kind == COLUMN_TIME && value_parse_time(str_of(text), &then) == 0)
    return value_ago(&cli->arena, then, clock_now_us() / CLOCK_US_PER_S);
  if (kind == COLUMN_DURATION && json_is_integer(value))
    return value_duration(&cli->arena, json_integer_value(value));
  if (kind == COLUMN_SIZE && json_is_integer(value))
    return value_size(&cli->arena, json_integer_value(value));
  if (kind == COLUMN_COMMIT)
    return arena_printf(&cli->arena, "%.12s", text);
  return text;
}

/* ---- lists ---- */

struct table
cli_make_table(struct cli *cli, const struct column *columns, const json_t *items)
{
  struct table table = { .columns = columns, .rows = json_array_size(items) };
  while (columns[table.columns_count].title != NULL)
    table.columns_count++;
  assert(table.columns_count <= TABLE_COLUMNS_MAX);
  size_t count = table.rows * table.columns_count;
  table.cells = arena_array(&cli->arena, count + 1, sizeof *table.cells);
  for (size_t i = 0; i < count; i++) {
    const struct column *column = &columns[i % table.columns_count];
    const json_t *item = json_array_get(items, i / table.columns_count);
    table.cells[i] = cli_value(cli, cli_member(item, column->path), column->kind);
  }
  return table;
}

void
cli_print_table(struct cli *cli, const struct column *columns, const json_t *items)
{
  CLEANUP_BUF struct buf text = { 0 };
  const struct table_style style = table_style_of_output();
  const struct table table = cli_make_table(cli, columns, items);
  table_write(&table, &style, &text);
  fputs(buf_text(&text), cli->out);
}

const char *
cli_with_parameter(struct cli *cli, const char *path, const char *name, const char *value)
{
  if (value == NULL)
    return path;
  return arena_printf(&cli->arena, "%s%c%s=%s", path, strchr(path, '?') != NULL ? '&' : '?', name,
                      cli_encode(cli, value));
}

const char *
cli_with_page(struct cli *cli, const char *path)
{
  const char *limit =
      cli->limit > 0 ? arena_printf(&cli->arena, "%lld", (long long) cli->limit) : NULL;
  path = cli_with_parameter(cli, path, "before", cli->before);
  return cli_with_parameter(cli, path, "limit", limit);
}

const char *
cli_with_filters(struct cli *cli, const char *path)
{
  path = cli_with_parameter(cli, path, "state", cli->state);
  path = cli_with_parameter(cli, path, "name", cli->name);
  path = cli_with_parameter(cli, path, "system", cli->system);
  path = cli_with_parameter(cli, path, "evaluation", cli->evaluation);
  path = cli_with_parameter(cli, path, "agent", cli->agent);
  path = cli_with_parameter(cli, path, "against", cli->against);
  path = cli_with_parameter(cli, path, "show", cli->show);
  return cli_with_page(cli, path);
}

/* A list goes on with what stands behind `--before`: that there is nothing is no news of the
   whole list. */
void
cli_print_list(struct cli *cli, const json_t *answer, const struct column *columns,
               const char *empty)
{
  const json_t *items = json_object_get(answer, "items");
  const json_t *next = json_object_get(answer, "next");
  bool is_empty = json_array_size(items) == 0, has_next = json_is_string(next);
  if (!is_empty)
    cli_print_table(cli, columns, items);
  else if (!has_next && (cli->before != NULL || empty != NULL))
    fprintf(cli->out, "%s\n", cli->before != NULL ? "There is nothing more." : empty);
  if (has_next)
    fprintf(cli->out, "(%s: go on with --before %s)\n", is_empty ? "none so far" : "there are more",
            cli_text(cli, next));
}
