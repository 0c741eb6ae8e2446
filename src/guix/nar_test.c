/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "guix/nar.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/file.h"
#include "base/mem.h"

/* ---- helpers ---- */

static void
put_size(struct buf *out, uint64_t size)
{
  for (int i = 0; i < 8; i++)
    buf_append_char(out, (char) (size >> (8 * i)));
}

static void
put_token(struct buf *out, struct str token)
{
  put_size(out, token.size);
  buf_append_str(out, token);
  while (out->size % 8 != 0)
    buf_append_char(out, '\0');
}

/* Space separated tokens; `''` is the empty one. */
static void
put_tokens(struct buf *out, const char *text)
{
  struct str rest = str_of(text), token;
  while (str_split(&rest, ' ', &token))
    put_token(out, str_equal(token, STR("''")) ? STR("") : token);
}

static struct buf
nar_of(const char *tokens)
{
  struct buf nar = { 0 };
  put_tokens(&nar, "nix-archive-1");
  put_tokens(&nar, tokens);
  return nar;
}

static int
collect(void *context, struct str piece)
{
  buf_append_str(context, piece);
  return 0;
}

/* A visitor that writes down what it sees, one word a call. */
static int
note_directory(void *context, struct str name)
{
  buf_printf(context, "dir(%.*s) ", STR_FMT(name));
  return 0;
}

static int
note_directory_end(void *context)
{
  buf_append_text(context, "end ");
  return 0;
}

static int
note_symlink(void *context, struct str name, struct str target)
{
  buf_printf(context, "link(%.*s,%.*s) ", STR_FMT(name), STR_FMT(target));
  return 0;
}

static int
note_file(void *context, struct str name, bool executable, uint64_t size)
{
  buf_printf(context, "%s(%.*s,%d):", executable ? "exe" : "file", STR_FMT(name), (int) size);
  return 0;
}

static int
note_contents(void *context, struct str piece)
{
  assert_true(piece.size > 0);
  buf_append_str(context, piece);
  return 0;
}

static int
note_file_end(void *context)
{
  buf_append_text(context, "; ");
  return 0;
}

static const struct guix_nar_visitor notes = {
  note_directory, note_directory_end, note_symlink, note_file, note_contents, note_file_end,
};

/* Feeds NAR in pieces of STEP bytes; the reader's code, or 1 when not done. */
static int
read_nar(struct str nar, size_t step, const struct guix_nar_visitor *visitor, void *context,
         struct error *err)
{
  struct guix_nar_reader *reader = guix_nar_reader_new(visitor, context);
  int r = 0;
  for (size_t i = 0; r == 0 && i < nar.size; i += step) {
    size_t size = nar.size - i < step ? nar.size - i : step;
    r = guix_nar_reader_feed(reader, str_make(nar.data + i, size), NULL, err);
  }
  if (r == 0 && !guix_nar_reader_is_done(reader))
    r = 1;
  guix_nar_reader_free(reader);
  return r;
}

static const char example_tokens[] = "( type directory"
                                     " entry ( name a node ( type regular contents hello ) )"
                                     " entry ( name b node ( type directory"
                                     " entry ( name x node ( type symlink target ../a ) ) ) )"
                                     " entry ( name b.d node ( type directory ) )"
                                     " entry ( name run node"
                                     " ( type regular executable '' contents '' ) ) )";

/* A folder of its own for each test that asks; gone also when the test fails. */
static int
make_scratch(void **state)
{
  char *scratch = mem_strdup("/tmp/nar_test.XXXXXX");
  *state = scratch;
  return mkdtemp(scratch) != NULL ? 0 : -1;
}

static int
remove_scratch(void **state)
{
  CLEANUP_FREE char *scratch = *state;
  return file_remove_tree(scratch, NULL);
}

static char *
scratch_file(const char *scratch, const char *name)
{
  return mem_printf("%s/%s", scratch, name);
}

