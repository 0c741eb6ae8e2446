/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
/* cmocka needs the three above first. */
#include <cmocka.h>

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "db/db_private.h"
#include "db/statement.h"
#include "db/test_cluster.h"

/* ---- the database of a test: one table, and statements on it ---- */

static const struct db_statement put = {
  .name = "test_put",
  .text = "INSERT INTO item (id, name) VALUES ($1, $2)",
  .parameters_count = 2,
};
static const struct db_statement put_bulk = {
  .name = "test_put_bulk",
  .text = "COPY item (id, name) FROM STDIN (FORMAT binary)",
  .parameters_count = 2,
};
static const struct db_statement add_to_item = {
  .name = "test_add",
  .text = "UPDATE item SET count = count + $2 WHERE id = $1",
  .parameters_count = 2,
};

struct number
{
  int64_t value;
};

static const struct db_column number_column[] = {
  { "value", DB_TYPE_I64, offsetof(struct number, value), DB_NEVER_NULL },
};

#define ONE_NUMBER(name_, text_, parameters)                                                      \
  {                                                                                               \
    .name = (name_), .text = (text_), .parameters_count = (parameters), .columns = number_column, \
    .columns_count = 1, .row_size = sizeof(struct number),                                        \
  }
static const struct db_statement count_items =
    ONE_NUMBER("test_count", "SELECT count(*) FROM item", 0);
static const struct db_statement item_count =
    ONE_NUMBER("test_item_count", "SELECT count FROM item WHERE id = $1", 1);
static const struct db_statement own_backend =
    ONE_NUMBER("test_backend", "SELECT pg_backend_pid()::bigint", 0);

static int
make_database(void **state)
{
  static const char tables[] = "CREATE TABLE item (id bigint PRIMARY KEY, name text NOT NULL,"
                               " count bigint NOT NULL DEFAULT 0)";
  struct test_database *database = mem_alloc(sizeof *database);
  struct db *db = NULL;
  database->uri = test_database_make_empty();
  database->pool = db_pool_new(database->uri, 4);
  if (db_open(database->uri, &db, NULL) < 0 || db_command(db, tables, "tables", NULL) < 0)
    return -1;
  db_close(db);
  *state = database;
  return 0;
}

static int
put_item(struct db *db, int64_t id, const char *name, struct error *err)
{
  const struct db_value values[] = { db_value_i64(id), db_value_text(str_of(name)) };
  return db_statement_exec(db, &put, values, err);
}

static int64_t
number_of(struct db *db, const struct db_statement *statement, const struct db_value *values)
{
  struct number row = { -1 };
  (void) db_statement_one(db, statement, values, NULL, &row, NULL);
  return row.value;
}

static int64_t
pool_count(struct db_pool *pool)
{
  struct db *db = NULL;
  assert_int_equal(db_pool_get(pool, &db, NULL), 0);
  int64_t count = number_of(db, &count_items, NULL);
  db_pool_put(pool, db);
  return count;
}

/* ---- connecting ---- */

static void
test_unreachable_is_told_in_one_line_without_the_password(void **state)
{
  (void) state;
  static const struct
  {
    const char *uri;
    const char *message;
    const char *hint;
  } cases[] = {
    { "postgresql://me:s3cret@127.0.0.1:1/x", "Connection refused", "check that PostgreSQL runs" },
    { "postgresql://me:s3cret@/x?host=/nowhere", "No such file", "socket folder" },
    { "postgresql://me:s3cret@no-such-host.invalid/x", "could not translate", "host name" },
    { "postgresql://me:s3%zzcret@host/x", "URI of the database is not valid", "%XX" },
    { "host=a s3cret", "not valid", "postgresql://" },
  };
  for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
    struct error err = { 0 };
    struct db *db = NULL;
    assert_true(db_open(cases[i].uri, &db, &err) < 0);
    assert_null(db);
    assert_non_null(strstr(err.message, cases[i].message));
    assert_non_null(strstr(err.hint, cases[i].hint));
    assert_null(strstr(err.message, "s3"));
    assert_null(strstr(err.message, "\n"));
  }
}

