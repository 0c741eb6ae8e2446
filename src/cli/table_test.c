/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
/* cmocka needs the three above first. */
#include <cmocka.h>

#include "cli/table.h"

static const struct column columns[] = {
  { "ID", "id", COLUMN_TEXT },           { "NAME", "name", COLUMN_NAME },
  { "STATE", "state", COLUMN_STATE },    { "CREATED", "created_at", COLUMN_TIME },
  { "MESSAGE", "message", COLUMN_TEXT },
};
static const char *cells[] = {
  "1",
  "tide-calendar-0.9.1",
  "failed",
  "2026-11-23T08:04:52.120000Z",
  "the builder failed with status 1", /* row */
  "22",
  "a-name-in-the-middle-of-2.0",
  "succeeded",
  "-",
  "-",
};
static const struct table table = { columns, ARRAY_SIZE(columns), cells, 2 };

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
  assert_string_equal(
      written(&(struct table_style) { 0 }, &out),
      "ID  NAME                         STATE      CREATED                      MESSAGE\n"
      "1   tide-calendar-0.9.1          failed     2026-11-23T08:04:52.120000Z  "
      "the builder failed with status 1\n"
      "22  a-name-in-the-middle-of-2.0  succeeded  -                            -\n");
}

static void
test_lines_fit(void **state)
{
  (void) state;
  CLEANUP_BUF struct buf out = { 0 };
  for (size_t width = 36; width < 140; width++) {
    struct str rest = str_of(written(&(struct table_style) { .width = width }, &out));
    struct str line;
    int lines = 0;
    for (; str_split(&rest, '\n', &line) && line.size > 0; lines++)
      assert_true(table_text_width(line) <= width);
    assert_int_equal(lines, 3);
  }
  assert_string_equal(written(&(struct table_style) { .width = 70 }, &out),
                      "ID  NAME               STATE      CREATED            MESSAGE\n"
                      "1   tide-cal…ar-0.9.1  failed     2026-11-23T08:04…  the builder fail…\n"
                      "22  a-name-i…e-of-2.0  succeeded  -                  -\n");
}

static void
test_a_wide_terminal_shows_all(void **state)
{
  (void) state;
  CLEANUP_BUF struct buf out = { 0 };
  const char *text = written(&(struct table_style) { .width = 140 }, &out);
  assert_null(strstr(text, "…"));
  assert_non_null(strstr(text, " 2026-11-23T08:04:52  the builder"));
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
  static const struct column one[] = { { "N", "n", COLUMN_TEXT }, { "M", "m", COLUMN_NAME } };
  static const char *wide[] = { "日本日本日本日本日本", "日本日本日本日本日本" };
  (void) state;
  CLEANUP_BUF struct buf out = { 0 };
  const struct table both = { one, 2, wide, 1 };
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
    cmocka_unit_test(test_a_wide_terminal_shows_all),
    cmocka_unit_test(test_colours_take_no_room),
    cmocka_unit_test(test_widths),
    cmocka_unit_test(test_wide_text_is_cut_between_characters),
  };
  return cmocka_run_group_tests_name("table", tests, NULL, NULL);
}
