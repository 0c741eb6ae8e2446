/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The client against daemons that misbehave; tests/guix has the real one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
/* cmocka needs the three above first. */
#include <cmocka.h>

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "guix/daemon.h"

#define ITEM "/gnu/store/10n1r190irl4q1illc7d5q04wks8gvgx-greeting.txt"
#define ITEM_REQUEST (8 + 8 + 56) /* bytes of an operation on ITEM */
#define HASH "a948904f2f0f479b8f8197694b30184b0d2ed1c1cd2a1ec0fb85d299a192a447"

#define NEXT 0x6f6c6d67
#define READ 0x64617461
#define WRITE 0x64617416
#define LAST 0x616c7473
#define ERROR 0x63787470

/* A daemon that plays a script: it waits for so many bytes, then answers. After
   the last step it closes, or waits for the client to do so. */
struct step
{
  size_t await;
  struct buf reply;
};

struct fake
{
  char folder[32];
  char socket[64];
  int listener;
  struct step steps[8];
  size_t count;
  bool closes;
  pthread_t thread;
  bool has_ended;
};

static void
await_bytes(int fd, size_t size)
{
  char room[4096];
  while (size > 0) {
    ssize_t n = read(fd, room, size < sizeof room ? size : sizeof room);
    if (n <= 0)
      return;
    size -= (size_t) n;
  }
}

static void *
play(void *argument)
{
  struct fake *fake = argument;
  int fd = accept(fake->listener, NULL, NULL);
  for (size_t i = 0; i < fake->count; i++) {
    await_bytes(fd, fake->steps[i].await);
    if (send(fd, fake->steps[i].reply.data, fake->steps[i].reply.size, MSG_NOSIGNAL) < 0)
      break;
  }
  if (!fake->closes)
    await_bytes(fd, SIZE_MAX);
  close(fd);
  return NULL;
}

static void
add_int(struct buf *out, uint64_t value)
{
  for (int i = 0; i < 8; i++)
    buf_append_char(out, (char) (value >> 8 * i));
}

static void
add_text(struct buf *out, const char *text)
{
  add_int(out, strlen(text));
  buf_append_text(out, text);
  while (out->size % 8 != 0)
    buf_append_char(out, '\0');
}

/* Another step; the caller fills in the answer. */
static struct buf *
after(struct fake *fake, size_t await)
{
  fake->steps[fake->count].await = await;
  return &fake->steps[fake->count++].reply;
}

static void
add_handshake(struct fake *fake)
{
  struct buf *hello = after(fake, 8);
  add_int(hello, 0x6478696f);
  add_int(hello, 0x164);
  add_int(after(fake, 24), LAST);
}

static void
fake_start(struct fake *fake, const char *socket_name)
{
  struct sockaddr_un address = { .sun_family = AF_UNIX };
  memcpy(fake->folder, "/tmp/panoply-daemon-XXXXXX", 27);
  assert_non_null(mkdtemp(fake->folder));
  snprintf(fake->socket, sizeof fake->socket, "%s/%s", fake->folder, socket_name);
  memcpy(address.sun_path, fake->socket, strlen(fake->socket));
  fake->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  assert_int_equal(bind(fake->listener, (struct sockaddr *) &address, sizeof address), 0);
  assert_int_equal(listen(fake->listener, 1), 0);
  assert_int_equal(pthread_create(&fake->thread, NULL, play, fake), 0);
}

/* Waits until it has closed the connection. */
static void
fake_wait(struct fake *fake)
{
  if (!fake->has_ended)
    pthread_join(fake->thread, NULL);
  fake->has_ended = true;
}

static void
fake_stop(struct fake *fake)
{
  fake_wait(fake);
  close(fake->listener);
  file_remove_tree(fake->folder, NULL);
  for (size_t i = 0; i < fake->count; i++)
    buf_free(&fake->steps[i].reply);
}

/* Opens a connection to FAKE, whose handshake works. */
static struct guix_daemon *
fake_open(struct fake *fake)
{
  struct guix_daemon *daemon;
  struct error err = { 0 };
  fake_start(fake, "socket");
  if (guix_daemon_open(fake->socket, &daemon, &err) < 0)
    fail_msg("%s", err.message);
  return daemon;
}

