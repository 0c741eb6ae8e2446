/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
/* cmocka needs the three above first. */
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/child.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/json.h"
#include "base/map.h"
#include "base/mem.h"

static void
test_numbers_are_strict(void **state)
{
  (void) state;
  int64_t value = 7;
  assert_int_equal(str_to_i64(STR("-9223372036854775808"), &value), 0);
  assert_true(value == INT64_MIN);
  assert_int_equal(str_to_i64(STR("9223372036854775808"), &value), -ERANGE);
  assert_int_equal(str_to_i64(STR(""), &value), -EINVAL);
  assert_int_equal(str_to_i64(STR("1 "), &value), -EINVAL);
  assert_int_equal(str_to_i64(STR("+1"), &value), -EINVAL);
  assert_true(value == INT64_MIN);
}

static void
test_error_code_survives_without_a_place_for_words(void **state)
{
  (void) state;
  assert_int_equal(error_set(NULL, -ENOENT, "gone"), -ENOENT);
  assert_int_equal(error_prefix(NULL, "cannot look"), -ENOENT);
  assert_int_equal(error_hint(NULL, "Look elsewhere."), -ENOENT);
  struct error err = { 0 };
  error_set(&err, -EINVAL, "bad %s", "thing");
  assert_int_equal(error_prefix(&err, "cannot use it"), -EINVAL);
  assert_string_equal(err.message, "cannot use it: bad thing");
}

static void
test_split_keeps_empty_parts(void **state)
{
  (void) state;
  struct str rest = STR("a::b:");
  struct str part;
  const char *expected[] = { "a", "", "b", "" };
  for (size_t i = 0; i < ARRAY_SIZE(expected); i++) {
    assert_true(str_split(&rest, ':', &part));
    assert_true(str_equal(part, str_of(expected[i])));
  }
  assert_false(str_split(&rest, ':', &part));
}

static void
test_utf8_refuses_overlong_and_surrogates(void **state)
{
  (void) state;
  assert_true(str_is_utf8(STR("\xc3\xa9 \xf0\x9f\x90\xa7")));
  assert_false(str_is_utf8(STR("\xc0\xaf")));
  assert_false(str_is_utf8(STR("\xed\xa0\x80")));
  assert_false(str_is_utf8(STR("\xf4\x90\x80\x80")));
  assert_false(str_is_utf8(STR("\xe2\x82")));
}

static void
test_hex_round_trip(void **state)
{
  (void) state;
  char digits[6];
  unsigned char bytes[3];
  str_to_hex("\x00\xaf\xff", 3, digits);
  assert_memory_equal(digits, "00afff", 6);
  assert_int_equal(str_from_hex(str_make(digits, 6), bytes, 3), 0);
  assert_memory_equal(bytes, "\x00\xaf\xff", 3);
  assert_int_equal(str_from_hex(STR("0g"), bytes, 1), -EINVAL);
  assert_int_equal(str_from_hex(STR("000"), bytes, 1), -EINVAL);
}

static void
test_int_map_survives_removals(void **state)
{
  (void) state;
  struct int_map map = { 0 };
  static char values[5000];
  for (int64_t i = 0; i < 5000; i++)
    assert_null(int_map_put(&map, i * 64, &values[i]));
  for (int64_t i = 0; i < 5000; i += 3)
    assert_ptr_equal(int_map_remove(&map, i * 64), &values[i]);
  for (int64_t i = 0; i < 5000; i++)
    assert_ptr_equal(int_map_get(&map, i * 64), i % 3 == 0 ? NULL : &values[i]);
  size_t seen = 0;
  for (size_t position = 0; int_map_next(&map, &position) != NULL;)
    seen++;
  assert_int_equal(seen, map.count);
  int_map_free(&map);
}

static void
test_str_map_copies_keys(void **state)
{
  (void) state;
  struct str_map map = { 0 };
  char key[16];
  for (int i = 0; i < 1000; i++) {
    snprintf(key, sizeof key, "key-%d", i);
    assert_true(str_map_put(&map, str_of(key), i));
  }
  assert_false(str_map_put(&map, STR("key-7"), 70));
  int64_t value = 0;
  assert_true(str_map_get(&map, STR("key-7"), &value));
  assert_int_equal(value, 70);
  assert_false(str_map_get(&map, STR("key-1000"), &value));
  str_map_free(&map);
}

static void
test_json_escapes_and_separates(void **state)
{
  (void) state;
  CLEANUP_BUF struct buf out = { 0 };
  struct json json = json_begin(&out);
  json_object_open(&json);
  json_put_text(&json, "a\"", STR("x\n\x01\x7f\xff\xc3\xa9"));
  json_key(&json, "list");
  json_array_open(&json);
  json_i64(&json, -1);
  json_none(&json);
  json_bool(&json, true);
  json_array_close(&json);
  json_object_close(&json);
  assert_string_equal(buf_text(&out), "{\"a\\\"\":\"x\\n\\u0001\\u007f\xef\xbf\xbd\xc3\xa9\","
                                      "\"list\":[-1,null,true]}");
}

static void
test_child_reports_missing_program_and_status(void **state)
{
  (void) state;
  struct error err = { 0 };
  const char *const missing[] = { "/no/such/program", NULL };
  struct child_options options = CHILD_OPTIONS_INIT;
  struct child child = CHILD_INIT;
  options.argv = missing;
  assert_int_equal(child_start(&options, &child, &err), -ENOENT);

  const char *const fails[] = { "sh", "-c", "echo first; echo reason >&2; exit 3", NULL };
  CLEANUP_BUF struct buf output = { 0 };
  options.argv = fails;
  assert_int_equal(child_run(&options, 5000, 1000, &output, &err), -ECHILD);
  assert_string_equal(err.message, "sh failed (exit status 3): reason");
  assert_string_equal(buf_text(&output), "first\nreason\n");
}

