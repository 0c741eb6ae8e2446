/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The export stream's reader; unsigned items, so that the fuzzer gets far. */
#include "guix/archive.h"

#include "guix/fuzz/fuzz.h"
#include "guix/store_path.h"

static int
see_nar(void *context, struct str piece)
{
  *(int64_t *) context += (int64_t) piece.size;
  return 0;
}

static int
see_item(void *context, const struct guix_archive_item *item)
{
  MUST(*(int64_t *) context >= item->nar_size && item->nar_size > 0);
  MUST(guix_path_is_valid(item->path));
  MUST(item->references_count <= GUIX_ARCHIVE_REFERENCES_MAX);
  for (size_t i = 0; i < item->references_count; i++)
    MUST(guix_path_is_valid(item->references[i]));
  MUST(item->deriver.size == 0 || guix_path_is_valid(item->deriver));
  return 0;
}

static int
read_in_steps(struct str stream, size_t step)
{
  static const struct guix_archive_visitor seeing = { see_nar, see_item };
  int64_t nar_bytes = 0;
  struct guix_archive_reader *reader = guix_archive_reader_new(NULL, &seeing, &nar_bytes);
  int r = 0;
  while (r == 0 && stream.size > 0) {
    size_t size = stream.size < step ? stream.size : step;
    r = guix_archive_reader_feed(reader, str_make(stream.data, size), NULL);
    stream = str_from(stream, size);
  }
  if (r == 0)
    r = guix_archive_reader_end(reader, NULL);
  guix_archive_reader_free(reader);
  return r;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  struct str stream = str_make(data, size);
  size_t step = 1 + fuzz_choose(&stream) % 24;
  MUST(read_in_steps(stream, step) == read_in_steps(stream, stream.size + 1));
  return 0;
}
