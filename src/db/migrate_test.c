/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
/* cmocka needs the three above first. */
#include <cmocka.h>

#include <errno.h>
#include <libpq-fe.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/str.h"
#include "db/migrate.h"
#include "db/test_cluster.h"

/* The table that records migrations, as in the program's own first. */
#define SCHEMA                                                                           \
  {                                                                                      \
    0, "000-schema",                                                                     \
        "CREATE TABLE schema_migration (number integer PRIMARY KEY, name text NOT NULL," \
        " applied_at timestamptz NOT NULL DEFAULT now())"                                \
  }

static const struct db_migration two[] = {
  SCHEMA,
  { 10, "010-first", "CREATE TABLE first (n integer);\nINSERT INTO first VALUES (1);\n" },
  { 20, "020-second", "CREATE TABLE second (n integer);\nINSERT INTO first VALUES (2);\n" },
};

static int
make_empty(void **state)
{
  *state = test_database_make_empty();
  return 0;
}

static int
drop(void **state)
{
  test_database_drop(*state);
  return 0;
}

static int64_t
ask(const char *uri, const char *statement)
{
  int64_t number = -1;
  PGconn *connection = PQconnectdb(uri);
  PGresult *result = PQexec(connection, statement);
  if (PQresultStatus(result) == PGRES_COMMAND_OK)
    number = 0;
  if (PQntuples(result) == 1 && str_to_i64(str_of(PQgetvalue(result, 0, 0)), &number) < 0)
    number = -1;
  PQclear(result);
  PQfinish(connection);
  return number;
}

static void
test_applies_what_is_missing_once_and_in_order(void **state)
{
  const char *uri = *state;
  struct error err = { 0 };
  assert_int_equal(db_migrate_by(uri, two, 2, &err), 0);
  assert_int_equal(db_migrate_by(uri, two, 3, &err), 0);
  assert_int_equal(db_migrate_by(uri, two, 3, &err), 0);
  assert_int_equal(ask(uri, "SELECT string_agg(n::text, '' ORDER BY n)::int FROM first"), 12);
  assert_int_equal(ask(uri, "SELECT count(*) FROM schema_migration WHERE applied_at <= now()"), 3);
}

static void
test_our_own_migrations_apply(void **state)
{
  const char *uri = *state;
  struct error err = { 0 };
  if (db_migrate(uri, &err) < 0)
    fail_msg("%s", err.message);
  assert_int_equal(ask(uri, "SELECT count(*) FROM schema_migration"), (int) db_migrations_count);
  assert_true(db_migrations_count >= 8);
  assert_int_equal(ask(uri, "SELECT count(*) FROM event"), 0);
}

struct racer
{
  pthread_t thread;
  const char *uri;
  int result;
};

static void *
race(void *context)
{
  struct racer *racer = context;
  racer->result = db_migrate(racer->uri, NULL);
  return NULL;
}

static void
test_threads_at_once_take_turns(void **state)
{
  struct racer racers[8];
  for (size_t i = 0; i < ARRAY_SIZE(racers); i++) {
    racers[i] = (struct racer) { .uri = *state, .result = -1 };
    assert_int_equal(pthread_create(&racers[i].thread, NULL, race, &racers[i]), 0);
  }
  for (size_t i = 0; i < ARRAY_SIZE(racers); i++) {
    pthread_join(racers[i].thread, NULL);
    assert_int_equal(racers[i].result, 0);
  }
  assert_int_equal(ask(*state, "SELECT count(*) FROM schema_migration"), (int) db_migrations_count);
}

static void
test_processes_at_once_take_turns(void **state)
{
  pid_t pids[8];
  for (size_t i = 0; i < ARRAY_SIZE(pids); i++) {
    pids[i] = fork();
    if (pids[i] == 0)
      _exit(db_migrate_by(*state, two, 3, NULL) == 0 ? 0 : 1);
  }
  for (size_t i = 0; i < ARRAY_SIZE(pids); i++) {
    int status = -1;
    assert_int_equal(waitpid(pids[i], &status, 0), pids[i]);
    assert_int_equal(status, 0);
  }
  assert_int_equal(ask(*state, "SELECT count(*) FROM first"), 2);
}

static void
test_a_newer_schema_is_refused_and_left_alone(void **state)
{
  const char *uri = *state;
  struct error err = { 0 };
  assert_int_equal(db_migrate_by(uri, two, 3, &err), 0);
  assert_int_equal(db_migrate_by(uri, two, 2, &err), -ENOTSUP);
  assert_non_null(strstr(err.message, "020-second"));
  assert_non_null(strstr(err.message, "010-first"));
  assert_non_null(strstr(err.message, PANOPLY_VERSION));
  assert_non_null(strstr(err.hint, "newer"));
  assert_int_equal(ask(uri, "SELECT count(*) FROM schema_migration"), 3);
}

