/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
/* cmocka needs the three above first. */
#include <cmocka.h>

#include <errno.h>
#include <stdalign.h>
#include <stdint.h>
#include <stdlib.h>

#include "base/arena.h"
#include "base/child.h"

#define PIECES 20000

/* Pieces of all sizes, up to some that are larger than a block: zeroed, aligned and
   nobody else's. */
static void
test_pieces_are_zeroed_aligned_and_apart(void **state)
{
  (void) state;
  CLEANUP_ARENA struct arena arena = { 0 };
  static unsigned char *pieces[PIECES];
  for (size_t i = 0; i < PIECES; i++) {
    size_t size = i % 1000 == 999 ? 70000 : i % 97;
    pieces[i] = arena_alloc(&arena, size);
    assert_int_equal((uintptr_t) pieces[i] % alignof(max_align_t), 0);
    for (size_t j = 0; j < size; j++)
      assert_int_equal(pieces[i][j], 0);
    memset(pieces[i], (int) (i % 251) + 1, size);
  }
  for (size_t i = 0; i < PIECES; i++)
    for (size_t j = 0; j < i % 97 && i % 1000 != 999; j++)
      assert_int_equal(pieces[i][j], i % 251 + 1);
}

static void
test_texts_are_copies(void **state)
{
  (void) state;
  CLEANUP_ARENA struct arena arena = { 0 };
  char original[] = "a\0b";
  struct str copy = arena_str(&arena, str_make(original, 3));
  original[0] = 'x';
  assert_int_equal(copy.size, 3);
  assert_memory_equal(copy.data, "a\0b", 4); /* terminated too */
  struct str nothing = arena_str(&arena, (struct str) { 0 });
  assert_int_equal(nothing.size, 0);
  assert_string_equal(nothing.data, "");
  assert_string_equal(arena_printf(&arena, "%d %s", 7, "seas"), "7 seas");
  assert_string_equal(arena_printf(&arena, "%s", ""), "");
  const char *wide = arena_printf(&arena, "%*s", 100000, "x");
  assert_int_equal(strlen(wide), 100000);
}

static void
test_it_can_be_used_again(void **state)
{
  (void) state;
  struct arena arena = { 0 };
  arena_free(&arena);
  memset(arena_alloc(&arena, 100), 1, 100);
  arena_free(&arena);
  assert_null(arena.blocks);
  const char *again = arena_alloc(&arena, 100);
  for (size_t i = 0; i < 100; i++)
    assert_int_equal(again[i], 0);
  arena_free(&arena);
}

/* A count from outside must not wrap round to a small piece: the program ends. */
static void
test_a_count_that_overflows_ends_the_program(void **state)
{
  const char *argv[] = { *state, "overflow", NULL };
  struct child_options options = CHILD_OPTIONS_INIT;
  options.argv = argv;
  assert_int_equal(child_run(&options, 30000, 0, NULL, NULL), -ECHILD);
}

int
main(int argc, char **argv)
{
  if (argc > 1) {
    struct arena arena = { 0 };
    /* Such a request is what it tests: volatile keeps the compiler from seeing it. */
    volatile size_t count = SIZE_MAX / 8 + 2;
    *(char *) arena_array(&arena, count, 16) = 1;
    return 0;
  }
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_pieces_are_zeroed_aligned_and_apart),
    cmocka_unit_test(test_texts_are_copies),
    cmocka_unit_test(test_it_can_be_used_again),
    cmocka_unit_test_prestate(test_a_count_that_overflows_ends_the_program, argv[0]),
  };
  return cmocka_run_group_tests_name("arena", tests, NULL, NULL);
}
