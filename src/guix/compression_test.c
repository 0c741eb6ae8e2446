/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "guix/compression.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/file.h"
#include "base/mem.h"

static const enum guix_compression formats[] = {
  GUIX_COMPRESSION_GZIP,
  GUIX_COMPRESSION_LZIP,
  GUIX_COMPRESSION_ZSTD,
};

static int
collect(void *context, struct str piece)
{
  assert_true(piece.size > 0);
  buf_append_str(context, piece);
  return 0;
}

static struct buf
compress(enum guix_compression format, int level, struct str data, size_t step)
{
  struct buf out = { 0 };
  struct guix_compressor *compressor = guix_compressor_new(format, level, collect, &out);
  for (size_t i = 0; i < data.size; i += step) {
    struct str piece = str_from(data, i);
    if (piece.size > step)
      piece.size = step;
    assert_int_equal(guix_compressor_feed(compressor, piece, NULL), 0);
  }
  assert_int_equal(guix_compressor_end(compressor, NULL), 0);
  guix_compressor_free(compressor);
  return out;
}

static int
decompress(enum guix_compression format, uint64_t limit, struct str data, size_t step,
           struct buf *out)
{
  struct guix_decompressor *decompressor = guix_decompressor_new(format, limit, collect, out);
  int r = 0;
  for (size_t i = 0; r == 0 && i < data.size; i += step) {
    struct str piece = str_from(data, i);
    if (piece.size > step)
      piece.size = step;
    r = guix_decompressor_feed(decompressor, piece, NULL);
  }
  if (r == 0)
    r = guix_decompressor_end(decompressor, NULL);
  guix_decompressor_free(decompressor);
  return r;
}

/* SIZE bytes, half of them unpredictable. */
static struct buf
make_data(size_t size)
{
  struct buf data = { 0 };
  char *bytes = buf_reserve(&data, size);
  memset(bytes, 'a', size);
  for (size_t i = 0; i + 64 <= size; i += 128)
    file_random(bytes + i, 64);
  data.size = size;
  return data;
}

static void
test_names(void **state)
{
  (void) state;
  static const char *const names[] = { "none", "gzip", "lzip", "zstd" };
  for (int i = 0; i < GUIX_COMPRESSION_MAX; i++) {
    assert_string_equal(guix_compression_name((enum guix_compression) i), names[i]);
    assert_int_equal(guix_compression_parse(str_of(names[i])), i);
  }
  assert_int_equal(guix_compression_parse(STR("xz")), GUIX_COMPRESSION_INVALID);
  assert_int_equal(guix_compression_parse(STR("")), GUIX_COMPRESSION_INVALID);
  assert_null(guix_compressor_new(GUIX_COMPRESSION_INVALID, 0, collect, NULL));
  assert_null(guix_decompressor_new(GUIX_COMPRESSION_INVALID, 0, collect, NULL));
  assert_null(guix_source_of_bytes(GUIX_COMPRESSION_INVALID, STR("")));
}

static void
check_round_trip(enum guix_compression format, int level, struct str data, size_t step)
{
  CLEANUP_BUF struct buf packed = compress(format, level, data, step);
  CLEANUP_BUF struct buf again = { 0 };
  assert_int_equal(decompress(format, data.size, buf_str(&packed), step, &again), 0);
  assert_true(str_equal(data, buf_str(&again)));
}

static void
test_round_trips(void **state)
{
  (void) state;
  static const size_t sizes[] = { 0, 1, 100, 65536, 500000 };
  for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
    CLEANUP_BUF struct buf data = make_data(sizes[i]);
    check_round_trip(GUIX_COMPRESSION_NONE, 0, buf_str(&data), 1000);
    for (size_t f = 0; f < ARRAY_SIZE(formats); f++) {
      check_round_trip(formats[f], 0, buf_str(&data), 1 << 20);
      check_round_trip(formats[f], 1, buf_str(&data), 777);
    }
  }
}

static void
test_byte_by_byte(void **state)
{
  (void) state;
  CLEANUP_BUF struct buf data = make_data(3000);
  for (size_t f = 0; f < ARRAY_SIZE(formats); f++)
    check_round_trip(formats[f], 3, buf_str(&data), 1);
}

static void
test_levels_are_clamped(void **state)
{
  (void) state;
  CLEANUP_BUF struct buf data = make_data(20000);
  static const int levels[] = { -5, 1, 2, 9, 19, 100 };
  for (size_t f = 0; f < ARRAY_SIZE(formats); f++)
    for (size_t i = 0; i < ARRAY_SIZE(levels); i++)
      check_round_trip(formats[f], levels[i], buf_str(&data), 4096);
}

static void
test_compressing_is_deterministic(void **state)
{
  (void) state;
  CLEANUP_BUF struct buf data = make_data(100000);
  for (size_t f = 0; f < ARRAY_SIZE(formats); f++) {
    CLEANUP_BUF struct buf one = compress(formats[f], 0, buf_str(&data), 10000);
    CLEANUP_BUF struct buf other = compress(formats[f], 0, buf_str(&data), 10000);
    assert_true(str_equal(buf_str(&one), buf_str(&other)));
  }
}

