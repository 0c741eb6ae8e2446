/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
/* cmocka needs the three above first. */
#include <cmocka.h>

#include <errno.h>
#include <jansson.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "db/db_private.h"
#include "db/test_cluster.h"
#include "events/events_private.h"

#define DEADLINE_MS 30000

/* ---- a witness of what the feed tells ---- */

#define WITNESS_MAX 20000

struct witness
{
  pthread_mutex_t mutex;
  int64_t subjects[WITNESS_MAX];
  size_t count;
};

static void
witness_receive(void *context, const struct events_event *event)
{
  struct witness *witness = context;
  assert_true(event->position.id > 0 && event->kind.size > 0 && event->facts.size >= 2);
  pthread_mutex_lock(&witness->mutex);
  assert_true(witness->count < WITNESS_MAX);
  witness->subjects[witness->count++] = event->subject;
  pthread_mutex_unlock(&witness->mutex);
}

static void
witness_watch(struct witness *witness, struct events_feed *feed)
{
  (void) events_feed_watch(
      feed, &(struct events_watcher) { .receive = witness_receive, .context = witness });
}

static size_t
witness_count(struct witness *witness)
{
  pthread_mutex_lock(&witness->mutex);
  size_t count = witness->count;
  pthread_mutex_unlock(&witness->mutex);
  return count;
}

static void
witness_wait(struct witness *witness, size_t count)
{
  int64_t deadline = clock_monotonic_ms() + DEADLINE_MS;
  while (witness_count(witness) < count) {
    assert_true(clock_monotonic_ms() < deadline);
    clock_sleep_ms(2);
  }
}

static struct witness *
witness_new(void)
{
  struct witness *witness = mem_alloc(sizeof *witness);
  pthread_mutex_init(&witness->mutex, NULL);
  return witness;
}

static struct events_feed *
start_feed(const char *uri)
{
  struct events_feed *feed = NULL;
  struct error err = { 0 };
  if (events_feed_start(uri, &feed, &err) < 0)
    fail_msg("%s", err.message);
  return feed;
}

static struct db *
open_database(const char *uri)
{
  struct db *db = NULL;
  struct error err = { 0 };
  if (db_open(uri, &db, &err) < 0)
    fail_msg("%s", err.message);
  return db;
}

static void
append(struct db *db, const char *kind, int64_t subject)
{
  struct error err = { 0 };
  if (events_append(db, kind, subject, STR("{\"name\": \"a\\nb\"}"), &err) != 0)
    fail_msg("%s", err.message);
}

static void
command(struct db *db, const char *text)
{
  struct error err = { 0 };
  if (db_command(db, text, text, &err) < 0)
    fail_msg("%s", err.message);
}

/* The subjects behind AFTER as text: "3 4 ". */
static const char *
read_subjects(struct db *db, struct events_position after, const char *prefix, size_t most,
              struct buf *ret)
{
  CLEANUP_ARENA struct arena arena = { 0 };
  struct events_page page;
  struct error err = { 0 };
  if (events_read(db, after, str_of(prefix), most, &arena, &page, &err) < 0)
    fail_msg("%s", err.message);
  buf_clear(ret);
  for (size_t i = 0; i < page.count; i++)
    buf_printf(ret, "%lld ", (long long) page.items[i].subject);
  return buf_text(ret);
}

/* ---- appending and reading ---- */

