/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "cli/table.h"

#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define WIDTH_DEFAULT 80
#define WIDTH_LEAST 20 /* what says less is no terminal that anybody reads */
#define TELLING 12     /* columns of a name that tell it from others, mostly */
#define COLUMN_LEAST 4
#define GAP 2 /* between columns */
#define ELLIPSIS "…"

/* ---- what standard output is ---- */

static size_t
output_width(void)
{
  struct winsize size;
  int64_t columns = 0;
  if (!isatty(STDOUT_FILENO))
    return 0;
  if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col >= WIDTH_LEAST)
    return size.ws_col;
  if (str_to_i64(str_of(getenv("COLUMNS")), &columns) == 0 && columns >= WIDTH_LEAST)
    return (size_t) columns;
  return WIDTH_DEFAULT;
}

/* https://no-color.org: any text but the empty one says no. */
static bool
wants_colours(void)
{
  const char *refused = getenv("NO_COLOR");
  const char *terminal = getenv("TERM");
  return isatty(STDOUT_FILENO) && (refused == NULL || refused[0] == '\0')
         && (terminal == NULL || strcmp(terminal, "dumb") != 0);
}

struct table_style
table_style_of_output(void)
{
  return (struct table_style) { .width = output_width(), .colours = wants_colours() };
}

/* ---- widths ---- */

/* What takes two columns, and what takes none: the blocks that matter, not every one. */
static const struct
{
  uint32_t first, last;
  size_t width;
} wide_blocks[] = {
  { 0x0300, 0x036f, 0 },   { 0x1100, 0x115f, 2 },   { 0x200b, 0x200f, 0 },
  { 0x20d0, 0x20ff, 0 },   { 0x2e80, 0xa4cf, 2 },   { 0xac00, 0xd7a3, 2 },
  { 0xf900, 0xfaff, 2 },   { 0xfe00, 0xfe0f, 0 },   { 0xfe30, 0xfe6f, 2 },
  { 0xff00, 0xff60, 2 },   { 0xffe0, 0xffe6, 2 },   { 0x1f300, 0x1f64f, 2 },
  { 0x1f680, 0x1f6ff, 2 }, { 0x1f900, 0x1f9ff, 2 }, { 0x20000, 0x3fffd, 2 },
};

/* The bytes of the character at the beginning of TEXT, which is valid UTF-8, and its
   width. */
static size_t
take_character(struct str text, size_t *ret_width)
{
  unsigned char first = (unsigned char) text.data[0];
  size_t size = first < 0x80 ? 1 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
  size = size < text.size ? size : text.size;
  uint32_t point = size == 1 ? first : first & (0xffu >> (size + 1));
  for (size_t i = 1; i < size; i++)
    point = point << 6 | ((unsigned char) text.data[i] & 0x3f);
  *ret_width = 1;
  for (size_t i = 0; i < ARRAY_SIZE(wide_blocks); i++)
    if (point >= wide_blocks[i].first && point <= wide_blocks[i].last)
      *ret_width = wide_blocks[i].width;
  return size;
}

size_t
table_text_width(struct str text)
{
  size_t total = 0;
  for (size_t width; text.size > 0; total += width)
    text = str_from(text, take_character(text, &width));
  return total;
}

/* As much of the beginning as WIDTH holds; and of the end. */
static struct str
first_part(struct str text, size_t width)
{
  size_t bytes = 0, used = 0;
  while (bytes < text.size) {
    size_t one;
    size_t size = take_character(str_from(text, bytes), &one);
    if (used + one > width)
      break;
    used += one;
    bytes += size;
  }
  return str_make(text.data, bytes);
}

static struct str
last_part(struct str text, size_t width)
{
  size_t left = table_text_width(text);
  while (left > width) {
    size_t one;
    text = str_from(text, take_character(text, &one));
    left -= one;
  }
  return text;
}

/* ---- layout ---- */

static const char *
cell_of(const struct table *table, size_t row, size_t column)
{
  return table->cells[row * table->columns_count + column];
}

static void
measure(const struct table *table, size_t widths[])
{
  for (size_t c = 0; c < table->columns_count; c++) {
    widths[c] = table_text_width(str_of(table->columns[c].title));
    for (size_t i = 0; i < table->rows; i++) {
      size_t width = table_text_width(str_of(cell_of(table, i, c)));
      widths[c] = width > widths[c] ? width : widths[c];
    }
    if (table->widths != NULL && table->widths[c] > widths[c])
      widths[c] = table->widths[c];
    if (table->widths != NULL)
      table->widths[c] = widths[c];
  }
}

static bool
may_be_cut(const struct column *column)
{
  return column->kind == COLUMN_NAME || column->kind == COLUMN_PROSE
         || column->kind == COLUMN_OUTCOME;
}

/* What a column needs so that its rows can be told from each other. */
static size_t
least_width(const struct column *column, size_t width)
{
  return may_be_cut(column) && width > TELLING ? TELLING : width;
}

static size_t
add_gaps(size_t total, size_t columns)
{
  return total + (columns > 0 ? GAP * (columns - 1) : 0);
}

/* Widths of 0 are those of columns that went. */
static void
drop_columns(const struct table *table, size_t bound, size_t widths[])
{
  for (;;) {
    size_t total = 0, count = 0, dropped = table->columns_count;
    for (size_t c = 0; c < table->columns_count; c++) {
      const struct column *column = &table->columns[c];
      total += least_width(column, widths[c]);
      count += widths[c] > 0;
      if (widths[c] > 0 && column->drop > 0
          && (dropped == table->columns_count || column->drop >= table->columns[dropped].drop))
        dropped = c;
    }
    if (add_gaps(total, count) <= bound || dropped == table->columns_count)
      return;
    widths[dropped] = 0;
  }
}

