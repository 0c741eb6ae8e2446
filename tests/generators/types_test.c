/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Generated statements against a real PostgreSQL: every type there and back,
   NULLs, lists, errors, pipelines, COPY. argv[1]: the tables' migration. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
/* cmocka needs the three above first. */
#include <cmocka.h>

#include <errno.h>
#include <math.h>

#include "base/buf.h"
#include "base/file.h"
#include "db/db_private.h"
#include "db/test_cluster.h"
#include "generators/types_sql.h"

static const char *migration_path;

struct fixture
{
  struct test_database *database;
  struct db *db;
  struct arena arena;
  struct error err;
};

static int
setup(void **state)
{
  static struct fixture fixture;
  CLEANUP_BUF struct buf text = { 0 };
  fixture = (struct fixture) { .database = test_database_new() };
  struct error *err = &fixture.err;
  assert_int_equal(file_read_all(migration_path, 100000, &text, err), 0);
  assert_int_equal(db_open(fixture.database->uri, &fixture.db, err), 0);
  assert_int_equal(db_command(fixture.db, buf_text(&text), "migration", err), 0);
  *state = &fixture;
  return 0;
}

static int
teardown(void **state)
{
  struct fixture *fixture = *state;
  db_close(fixture->db);
  arena_free(&fixture->arena);
  test_database_free(fixture->database);
  return 0;
}

/* ---- every type ---- */

static const int64_t some_i64s[] = { INT64_MIN, -1, 0, INT64_MAX };
static const int32_t some_i32s[] = { INT32_MIN, 7, INT32_MAX };
static const int16_t some_i16s[] = { INT16_MIN, 7, INT16_MAX };
static const bool some_bools[] = { true, false, true };
static const struct str some_texts[] = { { "a,\"{}", 5 }, { "", 0 }, { "\xc3\xa9", 2 } };
static const struct str some_bytes[] = { { "\0\xff", 2 }, { NULL, 0 } };

#define SAMPLE                                                                        \
  INT64_MIN, INT32_MIN, INT16_MIN, true, -0.1, STR("it's \\ \"q\" \xf0\x9f\x90\xa7"), \
      STR("varied"), STR("a_name"), STR("\0\1\xff"), STR("{\"a\": [1,  2]}"),         \
      STR("{\"b\": null}"), INT64_C(1795404661123456), INT64_C(4294967297),           \
      (struct db_i64s) { some_i64s, 4 }, (struct db_i32s) { some_i32s, 3 },           \
      (struct db_i16s) { some_i16s, 3 }, (struct db_bools) { some_bools, 3 },         \
      (struct db_strs) { some_texts, 3 }, (struct db_strs)                            \
  {                                                                                   \
    some_bytes, 2                                                                     \
  }

static void
assert_text(struct str text, struct str expected)
{
  if (!str_equal(text, expected))
    fail_msg("\"%.*s\" is not \"%.*s\"", STR_FMT(text), STR_FMT(expected));
  assert_int_equal(text.data[text.size], '\0');
}

static void
assert_is_sample(const struct sample_get_row *row)
{
  assert_true(row->i64 == INT64_MIN && row->i32 == INT32_MIN && row->i16 == INT16_MIN);
  assert_true(row->truth && row->f64 == -0.1);
  assert_text(row->note, STR("it's \\ \"q\" \xf0\x9f\x90\xa7"));
  assert_text(row->short_note, STR("varied"));
  assert_text(row->label, STR("a_name"));
  assert_text(row->bytes, STR("\0\1\xff"));
  assert_text(row->plain_json, STR("{\"a\": [1,  2]}"));
  assert_text(row->binary_json, STR("{\"b\": null}"));
  assert_true(row->moment == INT64_C(1795404661123456) && row->transaction == INT64_C(4294967297));
  assert_int_equal(row->i64s.count, 4);
  assert_memory_equal(row->i64s.items, some_i64s, sizeof some_i64s);
  assert_int_equal(row->i32s.count, 3);
  assert_memory_equal(row->i32s.items, some_i32s, sizeof some_i32s);
  assert_int_equal(row->i16s.count, 3);
  assert_memory_equal(row->i16s.items, some_i16s, sizeof some_i16s);
  assert_int_equal(row->truths.count, 3);
  assert_memory_equal(row->truths.items, some_bools, sizeof some_bools);
  assert_int_equal(row->notes.count, 3);
  assert_int_equal(row->bytes_list.count, 2);
  for (size_t i = 0; i < 3; i++)
    assert_text(row->notes.items[i], some_texts[i]);
  for (size_t i = 0; i < 2; i++)
    assert_text(row->bytes_list.items[i], some_bytes[i]);
}

