/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Showing what the server answered. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/terminal.h"

#define COLUMNS_MAX 12
#define WIDTH_DEFAULT 100

void
cli_print_json(const json_t *value)
{
  /* The same JSON, without a byte that a terminal could take for an order. */
  size_t escape = isatty(STDOUT_FILENO) ? JSON_ENSURE_ASCII : 0;
  json_dumpf(value, stdout, JSON_INDENT(2) | JSON_ENCODE_ANY | escape);
  putchar('\n');
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

/* ---- tables ---- */

struct table
{
  const struct column *columns;
  size_t columns_count;
  const char **cells; /* row by row */
  size_t rows;
  size_t widths[COLUMNS_MAX];
};

/* Characters, not bytes: a rough measure, right for all but wide scripts. */
static size_t
text_width(const char *text)
{
  size_t width = 0;
  for (; *text != '\0'; text++)
    width += ((unsigned char) *text & 0xc0) != 0x80;
  return width;
}

static void
fill_table(struct cli *cli, const json_t *items, struct table *table)
{
  while (table->columns[table->columns_count].title != NULL)
    table->columns_count++;
  table->rows = json_array_size(items);
  table->cells =
      arena_array(&cli->arena, table->rows * table->columns_count + 1, sizeof *table->cells);
  for (size_t c = 0; c < table->columns_count; c++)
    table->widths[c] = text_width(table->columns[c].title);
  for (size_t i = 0; i < table->rows * table->columns_count; i++) {
    size_t c = i % table->columns_count;
    const json_t *value =
        member_at(json_array_get(items, i / table->columns_count), table->columns[c].path);
    table->cells[i] = value == NULL ? "-" : cli_text(cli, value);
    size_t width = text_width(table->cells[i]);
    if (width > table->widths[c])
      table->widths[c] = width;
  }
}

static size_t
terminal_width(void)
{
  struct winsize size;
  if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 20)
    return size.ws_col;
  return isatty(STDOUT_FILENO) ? WIDTH_DEFAULT : 0; /* 0 = no bound */
}

/* Takes what is too much from the widest column. */
static void
fit(struct table *table)
{
  size_t bound = terminal_width();
  size_t total = 0;
  size_t widest = 0;
  for (size_t c = 0; c < table->columns_count; c++) {
    total += table->widths[c] + 2;
    if (table->widths[c] > table->widths[widest])
      widest = c;
  }
  if (bound > 0 && total > bound && table->widths[widest] > total - bound + 10)
    table->widths[widest] -= total - bound;
}

static void
print_cell(const char *text, size_t width, bool last)
{
  size_t used = text_width(text);
  if (used > width) {
    size_t bytes = 0;
    for (size_t kept = 0; text[bytes] != '\0'; bytes++) {
      kept += ((unsigned char) text[bytes] & 0xc0) != 0x80;
      if (kept == width)
        break;
    }
    printf("%.*s…%s", (int) bytes, text, last ? "" : "  ");
    return;
  }
  printf("%s%*s", text, last ? 0 : (int) (width - used + 2), "");
}

static void
print_table(struct table *table)
{
  fit(table);
  for (size_t c = 0; c < table->columns_count; c++)
    print_cell(table->columns[c].title, table->widths[c], c + 1 == table->columns_count);
  putchar('\n');
  for (size_t i = 0; i < table->rows * table->columns_count; i++) {
    size_t c = i % table->columns_count;
    print_cell(table->cells[i], table->widths[c], c + 1 == table->columns_count);
    if (c + 1 == table->columns_count)
      putchar('\n');
  }
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
  path = with_parameter(cli, path, "before", cli->before);
  return with_parameter(cli, path, "limit", limit);
}

int
cli_list(struct cli *cli, const char *path, const struct column *columns, const char *empty)
{
  json_t *answer = NULL;
  int status = cli_call(cli, "GET", with_filters(cli, path), NULL, &answer);
  if (status != CLI_DONE)
    return status;
  const json_t *items = json_object_get(answer, "items");
  struct table table = { .columns = columns };
  if (cli->json)
    cli_print_json(answer);
  else if (json_array_size(items) == 0)
    puts(empty);
  else {
    fill_table(cli, items, &table);
    print_table(&table);
    const json_t *next = json_object_get(answer, "next");
    if (json_is_string(next))
      printf("(there are more: go on with --before %s)\n", cli_text(cli, next));
  }
  json_decref(answer);
  return CLI_DONE;
}

/* ---- one thing ---- */

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
             cli_text(cli, member));
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
      printf("%-16s %s\n", terminal_line(&cli->arena, str_of(key)), cli_text(cli, value));
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
