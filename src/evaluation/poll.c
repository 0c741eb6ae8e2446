/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Looking at the channels of specifications whose period has passed, or that
   somebody asked for; a new tip makes an evaluation. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "evaluation/evaluation_private.h"
#include "evaluation/evaluation_sql.h"

#define IDLE_MS 5000 /* another process may have added a specification */
#define ERROR_MS 5000

struct poll
{
  struct evaluations *evaluations;
  struct arena arena;
  struct polled listed; /* its id is the specification's; 0 = nothing to do */
  struct str name;
  struct str definition;
  struct specification specification;
  struct channels_tip *tips;
  int64_t polled_at;    /* when it was claimed */
  int64_t requested_at; /* the request that this poll answers; 0 = none */
  bool made;            /* an evaluation */
};

/* ---- claiming ---- */

static struct db_i64s
list_polled(struct evaluations *evaluations, struct arena *arena)
{
  size_t count = 0;
  pthread_mutex_lock(&evaluations->lock);
  for (const struct polled *polled = evaluations->polled; polled != NULL; polled = polled->next)
    count++;
  int64_t *ids = arena_array(arena, count + 1, sizeof *ids);
  count = 0;
  for (const struct polled *polled = evaluations->polled; polled != NULL; polled = polled->next)
    ids[count++] = polled->id;
  pthread_mutex_unlock(&evaluations->lock);
  return (struct db_i64s) { ids, count };
}

static int
claim(struct db *db, void *context, struct error *err)
{
  struct poll *poll = context;
  struct specification_claim_row row;
  int r = specification_claim(db, list_polled(poll->evaluations, &poll->arena), &poll->arena, &row,
                              err);
  poll->listed.id = r == 1 ? row.id : 0;
  if (r <= 0)
    return r;
  poll->name = row.name;
  poll->definition = row.definition;
  poll->polled_at = row.polled_at;
  poll->requested_at = row.requested_at_null ? 0 : row.requested_at;
  return 0;
}

static bool
claim_next(struct poll *poll)
{
  struct evaluations *evaluations = poll->evaluations;
  struct error err = { 0 };
  pthread_mutex_lock(&evaluations->claiming);
  int r = db_pool_run(evaluations->options.pool, DB_WRITE, claim, poll, &err);
  bool found = r == 0 && poll->listed.id != 0;
  if (found) {
    pthread_mutex_lock(&evaluations->lock);
    poll->listed.next = evaluations->polled;
    evaluations->polled = &poll->listed;
    pthread_mutex_unlock(&evaluations->lock);
  }
  pthread_mutex_unlock(&evaluations->claiming);
  return found;
}

static void
unlist(struct poll *poll)
{
  struct evaluations *evaluations = poll->evaluations;
  pthread_mutex_lock(&evaluations->lock);
  struct polled **link = &evaluations->polled;
  while (*link != &poll->listed)
    link = &(*link)->next;
  *link = poll->listed.next;
  pthread_mutex_unlock(&evaluations->lock);
}

struct waiting
{
  struct evaluations *evaluations;
  int64_t wait_ms;
};

static int
ask_wait(struct db *db, void *context, struct error *err)
{
  CLEANUP_ARENA struct arena arena = { 0 };
  struct waiting *waiting = context;
  struct specification_next_due_row row;
  int r = specification_next_due(db, list_polled(waiting->evaluations, &arena), &row, err);
  if (r == 1 && !row.wait_ms_null && row.wait_ms < waiting->wait_ms)
    waiting->wait_ms = row.wait_ms;
  return r < 0 ? r : 0;
}

static int64_t
wait_until_due(struct evaluations *evaluations)
{
  struct waiting waiting = { evaluations, IDLE_MS };
  if (db_pool_run(evaluations->options.pool, DB_READ, ask_wait, &waiting, NULL) < 0)
    return ERROR_MS;
  return waiting.wait_ms < 50 ? 50 : waiting.wait_ms;
}

/* ---- what a poll leads to ---- */

static bool
is_unchanged(const struct poll *poll, const struct evaluation_newest_row *newest)
{
  size_t count = poll->specification.channels_count;
  if (!newest->same_definition || newest->revision_ids.count != count)
    return false;
  for (size_t i = 0; i < count; i++)
    if (newest->revision_ids.items[i] != poll->tips[i].revision_id)
      return false;
  return true;
}

static void
write_facts(const struct poll *poll, const char *commit, struct buf *ret)
{
  struct json json = json_begin(ret);
  json_object_open(&json);
  json_put_text(&json, "specification", poll->name);
  if (commit != NULL)
    json_put_cstr(&json, "commit", commit);
  json_object_close(&json);
}

/* Commits may come faster than they can be evaluated: the newest is what counts. */
static int
supersede(struct db *db, const struct poll *poll, int64_t newest, struct arena *arena,
          struct error *err)
{
  CLEANUP_BUF struct buf facts = { 0 };
  struct evaluation_supersede_rows rows;
  int r = evaluation_supersede(db, newest, poll->listed.id, arena, &rows, err);
  if (r < 0)
    return r;
  write_facts(poll, NULL, &facts);
  for (size_t i = 0; r >= 0 && i < rows.count; i++)
    r = events_append(db, "evaluation.cancelled", rows.items[i].id, buf_str(&facts), err);
  return r < 0 ? r : 0;
}

