/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
/* cmocka needs the three above first. */
#include <cmocka.h>

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "http/http.h"
#include "http/test_wire.h"

#define LIMIT ((size_t) 64 * 1024)
#define READERS 200
#define LINES 50 /* of each writer; all fit into the limit */
#define LINE_SIZE 500
#define WAIT_MS 20000

/* What the handlers leave for the tests: the streams, and requests that wait. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct http_stream *streams[READERS];
static atomic_int streams_count;
static atomic_int closed_count;
static struct http_request *waiting;
static atomic_int waiting_count;
static atomic_int state_freed;
static struct http_server *server;

/* ---- handlers ---- */

static void
count_close(void *context)
{
  (void) context;
  atomic_fetch_add(&closed_count, 1);
}

static int
open_stream(struct http_request *request, void *context, struct error *err)
{
  struct http_stream *stream;
  (void) context, (void) err;
  int r = http_reply_stream(request, 200, "text/plain", LIMIT, &stream);
  if (r < 0)
    return r;
  http_stream_on_close(stream, count_close, NULL);
  http_stream_write(stream, STR("begin\n"));
  pthread_mutex_lock(&lock);
  int count = atomic_load(&streams_count);
  streams[count] = stream;
  atomic_store(&streams_count, count + 1);
  pthread_mutex_unlock(&lock);
  return 0;
}

static void
free_state(void *state)
{
  (void) state;
  atomic_fetch_add(&state_freed, 1);
}

static int
keep_waiting(struct http_request *request, void *context, struct error *err)
{
  (void) context, (void) err;
  http_set_state(request, &waiting, free_state);
  http_defer(request);
  waiting = request;
  atomic_fetch_add(&waiting_count, 1);
  return 0;
}

static const struct http_route routes[] = {
  { .method = "GET", .path = "/stream", .handler = open_stream },
  { .method = "POST", .path = "/stream", .handler = open_stream, .body_limit = 100 },
  { .method = "GET", .path = "/wait", .handler = keep_waiting },
};

/* ---- the server: a new one for each test ---- */

static int
start_server(void **state)
{
  (void) state;
  const char *listen = "127.0.0.1:0";
  const struct http_routes table = { routes, ARRAY_SIZE(routes), NULL };
  const struct http_options options = {
    .listen = &listen, .listen_count = 1, .threads = 3, .routes = &table, .routes_count = 1
  };
  atomic_store(&streams_count, 0);
  atomic_store(&closed_count, 0);
  atomic_store(&waiting_count, 0);
  atomic_store(&state_freed, 0);
  struct error err = { 0 };
  if (http_server_start(&options, &server, &err) < 0)
    fail_msg("%s", err.message);
  return 0;
}

static int
stop_server(void **state)
{
  (void) state;
  http_server_stop(server);
  server = NULL;
  return 0;
}

static struct wire
dial(int receive_buffer)
{
  struct wire wire = wire_open_small(http_server_port(server, 0), receive_buffer);
  wire_send(&wire, "GET /stream HTTP/1.1\r\nHost: test\r\n\r\n");
  return wire;
}

static void
wait_for(atomic_int *counter, int value)
{
  int64_t deadline = clock_monotonic_ms() + WAIT_MS;
  while (atomic_load(counter) != value && clock_monotonic_ms() < deadline)
    clock_sleep_ms(2);
  assert_int_equal(atomic_load(counter), value);
}

/* ---- tests ---- */

static void *
write_lines(void *context)
{
  int *failures = context;
  for (int line = 0; line < LINES; line++) {
    char text[LINE_SIZE + 1];
    snprintf(text, sizeof text, "line %0*d\n", LINE_SIZE - 6, line);
    for (int i = 1; i < READERS; i++)
      if (http_stream_write(streams[i], str_of(text)) < 0)
        failures[i] = 1;
  }
  return NULL;
}

static void
flood(struct http_stream *stream)
{
  CLEANUP_BUF struct buf piece = { 0 };
  memset(buf_reserve(&piece, LIMIT / 4), 'x', LIMIT / 4);
  piece.size = LIMIT / 4;
  int r = 0;
  for (int i = 0; i < 4000 && r == 0; i++)
    r = http_stream_write(stream, buf_str(&piece));
  assert_int_equal(r, -ENOBUFS);
  assert_false(http_stream_is_open(stream));
}

/* Two writers feed 200 readers; the one that does not read fails alone. */
static void
test_a_slow_reader_hurts_only_itself(void **state)
{
  (void) state;
  static struct wire wires[READERS];
  static int failures[2][READERS];
  for (int i = 0; i < READERS; i++) {
    wires[i] = dial(i == 0 ? 4096 : 0);
    wait_for(&streams_count, i + 1);
  }
  pthread_t writers[2];
  for (int i = 0; i < 2; i++)
    pthread_create(&writers[i], NULL, write_lines, failures[i]);
  flood(streams[0]);
  for (int i = 0; i < 2; i++)
    pthread_join(writers[i], NULL);
  for (int i = 0; i < READERS; i++) {
    http_stream_close(streams[i]);
    CLEANUP_REPLY struct wire_reply reply = wire_read(&wires[i], false);
    wire_close(&wires[i]);
    assert_int_equal(reply.whole, i > 0);
    if (i > 0) {
      assert_int_equal(failures[0][i] + failures[1][i], 0);
      assert_int_equal(reply.body.size, 6 + 2 * LINES * LINE_SIZE);
    }
  }
  wait_for(&closed_count, READERS);
}

