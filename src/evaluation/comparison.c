/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "evaluation/comparison.h"

#include <errno.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/mem.h"

/* Shorter than live.js waits after an event: what it then fetches has that event's effect. */
#define FRESH_MS 300
/* Builds that succeeded hardly ever change: only when their outputs were lost. */
#define ALL_FRESH_MS 10000
#define JOBS_KEPT 400000 /* of all comparisons that are remembered */

/* ---- words ---- */

static const struct
{
  const char *name;
  char letter;
} changes[JOB_CHANGE_MAX] = {
  [JOB_SAME] = { "same", '.' },   [JOB_BROKEN] = { "broken", 'b' },
  [JOB_FIXED] = { "fixed", 'x' }, [JOB_FAILING] = { "failing", 'f' },
  [JOB_ADDED] = { "added", 'a' }, [JOB_REMOVED] = { "removed", 'r' },
};

const char *
job_change_name(enum job_change change)
{
  return changes[change].name;
}

char
job_change_letter(enum job_change change)
{
  return changes[change].letter;
}

char
job_state_letter(int16_t state)
{
  static const char letters[] = "wrsfdc";
  return state >= 0 && state < FARM_BUILD_STATE_MAX ? letters[state] : '-';
}

#define CHANGE(change) (1u << JOB_##change)
#define STATE(state) (1u << FARM_BUILD_##state)

const struct job_show job_shows[JOB_SHOWS] = {
  { "broken", CHANGE(BROKEN), 0 },
  { "fixed", CHANGE(FIXED), 0 },
  { "failing", CHANGE(FAILING), 0 },
  { "added", CHANGE(ADDED), 0 },
  { "removed", CHANGE(REMOVED), 0 },
  { "changed", CHANGE(BROKEN) | CHANGE(FIXED) | CHANGE(ADDED) | CHANGE(REMOVED), 0 },
  { "unfinished", 0, STATE(WAITING) | STATE(RUNNING) },
  { "waiting", 0, STATE(WAITING) },
  { "running", 0, STATE(RUNNING) },
  { "succeeded", 0, STATE(SUCCEEDED) },
  { "failed", 0, STATE(FAILED) },
  { "dependency-failed", 0, STATE(DEPENDENCY_FAILED) },
  { "cancelled", 0, STATE(CANCELLED) },
};

int
job_show_parse(struct str name, int *ret, struct error *err)
{
  *ret = -1;
  if (name.size == 0)
    return 0;
  for (int i = 0; i < JOB_SHOWS; i++)
    if (str_equal(name, str_of(job_shows[i].name))) {
      *ret = i;
      return 0;
    }
  return error_set(err, -EINVAL, "no jobs are called \"%.*s\"", STR_FMT(name));
}

/* ---- pairing ---- */

enum side
{
  SIDE_NOW = 1,
  SIDE_BEFORE = 2,
  SIDE_BOTH = 3,
};

/* A job that only one side has. */
struct single
{
  int64_t build_id;
  size_t row;
};

struct pairs
{
  const struct changes_pair_row *rows;
  struct single *now, *before; /* of the name at hand */
  int64_t *partner;            /* of each row: the build on the other side; 0 = none */
};

static int
by_build(const void *left, const void *right)
{
  const struct single *a = left;
  const struct single *b = right;
  if (a->build_id != b->build_id)
    return a->build_id < b->build_id ? -1 : 1;
  return (a->row > b->row) - (a->row < b->row);
}

static int
by_row(const void *left, const void *right)
{
  const struct single *a = left;
  const struct single *b = right;
  return (a->row > b->row) - (a->row < b->row);
}

static size_t
collect(const struct pairs *pairs, size_t first, size_t end, enum side side, struct single *ret)
{
  size_t count = 0;
  for (size_t i = first; i < end; i++)
    if (pairs->rows[i].side == (int32_t) side)
      ret[count++] = (struct single) { pairs->rows[i].build_id, i };
  return count;
}

static void
join(struct pairs *pairs, const struct single *now, const struct single *before)
{
  pairs->partner[now->row] = before->build_id;
  pairs->partner[before->row] = now->build_id;
}

/* Those that have no partner, in order of their rows. */
static size_t
keep_alone(const struct pairs *pairs, struct single *singles, size_t count)
{
  size_t kept = 0;
  for (size_t i = 0; i < count; i++)
    if (pairs->partner[singles[i].row] == 0)
      singles[kept++] = singles[i];
  qsort(singles, kept, sizeof *singles, by_row);
  return kept;
}

