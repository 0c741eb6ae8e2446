/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The nar reader: the same verdict and the same calls in whatever pieces. */
#include "guix/nar.h"

#include "base/buf.h"
#include "guix/fuzz/fuzz.h"

struct seen
{
  struct buf words;
  int depth;
};

static int
see_directory(void *context, struct str name)
{
  struct seen *seen = context;
  MUST(seen->depth == 0 ? name.size == 0 : guix_nar_name_is_valid(name));
  MUST(++seen->depth <= GUIX_NAR_DEPTH_MAX);
  buf_printf(&seen->words, "d %.*s\n", STR_FMT(name));
  return 0;
}

static int
see_directory_end(void *context)
{
  struct seen *seen = context;
  MUST(--seen->depth >= 0);
  buf_append_text(&seen->words, "e\n");
  return 0;
}

static int
see_symlink(void *context, struct str name, struct str target)
{
  struct seen *seen = context;
  MUST(seen->depth == 0 ? name.size == 0 : guix_nar_name_is_valid(name));
  MUST(target.size > 0 && target.size <= GUIX_NAR_TARGET_MAX);
  buf_printf(&seen->words, "l %.*s %.*s\n", STR_FMT(name), STR_FMT(target));
  return 0;
}

static int
see_file(void *context, struct str name, bool executable, uint64_t size)
{
  struct seen *seen = context;
  MUST(seen->depth == 0 ? name.size == 0 : guix_nar_name_is_valid(name));
  MUST(size <= INT64_MAX);
  buf_printf(&seen->words, "%c %.*s %llu ", executable ? 'x' : 'f', STR_FMT(name),
             (unsigned long long) size);
  return 0;
}

static int
see_contents(void *context, struct str piece)
{
  buf_append_str(&((struct seen *) context)->words, piece);
  return 0;
}

static int
see_file_end(void *context)
{
  buf_append_text(&((struct seen *) context)->words, "\n");
  return 0;
}

static const struct guix_nar_visitor seeing = {
  see_directory, see_directory_end, see_symlink, see_file, see_contents, see_file_end,
};

static int
read_in_steps(struct str nar, size_t step, struct seen *seen)
{
  struct guix_nar_reader *reader = guix_nar_reader_new(&seeing, seen);
  int r = 0;
  while (r == 0 && nar.size > 0) {
    size_t size = nar.size < step ? nar.size : step;
    r = guix_nar_reader_feed(reader, str_make(nar.data, size), NULL, NULL);
    nar = str_from(nar, size);
  }
  MUST(r == 0 || !guix_nar_reader_is_done(reader));
  if (r == 0 && guix_nar_reader_is_done(reader)) {
    MUST(seen->depth == 0);
    r = 1;
  }
  guix_nar_reader_free(reader);
  return r;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  struct str nar = str_make(data, size);
  size_t step = 1 + fuzz_choose(&nar) % 24;
  struct seen whole = { 0 }, pieces = { 0 };
  int r = read_in_steps(nar, nar.size + 1, &whole);
  MUST(read_in_steps(nar, step, &pieces) == r);
  MUST(str_equal(buf_str(&whole.words), buf_str(&pieces.words)));
  buf_free(&whole.words);
  buf_free(&pieces.words);
  return 0;
}