static void
test_every_type_there_and_back(void **state)
{
  struct fixture *f = *state;
  struct sample_get_row row;
  assert_int_equal(sample_insert(f->db, 1, SAMPLE, &f->err), 1);
  assert_int_equal(sample_get(f->db, 1, &f->arena, &row, &f->err), 1);
  assert_is_sample(&row);
  assert_int_equal(sample_get(f->db, 2, &f->arena, &row, &f->err), 0);
}

/* Encoding and decoding with the same mistake would pass the test above. */
static void
test_the_server_reads_what_we_meant(void **state)
{
  static const char *const expected[][2] = {
    { "binary_json", "{\"b\": null}" },
    { "bytes", "\\x0001ff" },
    { "bytes_list", "[\"\\\\x00ff\", \"\\\\x\"]" },
    { "f64", "-0.1" },
    { "i16", "-32768" },
    { "i16s", "[-32768, 7, 32767]" },
    { "i32", "-2147483648" },
    { "i32s", "[-2147483648, 7, 2147483647]" },
    { "i64", "-9223372036854775808" },
    { "i64s", "[-9223372036854775808, -1, 0, 9223372036854775807]" },
    { "id", "1" },
    { "label", "a_name" },
    { "moment", "2026-11-23 03:31:01.123456" },
    { "note", "it's \\ \"q\" \xf0\x9f\x90\xa7" },
    { "notes", "[\"a,\\\"{}\", \"\", \"\xc3\xa9\"]" },
    { "plain_json", "{\"a\": [1, 2]}" },
    { "short_note", "varied" },
    { "transaction", "4294967297" },
    { "truth", "true" },
    { "truths", "[true, false, true]" },
  };
  struct fixture *f = *state;
  struct sample_as_text_rows rows;
  assert_int_equal(sample_insert(f->db, 1, SAMPLE, &f->err), 1);
  assert_int_equal(sample_as_text(f->db, 1, &f->arena, &rows, &f->err), 0);
  assert_int_equal(rows.count, ARRAY_SIZE(expected));
  for (size_t i = 0; i < rows.count; i++) {
    assert_text(rows.items[i].key, str_of(expected[i][0]));
    assert_text(rows.items[i].value, str_of(expected[i][1]));
  }
}

static void
test_copy_of_every_type(void **state)
{
  struct fixture *f = *state;
  struct db_copy *copy;
  struct sample_get_row row;
  assert_int_equal(sample_copy_begin(f->db, &copy, &f->err), 0);
  for (int64_t id = 1; id <= 1000; id++)
    assert_int_equal(sample_copy_row(copy, id, SAMPLE, &f->err), 0);
  assert_int_equal(db_copy_end(copy, &f->err), 1000);
  assert_int_equal(sample_get(f->db, 777, &f->arena, &row, &f->err), 1);
  assert_is_sample(&row);
}

static void
test_empty_lists_and_texts_are_not_null(void **state)
{
  struct fixture *f = *state;
  struct sample_get_row row;
  struct str none = { 0 };
  assert_int_equal(sample_insert(f->db, 1, 0, 0, 0, false, 0, none, none, none, none, STR("[]"),
                                 STR("[]"), 0, 0, (struct db_i64s) { 0 }, (struct db_i32s) { 0 },
                                 (struct db_i16s) { 0 }, (struct db_bools) { 0 },
                                 (struct db_strs) { 0 }, (struct db_strs) { 0 }, &f->err),
                   1);
  assert_int_equal(sample_get(f->db, 1, &f->arena, &row, &f->err), 1);
  assert_text(row.note, STR(""));
  assert_text(row.bytes, STR(""));
  assert_true(row.i64s.count == 0 && row.truths.count == 0 && row.notes.count == 0);
}

static void
test_infinite_times_stay_at_the_ends(void **state)
{
  struct fixture *f = *state;
  struct infinities_row row;
  assert_int_equal(infinities(f->db, &row, &f->err), 1);
  assert_true(row.late == INT64_MAX && row.early == INT64_MIN);
}

/* ---- NULL ---- */