static void
test_reads_in_order_from_a_position(void **state)
{
  struct test_database *database = *state;
  struct db *db = open_database(database->uri);
  CLEANUP_BUF struct buf text = { 0 };
  CLEANUP_ARENA struct arena arena = { 0 };
  struct events_position start = { 0 };
  struct events_page page;
  append(db, "build.queued", 1);
  append(db, "build.succeeded", 2);
  append(db, "builder.lost", 3);
  append(db, "build.failed", 4);
  assert_string_equal(read_subjects(db, start, "", 10, &text), "1 2 3 4 ");
  assert_string_equal(read_subjects(db, start, "build.", 10, &text), "1 2 4 ");
  assert_string_equal(read_subjects(db, start, "builder.", 2, &text), ""); /* looks at two */
  assert_int_equal(events_read(db, start, STR("builder."), 2, &arena, &page, NULL), 0);
  assert_false(page.whole);
  assert_string_equal(read_subjects(db, page.end, "builder.", 10, &text), "3 ");
  assert_string_equal(read_subjects(db, start, "", 2, &text), "1 2 ");
  assert_int_equal(events_read(db, start, STR(""), 2, &arena, &page, NULL), 0);
  assert_true(str_equal(page.items[1].kind, STR("build.succeeded")));
  assert_true(str_equal(page.items[1].facts, STR("{\"name\": \"a\\nb\"}")));
  assert_true(llabs(page.items[1].happened_at - clock_now_us()) < 60 * CLOCK_US_PER_S);
  assert_string_equal(read_subjects(db, page.items[1].position, "", 10, &text), "3 4 ");
  db_close(db);
}

static void
test_refuses_what_is_no_event(void **state)
{
  struct test_database *database = *state;
  struct db *db = open_database(database->uri);
  assert_int_equal(events_append(db, "nonsense", 1, STR("{}"), NULL), -DB_ERROR_CONSTRAINT);
  assert_true(events_append(db, "build.failed", 1, STR("{broken"), NULL) < 0);
  db_close(db);
}

/* ---- late commits ---- */

static void
test_what_commits_late_is_not_skipped(void **state)
{
  struct test_database *database = *state;
  struct db *slow = open_database(database->uri);
  struct db *quick = open_database(database->uri);
  CLEANUP_BUF struct buf text = { 0 };
  struct events_position start = { 0 };
  command(slow, "BEGIN");
  append(slow, "build.started", 1);
  append(quick, "build.started", 2);
  append(quick, "build.started", 3);
  /* A reader that took 2 and 3 now would never see 1, which has lower numbers. */
  assert_string_equal(read_subjects(quick, start, "", 10, &text), "");
  append(slow, "build.started", 4);
  command(slow, "COMMIT");
  assert_string_equal(read_subjects(quick, start, "", 10, &text), "1 4 2 3 ");
  db_close(slow);
  db_close(quick);
}