static void
test_a_missing_database_is_told_at_once(void **state)
{
  struct test_database *database = *state;
  struct error err = { 0 };
  CLEANUP_FREE char *uri = mem_printf("postgresql:///absent%s", strchr(database->uri, '?'));
  struct db_pool *pool = db_pool_new(uri, 1);
  struct db *db = NULL;
  int64_t start = clock_monotonic_ms();
  assert_int_equal(db_pool_get(pool, &db, &err), -DB_ERROR_FAILED);
  assert_true(clock_monotonic_ms() - start < 5000);
  assert_non_null(strstr(err.message, "database \"absent\" does not exist"));
  assert_non_null(strstr(err.hint, "createdb"));
  db_pool_free(pool);
}

static void
test_an_unreachable_server_is_given_ten_seconds(void **state)
{
  (void) state;
  struct db_pool *pool = db_pool_new("postgresql://127.0.0.1:1/x", 1);
  struct db *db = NULL;
  int64_t start = clock_monotonic_ms();
  assert_int_equal(db_pool_get(pool, &db, NULL), -DB_ERROR_LOST);
  int64_t took = clock_monotonic_ms() - start;
  assert_in_range(took, 8000, 15000);
  db_pool_free(pool);
}

/* ---- transactions ---- */

static int
put_one(struct db *db, void *context, struct error *err)
{
  assert_true(db_in_transaction(db));
  return put_item(db, *(int *) context, "one", err) == 1 ? 0 : -1;
}

static int
put_and_fail(struct db *db, void *context, struct error *err)
{
  (void) context;
  int r = put_item(db, 1, "one", err);
  return r < 0 ? r : error_set(err, -ENOENT, "no thing");
}

static void
test_commits_and_rolls_back(void **state)
{
  struct test_database *database = *state;
  struct error err = { 0 };
  int id = 1;
  assert_int_equal(db_pool_run(database->pool, DB_WRITE, put_and_fail, NULL, &err), -ENOENT);
  assert_string_equal(err.message, "no thing");
  assert_int_equal(pool_count(database->pool), 0);
  assert_int_equal(db_pool_run(database->pool, DB_WRITE, put_one, &id, &err), 0);
  assert_int_equal(pool_count(database->pool), 1);
  assert_int_equal(db_pool_run(database->pool, DB_WRITE, put_one, &id, &err), -1);
  assert_non_null(strstr(err.message, "already exists"));
}

static void
test_a_read_transaction_cannot_write(void **state)
{
  struct test_database *database = *state;
  struct error err = { 0 };
  assert_true(db_pool_run(database->pool, DB_READ, put_and_fail, NULL, &err) < 0);
  assert_non_null(strstr(err.message, "read-only"));
}

static int
swallow_an_error(struct db *db, void *context, struct error *err)
{
  (void) context;
  (void) put_item(db, 1, "one", err);
  (void) put_item(db, 1, "again", err);
  return 0;
}

static void
test_a_swallowed_error_is_no_commit(void **state)
{
  struct test_database *database = *state;
  struct error err = { 0 };
  assert_int_equal(db_pool_run(database->pool, DB_WRITE, swallow_an_error, NULL, &err),
                   -DB_ERROR_FAILED);
  assert_non_null(strstr(err.message, "nothing was committed"));
  assert_int_equal(pool_count(database->pool), 0);
}

static int
nest(struct db *db, void *context, struct error *err)
{
  return db_run(db, DB_WRITE, put_one, context, err);
}

static void
test_transactions_do_not_nest(void **state)
{
  struct test_database *database = *state;
  int id = 1;
  assert_int_equal(db_pool_run(database->pool, DB_WRITE, nest, &id, NULL), -EINVAL);
}

/* ---- retries ---- */

struct attempts
{
  const char *uri;
  int count;
  int cut_off_until; /* in tries up to this the connection is cut */
};

static int
put_and_lose(struct db *db, void *context, struct error *err)
{
  struct attempts *attempts = context;
  attempts->count++;
  int r = put_item(db, 1, "one", err);
  if (r < 0)
    return r;
  if (attempts->count <= attempts->cut_off_until)
    assert_true(test_database_cut_off(attempts->uri) >= 1);
  return 0;
}