static void
test_a_hang_up_is_noticed_without_writing(void **state)
{
  (void) state;
  struct wire wire = dial(0);
  wire_expect(&wire, "begin\n");
  assert_true(http_stream_is_open(streams[0]));
  wire_close(&wire);
  wait_for(&closed_count, 1);
  assert_int_equal(http_stream_write(streams[0], STR("x")), -EPIPE);
  assert_int_equal(http_stream_wait(streams[0], 1, 1000), -EPIPE);
  assert_false(http_stream_is_open(streams[0]));
  http_stream_close(streams[0]);
  assert_int_equal(atomic_load(&closed_count), 1);
}

/* While its body came, the request was watched on the same socket. */
static void
test_a_hang_up_after_a_body_is_noticed(void **state)
{
  (void) state;
  struct wire wire = wire_open(http_server_port(server, 0));
  wire_send(&wire, "POST /stream HTTP/1.1\r\nHost: test\r\nContent-Length: 4\r\n\r\nbody");
  wire_expect(&wire, "begin\n");
  wire_close(&wire);
  wait_for(&closed_count, 1);
  assert_false(http_stream_is_open(streams[0]));
  http_stream_close(streams[0]);
}

static void
test_the_end_comes_after_what_was_written(void **state)
{
  (void) state;
  CLEANUP_WIRE struct wire wire = dial(0);
  wait_for(&streams_count, 1);
  http_stream_write(streams[0], STR("last words"));
  http_stream_close(streams[0]);
  CLEANUP_REPLY struct wire_reply reply = wire_read(&wire, false);
  assert_true(reply.whole);
  assert_string_equal(buf_text(&reply.body), "begin\nlast words");
  CLEANUP_REPLY struct wire_reply next = wire_ask(&wire, "GET", "/nowhere", "");
  assert_int_equal(next.status, 404); /* the connection lives on */
  assert_int_equal(atomic_load(&closed_count), 1);
}

static void
test_a_failed_stream_is_cut_off(void **state)
{
  (void) state;
  CLEANUP_WIRE struct wire wire = dial(0);
  wait_for(&streams_count, 1);
  http_stream_write(streams[0], STR("last words"));
  http_stream_fail(streams[0]);
  CLEANUP_REPLY struct wire_reply reply = wire_read(&wire, false);
  assert_false(reply.whole);
  assert_string_equal(buf_text(&reply.body), "begin\nlast words");
  wait_for(&closed_count, 1);
}

/* Closed before the stop, but not yet sent: whole all the same. */
static void
test_stop_after_the_end(void **state)
{
  (void) state;
  CLEANUP_WIRE struct wire wire = dial(0);
  wire_expect(&wire, "begin\n");
  http_stream_write(streams[0], STR("last words"));
  http_stream_close(streams[0]);
  stop_server(state);
  wire_expect(&wire, "last words\r\n0\r\n\r\n");
}

static void
test_head_ends_the_stream_at_once(void **state)
{
  (void) state;
  CLEANUP_WIRE struct wire wire = wire_open(http_server_port(server, 0));
  CLEANUP_REPLY struct wire_reply reply = wire_ask(&wire, "HEAD", "/stream", "");
  assert_int_equal(reply.status, 200);
  wait_for(&closed_count, 1);
  http_stream_close(streams[0]);
}

static void *
write_with_patience(void *context)
{
  struct http_stream *stream = context;
  char piece[1000];
  memset(piece, 'p', sizeof piece);
  for (int i = 0; i < 5000; i++)
    if (http_stream_wait(stream, sizeof piece, WAIT_MS) < 0
        || http_stream_write(stream, str_make(piece, sizeof piece)) < 0)
      break;
  http_stream_close(stream);
  return NULL;
}

static void
test_a_patient_writer_never_overruns(void **state)
{
  (void) state;
  CLEANUP_WIRE struct wire wire = dial(4096);
  wait_for(&streams_count, 1);
  pthread_t writer;
  pthread_create(&writer, NULL, write_with_patience, streams[0]);
  CLEANUP_REPLY struct wire_reply reply = wire_read(&wire, false);
  pthread_join(writer, NULL);
  assert_true(reply.whole);
  assert_int_equal(reply.body.size, 6 + 5000 * 1000);
}

