/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "evaluation/comparison.h"

#include <errno.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/mem.h"

/* Shorter than live.js waits after an event: what it then fetches has that event's effect. */
#define FRESH_MS 300
/* Builds that succeeded hardly ever change: only when their outputs were lost. So no page
   waits for their states; they are read behind its back. */
#define ALL_FRESH_MS 10000
/* So many builds that have succeeded since are worth writing a roster again. */
#define SETTLED_MIN 250
#define JOBS_KEPT 400000 /* of all comparisons that are remembered */

/* ---- words ---- */

static const struct
{
  const char *name, *word;
  char letter;
} changes[JOB_CHANGE_MAX] = {
  [JOB_SAME] = { "same", "", '.' },        [JOB_BROKEN] = { "broken", "broken", 'b' },
  [JOB_FIXED] = { "fixed", "fixed", 'x' }, [JOB_FAILING] = { "failing", "still failing", 'f' },
  [JOB_ADDED] = { "added", "new", 'a' },   [JOB_REMOVED] = { "removed", "removed", 'r' },
};

const char *
job_change_name(enum job_change change)
{
  return changes[change].name;
}

const char *
job_change_word(enum job_change change)
{
  return changes[change].word;
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

/* ---- changes ---- */

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

/* Whether JOB has a build of its own in the other evaluation. */
static bool
has_other_before(const struct compared_job *job)
{
  return job->before_id != 0 && job->before_id != job->build_id;
}

/* All of them, or those that have not succeeded yet. */
static size_t
want_states(struct comparison *comparison, bool all, struct wanted *ret)
{
  size_t count = 0;
  for (size_t i = 0; i < comparison->jobs_count; i++) {
    const struct compared_job *job = &comparison->jobs[i];
    if (job->build_id != 0 && (all || comparison->states[i] != FARM_BUILD_SUCCEEDED))
      ret[count++] = (struct wanted) { job->build_id, &comparison->states[i] };
    if (has_other_before(job) && (all || comparison->before[i] != FARM_BUILD_SUCCEEDED))
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
  comparison->present = 0;
  memset(comparison->counts, 0, sizeof comparison->counts);
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

/* Asks for states, of succeeded builds too when ALL. May be repeated. */
static int
read_comparison(struct db *db, struct comparison *comparison, bool all, struct error *err)
{
  CLEANUP_FREE struct wanted *wanted = mem_array(2 * comparison->jobs_count, sizeof *wanted);
  size_t count = want_states(comparison, all, wanted);
  comparison->read_ms = clock_monotonic_ms();
  int r = read_states(db, wanted, count, err);
  if (r == 0)
    classify(comparison);
  return r;
}

/* Takes PAIRING over; no states yet. */
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

/* The same jobs with the states that OLD has. */
static struct comparison *
comparison_again(const struct comparison *old)
{
  old->pairing->references++;
  struct comparison *comparison = comparison_new(old->pairing, old->evaluation_id, old->against_id);
  memcpy(comparison->states, old->states, old->jobs_count * sizeof *old->states);
  memcpy(comparison->before, old->before, old->jobs_count * sizeof *old->before);
  return comparison;
}

/* With the states that the rosters have. */
static int
comparison_first(struct db *db, int64_t evaluation_id, int64_t against_id, struct comparison **ret,
                 struct error *err)
{
  struct pairing *pairing = NULL;
  int r = pairing_read(db, evaluation_id, against_id, &pairing, err);
  if (r < 0)
    return r;
  struct comparison *comparison = comparison_new(pairing, evaluation_id, against_id);
  for (size_t i = 0; i < pairing->count; i++) {
    comparison->states[i] = pairing->noted[i].state;
    comparison->before[i] = pairing->noted[i].before;
  }
  *ret = comparison;
  return 0;
}

/* ---- all states, behind the back of pages ---- */

struct refresh
{
  struct work work;
  struct comparison *comparison; /* nobody else's yet */
};

static int
read_all(struct db *db, void *context, struct error *err)
{
  const struct refresh *refresh = context;
  return read_comparison(db, refresh->comparison, true, err);
}

static int
write_rosters(struct db *db, void *context, struct error *err)
{
  const struct refresh *refresh = context;
  const struct comparison *comparison = refresh->comparison;
  int r = changes_roster_write(db, comparison->evaluation_id, err);
  if (r >= 0 && comparison->against_id != 0)
    r = changes_roster_write(db, comparison->against_id, err);
  return r < 0 ? r : 0;
}

/* Whether the next one that begins with the rosters should find them as they are now: they
   take a build for succeeded that is not any more, or leave too many to be asked for. */
static bool
is_worth_writing(const struct comparison *comparison)
{
  const struct pairing *pairing = comparison->pairing;
  size_t settled = 0;
  for (size_t i = 0; i < pairing->count; i++) {
    const struct noted_states *noted = &pairing->noted[i];
    bool was = noted->state == FARM_BUILD_SUCCEEDED, had = noted->before == FARM_BUILD_SUCCEEDED;
    bool is = comparison->states[i] == FARM_BUILD_SUCCEEDED;
    bool has = comparison->before[i] == FARM_BUILD_SUCCEEDED;
    if ((was && !is) || (had && !has))
      return true;
    settled += (is && !was) || (has && !had);
  }
  return !pairing->is_written || settled >= SETTLED_MIN;
}

static void
note_written(struct comparison *comparison)
{
  struct pairing *pairing = comparison->pairing;
  pairing->is_written = true;
  for (size_t i = 0; i < pairing->count; i++)
    pairing->noted[i] = (struct noted_states) { comparison->states[i], comparison->before[i] };
}

/* What fails here is tried again ALL_FRESH_MS later, if somebody looks then. */
static void
refresh_run(void *context, struct work *work, bool stopping)
{
  struct refresh *refresh = (struct refresh *) work;
  struct evaluations *evaluations = context;
  struct comparison *comparison = refresh->comparison;
  struct db_pool *pool = evaluations->options.pool;
  if (!stopping && db_pool_run(pool, DB_READ, read_all, refresh, NULL) == 0) {
    remember(evaluations, comparison);
    if (is_worth_writing(comparison)
        && db_pool_run(pool, DB_WRITE, write_rosters, refresh, NULL) == 0)
      note_written(comparison);
  }
  comparison_drop(comparison);
  free(refresh);
  evaluations->refreshing = false;
}

/* One at a time, for anybody may ask for any pair: the wish of others is dropped, and comes
   again with their next look. */
static void
refresh_later(struct evaluations *evaluations, const struct comparison *comparison)
{
  struct pairing *pairing = comparison->pairing;
  int64_t now = clock_monotonic_ms();
  if (now < pairing->refresh_at_ms || atomic_exchange(&evaluations->refreshing, true))
    return;
  pairing->refresh_at_ms = now + ALL_FRESH_MS;
  struct refresh *refresh = mem_alloc(sizeof *refresh);
  *refresh = (struct refresh) { .work = { .run = refresh_run },
                                .comparison = comparison_again(comparison) };
  work_pool_put(&evaluations->answers, &refresh->work);
}

/* ---- taking one ---- */

int
comparison_take(struct evaluations *evaluations, struct db *db, int64_t evaluation_id,
                int64_t against_id, struct comparison **ret, struct error *err)
{
  struct comparison *comparison = NULL;
  struct comparison *old = recall(evaluations, evaluation_id, against_id);
  if (old != NULL && clock_monotonic_ms() - old->read_ms < FRESH_MS) {
    *ret = old;
    return 0;
  }
  int r = 0;
  if (old != NULL)
    comparison = comparison_again(old);
  else
    r = comparison_first(db, evaluation_id, against_id, &comparison, err);
  comparison_drop(old);
  if (r == 0)
    r = read_comparison(db, comparison, false, err);
  if (r < 0) {
    comparison_drop(comparison);
    return r;
  }
  remember(evaluations, comparison);
  refresh_later(evaluations, comparison);
  *ret = comparison;
  return 0;
}

int
comparison_read(struct db *db, int64_t evaluation_id, int64_t against_id, struct comparison **ret,
                struct error *err)
{
  struct comparison *comparison = NULL;
  int r = comparison_first(db, evaluation_id, against_id, &comparison, err);
  if (r == 0)
    r = read_comparison(db, comparison, true, err);
  if (r < 0)
    comparison_drop(comparison);
  else
    *ret = comparison;
  return r;
}

/* ---- lists ---- */

const char *const comparison_page_kept[] = { "show", "name", "against", "sort", NULL };

int64_t
comparison_count(const struct comparison *comparison, const char *show)
{
  for (int i = 0; i < JOB_SHOWS; i++)
    if (strcmp(job_shows[i].name, show) == 0)
      return comparison->counts[i];
  return 0;
}

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

int
job_rank(int16_t state, enum job_change change)
{
  static const int ranks[FARM_BUILD_STATE_MAX] = {
    [FARM_BUILD_FAILED] = 1,  [FARM_BUILD_DEPENDENCY_FAILED] = 2, [FARM_BUILD_CANCELLED] = 3,
    [FARM_BUILD_RUNNING] = 4, [FARM_BUILD_WAITING] = 5,           [FARM_BUILD_SUCCEEDED] = 8,
  };
  if (change == JOB_BROKEN)
    return 0;
  if (state < 0)
    return JOB_RANKS - 1;
  if (state == FARM_BUILD_SUCCEEDED && change == JOB_FIXED)
    return 6;
  return state == FARM_BUILD_SUCCEEDED && change == JOB_ADDED ? 7 : ranks[state];
}

static int
rank_of(const struct comparison *comparison, size_t index)
{
  return job_rank(comparison->states[index], comparison->changes[index]);
}

static bool
is_behind(const struct comparison *comparison, size_t index, const struct comparison_page *page)
{
  const struct compared_job *job = &comparison->jobs[index];
  int order = str_compare(job->name, page->after_name);
  if (page->after_name.size == 0 && page->after_id == 0)
    return true;
  if (order == 0)
    order = (job->derivation_id > page->after_id) - (job->derivation_id < page->after_id);
  if (!page->by_rank)
    return page->falls ? order < 0 : order > 0;
  int further = rank_of(comparison, index) - page->after_rank;
  if (further != 0)
    return page->falls ? further < 0 : further > 0;
  return order > 0;
}

/* One walk through all jobs by name; of that rank alone, or of all when it is -1. False when the
   page is full and there are more. */
static bool
list_rank(const struct comparison *comparison, const struct comparison_page *page, int rank,
          size_t *ret, size_t *count)
{
  bool is_backwards = page->falls && !page->by_rank;
  for (size_t step = 0; step < comparison->jobs_count; step++) {
    size_t i = is_backwards ? comparison->jobs_count - 1 - step : step;
    if ((rank >= 0 && rank_of(comparison, i) != rank)
        || !comparison_shows(comparison, i, page->show) || !is_behind(comparison, i, page)
        || !contains(comparison->jobs[i].name, page->name))
      continue;
    if (*count == page->limit)
      return false;
    ret[(*count)++] = i;
  }
  return true;
}

size_t
comparison_list(const struct comparison *comparison, const struct comparison_page *page,
                size_t *ret, bool *ret_more)
{
  size_t count = 0;
  *ret_more = false;
  if (!page->by_rank)
    *ret_more = !list_rank(comparison, page, -1, ret, &count);
  for (int step = 0; step < JOB_RANKS && page->by_rank && !*ret_more; step++) {
    int rank = page->falls ? JOB_RANKS - 1 - step : step;
    *ret_more = !list_rank(comparison, page, rank, ret, &count);
  }
  return count;
}

static int
by_id(const void *left, const void *right)
{
  const int64_t *a = left;
  const int64_t *b = right;
  return (*a > *b) - (*a < *b);
}

size_t
comparison_failed(const struct comparison *comparison, const struct comparison_page *page,
                  int64_t *ret)
{
  CLEANUP_FREE int64_t *ids = mem_array(comparison->jobs_count + 1, sizeof *ids);
  size_t found = 0;
  size_t count = 0;
  for (size_t i = 0; i < comparison->jobs_count; i++) {
    int16_t state = comparison->states[i];
    if ((state == FARM_BUILD_FAILED || state == FARM_BUILD_DEPENDENCY_FAILED)
        && comparison_shows(comparison, i, page->show)
        && contains(comparison->jobs[i].name, page->name))
      ids[found++] = comparison->jobs[i].build_id;
  }
  qsort(ids, found, sizeof *ids, by_id);
  for (size_t i = 0; i < found; i++)
    if (i == 0 || ids[i] != ids[i - 1]) {
      if (ret != NULL)
        ret[count] = ids[i];
      count++;
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

struct str
comparison_rank_cursor(const struct comparison *comparison, size_t index, struct arena *arena)
{
  struct str cursor = comparison_cursor(comparison, index, arena);
  return str_of(arena_printf(arena, "%d/%.*s", rank_of(comparison, index), STR_FMT(cursor)));
}

int
comparison_cursor_parse(struct str cursor, struct comparison_page *ret, struct error *err)
{
  if (ret->by_rank && cursor.size > 0) {
    struct str rank;
    int64_t value = -1;
    struct str rest = cursor;
    if (!str_split(&rest, '/', &rank) || rest.data == NULL || str_to_i64(rank, &value) < 0
        || value < 0 || value >= JOB_RANKS)
      return error_set(err, -EINVAL, "\"%.*s\" is no place in this list", STR_FMT(cursor));
    ret->after_rank = (int) value;
    cursor = rest;
  }
  return evaluation_job_cursor(cursor, &ret->after_name, &ret->after_id, err);
}