static void
test_a_lost_connection_is_retried(void **state)
{
  struct test_database *database = *state;
  struct attempts attempts = { .uri = database->uri, .cut_off_until = 2 };
  struct error err = { 0 };
  if (db_pool_run(database->pool, DB_WRITE, put_and_lose, &attempts, &err) != 0)
    fail_msg("%s", err.message);
  assert_int_equal(attempts.count, 3);
  assert_int_equal(pool_count(database->pool), 1);
}

static void
test_retries_are_bounded(void **state)
{
  struct test_database *database = *state;
  struct attempts attempts = { .uri = database->uri, .cut_off_until = 100 };
  struct error err = { 0 };
  assert_int_equal(db_pool_run(database->pool, DB_WRITE, put_and_lose, &attempts, &err),
                   -DB_ERROR_LOST);
  assert_int_equal(attempts.count, 8);
  assert_int_equal(pool_count(database->pool), 0);
}

/* Two transactions that lock two rows in opposite order. */
struct rival
{
  pthread_t thread;
  struct db_pool *pool;
  pthread_barrier_t *both_hold_one;
  int64_t first;
  int64_t second;
  int tries;
  int result;
};

static int
lock_both(struct db *db, void *context, struct error *err)
{
  struct rival *rival = context;
  const struct db_value first[] = { db_value_i64(rival->first), db_value_i64(1) };
  const struct db_value second[] = { db_value_i64(rival->second), db_value_i64(1) };
  int r = db_statement_exec(db, &add_to_item, first, err);
  if (rival->tries++ == 0)
    pthread_barrier_wait(rival->both_hold_one);
  if (r >= 0)
    r = db_statement_exec(db, &add_to_item, second, err);
  return r < 0 ? r : 0;
}

static void *
run_rival(void *context)
{
  struct rival *rival = context;
  rival->result = db_pool_run(rival->pool, DB_WRITE, lock_both, rival, NULL);
  return NULL;
}

static void
test_a_deadlock_is_retried_until_both_succeed(void **state)
{
  struct test_database *database = *state;
  pthread_barrier_t barrier;
  pthread_barrier_init(&barrier, NULL, 2);
  for (int id = 1; id <= 2; id++)
    assert_int_equal(db_pool_run(database->pool, DB_WRITE, put_one, &id, NULL), 0);
  struct rival rivals[] = {
    { .pool = database->pool, .both_hold_one = &barrier, .first = 1, .second = 2 },
    { .pool = database->pool, .both_hold_one = &barrier, .first = 2, .second = 1 },
  };
  for (int i = 0; i < 2; i++)
    assert_int_equal(pthread_create(&rivals[i].thread, NULL, run_rival, &rivals[i]), 0);
  for (int i = 0; i < 2; i++)
    pthread_join(rivals[i].thread, NULL);
  pthread_barrier_destroy(&barrier);
  assert_int_equal(rivals[0].result, 0);
  assert_int_equal(rivals[1].result, 0);
  assert_true(rivals[0].tries + rivals[1].tries >= 3); /* they may meet again */
  struct db *db = NULL;
  assert_int_equal(db_pool_get(database->pool, &db, NULL), 0);
  const struct db_value one[] = { db_value_i64(1) };
  assert_int_equal(number_of(db, &item_count, one), 2);
  db_pool_put(database->pool, db);
}

/* Serializable, since read committed cannot fail to serialize. */
static int
conflict_once(struct db *db, void *context, struct error *err)
{
  struct attempts *attempts = context;
  const struct db_value one[] = { db_value_i64(1), db_value_i64(1) };
  int r = db_command(db, "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ", "level", err);
  if (r < 0)
    return r;
  assert_true(number_of(db, &count_items, NULL) == 1); /* takes the snapshot */
  if (attempts->count++ == 0) {
    struct db *other = NULL;
    assert_int_equal(db_open(attempts->uri, &other, NULL), 0);
    assert_int_equal(db_statement_exec(other, &add_to_item, one, NULL), 1);
    db_close(other);
  }
  r = db_statement_exec(db, &add_to_item, one, err);
  return r < 0 ? r : 0;
}