/* Rows FIRST to END have one name. */
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

/* Of a pair one row is told, that of the newer evaluation. */
static size_t
tell_pairs(const struct pairs *pairs, size_t count, struct compared_job *ret)
{
  size_t told = 0;
  for (size_t i = 0; i < count; i++) {
    const struct changes_pair_row *row = &pairs->rows[i];
    if (row->side == SIDE_BEFORE && pairs->partner[i] != 0)
      continue;
    ret[told++] = (struct compared_job) {
      .name = row->name,
      .derivation_id = row->derivation_id,
      .build_id = row->side == SIDE_BEFORE ? 0 : row->build_id,
      .before_id = row->side == SIDE_NOW ? pairs->partner[i] : row->build_id,
    };
  }
  return told;
}

size_t
jobs_pair(const struct changes_pair_row *rows, size_t count, struct compared_job *ret)
{
  CLEANUP_FREE struct single *now = mem_array(count, sizeof *now);
  CLEANUP_FREE struct single *before = mem_array(count, sizeof *before);
  CLEANUP_FREE int64_t *partner = mem_array(count, sizeof *partner);
  struct pairs pairs = { rows, now, before, partner };
  size_t first = 0;
  for (size_t end = 1; end <= count; end++)
    if (end == count || !str_equal(rows[end].name, rows[first].name)) {
      pair_name(&pairs, first, end);
      first = end;
    }
  return tell_pairs(&pairs, count, ret);
}

enum job_change
job_change_of(int16_t state, int16_t before)
{
  bool fails = state == FARM_BUILD_FAILED || state == FARM_BUILD_DEPENDENCY_FAILED;
  bool failed = before == FARM_BUILD_FAILED || before == FARM_BUILD_DEPENDENCY_FAILED;
  if (state < 0)
    return JOB_REMOVED;
  if (before < 0)
    return JOB_ADDED;
  if (fails && before == FARM_BUILD_SUCCEEDED)
    return JOB_BROKEN;
  if (state == FARM_BUILD_SUCCEEDED && failed)
    return JOB_FIXED;
  return fails && failed ? JOB_FAILING : JOB_SAME;
}

/* ---- what is remembered ---- */

/* What never changes of a comparison. */
struct pairing
{
  atomic_int references;
  struct arena arena;
  struct compared_job *jobs;
  size_t count;
};

static void
pairing_drop(struct pairing *pairing)
{
  if (pairing == NULL || atomic_fetch_sub(&pairing->references, 1) > 1)
    return;
  arena_free(&pairing->arena);
  free(pairing);
}

static int
pairing_read(struct db *db, int64_t evaluation_id, int64_t against_id, struct pairing **ret,
             struct error *err)
{
  struct pairing *pairing = mem_alloc(sizeof *pairing);
  struct changes_pair_rows rows;
  pairing->references = 1;
  int r = changes_pair(db, evaluation_id, against_id, &pairing->arena, &rows, err);
  if (r < 0) {
    pairing_drop(pairing);
    return r;
  }
  pairing->jobs = arena_array(&pairing->arena, rows.count, sizeof *pairing->jobs);
  pairing->count = jobs_pair(rows.items, rows.count, pairing->jobs);
  *ret = pairing;
  return 0;
}

void
comparison_drop(struct comparison *comparison)
{
  if (comparison == NULL || atomic_fetch_sub(&comparison->references, 1) > 1)
    return;
  pairing_drop(comparison->pairing);
  free(comparison->states);
  free(comparison->before);
  free(comparison->changes);
  free(comparison);
}

static bool
is_of(const struct comparison *comparison, int64_t evaluation_id, int64_t against_id)
{
  return comparison != NULL && comparison->evaluation_id == evaluation_id
         && comparison->against_id == against_id;
}

static struct comparison *
recall(struct evaluations *evaluations, int64_t evaluation_id, int64_t against_id)
{
  struct comparison *found = NULL;
  pthread_mutex_lock(&evaluations->lock);
  for (size_t i = 0; i < COMPARISONS_KEPT && found == NULL; i++)
    if (is_of(evaluations->comparisons[i], evaluation_id, against_id)) {
      found = evaluations->comparisons[i];
      found->references++;
    }
  pthread_mutex_unlock(&evaluations->lock);
  return found;
}

