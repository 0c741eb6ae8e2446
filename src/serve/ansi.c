/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "serve/ansi.h"

#include <string.h>

#define ESCAPE '\x1b'
#define NUMBERS_MAX 32 /* of one sequence; more are ignored */
#define GREY 8

/* ---- colours ---- */

/* Of 16: the bright ones are the others again. */
static uint8_t
basic_colour(int64_t index)
{
  if (index == 8)
    return GREY;
  index %= 8;
  return index == 7 ? 0 : (uint8_t) index;
}

static uint8_t
mixed_colour(int red, int green, int blue)
{
  int high = red > green ? red : green, low = red < green ? red : green;
  high = high > blue ? high : blue;
  low = low < blue ? low : blue;
  int middle = (high + low) / 2;
  if (high - low < 48)
    return middle > 64 && middle < 180 ? GREY : 0;
  return (uint8_t) ((red > middle) | (green > middle) << 1 | (blue > middle) << 2);
}

/* Of 256: 16 basic ones, a cube of 6 by 6 by 6, 24 greys. */
static uint8_t
palette_colour(int64_t index)
{
  static const int levels[6] = { 0, 95, 135, 175, 215, 255 };
  if (index < 0 || index > 255)
    return 0;
  if (index < 16)
    return basic_colour(index);
  if (index >= 232)
    return mixed_colour((int) (index - 232) * 10 + 8, (int) (index - 232) * 10 + 8,
                        (int) (index - 232) * 10 + 8);
  index -= 16;
  return mixed_colour(levels[index / 36], levels[index / 6 % 6], levels[index % 6]);
}

/* ---- "select graphic rendition" ---- */

struct numbers
{
  int64_t items[NUMBERS_MAX];
  size_t count;
};

/* 38 or 48 at AT: "5;N" or "2;R;G;B" follow. Returns where it ends. */
static size_t
take_colour(const struct numbers *numbers, size_t at, uint8_t *ret)
{
  const int64_t *items = numbers->items;
  size_t left = numbers->count - at - 1;
  if (left >= 2 && items[at + 1] == 5) {
    *ret = palette_colour(items[at + 2]);
    return at + 2;
  }
  if (left >= 4 && items[at + 1] == 2) {
    *ret = mixed_colour((int) (items[at + 2] & 255), (int) (items[at + 3] & 255),
                        (int) (items[at + 4] & 255));
    return at + 4;
  }
  return numbers->count;
}

static void
apply_one(int64_t number, struct ansi_style *style)
{
  switch (number) {
  case 0:
    *style = (struct ansi_style) { 0 };
    break;
  case 1:
    style->bold = true;
    break;
  case 2:
    style->ink = GREY;
    break;
  case 3:
    style->italic = true;
    break;
  case 4:
    style->underlined = true;
    break;
  case 7:
    style->inverse = true;
    break;
  case 22:
    style->bold = false;
    break;
  case 23:
    style->italic = false;
    break;
  case 24:
    style->underlined = false;
    break;
  case 27:
    style->inverse = false;
    break;
  case 39:
    style->ink = 0;
    break;
  case 49:
    style->paper = 0;
    break;
  default:
    if (number >= 30 && number <= 37)
      style->ink = basic_colour(number - 30);
    else if (number >= 40 && number <= 47)
      style->paper = basic_colour(number - 40);
    else if (number >= 90 && number <= 97)
      style->ink = basic_colour(number - 90 + 8);
    else if (number >= 100 && number <= 107)
      style->paper = basic_colour(number - 100 + 8);
  }
}

static void
apply(const struct numbers *numbers, struct ansi_style *style)
{
  for (size_t i = 0; i < numbers->count; i++)
    if (numbers->items[i] == 38)
      i = take_colour(numbers, i, &style->ink);
    else if (numbers->items[i] == 48)
      i = take_colour(numbers, i, &style->paper);
    else
      apply_one(numbers->items[i], style);
}

/* ---- escapes ---- */

static bool
is_within(char c, char low, char high)
{
  return (unsigned char) c >= (unsigned char) low && (unsigned char) c <= (unsigned char) high;
}

