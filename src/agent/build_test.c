/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
/* cmocka needs the three above first. */
#include <cmocka.h>

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mount.h>

#include "agent/agent_private.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"

#define DRV "/gnu/store/6d4lk73an4918digdv34xprynczidc39-demo.drv"
#define OTHER "/gnu/store/sh7wwg5pjx23v03rkpk8ghl0mnnbqkn2-demo-src.drv"

static void
test_causes_are_told_apart(void **state)
{
  (void) state;
  static const struct
  {
    struct failure_signs signs;
    const char *cause;
  } rows[] = {
    { { .error = -EREMOTEIO, .status = 100, .builder_failed = true }, "build" },
    { { .error = -EREMOTEIO, .status = 101 }, "timeout" },
    { { .error = -EREMOTEIO, .status = 101, .silence = true }, "silence" },
    { { .error = -EREMOTEIO, .status = 1, .builder_failed = true, .hash_mismatch = true },
      "hash-mismatch" },
    { { .error = -EREMOTEIO, .status = 100, .builder_failed = true, .no_space = true },
      "disk-full" },
    { { .error = -EREMOTEIO, .status = 100, .builder_failed = true, .killed = true },
      "out-of-memory" },
    { { .error = -EREMOTEIO, .status = 1, .builder_failed = true }, "build" },
    { { .error = -EREMOTEIO, .status = 1 }, "daemon" },
    { { .error = -EREMOTEIO, .status = 1, .unfit_output = true }, "build" },
    { { .error = -ECONNRESET }, "daemon" },
    { { .error = -ECONNRESET, .log_error = -EFBIG }, "build" },
    { { .error = -ECANCELED, .log_error = -ENOSPC }, "disk-full" },
    { { .error = -ECANCELED, .log_error = -EDQUOT }, "disk-full" },
    { { .error = -ECANCELED, .log_error = -EIO }, "daemon" },
  };
  for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
    assert_string_equal(failure_cause(&rows[i].signs), rows[i].cause);
}

/* That the daemon's work was cut off says nothing, if we did it. */
static void
test_words_say_why(void **state)
{
  (void) state;
  static const struct
  {
    struct failure_signs signs;
    const char *words;
  } rows[] = {
    { { .error = -ECANCELED, .log_error = -ENOSPC }, "state folder /state is full" },
    { { .error = -ECANCELED, .log_error = -EIO }, "state folder /state: Input/output error" },
    { { .error = -ECANCELED, .log_error = -EFBIG }, "beyond 1 GiB" },
    { { .error = -EREMOTEIO, .status = 101 }, "limit of 7 seconds" },
    { { .error = -EREMOTEIO, .status = 100, .builder_failed = true }, "the daemon's words" },
  };
  struct agent agent = { .state = "/state" };
  struct attempt attempt = { .agent = &agent, .timeout_s = 7 };
  for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
    struct verdict verdict = { 0 };
    failure_explain(&rows[i].signs, &attempt, "the daemon's words", &verdict);
    assert_non_null(strstr(verdict.message, rows[i].words));
  }
}

static void
test_only_our_own_failure_is_noted(void **state)
{
  (void) state;
  struct failure_signs signs = { 0 };
  struct guix_event event = { .kind = GUIX_EVENT_BUILD_FAILED, .drv = STR(OTHER) };
  failure_note(&signs, &event, STR(DRV));
  assert_false(signs.builder_failed);
  event.drv = STR(DRV);
  event.text = STR("builder failed due to signal 9 (Killed)");
  failure_note(&signs, &event, STR(DRV));
  assert_true(signs.builder_failed);
  assert_true(signs.killed);
}

static void
test_signs_in_text(void **state)
{
  (void) state;
  struct failure_signs signs = { 0 };
  struct guix_event event = { .kind = GUIX_EVENT_LOG, .text = STR("60 seconds of silence") };
  failure_note(&signs, &event, STR(DRV));
  assert_false(signs.silence); /* a builder may say so; only the daemon counts */
  event.kind = GUIX_EVENT_MESSAGE;
  failure_note(&signs, &event, STR(DRV));
  assert_true(signs.silence);
  event = (struct guix_event) { .kind = GUIX_EVENT_LOG,
                                .text = STR("cp: write: No space left on device\n") };
  failure_note(&signs, &event, STR(DRV));
  assert_true(signs.says_no_space);
  assert_false(signs.no_space); /* that is to be seen */
  event.kind = GUIX_EVENT_MESSAGE;
  failure_note(&signs, &event, STR(DRV));
  assert_true(signs.no_space);
}

