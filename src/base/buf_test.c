/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
/* cmocka needs the three above first. */
#include <cmocka.h>

#include "base/buf.h"

static void
test_everything_that_appends(void **state)
{
  (void) state;
  CLEANUP_BUF struct buf buf = { 0 };
  assert_null(buf.data);
  assert_int_equal(buf_str(&buf).size, 0);
  buf_append(&buf, NULL, 0);
  assert_null(buf.data);
  buf_append(&buf, "a\0b", 3);
  buf_append_str(&buf, STR("cd"));
  buf_append_str(&buf, (struct str) { 0 });
  buf_append_text(&buf, "ef");
  buf_append_char(&buf, 'g');
  buf_append_i64(&buf, INT64_MIN);
  buf_printf(&buf, "%s%03d", "h", 7);
  buf_printf(&buf, "%s", "");
  assert_true(str_equal(buf_str(&buf), STR("a\0bcdefg-9223372036854775808h007")));
}

static void
test_it_grows(void **state)
{
  (void) state;
  CLEANUP_BUF struct buf buf = { 0 };
  for (int i = 0; i < 100000; i++)
    buf_append_char(&buf, (char) ('a' + i % 26));
  assert_int_equal(buf.size, 100000);
  for (int i = 0; i < 100000; i++)
    assert_int_equal(buf.data[i], 'a' + i % 26);
  buf_printf(&buf, "%*s", 300000, "x");
  assert_int_equal(buf.size, 400000);
  assert_int_equal(buf.data[399999], 'x');
}

static void
test_text_ends_behind_the_contents(void **state)
{
  (void) state;
  CLEANUP_BUF struct buf buf = { 0 };
  assert_string_equal(buf_text(&buf), "");
  assert_int_equal(buf.size, 0);
  buf_append_text(&buf, "long");
  buf_clear(&buf);
  buf_append_text(&buf, "in");
  assert_string_equal(buf_text(&buf), "in");
  assert_int_equal(buf.size, 2);
}

static void
test_consume(void **state)
{
  (void) state;
  CLEANUP_BUF struct buf buf = { 0 };
  buf_consume(&buf, 5); /* of nothing */
  buf_append_text(&buf, "abcdef");
  buf_consume(&buf, 0);
  buf_consume(&buf, 2);
  assert_string_equal(buf_text(&buf), "cdef");
  buf_append_char(&buf, 'g');
  buf_consume(&buf, 4);
  assert_string_equal(buf_text(&buf), "g");
  buf_consume(&buf, 1000);
  assert_int_equal(buf.size, 0);
}

static void
test_reserved_room_is_there(void **state)
{
  (void) state;
  CLEANUP_BUF struct buf buf = { 0 };
  buf_append_text(&buf, "x");
  for (size_t size = 1; size < 5000; size += 7) {
    memset(buf_reserve(&buf, size), 'y', size); /* the sanitizers watch */
    buf.size += size;
  }
  assert_int_equal(buf.data[0], 'x');
  assert_int_equal(buf.data[buf.size - 1], 'y');
}

static void
test_freed_it_is_empty(void **state)
{
  (void) state;
  struct buf buf = { 0 };
  buf_free(&buf);
  buf_append_text(&buf, "x");
  buf_free(&buf);
  assert_null(buf.data);
  assert_int_equal(buf.size, 0);
  buf_append_text(&buf, "again");
  assert_string_equal(buf_text(&buf), "again");
  buf_free(&buf);
}

int
main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_everything_that_appends),       cmocka_unit_test(test_it_grows),
    cmocka_unit_test(test_text_ends_behind_the_contents), cmocka_unit_test(test_consume),
    cmocka_unit_test(test_reserved_room_is_there),        cmocka_unit_test(test_freed_it_is_empty),
  };
  return cmocka_run_group_tests_name("buf", tests, NULL, NULL);
}