static void
test_a_serialization_failure_is_retried(void **state)
{
  struct test_database *database = *state;
  struct attempts attempts = { .uri = database->uri };
  int id = 1;
  assert_int_equal(db_pool_run(database->pool, DB_WRITE, put_one, &id, NULL), 0);
  assert_int_equal(db_pool_run(database->pool, DB_WRITE, conflict_once, &attempts, NULL), 0);
  assert_int_equal(attempts.count, 2);
}

/* ---- the pool ---- */

struct borrower
{
  pthread_t thread;
  struct db_pool *pool;
  int *most;
  int *now;
  pthread_mutex_t *mutex;
};

static void *
borrow(void *context)
{
  struct borrower *borrower = context;
  for (int i = 0; i < 20; i++) {
    struct db *db = NULL;
    assert_int_equal(db_pool_get(borrower->pool, &db, NULL), 0);
    pthread_mutex_lock(borrower->mutex);
    if (++*borrower->now > *borrower->most)
      *borrower->most = *borrower->now;
    pthread_mutex_unlock(borrower->mutex);
    assert_true(number_of(db, &count_items, NULL) == 0);
    pthread_mutex_lock(borrower->mutex);
    --*borrower->now;
    pthread_mutex_unlock(borrower->mutex);
    db_pool_put(borrower->pool, db);
  }
  return NULL;
}

static void
test_an_exhausted_pool_waits_and_never_exceeds_its_bound(void **state)
{
  struct test_database *database = *state;
  struct borrower borrowers[12];
  pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
  int most = 0;
  int now = 0;
  for (size_t i = 0; i < ARRAY_SIZE(borrowers); i++) {
    borrowers[i] =
        (struct borrower) { .pool = database->pool, .most = &most, .now = &now, .mutex = &mutex };
    pthread_create(&borrowers[i].thread, NULL, borrow, &borrowers[i]);
  }
  for (size_t i = 0; i < ARRAY_SIZE(borrowers); i++)
    pthread_join(borrowers[i].thread, NULL);
  assert_in_range(most, 1, 4);
  assert_int_equal(now, 0);
}

static void
test_the_pool_hands_out_healthy_connections(void **state)
{
  struct test_database *database = *state;
  struct db *db = NULL;
  assert_int_equal(pool_count(database->pool), 0);
  assert_int_equal(test_database_cut_off(database->uri), 1);
  /* Without a transaction there is no retry: it must work the first time. */
  assert_int_equal(pool_count(database->pool), 0);
  assert_int_equal(db_pool_get(database->pool, &db, NULL), 0);
  int64_t backend = number_of(db, &own_backend, NULL);
  assert_int_equal(db_command(db, "BEGIN", "begin", NULL), 0);
  db_pool_put(database->pool, db);
  assert_int_equal(db_pool_get(database->pool, &db, NULL), 0);
  assert_int_not_equal(number_of(db, &own_backend, NULL), backend);
  db_pool_put(database->pool, db);
}

/* ---- bulk ---- */

#define ROWS 100000

static int
copy_rows(struct db *db, void *context, struct error *err)
{
  int64_t last = *(int64_t *) context; /* the id of the last row */
  struct db_copy *copy = NULL;
  int r = db_copy_begin(db, &put_bulk, &copy, err);
  for (int64_t i = 1; r >= 0 && i <= ROWS; i++) {
    const struct db_value values[] = { db_value_i64(i == ROWS ? last : i),
                                       db_value_text(STR("a name of some length")) };
    r = db_copy_row(copy, values, err);
  }
  if (r < 0) {
    db_copy_abort(copy);
    return r;
  }
  r = db_copy_end(copy, err);
  return r < 0 ? r : r == ROWS ? 0 : -1;
}