static int
unpack(struct str nar, const char *path)
{
  struct guix_nar_unpacker *unpacker = guix_nar_unpacker_new(path);
  int r = read_nar(nar, 7, &guix_nar_unpacker_visitor, unpacker, NULL);
  if (r < 0 && guix_nar_unpacker_error(unpacker)->code != 0)
    assert_int_equal(guix_nar_unpacker_error(unpacker)->code, r);
  guix_nar_unpacker_free(unpacker);
  return r;
}

/* ---- writing ---- */

static void
test_write_file(void **state)
{
  const char *scratch = *state;
  CLEANUP_FREE char *path = scratch_file(scratch, "file");
  assert_int_equal(file_write_atomic(path, STR("x"), 0644, NULL), 0);
  CLEANUP_BUF struct buf nar = { 0 };
  assert_int_equal(guix_nar_write(path, collect, &nar, NULL), 0);
  assert_int_equal(nar.size, 120);
  CLEANUP_BUF struct buf expected = nar_of("( type regular contents x )");
  assert_true(str_equal(buf_str(&nar), buf_str(&expected)));
}

static void
test_write_executable(void **state)
{
  const char *scratch = *state;
  CLEANUP_FREE char *path = scratch_file(scratch, "file");
  CLEANUP_BUF struct buf expected = nar_of("( type regular executable '' contents '' )");
  CLEANUP_BUF struct buf nar = { 0 };
  assert_int_equal(file_write_atomic(path, STR(""), 0500, NULL), 0);
  assert_int_equal(guix_nar_write(path, collect, &nar, NULL), 0);
  assert_true(str_equal(buf_str(&nar), buf_str(&expected)));
}

static void
test_write_others_execute_bit_does_not_count(void **state)
{
  const char *scratch = *state;
  CLEANUP_FREE char *path = scratch_file(scratch, "file");
  CLEANUP_BUF struct buf expected = nar_of("( type regular contents '' )");
  CLEANUP_BUF struct buf nar = { 0 };
  assert_int_equal(file_write_atomic(path, STR(""), 0655, NULL), 0);
  assert_int_equal(guix_nar_write(path, collect, &nar, NULL), 0);
  assert_true(str_equal(buf_str(&nar), buf_str(&expected)));
}

static void
test_write_symlink_is_not_followed(void **state)
{
  const char *scratch = *state;
  CLEANUP_FREE char *path = scratch_file(scratch, "link");
  assert_int_equal(symlink("/etc/passwd", path), 0);
  CLEANUP_BUF struct buf expected = nar_of("( type symlink target /etc/passwd )");
  CLEANUP_BUF struct buf nar = { 0 };
  assert_int_equal(guix_nar_write(path, collect, &nar, NULL), 0);
  assert_true(str_equal(buf_str(&nar), buf_str(&expected)));
}

static void
make_example(const char *path)
{
  CLEANUP_FREE char *a = mem_printf("%s/a", path), *b = mem_printf("%s/b", path),
                    *bd = mem_printf("%s/b.d", path), *x = mem_printf("%s/b/x", path),
                    *run = mem_printf("%s/run", path);
  assert_int_equal(mkdir(path, 0755), 0);
  assert_int_equal(mkdir(bd, 0755), 0);
  assert_int_equal(mkdir(b, 0700), 0);
  assert_int_equal(symlink("../a", x), 0);
  assert_int_equal(file_write_atomic(run, STR(""), 0755, NULL), 0);
  assert_int_equal(file_write_atomic(a, STR("hello"), 0644, NULL), 0);
}

static void
test_write_directory_sorted_by_bytes(void **state)
{
  const char *scratch = *state;
  CLEANUP_FREE char *path = scratch_file(scratch, "top");
  make_example(path);
  CLEANUP_BUF struct buf nar = { 0 };
  assert_int_equal(guix_nar_write(path, collect, &nar, NULL), 0);
  CLEANUP_BUF struct buf expected = nar_of(example_tokens);
  assert_true(str_equal(buf_str(&nar), buf_str(&expected)));
}