/* In front; one of the same pair goes, and at the end what is too much. */
static void
remember(struct evaluations *evaluations, struct comparison *comparison)
{
  struct comparison *row[COMPARISONS_KEPT + 1] = { comparison };
  struct comparison *dropped[COMPARISONS_KEPT + 1];
  size_t count = 1;
  size_t dropped_count = 0;
  size_t jobs = comparison->jobs_count;
  comparison->references++;
  pthread_mutex_lock(&evaluations->lock);
  for (size_t i = 0; i < COMPARISONS_KEPT; i++) {
    struct comparison *old = evaluations->comparisons[i];
    if (old == NULL)
      continue;
    jobs += old->jobs_count;
    if (is_of(old, comparison->evaluation_id, comparison->against_id) || jobs > JOBS_KEPT
        || count == COMPARISONS_KEPT)
      dropped[dropped_count++] = old;
    else
      row[count++] = old;
  }
  memset(evaluations->comparisons, 0, sizeof evaluations->comparisons);
  memcpy(evaluations->comparisons, row, count * sizeof(struct comparison *));
  pthread_mutex_unlock(&evaluations->lock);
  for (size_t i = 0; i < dropped_count; i++)
    comparison_drop(dropped[i]);
}

void
comparisons_expire(struct evaluations *evaluations)
{
  pthread_mutex_lock(&evaluations->lock);
  for (size_t i = 0; i < COMPARISONS_KEPT; i++) {
    comparison_drop(evaluations->comparisons[i]);
    evaluations->comparisons[i] = NULL;
  }
  pthread_mutex_unlock(&evaluations->lock);
}

/* ---- the states ---- */

/* A build whose state is wanted, and where it goes. */
struct wanted
{
  int64_t build_id;
  int16_t *state;
};

static int
by_wanted_build(const void *left, const void *right)
{
  const struct wanted *a = left;
  const struct wanted *b = right;
  return (a->build_id > b->build_id) - (a->build_id < b->build_id);
}

/* OLD: from before; NULL = none. */
static size_t
want_states(struct comparison *comparison, const struct comparison *old, struct wanted *ret)
{
  size_t count = 0;
  for (size_t i = 0; i < comparison->jobs_count; i++) {
    const struct compared_job *job = &comparison->jobs[i];
    comparison->states[i] = job->build_id == 0 ? -1 : old != NULL ? old->states[i] : 0;
    comparison->before[i] = job->before_id == 0 ? -1 : old != NULL ? old->before[i] : 0;
    if (job->build_id != 0 && comparison->states[i] != FARM_BUILD_SUCCEEDED)
      ret[count++] = (struct wanted) { job->build_id, &comparison->states[i] };
    if (job->before_id != 0 && job->before_id != job->build_id
        && comparison->before[i] != FARM_BUILD_SUCCEEDED)
      ret[count++] = (struct wanted) { job->before_id, &comparison->before[i] };
  }
  return count;
}

/* In order of their ids, as they lie in the table. */
static int
read_states(struct db *db, struct wanted *wanted, size_t count, struct error *err)
{
  CLEANUP_ARENA struct arena arena = { 0 };
  struct changes_states_row row;
  int64_t *ids = arena_array(&arena, count + 1, sizeof *ids);
  qsort(wanted, count, sizeof *wanted, by_wanted_build);
  for (size_t i = 0; i < count; i++)
    ids[i] = wanted[i].build_id;
  int r = count == 0 ? 0 : changes_states(db, (struct db_i64s) { ids, count }, &arena, &row, err);
  if (r < 0 || count == 0)
    return r;
  if (row.states.count != count)
    return error_set(err, -EPROTO, "the states of %zu builds are not %zu", count, row.states.count);
  for (size_t i = 0; i < count; i++)
    *wanted[i].state = row.states.items[i];
  return 0;
}

static void
classify(struct comparison *comparison)
{
  for (size_t i = 0; i < comparison->jobs_count; i++) {
    const struct compared_job *job = &comparison->jobs[i];
    if (job->before_id != 0 && job->before_id == job->build_id)
      comparison->before[i] = comparison->states[i];
    comparison->changes[i] =
        comparison->against_id == 0
            ? JOB_SAME
            : (uint8_t) job_change_of(comparison->states[i], comparison->before[i]);
    comparison->present += job->build_id != 0;
    for (int show = 0; show < JOB_SHOWS; show++)
      comparison->counts[show] += comparison_shows(comparison, i, show);
  }
}

