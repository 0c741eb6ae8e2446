/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
/* cmocka needs the three above first. */
#include <cmocka.h>

#include <stdio.h>

#include "channels/forge.h"

#define A "0123456789012345678901234567890123456789"
#define B "abcdefabcdefabcdefabcdefabcdefabcdefabcd"

/* What each forge's own pages are called; "" = there is none. */
static const struct
{
  const char *url, *commit, *compare, *file;
} known[] = {
  { "https://github.com/a/b.git", "https://github.com/a/b/commit/" A,
    "https://github.com/a/b/compare/" A "..." B, "https://github.com/a/b/blob/" A "/x/y.scm#L7" },
  { "https://gitlab.com/g/sub/b", "https://gitlab.com/g/sub/b/-/commit/" A,
    "https://gitlab.com/g/sub/b/-/compare/" A "..." B,
    "https://gitlab.com/g/sub/b/-/blob/" A "/x/y.scm#L7" },
  { "http://gitlab.example.org:8080/a/b/", "http://gitlab.example.org:8080/a/b/-/commit/" A,
    "http://gitlab.example.org:8080/a/b/-/compare/" A "..." B,
    "http://gitlab.example.org:8080/a/b/-/blob/" A "/x/y.scm#L7" },
  { "https://codeberg.org/guix/guix.git", "https://codeberg.org/guix/guix/commit/" A,
    "https://codeberg.org/guix/guix/compare/" A "..." B,
    "https://codeberg.org/guix/guix/src/commit/" A "/x/y.scm#L7" },
  { "https://git.sr.ht/~a/b", "https://git.sr.ht/~a/b/commit/" A, "",
    "https://git.sr.ht/~a/b/tree/" A "/item/x/y.scm#L7" },
  { "https://git.savannah.gnu.org/git/guix.git",
    "https://git.savannah.gnu.org/cgit/guix.git/commit/?id=" A,
    "https://git.savannah.gnu.org/cgit/guix.git/log/?id=" B "&qt=range&q=" A ".." B,
    "https://git.savannah.gnu.org/cgit/guix.git/tree/x/y.scm?id=" A "#n7" },
};

static void
test_known_forges(void **state)
{
  (void) state;
  CLEANUP_ARENA struct arena arena = { 0 };
  for (size_t i = 0; i < ARRAY_SIZE(known); i++) {
    struct forge forge = forge_of(str_of(known[i].url), &arena);
    assert_int_not_equal(forge.kind, FORGE_UNKNOWN);
    struct str commit = forge_commit(&forge, STR(A), &arena);
    struct str compare = forge_compare(&forge, STR(A), STR(B), &arena);
    struct str file = forge_file(&forge, STR(A), STR("x/y.scm"), 7, &arena);
    assert_true(str_equal(commit, str_of(known[i].commit)));
    assert_true(str_equal(compare, str_of(known[i].compare)));
    assert_true(str_equal(file, str_of(known[i].file)));
  }
}

static void
test_no_link_for_others(void **state)
{
  (void) state;
  static const char *const urls[] = {
    "",
    "https://",
    "https://github.com",
    "https://github.com/only-one",
    "https://user:secret@github.com/a/b",
    "https://user@codeberg.org/a/b",
    "https://example.org/a/b",
    "https://github.com.example.org/a/b",
    "ssh://git@github.com/a/b",
    "git://github.com/a/b",
    "file:///github.com/a/b",
    "javascript:alert(1)",
    "https://github.com/a/../b",
    "https://github.com/a//b",
    "https://github.com/a/b?x=y",
    "https://github.com/a/b#c",
    "https://github.com/a/\"><script>",
    "https://git.savannah.gnu.org/other/guix.git",
  };
  CLEANUP_ARENA struct arena arena = { 0 };
  for (size_t i = 0; i < ARRAY_SIZE(urls); i++) {
    struct forge forge = forge_of(str_of(urls[i]), &arena);
    if (forge.kind != FORGE_UNKNOWN)
      fail_msg("%s is taken for a known forge", urls[i]);
    assert_int_equal(forge_commit(&forge, STR(A), &arena).size, 0);
    assert_int_equal(forge_compare(&forge, STR(A), STR(B), &arena).size, 0);
    assert_int_equal(forge_file(&forge, STR(A), STR("x"), 0, &arena).size, 0);
  }
}

static void
test_hostile_files_and_hashes(void **state)
{
  (void) state;
  CLEANUP_ARENA struct arena arena = { 0 };
  struct forge forge = forge_of(STR("https://codeberg.org/a/b"), &arena);
  assert_int_equal(forge_file(&forge, STR(A), STR("../../x"), 0, &arena).size, 0);
  assert_int_equal(forge_file(&forge, STR(A), STR("/etc/passwd"), 0, &arena).size, 0);
  assert_int_equal(forge_file(&forge, STR(A), STR(""), 0, &arena).size, 0);
  assert_int_equal(forge_commit(&forge, STR("a\"onclick=x"), &arena).size, 0);
  assert_true(
      str_equal(forge_file(&forge, STR(A), STR("a b/<x>?#\xc3\xa4"), 0, &arena),
                STR("https://codeberg.org/a/b/src/commit/" A "/a%20b/%3Cx%3E%3F%23%C3%A4")));
}

int
main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_known_forges),
    cmocka_unit_test(test_no_link_for_others),
    cmocka_unit_test(test_hostile_files_and_hashes),
  };
  return cmocka_run_group_tests_name("forge", tests, NULL, NULL);
}