static void
test_a_transaction_that_only_reads_holds_nothing_back(void **state)
{
  struct test_database *database = *state;
  struct db *reader = open_database(database->uri);
  struct db *writer = open_database(database->uri);
  CLEANUP_BUF struct buf text = { 0 };
  struct events_position start = { 0 };
  command(reader, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY");
  assert_string_equal(read_subjects(reader, start, "", 10, &text), "");
  append(writer, "build.started", 1);
  assert_string_equal(read_subjects(writer, start, "", 10, &text), "1 ");
  assert_string_equal(read_subjects(reader, start, "", 10, &text), "");
  db_close(reader);
  db_close(writer);
}

static void
test_the_feed_tells_late_commits_soon_and_once(void **state)
{
  struct test_database *database = *state;
  struct events_feed *feed = start_feed(database->uri);
  struct witness *witness = witness_new();
  struct db *slow = open_database(database->uri);
  struct db *quick = open_database(database->uri);
  witness_watch(witness, feed);
  append(quick, "build.started", 1);
  assert_int_equal(events_wake(quick, NULL), 0);
  witness_wait(witness, 1);
  command(slow, "BEGIN");
  append(slow, "build.started", 2);
  for (int64_t subject = 3; subject < 10; subject++)
    append(quick, "build.started", subject);
  assert_int_equal(events_wake(quick, NULL), 0);
  assert_int_equal(witness_count(witness), 1);
  /* Nobody wakes the feed for this one: it looks again by itself. */
  command(slow, "COMMIT");
  witness_wait(witness, 9);
  for (size_t i = 0; i < 9; i++)
    assert_int_equal(witness->subjects[i], i + 1);
  events_feed_stop(feed);
  assert_int_equal(witness->count, 9);
  db_close(slow);
  db_close(quick);
  free(witness);
}

/* What runs when the feed starts belongs to what comes "from now on". */
static void
test_the_feed_begins_with_what_is_not_committed_yet(void **state)
{
  struct test_database *database = *state;
  struct db *slow = open_database(database->uri);
  struct db *quick = open_database(database->uri);
  struct witness *witness = witness_new();
  append(quick, "build.started", 1);
  command(slow, "BEGIN");
  append(slow, "build.started", 2);
  struct events_feed *feed = start_feed(database->uri);
  witness_watch(witness, feed);
  command(slow, "COMMIT");
  witness_wait(witness, 1);
  events_feed_stop(feed);
  assert_int_equal(witness->count, 1);
  assert_int_equal(witness->subjects[0], 2);
  db_close(slow);
  db_close(quick);
  free(witness);
}

/* ---- many writers, and losses ---- */

struct writer
{
  pthread_t thread;
  const char *uri;
  int64_t first;
  int64_t count;
};

/* Transactions of several events, a part of them rolled back. */
static void *
write_events(void *context)
{
  struct writer *writer = context;
  struct db *db = open_database(writer->uri);
  for (int64_t i = 0; i < writer->count; i++) {
    command(db, "BEGIN");
    append(db, "build.started", -1);
    command(db, "ROLLBACK");
    command(db, "BEGIN");
    append(db, "build.started", writer->first + i);
    command(db, "COMMIT");
    if (i % 10 == 0)
      assert_int_equal(events_wake(db, NULL), 0);
  }
  db_close(db);
  return NULL;
}

static int
compare_numbers(const void *a, const void *b)
{
  const int64_t *left = a;
  const int64_t *right = b;
  return *left < *right ? -1 : *left > *right;
}

static void
test_no_writer_is_skipped_or_told_twice(void **state)
{
  struct test_database *database = *state;
  struct events_feed *feed = start_feed(database->uri);
  struct witness *witness = witness_new();
  struct writer writers[4];
  witness_watch(witness, feed);
  for (size_t i = 0; i < ARRAY_SIZE(writers); i++) {
    writers[i] = (struct writer) { .uri = database->uri, .first = (int64_t) i * 300, .count = 300 };
    assert_int_equal(pthread_create(&writers[i].thread, NULL, write_events, &writers[i]), 0);
  }
  for (size_t i = 0; i < ARRAY_SIZE(writers); i++)
    pthread_join(writers[i].thread, NULL);
  witness_wait(witness, 1200);
  events_feed_stop(feed);
  assert_int_equal(witness->count, 1200);
  qsort(witness->subjects, witness->count, sizeof(int64_t), compare_numbers);
  for (size_t i = 0; i < witness->count; i++)
    assert_int_equal(witness->subjects[i], i);
  free(witness);
}

static void
test_the_feed_survives_the_loss_of_its_connection(void **state)
{
  struct test_database *database = *state;
  struct events_feed *feed = start_feed(database->uri);
  struct witness *witness = witness_new();
  witness_watch(witness, feed);
  for (int64_t round = 0; round < 3; round++) {
    struct db *db = open_database(database->uri);
    append(db, "build.started", 2 * round);
    assert_int_equal(events_wake(db, NULL), 0);
    witness_wait(witness, (size_t) (2 * round + 1));
    assert_true(test_database_cut_off(database->uri) >= 2);
    db_close(db);
    db = open_database(database->uri);
    append(db, "build.started", 2 * round + 1);
    db_close(db);
    witness_wait(witness, (size_t) (2 * round + 2));
  }
  events_feed_stop(feed);
  assert_int_equal(witness->count, 6);
  for (size_t i = 0; i < 6; i++)
    assert_int_equal(witness->subjects[i], i);
  free(witness);
}

/* ---- server-sent events ---- */

struct site
{
  struct test_database *database;
  struct events_feed *feed;
  struct http_server *server;
  struct witness *witness; /* of what the feed has told the clients */
  struct db *db;
  char url[64];
};

static int
site_start(void **state)
{
  static const char *const listen[] = { "127.0.0.1:0" };
  struct site *site = mem_alloc(sizeof *site);
  struct error err = { 0 };
  site->database = test_database_new();
  site->feed = start_feed(site->database->uri);
  site->db = open_database(site->database->uri);
  struct http_routes routes = events_routes(site->feed, site->database->pool);
  site->witness = witness_new();
  witness_watch(site->witness, site->feed);
  const struct http_options options = {
    .listen = listen, .listen_count = 1, .routes = &routes, .routes_count = 1
  };
  if (http_server_start(&options, &site->server, &err) < 0)
    fail_msg("%s", err.message);
  snprintf(site->url, sizeof site->url, "http://127.0.0.1:%d", http_server_port(site->server, 0));
  *state = site;
  return 0;
}

static int
site_stop(void **state)
{
  struct site *site = *state;
  http_server_stop(site->server);
  events_feed_stop(site->feed);
  free(site->witness);
  db_close(site->db);
  test_database_free(site->database);
  free(site);
  return 0;
}

/* A client that follows the stream on a thread of its own. */
struct follower
{
  pthread_t thread;
  struct http_client *client;
  const char *path;
  char last_id[64]; /* sent as Last-Event-ID; "" = none */
  int status;
  pthread_mutex_t mutex; /* guards what follows */
  struct buf received;
};

static int
follower_piece(void *context, struct str piece)
{
  struct follower *follower = context;
  pthread_mutex_lock(&follower->mutex);
  buf_append_str(&follower->received, piece);
  pthread_mutex_unlock(&follower->mutex);
  return 0;
}

static void *
follower_main(void *context)
{
  struct follower *follower = context;
  struct http_answer answer = { 0 };
  CLEANUP_FREE char *header = mem_printf("Last-Event-ID: %s", follower->last_id);
  const char *headers[] = { header, NULL };
  (void) http_client_call(follower->client,
                          &(struct http_call) {
                              .method = "GET",
                              .path = follower->path,
                              .headers = follower->last_id[0] != '\0' ? headers : NULL,
                              .reply_piece = follower_piece,
                              .reply_state = follower,
                          },
                          &answer, NULL);
  follower->status = answer.status;
  http_answer_free(&answer);
  return NULL;
}

static struct follower *
follower_start(const struct site *site, const char *path, const char *last_id)
{
  struct follower *follower = mem_alloc(sizeof *follower);
  pthread_mutex_init(&follower->mutex, NULL);
  follower->path = path;
  snprintf(follower->last_id, sizeof follower->last_id, "%s", last_id);
  follower->client = http_client_new(&(struct http_client_options) { .base_url = site->url });
  assert_int_equal(pthread_create(&follower->thread, NULL, follower_main, follower), 0);
  return follower;
}

/* How often PART has come so far. */
static size_t
follower_count(struct follower *follower, const char *part)
{
  size_t count = 0;
  pthread_mutex_lock(&follower->mutex);
  for (const char *at = buf_text(&follower->received); (at = strstr(at, part)) != NULL; at++)
    count++;
  pthread_mutex_unlock(&follower->mutex);
  return count;
}

static void
follower_wait(struct follower *follower, const char *part, size_t count)
{
  int64_t deadline = clock_monotonic_ms() + DEADLINE_MS;
  while (follower_count(follower, part) < count) {
    if (clock_monotonic_ms() > deadline)
      fail_msg("waited for %zu of %s in: %s", count, part, buf_text(&follower->received));
    clock_sleep_ms(2);
  }
}

/* Ends it; all that it received stays readable until follower_free. */
static void
follower_end(struct follower *follower)
{
  http_client_cancel(follower->client);
  pthread_join(follower->thread, NULL);
  http_client_free(follower->client);
}

static void
follower_free(struct follower *follower)
{
  buf_free(&follower->received);
  free(follower);
}

/* The subjects of all messages, in order of arrival; returns how many. The last
   `id:` goes to LAST_ID. */
static size_t
follower_subjects(const struct follower *follower, int64_t *ret, size_t most, char last_id[64])
{
  struct str rest = buf_str(&follower->received);
  struct str line;
  size_t count = 0;
  while (str_split(&rest, '\n', &line)) {
    if (str_starts(line, STR("id: ")))
      snprintf(last_id, 64, "%.*s", (int) line.size - 4, line.data + 4);
    if (!str_starts(line, STR("data: ")) || rest.data == NULL)
      continue;
    json_t *event = json_loadb(line.data + 6, line.size - 6, 0, NULL);
    assert_non_null(event);
    assert_true(count < most);
    ret[count++] = json_integer_value(json_object_get(event, "subject"));
    const char *name = json_string_value(json_object_get(json_object_get(event, "facts"), "name"));
    assert_string_equal(name, "a\nb");
    assert_true(json_is_string(json_object_get(event, "happened_at")));
    json_decref(event);
  }
  return count;
}

#define PATH "/api/panoply/v1/events"

static void
test_streams_what_happens_filtered_by_kind(void **state)
{
  struct site *site = *state;
  append(site->db, "build.started", 99); /* before anybody follows */
  assert_int_equal(events_wake(site->db, NULL), 0);
  witness_wait(site->witness, 1);
  struct follower *all = follower_start(site, PATH, "");
  struct follower *builds = follower_start(site, PATH "?kind=build.", "");
  follower_wait(all, "id: ", 1);
  follower_wait(builds, "id: ", 1);
  append(site->db, "build.started", 1);
  append(site->db, "agent.joined", 2);
  append(site->db, "build.failed", 3);
  assert_int_equal(events_wake(site->db, NULL), 0);
  follower_wait(all, "build.failed", 1);
  follower_wait(builds, "build.failed", 1);
  follower_end(all);
  follower_end(builds);
  int64_t subjects[16];
  char last_id[64];
  assert_int_equal(follower_subjects(builds, subjects, 16, last_id), 2);
  assert_int_equal(subjects[0], 1);
  assert_int_equal(subjects[1], 3);
  assert_int_equal(follower_subjects(all, subjects, 16, last_id), 3);
  for (size_t i = 0; i < 3; i++)
    assert_int_equal(subjects[i], i + 1);
  assert_non_null(strstr(buf_text(&all->received), "\"kind\":\"agent.joined\""));
  follower_free(all);
  follower_free(builds);
}

static void
test_goes_on_after_the_last_event_id(void **state)
{
  struct site *site = *state;
  CLEANUP_ARENA struct arena arena = { 0 };
  struct events_page page;
  char position[64];
  int64_t subjects[2000];
  for (int64_t subject = 0; subject < 1000; subject++)
    append(site->db, "build.started", subject);
  assert_int_equal(events_wake(site->db, NULL), 0);
  witness_wait(site->witness, 1000); /* so nobody else will tell them again */
  assert_int_equal(
      events_read(site->db, (struct events_position) { 0 }, STR(""), 1000, &arena, &page, NULL), 0);
  assert_int_equal(page.count, 1000);
  snprintf(position, sizeof position, "%lld-%lld", (long long) page.items[99].position.transaction,
           (long long) page.items[99].position.id);
  struct follower *follower = follower_start(site, PATH, position);
  follower_wait(follower, "\"subject\":999,", 1);
  append(site->db, "build.started", 1000);
  assert_int_equal(events_wake(site->db, NULL), 0);
  follower_wait(follower, "\"subject\":1000,", 1);
  follower_end(follower);
  assert_int_equal(follower_subjects(follower, subjects, 2000, position), 901);
  for (int64_t i = 0; i < 901; i++)
    assert_int_equal(subjects[i], i + 100);
  follower_free(follower);
}

/* However much it missed, a client that comes back often enough gets it all: here ten
   times of what may wait for it, and then what its filter lets through of many. */
static void
test_who_is_far_behind_catches_up(void **state)
{
  struct site *site = *state;
  command(site->db, "INSERT INTO event (kind, subject, facts) SELECT 'build.started', n,"
                    " jsonb_build_object('name', E'a\\nb', 'text', repeat('x', 500))"
                    " FROM generate_series(1, 19999) AS s(n)");
  append(site->db, "agent.joined", 20000);
  assert_int_equal(events_wake(site->db, NULL), 0);
  witness_wait(site->witness, 20000); /* so nobody else will tell them again */
  static const char *const paths[] = { PATH, PATH "?kind=agent." };
  for (size_t i = 0; i < ARRAY_SIZE(paths); i++) {
    char last_id[64] = "0-0", before[64];
    bool done = false;
    for (int rounds = 0; !done && rounds < 100; rounds++) {
      struct follower *follower = follower_start(site, paths[i], last_id);
      follower_wait(follower, ":\nid: ", 1); /* it has joined, or has to come back */
      done = follower_count(follower, "\"subject\":20000,") > 0;
      follower_end(follower);
      int64_t *subjects = mem_array(20001, sizeof *subjects);
      snprintf(before, sizeof before, "%s", last_id);
      follower_subjects(follower, subjects, 20001, last_id);
      assert_string_not_equal(before, last_id);
      free(subjects);
      follower_free(follower);
    }
    assert_true(done);
  }
}

/* Followers come and go while events happen; together their pieces are whole. */
static void
test_coming_back_while_events_happen_misses_and_repeats_nothing(void **state)
{
  struct site *site = *state;
  struct writer writer = { .uri = site->database->uri, .first = 0, .count = 1500 };
  int64_t subjects[WITNESS_MAX];
  char last_id[64] = "0-0";
  int64_t next = 0;
  assert_int_equal(pthread_create(&writer.thread, NULL, write_events, &writer), 0);
  int64_t deadline = clock_monotonic_ms() + DEADLINE_MS;
  for (int rounds = 0; next < writer.count; rounds++) {
    struct follower *follower = follower_start(site, PATH, last_id);
    while (follower_count(follower, "data: ") < 50 && clock_monotonic_ms() < deadline
           && next + (int64_t) follower_count(follower, "data: ") < writer.count)
      clock_sleep_ms(1);
    assert_true(clock_monotonic_ms() < deadline);
    follower_end(follower);
    /* A message that was cut off in the middle is not one: drop it. */
    const char *text = buf_text(&follower->received);
    while (follower->received.size > 0
           && (follower->received.size < 2
               || memcmp(text + follower->received.size - 2, "\n\n", 2) != 0))
      follower->received.size--;
    size_t count = follower_subjects(follower, subjects, WITNESS_MAX, last_id);
    for (size_t i = 0; i < count; i++)
      assert_int_equal(subjects[i], next++);
    follower_free(follower);
  }
  pthread_join(writer.thread, NULL);
  assert_int_equal(next, writer.count);
}

/* A client that reads nothing: a bare socket with little room. */
static int
connect_idly(const struct site *site)
{
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  struct sockaddr_in address = {
    .sin_family = AF_INET,
    .sin_port = htons((uint16_t) http_server_port(site->server, 0)),
    .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
  };
  static const char request[] = "GET " PATH " HTTP/1.1\r\nHost: x\r\n\r\n";
  assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &(int) { 4096 }, sizeof(int)), 0);
  assert_int_equal(connect(fd, (struct sockaddr *) &address, sizeof address), 0);
  assert_int_equal(file_write_full(fd, request, sizeof request - 1), 0);
  return fd;
}

