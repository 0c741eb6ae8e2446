/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "guix/archive.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
/* cmocka needs the headers above first. */
#include <cmocka.h>

#include "base/buf.h"
#include "base/mem.h"
#include "guix/base64.h"
#include "guix/vectors_test.h"

struct fixture
{
  struct buf stream; /* the vector */
  struct guix_key *key;
  struct guix_acl *acl;        /* with this key */
  struct guix_acl *others_acl; /* without */
};

static int
collect(void *context, struct str piece)
{
  buf_append_str(context, piece);
  return 0;
}

static int
set_up(void **state)
{
  struct fixture *fixture = mem_alloc(sizeof *fixture);
  assert_int_equal(base64_decode(str_of(vector_archive), &fixture->stream), 0);
  assert_int_equal(
      guix_key_parse(str_of(vector_public_key), str_of(vector_private_key), &fixture->key, NULL),
      0);
  CLEANUP_FREE char *acl = mem_printf("(acl (entry %s (tag (guix import))))", vector_public_key);
  assert_int_equal(guix_acl_parse(str_of(acl), &fixture->acl, NULL), 0);
  assert_int_equal(guix_acl_parse(str_of(vector_acl), &fixture->others_acl, NULL), 0);
  *state = fixture;
  return 0;
}

static int
tear_down(void **state)
{
  struct fixture *fixture = *state;
  buf_free(&fixture->stream);
  guix_key_free(fixture->key);
  guix_acl_free(fixture->acl);
  guix_acl_free(fixture->others_acl);
  free(fixture);
  return 0;
}

/* What a reader says, and the nars, written down. */
struct notes
{
  struct buf items;
  struct buf nars;
};

static void
notes_free(struct notes *notes)
{
  buf_free(&notes->items);
  buf_free(&notes->nars);
}

static int
note_nar(void *context, struct str piece)
{
  buf_append_str(&((struct notes *) context)->nars, piece);
  return 0;
}

static int
note_item(void *context, const struct guix_archive_item *item)
{
  struct notes *notes = context;
  char hash[GUIX_HASH_BASE32_SIZE];
  guix_base32_encode(item->nar_hash.bytes, GUIX_HASH_SIZE, hash);
  buf_printf(&notes->items, "%.*s %.6s %d [", STR_FMT(item->path), hash, (int) item->nar_size);
  for (size_t i = 0; i < item->references_count; i++)
    buf_printf(&notes->items, "%.*s", STR_FMT(item->references[i]));
  buf_printf(&notes->items, "] %.*s\n", STR_FMT(item->deriver));
  return 0;
}

static const struct guix_archive_visitor noting = { note_nar, note_item };

static int
read_stream(struct str stream, size_t step, const struct guix_acl *acl, struct notes *notes)
{
  struct guix_archive_reader *reader =
      guix_archive_reader_new(acl, notes == NULL ? NULL : &noting, notes);
  int r = 0;
  for (size_t i = 0; r == 0 && i < stream.size; i += step) {
    size_t size = stream.size - i < step ? stream.size - i : step;
    r = guix_archive_reader_feed(reader, str_make(stream.data + i, size), NULL);
  }
  if (r == 0)
    r = guix_archive_reader_end(reader, NULL);
  guix_archive_reader_free(reader);
  return r;
}

static void
test_read_vector(void **state)
{
  struct fixture *fixture = *state;
  for (size_t step = 1; step < fixture->stream.size * 2; step = step * 3 + 1) {
    PN_CLEANUP(notes_free) struct notes notes = { 0 };
    assert_int_equal(read_stream(buf_str(&fixture->stream), step, fixture->acl, &notes), 0);
    assert_string_equal(buf_text(&notes.items), VECTOR_PATH_A " 00zns3 128 [] \n" VECTOR_PATH_B
                                                              " 0ymx0b 160 [" VECTOR_PATH_A "] \n");
    assert_int_equal(notes.nars.size, 128 + 160);
  }
}