static void
test_child_gets_no_secrets_and_no_descriptors(void **state)
{
  (void) state;
  setenv("PANOPLY_SECRET", "x", 1);
  const char *const probe[] = { "sh", "-c", "env | grep -c SECRET; ls /proc/self/fd | wc -l",
                                NULL };
  struct child_options options = CHILD_OPTIONS_INIT;
  options.argv = probe;
  CLEANUP_BUF struct buf output = { 0 };
  int leak = dup(0); /* not close-on-exec */
  assert_int_equal(child_run(&options, 5000, 1000, &output, NULL), 0);
  close(leak);
  assert_string_equal(buf_text(&output), "0\n4\n"); /* 0, 1, 2 and ls's own */
}

static void
test_child_timeout_kills_the_group(void **state)
{
  (void) state;
  const char *const sleeper[] = { "sh", "-c", "sleep 60 & sleep 60", NULL };
  struct child_options options = CHILD_OPTIONS_INIT;
  options.argv = sleeper;
  int64_t before = clock_monotonic_ms();
  assert_int_equal(child_run(&options, 200, 0, NULL, NULL), -ETIMEDOUT);
  assert_true(clock_monotonic_ms() - before < 10000);
}

static void
test_child_is_held_to_its_limits(void **state)
{
  (void) state;
  const char *const endless[] = { "yes", NULL };
  const char *const writer[] = { "sh", "-c", "head -c 20000 /dev/zero > /proc/self/fd/3", NULL };
  struct child_options options = CHILD_OPTIONS_INIT;
  CLEANUP_BUF struct buf output = { 0 };
  options.argv = endless;
  options.output_is_whole = true;
  assert_int_equal(child_run(&options, 60000, 1000, &output, NULL), -EFBIG);
  char path[] = "/tmp/panoply-base-XXXXXX";
  CLEANUP_FD int file = mkstemp(path);
  options = (struct child_options) CHILD_OPTIONS_INIT;
  options.argv = writer;
  options.extra = file;
  options.limit_file = 5000;
  assert_int_equal(child_run(&options, 60000, 0, NULL, NULL), -ECHILD);
  assert_int_equal(lseek(file, 0, SEEK_END), 5000);
  unlink(path);
}

/* One of the group outlives the child, and would hold its end of the pipe for a minute. */
static void
test_child_stop_ends_the_group(void **state)
{
  (void) state;
  const char *const stubborn[] = {
    "sh", "-c", "(trap '' TERM; echo ready; sleep 60) & trap 'exit 0' TERM; wait", NULL
  };
  struct child_options options = CHILD_OPTIONS_INIT;
  struct child child = CHILD_INIT;
  int ends[2];
  char text[16];
  assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
  options.argv = stubborn;
  options.output = ends[1];
  assert_int_equal(child_start(&options, &child, NULL), 0);
  close(ends[1]);
  assert_int_equal(read(ends[0], text, sizeof text), 6);
  int64_t before = clock_monotonic_ms();
  child_stop(&child, 20000);
  assert_int_equal(read(ends[0], text, sizeof text), 0);
  assert_true(clock_monotonic_ms() - before < 10000);
  close(ends[0]);
}

static void
test_file_write_is_whole_or_nothing(void **state)
{
  (void) state;
  char folder[] = "/tmp/panoply-base-XXXXXX";
  assert_non_null(mkdtemp(folder));
  CLEANUP_FREE char *path = mem_printf("%s/a/b/file", folder);
  CLEANUP_FREE char *parent = mem_printf("%s/a/b", folder);
  struct error err = { 0 };
  assert_int_equal(file_write_atomic(path, STR("x"), 0600, &err), -ENOENT);
  assert_int_equal(file_make_dirs(parent, 0700, &err), 0);
  assert_int_equal(file_write_atomic(path, STR("hello"), 0600, &err), 0);
  CLEANUP_BUF struct buf back = { 0 };
  assert_int_equal(file_read_all(path, 4, &back, &err), -EFBIG);
  buf_clear(&back);
  assert_int_equal(file_read_all(path, 5, &back, &err), 0);
  assert_string_equal(buf_text(&back), "hello");
  assert_int_equal(file_remove_tree(folder, &err), 0);
  assert_false(file_exists(folder));
}

int
main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_numbers_are_strict),
    cmocka_unit_test(test_error_code_survives_without_a_place_for_words),
    cmocka_unit_test(test_split_keeps_empty_parts),
    cmocka_unit_test(test_utf8_refuses_overlong_and_surrogates),
    cmocka_unit_test(test_hex_round_trip),
    cmocka_unit_test(test_int_map_survives_removals),
    cmocka_unit_test(test_str_map_copies_keys),
    cmocka_unit_test(test_json_escapes_and_separates),
    cmocka_unit_test(test_child_reports_missing_program_and_status),
    cmocka_unit_test(test_child_gets_no_secrets_and_no_descriptors),
    cmocka_unit_test(test_child_timeout_kills_the_group),
    cmocka_unit_test(test_child_is_held_to_its_limits),
    cmocka_unit_test(test_child_stop_ends_the_group),
    cmocka_unit_test(test_file_write_is_whole_or_nothing),
  };
  return cmocka_run_group_tests_name("base", tests, NULL, NULL);
}
