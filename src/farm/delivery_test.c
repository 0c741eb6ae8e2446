/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What agents deliver: logs, uploads, results. */
#include "farm/test_agent.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static int
set_up(void **state)
{
  struct yard *yard = yard_new();
  yard_derivations(yard, 1, 9);
  *state = yard;
  return 0;
}

static int
tear_down(void **state)
{
  yard_free(*state);
  return 0;
}

static void
need(struct yard *yard, int64_t from, int64_t needs)
{
  yard_need(yard, &(struct yard_edge) { from, needs }, 1);
}

static void
test_a_success_must_be_whole(void **state)
{
  struct yard *yard = *state;
  struct test_agent *agent = start_with_agent(yard, 1);
  struct test_build build;
  json_t *reply;
  char path[192];
  yard_wish(yard, 1, 0);
  test_agent_expect(agent, "build", &build);
  assert_int_equal(test_agent_report(agent, &build, NULL, &reply), 422); /* nothing is here */
  json_decref(reply);
  snprintf(path, sizeof path, "/agent/v1/attempts/%lld/uploads/%s?offset=0",
           (long long) build.attempt, yard_basename(yard_out(1)).data);
  assert_int_equal(test_agent_call(agent, "PUT", path, build.fence, "application/octet-stream",
                                   STR("this is no nar"), NULL),
                   200);
  assert_int_equal(test_agent_report(agent, &build, NULL, &reply), 422);
  assert_int_equal(length_of(reply, "damaged"), 1);
  assert_int_equal(test_agent_upload(agent, &build), 200);
  assert_int_equal(test_agent_report(agent, &build, yard_basename(yard_out(7)).data, &reply), 422);
  assert_int_equal(length_of(reply, "missing"), 1); /* the reference */
  assert_int_equal(test_agent_report(agent, &build, NULL, &reply), 409);
  assert_int_equal(number_of(reply, "size"), 0); /* the log lacks six bytes */
  assert_int_equal(test_agent_succeed(agent, &build), 200);
  assert_int_equal(yard_build_of(yard, 1).attempts, 1);
  test_agent_free(agent);
}

/* The status of a result, while what is logged goes to LOG. */
static int
report_and_listen(struct test_agent *agent, const struct test_build *build, struct buf *log,
                  json_t **ret_reply)
{
  CLEANUP_FD int file = memfd_create("log", MFD_CLOEXEC);
  CLEANUP_FD int terminal = dup(STDERR_FILENO);
  assert_true(file >= 0 && terminal >= 0);
  dup2(file, STDERR_FILENO);
  int status = test_agent_report(agent, build, NULL, ret_reply);
  dup2(terminal, STDERR_FILENO);
  char text[8192];
  ssize_t size = pread(file, text, sizeof text, 0);
  assert_true(size >= 0);
  buf_append(log, text, (size_t) size);
  return status;
}

/* What fails on a worker concerns the operator: the log has it, the agent not. */
static void
test_a_fault_of_the_server_is_logged_and_not_told(void **state)
{
  struct yard *yard = *state;
  struct test_agent *agent = start_with_agent(yard, 1);
  CLEANUP_BUF struct buf log = { 0 };
  struct test_build build;
  json_t *reply;
  yard_wish(yard, 1, 0);
  test_agent_expect(agent, "build", &build);
  CLEANUP_FREE char *upload =
      mem_printf("%s/cache/uploads/attempt-%lld-%.32s", yard->folder, (long long) build.attempt,
                 yard_basename(yard_out(1)).data);
  assert_int_equal(mkdir(upload, 0700), 0); /* cannot be read as a file */
  assert_int_equal(report_and_listen(agent, &build, &log, &reply), 500);
  const char *detail = json_string_value(json_object_get(reply, "detail"));
  assert_non_null(strstr(buf_text(&log), "cannot open the upload"));
  assert_null(strstr(detail, "upload"));
  json_decref(reply);
  assert_int_equal(rmdir(upload), 0);
  assert_int_equal(test_agent_succeed(agent, &build), 200);
  test_agent_free(agent);
}

static void
hex_of(struct str data, char ret[GUIX_HASH_HEX_SIZE + 1])
{
  struct guix_hash hash = guix_hash_of(data);
  str_to_hex(hash.bytes, sizeof hash.bytes, ret);
  ret[GUIX_HASH_HEX_SIZE] = '\0';
}