/* Larger than the window, and no multiple of it. */
static void
test_write_large_file(void **state)
{
  const char *scratch = *state;
  CLEANUP_FREE char *path = scratch_file(scratch, "large");
  CLEANUP_BUF struct buf contents = { 0 };
  file_random(buf_reserve(&contents, 300001), 300001);
  contents.size = 300001;
  assert_int_equal(file_write_atomic(path, buf_str(&contents), 0600, NULL), 0);

  CLEANUP_BUF struct buf expected = nar_of("( type regular contents");
  put_token(&expected, buf_str(&contents));
  put_tokens(&expected, ")");
  CLEANUP_BUF struct buf nar = { 0 };
  assert_int_equal(guix_nar_write(path, collect, &nar, NULL), 0);
  assert_true(str_equal(buf_str(&nar), buf_str(&expected)));

  struct guix_hash hash, expected_hash = guix_hash_of(buf_str(&expected));
  int64_t size;
  assert_int_equal(guix_nar_measure(path, &hash, &size, NULL), 0);
  assert_int_equal(size, expected.size);
  assert_memory_equal(&hash, &expected_hash, sizeof hash);
}

/* Changes the file that is being read, once its first bytes have come. */
static int
grow_file(void *context, struct str piece)
{
  (void) piece;
  CLEANUP_FD int fd = open(context, O_WRONLY | O_APPEND);
  assert_int_equal(file_write_full(fd, "more", 4), 0);
  return 0;
}

static int
shrink_file(void *context, struct str piece)
{
  (void) piece;
  assert_int_equal(truncate(context, 1000), 0);
  return 0;
}

static void
test_write_refuses_a_file_that_changes(void **state)
{
  const char *scratch = *state;
  CLEANUP_FREE char *path = scratch_file(scratch, "file");
  CLEANUP_FREE char *zeros = mem_alloc(200000);
  struct error err = { 0 };
  assert_int_equal(file_write_atomic(path, str_make(zeros, 200000), 0600, NULL), 0);
  assert_int_equal(guix_nar_write(path, grow_file, path, &err), -ESTALE);
  assert_non_null(strstr(err.message, path));
  assert_int_equal(guix_nar_write(path, shrink_file, path, NULL), -ESTALE);
}

static int
refuse(void *context, struct str piece)
{
  (void) context;
  (void) piece;
  return -ENOSPC;
}

static void
test_write_failures(void **state)
{
  const char *scratch = *state;
  struct error err = { 0 };
  CLEANUP_BUF struct buf nar = { 0 };
  CLEANUP_FREE char *absent = scratch_file(scratch, "absent");
  assert_int_equal(guix_nar_write(absent, collect, &nar, &err), -ENOENT);
  assert_non_null(strstr(err.message, absent));

  CLEANUP_FREE char *pipe = scratch_file(scratch, "pipe");
  assert_int_equal(mkfifo(pipe, 0600), 0);
  assert_int_equal(guix_nar_write(scratch, collect, &nar, &err), -ENOTSUP);
  assert_non_null(strstr(err.message, pipe));

  CLEANUP_FREE char *file = scratch_file(scratch, "file");
  assert_int_equal(file_write_atomic(file, STR("x"), 0600, NULL), 0);
  assert_int_equal(guix_nar_write(file, refuse, NULL, &err), -ENOSPC);
}