static void
test_a_client_that_does_not_read_is_cut_off_and_harms_nobody(void **state)
{
  struct site *site = *state;
  char piece[65536];
  CLEANUP_FD int idle = connect_idly(site);
  struct follower *other = follower_start(site, PATH "?kind=agent.", "");
  struct pollfd watch = { .fd = idle, .events = POLLIN };
  assert_int_equal(poll(&watch, 1, DEADLINE_MS), 1);
  follower_wait(other, "id: ", 1);
  /* Far more than the buffers of the kernel and the server take. */
  command(site->db, "INSERT INTO event (kind, subject, facts) SELECT 'build.started', n,"
                    " jsonb_build_object('text', repeat('x', 2000)) FROM generate_series(1, 10000)"
                    " AS s(n)");
  append(site->db, "agent.joined", 7);
  assert_int_equal(events_wake(site->db, NULL), 0);
  follower_wait(other, "\"subject\":7,", 1);
  follower_end(other);
  follower_free(other);
  /* It gets what was under way, then the end, and never all 20 MB. */
  size_t received = 0;
  ssize_t got;
  while ((got = read(idle, piece, sizeof piece)) > 0)
    received += (size_t) got;
  assert_true(received < 10000 * 2000);
}

static void
test_refuses_bad_positions_and_kinds(void **state)
{
  struct site *site = *state;
  static const struct
  {
    const char *path;
    const char *last_id;
  } bad[] = {
    { PATH, "x" },
    { PATH, "1" },
    { PATH, "1-" },
    { PATH, "1-x" },
    { PATH, "-1-2" },
    { PATH, "1-99999999999999999999" },
    { PATH, "1-2-3" },
    { PATH "?kind=%27", "" },
    { PATH "?kind=Build", "" },
  };
  for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
    struct follower *follower = follower_start(site, bad[i].path, bad[i].last_id);
    pthread_join(follower->thread, NULL);
    http_client_free(follower->client);
    assert_int_equal(follower->status, 400);
    follower_free(follower);
  }
}

