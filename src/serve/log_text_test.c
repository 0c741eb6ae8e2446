/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What is read out of logs: colours, lines, phases, errors. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
/* cmocka needs the three above first. */
#include <cmocka.h>

#include <stdlib.h>

#include "base/mem.h"
#include "serve/ansi.h"
#include "serve/log_scan.h"

/* ---- colours ---- */

/* The runs as one text: "plain[c1 bold|red]". */
static void
check_line(struct ansi_style *style, const char *line, const char *expected)
{
  CLEANUP_ARENA struct arena arena = { 0 };
  CLEANUP_BUF struct buf told = { 0 };
  struct ansi_runs runs = ansi_read(str_of(line), style, &arena);
  for (size_t i = 0; i < runs.count; i++)
    if (*runs.items[i].classes != '\0')
      buf_printf(&told, "[%s|%.*s]", runs.items[i].classes, STR_FMT(runs.items[i].text));
    else
      buf_append_str(&told, runs.items[i].text);
  assert_string_equal(buf_text(&told), expected);
}

static void
test_colours(void **state)
{
  (void) state;
  static const char *const cases[][2] = {
    { "plain", "plain" },
    { "", "" },
    { "\x1b[31mred\x1b[0m not", "[c1|red] not" },
    { "\x1b[1;32mgreen\x1b[m.", "[c2 bold|green]." },
    { "\x1b[1m\x1b[3m\x1b[4mall\x1b[22;23;24mnone", "[bold italic underlined|all]none" },
    { "\x1b[90mgrey\x1b[39m\x1b[91mbright\x1b[37mwhite", "[c8|grey][c1|bright]white" },
    { "\x1b[41;33mon red\x1b[49myellow", "[p1|on red][c3|yellow]" },
    { "\x1b[34;7minverse\x1b[27mblue", "[p4|inverse][c4|blue]" },
    { "\x1b[38;5;196mcube\x1b[38;5;240mgrey\x1b[38;5;9mbasic", "[c1|cube][c8|grey][c1|basic]" },
    { "\x1b[38;2;0;200;0mtrue\x1b[48;5;21mblue", "[c2|true][p4|blue]" },
    { "\x1b[38;5;300mno\x1b[38;5mcolour\x1b[38mat all", "nocolourat all" },
    { "\x1b[38:5:196mcolons", "[c1|colons]" },
  };
  for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
    struct ansi_style style = { 0 };
    check_line(&style, cases[i][0], cases[i][1]);
  }
}

static void
test_other_escapes_are_dropped(void **state)
{
  (void) state;
  static const char *const cases[][2] = {
    { "a\x1b[2Jb\x1b[10;20Hc\x1b[?25ld", "abcd" },
    { "a\x1b]0;title\ab\x1b]8;;https://example.org\x1b\\c", "abc" },
    { "a\x1b]never ends", "a" },
    { "a\x1b(Bb\x1b"
      "7c\x1b=d",
      "abcd" },
    { "a\x1bPdevice\x1b\\b\x1b_app\x1b\\c", "abc" },
    { "ends\x1b", "ends" },
    { "ends\x1b[", "ends" },
    { "ends\x1b[1;", "ends" },
    { "a\x1b[>31mb\x1b[31 mc", "abc" }, /* private, and with an intermediate: no colours */
    { "a\x1b[\x01m", "a\x01m" },        /* no sequence: what is left is shown, escaped */
    { "a\x1b\x1b[31mb", "a[c1|b]" },
    { "10%\r20%\r100%\r\r", "100%" },
    { "line\r", "line" },
  };
  for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
    struct ansi_style style = { 0 };
    check_line(&style, cases[i][0], cases[i][1]);
  }
}

static void
test_style_goes_on(void **state)
{
  (void) state;
  struct ansi_style style = { 0 };
  check_line(&style, "\x1b[1;31mone", "[c1 bold|one]");
  check_line(&style, "two\x1b[0m", "[c1 bold|two]");
  check_line(&style, "three", "three");
}

static void
test_many_numbers(void **state)
{
  (void) state;
  CLEANUP_BUF struct buf line = { 0 };
  struct ansi_style style = { 0 };
  buf_append_text(&line, "\x1b[");
  for (int i = 0; i < 10000; i++)
    buf_append_text(&line, "99999999999999999999;");
  buf_append_text(&line, "mtext");
  check_line(&style, buf_text(&line), "text");
}