/* Takes an archive apart and puts it together again. */
struct copier
{
  struct guix_archive_writer *writer;
  bool is_inside;
};

static int
copy_nar(void *context, struct str piece)
{
  struct copier *copier = context;
  if (!copier->is_inside)
    assert_int_equal(guix_archive_item_begin(copier->writer, NULL), 0);
  copier->is_inside = true;
  return guix_archive_item_data(copier->writer, piece, NULL);
}

static int
copy_item(void *context, const struct guix_archive_item *item)
{
  struct copier *copier = context;
  copier->is_inside = false;
  return guix_archive_item_end(copier->writer, item->path, item->references, item->references_count,
                               item->deriver, NULL);
}

static void
copy_stream(struct str stream, const struct guix_key *key, struct buf *out)
{
  struct copier copier = { .writer = guix_archive_writer_new(key, collect, out) };
  static const struct guix_archive_visitor copying = { copy_nar, copy_item };
  struct guix_archive_reader *reader = guix_archive_reader_new(NULL, &copying, &copier);
  assert_int_equal(guix_archive_reader_feed(reader, stream, NULL), 0);
  assert_int_equal(guix_archive_reader_end(reader, NULL), 0);
  assert_int_equal(guix_archive_end(copier.writer, NULL), 0);
  guix_archive_reader_free(reader);
  guix_archive_writer_free(copier.writer);
}

static void
test_write_vector(void **state)
{
  struct fixture *fixture = *state;
  CLEANUP_BUF struct buf copy = { 0 };
  copy_stream(buf_str(&fixture->stream), fixture->key, &copy);
  assert_true(str_equal(buf_str(&copy), buf_str(&fixture->stream)));
}

static void
test_unsigned_streams(void **state)
{
  struct fixture *fixture = *state;
  CLEANUP_BUF struct buf copy = { 0 };
  copy_stream(buf_str(&fixture->stream), NULL, &copy);
  assert_true(copy.size < fixture->stream.size);
  assert_int_equal(read_stream(buf_str(&copy), 100, NULL, NULL), 0);
  assert_int_equal(read_stream(buf_str(&copy), 100, fixture->acl, NULL), -EKEYREJECTED);
}

static void
test_keys_must_be_authorized(void **state)
{
  struct fixture *fixture = *state;
  struct str stream = buf_str(&fixture->stream);
  PN_CLEANUP(notes_free) struct notes notes = { 0 };
  assert_int_equal(read_stream(stream, 100, fixture->others_acl, &notes), -EKEYREJECTED);
  assert_int_equal(notes.items.size, 0);
  assert_int_equal(read_stream(stream, 100, NULL, NULL), 0);
}

/* No byte can be changed unseen; white space between s-expressions may be. */
static void
test_changes_are_found(void **state)
{
  struct fixture *fixture = *state;
  struct buf *stream = &fixture->stream;
  for (size_t i = 0; i < stream->size; i++) {
    if (stream->data[i] == ' ' || stream->data[i] == '\n')
      continue;
    stream->data[i] ^= 1;
    if (read_stream(buf_str(stream), 1000, fixture->acl, NULL) == 0)
      fail_msg("a change of byte %zu was not found", i);
    stream->data[i] ^= 1;
  }
}

static void
test_truncated_anywhere(void **state)
{
  struct fixture *fixture = *state;
  for (size_t size = 0; size < fixture->stream.size; size++)
    assert_int_equal(read_stream(str_make(fixture->stream.data, size), 1000, fixture->acl, NULL),
                     -EPIPE);
}

static void
test_bytes_behind_the_end(void **state)
{
  struct fixture *fixture = *state;
  buf_append_char(&fixture->stream, '\0');
  assert_int_equal(read_stream(buf_str(&fixture->stream), 1, fixture->acl, NULL), -EINVAL);
  assert_int_equal(read_stream(buf_str(&fixture->stream), 9999, fixture->acl, NULL), -EINVAL);
}

