/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Keeps the numbers that lists show of an evaluation's jobs. A build that ends or begins
   again marks the evaluations that want it; those that are marked are counted, the newest
   first, on a thread that works a tenth of its time at most. One build may be wanted by years of
   evaluations: what people look at is not to wait for those. */
#include <errno.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "evaluation/comparison.h"
#include "evaluation/evaluation_private.h"
#include "evaluation/evaluation_sql.h"
#include "events/events.h"

#define LOOK_MS 1000     /* from one look at the feed to the next */
#define IDLE_SHARE 9     /* after work, so many times as long as it took */
#define EVENTS_MOST 2000 /* of one look */
#define COUNTED_MOST 16  /* evaluations, between two looks */
#define COUNT_MS 250     /* so long the newest; then the oldest, for it not to wait for ever */

/* ---- which are to be counted ---- */

struct look
{
  struct arena arena;
  struct tally_place_row place;
  struct events_page page;
};

static int
read_feed(struct db *db, void *context, struct error *err)
{
  struct look *look = context;
  int r = tally_place(db, &look->place, err);
  if (r <= 0)
    return r < 0 ? r : error_set(err, -EPROTO, "there is no place in the feed");
  struct events_position after = { look->place.transaction, look->place.event };
  return events_read(db, after, STR("build."), EVENTS_MOST, &look->arena, &look->page, err);
}

/* A start changes nothing: the build was unfinished before. */
static int
mark(struct db *db, const struct look *look, struct error *err)
{
  CLEANUP_ARENA struct arena arena = { 0 };
  int64_t *ids = arena_array(&arena, look->page.count + 1, sizeof *ids);
  size_t count = 0;
  for (size_t i = 0; i < look->page.count; i++)
    if (!str_equal(look->page.items[i].kind, STR("build.started")))
      ids[count++] = look->page.items[i].subject;
  return count == 0 ? 0 : tally_mark(db, (struct db_i64s) { ids, count }, err);
}

/* The place first: of two processes one waits for the other, then finds it gone on. */
static int
write_look(struct db *db, void *context, struct error *err)
{
  const struct look *look = context;
  int r = tally_go_on(db, look->page.end.transaction, look->page.end.id, look->place.transaction,
                      look->place.event, err);
  if (r > 0)
    r = mark(db, look, err);
  return r < 0 ? r : 0;
}

/* 1 = more events follow. */
static int
look_at_feed(struct db_pool *pool, struct error *err)
{
  struct look look = { 0 };
  int r = db_pool_run(pool, DB_READ, read_feed, &look, err);
  bool moved =
      look.page.end.transaction != look.place.transaction || look.page.end.id != look.place.event;
  if (r == 0 && moved)
    r = db_pool_run(pool, DB_WRITE, write_look, &look, err);
  if (r == 0)
    r = moved && !look.page.whole;
  arena_free(&look.arena);
  return r;
}

/* ---- counting one ---- */

struct count
{
  int64_t id;
  bool changed;
};

/* For the overview, where they stay until they are mended. */
static int
note_broken(struct db *db, int64_t id, const struct comparison *comparison, int64_t *ret_count,
            struct error *err)
{
  CLEANUP_ARENA struct arena arena = { 0 };
  struct str *names = arena_array(&arena, comparison->jobs_count, sizeof *names);
  size_t count = 0;
  for (size_t i = 0; i < comparison->jobs_count; i++)
    if (comparison->changes[i] == JOB_BROKEN)
      names[count++] = comparison->jobs[i].name;
  *ret_count = (int64_t) count;
  return count == 0 ? 0 : tally_note_broken(db, id, (struct db_strs) { names, count }, err);
}

/* Jobs that are newly broken, and new errors. */
static int
count_news(struct db *db, int64_t id, const struct tally_count_row *counted, int64_t *ret_broken,
           int64_t *ret_errors, struct error *err)
{
  CLEANUP_ARENA struct arena arena = { 0 };
  struct changes_head_row head = { 0 };
  struct comparison *comparison = NULL;
  struct changes_errors_count_row errors = { 0 };
  *ret_broken = *ret_errors = 0;
  if (counted->failed == 0 && counted->errors == 0)
    return 0;
  int r = changes_head(db, NULL, id, &arena, &head, err);
  if (r <= 0 || head.against_null)
    return r < 0 ? r : 0;
  if (counted->failed > 0)
    r = comparison_read(db, id, head.against, &comparison, err);
  if (r >= 0 && comparison != NULL)
    r = note_broken(db, id, comparison, ret_broken, err);
  comparison_drop(comparison);
  if (r >= 0 && counted->errors > 0)
    r = changes_errors_count(db, id, head.against, &errors, err);
  *ret_errors = errors.added;
  return r < 0 ? r : 0;
}

