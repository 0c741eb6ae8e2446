/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Asking for something and showing it; with --follow again whenever something has happened. A
   terminal is redrawn in place. Elsewhere, and with --json, what is new or has changed is
   printed below: rows of a list, or the one thing. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/clock.h"
#include "cli/cli.h"
#include "cli/view.h"

#define PAUSE_MS 500 /* between two looks: a busy farm tells more than anybody reads */
#define ROWS_DEFAULT 24

struct watch
{
  struct cli *cli;
  const struct cli_view *view;
  json_t *seen;                     /* what the last look showed: its texts as keys */
  size_t widths[TABLE_COLUMNS_MAX]; /* of the rows that were printed */
  size_t drawn;                     /* lines of the terminal that hold the last look */
  int64_t looked_at;                /* monotonic ms; 0 = never */
  bool stale;                       /* something has happened since */
  bool said;                        /* that the server does not answer */
  int status;                       /* of the last look */
};

/* ---- once ---- */

static int
print_answer(struct cli *cli, const struct cli_view *view, const json_t *answer)
{
  int status = view->print != NULL ? view->print(cli, answer) : CLI_DONE;
  if (status == CLI_DONE && view->columns != NULL)
    cli_print_list(cli, answer, view->columns, view->empty);
  return status;
}

static int
show_once(struct cli *cli, const struct cli_view *view)
{
  json_t *answer = NULL;
  int status = cli_get(cli, view->path, view->members, &answer);
  if (status == CLI_DONE && cli->json)
    cli_print_json(cli, answer);
  else if (status == CLI_DONE)
    status = print_answer(cli, view, answer);
  json_decref(answer);
  return status;
}

/* ---- in place ---- */

static size_t
terminal_rows(void)
{
  struct winsize size;
  bool told = ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_row > 1;
  return told ? size.ws_row : ROWS_DEFAULT;
}

/* Colours take no room. */
static size_t
width_on_terminal(struct str line)
{
  size_t width = 0;
  while (line.size > 0) {
    ptrdiff_t escape = str_find(line, '\x1b');
    struct str plain = str_make(line.data, escape < 0 ? line.size : (size_t) escape);
    width += table_text_width(plain);
    line = str_from(line, plain.size);
    ptrdiff_t end = line.size > 0 ? str_find(line, 'm') : -1;
    line = str_from(line, end < 0 ? line.size : (size_t) end + 1);
  }
  return width;
}

/* As many lines of TEXT as the terminal has room for, over the last ones. */
static void
redraw(struct watch *watch, struct str text)
{
  size_t width = table_style_of_output().width;
  size_t room = terminal_rows() - 1;
  struct str line;
  if (watch->drawn > 0)
    printf("\x1b[%zuA\r\x1b[J", watch->drawn);
  watch->drawn = 0;
  while (text.size > 0 && str_split(&text, '\n', &line)) {
    size_t used = width_on_terminal(line) / (width > 0 ? width : 1);
    used = used * width < width_on_terminal(line) || used == 0 ? used + 1 : used;
    if (watch->drawn + used > room)
      break;
    printf("%.*s\n", STR_FMT(line));
    watch->drawn += used;
  }
}

static int
collect(struct cli *cli, const struct cli_view *view, const json_t *answer, char **ret_text,
        size_t *ret_size)
{
  cli->out = open_memstream(ret_text, ret_size);
  if (cli->out == NULL)
    abort();
  int status = print_answer(cli, view, answer);
  fclose(cli->out);
  cli->out = stdout;
  return status;
}

static int
draw(struct watch *watch, struct cli *cli, const json_t *answer)
{
  char *text = NULL;
  size_t size = 0;
  int status = collect(cli, watch->view, answer, &text, &size);
  if (status == CLI_DONE)
    redraw(watch, str_make(text, size));
  free(text);
  return status;
}

/* ---- line by line ---- */

/* ANSWER without what time alone changes, in itself and in the items of a list: an agent at rest
   tells every few seconds that it is there, and that is no news. */
static json_t *
without_signs_of_life(const json_t *answer)
{
  static const char *const names[] = { "seen_at", "polled_at", "condition" };
  size_t item;
  json_t *of_list;
  json_t *rest = json_deep_copy(answer);
  for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
    json_object_del(rest, names[i]);
    json_array_foreach(json_object_get(rest, "items"), item, of_list)
        json_object_del(of_list, names[i]);
  }
  return rest;
}

/* Whether the last look has not shown it; NOW: what this one does. */
static bool
is_news(struct watch *watch, json_t *now, const char *text)
{
  json_object_set_new(now, text, json_true());
  return json_object_get(watch->seen, text) == NULL;
}

static const char *
key_of_row(struct cli *cli, const struct table *table, size_t row)
{
  CLEANUP_BUF struct buf key = { 0 };
  for (size_t c = 0; c < table->columns_count; c++)
    buf_printf(&key, "%s\x1f", table->cells[row * table->columns_count + c]);
  return arena_printf(&cli->arena, "%s", buf_text(&key));
}

/* The tellers below print parts of ANSWER that are news by what REST has of them. */

