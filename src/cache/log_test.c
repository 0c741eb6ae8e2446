/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "cache/test_house.h"
#include "http/test_wire.h"

static int64_t
append(struct house *house, int64_t attempt, int64_t offset, const char *text)
{
  struct error err = { 0 };
  int64_t size = -1;
  int r = cache_log_append(house->cache, attempt, offset, str_of(text), &size, &err);
  return r < 0 ? r : size;
}

static int64_t
finish(struct house *house, int64_t attempt)
{
  struct error err = { 0 };
  int64_t size;
  int r = cache_log_finish(house->cache, attempt, &size, &err);
  return r < 0 ? r : size;
}

static void
expect_body(struct house *house, const char *target, const char *body)
{
  CLEANUP_WIRE struct wire wire = wire_open(house->port);
  CLEANUP_REPLY struct wire_reply reply = wire_ask(&wire, "GET", target, "");
  assert_int_equal(reply.status, 200);
  assert_true(reply.whole);
  assert_true(str_equal(buf_str(&reply.body), str_of(body)));
}

static void
expect_status(struct house *house, const char *target, int status)
{
  CLEANUP_WIRE struct wire wire = wire_open(house->port);
  CLEANUP_REPLY struct wire_reply reply = wire_ask(&wire, "GET", target, "");
  assert_int_equal(reply.status, status);
}

static void
test_append(void **state)
{
  struct house *house = *state;
  struct error err = { 0 };
  int64_t size;
  assert_int_equal(append(house, 1, 0, "hello "), 6);
  assert_int_equal(append(house, 1, 6, "world\n"), 12);
  assert_int_equal(append(house, 1, 0, "hello "), 12);           /* repeated */
  assert_int_equal(append(house, 1, 3, "lo world\nmore\n"), 17); /* half new */
  assert_int_equal(cache_log_append(house->cache, 1, 18, STR("x"), &size, &err), -EINVAL);
  assert_int_equal(size, 17);
  assert_int_equal(append(house, 1, -1, "x"), -EINVAL);
  expect_body(house, "/attempt-log/1", "hello world\nmore\n");
  expect_body(house, "/attempt-log/1?from=6", "world\nmore\n");
  expect_body(house, "/attempt-log/1?from=99", "");
  expect_status(house, "/attempt-log/2", 404);
  house_restart(house);
  assert_int_equal(append(house, 1, 17, "on\n"), 20);
  expect_body(house, "/attempt-log/1", "hello world\nmore\non\n");
}

static void
test_finish(void **state)
{
  struct house *house = *state;
  append(house, 257, 0, "line 1\nline 2\n");
  assert_int_equal(finish(house, 257), 14);
  assert_int_equal(finish(house, 257), 14);
  assert_int_equal(append(house, 257, 14, "late"), -ESTALE);
  expect_body(house, "/attempt-log/257", "line 1\nline 2\n");
  expect_body(house, "/attempt-log/257?from=7", "line 2\n");
  expect_body(house, "/attempt-log/257?follow=1", "line 1\nline 2\n");
  house_restart(house);
  assert_int_equal(append(house, 257, 14, "late"), -ESTALE);
  assert_int_equal(finish(house, 257), 14);
  expect_body(house, "/attempt-log/257?from=99", "");
  CLEANUP_FREE char *live = mem_printf("%s/logs/01/257.log", house->folder);
  assert_false(file_exists(live));
  assert_int_equal(finish(house, 3), 0); /* never began */
  expect_status(house, "/attempt-log/3", 404);
}

static int
collect(void *context, struct str piece)
{
  buf_append_str(context, piece);
  return 0;
}

static void
test_gzip_is_sent_as_it_is(void **state)
{
  struct house *house = *state;
  struct error err = { 0 };
  append(house, 5, 0, "text\n");
  finish(house, 5);
  static const struct
  {
    const char *accept;
    bool gzip;
  } cases[] = { { "gzip", true },
                { "deflate, gzip;q=0.5", true },
                { "gzip;q=0", false },
                { "gzip; q=0.0", false },
                { "br", false } };
  for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
    CLEANUP_FREE char *header = mem_printf("Accept-Encoding: %s\r\n", cases[i].accept);
    CLEANUP_WIRE struct wire wire = wire_open(house->port);
    CLEANUP_REPLY struct wire_reply reply = wire_ask(&wire, "GET", "/attempt-log/5", header);
    assert_string_equal(wire_header(&reply, "Content-Encoding"), cases[i].gzip ? "gzip" : "");
    if (!cases[i].gzip) {
      assert_true(str_equal(buf_str(&reply.body), STR("text\n")));
      continue;
    }
    CLEANUP_BUF struct buf text = { 0 };
    struct guix_decompressor *gzip =
        guix_decompressor_new(GUIX_COMPRESSION_GZIP, 0, collect, &text);
    assert_int_equal(guix_decompressor_feed(gzip, buf_str(&reply.body), &err), 0);
    assert_int_equal(guix_decompressor_end(gzip, &err), 0);
    guix_decompressor_free(gzip);
    assert_true(str_equal(buf_str(&text), STR("text\n")));
  }
}