/* ---- lines ---- */

/* The same whatever the pieces are. */
static void
feed_by(struct log_scan *scan, struct str text, size_t size)
{
  while (text.size > 0) {
    log_scan_feed(scan, str_make(text.data, text.size < size ? text.size : size));
    text = str_from(text, size);
  }
}

static const char sample[] = "starting phase `unpack'\n"
                             "unpacking\n"
                             "phase `unpack' succeeded after 0.1 seconds\n"
                             "starting phase `build'\n"
                             "checking for perror: yes\n"
                             "foo.c:1:2: error: no such thing\n"
                             "make: *** [all] Error 2\n"
                             "phase `build' failed after 12.5 seconds\n"
                             "builder for `x.drv' failed";

static void
test_phases_and_errors(void **state)
{
  (void) state;
  for (size_t size = 1; size < sizeof sample; size++) {
    PN_CLEANUP(log_scan_free) struct log_scan scan = { .wants_error = true };
    feed_by(&scan, str_of(sample), size);
    assert_int_equal(scan.size, sizeof sample - 1);
    assert_int_equal(scan.lines, 8);
    assert_int_equal(log_scan_lines(&scan), 9);
    assert_int_equal(scan.phases.count, 2);
    const struct log_phase *phase = scan.phases.items;
    assert_string_equal(phase[0].name, "unpack");
    assert_int_equal(phase[0].line, 1);
    assert_int_equal(phase[0].duration, 100000);
    assert_true(phase[0].has_ended && !phase[0].has_failed);
    assert_string_equal(phase[1].name, "build");
    assert_int_equal(phase[1].line, 4);
    assert_int_equal(phase[1].duration, 12500000);
    assert_true(phase[1].has_ended && phase[1].has_failed);
    assert_int_equal(scan.error_line, 6);
    assert_string_equal(scan.error, "foo.c:1:2: error: no such thing");
  }
}

static void
test_what_looks_like_an_error(void **state)
{
  (void) state;
  static const char *const errors[] = {
    "error: x",
    "foo.c:1:2: error: x",
    "fatal error: x",
    "Error: x",
    "\x1b[31merror: x",
    "make[1]: *** [Makefile:3: all] Error 1",
    "tests FAILED",
    "phase `check' failed after 3.2 seconds",
    "builder for `/gnu/store/x.drv' failed with exit code 1",
    "Traceback (most recent call last):",
    "ERROR: test.c",
  };
  static const char *const others[] = {
    "",
    "checking for perror: yes",
    "checking whether error works... yes",
    "-Werror",
    "0 failed",
    "phase `check' succeeded after 3.2 seconds",
    "** note",
  };
  for (size_t i = 0; i < ARRAY_SIZE(errors); i++)
    if (!log_is_error(str_of(errors[i])))
      fail_msg("not seen: %s", errors[i]);
  for (size_t i = 0; i < ARRAY_SIZE(others); i++)
    if (log_is_error(str_of(others[i])))
      fail_msg("taken for an error: %s", others[i]);
}

static void
test_the_daemons_verdict_is_the_last_resort(void **state)
{
  (void) state;
#define VERDICT "builder for `/gnu/store/x-thyme-2.1.drv' failed with exit code 1\n"
  static const struct
  {
    const char *log, *error;
    int line;
  } cases[] = {
    { "begin\ncat: can't open '/x/basill': No such file or directory\n" VERDICT,
      "cat: can't open '/x/basill': No such file or directory", 2 },
    { "ld: cannot find -lx\nthe end\n" VERDICT, "ld: cannot find -lx", 1 },
    { "checking\nwrong answer\n\n" VERDICT, "wrong answer", 2 },
    { VERDICT, "builder for `/gnu/store/x-thyme-2.1.drv' failed with exit code 1", 1 },
    { "x: not found\nfoo.c:1: error: y\nz: not found\n" VERDICT, "foo.c:1: error: y", 2 },
    { "ok\n\x1b[01m\x1b[Kfoo.c:3:1:\x1b[m\x1b[K \x1b[01;31m\x1b[Kerror: \x1b[m\x1b[Kunknown type\n"
      "z: not found\n" VERDICT,
      "foo.c:3:1: error: unknown type", 2 },
  };
#undef VERDICT
  for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
    PN_CLEANUP(log_scan_free) struct log_scan scan = { .wants_error = true };
    log_scan_feed(&scan, str_of(cases[i].log));
    assert_string_equal(scan.error, cases[i].error);
    assert_int_equal(scan.error_line, cases[i].line);
  }
}

