/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A real database for every unit test, quickly: one throw-away PostgreSQL a
   test program, started at first use; each test gets a fresh database copied
   from a migrated template (some 50 ms). Link `test_cluster_dep`.

     static void
     test_something(void **state)
     {
       struct test_database *database = *state;
       struct error err = { 0 };
       assert_int_equal(db_pool_run(database->pool, DB_WRITE, body, NULL, &err), 0);
     }

     int
     main(void)
     {
       const struct CMUnitTest tests[] = {
         cmocka_unit_test_setup_teardown(test_something, test_database_setup,
                                         test_database_teardown),
       };
       return cmocka_run_group_tests(tests, NULL, test_cluster_teardown);
     }

   A set-up that needs more than the database calls test_database_new itself.
   The cluster dies with the program's main thread, however that ends. */
#pragma once

#include "db/db.h"

struct test_database
{
  char *uri;
  struct db_pool *pool; /* of four connections */
};

/* Prints why and ends the program when it cannot. */
struct test_database *test_database_new(void);

/* All connections of the pool must have been put back; others are cut off. */
void test_database_free(struct test_database *database);

/* A database without any schema, and dropping it; the URI is the caller's. */
char *test_database_make_empty(void);
char *test_database_make_encoded(const char *encoding); /* "LATIN1" */
void test_database_drop(char *uri);

/* Ends all sessions in the database but one's own: "the connection is lost".
   Returns how many. */
int test_database_cut_off(const char *uri);

/* For cmocka: *state becomes the struct test_database. */
int test_database_setup(void **state);
int test_database_teardown(void **state);

/* Group teardown: stops the cluster and removes its files. */
int test_cluster_teardown(void **state);