static void
test_a_patient_writer_gives_up(void **state)
{
  (void) state;
  CLEANUP_WIRE struct wire wire = dial(4096);
  wait_for(&streams_count, 1);
  CLEANUP_BUF struct buf piece = { 0 };
  memset(buf_reserve(&piece, LIMIT / 2), 'x', LIMIT / 2);
  piece.size = LIMIT / 2;
  int r;
  while ((r = http_stream_wait(streams[0], piece.size, 200)) == 0)
    assert_int_equal(http_stream_write(streams[0], buf_str(&piece)), 0);
  assert_int_equal(r, -ETIMEDOUT);
  http_stream_close(streams[0]);
}

static void *
write_for_ever(void *context)
{
  while (http_stream_write(context, STR("tick\n")) == 0)
    ;
  http_stream_close(context);
  return NULL;
}

/* Writers at full speed, readers that hang up, and the stop, all at once. */
static void
test_stop_with_open_streams(void **state)
{
  (void) state;
  enum
  {
    COUNT = 40
  };
  struct wire wires[COUNT];
  pthread_t writers[COUNT];
  for (int i = 0; i < COUNT; i++) {
    wires[i] = dial(0);
    wait_for(&streams_count, i + 1);
    if (i % 2 == 0)
      pthread_create(&writers[i], NULL, write_for_ever, streams[i]);
  }
  for (int i = 0; i < COUNT; i += 4)
    wire_close(&wires[i]);
  int64_t before = clock_monotonic_ms();
  stop_server(state);
  assert_true(clock_monotonic_ms() - before < 10000);
  assert_int_equal(atomic_load(&closed_count), COUNT);
  for (int i = 0; i < COUNT; i++) {
    if (i % 2 == 0) {
      pthread_join(writers[i], NULL);
    } else {
      assert_int_equal(http_stream_write(streams[i], STR("late")), -EPIPE);
      http_stream_close(streams[i]);
      CLEANUP_REPLY struct wire_reply reply = wire_read(&wires[i], false);
      assert_false(reply.whole); /* nobody said that it is */
    }
    wire_close(&wires[i]);
  }
}

static void
test_stop_with_deferred_requests(void **state)
{
  (void) state;
  CLEANUP_WIRE struct wire wire = wire_open(http_server_port(server, 0));
  wire_send(&wire, "GET /wait HTTP/1.1\r\nHost: test\r\nX-Name: kept\r\n\r\n");
  wait_for(&waiting_count, 1);
  stop_server(state);
  wire_expect_end(&wire);
  /* The late answer is vain but allowed, and the request is whole until then. */
  assert_int_equal(atomic_load(&state_freed), 0);
  assert_true(str_equal(http_header(waiting, "X-Name"), STR("kept")));
  struct http_stream *stream = NULL;
  assert_int_equal(http_reply_stream(waiting, 200, "text/plain", LIMIT, &stream), 0);
  assert_int_equal(http_stream_write(stream, STR("late")), -EPIPE);
  assert_int_equal(atomic_load(&state_freed), 1);
  http_stream_close(stream);
}

static void
test_deferred_request_answered_by_a_stream(void **state)
{
  (void) state;
  CLEANUP_WIRE struct wire wire = wire_open(http_server_port(server, 0));
  wire_send(&wire, "GET /wait HTTP/1.1\r\nHost: test\r\n\r\n");
  wait_for(&waiting_count, 1);
  struct http_stream *stream = NULL;
  assert_int_equal(http_reply_stream(waiting, 200, "text/plain", LIMIT, &stream), 0);
  assert_int_equal(http_stream_write(stream, STR("late")), 0);
  wire_expect(&wire, "late");
  assert_int_equal(http_stream_write(stream, STR(" and later")), 0);
  http_stream_close(stream);
  wire_expect(&wire, "later\r\n0\r\n\r\n");
}

int
main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test_setup_teardown(test_a_slow_reader_hurts_only_itself, start_server,
                                    stop_server),
    cmocka_unit_test_setup_teardown(test_a_hang_up_is_noticed_without_writing, start_server,
                                    stop_server),
    cmocka_unit_test_setup_teardown(test_a_hang_up_after_a_body_is_noticed, start_server,
                                    stop_server),
    cmocka_unit_test_setup_teardown(test_the_end_comes_after_what_was_written, start_server,
                                    stop_server),
    cmocka_unit_test_setup_teardown(test_a_failed_stream_is_cut_off, start_server, stop_server),
    cmocka_unit_test_setup_teardown(test_stop_after_the_end, start_server, stop_server),
    cmocka_unit_test_setup_teardown(test_head_ends_the_stream_at_once, start_server, stop_server),
    cmocka_unit_test_setup_teardown(test_a_patient_writer_never_overruns, start_server,
                                    stop_server),
    cmocka_unit_test_setup_teardown(test_a_patient_writer_gives_up, start_server, stop_server),
    cmocka_unit_test_setup_teardown(test_stop_with_open_streams, start_server, stop_server),
    cmocka_unit_test_setup_teardown(test_stop_with_deferred_requests, start_server, stop_server),
    cmocka_unit_test_setup_teardown(test_deferred_request_answered_by_a_stream, start_server,
                                    stop_server),
  };
  return cmocka_run_group_tests_name("stream", tests, NULL, NULL);
}
