/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
/* cmocka needs the three above first. */
#include <cmocka.h>

#include "cli/terminal.h"

static const struct
{
  const char *written;
  const char *shown;
} rows[] = {
  { "", "" },
  { "plain\ttext\n", "plain\ttext\n" },
  { "caf\u00e9 \u2192 \U0001f40c", "caf\u00e9 \u2192 \U0001f40c" },
  { "\x1b[01;31m\x1b[Kerror:\x1b[m\x1b[K no", "error: no" },
  { "\x1b[38;2;1;2;3mred\x1b[0m", "red" },
  { "\x1b[2J\x1b[H", "^[[2J^[[H" },
  { "\x1b]0;title\a", "^[]0;title^G" },
  { "\x1b", "^[" },
  { "\x1b[", "^[[" },
  { "\x1b[31", "^[[31" },
  { "a\rb\r\nc\r", "a\nb\nc\n" },
  { "rub\bout\x7f\v", "rub^Hout^?^K" },
  { "c1: \xc2\x9b"
    "31m",
    "c1: \ufffd31m" },
  { "bare c1: \x9b", "bare c1: \ufffd" },
  { "\u202eevil\u202c \u2066x\u2069", "\ufffdevil\ufffd \ufffdx\ufffd" },
  { "cut \xe2\x82", "cut \ufffd\ufffd" },
  { "overlong \xc0\xaf", "overlong \ufffd\ufffd" },
};

/* However a stream is cut, the same is shown. */
static void
test_pieces_of_any_size(void **state)
{
  (void) state;
  for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
    for (size_t step = 1; step < 8; step++) {
      struct terminal_text text = { 0 };
      CLEANUP_BUF struct buf out = { 0 };
      struct str rest = str_of(rows[i].written);
      while (rest.size > step) {
        terminal_clean(&text, str_make(rest.data, step), false, &out);
        rest = str_from(rest, step);
      }
      terminal_clean(&text, rest, true, &out);
      assert_string_equal(buf_text(&out), rows[i].shown);
    }
}

static void
test_a_sequence_without_end_is_not_waited_for(void **state)
{
  (void) state;
  struct terminal_text text = { 0 };
  CLEANUP_BUF struct buf out = { 0 };
  terminal_clean(&text, STR("\x1b["), false, &out);
  for (int i = 0; i < 100; i++)
    terminal_clean(&text, STR("1;"), false, &out);
  assert_int_equal(str_find(buf_str(&out), '^'), 0);
  assert_true(out.size > 100);
}

static void
test_one_line(void **state)
{
  (void) state;
  CLEANUP_ARENA struct arena arena = { 0 };
  assert_string_equal(terminal_line(&arena, STR("a\nb\tc\r\n\x1b[31md")), "a b c d");
  assert_string_equal(terminal_line(&arena, str_of(NULL)), "");
}

int
main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_pieces_of_any_size),
    cmocka_unit_test(test_a_sequence_without_end_is_not_waited_for),
    cmocka_unit_test(test_one_line),
  };
  return cmocka_run_group_tests_name("terminal", tests, NULL, NULL);
}