static void
fake_end(struct fake *fake, struct guix_daemon *daemon)
{
  guix_daemon_close(daemon);
  fake_stop(fake);
}

static void
assert_broken(struct guix_daemon *daemon)
{
  struct error err = { 0 };
  int64_t started = clock_monotonic_ms();
  assert_false(guix_daemon_is_usable(daemon));
  assert_int_equal(guix_daemon_is_valid(daemon, STR(ITEM), &err), -ECONNRESET);
  assert_true(err.message[0] != '\0');
  assert_true(clock_monotonic_ms() - started < 10000);
}

/* ---- opening ---- */

static void
assert_open_fails(struct fake *fake, int code)
{
  struct guix_daemon *daemon = NULL;
  struct error err = { 0 };
  fake_start(fake, "socket");
  assert_int_equal(guix_daemon_open(fake->socket, &daemon, &err), code);
  assert_int_equal(err.code, code);
  assert_non_null(strstr(err.message, fake->socket));
  assert_null(daemon);
  fake_stop(fake);
}

static void
test_open_refuses_strangers(void **state)
{
  (void) state;
  struct guix_daemon *daemon = NULL;
  assert_int_equal(guix_daemon_open("/nonexistent/socket", &daemon, NULL), -ENOENT);
  struct fake silent = { .closes = true };
  assert_open_fails(&silent, -ECONNRESET);
  struct fake stranger = { .closes = true };
  buf_append_text(after(&stranger, 8), "HTTP/1.1 400 Bad Request\r\n\r\n");
  assert_open_fails(&stranger, -EPROTO);
  struct fake other_magic = { 0 };
  add_int(after(&other_magic, 8), 0x6478696e);
  assert_open_fails(&other_magic, -EPROTO);
  const uint64_t versions[] = { 0x162, 0x264, 0 };
  for (size_t i = 0; i < ARRAY_SIZE(versions); i++) {
    struct fake fake = { 0 };
    struct buf *hello = after(&fake, 8);
    add_int(hello, 0x6478696f);
    add_int(hello, versions[i]);
    assert_open_fails(&fake, -EPROTONOSUPPORT);
  }
}

/* An error while the daemon starts comes without its status. */
static void
test_open_reports_an_error_of_the_daemon(void **state)
{
  (void) state;
  struct fake fake = { .closes = true };
  struct buf *hello = after(&fake, 8);
  add_int(hello, 0x6478696f);
  add_int(hello, 0x164);
  struct buf *answer = after(&fake, 24);
  add_int(answer, ERROR);
  add_text(answer, "wrong database schema\n");
  assert_open_fails(&fake, -EREMOTEIO);
}

static void
test_open_reaches_long_names(void **state)
{
  (void) state;
  struct fake fake = { 0 };
  add_handshake(&fake);
  fake_start(&fake, "socket");
  CLEANUP_BUF struct buf name = { 0 };
  buf_printf(&name, "%s/", fake.folder);
  while (name.size < 300)
    buf_append_text(&name, "./");
  buf_append_text(&name, "socket");
  struct guix_daemon *daemon = NULL;
  assert_int_equal(guix_daemon_open(buf_text(&name), &daemon, NULL), 0);
  assert_int_equal(guix_daemon_version(daemon), 0x164);
  assert_true(guix_daemon_is_usable(daemon));
  fake_end(&fake, daemon);
}

/* ---- answers ---- */

static void
add_path_info(struct buf *answer)
{
  add_int(answer, NEXT);
  add_text(answer, "some text\n");
  add_int(answer, LAST);
  add_text(answer, "");
  add_text(answer, HASH);
  add_int(answer, 1);
  add_text(answer, ITEM);
  add_int(answer, 1700000000);
  add_int(answer, 128);
}

