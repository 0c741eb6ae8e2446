/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What only a server gone wrong would send. The forms themselves are tested
   against a real one: tests/generators/types_test.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
/* cmocka needs the three above first. */
#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>

#include "base/mem.h"
#include "db/value.h"

/* Decodes a copy that ends where its memory ends, so that sanitizers see. */
static int
decode(enum db_type type, struct str bytes)
{
  CLEANUP_ARENA struct arena arena = { 0 };
  union
  {
    int64_t integer;
    struct str text;
    struct db_strs list;
  } ret;
  CLEANUP_FREE char *copy = mem_strndup(bytes.data, bytes.size);
  copy = mem_resize(copy, bytes.size == 0 ? 1 : bytes.size, 1);
  return db_value_decode(type, str_make(copy, bytes.size), &arena, &ret);
}

#define WORD(byte) "\0\0\0" byte
#define LIST_OF_I64(count) WORD("\1") WORD("\0") WORD("\x14") count WORD("\1")
#define LIST_OF_TEXT(count) WORD("\1") WORD("\0") WORD("\x19") count WORD("\1")

static void
test_numbers_of_another_size(void **state)
{
  (void) state;
  assert_int_equal(decode(DB_TYPE_I64, STR("\0\0\0\0\0\0\0\1")), 0);
  assert_int_equal(decode(DB_TYPE_I64, STR("\0\0\0\1")), -EPROTO);
  assert_int_equal(decode(DB_TYPE_I16, STR("")), -EPROTO);
  assert_int_equal(decode(DB_TYPE_BOOL, STR("\0\0")), -EPROTO);
  assert_int_equal(decode(DB_TYPE_F64, STR("\0\0\0\0\0\0\0")), -EPROTO);
}

static void
test_jsonb_of_another_version(void **state)
{
  (void) state;
  assert_int_equal(decode(DB_TYPE_JSONB, STR("\1{}")), 0);
  assert_int_equal(decode(DB_TYPE_JSONB, STR("\2{}")), -EPROTO);
  assert_int_equal(decode(DB_TYPE_JSONB, STR("")), -EPROTO);
}

static void
test_lists_that_lie(void **state)
{
  (void) state;
  assert_int_equal(
      decode(DB_TYPE_I64S, STR(LIST_OF_I64(WORD("\1")) WORD("\10") "\0\0\0\0\0\0\0\1")), 0);
  assert_int_equal(decode(DB_TYPE_TEXTS, STR(LIST_OF_TEXT(WORD("\2")) WORD("\1") "a" WORD("\0"))),
                   0);
  static const struct str wrong[] = {
    { "", 0 },
    { WORD("\1") WORD("\0"), 8 },
    { WORD("\2") WORD("\0") WORD("\x19") WORD("\1") WORD("\1") WORD("\1"), 24 },
    { WORD("\1") WORD("\1") WORD("\x19") WORD("\0") WORD("\1"), 20 }, /* has NULLs */
    { LIST_OF_I64(WORD("\0")), 20 },                                  /* of another type */
    { LIST_OF_TEXT("\x7f\xff\xff\xff"), 20 },
    { LIST_OF_TEXT("\xff\xff\xff\xff"), 20 },
    { LIST_OF_TEXT(WORD("\1")) WORD("\2") "a", 25 },
    { LIST_OF_TEXT(WORD("\1")) "\xff\xff\xff\xff", 24 },
    { LIST_OF_TEXT(WORD("\1")) "\x80\0\0\0", 24 },
    { LIST_OF_TEXT(WORD("\1")) WORD("\1") "ab", 26 }, /* something behind */
  };
  for (size_t i = 0; i < ARRAY_SIZE(wrong); i++)
    assert_int_equal(decode(DB_TYPE_TEXTS, wrong[i]), -EPROTO);
  assert_int_equal(decode(DB_TYPE_I64S, STR(LIST_OF_I64(WORD("\1")) WORD("\4") "\0\0\0\1")),
                   -EPROTO);
}

static void
test_times_beyond_the_ends_are_infinite(void **state)
{
  (void) state;
  CLEANUP_BUF struct buf bytes = { 0 };
  const struct db_value early = { .type = DB_TYPE_TIME, .integer = INT64_MIN + 1 };
  assert_int_equal(db_value_encode(&early, &bytes), 0);
  assert_memory_equal(bytes.data, "\x80\0\0\0\0\0\0\0", 8);
  int64_t time = 0;
  struct str late = STR("\x7f\xff\xff\xff\xff\xff\xff\xfe");
  assert_int_equal(db_value_decode(DB_TYPE_TIME, late, NULL, &time), 0);
  assert_true(time == INT64_MAX);
}

int
main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_numbers_of_another_size),
    cmocka_unit_test(test_jsonb_of_another_version),
    cmocka_unit_test(test_lists_that_lie),
    cmocka_unit_test(test_times_beyond_the_ends_are_infinite),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