static int
insert_evaluation(struct db *db, const struct poll *poll, struct error *err)
{
  CLEANUP_ARENA struct arena arena = { 0 };
  size_t count = poll->specification.channels_count;
  struct str *names = arena_array(&arena, count, sizeof *names);
  int64_t *revisions = arena_array(&arena, count, sizeof *revisions);
  for (size_t i = 0; i < count; i++) {
    names[i] = poll->specification.channels[i].name;
    revisions[i] = poll->tips[i].revision_id;
  }
  struct evaluation_insert_row row;
  int r = evaluation_insert(db, poll->listed.id, poll->definition, &row, err);
  if (r == 1)
    r = evaluation_revisions_insert(db, row.id, (struct db_strs) { names, count },
                                    (struct db_i64s) { revisions, count }, err);
  if (r >= 0)
    r = supersede(db, poll, row.id, &arena, err);
  if (r < 0)
    return r;
  CLEANUP_BUF struct buf facts = { 0 };
  write_facts(poll, poll->tips[0].commit, &facts);
  return events_append(db, "evaluation.queued", row.id, buf_str(&facts), err);
}

/* Takes back the request, if it is still the one that was seen, and notes what came of
   it in the same transaction: who waits for the one reads the other. FAILURE NULL: it
   went well. */
static int
end_poll(struct db *db, const struct poll *poll, const char *failure, struct error *err)
{
  int r = poll->requested_at == 0
              ? 0
              : specification_request_done(db, poll->listed.id, poll->requested_at, err);
  if (r >= 0)
    r = specification_outcome(db, str_of(failure), poll->listed.id, err);
  if (r <= 0)
    return r;
  CLEANUP_BUF struct buf facts = { 0 };
  struct json json = json_begin(&facts);
  json_object_open(&json);
  json_put_text(&json, "specification", poll->name);
  json_put_cstr(&json, "failure", failure);
  json_object_close(&json);
  return events_append(
      db, failure != NULL ? "specification.poll_failed" : "specification.poll_recovered",
      poll->listed.id, buf_str(&facts), err);
}

/* An evaluation and the end of the request are one transaction: a kill neither loses
   the request nor answers it twice. */
static int
make_evaluation(struct db *db, void *context, struct error *err)
{
  struct poll *poll = context;
  CLEANUP_ARENA struct arena arena = { 0 };
  struct specification_lock_row locked;
  struct evaluation_newest_row newest;
  poll->made = false;
  int r = specification_lock(db, poll->listed.id, &locked, err);
  if (r <= 0)
    return r; /* deleted meanwhile */
  /* Edited, or claimed again by another process when this poll took longer than the
     period: what was seen here may be older than what that one has made of it. */
  if (locked.polled_at_null || locked.polled_at != poll->polled_at)
    return 0;
  bool force = locked.request_forces && !locked.requested_at_null
               && locked.requested_at == poll->requested_at;
  r = end_poll(db, poll, NULL, err);
  if (r >= 0)
    r = evaluation_newest(db, poll->definition, poll->listed.id, &arena, &newest, err);
  if (r < 0 || (r == 1 && !force && is_unchanged(poll, &newest)))
    return r < 0 ? r : 0;
  r = insert_evaluation(db, poll, err);
  poll->made = r == 0;
  return r;
}

static int
poll_channels(struct poll *poll, struct error *err)
{
  int r = specification_parse(poll->definition, &poll->arena, &poll->specification, err);
  if (r < 0)
    return r;
  size_t count = poll->specification.channels_count;
  poll->tips = arena_array(&poll->arena, count, sizeof *poll->tips);
  for (size_t i = 0; i < count; i++) {
    const struct specification_channel *channel = &poll->specification.channels[i];
    r = channels_poll(poll->evaluations->options.channels, channel->url.data, channel->branch.data,
                      channel->commit.size > 0 ? channel->commit.data : NULL, &poll->tips[i], err);
    if (r < 0)
      return r;
  }
  return db_pool_run(poll->evaluations->options.pool, DB_WRITE, make_evaluation, poll, err);
}

struct outcome
{
  const struct poll *poll;
  const char *failure; /* NULL = fine */
};

static int
save_outcome(struct db *db, void *context, struct error *err)
{
  const struct outcome *outcome = context;
  return end_poll(db, outcome->poll, outcome->failure, err);
}

/* False when not even the outcome could be stored: the same again at once would be no
   better. */
static bool
poll_claimed(struct poll *poll)
{
  struct error err = { 0 };
  int r = poll_channels(poll, &err);
  if (r == -ECANCELED)
    return true; /* the server stops: that says nothing about the channels */
  if (r < 0)
    log_failure("evaluation", &err, "cannot poll %.*s", STR_FMT(poll->name));
  struct outcome outcome = { poll, r < 0 ? err.message : NULL };
  struct error ignored = { 0 };
  int saved =
      db_pool_run(poll->evaluations->options.pool, DB_WRITE, save_outcome, &outcome, &ignored);
  evaluations_wake_feeds(poll->evaluations);
  if (poll->made)
    evaluations_poke(poll->evaluations);
  return saved >= 0;
}

void *
evaluation_poller_main(void *context)
{
  struct evaluations *evaluations = context;
  while (!evaluations->stopping) {
    unsigned seen = evaluations_seen(evaluations);
    struct poll poll = { .evaluations = evaluations };
    bool found = claim_next(&poll);
    bool stored = !found || poll_claimed(&poll);
    if (found)
      unlist(&poll);
    arena_free(&poll.arena);
    if (!found || !stored)
      evaluations_pause(evaluations, seen, stored ? wait_until_due(evaluations) : ERROR_MS);
  }
  return NULL;
}