/* ---- following ---- */

/* A log that has ended is one thing to have again or in parts, however it is sent. */
static void
test_validators_and_ranges(void **state)
{
  struct house *house = *state;
  int64_t size;
  char etags[2][100];
  append(house, 6, 0, "0123456789\n");
  CLEANUP_WIRE struct wire wire = wire_open(house->port);
  CLEANUP_REPLY struct wire_reply live = wire_ask(&wire, "GET", "/attempt-log/6", "");
  assert_string_equal(wire_header(&live, "ETag"), "");
  assert_int_equal(cache_log_finish(house->cache, 6, &size, NULL), 0);
  for (int gzip = 0; gzip < 2; gzip++) {
    const char *coding = gzip ? "Accept-Encoding: gzip\r\n" : "";
    char headers[300];
    CLEANUP_REPLY struct wire_reply whole = wire_ask(&wire, "GET", "/attempt-log/6", coding);
    assert_string_not_equal(wire_header(&whole, "Last-Modified"), "");
    assert_string_equal(wire_header(&whole, "Accept-Ranges"), "bytes");
    snprintf(etags[gzip], sizeof etags[gzip], "%s", wire_header(&whole, "ETag"));
    snprintf(headers, sizeof headers, "%sIf-None-Match: %s\r\n", coding, etags[gzip]);
    CLEANUP_REPLY struct wire_reply same = wire_ask(&wire, "GET", "/attempt-log/6", headers);
    assert_int_equal(same.status, 304);
    snprintf(headers, sizeof headers, "%sIf-Range: %s\r\nRange: bytes=2-4\r\n", coding,
             etags[gzip]);
    CLEANUP_REPLY struct wire_reply part = wire_ask(&wire, "GET", "/attempt-log/6", headers);
    assert_int_equal(part.status, 206);
    assert_int_equal(part.body.size, 3);
    assert_memory_equal(part.body.data, whole.body.data + 2, 3);
    CLEANUP_REPLY struct wire_reply rest =
        wire_ask(&wire, "GET", "/attempt-log/6?from=3", "Range: bytes=-2\r\n");
    assert_string_equal(buf_text(&rest.body), "9\n");
    assert_string_equal(wire_header(&rest, "Content-Range"), "bytes 6-7/8");
  }
  assert_string_not_equal(etags[0], etags[1]);
}

static void
test_follow(void **state)
{
  struct house *house = *state;
  append(house, 9, 0, "begin\n");
  CLEANUP_WIRE struct wire whole = wire_open(house->port);
  CLEANUP_WIRE struct wire late = wire_open(house->port);
  wire_send(&whole, "GET /attempt-log/9?follow=1 HTTP/1.1\r\nHost: x\r\n\r\n");
  wire_expect(&whole, "begin\n");
  append(house, 9, 6, "middle\n");
  wire_expect(&whole, "middle\n");
  wire_send(&late, "GET /attempt-log/9?follow=1&from=8 HTTP/1.1\r\nHost: x\r\n\r\n");
  wire_expect(&late, "ddle\n");
  append(house, 9, 13, "end\n");
  finish(house, 9);
  wire_expect(&whole, "end\n");
  wire_expect(&whole, "0\r\n\r\n");
  wire_expect(&late, "end\n");
  wire_expect(&late, "0\r\n\r\n");
}

static int
log_users(struct house *house, int64_t attempt)
{
  pthread_mutex_lock(&house->cache->mutex);
  struct cache_log *log = int_map_get(&house->cache->logs, attempt);
  int users = log == NULL ? 0 : log->users;
  pthread_mutex_unlock(&house->cache->mutex);
  return users;
}

static void
wait_for_users(struct house *house, int64_t attempt, int users)
{
  int64_t deadline = clock_monotonic_ms() + 20000;
  while (log_users(house, attempt) != users && clock_monotonic_ms() < deadline)
    clock_sleep_ms(2);
  assert_int_equal(log_users(house, attempt), users);
}

/* A follower who hangs up is let go of, though the log stays silent. */
static void
test_follower_leaves(void **state)
{
  struct house *house = *state;
  append(house, 10, 0, "begin\n");
  struct wire wire = wire_open(house->port);
  wire_send(&wire, "GET /attempt-log/10?follow=1 HTTP/1.1\r\nHost: x\r\n\r\n");
  wire_expect(&wire, "begin\n");
  wait_for_users(house, 10, 2);
  wire_close(&wire);
  wait_for_users(house, 10, 1);
}