/* As deep as guix-daemon can go, whose whole paths have at most 4,095 bytes. */
static void
test_write_deep(void **state)
{
  const char *scratch = *state;
  struct error err = { 0 };
  CLEANUP_BUF struct buf nar = { 0 };
  int folder = open(scratch, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  (void) file_allow_descriptors(4096);
  for (int depth = 0; depth < 2025; depth++) {
    assert_int_equal(mkdirat(folder, "d", 0700), 0);
    int below = openat(folder, "d", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    close(folder);
    folder = below;
  }
  close(folder);
  assert_int_equal(guix_nar_write(scratch, collect, &nar, &err), 0);
  assert_int_equal(read_nar(buf_str(&nar), nar.size, NULL, NULL, NULL), 0);
}

/* ---- reading ---- */

static void
test_read_tells_all_nodes(void **state)
{
  (void) state;
  CLEANUP_BUF struct buf nar = nar_of(example_tokens);
  CLEANUP_BUF struct buf seen = { 0 };
  assert_int_equal(read_nar(buf_str(&nar), nar.size, &notes, &seen, NULL), 0);
  assert_string_equal(buf_text(&seen), "dir() file(a,5):hello; dir(b) link(x,../a) end "
                                       "dir(b.d) end exe(run,0):; end ");
}

static void
test_read_pieces_of_any_size(void **state)
{
  (void) state;
  CLEANUP_BUF struct buf nar = nar_of(example_tokens);
  CLEANUP_BUF struct buf whole = { 0 };
  assert_int_equal(read_nar(buf_str(&nar), nar.size, &notes, &whole, NULL), 0);
  for (size_t step = 1; step < 40; step++) {
    CLEANUP_BUF struct buf seen = { 0 };
    assert_int_equal(read_nar(buf_str(&nar), step, &notes, &seen, NULL), 0);
    assert_string_equal(buf_text(&seen), buf_text(&whole));
  }
}

static void
test_read_truncated_anywhere(void **state)
{
  (void) state;
  CLEANUP_BUF struct buf nar = nar_of(example_tokens);
  for (size_t size = 0; size < nar.size; size++)
    assert_int_equal(read_nar(str_make(nar.data, size), 64, NULL, NULL, NULL), 1);
}

static void
test_read_stops_at_the_end(void **state)
{
  (void) state;
  CLEANUP_BUF struct buf nar = nar_of("( type regular contents hello )");
  size_t end = nar.size, used = 0;
  buf_append_text(&nar, "rest");
  struct guix_nar_reader *reader = guix_nar_reader_new(NULL, NULL);
  assert_int_equal(guix_nar_reader_feed(reader, buf_str(&nar), &used, NULL), 0);
  assert_int_equal(used, end);
  assert_true(guix_nar_reader_is_done(reader));
  assert_int_equal(guix_nar_reader_feed(reader, STR("more"), &used, NULL), 0);
  assert_int_equal(used, 0);
  assert_int_equal(guix_nar_reader_feed(reader, STR("more"), NULL, NULL), -EINVAL);
  assert_false(guix_nar_reader_is_done(reader));
  guix_nar_reader_free(reader);
}

static void
test_read_refuses_bad_grammar(void **state)
{
  (void) state;
  static const char *const bad[] = {
    ")",
    "( kind",
    "( type socket",
    "( type regular )",
    "( type regular executable x",
    "( type regular executable '' executable",
    "( type regular contents x (",
    "( type symlink contents",
    "( type symlink target ''",
    "( type symlink target x target",
    "( type directory contents",
    "( type directory entry entry",
    "( type directory entry ( node",
    "( type directory entry ( name a name",
    "( type directory entry ( name a node )",
    "( type directory entry ( name a node ( type directory ) entry",
    "( type directory ) )",
    "( type directory entry ( name '' node",
    "( type directory entry ( name . node",
    "( type directory entry ( name .. node",
    "( type directory entry ( name a/b node",
    "( type directory entry ( name /etc node",
    "( type directory entry ( name a node ( type directory ) ) entry ( name a node",
    "( type directory entry ( name b node ( type directory ) ) entry ( name a node",
    "( type directory entry ( name ab node ( type directory ) ) entry ( name a node",
    "a-keyword-that-is-far-too-long",
  };
  for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
    CLEANUP_BUF struct buf nar = nar_of(bad[i]);
    struct error err = { 0 };
    int whole = read_nar(buf_str(&nar), nar.size, NULL, NULL, &err);
    if (whole != -EINVAL || err.code != -EINVAL)
      fail_msg("accepted: %s", bad[i]);
    assert_int_equal(read_nar(buf_str(&nar), 1, NULL, NULL, NULL), -EINVAL);
  }
}

static void
test_read_refuses_bad_magic(void **state)
{
  (void) state;
  CLEANUP_BUF struct buf nar = { 0 };
  put_tokens(&nar, "nix-archive-2");
  assert_int_equal(read_nar(buf_str(&nar), 9, NULL, NULL, NULL), -EINVAL);
}

static void
test_read_refuses_nul_in_names(void **state)
{
  (void) state;
  CLEANUP_BUF struct buf name = nar_of("( type directory entry ( name");
  put_token(&name, STR("a\0b"));
  assert_int_equal(read_nar(buf_str(&name), 9, NULL, NULL, NULL), -EINVAL);
  CLEANUP_BUF struct buf target = nar_of("( type symlink target");
  put_token(&target, STR("a\0b"));
  assert_int_equal(read_nar(buf_str(&target), 9, NULL, NULL, NULL), -EINVAL);
}

static void
test_read_refuses_padding_that_is_not_zero(void **state)
{
  (void) state;
  CLEANUP_BUF struct buf nar = nar_of("( type regular contents hello )");
  for (size_t i = 0; i < nar.size; i++) {
    if (nar.data[i] != '\0')
      continue;
    nar.data[i] = 1;
    assert_int_not_equal(read_nar(buf_str(&nar), nar.size, NULL, NULL, NULL), 0);
    nar.data[i] = 0;
  }
}

static void
test_read_refuses_huge_sizes(void **state)
{
  (void) state;
  static const uint64_t sizes[] = { 1ull << 63, UINT64_MAX };
  for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
    CLEANUP_BUF struct buf nar = nar_of("( type regular contents");
    put_size(&nar, sizes[i]);
    assert_int_equal(read_nar(buf_str(&nar), 11, NULL, NULL, NULL), -EINVAL);
  }
  static const struct
  {
    const char *before;
    uint64_t accepted;
  } limits[] = {
    { "( type directory entry ( name", GUIX_NAR_NAME_MAX },
    { "( type symlink target", GUIX_NAR_TARGET_MAX },
  };
  for (size_t i = 0; i < ARRAY_SIZE(limits); i++) {
    CLEANUP_BUF struct buf fits = nar_of(limits[i].before), too_long = nar_of(limits[i].before);
    put_size(&fits, limits[i].accepted);
    put_size(&too_long, limits[i].accepted + 1);
    assert_int_equal(read_nar(buf_str(&fits), 11, NULL, NULL, NULL), 1);
    assert_int_equal(read_nar(buf_str(&too_long), 11, NULL, NULL, NULL), -EINVAL);
  }
}