static void
test_a_full_disk_is_seen(void **state)
{
  (void) state;
  char folder[] = "/tmp/panoply-disk-XXXXXX";
  assert_non_null(mkdtemp(folder));
  CLEANUP_FREE char *store = mem_printf("%s/gnu/store", folder);
  assert_false(disk_is_full(folder)); /* nothing there: nothing known */
  assert_int_equal(file_make_dirs(store, 0755, NULL), 0);
  if (mount("none", store, "tmpfs", 0, "size=1m") != 0) {
    file_remove_tree(folder, NULL);
    skip(); /* not root */
  }
  assert_true(disk_is_full(folder));
  assert_int_equal(mount("none", store, "tmpfs", MS_REMOUNT, "size=2g,nr_inodes=100000"), 0);
  assert_false(disk_is_full(folder));
  assert_int_equal(umount(store), 0);
  file_remove_tree(folder, NULL);
}

static void
test_pauses_fit_the_time_of_grace(void **state)
{
  (void) state;
  static const int64_t graces_s[] = { 1, 5, 10, 60, 3600, 86400 };
  for (size_t i = 0; i < ARRAY_SIZE(graces_s); i++) {
    int64_t limit = agent_pause_limit(graces_s[i] * 1000);
    assert_true(limit > 0 && limit <= 30000);
    assert_true(3 * (limit + limit / 2) <= graces_s[i] * 1000);
  }
}

/* ---- pump ---- */

static int
produce_counted(void *state, guix_sink *sink, void *sink_context, struct error *err)
{
  size_t *count = state;
  for (size_t i = 0; i < *count; i++) {
    int r = sink(sink_context, STR("0123456789"));
    if (r < 0)
      return error_set(err, r, "the sink is gone");
  }
  return 0;
}

static int
produce_failure(void *state, guix_sink *sink, void *sink_context, struct error *err)
{
  (void) state;
  (void) sink(sink_context, STR("half"));
  return error_set(err, -EIO, "the disk broke");
}

static void
test_pump_carries_all(void **state)
{
  (void) state;
  size_t count = 500000;
  struct pump *pump = pump_start(produce_counted, &count);
  assert_non_null(pump);
  char room[4096];
  int64_t total = 0;
  int64_t got;
  while ((got = pump_read(pump, room, sizeof room)) > 0)
    total += got;
  assert_int_equal(got, 0);
  assert_int_equal(total, 5000000);
  assert_int_equal(pump_finish(pump, NULL), 0);
  pump_free(pump);
}

static void
test_pump_does_not_hide_a_failure(void **state)
{
  (void) state;
  struct pump *pump = pump_start(produce_failure, NULL);
  char room[4096];
  int64_t got = pump_read(pump, room, sizeof room);
  while (got > 0)
    got = pump_read(pump, room, sizeof room);
  assert_int_equal(got, -ECANCELED);
  struct error err = { 0 };
  assert_int_equal(pump_finish(pump, &err), -EIO);
  assert_string_equal(err.message, "the disk broke");
  pump_free(pump);
}

static int
produce_late(void *state, guix_sink *sink, void *sink_context, struct error *err)
{
  (void) err;
  while (!atomic_load((atomic_bool *) state))
    clock_sleep_ms(1);
  return sink(sink_context, STR("late"));
}

static void
test_pump_tells_when_it_is_ready(void **state)
{
  (void) state;
  atomic_bool go_on = false;
  struct pump *pump = pump_start(produce_late, &go_on);
  assert_false(pump_is_ready(pump, 20));
  go_on = true;
  assert_true(pump_is_ready(pump, 20000));
  char room[16];
  assert_int_equal(pump_read(pump, room, sizeof room), 4);
  assert_true(pump_is_ready(pump, 20000)); /* the end, too */
  assert_int_equal(pump_read(pump, room, sizeof room), 0);
  pump_free(pump);
}

/* What the producer still wanted to give is no result. */
static void
test_pump_finish_does_not_wait_for_a_reader(void **state)
{
  (void) state;
  size_t count = 10000000;
  struct pump *pump = pump_start(produce_counted, &count);
  assert_int_equal(pump_finish(pump, NULL), -EPIPE);
  pump_free(pump);
}

static void
test_pump_can_be_left_early(void **state)
{
  (void) state;
  size_t count = 10000000;
  struct pump *pump = pump_start(produce_counted, &count);
  char room[16];
  assert_true(pump_read(pump, room, sizeof room) > 0);
  pump_free(pump);
}

int
main(void)
{
  signal(SIGPIPE, SIG_IGN);
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_causes_are_told_apart),
    cmocka_unit_test(test_words_say_why),
    cmocka_unit_test(test_only_our_own_failure_is_noted),
    cmocka_unit_test(test_signs_in_text),
    cmocka_unit_test(test_a_full_disk_is_seen),
    cmocka_unit_test(test_pauses_fit_the_time_of_grace),
    cmocka_unit_test(test_pump_carries_all),
    cmocka_unit_test(test_pump_does_not_hide_a_failure),
    cmocka_unit_test(test_pump_tells_when_it_is_ready),
    cmocka_unit_test(test_pump_finish_does_not_wait_for_a_reader),
    cmocka_unit_test(test_pump_can_be_left_early),
  };
  return cmocka_run_group_tests_name("agent", tests, NULL, NULL);
}