static int
refuse_item(void *context, const struct guix_archive_item *item)
{
  (void) context;
  (void) item;
  return -ENOSPC;
}

static void
test_visitor_can_refuse(void **state)
{
  struct fixture *fixture = *state;
  static const struct guix_archive_visitor refusing = { .item = refuse_item };
  struct guix_archive_reader *reader = guix_archive_reader_new(NULL, &refusing, NULL);
  struct str stream = buf_str(&fixture->stream);
  assert_int_equal(guix_archive_reader_feed(reader, stream, NULL), -ENOSPC);
  assert_int_equal(guix_archive_reader_feed(reader, stream, NULL), -EINVAL);
  guix_archive_reader_free(reader);
}

static void
put_int(struct buf *out, uint64_t value)
{
  for (int i = 0; i < 8; i++)
    buf_append_char(out, (char) (value >> (8 * i)));
}

/* Sizes and counts that are too large are refused before anything is kept. */
static void
test_limits(void **state)
{
  struct fixture *fixture = *state;
  size_t path = 8 + 128 + 8, count = path + 8 + 48;
  static const uint64_t sizes[] = { 257, 1ull << 32, UINT64_MAX };
  for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
    CLEANUP_BUF struct buf long_path = { 0 }, many = { 0 };
    buf_append(&long_path, fixture->stream.data, path);
    put_int(&long_path, sizes[i]);
    assert_int_equal(read_stream(buf_str(&long_path), 50, NULL, NULL), -EINVAL);
    buf_append(&many, fixture->stream.data, count);
    put_int(&many, GUIX_ARCHIVE_REFERENCES_MAX + sizes[i] / 256);
    assert_int_equal(read_stream(buf_str(&many), 50, NULL, NULL), -EINVAL);
  }
}

static void
test_writer_checks_its_input(void **state)
{
  struct fixture *fixture = *state;
  CLEANUP_BUF struct buf out = { 0 };
  struct str nar = str_make(fixture->stream.data + 8, 128);
  struct str path = STR(VECTOR_PATH_A), bad = STR("/etc/passwd"), none = STR("");
  struct guix_archive_writer *writer = guix_archive_writer_new(fixture->key, collect, &out);
  assert_int_equal(guix_archive_item_data(writer, nar, NULL), -EINVAL);
  assert_int_equal(guix_archive_item_end(writer, path, NULL, 0, none, NULL), -EINVAL);
  assert_int_equal(guix_archive_item_begin(writer, NULL), 0);
  assert_int_equal(guix_archive_item_data(writer, str_make(nar.data, 64), NULL), 0);
  assert_int_equal(guix_archive_item_end(writer, path, NULL, 0, none, NULL), -EINVAL);
  assert_int_equal(guix_archive_item_data(writer, str_from(nar, 64), NULL), 0);
  assert_int_equal(guix_archive_end(writer, NULL), -EINVAL);
  assert_int_equal(guix_archive_item_end(writer, bad, NULL, 0, none, NULL), -EINVAL);
  assert_int_equal(guix_archive_item_end(writer, path, &bad, 1, none, NULL), -EINVAL);
  assert_int_equal(guix_archive_item_end(writer, path, NULL, 0, bad, NULL), -EINVAL);
  assert_int_equal(guix_archive_item_end(writer, path, NULL, 0, none, NULL), 0);
  assert_int_equal(guix_archive_end(writer, NULL), 0);
  guix_archive_writer_free(writer);
  assert_int_equal(read_stream(buf_str(&out), 10, fixture->acl, NULL), 0);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int
main(void)
{
  const struct CMUnitTest tests[] = {
    TEST(test_read_vector),
    TEST(test_write_vector),
    TEST(test_unsigned_streams),
    TEST(test_keys_must_be_authorized),
    TEST(test_changes_are_found),
    TEST(test_truncated_anywhere),
    TEST(test_bytes_behind_the_end),
    TEST(test_visitor_can_refuse),
    TEST(test_limits),
    TEST(test_writer_checks_its_input),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