static void
test_null_parameters_and_columns(void **state)
{
  struct fixture *f = *state;
  struct nullable_get_row row;
  assert_int_equal(nullable_insert(f->db, 1, NULL, NULL, NULL, NULL, NULL, (struct str) { 0 },
                                   (struct str) { 0 }, (struct str) { 0 }, NULL,
                                   (struct db_i64s) { 0 }, (struct db_strs) { 0 }, &f->err),
                   1);
  assert_int_equal(nullable_get(f->db, 1, &f->arena, &row, &f->err), 1);
  assert_true(row.id == 1 && row.i64_null && row.i32_null && row.i16_null && row.truth_null
              && row.f64_null && row.note_null && row.bytes_null && row.facts_null
              && row.moment_null && row.i64s_null && row.notes_null);
  assert_true(row.i64 == 0 && row.note.data == NULL && row.i64s.count == 0);
}

static void
test_values_where_null_is_allowed(void **state)
{
  struct fixture *f = *state;
  struct nullable_get_row row;
  int64_t i64 = -5, moment = -1;
  int32_t i32 = -6;
  int16_t i16 = -7;
  bool truth = true;
  double f64 = 1e300;
  assert_int_equal(nullable_insert(f->db, 1, &i64, &i32, &i16, &truth, &f64, STR(""), STR(""),
                                   STR("{}"), &moment, (struct db_i64s) { some_i64s, 0 },
                                   (struct db_strs) { some_texts, 1 }, &f->err),
                   1);
  assert_int_equal(nullable_get(f->db, 1, &f->arena, &row, &f->err), 1);
  assert_false(row.i64_null || row.i32_null || row.i16_null || row.truth_null || row.f64_null
               || row.note_null || row.bytes_null || row.facts_null || row.moment_null
               || row.i64s_null || row.notes_null);
  assert_true(row.i64 == -5 && row.i32 == -6 && row.i16 == -7 && row.truth && row.f64 == 1e300);
  assert_true(row.moment == -1 && row.notes.count == 1);
  assert_text(row.facts, STR("{}"));
}

static void
test_null_comes_out_of_an_outer_join(void **state)
{
  struct fixture *f = *state;
  struct joined_notes_rows rows;
  assert_int_equal(sample_insert(f->db, 1, SAMPLE, &f->err), 1);
  assert_int_equal(joined_notes(f->db, &f->arena, &rows, &f->err), 0);
  assert_int_equal(rows.count, 1);
  assert_true(rows.items[0].id == 1 && !rows.items[0].id_null);
  assert_true(rows.items[0].nullable_id_null && rows.items[0].note_null);
}

static void
insert_id(struct fixture *f, int64_t id)
{
  struct str none = { 0 };
  assert_int_equal(nullable_insert(f->db, id, NULL, NULL, NULL, NULL, NULL, none, none, none, NULL,
                                   (struct db_i64s) { 0 }, (struct db_strs) { 0 }, &f->err),
                   1);
}

static void
test_an_unexpected_null_is_an_error(void **state)
{
  struct fixture *f = *state;
  struct nullable_lie_row row;
  insert_id(f, 1);
  assert_int_equal(nullable_lie(f->db, 1, &f->arena, &row, &f->err), -DB_ERROR_FAILED);
  assert_string_equal(f->err.message, "nullable_lie: column note is NULL");
}

static void
test_lists_that_have_no_form_in_c_are_errors(void **state)
{
  struct fixture *f = *state;
  struct null_in_list_row holes;
  struct square_row row;
  assert_int_equal(null_in_list(f->db, &f->arena, &holes, &f->err), -DB_ERROR_FAILED);
  assert_string_equal(f->err.message, "null_in_list: column items has a value that cannot be read");
  assert_int_equal(square(f->db, &f->arena, &row, &f->err), -DB_ERROR_FAILED);
}

/* ---- errors ---- */