/* An agent is not believed where its derivation says what there must be. */
static void
test_a_fixed_output_must_be_what_is_declared(void **state)
{
  struct yard *yard = *state;
  struct test_agent *agent = start_with_agent(yard, 1);
  struct test_build build;
  char hash[GUIX_HASH_HEX_SIZE + 1];
  json_t *reply;
  static const char *const algorithms[] = { "sha256", "r:sha256" };
  for (int64_t n = 1; n <= 2; n++) {
    hex_of(STR("what the derivation wants"), hash);
    yard_fix(yard, n, algorithms[n - 1], hash);
    yard_wish(yard, n, 0);
    test_agent_expect(agent, "build", &build);
    assert_int_equal(test_agent_upload(agent, &build), 200);
    assert_int_equal(test_agent_report(agent, &build, NULL, &reply), 422);
    assert_non_null(strstr(json_string_value(json_object_get(reply, "detail")), "declares"));
    assert_int_equal(length_of(reply, "refused"), 1);
    assert_int_equal(yard_attempt_of(yard, build.attempt).cause, FARM_CAUSE_HASH_MISMATCH);
    assert_int_equal(yard_build_of(yard, n).state, FARM_BUILD_WAITING); /* for another try */
    assert_int_equal(test_agent_report(agent, &build, NULL, NULL), 410);
  }
  hex_of(STR("output of 3"), hash);
  yard_fix(yard, 3, "sha256", hash);
  yard_wish(yard, 3, 0);
  test_agent_expect(agent, "build", &build);
  assert_int_equal(test_agent_succeed(agent, &build), 200);
  test_agent_free(agent);
}

/* What is built from, too, when the server happens to lack it. */
static void
test_a_source_must_be_what_its_name_was_made_from(void **state)
{
  struct yard *yard = *state;
  yard_source(yard, 1, 20);
  struct test_agent *agent = start_with_agent(yard, 1);
  struct test_build build;
  json_t *reply;
  yard_wish(yard, 1, 0);
  test_agent_expect(agent, "build", &build);
  assert_int_equal(test_agent_bring(agent, &build, yard_basename(yard_out(20)), &reply), 422);
  assert_non_null(strstr(json_string_value(json_object_get(reply, "detail")), "is a source"));
  assert_int_equal(length_of(reply, "refused"), 1);
  assert_int_equal(yard_attempt_of(yard, build.attempt).cause, FARM_CAUSE_UPLOAD);
  test_agent_free(agent);
}

/* Nobody else suffers: sessions and the epoch stay, what else happened is written. */
static void
test_items_that_cannot_be_registered_are_asked_for_again(void **state)
{
  struct yard *yard = *state;
  struct test_agent *agent = start_with_agent(yard, 2);
  struct test_build build, other, third;
  json_t *reply;
  yard_wish(yard, 1, 0);
  yard_wish(yard, 2, 0);
  test_agent_expect(agent, "build", &build);
  test_agent_expect(agent, "build", &other);
  yard_let_register(yard, false);
  assert_int_equal(test_agent_succeed(agent, &build), 422);
  assert_int_equal(yard_scheduler_of(yard).epoch, 1);
  assert_int_equal(yard_build_of(yard, build.n).state, FARM_BUILD_RUNNING);
  assert_int_equal(test_agent_fail(agent, &other, "build"), 200);
  yard_let_register(yard, true);
  assert_int_equal(test_agent_report(agent, &build, NULL, &reply), 200);
  json_decref(reply);
  assert_int_equal(yard_build_of(yard, build.n).attempts, 1);
  assert_int_equal(yard_events_of(yard, "build.succeeded"), 1);
  yard_wish(yard, 3, 0);
  test_agent_expect(agent, "build", &third); /* in the same session */
  assert_int_equal(yard_events_of(yard, "agent.connected"), 1);
  assert_int_equal(yard_events_of(yard, "agent.disconnected"), 0);
  test_agent_free(agent);
}

static void
test_uploads_go_on_where_they_broke_off(void **state)
{
  struct yard *yard = *state;
  struct test_agent *agent = start_with_agent(yard, 1);
  struct test_build build;
  json_t *reply;
  char upload[192], path[256];
  yard_wish(yard, 1, 0);
  test_agent_expect(agent, "build", &build);
  snprintf(upload, sizeof upload, "/agent/v1/attempts/%lld/uploads/%s", (long long) build.attempt,
           yard_basename(yard_out(1)).data);
  assert_int_equal(test_agent_call(agent, "GET", upload, build.fence, NULL, STR(""), &reply), 200);
  assert_int_equal(number_of(reply, "offset"), 0);
  snprintf(path, sizeof path, "%s?offset=0", upload);
  assert_int_equal(test_agent_call(agent, "PUT", path, build.fence, NULL, STR("abc"), &reply), 200);
  assert_int_equal(number_of(reply, "offset"), 3);
  snprintf(path, sizeof path, "%s?offset=5", upload);
  assert_int_equal(test_agent_call(agent, "PUT", path, build.fence, NULL, STR("x"), &reply), 409);
  assert_int_equal(number_of(reply, "offset"), 3);
  snprintf(path, sizeof path, "%s?offset=3", upload);
  assert_int_equal(test_agent_call(agent, "PUT", path, build.fence, NULL, STR("def"), &reply), 200);
  assert_int_equal(number_of(reply, "offset"), 6);
  snprintf(path, sizeof path, "%s?offset=0", upload);
  assert_int_equal(test_agent_call(agent, "PUT", path, build.fence, NULL, STR("z"), &reply), 200);
  assert_int_equal(number_of(reply, "offset"), 1);
  test_agent_free(agent);
}