static void
test_copies_a_hundred_thousand_rows_or_none(void **state)
{
  struct test_database *database = *state;
  struct error err = { 0 };
  int64_t duplicate = 1;
  int64_t last = ROWS;
  assert_int_equal(db_pool_run(database->pool, DB_WRITE, copy_rows, &duplicate, &err),
                   -DB_ERROR_UNIQUE);
  assert_int_equal(pool_count(database->pool), 0);
  assert_int_equal(db_pool_run(database->pool, DB_WRITE, copy_rows, &last, &err), 0);
  assert_int_equal(pool_count(database->pool), ROWS);
}

static int
leave_copy_open(struct db *db, void *context, struct error *err)
{
  return db_copy_begin(db, &put_bulk, context, err);
}

static void
test_a_copy_left_open_is_an_error_and_harms_nobody(void **state)
{
  struct test_database *database = *state;
  struct error err = { 0 };
  struct db_copy *copy = NULL;
  assert_int_equal(db_pool_run(database->pool, DB_WRITE, leave_copy_open, &copy, &err), -EINVAL);
  assert_non_null(strstr(err.message, "open COPY"));
  assert_int_equal(pool_count(database->pool), 0);
  db_copy_abort(copy);
}

struct pipe_plan
{
  int count;
  int duplicate_at; /* -1 = none */
};

static int
pipe_rows(struct db *db, void *context, struct error *err)
{
  const struct pipe_plan *plan = context;
  int r = db_pipeline_begin(db, err);
  for (int i = 0; r == 0 && i < plan->count; i++) {
    const struct db_value values[] = { db_value_i64(i == plan->duplicate_at ? 0 : i),
                                       db_value_text(STR("piped")) };
    r = db_statement_send(db, &put, values, err);
  }
  int ended = db_pipeline_end(db, r == 0 ? err : NULL);
  return r < 0 ? r : ended;
}

static void
test_a_pipeline_works_whole_or_not_at_all(void **state)
{
  struct test_database *database = *state;
  struct error err = { 0 };
  struct pipe_plan bad = { .count = 500, .duplicate_at = 250 };
  struct pipe_plan good = { .count = 20000, .duplicate_at = -1 };
  assert_int_equal(db_pool_run(database->pool, DB_WRITE, pipe_rows, &bad, &err), -DB_ERROR_UNIQUE);
  assert_non_null(strstr(err.message, "duplicate key"));
  assert_int_equal(pool_count(database->pool), 0);
  assert_int_equal(db_pool_run(database->pool, DB_WRITE, pipe_rows, &good, &err), 0);
  assert_int_equal(pool_count(database->pool), 20000);
}

static int
lose_in_pipeline(struct db *db, void *context, struct error *err)
{
  struct attempts *attempts = context;
  const struct db_value values[] = { db_value_i64(1), db_value_text(STR("piped")) };
  int r = db_pipeline_begin(db, err);
  if (r == 0)
    r = db_statement_send(db, &put, values, err);
  if (attempts->count++ == 0)
    assert_true(test_database_cut_off(attempts->uri) >= 1);
  int ended = db_pipeline_end(db, r == 0 ? err : NULL);
  return r < 0 ? r : ended;
}

static void
test_a_loss_in_a_pipeline_is_retried(void **state)
{
  struct test_database *database = *state;
  struct attempts attempts = { .uri = database->uri };
  struct error err = { 0 };
  if (db_pool_run(database->pool, DB_WRITE, lose_in_pipeline, &attempts, &err) != 0)
    fail_msg("%s", err.message);
  assert_int_equal(attempts.count, 2);
  assert_int_equal(pool_count(database->pool), 1);
}

/* ---- notifications and locks ---- */