/* A stop in mid-build must not look like the end of the log. */
static void
test_follower_of_a_server_that_stops(void **state)
{
  struct house *house = *state;
  append(house, 12, 0, "begin\n");
  CLEANUP_WIRE struct wire wire = wire_open(house->port);
  wire_send(&wire, "GET /attempt-log/12?follow=1 HTTP/1.1\r\nHost: x\r\n\r\n");
  wire_expect(&wire, "begin\n");
  house_restart(house);
  wire_expect_end(&wire);
  assert_null(memmem(wire.in.data, wire.in.size, "0\r\n\r\n", 5));
}

/* ---- entering a long one ---- */

#define LONG_LINES 60000 /* of 100 bytes: several points */

/* Lines that do not repeat, so that a wrong place shows. */
static void
make_long_log(struct buf *ret)
{
  uint32_t random = 7;
  for (int i = 0; i < LONG_LINES; i++) {
    random = random * 1664525 + 1013904223;
    buf_printf(ret, "%8d %090u\n", i, random);
  }
}

static void
check_from(struct house *house, struct str text, int64_t from)
{
  CLEANUP_FREE char *target = mem_printf("/attempt-log/20?from=%lld", (long long) from);
  CLEANUP_WIRE struct wire wire = wire_open(house->port);
  CLEANUP_REPLY struct wire_reply reply = wire_ask(&wire, "GET", target, "");
  assert_true(reply.whole);
  assert_true(str_equal(buf_str(&reply.body), str_from(text, (size_t) from)));
}

static void
check_tail(struct house *house, struct str text, size_t size)
{
  CLEANUP_BUF struct buf tail = { 0 };
  struct error err = { 0 };
  int64_t end = 0;
  bool live = true;
  assert_int_equal(cache_log_tail(house->cache, 20, size, &tail, &end, &live, &err), 0);
  assert_false(live);
  assert_int_equal(end, text.size);
  assert_true(str_equal(buf_str(&tail), str_from(text, size < text.size ? text.size - size : 0)));
}

static int
collect_until(void *state, struct str piece)
{
  struct buf *text = state;
  buf_append_str(text, piece);
  return text->size >= 1000000;
}

/* Live or finished, up to the end or until the reader has enough. */
static void
check_read(struct house *house, struct str text, int64_t from, bool expected_live)
{
  CLEANUP_BUF struct buf read = { 0 };
  struct error err = { 0 };
  bool live = !expected_live;
  struct str expected = str_from(text, (size_t) from);
  assert_int_equal(cache_log_read(house->cache, 20, from, collect_until, &read, &live, &err), 0);
  assert_int_equal(live, expected_live);
  assert_true(read.size == expected.size || read.size >= 1000000);
  assert_true(str_starts(expected, buf_str(&read)));
}

static void
test_a_log_is_gone_through(void **state)
{
  struct house *house = *state;
  struct error err = { 0 };
  CLEANUP_BUF struct buf made = { 0 };
  make_long_log(&made);
  int64_t size = 0;
  bool live;
  assert_int_equal(cache_log_read(house->cache, 20, 0, collect_until, &made, &live, &err), -ENOENT);
  assert_int_equal(cache_log_append(house->cache, 20, 0, buf_str(&made), &size, &err), 0);
  static const int64_t froms[] = { 0, 5, 3000000, 5999999, 6000000 };
  for (size_t i = 0; i < ARRAY_SIZE(froms); i++)
    check_read(house, buf_str(&made), froms[i], true);
  finish(house, 20);
  for (size_t i = 0; i < ARRAY_SIZE(froms); i++)
    check_read(house, buf_str(&made), froms[i], false);
}

static void
test_a_long_log_is_entered_in_the_middle(void **state)
{
  struct house *house = *state;
  struct error err = { 0 };
  CLEANUP_BUF struct buf made = { 0 };
  make_long_log(&made);
  struct str text = buf_str(&made);
  int64_t size = 0;
  assert_int_equal(cache_log_append(house->cache, 20, 0, text, &size, &err), 0);
  assert_int_equal(finish(house, 20), text.size);
  house_restart(house);
  assert_int_equal(finish(house, 20), text.size);
  static const int64_t froms[] = { 0,       1,       1 << 20, (1 << 20) - 1, (1 << 20) + 1,
                                   3000000, 5999999, 6000000 };
  for (size_t i = 0; i < ARRAY_SIZE(froms); i++)
    check_from(house, text, froms[i]);
  check_tail(house, text, 65536);
  check_tail(house, text, 1);
  check_tail(house, text, 1 << 20);
  check_tail(house, text, 100000000);

  CLEANUP_BUF struct buf unpacked = { 0 }, packed = { 0 }; /* as every client would */
  CLEANUP_FREE char *file = cache_log_file(house->cache, 20);
  assert_int_equal(file_read_all(file, 100 << 20, &packed, &err), 0);
  struct guix_decompressor *gzip =
      guix_decompressor_new(GUIX_COMPRESSION_GZIP, 0, collect, &unpacked);
  assert_int_equal(guix_decompressor_feed(gzip, buf_str(&packed), &err), 0);
  assert_int_equal(guix_decompressor_end(gzip, &err), 0);
  guix_decompressor_free(gzip);
  assert_true(str_equal(buf_str(&unpacked), text));
}