/* A disk that holds next to nothing, in place of FOLDER; false when we may not. */
static bool
put_small_disk(const struct yard *yard, const char *folder, const char *size)
{
  CLEANUP_FREE char *path = mem_printf("%s/%s", yard->folder, folder);
  assert_int_equal(file_make_dirs(path, 0755, NULL), 0);
  return mount("none", path, "tmpfs", 0, size) == 0;
}

static void
take_small_disk(const struct yard *yard, const char *folder)
{
  CLEANUP_FREE char *path = mem_printf("%s/%s", yard->folder, folder);
  assert_int_equal(umount2(path, MNT_DETACH), 0);
}

static int
send_much(struct test_agent *agent, const struct test_build *build, const char *method,
          const char *what, size_t size)
{
  CLEANUP_BUF struct buf bytes = { 0 };
  CLEANUP_FREE char *path =
      mem_printf("/agent/v1/attempts/%lld/%s", (long long) build->attempt, what);
  json_t *reply;
  while (bytes.size < size)
    buf_append_str(&bytes, STR("0123456789abcdef"));
  int status =
      test_agent_call(agent, method, path, build->fence, "text/plain", buf_str(&bytes), &reply);
  const char *detail = json_string_value(json_object_get(reply, "detail"));
  if (status == 507)
    assert_string_equal(detail, "the server's disk is full");
  json_decref(reply);
  return status;
}

/* Its agent is told, at each try, and goes on when there is room. */
static void
test_a_full_disk_is_told(void **state)
{
  struct yard *yard = *state;
  struct test_agent *agent = start_with_agent(yard, 1);
  struct test_build build;
  const char *upload = yard_basename(yard_out(1)).data;
  CLEANUP_FREE char *first = mem_printf("uploads/%s?offset=0", upload);
  CLEANUP_FREE char *rest = mem_printf("uploads/%s?offset=%d", upload, 2 << 20);
  yard_wish(yard, 1, 0);
  test_agent_expect(agent, "build", &build);
  if (!put_small_disk(yard, "cache/uploads", "size=2m")) {
    test_agent_free(agent);
    skip(); /* not root */
  }
  assert_true(put_small_disk(yard, "logs", "size=512k"));
  assert_int_equal(send_much(agent, &build, "PUT", first, 3000000), 507); /* while it comes */
  int status;
  while ((status = send_much(agent, &build, "PUT", rest, 16)) == 503)
    continue; /* the first one still has it open */
  assert_int_equal(status, 507);
  assert_int_equal(send_much(agent, &build, "POST", "log?offset=0", 1 << 20), 507);
  take_small_disk(yard, "logs");
  take_small_disk(yard, "cache/uploads");
  assert_int_equal(test_agent_upload(agent, &build), 200);
  test_agent_free(agent);
}

static void
test_an_agent_supplies_only_what_belongs_to_its_attempt(void **state)
{
  struct yard *yard = *state;
  need(yard, 2, 1);
  yard_offer(yard, 1);
  struct test_agent *agent = start_with_agent(yard, 1);
  struct test_build build;
  json_t *reply;
  char text[256];
  yard_wish(yard, 2, 0);
  test_agent_expect(agent, "build", &build);
  snprintf(text, sizeof text, "{\"paths\": [\"%s\", \"%s\"]}", yard_basename(yard_out(1)).data,
           yard_basename(yard_out(2)).data);
  assert_int_equal(test_agent_post(agent, &build, "missing", text, &reply), 200);
  assert_int_equal(length_of(reply, "missing"), 1);
  snprintf(text, sizeof text, "{\"paths\": [\"%s\"]}", yard_basename(yard_out(7)).data);
  assert_int_equal(test_agent_post(agent, &build, "missing", text, NULL), 403);
  snprintf(text, sizeof text, "/agent/v1/attempts/%lld/uploads/%s?offset=0",
           (long long) build.attempt, yard_basename(yard_out(7)).data);
  assert_int_equal(test_agent_call(agent, "PUT", text, build.fence, NULL, STR("x"), NULL), 403);
  snprintf(text, sizeof text, "/agent/v1/attempts/%lld/uploads/..?offset=0",
           (long long) build.attempt);
  assert_int_not_equal(test_agent_call(agent, "PUT", text, build.fence, NULL, STR("x"), NULL), 200);
  assert_int_equal(test_agent_post(agent, &build, "missing", "{\"paths\": [\"../x\"]}", NULL), 400);
  assert_int_equal(test_agent_post(agent, &build, "missing", "{\"paths\": 3}", NULL), 400);
  assert_int_equal(test_agent_post(agent, &build, "result", "{\"status\": \"fine\"}", NULL), 400);
  assert_int_equal(test_agent_fail(agent, &build, "agent-lost"), 400);
  test_agent_free(agent);
}