/* Behind "ESC [": parameters, then intermediates, then the final byte. Returns what it takes. */
static size_t
read_control(struct str text, struct ansi_style *style)
{
  struct numbers numbers = { .count = 1 };
  size_t i = 0;
  bool is_plain = true;
  for (; i < text.size && is_within(text.data[i], 0x30, 0x3f); i++) {
    int64_t *number = &numbers.items[numbers.count - 1];
    if (is_within(text.data[i], '0', '9'))
      *number = *number < 100000 ? *number * 10 + (text.data[i] - '0') : *number;
    else if ((text.data[i] == ';' || text.data[i] == ':') && numbers.count < NUMBERS_MAX)
      numbers.items[numbers.count++] = 0;
    else
      is_plain = false;
  }
  for (; i < text.size && is_within(text.data[i], 0x20, 0x2f); i++)
    is_plain = false;
  if (i == text.size || !is_within(text.data[i], 0x40, 0x7e))
    return i;
  if (is_plain && text.data[i] == 'm')
    apply(&numbers, style);
  return i + 1;
}

/* Behind "ESC ]" and the like: a text up to BEL or "ESC \". */
static size_t
skip_text(struct str text)
{
  for (size_t i = 0; i < text.size; i++) {
    if (text.data[i] == '\a')
      return i + 1;
    if (text.data[i] == ESCAPE)
      return i + 1 < text.size && text.data[i + 1] == '\\' ? i + 2 : i;
  }
  return text.size;
}

/* TEXT begins with ESC. Returns how much of it the sequence takes. */
static size_t
read_escape(struct str text, struct ansi_style *style)
{
  if (text.size == 1)
    return 1;
  char kind = text.data[1];
  if (kind == '[')
    return 2 + read_control(str_from(text, 2), style);
  if (memchr("]P_^X", kind, 5) != NULL)
    return 2 + skip_text(str_from(text, 2));
  size_t i = 1;
  while (i < text.size && is_within(text.data[i], 0x20, 0x2f))
    i++;
  return i < text.size && is_within(text.data[i], 0x30, 0x7e) ? i + 1 : i;
}

/* ---- lines ---- */

static const char *const colour_classes[] = { "",    "c1 ", "c2 ", "c3 ", "c4 ",
                                              "c5 ", "c6 ", "",    "c8 " };
static const char *const paper_classes[] = {
  "", "p1 ", "p2 ", "p3 ", "p4 ", "p5 ", "p6 ", "", "p8 "
};

/* On a coloured paper the ink is the plain one. */
const char *
ansi_classes(const struct ansi_style *style, struct arena *arena)
{
  uint8_t paper = style->paper;
  if (style->inverse)
    paper = style->ink != 0 ? style->ink : GREY;
  const char *colour = paper != 0 ? paper_classes[paper] : colour_classes[style->ink];
  if (*colour == '\0' && !style->bold && !style->italic && !style->underlined)
    return "";
  char *classes =
      arena_printf(arena, "%s%s%s%s", colour, style->bold ? "bold " : "",
                   style->italic ? "italic " : "", style->underlined ? "underlined " : "");
  classes[strlen(classes) - 1] = '\0';
  return classes;
}

/* From the last carriage return on that is not the end. */
static struct str
last_writing(struct str line)
{
  while (line.size > 0 && line.data[line.size - 1] == '\r')
    line.size--;
  const char *last = line.size > 0 ? memrchr(line.data, '\r', line.size) : NULL;
  return last == NULL ? line : str_from(line, (size_t) (last + 1 - line.data));
}

static size_t
count_escapes(struct str line)
{
  size_t count = 0;
  for (size_t i = 0; i < line.size; i++)
    count += line.data[i] == ESCAPE;
  return count;
}

struct str
ansi_plain(struct str line, struct buf *room)
{
  struct ansi_style style = { 0 };
  ptrdiff_t found = str_find(line, ESCAPE);
  if (found < 0)
    return line;
  for (; found >= 0; found = str_find(line, ESCAPE)) {
    buf_append(room, line.data, (size_t) found);
    line = str_from(line, (size_t) found);
    line = str_from(line, read_escape(line, &style));
  }
  buf_append_str(room, line);
  return buf_str(room);
}

struct ansi_runs
ansi_read(struct str line, struct ansi_style *style, struct arena *arena)
{
  struct str rest = last_writing(line);
  struct ansi_runs runs = {
    .items = arena_array(arena, count_escapes(rest) + 1, sizeof *runs.items),
  };
  while (rest.size > 0) {
    ptrdiff_t found = str_find(rest, ESCAPE);
    size_t plain = found < 0 ? rest.size : (size_t) found;
    if (plain > 0)
      runs.items[runs.count++] = (struct ansi_run) { .text = str_make(rest.data, plain),
                                                     .classes = ansi_classes(style, arena) };
    rest = str_from(rest, plain);
    if (rest.size > 0)
      rest = str_from(rest, read_escape(rest, style));
  }
  return runs;
}