static void
test_path_info(void **state)
{
  (void) state;
  CLEANUP_ARENA struct arena arena = { 0 };
  struct guix_path_info info;
  struct fake fake = { 0 };
  add_handshake(&fake);
  add_path_info(after(&fake, ITEM_REQUEST));
  struct guix_daemon *daemon = fake_open(&fake);
  assert_int_equal(guix_daemon_query_path_info(daemon, STR(ITEM), &arena, &info, NULL), 0);
  assert_int_equal(info.deriver.size, 0);
  assert_int_equal(info.references_count, 1);
  assert_true(str_equal(info.references[0], STR(ITEM)));
  assert_int_equal(info.registered_at, 1700000000);
  assert_int_equal(info.nar_size, 128);
  fake_end(&fake, daemon);
}

static void
test_answers_cut_off_at_every_byte(void **state)
{
  (void) state;
  CLEANUP_BUF struct buf whole = { 0 };
  add_path_info(&whole);
  for (size_t size = 0; size < whole.size; size++) {
    CLEANUP_ARENA struct arena arena = { 0 };
    struct guix_path_info info = { .nar_size = 42 };
    struct error err = { 0 };
    struct fake fake = { .closes = true };
    add_handshake(&fake);
    buf_append(after(&fake, ITEM_REQUEST), whole.data, size);
    struct guix_daemon *daemon = fake_open(&fake);
    assert_int_equal(guix_daemon_query_path_info(daemon, STR(ITEM), &arena, &info, &err),
                     -ECONNRESET);
    assert_int_equal(info.nar_size, 42); /* written only on success */
    assert_broken(daemon);
    fake_end(&fake, daemon);
  }
}

#define HOSTILE_ANSWERS 9

/* Fills ANSWER with the WHICHth of the answers that break the protocol. */
static void
add_hostile_answer(struct buf *answer, int which)
{
  if (which >= 4) {
    add_int(answer, LAST);
    add_int(answer, which == 4 ? UINT32_MAX : 1); /* 4: more strings than there can be */
  }
  switch (which) {
  case 0: /* an unknown code */
    add_int(answer, 7);
    break;
  case 1: /* more than 32 bits */
    add_int(answer, (uint64_t) LAST << 32 | LAST);
    break;
  case 2: /* wants data that we do not have */
    add_int(answer, READ);
    add_int(answer, 100);
    break;
  case 3: /* sends data that we did not ask for */
    add_int(answer, WRITE);
    add_text(answer, "data");
    break;
  case 5: /* a string of 4 GiB */
    add_int(answer, UINT32_MAX);
    break;
  case 6: /* non-zero padding */
    add_text(answer, ITEM "12345");
    answer->data[answer->size - 1] = 'x';
    break;
  case 7: /* no store path */
    add_text(answer, "/gnu/store/../../etc/passwd");
    break;
  case 8: /* none at all */
    add_text(answer, "");
    break;
  }
}

static void
test_hostile_answers_end_the_connection(void **state)
{
  (void) state;
  for (int which = 0; which < HOSTILE_ANSWERS; which++) {
    CLEANUP_ARENA struct arena arena = { 0 };
    struct str *paths = NULL;
    size_t count = 42;
    struct error err = { 0 };
    struct fake fake = { 0 };
    add_handshake(&fake);
    add_hostile_answer(after(&fake, ITEM_REQUEST), which);
    struct guix_daemon *daemon = fake_open(&fake);
    assert_int_equal(guix_daemon_query_referrers(daemon, STR(ITEM), &arena, &paths, &count, &err),
                     -EPROTO);
    assert_int_equal(count, 42);
    assert_broken(daemon);
    fake_end(&fake, daemon);
  }
}

static void
test_errors_leave_the_connection_usable(void **state)
{
  (void) state;
  struct fake fake = { 0 };
  add_handshake(&fake);
  struct buf *answer = after(&fake, ITEM_REQUEST);
  add_int(answer, ERROR);
  add_text(answer, "build of `X' failed\n");
  add_int(answer, 100);
  answer = after(&fake, ITEM_REQUEST);
  add_int(answer, LAST);
  add_int(answer, 1);
  struct guix_daemon *daemon = fake_open(&fake);
  struct error err = { 0 };
  assert_int_equal(guix_daemon_is_valid(daemon, STR(ITEM), &err), -EREMOTEIO);
  assert_string_equal(err.message, "guix-daemon: build of `X' failed");
  assert_int_equal(guix_daemon_status(daemon), 100);
  assert_true(guix_daemon_is_usable(daemon));
  assert_int_equal(guix_daemon_is_valid(daemon, STR(ITEM), &err), 1);
  fake_end(&fake, daemon);
}