static void
put_nested(struct buf *nar, int depth)
{
  for (int i = 1; i < depth; i++)
    put_tokens(nar, "( type directory entry ( name a node");
  put_tokens(nar, "( type directory )");
  for (int i = 1; i < depth; i++)
    put_tokens(nar, ") )");
}

static void
test_read_depth(void **state)
{
  (void) state;
  CLEANUP_BUF struct buf deep = nar_of("");
  deep.size = 24; /* only the magic */
  put_nested(&deep, GUIX_NAR_DEPTH_MAX);
  assert_int_equal(read_nar(buf_str(&deep), 100, NULL, NULL, NULL), 0);
  deep.size = 24;
  put_nested(&deep, GUIX_NAR_DEPTH_MAX + 1);
  assert_int_equal(read_nar(buf_str(&deep), 100, NULL, NULL, NULL), -EINVAL);
}

static void
test_read_order_is_forgotten_between_directories(void **state)
{
  (void) state;
  CLEANUP_BUF struct buf nar = nar_of("( type directory"
                                      " entry ( name b node ( type directory"
                                      " entry ( name z node ( type directory ) ) ) )"
                                      " entry ( name c node ( type directory"
                                      " entry ( name a node ( type directory ) ) ) ) )");
  assert_int_equal(read_nar(buf_str(&nar), 5, NULL, NULL, NULL), 0);
}