static int
append_event(struct db *db, int64_t id, const struct tally_news_row *row, struct error *err)
{
  CLEANUP_BUF struct buf facts = { 0 };
  struct json json = json_begin(&facts);
  json_object_open(&json);
  json_put_text(&json, "specification", row->specification);
  json_put_text(&json, "outcome", row->outcome);
  json_put_text(&json, "summary", row->summary);
  json_object_close(&json);
  return events_append(db, "evaluation.counted", id, buf_str(&facts), err);
}

int
evaluation_count(struct db *db, int64_t evaluation_id, struct error *err)
{
  struct tally_count_row counted;
  int r = tally_count(db, evaluation_id, &counted, err);
  return r < 0 ? r : 0;
}

static int
count_again(struct db *db, void *context, struct error *err)
{
  CLEANUP_ARENA struct arena arena = { 0 };
  struct count *count = context;
  struct tally_take_row before;
  struct tally_count_row counted = { 0 };
  struct tally_news_row after;
  int64_t broken = 0, errors = 0;
  count->changed = false;
  int r = tally_take(db, count->id, &arena, &before, err);
  if (r <= 0)
    return r; /* gone, or another process has */
  r = tally_count(db, count->id, &counted, err);
  if (r > 0)
    r = count_news(db, count->id, &counted, &broken, &errors, err);
  if (r >= 0)
    r = tally_forget_mended(db, count->id, err);
  if (r >= 0)
    r = tally_news(db, (int32_t) broken, (int32_t) errors, count->id, &arena, &after, err);
  if (r <= 0 || (str_equal(before.summary, after.summary) && before.broken == broken))
    return r < 0 ? r : 0;
  count->changed = true;
  return append_event(db, count->id, &after, err);
}

/* ---- the thread ---- */

struct uncounted
{
  int64_t ids[COUNTED_MOST + 1];
  size_t count;
};

static int
read_uncounted(struct db *db, void *context, struct error *err)
{
  CLEANUP_ARENA struct arena arena = { 0 };
  struct uncounted *ret = context;
  struct tally_uncounted_rows rows = { 0 };
  int r = tally_uncounted(db, COUNTED_MOST, &arena, &rows, err);
  ret->count = rows.count;
  for (size_t i = 0; i < rows.count; i++)
    ret->ids[i] = rows.items[i].id;
  return r;
}

/* 1 = there may be more. */
static int
count_some(struct evaluations *evaluations, struct error *err)
{
  struct db_pool *pool = evaluations->options.pool;
  struct uncounted uncounted = { 0 };
  bool changed = false, is_cut = false;
  int r = db_pool_run(pool, DB_READ, read_uncounted, &uncounted, err);
  int64_t until = clock_monotonic_ms() + COUNT_MS;
  for (size_t i = 0; r == 0 && i < uncounted.count && !evaluations->stopping; i++) {
    if (i > 0 && i + 1 < uncounted.count && clock_monotonic_ms() >= until) {
      is_cut = true;
      i = uncounted.count - 1;
    }
    struct count count = { .id = uncounted.ids[i] };
    r = db_pool_run(pool, DB_WRITE, count_again, &count, err);
    changed = changed || (r == 0 && count.changed);
  }
  if (changed)
    evaluations_wake_feeds(evaluations);
  return r < 0 ? r : is_cut || uncounted.count >= COUNTED_MOST;
}

void *
evaluation_tallier_main(void *context)
{
  struct evaluations *evaluations = context;
  while (!evaluations->stopping) {
    unsigned seen = evaluations_seen(evaluations);
    struct error err = { 0 };
    evaluations_look_for_trouble(evaluations);
    int64_t begun = clock_monotonic_ms();
    int more = look_at_feed(evaluations->options.pool, &err);
    int r = more < 0 ? more : count_some(evaluations, &err);
    if (r < 0)
      log_failure("evaluation", &err, "cannot count the builds of evaluations");
    int64_t idle = IDLE_SHARE * (clock_monotonic_ms() - begun);
    bool at_once = r >= 0 && (more > 0 || r > 0);
    evaluations_pause(evaluations, seen, idle > LOOK_MS || at_once ? idle : LOOK_MS);
  }
  return NULL;
}