static void
test_an_error_before_the_close_is_told(void **state)
{
  (void) state;
  struct fake fake = { .closes = true };
  add_handshake(&fake);
  struct buf *answer = after(&fake, ITEM_REQUEST);
  add_int(answer, ERROR);
  add_text(answer, "path is not in the store");
  add_int(answer, 1);
  struct guix_daemon *daemon = fake_open(&fake);
  assert_int_equal(guix_daemon_is_valid(daemon, STR(ITEM), NULL), -EREMOTEIO);
  fake_wait(&fake);
  assert_broken(daemon);
  fake_end(&fake, daemon);
}

static void
test_endless_errors_are_cut(void **state)
{
  (void) state;
  CLEANUP_BUF struct buf text = { 0 };
  struct fake fake = { 0 };
  add_handshake(&fake);
  for (int i = 0; i < 100000; i++)
    buf_append_text(&text, "very \n");
  struct buf *answer = after(&fake, ITEM_REQUEST);
  add_int(answer, ERROR);
  add_text(answer, buf_text(&text));
  add_int(answer, 1);
  struct guix_daemon *daemon = fake_open(&fake);
  struct error err = { 0 };
  assert_int_equal(guix_daemon_is_valid(daemon, STR(ITEM), &err), -EREMOTEIO);
  assert_null(strchr(err.message, '\n'));
  assert_true(guix_daemon_is_usable(daemon));
  fake_end(&fake, daemon);
}

static void
test_unasked_data_breaks(void **state)
{
  (void) state;
  struct fake fake = { .closes = true };
  add_handshake(&fake);
  struct buf *answer = after(&fake, ITEM_REQUEST);
  add_int(answer, LAST);
  add_int(answer, 1);
  add_int(answer, LAST);
  struct guix_daemon *daemon = fake_open(&fake);
  assert_int_equal(guix_daemon_is_valid(daemon, STR(ITEM), NULL), 1);
  assert_broken(daemon);
  fake_end(&fake, daemon);
}

static void
test_bad_arguments_are_not_sent(void **state)
{
  (void) state;
  CLEANUP_ARENA struct arena arena = { 0 };
  struct str bad = STR("/gnu/store/x"), ret;
  struct fake fake = { 0 };
  add_handshake(&fake);
  struct guix_daemon *daemon = fake_open(&fake);
  assert_int_equal(guix_daemon_is_valid(daemon, bad, NULL), -EINVAL);
  assert_int_equal(guix_daemon_build(daemon, &bad, 1, NULL), -EINVAL);
  assert_int_equal(guix_daemon_add_text(daemon, STR("a b"), STR(""), NULL, 0, &arena, &ret, NULL),
                   -EINVAL);
  assert_int_equal(guix_daemon_add_text(daemon, STR("a"), STR(""), &bad, 1, &arena, &ret, NULL),
                   -EINVAL);
  assert_int_equal(guix_daemon_query_hash_part(daemon, STR("0"), &arena, &ret, NULL), -EINVAL);
  assert_int_equal(guix_daemon_add_indirect_root(daemon, "relative", NULL), -EINVAL);
  assert_true(guix_daemon_is_usable(daemon));
  fake_end(&fake, daemon);
}

/* ---- waiting ---- */

static void
test_silence_times_out(void **state)
{
  (void) state;
  struct fake fake = { 0 };
  add_handshake(&fake);
  struct guix_daemon *daemon = fake_open(&fake);
  guix_daemon_set_timeout(daemon, 1);
  assert_int_equal(guix_daemon_is_valid(daemon, STR(ITEM), NULL), -ETIMEDOUT);
  assert_broken(daemon);
  fake_end(&fake, daemon);
}

