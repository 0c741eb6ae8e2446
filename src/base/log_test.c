/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
/* cmocka needs the three above first. */
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <regex.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/file.h"
#include "base/log.h"

#define STAMP "time=[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\\.[0-9]{6}Z "
#define LINE_MAX_BYTES 2048

/* Standard error, while a test runs, is a file. */
struct capture
{
  int saved;
  int file;
};

static int
capture_begin(void **state)
{
  static struct capture capture;
  char path[] = "/tmp/panoply-log-XXXXXX";
  capture.file = mkostemp(path, O_CLOEXEC | O_APPEND);
  capture.saved = dup(STDERR_FILENO);
  if (capture.file < 0 || capture.saved < 0)
    return -1;
  unlink(path);
  dup2(capture.file, STDERR_FILENO);
  unsetenv("JOURNAL_STREAM");
  log_set_level(LOG_LEVEL_INFO);
  *state = &capture;
  return 0;
}

static int
capture_end(void **state)
{
  struct capture *capture = *state;
  dup2(capture->saved, STDERR_FILENO);
  close(capture->saved);
  close(capture->file);
  return 0;
}

/* What has been logged since the last time. */
static const char *
logged(const struct capture *capture)
{
  static char text[1 << 20];
  off_t size = lseek(capture->file, 0, SEEK_END);
  assert_in_range(size, 0, sizeof text - 1);
  assert_int_equal(pread(capture->file, text, (size_t) size, 0), size);
  assert_int_equal(ftruncate(capture->file, 0), 0);
  text[size] = '\0';
  return text;
}

static void
assert_matches(const char *text, const char *pattern)
{
  regex_t compiled;
  assert_int_equal(regcomp(&compiled, pattern, REG_EXTENDED | REG_NOSUB), 0);
  int r = regexec(&compiled, text, 0, NULL, 0);
  regfree(&compiled);
  if (r != 0)
    fail_msg("%s does not match %s", text, pattern);
}

static void
test_a_line_is_logfmt(void **state)
{
  log_info("farm", "%d builds", 3);
  assert_matches(logged(*state), "^" STAMP "level=info room=farm msg=\"3 builds\"\n$");
  log_error("db", "a \"quoted\" \\ word");
  assert_matches(logged(*state), "^" STAMP "level=error room=db msg=\"a \\\\\"quoted\\\\\" "
                                 "\\\\\\\\ word\"\n$");
}

/* What others wrote stands in messages: it must neither forge a line nor speak to a
   terminal. */
static void
test_no_control_character_gets_through(void **state)
{
  char all[34];
  for (int i = 0; i < 32; i++)
    all[i] = (char) (i + 1);
  all[31] = 0x7f;
  all[32] = '\0';
  log_info("x", "%s", all);
  const char *line = logged(*state);
  assert_matches(line, "msg=\" {32}\"\n$");
  log_info("x", "csi \xc2\x9b"
                "31m nel \xc2\x85 end, \xc2\xa0 and \xc3\x9b stay");
  line = logged(*state);
  assert_null(strstr(line, "\xc2\x9b"));
  assert_null(strstr(line, "\xc2\x85"));
  assert_non_null(strstr(line, "31m nel"));
  assert_non_null(strstr(line, "\xc2\xa0 and \xc3\x9b stay\""));
  log_info("x", "raw \x9b and half \xc2");
  line = logged(*state);
  assert_true(str_is_utf8(str_of(line)));
  assert_non_null(strstr(line, "raw ? and half ?\""));
}

static void
test_a_long_message_is_cut(void **state)
{
  static char text[5000];
  for (int fill = 0; fill < 2; fill++) {
    memset(text, fill == 0 ? 'x' : '"', sizeof text - 1);
    log_info("x", "%s", text);
    const char *line = logged(*state);
    assert_in_range(strlen(line), 1000, LINE_MAX_BYTES);
    assert_ptr_equal(strchr(line, '\n'), line + strlen(line) - 1);
    assert_int_equal(line[strlen(line) - 2], '"');
  }
  /* Not in the middle of a character. */
  for (int shift = 0; shift < 2; shift++) {
    for (size_t i = 0; i + 2 < sizeof text; i += 2)
      memcpy(text + i, "\xc3\xa9", 2);
    log_info("x", "%s%s", shift == 0 ? "" : "x", text);
    assert_true(str_is_utf8(str_of(logged(*state))));
    memset(text, '"', 900); /* doubled, they leave less room */
    log_info("x", "%s%s", shift == 0 ? "" : "x", text);
    const char *line = logged(*state);
    assert_in_range(strlen(line), 1900, LINE_MAX_BYTES);
    assert_true(str_is_utf8(str_of(line)));
  }
}

static void
test_levels(void **state)
{
  log_debug("x", "hidden");
  assert_string_equal(logged(*state), "");
  log_set_level(LOG_LEVEL_DEBUG);
  log_debug("x", "shown");
  assert_matches(logged(*state), "level=debug .*shown");
  log_set_level(LOG_LEVEL_WARNING);
  log_info("x", "hidden");
  assert_string_equal(logged(*state), "");
  log_warning("x", "shown");
  assert_matches(logged(*state), "level=warning ");
}

static void
test_a_failure_has_its_reason_and_hint(void **state)
{
  struct error err = { 0 };
  error_set(&err, -ENOENT, "there is no file");
  log_failure("db", &err, "cannot start %s", "it");
  assert_matches(logged(*state),
                 "level=error room=db msg=\"cannot start it: there is no file\"\n$");
  error_hint(&err, "Make one.");
  log_failure("db", &err, "cannot start");
  assert_matches(logged(*state), "msg=\"cannot start: there is no file\\. Make one\\.\"\n$");
}

static void
test_the_journal_gets_priorities(void **state)
{
  setenv("JOURNAL_STREAM", "1:2", 1);
  log_error("x", "a");
  assert_matches(logged(*state), "^<3>time=");
  log_warning("x", "a");
  assert_matches(logged(*state), "^<4>time=");
  log_info("x", "a");
  assert_matches(logged(*state), "^<6>time=");
}

#define THREADS 4
#define LINES 500

static void *
log_much(void *context)
{
  (void) context;
  for (int i = 0; i < LINES; i++)
    log_info("x", "%s", "some words of a thread that has much to say");
  return NULL;
}

static void
test_lines_of_threads_do_not_mix(void **state)
{
  pthread_t threads[THREADS];
  for (int i = 0; i < THREADS; i++)
    assert_int_equal(pthread_create(&threads[i], NULL, log_much, NULL), 0);
  for (int i = 0; i < THREADS; i++)
    pthread_join(threads[i], NULL);
  struct str rest = str_of(logged(*state));
  struct str line;
  size_t count = 0;
  while (str_split(&rest, '\n', &line) && line.size > 0) {
    assert_true(str_starts(line, STR("time=")));
    assert_true(str_ends(line, STR("much to say\"")));
    count++;
  }
  assert_int_equal(count, THREADS * LINES);
}

#define CAPTURED(function) cmocka_unit_test_setup_teardown(function, capture_begin, capture_end)

int
main(void)
{
  const struct CMUnitTest tests[] = {
    CAPTURED(test_a_line_is_logfmt),
    CAPTURED(test_no_control_character_gets_through),
    CAPTURED(test_a_long_message_is_cut),
    CAPTURED(test_levels),
    CAPTURED(test_a_failure_has_its_reason_and_hint),
    CAPTURED(test_the_journal_gets_priorities),
    CAPTURED(test_lines_of_threads_do_not_mix),
  };
  return cmocka_run_group_tests_name("log", tests, NULL, NULL);
}