static void
test_listens_and_is_woken(void **state)
{
  struct test_database *database = *state;
  struct error err = { 0 };
  struct db *listener = NULL;
  struct db *speaker = NULL;
  int wake = eventfd(0, EFD_CLOEXEC);
  assert_int_equal(db_open(database->uri, &listener, &err), 0);
  assert_int_equal(db_open(database->uri, &speaker, &err), 0);
  assert_int_equal(db_listen(listener, "panoply_test", &err), 0);
  assert_int_equal(db_wait(listener, 0, -1, &err), 0);
  assert_int_equal(db_notify(speaker, "panoply_other", &err), 0);
  assert_int_equal(db_notify(speaker, "panoply_test", &err), 0);
  assert_int_equal(db_wait(listener, 10000, wake, &err), 1);
  assert_int_equal(db_wait(listener, 10, wake, &err), 0);
  assert_int_equal(eventfd_write(wake, 1), 0);
  int64_t start = clock_monotonic_ms();
  assert_int_equal(db_wait(listener, 10000, wake, &err), 0);
  assert_true(clock_monotonic_ms() - start < 5000);
  assert_int_equal(db_notify(speaker, "a; DROP TABLE item", &err), -EINVAL);
  assert_int_equal(test_database_cut_off(database->uri), 2);
  assert_int_equal(db_wait(listener, 10000, -1, &err), -DB_ERROR_LOST);
  assert_int_equal(db_listen(listener, "panoply_test", &err), 0);
  assert_int_equal(db_notify(speaker, "panoply_test", &err), 0);
  assert_int_equal(db_wait(listener, 10000, -1, &err), 1);
  db_close(listener);
  db_close(speaker);
  close(wake);
}

static void
test_a_lost_lock_is_noticed(void **state)
{
  struct test_database *database = *state;
  struct error err = { 0 };
  struct db *holder = NULL;
  struct db *rival = NULL;
  int id = 1;
  assert_int_equal(db_open(database->uri, &holder, &err), 0);
  assert_int_equal(db_open(database->uri, &rival, &err), 0);
  assert_int_equal(db_try_lock(holder, 42, &err), 1);
  assert_int_equal(db_try_lock(rival, 42, &err), 0);
  assert_int_equal(db_run(holder, DB_WRITE, put_one, &id, &err), 0);
  assert_int_equal(test_database_cut_off(database->uri), 2);
  assert_int_equal(db_try_lock(rival, 42, &err), 1);
  /* The former holder must not go on as if it still held the lock. */
  id = 2;
  assert_int_equal(db_run(holder, DB_WRITE, put_one, &id, &err), -DB_ERROR_LOST);
  assert_non_null(strstr(err.message, "lock"));
  assert_int_equal(db_try_lock(holder, 42, &err), 0);
  assert_int_equal(db_run(holder, DB_WRITE, put_one, &id, &err), 0);
  db_close(rival);
  int held = 0;
  for (int i = 0; held == 0 && i < 1000; i++) {
    held = db_try_lock(holder, 42, &err);
    clock_sleep_ms(held == 0 ? 5 : 0);
  }
  assert_int_equal(held, 1);
  db_close(holder);
}

#define WITH_DATABASE(function) \
  cmocka_unit_test_setup_teardown(function, make_database, test_database_teardown)

int
main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_unreachable_is_told_in_one_line_without_the_password),
    WITH_DATABASE(test_a_missing_database_is_told_at_once),
    cmocka_unit_test(test_an_unreachable_server_is_given_ten_seconds),
    WITH_DATABASE(test_commits_and_rolls_back),
    WITH_DATABASE(test_a_read_transaction_cannot_write),
    WITH_DATABASE(test_a_swallowed_error_is_no_commit),
    WITH_DATABASE(test_transactions_do_not_nest),
    WITH_DATABASE(test_a_lost_connection_is_retried),
    WITH_DATABASE(test_retries_are_bounded),
    WITH_DATABASE(test_a_deadlock_is_retried_until_both_succeed),
    WITH_DATABASE(test_a_serialization_failure_is_retried),
    WITH_DATABASE(test_an_exhausted_pool_waits_and_never_exceeds_its_bound),
    WITH_DATABASE(test_the_pool_hands_out_healthy_connections),
    WITH_DATABASE(test_copies_a_hundred_thousand_rows_or_none),
    WITH_DATABASE(test_a_copy_left_open_is_an_error_and_harms_nobody),
    WITH_DATABASE(test_a_pipeline_works_whole_or_not_at_all),
    WITH_DATABASE(test_a_loss_in_a_pipeline_is_retried),
    WITH_DATABASE(test_listens_and_is_woken),
    WITH_DATABASE(test_a_lost_lock_is_noticed),
  };
  return cmocka_run_group_tests(tests, NULL, test_cluster_teardown);
}