/* One that another program packed has no points, and is read all the same. */
static void
test_a_foreign_gzip_file_is_read(void **state)
{
  struct house *house = *state;
  struct error err = { 0 };
  CLEANUP_BUF struct buf packed = { 0 };
  append(house, 20, 0, "gone\n");
  finish(house, 20);
  struct guix_compressor *gzip = guix_compressor_new(GUIX_COMPRESSION_GZIP, 0, collect, &packed);
  assert_int_equal(guix_compressor_feed(gzip, STR("line 1\nline 2\n"), &err), 0);
  assert_int_equal(guix_compressor_end(gzip, &err), 0);
  guix_compressor_free(gzip);
  CLEANUP_FREE char *file = cache_log_file(house->cache, 20);
  assert_int_equal(file_write_atomic(file, buf_str(&packed), 0644, &err), 0);
  assert_int_equal(finish(house, 20), 14);
  check_from(house, STR("line 1\nline 2\n"), 7);
  check_tail(house, STR("line 1\nline 2\n"), 5);

  assert_int_equal(file_write_atomic(file, STR("short"), 0644, &err), 0);
  expect_status(house, "/attempt-log/20", 500);
}

#define MANY_BYTES (8 << 20)

/* One reads nothing of megabytes: the writer is not held up, another gets all,
   and so does the first once it reads. */
static void
test_slow_follower(void **state)
{
  struct house *house = *state;
  CLEANUP_WIRE struct wire slow = wire_open_small(house->port, 4096);
  CLEANUP_WIRE struct wire quick = wire_open(house->port);
  append(house, 11, 0, "begin\n");
  wire_send(&slow, "GET /attempt-log/11?follow=1 HTTP/1.1\r\nHost: x\r\n\r\n");
  wire_expect(&slow, "begin\n");

  CLEANUP_FREE char *line = mem_alloc(65537);
  memset(line, 'x', 65536);
  line[65535] = '\n';
  int64_t size = 6;
  while (size < MANY_BYTES)
    size = append(house, 11, size, line);
  finish(house, 11);
  CLEANUP_REPLY struct wire_reply all = wire_ask(&quick, "GET", "/attempt-log/11?follow=1", "");
  assert_int_equal(all.body.size, size);

  /* What is left of the slow one's reply, chunk marks and all. */
  wire_expect(&slow, "0\r\n\r\n");
}

/* As an agent of ours never sends it. */
static void
test_size_is_bounded(void **state)
{
  struct house *house = *state;
  CLEANUP_FREE char *file = cache_log_live_file(house->cache, 12);
  assert_int_equal(append(house, 12, 0, "x"), 1);
  assert_int_equal(truncate(file, CACHE_LOG_MAX - 2), 0); /* a hole: it takes no room */
  house_restart(house);
  assert_int_equal(append(house, 12, CACHE_LOG_MAX - 2, "ab"), CACHE_LOG_MAX);
  assert_int_equal(append(house, 12, CACHE_LOG_MAX, "c"), -EFBIG);
  assert_int_equal(append(house, 12, CACHE_LOG_MAX - 2, "ab"), CACHE_LOG_MAX);
}

#define IN_HOUSE(test) cmocka_unit_test_setup_teardown(test, house_setup, house_teardown)

int
main(void)
{
  const struct CMUnitTest tests[] = {
    IN_HOUSE(test_append),
    IN_HOUSE(test_finish),
    IN_HOUSE(test_gzip_is_sent_as_it_is),
    IN_HOUSE(test_validators_and_ranges),
    IN_HOUSE(test_follow),
    IN_HOUSE(test_follower_leaves),
    IN_HOUSE(test_a_log_is_gone_through),
    IN_HOUSE(test_a_long_log_is_entered_in_the_middle),
    IN_HOUSE(test_a_foreign_gzip_file_is_read),
    IN_HOUSE(test_follower_of_a_server_that_stops),
    IN_HOUSE(test_slow_follower),
    IN_HOUSE(test_size_is_bounded),
  };
  return cmocka_run_group_tests(tests, NULL, test_cluster_teardown);
}