static void
test_errors_of_the_server_have_their_codes(void **state)
{
  struct fixture *f = *state;
  struct str none = { 0 };
  insert_id(f, 1);
  assert_int_equal(nullable_insert(f->db, 1, NULL, NULL, NULL, NULL, NULL, none, none, none, NULL,
                                   (struct db_i64s) { 0 }, (struct db_strs) { 0 }, &f->err),
                   -DB_ERROR_UNIQUE);
  assert_non_null(strstr(f->err.message, "nullable_insert: duplicate key value violates"));
  assert_non_null(strstr(f->err.message, "Key (id)=(1) already exists"));
  assert_int_equal(nullable_insert(f->db, -1, NULL, NULL, NULL, NULL, NULL, none, none, none, NULL,
                                   (struct db_i64s) { 0 }, (struct db_strs) { 0 }, &f->err),
                   -DB_ERROR_CONSTRAINT);
  assert_int_equal(nullable_set_note(f->db, STR("\xff"), 1, &f->err), -DB_ERROR_FAILED);
  assert_int_equal(nullable_set_note(f->db, STR("a\0b"), 1, &f->err), -DB_ERROR_FAILED);
  assert_int_equal(nullable_set_note(f->db, STR("'; DROP TABLE nullable; --"), 1, &f->err), 1);
  assert_int_equal(nullable_set_note(f->db, STR("x"), 99, &f->err), 0);
}

static void
test_another_schema_is_noticed(void **state)
{
  struct fixture *f = *state;
  struct nullable_get_row row;
  insert_id(f, 1);
  assert_int_equal(drop_note(f->db, &f->err), 0);
  assert_int_equal(nullable_get(f->db, 1, &f->arena, &row, &f->err), -DB_ERROR_FAILED);
  assert_string_equal(f->err.message, "nullable_get: column note is not of type text here");
}

static void
test_statements_are_prepared_again_after_a_loss(void **state)
{
  struct fixture *f = *state;
  struct nullable_count_row row;
  assert_int_equal(nullable_count(f->db, &row, &f->err), 1);
  assert_int_equal(nullable_count(f->db, &row, &f->err), 1);
  assert_int_equal(test_database_cut_off(f->database->uri), 1);
  assert_int_equal(nullable_count(f->db, &row, &f->err), 1);
}

/* ---- pipelines ---- */

#define MANY 5000

static int
fill_in_a_pipeline(struct db *db, void *context, struct error *err)
{
  (void) context;
  struct nullable_count_row row;
  struct str none = { 0 };
  int r = db_pipeline_begin(db, err);
  for (int64_t id = 1; r == 0 && id <= MANY; id++)
    r = nullable_insert_send(db, id, &id, NULL, NULL, NULL, NULL, STR("note"), none, none, NULL,
                             (struct db_i64s) { 0 }, (struct db_strs) { 0 }, err);
  if (r == 0)
    r = nullable_set_note_send(db, STR("last"), MANY, err);
  assert_int_equal(nullable_count(db, &row, NULL), -EBUSY);
  if (r == 0)
    r = db_pipeline_end(db, err);
  if (r == 0)
    r = take_lock(db, 17, err) < 0 ? -EIO : 0;
  return r == 0 ? nullable_count(db, &row, err) - 1 : r;
}

static void
test_a_pipeline_of_many(void **state)
{
  struct fixture *f = *state;
  struct nullable_get_row row;
  struct nullable_ids_rows rows;
  assert_int_equal(db_run(f->db, DB_WRITE, fill_in_a_pipeline, NULL, &f->err), 0);
  assert_int_equal(nullable_ids(f->db, &f->arena, &rows, &f->err), 0);
  assert_int_equal(rows.count, MANY);
  assert_int_equal(nullable_get(f->db, MANY, &f->arena, &row, &f->err), 1);
  assert_text(row.note, STR("last"));
}

static int
fail_in_a_pipeline(struct db *db, void *context, struct error *err)
{
  (void) context;
  struct str none = { 0 };
  int r = db_pipeline_begin(db, err);
  for (int i = 0; r == 0 && i < 3; i++)
    r = nullable_insert_send(db, 1, NULL, NULL, NULL, NULL, NULL, none, none, none, NULL,
                             (struct db_i64s) { 0 }, (struct db_strs) { 0 }, err);
  if (r == 0)
    r = nullable_set_note_send(db, STR("never"), 1, err);
  assert_int_equal(r, 0);
  return db_pipeline_end(db, err);
}

/* What was queued behind the failure was never prepared; it must be known. */
static void
test_a_pipeline_that_fails_leaves_a_usable_connection(void **state)
{
  struct fixture *f = *state;
  struct nullable_count_row row;
  assert_int_equal(db_run(f->db, DB_WRITE, fail_in_a_pipeline, NULL, &f->err), -DB_ERROR_UNIQUE);
  assert_non_null(strstr(f->err.message, "nullable_insert: duplicate key"));
  assert_int_equal(nullable_count(f->db, &row, &f->err), 1);
  assert_true(row.count == 0);
  insert_id(f, 1);
  assert_int_equal(nullable_set_note(f->db, STR("now"), 1, &f->err), 1);
}

