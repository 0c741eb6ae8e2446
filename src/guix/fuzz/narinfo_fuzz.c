/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What was parsed can be written, and says the same when parsed again. */
#include "guix/narinfo.h"

#include "guix/fuzz/fuzz.h"

static void
check_same(const struct guix_narinfo *a, const struct guix_narinfo *b)
{
  MUST(str_equal(a->path, b->path) && a->nar_size == b->nar_size);
  MUST(memcmp(&a->nar_hash, &b->nar_hash, sizeof a->nar_hash) == 0);
  MUST(str_equal(a->deriver, b->deriver));
  MUST(a->references_count == b->references_count && a->urls_count == b->urls_count);
  for (size_t i = 0; i < a->references_count; i++)
    MUST(str_equal(a->references[i], b->references[i]));
  for (size_t i = 0; i < a->urls_count; i++)
    MUST(str_equal(a->urls[i].url, b->urls[i].url)
         && a->urls[i].compression == b->urls[i].compression);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  CLEANUP_ARENA struct arena arena = { 0 };
  struct str text = str_make(data, size);
  struct guix_narinfo info = { 0 }, again = { 0 };
  int r = guix_narinfo_parse(text, &arena, &info, NULL);
  MUST(guix_narinfo_verify(text, NULL, NULL) <= r);
  if (r < 0)
    return 0;
  CLEANUP_BUF struct buf out = { 0 };
  MUST(guix_narinfo_write_signed(&info, NULL, NULL, &out, NULL) == 0);
  guix_narinfo_write_urls(info.urls, info.urls_count, &out);
  MUST(guix_narinfo_parse(buf_str(&out), &arena, &again, NULL) == 0);
  check_same(&info, &again);
  return 0;
}