static void
test_logs_grow_by_offset(void **state)
{
  struct yard *yard = *state;
  struct test_agent *agent = start_with_agent(yard, 1);
  struct test_build build;
  json_t *reply;
  yard_wish(yard, 1, 0);
  test_agent_expect(agent, "build", &build);
  static const struct
  {
    int offset;
    const char *text;
    int status;
    int64_t size;
  } steps[] = {
    { 0, "hello", 200, 5 }, { 9, "gap", 409, 5 }, { 2, "llo, you", 200, 10 }, { 0, "", 200, 10 }
  };
  for (size_t i = 0; i < ARRAY_SIZE(steps); i++) {
    char path[128];
    snprintf(path, sizeof path, "/agent/v1/attempts/%lld/log?offset=%d", (long long) build.attempt,
             steps[i].offset);
    assert_int_equal(test_agent_call(agent, "POST", path, build.fence, "text/plain",
                                     str_of(steps[i].text), &reply),
                     steps[i].status);
    assert_int_equal(number_of(reply, "size"), steps[i].size);
  }
  test_agent_free(agent);
}

/* As a server leaves it that is killed between the end of an attempt and the closing
   of its log. */
static char *
reopen_log(struct yard *yard, int64_t attempt_id)
{
  CLEANUP_FREE char *live = mem_printf("%s/logs/%02x/%lld.log", yard->folder,
                                       (unsigned) (attempt_id % 256), (long long) attempt_id);
  char *finished = mem_printf("%s.gz", live);
  assert_int_equal(unlink(finished), 0);
  assert_int_equal(file_write_atomic(live, STR("half a log\n"), 0644, NULL), 0);
  return finished;
}

static void
test_logs_that_were_left_open_are_closed(void **state)
{
  struct yard *yard = *state;
  struct error err = { 0 };
  struct test_agent *agent = start_with_agent(yard, 2);
  struct test_build build, other;
  char path[128];
  yard_wish(yard, 1, 0);
  yard_wish(yard, 2, 0);
  test_agent_expect(agent, "build", &build);
  test_agent_expect(agent, "build", &other);
  assert_int_equal(test_agent_succeed(agent, &build), 200);
  snprintf(path, sizeof path, "/agent/v1/attempts/%lld/log?offset=0", (long long) other.attempt);
  assert_int_equal(test_agent_call(agent, "POST", path, other.fence, NULL, STR("log"), NULL), 200);
  yard_stop(yard);
  CLEANUP_FREE char *finished = reopen_log(yard, build.attempt);
  yard_start(yard);
  for (int i = 0; i < 1000 && cache_log_is_live(yard->cache, build.attempt); i++)
    clock_sleep_ms(10);
  assert_true(file_exists(finished));
  assert_true(cache_log_is_live(yard->cache, other.attempt)); /* it still runs */

  /* The same, found by a reader. */
  CLEANUP_FREE char *again = reopen_log(yard, build.attempt);
  assert_true(cache_log_is_live(yard->cache, build.attempt));
  assert_int_equal(farm_log_close(yard->farm, build.attempt, &err), 0);
  assert_true(file_exists(again));
  test_agent_free(agent);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int
main(void)
{
  const struct CMUnitTest tests[] = {
    CASE(test_a_success_must_be_whole),
    CASE(test_a_fault_of_the_server_is_logged_and_not_told),
    CASE(test_a_fixed_output_must_be_what_is_declared),
    CASE(test_a_source_must_be_what_its_name_was_made_from),
    CASE(test_items_that_cannot_be_registered_are_asked_for_again),
    CASE(test_uploads_go_on_where_they_broke_off),
    CASE(test_a_full_disk_is_told),
    CASE(test_an_agent_supplies_only_what_belongs_to_its_attempt),
    CASE(test_logs_grow_by_offset),
    CASE(test_logs_that_were_left_open_are_closed),
  };
  return cmocka_run_group_tests(tests, NULL, test_cluster_teardown);
}