static void
test_sending_needs_an_open_pipeline(void **state)
{
  struct fixture *f = *state;
  assert_int_equal(nullable_set_note_send(f->db, STR("x"), 1, &f->err), -EBUSY);
  assert_int_equal(db_pipeline_begin(f->db, &f->err), -EBUSY);
  assert_int_equal(db_pipeline_end(f->db, &f->err), -EBUSY);
}

/* ---- COPY ---- */

static void
test_copy_with_nulls(void **state)
{
  struct fixture *f = *state;
  struct db_copy *copy;
  struct nullable_get_row row;
  int64_t i64 = 5;
  struct db_i64s list = { some_i64s, 4 };
  assert_int_equal(nullable_copy_begin(f->db, &copy, &f->err), 0);
  assert_int_equal(
      nullable_copy_row(copy, 1, NULL, (struct str) { 0 }, (struct db_i64s) { 0 }, &f->err), 0);
  assert_int_equal(nullable_copy_row(copy, 2, &i64, STR(""), list, &f->err), 0);
  assert_int_equal(db_copy_end(copy, &f->err), 2);
  assert_int_equal(nullable_get(f->db, 1, &f->arena, &row, &f->err), 1);
  assert_true(row.i64_null && row.note_null && row.i64s_null);
  assert_int_equal(nullable_get(f->db, 2, &f->arena, &row, &f->err), 1);
  assert_true(row.i64 == 5 && !row.note_null && row.i64s.count == 4);
}

static void
test_copy_of_nothing(void **state)
{
  struct fixture *f = *state;
  struct db_copy *copy;
  assert_int_equal(nullable_copy_begin(f->db, &copy, &f->err), 0);
  assert_int_equal(db_copy_end(copy, &f->err), 0);
}

static void
test_copy_that_fails_and_copy_given_up(void **state)
{
  struct fixture *f = *state;
  struct db_copy *copy;
  struct nullable_count_row row;
  struct str none = { 0 };
  assert_int_equal(nullable_copy_begin(f->db, &copy, &f->err), 0);
  assert_int_equal(nullable_copy_row(copy, 7, NULL, none, (struct db_i64s) { 0 }, &f->err), 0);
  assert_int_equal(nullable_copy_row(copy, 7, NULL, none, (struct db_i64s) { 0 }, &f->err), 0);
  assert_int_equal(nullable_count(f->db, &row, &f->err), -EBUSY);
  assert_int_equal(db_copy_end(copy, &f->err), -DB_ERROR_UNIQUE);
  assert_non_null(strstr(f->err.message, "nullable_copy: duplicate key"));
  assert_int_equal(nullable_copy_begin(f->db, &copy, &f->err), 0);
  assert_int_equal(nullable_copy_row(copy, 8, NULL, none, (struct db_i64s) { 0 }, &f->err), 0);
  db_copy_abort(copy);
  db_copy_abort(NULL);
  assert_int_equal(nullable_count(f->db, &row, &f->err), 1);
  assert_true(row.count == 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(int argc, char **argv)
{
  if (argc < 2)
    return 2;
  migration_path = argv[1];
  const struct CMUnitTest tests[] = {
    TEST(test_every_type_there_and_back),
    TEST(test_the_server_reads_what_we_meant),
    TEST(test_copy_of_every_type),
    TEST(test_empty_lists_and_texts_are_not_null),
    TEST(test_infinite_times_stay_at_the_ends),
    TEST(test_null_parameters_and_columns),
    TEST(test_values_where_null_is_allowed),
    TEST(test_null_comes_out_of_an_outer_join),
    TEST(test_an_unexpected_null_is_an_error),
    TEST(test_lists_that_have_no_form_in_c_are_errors),
    TEST(test_errors_of_the_server_have_their_codes),
    TEST(test_another_schema_is_noticed),
    TEST(test_statements_are_prepared_again_after_a_loss),
    TEST(test_a_pipeline_of_many),
    TEST(test_a_pipeline_that_fails_leaves_a_usable_connection),
    TEST(test_sending_needs_an_open_pipeline),
    TEST(test_copy_with_nulls),
    TEST(test_copy_of_nothing),
    TEST(test_copy_that_fails_and_copy_given_up),
  };
  return cmocka_run_group_tests(tests, NULL, test_cluster_teardown);
}