static void
test_hostile_phases(void **state)
{
  (void) state;
  PN_CLEANUP(log_scan_free) struct log_scan scan = { 0 };
  CLEANUP_BUF struct buf text = { 0 };
  for (int i = 0; i < 1000; i++)
    buf_printf(&text, "starting phase `p%d'\nphase `other' failed after x seconds\n", i);
  buf_append_text(&text, "starting phase `\nstarting phase `'\nphase `p99' failed after \n"
                         "phase `p99' failed after 9.\nphase `p99' succeeded after -1.5 seconds\n");
  log_scan_feed(&scan, buf_str(&text));
  assert_int_equal(scan.phases.count, LOG_PHASES_MAX);
  assert_string_equal(scan.phases.items[99].name, "p99");
}

/* Every line is found from the place before it, at most twice the spacing away. */
static void
test_places(void **state)
{
  (void) state;
  PN_CLEANUP(log_scan_free) struct log_scan scan = { 0 };
  CLEANUP_BUF struct buf text = { 0 };
  const int64_t lines = 10000000; /* more than there are places */
  for (int i = 0; i < 10000; i++)
    buf_append_text(&text, "x\n");
  for (int i = 0; i < lines / 10000; i++)
    log_scan_feed(&scan, buf_str(&text));
  assert_int_equal(scan.lines, lines);
  for (int64_t line = 1; line < lines; line += 777777) {
    int64_t known = line;
    int64_t place = log_scan_place(&scan, &known);
    assert_true(known <= line && line - known < scan.spacing);
    assert_int_equal(place, (known - 1) * 2);
  }
  assert_true(scan.spacing <= 4000);
}

/* Nor is more than a MiB and a little gone through for a line, however long those before it are;
   and many short ones behind do not take their places from them. */
static void
test_places_of_long_lines(void **state)
{
  (void) state;
  PN_CLEANUP(log_scan_free) struct log_scan scan = { 0 };
  CLEANUP_FREE char *piece = mem_alloc(1 << 20);
  const int64_t lines = 500;
  for (int64_t i = 0; i < lines; i++) {
    memset(piece, 'x', 1 << 20);
    piece[(1 << 20) - 1] = '\n';
    log_scan_feed(&scan, str_make(piece, 1 << 20));
  }
  memset(piece, '\n', 1 << 20);
  for (int i = 0; i < 10; i++)
    log_scan_feed(&scan, str_make(piece, 1 << 20));
  for (int64_t line = 1; line <= lines; line++) {
    int64_t known = line;
    int64_t place = log_scan_place(&scan, &known);
    assert_true(known <= line);
    assert_int_equal(place, (known - 1) << 20);
    assert_true(line - known <= 1);
  }
}

/* A line without end takes no room. */
static void
test_endless_line(void **state)
{
  (void) state;
  PN_CLEANUP(log_scan_free) struct log_scan scan = { .wants_error = true };
  CLEANUP_FREE char *piece = mem_alloc(1 << 20);
  memset(piece, 'x', 1 << 20);
  for (int i = 0; i < 64; i++)
    log_scan_feed(&scan, str_make(piece, 1 << 20));
  assert_int_equal(scan.size, 64 << 20);
  assert_int_equal(log_scan_lines(&scan), 1);
  assert_true(scan.begun.capacity <= 16384);
}

int
main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_colours),
    cmocka_unit_test(test_other_escapes_are_dropped),
    cmocka_unit_test(test_style_goes_on),
    cmocka_unit_test(test_many_numbers),
    cmocka_unit_test(test_phases_and_errors),
    cmocka_unit_test(test_what_looks_like_an_error),
    cmocka_unit_test(test_the_daemons_verdict_is_the_last_resort),
    cmocka_unit_test(test_hostile_phases),
    cmocka_unit_test(test_places),
    cmocka_unit_test(test_places_of_long_lines),
    cmocka_unit_test(test_endless_line),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
