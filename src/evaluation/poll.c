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
  struct db_strs requested; /* names that are wanted now */
  int64_t id;               /* of the specification; 0 = nothing to do */
  struct str name;
  struct str definition;
  struct specification specification;
  struct channels_tip *tips;
  bool force;
  bool made; /* an evaluation */
};

/* ---- wishes ---- */

static void
list_wishes(struct poll *poll)
{
  struct evaluations *evaluations = poll->evaluations;
  size_t count = 0;
  pthread_mutex_lock(&evaluations->lock);
  for (const struct wish *wish = evaluations->wishes; wish != NULL; wish = wish->next)
    count++;
  struct str *names = arena_array(&poll->arena, count + 1, sizeof *names);
  size_t i = 0;
  for (const struct wish *wish = evaluations->wishes; wish != NULL; wish = wish->next)
    names[i++] = arena_str(&poll->arena, str_of(wish->name));
  pthread_mutex_unlock(&evaluations->lock);
  poll->requested = (struct db_strs) { names, count };
}

/* Takes the wishes for this specification off the list. */
static void
take_wishes(struct poll *poll)
{
  struct evaluations *evaluations = poll->evaluations;
  pthread_mutex_lock(&evaluations->lock);
  struct wish **link = &evaluations->wishes;
  while (*link != NULL) {
    struct wish *wish = *link;
    if (!str_equal(str_of(wish->name), poll->name)) {
      link = &wish->next;
      continue;
    }
    poll->force |= wish->force;
    *link = wish->next;
    free(wish);
  }
  pthread_mutex_unlock(&evaluations->lock);
}

/* ---- claiming ---- */

static int
claim(struct db *db, void *context, struct error *err)
{
  struct poll *poll = context;
  struct specification_claim_row row;
  int r = specification_claim(db, poll->requested, &poll->arena, &row, err);
  poll->id = r == 1 ? row.id : 0;
  if (r <= 0)
    return r;
  poll->name = row.name;
  poll->definition = row.definition;
  return 0;
}

static int
ask_wait(struct db *db, void *context, struct error *err)
{
  int64_t *wait = context;
  struct specification_next_due_row row;
  int r = specification_next_due(db, &row, err);
  if (r == 1 && !row.wait_ms_null && row.wait_ms < *wait)
    *wait = row.wait_ms;
  return r < 0 ? r : 0;
}

static int64_t
wait_until_due(struct evaluations *evaluations)
{
  int64_t wait = IDLE_MS;
  if (db_pool_run(evaluations->options.pool, DB_READ, ask_wait, &wait, NULL) < 0)
    return ERROR_MS;
  return wait < 50 ? 50 : wait;
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
  int r = evaluation_insert(db, poll->id, poll->definition, &row, err);
  if (r == 1)
    r = evaluation_revisions_insert(db, row.id, (struct db_strs) { names, count },
                                    (struct db_i64s) { revisions, count }, err);
  if (r < 0)
    return r;
  CLEANUP_BUF struct buf facts = { 0 };
  struct json json = json_begin(&facts);
  json_object_open(&json);
  json_put_text(&json, "specification", poll->name);
  json_put_cstr(&json, "commit", poll->tips[0].commit);
  json_object_close(&json);
  return events_append(db, "evaluation.queued", row.id, buf_str(&facts), err);
}

/* A commit of unknown outcome is repeated: then the newest evaluation is ours and
   nothing has changed, unless it was forced; a second one does no harm. */
static int
make_evaluation(struct db *db, void *context, struct error *err)
{
  struct poll *poll = context;
  CLEANUP_ARENA struct arena arena = { 0 };
  struct specification_lock_row locked;
  struct evaluation_newest_row newest;
  poll->made = false;
  int r = specification_lock(db, poll->id, &locked, err);
  if (r <= 0)
    return r; /* deleted meanwhile */
  r = evaluation_newest(db, poll->definition, poll->id, &arena, &newest, err);
  if (r < 0 || (r == 1 && !poll->force && is_unchanged(poll, &newest)))
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
  const struct poll *poll = outcome->poll;
  int changed = specification_outcome(db, str_of(outcome->failure), poll->id, err);
  if (changed <= 0)
    return changed;
  CLEANUP_BUF struct buf facts = { 0 };
  struct json json = json_begin(&facts);
  json_object_open(&json);
  json_put_text(&json, "specification", poll->name);
  json_put_cstr(&json, "failure", outcome->failure);
  json_object_close(&json);
  return events_append(
      db, outcome->failure != NULL ? "specification.poll_failed" : "specification.poll_recovered",
      poll->id, buf_str(&facts), err);
}

static void
poll_claimed(struct poll *poll)
{
  struct error err = { 0 };
  take_wishes(poll);
  int r = poll_channels(poll, &err);
  if (r < 0)
    log_failure("evaluation", &err, "cannot poll %.*s", STR_FMT(poll->name));
  struct outcome outcome = { poll, r < 0 ? err.message : NULL };
  struct error ignored = { 0 };
  (void) db_pool_run(poll->evaluations->options.pool, DB_WRITE, save_outcome, &outcome, &ignored);
  evaluations_wake_feeds(poll->evaluations);
  if (poll->made)
    evaluations_poke(poll->evaluations);
}

void *
evaluation_poller_main(void *context)
{
  struct evaluations *evaluations = context;
  while (!evaluations->stopping) {
    unsigned seen = evaluations_seen(evaluations);
    struct poll poll = { .evaluations = evaluations };
    struct error err = { 0 };
    list_wishes(&poll);
    int r = db_pool_run(evaluations->options.pool, DB_WRITE, claim, &poll, &err);
    bool found = r == 0 && poll.id != 0;
    if (found)
      poll_claimed(&poll);
    arena_free(&poll.arena);
    if (!found)
      evaluations_pause(evaluations, seen, wait_until_due(evaluations));
  }
  return NULL;
}