static void *
cancel(void *daemon)
{
  clock_sleep_ms(50); /* whether the other thread waits already does not matter */
  guix_daemon_cancel(daemon);
  return NULL;
}

static void
test_cancel_ends_a_waiting_call(void **state)
{
  (void) state;
  pthread_t thread;
  struct fake fake = { 0 };
  add_handshake(&fake);
  struct guix_daemon *daemon = fake_open(&fake);
  assert_int_equal(pthread_create(&thread, NULL, cancel, daemon), 0);
  assert_int_equal(guix_daemon_is_valid(daemon, STR(ITEM), NULL), -ECANCELED);
  pthread_join(thread, NULL);
  assert_broken(daemon);
  fake_end(&fake, daemon);
}

/* ---- data beside the request ---- */

struct source
{
  size_t left;
  int failure; /* at the end */
};

static int64_t
read_source(void *state, char *room, size_t size)
{
  struct source *source = state;
  if (source->left == 0)
    return source->failure;
  size_t n = size < source->left ? size : source->left;
  memset(room, 'x', n);
  source->left -= n;
  return (int64_t) n;
}

/* 8 op, 8+8 name "a", 8, 8, 8+8 "sha256" */
#define ADD_REQUEST (8 + 16 + 8 + 8 + 16)

static void
test_a_nar_refused_midway_is_told(void **state)
{
  (void) state;
  CLEANUP_ARENA struct arena arena = { 0 };
  struct str path;
  struct error err = { 0 };
  struct source endless = { .left = 1u << 30 };
  struct fake fake = { .closes = true };
  add_handshake(&fake);
  struct buf *answer = after(&fake, ADD_REQUEST + 100000);
  add_int(answer, ERROR);
  add_text(answer, "bad archive");
  add_int(answer, 1);
  struct guix_daemon *daemon = fake_open(&fake);
  assert_int_equal(guix_daemon_add_nar(daemon, STR("a"), true, STR("sha256"), read_source, &endless,
                                       &arena, &path, &err),
                   -EREMOTEIO);
  assert_string_equal(err.message, "guix-daemon: bad archive");
  assert_true(endless.left > 0);
  assert_broken(daemon);
  fake_end(&fake, daemon);
}

static void
test_a_failing_source_of_a_nar_ends_the_connection(void **state)
{
  (void) state;
  CLEANUP_ARENA struct arena arena = { 0 };
  struct str path;
  struct source source = { .left = 10, .failure = -EIO };
  struct fake fake = { 0 };
  add_handshake(&fake);
  struct guix_daemon *daemon = fake_open(&fake);
  assert_int_equal(guix_daemon_add_nar(daemon, STR("a"), true, STR("sha256"), read_source, &source,
                                       &arena, &path, NULL),
                   -EIO);
  assert_broken(daemon);
  fake_end(&fake, daemon);
}

static void
test_a_failing_source_of_an_import_is_told_to_the_daemon(void **state)
{
  (void) state;
  CLEANUP_ARENA struct arena arena = { 0 };
  struct source source = { .left = 3, .failure = -ENODATA };
  struct fake fake = { 0 };
  add_handshake(&fake);
  struct buf *answer = after(&fake, 8);
  add_int(answer, READ);
  add_int(answer, 32768);
  answer = after(&fake, 16); /* "xxx" */
  add_int(answer, READ);
  add_int(answer, 32768);
  answer = after(&fake, 8); /* "", the end */
  add_int(answer, ERROR);
  add_text(answer, "unexpected end-of-file");
  add_int(answer, 1);
  struct guix_daemon *daemon = fake_open(&fake);
  assert_int_equal(guix_daemon_import(daemon, read_source, &source, &arena, NULL, NULL, NULL),
                   -ENODATA);
  assert_true(guix_daemon_is_usable(daemon));
  fake_end(&fake, daemon);
}

static int
collect(void *state, struct str piece)
{
  buf_append_str(state, piece);
  return 0;
}

static int
refuse(void *state, struct str piece)
{
  (void) state;
  (void) piece;
  return -ENOSPC;
}