/* A thousandfold growth stops at the limit, and little memory was used. */
static void
test_bombs_are_refused(void **state)
{
  (void) state;
  const size_t size = 16 << 20, limit = 1 << 20;
  CLEANUP_FREE char *zeros = mem_alloc(size);
  for (size_t f = 0; f < ARRAY_SIZE(formats); f++) {
    CLEANUP_BUF struct buf packed = compress(formats[f], 1, str_make(zeros, size), size);
    CLEANUP_BUF struct buf out = { 0 };
    assert_true(packed.size < size / 100);
    assert_int_equal(decompress(formats[f], limit, buf_str(&packed), packed.size, &out), -EFBIG);
    assert_true(out.size <= limit);
    buf_clear(&out);
    assert_int_equal(decompress(formats[f], size - 1, buf_str(&packed), 100, &out), -EFBIG);
    buf_clear(&out);
    assert_int_equal(decompress(formats[f], size, buf_str(&packed), 100, &out), 0);
    assert_int_equal(out.size, size);
  }
  CLEANUP_BUF struct buf out = { 0 };
  assert_int_equal(decompress(GUIX_COMPRESSION_NONE, 2, STR("abc"), 1, &out), -EFBIG);
}

static void
test_truncation_is_found(void **state)
{
  (void) state;
  CLEANUP_BUF struct buf data = make_data(2000);
  for (size_t f = 0; f < ARRAY_SIZE(formats); f++) {
    CLEANUP_BUF struct buf packed = compress(formats[f], 0, buf_str(&data), 2000);
    for (size_t size = 0; size < packed.size; size++) {
      CLEANUP_BUF struct buf out = { 0 };
      struct str cut = str_make(packed.data, size);
      assert_int_equal(decompress(formats[f], 0, cut, 1000, &out), -EBADMSG);
    }
  }
}

static void
test_garbage_behind_is_found(void **state)
{
  (void) state;
  static const char *const garbage[] = { "x", "garbage, and more of it", "LZIP\1" };
  for (size_t f = 0; f < ARRAY_SIZE(formats); f++)
    for (size_t g = 0; g < ARRAY_SIZE(garbage); g++) {
      CLEANUP_BUF struct buf out = { 0 };
      CLEANUP_BUF struct buf packed = compress(formats[f], 0, STR("hello"), 100);
      buf_append_text(&packed, garbage[g]);
      assert_int_equal(decompress(formats[f], 0, buf_str(&packed), 1000, &out), -EBADMSG);
      buf_clear(&out);
      assert_int_equal(decompress(formats[f], 0, buf_str(&packed), 1, &out), -EBADMSG);
    }
}

/* A few bits of each format mean nothing; all others are covered by checksums. */
static void
test_damage_is_found(void **state)
{
  (void) state;
  CLEANUP_BUF struct buf data = make_data(2000);
  for (size_t f = 0; f < ARRAY_SIZE(formats); f++) {
    CLEANUP_BUF struct buf packed = compress(formats[f], 0, buf_str(&data), 2000);
    size_t harmless = 0;
    for (size_t i = 0; i < packed.size; i++) {
      CLEANUP_BUF struct buf out = { 0 };
      packed.data[i] ^= 0x10;
      int r = decompress(formats[f], 4000, buf_str(&packed), 1000, &out);
      assert_true(r == -EBADMSG || r == -EFBIG
                  || (r == 0 && str_equal(buf_str(&out), buf_str(&data))));
      harmless += r == 0;
      packed.data[i] ^= 0x10;
    }
    assert_true(harmless < 12);
  }
}

static void
test_members_one_after_another(void **state)
{
  (void) state;
  for (size_t f = 0; f < ARRAY_SIZE(formats); f++)
    for (size_t step = 1; step < 100; step += 13) {
      CLEANUP_BUF struct buf packed = compress(formats[f], 0, STR("hello "), 100);
      CLEANUP_BUF struct buf second = compress(formats[f], 0, STR("world"), 100);
      CLEANUP_BUF struct buf out = { 0 };
      buf_append_str(&packed, buf_str(&second));
      assert_int_equal(decompress(formats[f], 0, buf_str(&packed), step, &out), 0);
      assert_string_equal(buf_text(&out), "hello world");
    }
}

static void
test_empty_pieces_do_no_harm(void **state)
{
  (void) state;
  for (size_t f = 0; f < ARRAY_SIZE(formats); f++) {
    CLEANUP_BUF struct buf packed = compress(formats[f], 0, STR("hello"), 100);
    CLEANUP_BUF struct buf out = { 0 };
    struct guix_decompressor *reader = guix_decompressor_new(formats[f], 0, collect, &out);
    for (size_t i = 0; i < packed.size; i++) {
      for (int k = 0; k < 40; k++)
        assert_int_equal(guix_decompressor_feed(reader, STR(""), NULL), 0);
      assert_int_equal(guix_decompressor_feed(reader, str_make(packed.data + i, 1), NULL), 0);
    }
    assert_int_equal(guix_decompressor_end(reader, NULL), 0);
    guix_decompressor_free(reader);
    assert_string_equal(buf_text(&out), "hello");
  }
}

