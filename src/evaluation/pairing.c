/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "evaluation/pairing.h"

#include <errno.h>
#include <stdlib.h>

#include "base/mem.h"

/* ---- a roster ---- */

static uint64_t
number_at(struct str bytes, size_t index, size_t size)
{
  uint64_t number = 0;
  for (size_t i = 0; i < size; i++)
    number = number << 8 | (unsigned char) bytes.data[index * size + i];
  return number;
}

int
roster_unpack(const struct changes_roster_row *row, struct arena *arena, struct roster *ret,
              struct error *err)
{
  struct str names = row->names;
  size_t count = row->build_ids.size / 8;
  *ret = (struct roster) { arena_array(arena, count, sizeof *ret->jobs), 0 };
  if (row->build_ids.size != 8 * count || row->derivation_ids.size != 8 * count
      || row->states.size != 2 * count)
    return error_set(err, -EPROTO, "a roster has columns of several lengths");
  for (struct roster_job *job = ret->jobs; ret->count < count; job++, ret->count++) {
    const char *end = names.size == 0 ? NULL : memchr(names.data, '\0', names.size);
    if (end == NULL)
      return error_set(err, -EPROTO, "a roster has too few names");
    job->name = str_make(names.data, (size_t) (end - names.data));
    job->derivation_id = (int64_t) number_at(row->derivation_ids, ret->count, 8);
    job->build_id = (int64_t) number_at(row->build_ids, ret->count, 8);
    job->state = (int16_t) number_at(row->states, ret->count, 2);
    names = str_from(names, job->name.size + 1);
  }
  return names.size == 0 ? 0 : error_set(err, -EPROTO, "a roster has too many names");
}

/* ---- two rosters as one list ---- */

enum side
{
  SIDE_NOW = 1,
  SIDE_BEFORE = 2,
  SIDE_BOTH = 3,
};

/* A derivation by a name in either evaluation, or in both. */
struct entry
{
  struct roster_job job;
  enum side side;
};

static int
by_name_and_derivation(const struct roster_job *a, const struct roster_job *b)
{
  int order = str_compare(a->name, b->name);
  return order != 0 ? order
                    : (a->derivation_id > b->derivation_id) - (a->derivation_id < b->derivation_id);
}

static size_t
merge(const struct roster *now, const struct roster *before, struct entry *ret)
{
  size_t count = 0;
  size_t i = 0, k = 0;
  while (i < now->count && k < before->count) {
    int order = by_name_and_derivation(&now->jobs[i], &before->jobs[k]);
    ret[count++] = order <= 0 ? (struct entry) { now->jobs[i], order < 0 ? SIDE_NOW : SIDE_BOTH }
                              : (struct entry) { before->jobs[k], SIDE_BEFORE };
    i += order <= 0;
    k += order >= 0;
  }
  for (; i < now->count; i++)
    ret[count++] = (struct entry) { now->jobs[i], SIDE_NOW };
  for (; k < before->count; k++)
    ret[count++] = (struct entry) { before->jobs[k], SIDE_BEFORE };
  return count;
}

/* ---- pairs ---- */

/* A job that only one side has. */
struct single
{
  int64_t build_id;
  const struct entry *entry;
};

struct pairs
{
  const struct entry *entries;
  struct single *now, *before;   /* of the name at hand */
  const struct entry **partners; /* of each entry: the job on the other side, or NULL */
};

static int
by_build(const void *left, const void *right)
{
  const struct single *a = left;
  const struct single *b = right;
  if (a->build_id != b->build_id)
    return a->build_id < b->build_id ? -1 : 1;
  return (a->entry > b->entry) - (a->entry < b->entry);
}

static int
by_entry(const void *left, const void *right)
{
  const struct single *a = left;
  const struct single *b = right;
  return (a->entry > b->entry) - (a->entry < b->entry);
}

static const struct entry **
partner_of(struct pairs *pairs, const struct entry *entry)
{
  return &pairs->partners[entry - pairs->entries];
}

static size_t
collect(const struct pairs *pairs, size_t first, size_t end, enum side side, struct single *ret)
{
  size_t count = 0;
  for (const struct entry *entry = pairs->entries + first; entry < pairs->entries + end; entry++)
    if (entry->side == side)
      ret[count++] = (struct single) { entry->job.build_id, entry };
  return count;
}

static void
join(struct pairs *pairs, const struct single *now, const struct single *before)
{
  *partner_of(pairs, now->entry) = before->entry;
  *partner_of(pairs, before->entry) = now->entry;
}

/* Those that have no partner, in their order. */
static size_t
keep_alone(struct pairs *pairs, struct single *singles, size_t count)
{
  size_t kept = 0;
  for (size_t i = 0; i < count; i++)
    if (*partner_of(pairs, singles[i].entry) == NULL)
      singles[kept++] = singles[i];
  qsort(singles, kept, sizeof *singles, by_entry);
  return kept;
}

