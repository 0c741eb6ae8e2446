/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "evaluation/revisions.h"

#include <errno.h>

#include "base/clock.h"
#include "evaluation/evaluation_private.h"

#define ASKING_MS 3000 /* of all channels; who opens the page waits for it */

/* ---- commits ---- */

static void
tell_range(struct evaluations *evaluations, const struct forge *forge, struct arena *arena,
           int64_t *until_ms, struct revision_line *line)
{
  const struct page_revisions_row *row = &line->row;
  struct channels_range range;
  if (row->before_null || str_equal(row->before, row->commit))
    return;
  line->compare_url = forge_compare(forge, row->before, row->commit, arena);
  int r = channels_range(evaluations->options.channels, row->repository_id, row->before,
                         row->commit, *until_ms, arena, &range, NULL);
  line->is_known = r == 0;
  if (r == -EBUSY)
    *until_ms = 0; /* nor for the next channel */
  line->total = range.total;
  line->commits.count = range.count;
  line->commits.items = arena_array(arena, range.count + 1, sizeof *line->commits.items);
  for (size_t i = 0; i < range.count; i++)
    line->commits.items[i] =
        (struct commit_line) { range.items[i], forge_commit(forge, range.items[i].commit, arena) };
}

void
revisions_tell(struct evaluations *evaluations, const struct page_revisions_rows *rows,
               struct arena *arena, struct revision_lines *ret)
{
  struct revision_line *lines = arena_array(arena, rows->count + 1, sizeof *lines);
  int64_t until_ms = clock_monotonic_ms() + ASKING_MS;
  for (size_t i = 0; i < rows->count; i++) {
    lines[i].row = rows->items[i];
    const struct forge forge = forge_of(lines[i].row.url, arena);
    lines[i].commit_url = forge_commit(&forge, lines[i].row.commit, arena);
    lines[i].compare_url = STR("");
    tell_range(evaluations, &forge, arena, &until_ms, &lines[i]);
  }
  *ret = (struct revision_lines) { lines, rows->count };
}

/* ---- files ---- */

/* A place is told below its channel, which it does not name: the only one; or among
   several Guix's own by its folders, and otherwise the only other one. */
static const struct page_revisions_row *
channel_of_file(const struct page_revisions_rows *rows, struct str file)
{
  bool is_guix = str_starts(file, STR("gnu/")) || str_starts(file, STR("guix/"));
  const struct page_revisions_row *found = NULL;
  size_t others = 0;
  for (size_t i = 0; i < rows->count; i++) {
    bool names_guix = str_equal(rows->items[i].channel, STR("guix"));
    if (rows->count > 1 && names_guix != is_guix)
      continue;
    found = &rows->items[i];
    others++;
  }
  return others == 1 ? found : NULL;
}

struct str
revisions_file_url(const struct page_revisions_rows *rows, struct str file, int32_t line,
                   struct arena *arena)
{
  const struct page_revisions_row *channel = channel_of_file(rows, file);
  if (channel == NULL)
    return STR("");
  const struct forge forge = forge_of(channel->url, arena);
  return forge_file(&forge, channel->commit, file, line, arena);
}
