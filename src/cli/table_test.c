/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
/* cmocka needs the three above first. */
#include <cmocka.h>

#include "cli/table.h"

static const struct column columns[] = {
  { "ID", "id", COLUMN_TEXT, 0 },
  { "NAME", "name", COLUMN_NAME, 0 },
  { "STATE", "state", COLUMN_STATE, 0 },
  { "CREATED", "created_at", COLUMN_TIME, 1 },
  { "MESSAGE", "message", COLUMN_PROSE, 2 },
};
static const char *cells[] = {
  "1",
  "tide-calendar-0.9.1",
  "failed",
  "12 min ago",
  "the builder failed with status 1", /* row */
  "22",
  "a-name-in-the-middle-of-2.0",
  "succeeded",
  "-",
  "-",
};
static const struct table table = {
  .columns = columns, .columns_count = ARRAY_SIZE(columns), .cells = cells, .rows = 2
};

static const char *
written(const struct table_style *style, struct buf *out)
{
  buf_clear(out);
  table_write(&table, style, out);
  return buf_text(out);
}

static void
test_nothing_is_cut_off_a_terminal(void **state)
{
  (void) state;
  CLEANUP_BUF struct buf out = { 0 };
  assert_string_equal(written(&(struct table_style) { 0 }, &out),
                      "ID  NAME                         STATE      CREATED     MESSAGE\n"
                      "1   tide-calendar-0.9.1          failed     12 min ago  "
                      "the builder failed with status 1\n"
                      "22  a-name-in-the-middle-of-2.0  succeeded  -           -\n");
}

static void
test_lines_fit(void **state)
{
  (void) state;
  CLEANUP_BUF struct buf out = { 0 };
  for (size_t width = 23; width < 140; width++) {
    const char *text = written(&(struct table_style) { .width = width }, &out);
    struct str rest = str_of(text);
    struct str line;
    int lines = 0;
    assert_non_null(strstr(text, "succeeded")); /* states are whole */
    assert_true(strstr(text, "CREATED") == NULL || strstr(text, "12 min ago") != NULL);
    for (; str_split(&rest, '\n', &line) && line.size > 0; lines++)
      assert_true(table_text_width(line) <= width);
    assert_int_equal(lines, 3);
  }
  assert_string_equal(written(&(struct table_style) { .width = 70 }, &out),
                      "ID  NAME                  STATE      CREATED     MESSAGE\n"
                      "1   tide-calendar-0.9.1   failed     12 min ago  the builder failed w…\n"
                      "22  a-name-in-…le-of-2.0  succeeded  -           -\n");
}

/* What says least goes first, before names become illegible. */
static void
test_columns_are_dropped(void **state)
{
  (void) state;
  CLEANUP_BUF struct buf out = { 0 };
  assert_string_equal(written(&(struct table_style) { .width = 50 }, &out),
                      "ID  NAME                     STATE      CREATED\n"
                      "1   tide-calendar-0.9.1      failed     12 min ago\n"
                      "22  a-name-in-t…ddle-of-2.0  succeeded  -\n");
  assert_string_equal(written(&(struct table_style) { .width = 30 }, &out),
                      "ID  NAME             STATE\n"
                      "1   tide-ca…r-0.9.1  failed\n"
                      "22  a-name-…-of-2.0  succeeded\n");
}

/* Rows that come later stand below the others, under one title. */
static void
test_rows_that_follow(void **state)
{
  size_t widths[ARRAY_SIZE(columns)] = { 0 };
  struct table later = table;
  (void) state;
  CLEANUP_BUF struct buf out = { 0 };
  later.widths = widths;
  table_write(&later, &(struct table_style) { 0 }, &out);
  buf_clear(&out);
  later.rows = 1;
  table_write(&later, &(struct table_style) { 0 }, &out);
  assert_string_equal(buf_text(&out), "1   tide-calendar-0.9.1          failed     12 min ago  "
                                      "the builder failed with status 1\n");
}

static void
test_text_is_broken_between_words(void **state)
{
  (void) state;
  CLEANUP_BUF struct buf out = { 0 };
  table_write_text(STR("the builder of a-very-long-name failed"), 2, 0, 12, &out);
  assert_string_equal(buf_text(&out), "  the\n  builder of\n  a-very-long-name\n  failed\n");
  buf_clear(&out);
  table_write_text(STR("as it came"), 4, 4, 0, &out);
  assert_string_equal(buf_text(&out), "as it came\n");
}

static void
test_a_wide_terminal_shows_all(void **state)
{
  (void) state;
  CLEANUP_BUF struct buf out = { 0 };
  const char *text = written(&(struct table_style) { .width = 140 }, &out);
  assert_null(strstr(text, "…"));
  assert_non_null(strstr(text, " 12 min ago  the builder"));
}

static void
test_colours_take_no_room(void **state)
{
  (void) state;
  CLEANUP_BUF struct buf plain = { 0 };
  CLEANUP_BUF struct buf coloured = { 0 };
  written(&(struct table_style) { .width = 80 }, &plain);
  written(&(struct table_style) { .width = 80, .colours = true }, &coloured);
  assert_non_null(strstr(buf_text(&coloured), "\x1b[31mfailed\x1b[m "));
  assert_null(strchr(buf_text(&plain), '\x1b'));
  assert_int_equal(coloured.size, plain.size + 2 * strlen("\x1b[31m\x1b[m"));
}

static void
test_widths(void **state)
{
  static const struct
  {
    const char *text;
    size_t width;
  } rows[] = {
    { "", 0 },        { "abc", 3 },        { "café", 4 }, { "→…", 2 },     { "日本", 4 },
    { "e\u0301", 1 }, { "\U0001f40c", 2 }, { "한", 2 },   { "\ufffd", 1 }, { "a\u200bb", 2 },
  };
  (void) state;
  for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
    assert_int_equal(table_text_width(str_of(rows[i].text)), rows[i].width);
}

/* A character that takes two columns is not cut in half. */
static void
test_wide_text_is_cut_between_characters(void **state)
{
  static const struct column one[] = { { "N", "n", COLUMN_PROSE, 0 },
                                       { "M", "m", COLUMN_NAME, 0 } };
  static const char *wide[] = { "日本日本日本日本日本", "日本日本日本日本日本" };
  (void) state;
  CLEANUP_BUF struct buf out = { 0 };
  const struct table both = { .columns = one, .columns_count = 2, .cells = wide, .rows = 1 };
  for (size_t width = 20; width < 45; width++) {
    buf_clear(&out);
    table_write(&both, &(struct table_style) { .width = width }, &out);
    struct str rest = buf_str(&out);
    struct str line;
    assert_true(str_is_utf8(rest));
    while (str_split(&rest, '\n', &line))
      assert_true(table_text_width(line) <= width);
  }
}

int
main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_nothing_is_cut_off_a_terminal),
    cmocka_unit_test(test_lines_fit),
    cmocka_unit_test(test_columns_are_dropped),
    cmocka_unit_test(test_rows_that_follow),
    cmocka_unit_test(test_text_is_broken_between_words),
    cmocka_unit_test(test_a_wide_terminal_shows_all),
    cmocka_unit_test(test_colours_take_no_room),
    cmocka_unit_test(test_widths),
    cmocka_unit_test(test_wide_text_is_cut_between_characters),
  };
  return cmocka_run_group_tests_name("table", tests, NULL, NULL);
}