static int
refuse_file(void *context, struct str name, bool executable, uint64_t size)
{
  (void) context;
  (void) name;
  (void) executable;
  (void) size;
  return -ENOSPC;
}

static void
test_read_stops_when_the_visitor_fails(void **state)
{
  (void) state;
  static const struct guix_nar_visitor refusing = { .file = refuse_file };
  CLEANUP_BUF struct buf nar = nar_of("( type regular contents hello )");
  struct guix_nar_reader *reader = guix_nar_reader_new(&refusing, NULL);
  assert_int_equal(guix_nar_reader_feed(reader, buf_str(&nar), NULL, NULL), -ENOSPC);
  assert_int_equal(guix_nar_reader_feed(reader, buf_str(&nar), NULL, NULL), -EINVAL);
  guix_nar_reader_free(reader);
}

/* ---- unpacking ---- */

static void
check_status(const char *path, mode_t mode)
{
  struct stat status;
  assert_int_equal(lstat(path, &status), 0);
  if (mode != 0)
    assert_int_equal(status.st_mode & 07777, mode);
  assert_int_equal(status.st_mtim.tv_sec, 1);
  assert_int_equal(status.st_mtim.tv_nsec, 0);
}

static void
test_unpack_and_write_again(void **state)
{
  const char *scratch = *state;
  CLEANUP_FREE char *path = scratch_file(scratch, "item");
  CLEANUP_BUF struct buf nar = nar_of(example_tokens);
  mode_t mask = umask(0077);
  int r = unpack(buf_str(&nar), path);
  umask(mask);
  assert_int_equal(r, 0);

  CLEANUP_BUF struct buf again = { 0 };
  assert_int_equal(guix_nar_write(path, collect, &again, NULL), 0);
  assert_true(str_equal(buf_str(&nar), buf_str(&again)));

  static const struct
  {
    const char *name;
    mode_t mode;
  } nodes[] = { { "", 0555 }, { "/a", 0444 }, { "/b", 0555 }, { "/b/x", 0 }, { "/run", 0555 } };
  for (size_t i = 0; i < ARRAY_SIZE(nodes); i++) {
    CLEANUP_FREE char *node = mem_printf("%s%s", path, nodes[i].name);
    check_status(node, nodes[i].mode);
  }
}

static void
test_unpack_single_nodes(void **state)
{
  const char *scratch = *state;
  CLEANUP_FREE char *file = scratch_file(scratch, "file");
  CLEANUP_FREE char *link = scratch_file(scratch, "link");
  CLEANUP_BUF struct buf file_nar = nar_of("( type regular contents hello )");
  CLEANUP_BUF struct buf link_nar = nar_of("( type symlink target /nowhere )");
  assert_int_equal(unpack(buf_str(&file_nar), file), 0);
  assert_int_equal(unpack(buf_str(&link_nar), link), 0);
  check_status(file, 0444);
  check_status(link, 0);
}

static void
test_unpack_refuses_what_exists(void **state)
{
  const char *scratch = *state;
  static const char *const nars[] = {
    "( type regular contents hello )",
    "( type symlink target x )",
    "( type directory )",
  };
  CLEANUP_FREE char *path = scratch_file(scratch, "there");
  assert_int_equal(symlink("/nowhere/at/all", path), 0);
  for (size_t i = 0; i < ARRAY_SIZE(nars); i++) {
    CLEANUP_BUF struct buf nar = nar_of(nars[i]);
    assert_int_equal(unpack(buf_str(&nar), path), -EEXIST);
  }
}

/* An archive cannot name an entry twice (order) nor write through a symlink
   that it made: the name would need a separator. */