static int
refuse(void *context, struct str piece)
{
  (void) context;
  (void) piece;
  return -ENOSPC;
}

static void
test_failures_of_the_sink_come_back(void **state)
{
  (void) state;
  CLEANUP_BUF struct buf data = make_data(1 << 20);
  for (size_t f = 0; f < ARRAY_SIZE(formats); f++) {
    CLEANUP_BUF struct buf packed = compress(formats[f], 1, buf_str(&data), 1 << 20);
    struct guix_compressor *writer = guix_compressor_new(formats[f], 1, refuse, NULL);
    struct guix_decompressor *reader = guix_decompressor_new(formats[f], 0, refuse, NULL);
    int r = guix_compressor_feed(writer, buf_str(&data), NULL);
    if (r == 0)
      r = guix_compressor_end(writer, NULL);
    assert_int_equal(r, -ENOSPC);
    assert_int_equal(guix_decompressor_feed(reader, buf_str(&packed), NULL), -ENOSPC);
    guix_compressor_free(writer);
    guix_decompressor_free(reader);
  }
}

/* ---- sources ---- */

static int64_t
drain(struct guix_source *source, size_t step, struct buf *out)
{
  for (;;) {
    int64_t got = guix_source_read(source, buf_reserve(out, step), step);
    if (got <= 0)
      return got;
    assert_true((size_t) got <= step);
    out->size += (size_t) got;
  }
}

static int
open_bytes(struct str bytes)
{
  char path[] = "/tmp/compression_test.XXXXXX";
  int fd = mkostemp(path, O_CLOEXEC);
  assert_true(fd >= 0);
  assert_int_equal(unlink(path), 0);
  assert_int_equal(file_write_full(fd, bytes.data, bytes.size), 0);
  assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
  return fd;
}

static void
check_sources(enum guix_compression format, struct str data, size_t step)
{
  CLEANUP_BUF struct buf packed = compress(format, 1, data, 1 << 20);
  CLEANUP_BUF struct buf of_file = { 0 }, of_bytes = { 0 };
  struct guix_source *file = guix_source_open(format, open_bytes(buf_str(&packed)));
  struct guix_source *bytes = guix_source_of_bytes(format, buf_str(&packed));
  assert_int_equal(drain(file, step, &of_file), 0);
  assert_int_equal(drain(bytes, step, &of_bytes), 0);
  assert_int_equal(drain(bytes, step, &of_bytes), 0); /* the end stays the end */
  assert_true(str_equal(data, buf_str(&of_file)));
  assert_true(str_equal(data, buf_str(&of_bytes)));
  guix_source_free(file);
  guix_source_free(bytes);
}

static void
test_sources(void **state)
{
  (void) state;
  static const size_t sizes[] = { 0, 5, 70000, 400000 };
  for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
    CLEANUP_BUF struct buf data = make_data(sizes[i]);
    for (int format = 0; format < GUIX_COMPRESSION_MAX; format++) {
      check_sources((enum guix_compression) format, buf_str(&data), 1000);
      check_sources((enum guix_compression) format, buf_str(&data), 100000);
    }
  }
}

static void
test_sources_of_a_bomb(void **state)
{
  (void) state;
  const size_t size = 8 << 20;
  CLEANUP_FREE char *zeros = mem_alloc(size);
  for (size_t f = 0; f < ARRAY_SIZE(formats); f++)
    check_sources(formats[f], str_make(zeros, size), 10000);
}

static void
test_sources_find_damage(void **state)
{
  (void) state;
  for (size_t f = 0; f < ARRAY_SIZE(formats); f++) {
    CLEANUP_BUF struct buf packed = compress(formats[f], 1, STR("hello"), 100);
    CLEANUP_BUF struct buf out = { 0 };
    struct str cut = str_make(packed.data, packed.size - 1);
    struct guix_source *file = guix_source_open(formats[f], open_bytes(cut));
    assert_int_equal(drain(file, 100, &out), -EBADMSG);
    guix_source_free(file);
    buf_append_text(&packed, "garbage");
    struct guix_source *bytes = guix_source_of_bytes(formats[f], buf_str(&packed));
    assert_int_equal(drain(bytes, 100, &out), -EBADMSG);
    guix_source_free(bytes);
  }
}

int
main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_names),
    cmocka_unit_test(test_round_trips),
    cmocka_unit_test(test_byte_by_byte),
    cmocka_unit_test(test_levels_are_clamped),
    cmocka_unit_test(test_compressing_is_deterministic),
    cmocka_unit_test(test_bombs_are_refused),
    cmocka_unit_test(test_truncation_is_found),
    cmocka_unit_test(test_garbage_behind_is_found),
    cmocka_unit_test(test_damage_is_found),
    cmocka_unit_test(test_members_one_after_another),
    cmocka_unit_test(test_empty_pieces_do_no_harm),
    cmocka_unit_test(test_failures_of_the_sink_come_back),
    cmocka_unit_test(test_sources),
    cmocka_unit_test(test_sources_of_a_bomb),
    cmocka_unit_test(test_sources_find_damage),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