/* Ids of another database, also those that lie in this one's past: who comes with one hears
   so, or it would wait for ever for what is behind it. */
static void
test_refuses_positions_of_another_feed(void **state)
{
  struct site *site = *state;
  CLEANUP_ARENA struct arena arena = { 0 };
  struct events_page page;
  append(site->db, "build.started", 1);
  assert_int_equal(
      events_read(site->db, (struct events_position) { 0 }, STR(""), 10, &arena, &page, NULL), 0);
  struct events_position told = page.end;
  const struct
  {
    struct events_position position;
    bool known;
  } cases[] = {
    { { 0, 0 }, true },
    { told, true },
    { { told.transaction, 0 }, true },
    { { 99999999, 0 }, false },
    { { 99999999, 5 }, false },
    { { told.transaction, told.id + 1 }, false },
    { { told.transaction - 1, told.id }, false },
  };
  for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
    char id[64];
    snprintf(id, sizeof id, "%lld-%lld", (long long) cases[i].position.transaction,
             (long long) cases[i].position.id);
    struct follower *follower = follower_start(site, PATH, id);
    if (cases[i].known)
      follower_wait(follower, ":\nid: ", 1);
    if (cases[i].known)
      http_client_cancel(follower->client);
    pthread_join(follower->thread, NULL);
    http_client_free(follower->client);
    assert_int_equal(follower->status, cases[i].known ? 200 : 410);
    follower_free(follower);
  }
}