/* Takes what is too much from the widest of those that may be cut, down to LEAST. */
static void
cut_columns(const struct table *table, size_t bound, size_t least, size_t widths[])
{
  size_t total = 0, count = 0;
  for (size_t c = 0; c < table->columns_count; c++) {
    total += widths[c];
    count += widths[c] > 0;
  }
  for (total = add_gaps(total, count); total > bound; total--) {
    size_t widest = table->columns_count;
    for (size_t c = 0; c < table->columns_count; c++)
      if (may_be_cut(&table->columns[c]) && widths[c] > least
          && (widest == table->columns_count || widths[c] > widths[widest]))
        widest = c;
    if (widest == table->columns_count)
      return;
    widths[widest]--;
  }
}

static void
fit(const struct table *table, size_t bound, size_t widths[])
{
  drop_columns(table, bound, widths);
  cut_columns(table, bound, TELLING, widths);
  cut_columns(table, bound, COLUMN_LEAST, widths);
}

/* ---- writing ---- */

static const struct
{
  const char *state;
  const char *colour;
} colours[] = {
  { "succeeded", "32" }, { "fixed", "32" },   { "failed", "31" },
  { "broken", "31" },    { "failing", "31" }, { "dependency-failed", "33" },
  { "running", "36" },   { "waiting", "90" }, { "cancelled", "90" },
};

/* Of a state, or of what came of an evaluation: "building: 3 of 40 left", "2 of 4 failed, 1
   error". NULL = none. */
static const char *
colour_of(const char *state)
{
  for (size_t i = 0; i < ARRAY_SIZE(colours); i++)
    if (strcmp(colours[i].state, state) == 0)
      return colours[i].colour;
  if (strncmp(state, "building", strlen("building")) == 0)
    return "36";
  return state[0] >= '0' && state[0] <= '9' ? "33" : NULL;
}

void
table_write_state(const char *state, bool with_colours, struct buf *out)
{
  const char *colour = with_colours ? colour_of(state) : NULL;
  if (colour != NULL)
    buf_printf(out, "\x1b[%sm%s\x1b[m", colour, state);
  else
    buf_append_text(out, state);
}

/* Returns how many columns it took: one less than WIDTH where a wide character would have
   been halved. */
static size_t
write_cut(struct str text, enum column_kind kind, size_t width, struct buf *out)
{
  size_t tail = kind == COLUMN_NAME ? (width - 1) / 2 : 0;
  struct str first = first_part(text, width - 1 - tail);
  struct str last = last_part(text, tail);
  buf_append_str(out, first);
  buf_append_text(out, ELLIPSIS);
  buf_append_str(out, last);
  return table_text_width(first) + 1 + table_text_width(last);
}

/* WIDTH: of the column; what is wider is cut. LAST: nothing stands behind it. */
static void
write_cell(struct str text, enum column_kind kind, size_t width, bool with_colours, bool last,
           struct buf *out)
{
  size_t used = table_text_width(text);
  bool has_colour = kind == COLUMN_STATE || kind == COLUMN_OUTCOME;
  const char *colour = has_colour && with_colours ? colour_of(text.data) : NULL;
  if (colour != NULL)
    buf_printf(out, "\x1b[%sm", colour);
  if (used > width)
    used = write_cut(text, kind, width, out);
  else
    buf_append_str(out, text);
  if (colour != NULL)
    buf_append_text(out, "\x1b[m");
  for (; !last && used < width + GAP; used++)
    buf_append_char(out, ' ');
  if (last)
    buf_append_char(out, '\n');
}

static void
write_row(const struct table *table, size_t row, const size_t widths[], bool with_colours,
          struct buf *out)
{
  size_t last = table->columns_count;
  while (last > 0 && widths[last - 1] == 0)
    last--;
  for (size_t c = 0; c < last; c++)
    if (widths[c] > 0)
      write_cell(str_of(cell_of(table, row, c)), table->columns[c].kind, widths[c], with_colours,
                 c + 1 == last, out);
}

static void
write_title(const struct table *table, const size_t widths[], struct buf *out)
{
  const char *titles[TABLE_COLUMNS_MAX];
  for (size_t c = 0; c < table->columns_count; c++)
    titles[c] = table->columns[c].title;
  struct table line = *table;
  line.cells = titles;
  write_row(&line, 0, widths, false, out);
}

void
table_write(const struct table *table, const struct table_style *style, struct buf *out)
{
  size_t widths[TABLE_COLUMNS_MAX];
  bool begins = table->widths == NULL || table->widths[0] == 0;
  measure(table, widths);
  if (style->width > 0)
    fit(table, style->width, widths);
  if (begins)
    write_title(table, widths, out);
  for (size_t i = 0; i < table->rows; i++)
    write_row(table, i, widths, style->colours, out);
}

/* ---- text ---- */

void
table_write_text(struct str text, size_t indent, size_t used, size_t width, struct buf *out)
{
  struct str word;
  bool begins = true;
  if (used == 0)
    buf_printf(out, "%*s", (int) indent, "");
  used = used == 0 ? indent : used;
  while (str_split(&text, ' ', &word)) {
    size_t size = table_text_width(word);
    if (!begins && width > 0 && used + 1 + size > width) {
      buf_printf(out, "\n%*s", (int) indent, "");
      used = indent;
    } else if (!begins) {
      buf_append_char(out, ' ');
      used++;
    }
    buf_append_str(out, word);
    used += size;
    begins = false;
  }
  buf_append_char(out, '\n');
}