static void
test_unpack_never_leaves_its_folder(void **state)
{
  const char *scratch = *state;
  static const char *const nars[] = {
    "( type directory entry ( name .. node ( type regular contents x ) ) )",
    "( type directory entry ( name ../escaped node ( type regular contents x ) ) )",
    "( type directory entry ( name a node ( type symlink target .. ) )"
    " entry ( name a/escaped node ( type regular contents x ) ) )",
    "( type directory entry ( name a node ( type symlink target .. ) )"
    " entry ( name a node ( type directory"
    " entry ( name escaped node ( type regular contents x ) ) ) ) )",
  };
  CLEANUP_FREE char *escaped = scratch_file(scratch, "escaped");
  for (size_t i = 0; i < ARRAY_SIZE(nars); i++) {
    CLEANUP_FREE char *path = mem_printf("%s/item%zu", scratch, i);
    CLEANUP_BUF struct buf nar = nar_of(nars[i]);
    assert_int_equal(unpack(buf_str(&nar), path), -EINVAL);
    assert_false(file_exists(escaped));
  }
}

/* The visitor alone, without the reader's checks, holds too: a symlink that
   appears where a directory's entry is to go is not followed. */
static void
test_unpack_visitor_checks_by_itself(void **state)
{
  const char *scratch = *state;
  CLEANUP_FREE char *path = scratch_file(scratch, "item");
  const struct guix_nar_visitor *visitor = &guix_nar_unpacker_visitor;
  struct guix_nar_unpacker *unpacker = guix_nar_unpacker_new(path);
  assert_int_equal(visitor->directory(unpacker, STR("")), 0);
  assert_int_equal(visitor->symlink(unpacker, STR("a"), STR("..")), 0);
  assert_int_equal(visitor->file(unpacker, STR("a"), false, 1), -EEXIST);
  assert_int_equal(visitor->directory(unpacker, STR("a")), -EEXIST);
  assert_int_equal(visitor->file(unpacker, STR("../b"), false, 1), -EINVAL);
  assert_int_equal(visitor->directory(unpacker, STR("..")), -EINVAL);
  guix_nar_unpacker_free(unpacker);
}

static void
test_unpack_interrupted(void **state)
{
  const char *scratch = *state;
  CLEANUP_FREE char *path = scratch_file(scratch, "item");
  CLEANUP_BUF struct buf nar = nar_of(example_tokens);
  assert_int_equal(unpack(str_make(nar.data, nar.size / 2), path), 1);
}

#define IN_SCRATCH(function) cmocka_unit_test_setup_teardown(function, make_scratch, remove_scratch)

int
main(void)
{
  const struct CMUnitTest tests[] = {
    IN_SCRATCH(test_write_file),
    IN_SCRATCH(test_write_executable),
    IN_SCRATCH(test_write_others_execute_bit_does_not_count),
    IN_SCRATCH(test_write_symlink_is_not_followed),
    IN_SCRATCH(test_write_directory_sorted_by_bytes),
    IN_SCRATCH(test_write_large_file),
    IN_SCRATCH(test_write_refuses_a_file_that_changes),
    IN_SCRATCH(test_write_failures),
    IN_SCRATCH(test_write_deep),
    cmocka_unit_test(test_read_tells_all_nodes),
    cmocka_unit_test(test_read_pieces_of_any_size),
    cmocka_unit_test(test_read_truncated_anywhere),
    cmocka_unit_test(test_read_stops_at_the_end),
    cmocka_unit_test(test_read_refuses_bad_grammar),
    cmocka_unit_test(test_read_refuses_bad_magic),
    cmocka_unit_test(test_read_refuses_nul_in_names),
    cmocka_unit_test(test_read_refuses_padding_that_is_not_zero),
    cmocka_unit_test(test_read_refuses_huge_sizes),
    cmocka_unit_test(test_read_depth),
    cmocka_unit_test(test_read_order_is_forgotten_between_directories),
    cmocka_unit_test(test_read_stops_when_the_visitor_fails),
    IN_SCRATCH(test_unpack_and_write_again),
    IN_SCRATCH(test_unpack_single_nodes),
    IN_SCRATCH(test_unpack_refuses_what_exists),
    IN_SCRATCH(test_unpack_never_leaves_its_folder),
    IN_SCRATCH(test_unpack_visitor_checks_by_itself),
    IN_SCRATCH(test_unpack_interrupted),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