static struct comparison *
comparison_new(struct pairing *pairing, int64_t evaluation_id, int64_t against_id)
{
  struct comparison *comparison = mem_alloc(sizeof *comparison);
  size_t count = pairing != NULL ? pairing->count : 0;
  *comparison = (struct comparison) {
    .references = 1,
    .pairing = pairing,
    .evaluation_id = evaluation_id,
    .against_id = against_id,
    .jobs = pairing != NULL ? pairing->jobs : NULL,
    .jobs_count = count,
    .states = mem_array(count, sizeof(int16_t)),
    .before = mem_array(count, sizeof(int16_t)),
    .changes = mem_array(count, sizeof(uint8_t)),
  };
  return comparison;
}

struct comparison *
comparison_empty(int64_t evaluation_id)
{
  return comparison_new(NULL, evaluation_id, 0);
}

/* A new one with the states as they are now; takes PAIRING over. */
static int
comparison_read(struct db *db, const struct comparison *old, struct comparison *comparison,
                struct error *err)
{
  int64_t now = clock_monotonic_ms();
  bool all = old == NULL || now - old->all_read_ms >= ALL_FRESH_MS;
  CLEANUP_FREE struct wanted *wanted = mem_array(2 * comparison->jobs_count, sizeof *wanted);
  size_t count = want_states(comparison, all ? NULL : old, wanted);
  comparison->read_ms = now;
  comparison->all_read_ms = all ? now : old->all_read_ms;
  int r = read_states(db, wanted, count, err);
  if (r == 0)
    classify(comparison);
  return r;
}

int
comparison_take(struct evaluations *evaluations, struct db *db, int64_t evaluation_id,
                int64_t against_id, struct comparison **ret, struct error *err)
{
  struct comparison *old = recall(evaluations, evaluation_id, against_id);
  struct pairing *pairing = old != NULL ? old->pairing : NULL;
  if (old != NULL && clock_monotonic_ms() - old->read_ms < FRESH_MS) {
    *ret = old;
    return 0;
  }
  int r = old != NULL ? 0 : pairing_read(db, evaluation_id, against_id, &pairing, err);
  if (r < 0)
    return r;
  if (old != NULL)
    pairing->references++;
  struct comparison *comparison = comparison_new(pairing, evaluation_id, against_id);
  r = comparison_read(db, old, comparison, err);
  comparison_drop(old);
  if (r < 0) {
    comparison_drop(comparison);
    return r;
  }
  remember(evaluations, comparison);
  *ret = comparison;
  return 0;
}

/* ---- lists ---- */

bool
comparison_shows(const struct comparison *comparison, size_t index, int show)
{
  int16_t state = comparison->states[index];
  if (show < 0)
    return state >= 0;
  const struct job_show *wanted = &job_shows[show];
  return (wanted->changes >> comparison->changes[index] & 1) != 0
         || (state >= 0 && (wanted->states >> state & 1) != 0);
}

static char
folded(char c)
{
  return c >= 'A' && c <= 'Z' ? (char) (c + ('a' - 'A')) : c;
}

/* Capital letters of ASCII count as small ones. */
static bool
contains(struct str text, struct str part)
{
  for (size_t start = 0; start + part.size <= text.size; start++) {
    size_t same = 0;
    while (same < part.size && folded(text.data[start + same]) == folded(part.data[same]))
      same++;
    if (same == part.size)
      return true;
  }
  return false;
}

static bool
is_behind(const struct compared_job *job, const struct comparison_page *page)
{
  int order = str_compare(job->name, page->after_name);
  return order > 0 || (order == 0 && job->derivation_id > page->after_id);
}

size_t
comparison_list(const struct comparison *comparison, const struct comparison_page *page,
                size_t *ret, bool *ret_more)
{
  size_t count = 0;
  *ret_more = false;
  for (size_t i = 0; i < comparison->jobs_count && !*ret_more; i++) {
    const struct compared_job *job = &comparison->jobs[i];
    if (!is_behind(job, page) || !comparison_shows(comparison, i, page->show)
        || !contains(job->name, page->name))
      continue;
    *ret_more = count == page->limit;
    if (!*ret_more)
      ret[count++] = i;
  }
  return count;
}

struct str
comparison_cursor(const struct comparison *comparison, size_t index, struct arena *arena)
{
  const struct compared_job *job = &comparison->jobs[index];
  return str_of(
      arena_printf(arena, "%.*s/%lld", STR_FMT(job->name), (long long) job->derivation_id));
}