/* Entries FIRST to END have one name. */
static void
pair_name(struct pairs *pairs, size_t first, size_t end)
{
  size_t now = collect(pairs, first, end, SIDE_NOW, pairs->now);
  size_t before = collect(pairs, first, end, SIDE_BEFORE, pairs->before);
  if (now == 0 || before == 0)
    return;
  qsort(pairs->now, now, sizeof *pairs->now, by_build);
  qsort(pairs->before, before, sizeof *pairs->before, by_build);
  for (size_t i = 0, k = 0; i < now && k < before;)
    if (pairs->now[i].build_id == pairs->before[k].build_id)
      join(pairs, &pairs->now[i++], &pairs->before[k++]);
    else if (pairs->now[i].build_id < pairs->before[k].build_id)
      i++;
    else
      k++;
  now = keep_alone(pairs, pairs->now, now);
  before = keep_alone(pairs, pairs->before, before);
  for (size_t i = 0; i < now && i < before; i++)
    join(pairs, &pairs->now[i], &pairs->before[i]);
}

/* Of a pair one job is told, that of the newer evaluation. */
static size_t
tell_pairs(struct pairs *pairs, size_t count, struct compared_job *ret, struct noted_states *noted)
{
  size_t told = 0;
  for (size_t i = 0; i < count; i++) {
    const struct entry *entry = &pairs->entries[i];
    const struct entry *partner = pairs->partners[i];
    if (entry->side == SIDE_BEFORE && partner != NULL)
      continue;
    const struct roster_job *now = entry->side == SIDE_BEFORE ? NULL : &entry->job;
    const struct entry *earlier = entry->side == SIDE_NOW ? partner : entry;
    const struct roster_job *before = earlier != NULL ? &earlier->job : NULL;
    ret[told] = (struct compared_job) {
      .name = entry->job.name,
      .derivation_id = entry->job.derivation_id,
      .build_id = now != NULL ? now->build_id : 0,
      .before_id = before != NULL ? before->build_id : 0,
    };
    noted[told++] = (struct noted_states) {
      .state = now != NULL ? now->state : -1,
      .before = before != NULL ? before->state : -1,
    };
  }
  return told;
}

size_t
rosters_pair(const struct roster *now, const struct roster *before, struct compared_job *ret,
             struct noted_states *noted)
{
  size_t most = now->count + before->count;
  CLEANUP_FREE struct entry *entries = mem_array(most, sizeof *entries);
  size_t count = merge(now, before, entries);
  CLEANUP_FREE struct single *singles = mem_array(2 * count, sizeof *singles);
  CLEANUP_FREE const struct entry **partners = mem_array(count, sizeof *partners);
  struct pairs pairs = { entries, singles, singles + count, partners };
  size_t first = 0;
  for (size_t end = 1; end <= count; end++)
    if (end == count || !str_equal(entries[end].job.name, entries[first].job.name)) {
      pair_name(&pairs, first, end);
      first = end;
    }
  return tell_pairs(&pairs, count, ret, noted);
}

/* ---- reading ---- */

/* Evaluation 0 has no jobs. */
static int
read_roster(struct db *db, int64_t evaluation_id, struct pairing *pairing, struct roster *ret,
            struct error *err)
{
  struct changes_roster_row row = { 0 };
  *ret = (struct roster) { 0 };
  if (evaluation_id == 0)
    return 0;
  int r = changes_roster(db, evaluation_id, &pairing->arena, &row, err);
  if (r == 0) {
    struct changes_roster_made_row made = { 0 };
    pairing->is_written = false;
    r = changes_roster_made(db, evaluation_id, &pairing->arena, &made, err);
    row = (struct changes_roster_row) { made.names, made.derivation_ids, made.build_ids,
                                        made.states };
  }
  return r < 0 ? r : roster_unpack(&row, &pairing->arena, ret, err);
}

static int
read_rosters(struct db *db, int64_t evaluation_id, int64_t against_id, struct pairing *pairing,
             struct error *err)
{
  struct roster now, before;
  int r = read_roster(db, evaluation_id, pairing, &now, err);
  if (r == 0)
    r = read_roster(db, against_id, pairing, &before, err);
  if (r < 0)
    return r;
  size_t most = now.count + before.count;
  pairing->jobs = arena_array(&pairing->arena, most, sizeof *pairing->jobs);
  pairing->noted = arena_array(&pairing->arena, most, sizeof *pairing->noted);
  pairing->count = rosters_pair(&now, &before, pairing->jobs, pairing->noted);
  return 0;
}

int
pairing_read(struct db *db, int64_t evaluation_id, int64_t against_id, struct pairing **ret,
             struct error *err)
{
  struct pairing *pairing = mem_alloc(sizeof *pairing);
  pairing->references = 1;
  pairing->is_written = true;
  int r = read_rosters(db, evaluation_id, against_id, pairing, err);
  if (r < 0)
    pairing_drop(pairing);
  else
    *ret = pairing;
  return r;
}

void
pairing_drop(struct pairing *pairing)
{
  if (pairing == NULL || atomic_fetch_sub(&pairing->references, 1) > 1)
    return;
  arena_free(&pairing->arena);
  free(pairing);
}