static void
tell_rows(struct watch *watch, struct cli *cli, const json_t *answer, const json_t *rest,
          json_t *now)
{
  CLEANUP_BUF struct buf text = { 0 };
  const struct column *columns = watch->view->columns;
  const struct table_style style = table_style_of_output();
  const struct table keys = cli_make_table(cli, columns, json_object_get(rest, "items"));
  struct table table = cli_make_table(cli, columns, json_object_get(answer, "items"));
  size_t count = table.rows;
  table.rows = 0;
  for (size_t i = 0; i < count; i++)
    if (is_news(watch, now, key_of_row(cli, &keys, i)))
      memmove(&table.cells[table.rows++ * table.columns_count],
              &table.cells[i * table.columns_count], table.columns_count * sizeof *table.cells);
  table.widths = watch->widths;
  if (table.rows > 0)
    table_write(&table, &style, &text);
  fputs(buf_text(&text), stdout);
}

static void
tell_json(struct watch *watch, struct cli *cli, const json_t *value, const json_t *rest,
          json_t *now)
{
  char *text = json_dumps(rest, JSON_COMPACT);
  if (is_news(watch, now, text))
    cli_print_json_line(cli, value);
  free(text);
}

/* In words, which would have to be left out by hand. */
static int
tell_thing(struct watch *watch, struct cli *cli, const json_t *rest, json_t *now)
{
  char *text = NULL;
  size_t size = 0;
  int status = collect(cli, watch->view, rest, &text, &size);
  if (status == CLI_DONE && is_news(watch, now, text))
    printf("%s%s", watch->looked_at != 0 ? "\n" : "", text);
  free(text);
  return status;
}

static int
tell(struct watch *watch, struct cli *cli, const json_t *answer)
{
  size_t i;
  json_t *item;
  json_t *now = json_object();
  json_t *rest = without_signs_of_life(answer);
  const json_t *items = json_object_get(rest, "items");
  int status = CLI_DONE;
  if (cli->json && watch->view->columns == NULL)
    tell_json(watch, cli, answer, rest, now);
  else if (cli->json)
    json_array_foreach(json_object_get(answer, "items"), i, item)
        tell_json(watch, cli, item, json_array_get(items, i), now);
  else if (watch->view->columns != NULL)
    tell_rows(watch, cli, answer, rest, now);
  else
    status = tell_thing(watch, cli, rest, now);
  json_decref(rest);
  json_decref(watch->seen);
  watch->seen = now;
  return status;
}

/* ---- again and again ---- */

/* 1 = enough was seen. */
static int
look(struct watch *watch)
{
  struct cli cli = *watch->cli;
  cli.arena = (struct arena) { 0 }; /* or the whole program's would grow for ever */
  json_t *answer = NULL;
  bool in_place = isatty(STDOUT_FILENO) && !cli.json;
  int status = cli_get(&cli, watch->view->path, watch->view->members, &answer);
  if (status == CLI_DONE)
    status = in_place ? draw(watch, &cli, answer) : tell(watch, &cli, answer);
  bool over = status == CLI_DONE && watch->view->is_over != NULL && watch->view->is_over(answer);
  json_decref(answer);
  arena_free(&cli.arena);
  watch->looked_at = clock_monotonic_ms();
  watch->stale = status == CLI_AWAY;
  watch->cli->patient = true;
  watch->status = status == CLI_AWAY ? CLI_DONE : status;
  if (status == CLI_AWAY)
    cli_say_away(&watch->said, "the server cannot answer; asking again");
  else
    cli_say_back(&watch->said);
  if (fflush(stdout) != 0)
    return -errno;
  return over || watch->status != CLI_DONE ? 1 : 0;
}

static int
take_event(void *state, struct str data)
{
  struct watch *watch = state;
  json_t *event = json_loadb(data.data, data.size, 0, NULL);
  struct str kind = str_of(json_string_value(json_object_get(event, "kind")));
  struct str rest = str_of(watch->view->kinds);
  struct str beginning;
  while (str_split(&rest, ' ', &beginning))
    watch->stale |= str_starts(kind, beginning);
  json_decref(event);
  return 0;
}

/* Events make a look stale. Besides there are the first beat of all, and one in 15 seconds for
   what no event tells: how long ago something was, or an agent's load. What went before a
   connection is no matter of beats: the server tells its events again. */
static int
beat(void *state)
{
  struct watch *watch = state;
  int64_t quiet = clock_monotonic_ms() - watch->looked_at;
  if (watch->looked_at != 0 && !watch->stale && quiet < 10000)
    return 0;
  if (watch->looked_at != 0 && quiet < PAUSE_MS)
    clock_sleep_ms(PAUSE_MS - quiet);
  return look(watch);
}

int
cli_show(struct cli *cli, const struct cli_view *view)
{
  if (!cli->follow)
    return show_once(cli, view);
  struct watch watch = { .cli = cli, .view = view, .seen = json_object() };
  struct feed feed = { .cli = cli, .take = take_event, .beat = beat, .state = &watch };
  int status = cli_feed(&feed);
  buf_free(&feed.reached);
  json_decref(watch.seen);
  return status != CLI_DONE ? status : watch.status;
}
