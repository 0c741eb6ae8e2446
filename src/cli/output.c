/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Showing what the server answered. */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/terminal.h"

/* The same JSON, without a byte that a terminal could take for an order. */
static void
print_json(const json_t *value, size_t form)
{
  size_t escape = isatty(STDOUT_FILENO) ? JSON_ENSURE_ASCII : 0;
  json_dumpf(value, stdout, form | JSON_ENCODE_ANY | escape);
  putchar('\n');
}

void
cli_print_json(const json_t *value)
{
  print_json(value, JSON_INDENT(2));
}

void
cli_print_json_line(const json_t *value)
{
  print_json(value, JSON_COMPACT);
}

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
  const char *joined = "";
  for (size_t i = 0; i < json_array_size(list); i++)
    joined = arena_printf(&cli->arena, "%s%s%s", joined, i > 0 ? " " : "",
                          cli_text(cli, json_array_get(list, i)));
  return joined;
}

const char *
cli_text(struct cli *cli, const json_t *value)
{
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

/* Follows "build.state" into nested objects; NULL where something is missing. */
static const json_t *
member_at(const json_t *item, const char *path)
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

/* ---- lists ---- */

void
cli_print_table(struct cli *cli, const struct column *columns, const json_t *items)
{
  CLEANUP_BUF struct buf text = { 0 };
  const struct table_style style = table_style_of_output();
  struct table table = { .columns = columns, .rows = json_array_size(items) };
  while (columns[table.columns_count].title != NULL)
    table.columns_count++;
  assert(table.columns_count <= TABLE_COLUMNS_MAX);
  size_t count = table.rows * table.columns_count;
  table.cells = arena_array(&cli->arena, count + 1, sizeof *table.cells);
  for (size_t i = 0; i < count; i++) {
    const json_t *item = json_array_get(items, i / table.columns_count);
    const json_t *value = member_at(item, columns[i % table.columns_count].path);
    table.cells[i] = value == NULL ? "-" : cli_text(cli, value);
  }
  table_write(&table, &style, &text);
  fputs(buf_text(&text), stdout);
}

static const char *
with_parameter(struct cli *cli, const char *path, const char *name, const char *value)
{
  if (value == NULL)
    return path;
  return arena_printf(&cli->arena, "%s%c%s=%s", path, strchr(path, '?') != NULL ? '&' : '?', name,
                      cli_encode(cli, value));
}

static const char *
with_filters(struct cli *cli, const char *path)
{
  const char *limit =
      cli->limit > 0 ? arena_printf(&cli->arena, "%lld", (long long) cli->limit) : NULL;
  path = with_parameter(cli, path, "state", cli->state);
  path = with_parameter(cli, path, "name", cli->name);
  path = with_parameter(cli, path, "system", cli->system);
  path = with_parameter(cli, path, "evaluation", cli->evaluation);
  path = with_parameter(cli, path, "against", cli->against);
  path = with_parameter(cli, path, "show", cli->show);
  path = with_parameter(cli, path, "before", cli->before);
  return with_parameter(cli, path, "limit", limit);
}

int
cli_ask_list(struct cli *cli, const char *path, json_t **ret)
{
  return cli_call(cli, "GET", with_filters(cli, path), NULL, ret);
}

void
cli_print_list(struct cli *cli, const json_t *answer, const struct column *columns,
               const char *empty)
{
  const json_t *items = json_object_get(answer, "items");
  const json_t *next = json_object_get(answer, "next");
  if (json_array_size(items) == 0) {
    puts(empty);
    return;
  }
  cli_print_table(cli, columns, items);
  if (json_is_string(next))
    printf("(there are more: go on with --before %s)\n", cli_text(cli, next));
}

int
cli_list(struct cli *cli, const char *path, const struct column *columns, const char *empty)
{
  json_t *answer = NULL;
  int status = cli_ask_list(cli, path, &answer);
  if (status != CLI_DONE)
    return status;
  if (cli->json)
    cli_print_json(answer);
  else
    cli_print_list(cli, answer, columns, empty);
  json_decref(answer);
  return CLI_DONE;
}

/* ---- one thing ---- */

/* The value of a member called NAME ("state", "build.state") for people. */
static const char *
member_text(struct cli *cli, const char *name, const json_t *value)
{
  CLEANUP_BUF struct buf text = { 0 };
  if (!str_ends(str_of(name), STR("state")))
    return cli_text(cli, value);
  table_write_state(cli_text(cli, value), table_style_of_output().colours, &text);
  return arena_printf(&cli->arena, "%s", buf_text(&text));
}

static void
print_items(struct cli *cli, const char *key, const json_t *list)
{
  size_t i;
  json_t *item;
  printf("%s:\n", terminal_line(&cli->arena, str_of(key)));
  json_array_foreach((json_t *) list, i, item)
  {
    const char *name;
    json_t *member;
    const char *separator = "  - ";
    json_object_foreach(item, name, member)
    {
      if (json_is_null(member) || (json_is_string(member) && json_string_length(member) == 0))
        continue;
      printf("%s%s: %s", separator, terminal_line(&cli->arena, str_of(name)),
             member_text(cli, name, member));
      separator = ", ";
    }
    putchar('\n');
  }
}

/* A member of a member is named "builds.failed". As deep as jansson reads. */
static void
print_members(struct cli *cli, const char *prefix, const json_t *object)
{
  const char *name;
  json_t *value;
  json_object_foreach((json_t *) object, name, value)
  {
    const char *key = arena_printf(&cli->arena, "%s%s", prefix, name);
    if (json_object_size(value) > 0)
      print_members(cli, arena_printf(&cli->arena, "%s.", key), value);
    else if (json_is_array(value) && json_is_object(json_array_get(value, 0)))
      print_items(cli, key, value);
    else if (json_is_object(value) || (json_is_array(value) && json_array_size(value) == 0))
      printf("%-16s -\n", terminal_line(&cli->arena, str_of(key)));
    else
      printf("%-16s %s\n", terminal_line(&cli->arena, str_of(key)), member_text(cli, name, value));
  }
}

int
cli_show(struct cli *cli, const char *path)
{
  json_t *answer = NULL;
  int status = cli_call(cli, "GET", path, NULL, &answer);
  if (status != CLI_DONE)
    return status;
  if (cli->json)
    cli_print_json(answer);
  else
    print_members(cli, "", answer);
  json_decref(answer);
  return CLI_DONE;
}
