/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What came between two commits: told by the clone, and remembered, for it never
   changes. */
#include <errno.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "channels/channels_private.h"

/* ---- remembering ---- */

static void
copy_range(const struct channels_range *range, struct arena *arena, struct channels_range *ret)
{
  struct channels_commit *items = arena_array(arena, range->count, sizeof *items);
  for (size_t i = 0; i < range->count; i++) {
    items[i] = range->items[i];
    items[i].commit = arena_str(arena, items[i].commit);
    items[i].author = arena_str(arena, items[i].author);
    items[i].subject = arena_str(arena, items[i].subject);
  }
  *ret = (struct channels_range) { range->total, items, range->count };
}

static bool
recall(struct channels *channels, int64_t repository_id, struct str from, struct str to,
       struct arena *arena, struct channels_range *ret)
{
  bool known = false;
  pthread_mutex_lock(&channels->lock);
  for (size_t i = 0; i < RANGES_KEPT && !known; i++) {
    const struct known_range *range = &channels->ranges[i];
    known = range->from.size > 0 && range->repository_id == repository_id
            && str_equal(range->from, from) && str_equal(range->to, to);
    if (known)
      copy_range(&range->range, arena, ret);
  }
  pthread_mutex_unlock(&channels->lock);
  return known;
}

static void
remember(struct channels *channels, int64_t repository_id, struct str from, struct str to,
         const struct channels_range *range)
{
  pthread_mutex_lock(&channels->lock);
  struct known_range *place = &channels->ranges[channels->next_range++ % RANGES_KEPT];
  arena_free(&place->arena);
  *place = (struct known_range) { .repository_id = repository_id };
  place->from = arena_str(&place->arena, from);
  place->to = arena_str(&place->arena, to);
  copy_range(range, &place->arena, &place->range);
  pthread_mutex_unlock(&channels->lock);
}

void
channels_forget_ranges(struct channels *channels)
{
  for (size_t i = 0; i < RANGES_KEPT; i++)
    arena_free(&channels->ranges[i].arena);
}

/* ---- asking ---- */

#define TOO_FAR (-1)       /* as total: git took too long over it, and would again */
#define ASKING_WAIT_MS 200 /* for somebody else's question: most take less */

static struct str
mended(struct arena *arena, struct str text)
{
  char *copy = arena_printf(arena, "%.*s", STR_FMT(text));
  str_mend_utf8(copy);
  return str_of(copy);
}

static int
ask_clone(const struct channels *channels, int64_t repository_id, const char *from, const char *to,
          struct arena *arena, struct channels_range *ret, struct error *err)
{
  CLEANUP_FREE char *clone = channels_clone_folder(channels, repository_id);
  if (!file_exists(clone))
    return error_set(err, -ENOENT, "there is no clone");
  struct git_range range;
  int r = git_read_range(clone, from, to, CHANNELS_RANGE_SHOWN, arena, &range, err);
  if (r < 0)
    return r;
  struct channels_commit *items = arena_array(arena, range.count, sizeof *items);
  for (size_t i = 0; i < range.count; i++)
    items[i] = (struct channels_commit) {
      .commit = range.items[i].commit,
      .author = mended(arena, range.items[i].details.author),
      .subject = mended(arena, range.items[i].details.subject),
      .committed_at = range.items[i].details.committed_s * CLOCK_US_PER_S,
    };
  *ret = (struct channels_range) { range.total, items, range.count };
  return 0;
}

static bool
begin_asking(struct channels *channels)
{
  struct timespec until;
  clock_gettime(CLOCK_MONOTONIC, &until);
  until.tv_nsec += ASKING_WAIT_MS * 1000000L;
  until.tv_sec += until.tv_nsec / 1000000000L;
  until.tv_nsec %= 1000000000L;
  return pthread_mutex_clocklock(&channels->asking, CLOCK_MONOTONIC, &until) == 0;
}

int
channels_range(struct channels *channels, int64_t repository_id, struct str from, struct str to,
               int64_t until_ms, struct arena *arena, struct channels_range *ret, struct error *err)
{
  *ret = (struct channels_range) { 0 };
  int r = channels_check_commit(from, err);
  if (r == 0)
    r = channels_check_commit(to, err);
  if (r < 0)
    return r;
  if (recall(channels, repository_id, from, to, arena, ret))
    return ret->total != TOO_FAR ? 0 : error_set(err, -ETIMEDOUT, "too much came between");
  if (clock_monotonic_ms() >= until_ms || !begin_asking(channels))
    return error_set(err, -EBUSY, "too many ask what came between commits");
  r = ask_clone(channels, repository_id, arena_str(arena, from).data, arena_str(arena, to).data,
                arena, ret, err);
  pthread_mutex_unlock(&channels->asking);
  if (r == -ETIMEDOUT)
    *ret = (struct channels_range) { .total = TOO_FAR };
  if (r == 0 || r == -ETIMEDOUT)
    remember(channels, repository_id, from, to, ret);
  return r;
}