static void
add_export(struct fake *fake)
{
  struct buf *answer = after(fake, ITEM_REQUEST + 8);
  add_int(answer, WRITE);
  add_text(answer, "some ");
  add_int(answer, NEXT);
  add_text(answer, "text");
  add_int(answer, WRITE);
  add_text(answer, "data");
  add_int(answer, LAST);
  add_int(answer, 1);
}

static void
test_export_hands_data_over(void **state)
{
  (void) state;
  CLEANUP_BUF struct buf data = { 0 };
  struct fake fake = { 0 };
  add_handshake(&fake);
  add_export(&fake);
  struct guix_daemon *daemon = fake_open(&fake);
  assert_int_equal(guix_daemon_export(daemon, STR(ITEM), false, collect, &data, NULL), 0);
  assert_string_equal(buf_text(&data), "some data");
  assert_true(guix_daemon_is_usable(daemon));
  fake_end(&fake, daemon);
}

static void
test_a_failing_receiver_of_an_export_ends_the_connection(void **state)
{
  (void) state;
  struct fake fake = { 0 };
  add_handshake(&fake);
  add_export(&fake);
  struct guix_daemon *daemon = fake_open(&fake);
  assert_int_equal(guix_daemon_export(daemon, STR(ITEM), false, refuse, NULL, NULL), -ENOSPC);
  assert_broken(daemon);
  fake_end(&fake, daemon);
}

static void
count_messages(void *context, const struct guix_event *event)
{
  struct buf *seen = context;
  buf_printf(seen, "<%.*s>", STR_FMT(event->text));
}

static void
test_text_goes_to_the_receiver_request_by_request(void **state)
{
  (void) state;
  CLEANUP_BUF struct buf seen = { 0 };
  struct fake fake = { 0 };
  add_handshake(&fake);
  for (int i = 0; i < 2; i++) {
    struct buf *answer = after(&fake, ITEM_REQUEST);
    add_int(answer, NEXT);
    add_text(answer, "one\nt");
    add_int(answer, NEXT);
    add_text(answer, "wo");
    add_int(answer, LAST);
    add_int(answer, 0);
  }
  struct guix_daemon *daemon = fake_open(&fake);
  guix_daemon_on_event(daemon, count_messages, &seen);
  assert_int_equal(guix_daemon_is_valid(daemon, STR(ITEM), NULL), 0);
  assert_string_equal(buf_text(&seen), "<one><two>");
  guix_daemon_on_event(daemon, NULL, NULL);
  assert_int_equal(guix_daemon_is_valid(daemon, STR(ITEM), NULL), 0);
  assert_string_equal(buf_text(&seen), "<one><two>");
  fake_end(&fake, daemon);
}

int
main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_open_refuses_strangers),
    cmocka_unit_test(test_open_reports_an_error_of_the_daemon),
    cmocka_unit_test(test_open_reaches_long_names),
    cmocka_unit_test(test_path_info),
    cmocka_unit_test(test_answers_cut_off_at_every_byte),
    cmocka_unit_test(test_hostile_answers_end_the_connection),
    cmocka_unit_test(test_errors_leave_the_connection_usable),
    cmocka_unit_test(test_an_error_before_the_close_is_told),
    cmocka_unit_test(test_endless_errors_are_cut),
    cmocka_unit_test(test_unasked_data_breaks),
    cmocka_unit_test(test_bad_arguments_are_not_sent),
    cmocka_unit_test(test_silence_times_out),
    cmocka_unit_test(test_cancel_ends_a_waiting_call),
    cmocka_unit_test(test_a_nar_refused_midway_is_told),
    cmocka_unit_test(test_a_failing_source_of_a_nar_ends_the_connection),
    cmocka_unit_test(test_a_failing_source_of_an_import_is_told_to_the_daemon),
    cmocka_unit_test(test_export_hands_data_over),
    cmocka_unit_test(test_a_failing_receiver_of_an_export_ends_the_connection),
    cmocka_unit_test(test_text_goes_to_the_receiver_request_by_request),
  };
  return cmocka_run_group_tests_name("guix/daemon", tests, NULL, NULL);
}