static void
test_another_name_for_a_number_is_refused(void **state)
{
  static const struct db_migration other[] = { SCHEMA, { 10, "010-other", "SELECT 1" } };
  struct error err = { 0 };
  assert_int_equal(db_migrate_by(*state, two, 3, &err), 0);
  assert_int_equal(ask(*state, "DELETE FROM schema_migration WHERE number = 20"), 0);
  assert_int_equal(db_migrate_by(*state, other, 2, &err), -EINVAL);
  assert_non_null(strstr(err.message, "010-first"));
  assert_non_null(strstr(err.message, "010-other"));
}

static void
test_a_failing_migration_leaves_nothing_and_tells_its_line(void **state)
{
  static const struct db_migration bad[] = {
    SCHEMA,
    { 10, "010-good", "CREATE TABLE good (n integer);" },
    { 20, "020-bad", "CREATE TABLE half (n integer); -- \xc3\xa9\nSELECT 1;\nSELECT wrong;\n" },
  };
  struct error err = { 0 };
  assert_true(db_migrate_by(*state, bad, 3, &err) < 0);
  assert_non_null(strstr(err.message, "migration 020-bad: line 3: column \"wrong\""));
  assert_int_equal(ask(*state, "SELECT (to_regclass('half') IS NULL)::int"), 1);
  assert_int_equal(ask(*state, "SELECT max(number) FROM schema_migration"), 10);
}

static void
test_a_migration_may_not_commit(void **state)
{
  static const struct db_migration bad[] = { SCHEMA, { 10, "010-bad", "SELECT 1; COMMIT;" } };
  struct error err = { 0 };
  assert_int_equal(db_migrate_by(*state, bad, 2, &err), -EINVAL);
  assert_non_null(strstr(err.message, "ends the transaction"));
}

static void
test_an_error_without_a_place_names_no_line(void **state)
{
  static const struct db_migration bad[] = { SCHEMA, { 10, "010-bad", "DROP TABLE nowhere" } };
  struct error err = { 0 };
  assert_true(db_migrate_by(*state, bad, 2, &err) < 0);
  assert_non_null(strstr(err.message, "migration 010-bad: "));
  assert_non_null(strstr(err.message, "\"nowhere\" does not exist"));
  assert_null(strstr(err.message, "line"));
}

static void
test_a_database_of_something_else_is_refused_and_left_alone(void **state)
{
  const char *uri = *state;
  struct error err = { 0 };
  assert_int_equal(ask(uri, "CREATE TABLE agent (n integer)"), 0);
  assert_int_equal(db_migrate(uri, &err), -ENOTSUP);
  assert_non_null(strstr(err.message, "in use by something else: it has \"agent\""));
  assert_non_null(strstr(err.hint, "of its own"));
  assert_int_equal(ask(uri, "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'"), 1);
  /* What lies in another schema is no obstacle. */
  assert_int_equal(ask(uri, "DROP TABLE agent; CREATE SCHEMA other;"
                            "CREATE TABLE other.agent (n integer)"),
                   0);
  assert_int_equal(db_migrate(uri, &err), 0);
}

/* Names and messages from outside are UTF-8, and not all of it fits elsewhere. */
static void
test_a_database_of_another_encoding_is_refused(void **state)
{
  static const char *const encodings[] = { "LATIN1", "SQL_ASCII" };
  (void) state;
  for (size_t i = 0; i < ARRAY_SIZE(encodings); i++) {
    char *uri = test_database_make_encoded(encodings[i]);
    struct error err = { 0 };
    int r = db_migrate(uri, &err);
    test_database_drop(uri);
    assert_int_equal(r, -ENOTSUP);
    assert_non_null(strstr(err.message, encodings[i]));
    assert_non_null(strstr(err.message, "UTF8"));
    assert_non_null(strstr(err.hint, "ENCODING 'UTF8'"));
  }
}

#define ON_EMPTY(function) cmocka_unit_test_setup_teardown(function, make_empty, drop)

int
main(void)
{
  const struct CMUnitTest tests[] = {
    ON_EMPTY(test_applies_what_is_missing_once_and_in_order),
    ON_EMPTY(test_our_own_migrations_apply),
    ON_EMPTY(test_threads_at_once_take_turns),
    ON_EMPTY(test_processes_at_once_take_turns),
    ON_EMPTY(test_a_newer_schema_is_refused_and_left_alone),
    ON_EMPTY(test_another_name_for_a_number_is_refused),
    ON_EMPTY(test_a_failing_migration_leaves_nothing_and_tells_its_line),
    ON_EMPTY(test_a_migration_may_not_commit),
    ON_EMPTY(test_an_error_without_a_place_names_no_line),
    ON_EMPTY(test_a_database_of_something_else_is_refused_and_left_alone),
    cmocka_unit_test(test_a_database_of_another_encoding_is_refused),
  };
  return cmocka_run_group_tests(tests, NULL, test_cluster_teardown);
}