static void
test_silence_is_broken_by_heartbeats(void **state)
{
  struct site *site = *state;
  int64_t start = clock_monotonic_ms();
  struct follower *follower = follower_start(site, PATH "?kind=none.", "");
  follower_wait(follower, ":\nid: ", 2); /* one at once, one after 15 seconds */
  assert_true(clock_monotonic_ms() - start >= 14000);
  follower_end(follower);
  follower_free(follower);
}

#define WITH_DATABASE(function) \
  cmocka_unit_test_setup_teardown(function, test_database_setup, test_database_teardown)
#define WITH_SITE(function) cmocka_unit_test_setup_teardown(function, site_start, site_stop)

int
main(void)
{
  const struct CMUnitTest tests[] = {
    WITH_DATABASE(test_reads_in_order_from_a_position),
    WITH_DATABASE(test_refuses_what_is_no_event),
    WITH_DATABASE(test_what_commits_late_is_not_skipped),
    WITH_DATABASE(test_a_transaction_that_only_reads_holds_nothing_back),
    WITH_DATABASE(test_the_feed_tells_late_commits_soon_and_once),
    WITH_DATABASE(test_the_feed_begins_with_what_is_not_committed_yet),
    WITH_DATABASE(test_no_writer_is_skipped_or_told_twice),
    WITH_DATABASE(test_the_feed_survives_the_loss_of_its_connection),
    WITH_SITE(test_streams_what_happens_filtered_by_kind),
    WITH_SITE(test_goes_on_after_the_last_event_id),
    WITH_SITE(test_who_is_far_behind_catches_up),
    WITH_SITE(test_coming_back_while_events_happen_misses_and_repeats_nothing),
    WITH_SITE(test_a_client_that_does_not_read_is_cut_off_and_harms_nobody),
    WITH_SITE(test_refuses_bad_positions_and_kinds),
    WITH_SITE(test_refuses_positions_of_another_feed),
    WITH_SITE(test_silence_is_broken_by_heartbeats),
  };
  return cmocka_run_group_tests(tests, NULL, test_cluster_teardown);
}
