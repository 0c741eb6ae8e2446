/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "guix/base64.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
/* cmocka needs the headers above first. */
#include <cmocka.h>

/* RFC 4648, section 10 */
static const struct
{
  const char *plain;
  const char *coded;
} vectors[] = {
  { "", "" },
  { "f", "Zg==" },
  { "fo", "Zm8=" },
  { "foo", "Zm9v" },
  { "foob", "Zm9vYg==" },
  { "fooba", "Zm9vYmE=" },
  { "foobar", "Zm9vYmFy" },
  { "\xff\xef\xbe", "/+++" },
};

static void
test_vectors(void **state)
{
  (void) state;
  for (size_t i = 0; i < ARRAY_SIZE(vectors); i++) {
    CLEANUP_BUF struct buf coded = { 0 }, plain = { 0 };
    base64_encode(str_of(vectors[i].plain), &coded);
    assert_string_equal(buf_text(&coded), vectors[i].coded);
    assert_int_equal(base64_decode(buf_str(&coded), &plain), 0);
    assert_string_equal(buf_text(&plain), vectors[i].plain);
  }
}

static void
test_bad_text_is_refused(void **state)
{
  (void) state;
  static const char *const bad[] = {
    "Z",        "Zg",     "Zg=",  "Zg===", "====", "Z===", "=Zg=",
    "Zg==Zg==", "Zm9v\n", "Zm9 ", "Zm-_",  "Zh==", "Zm9=", "Zm8=Zm8=",
  };
  for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
    CLEANUP_BUF struct buf plain = { 0 };
    assert_int_equal(base64_decode(str_of(bad[i]), &plain), -EINVAL);
  }
  CLEANUP_BUF struct buf plain = { 0 };
  assert_int_equal(base64_decode(str_make("Zm9\0", 4), &plain), -EINVAL);
}

int
main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_vectors),
    cmocka_unit_test(test_bad_text_is_refused),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
