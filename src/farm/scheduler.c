/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The one thread that decides. A round: read what is new, take the mailbox,
   change the mirror, write all changes in one transaction, act. Between rounds
   the mirror equals the database; a round that cannot be written costs the mirror
   and the epoch, and the next scheduler to become active (perhaps this one)
   reads everything anew. Only items that the cache refuses are taken out. */
#include "farm/scheduler.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "farm/farm_sql.h"
#include "farm/reply.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdlib.h>

#define SCHEDULER_LOCK INT64_C(0x70616e6f66617231) /* "panofar1": session advisory lock */
#define STANDBY_MS 1000       /* between looks at the lock while another holds it */
#define BACK_OFF_MAX_MS 15000 /* between tries to reach the database */
#define NEWS_MS 30000         /* wishes are looked for unasked: a waker may have died */
#define SEEN_MS 20000         /* between notes of who is there */
#define ATTEMPT_IDS 1000      /* one draw of the sequence: see the migration */
#define LOSSES_LIMIT 10       /* attempts of a build lost with their agents: see doc/operating.md */
#define RETRY_PAUSE_MS 10000

static bool
is_stopping(const struct scheduler *scheduler)
{
  return atomic_load(&scheduler->farm->stopping);
}

/* Sleeps, but not when the farm stops. While active, messages come all the time
   and must not cut it short. */
static void
rest(struct scheduler *scheduler, int milliseconds)
{
  struct mailbox *mailbox = &scheduler->farm->mailbox;
  int64_t until = clock_monotonic_ms() + milliseconds;
  while (mailbox->open && !is_stopping(scheduler) && clock_monotonic_ms() < until)
    clock_sleep_ms(milliseconds < 100 ? milliseconds : 100);
  if (mailbox->open)
    return;
  mailbox_calm(mailbox);
  struct pollfd wake = { .fd = mailbox->wake, .events = POLLIN };
  if (!is_stopping(scheduler))
    poll(&wake, 1, milliseconds);
}

static int
double_up(int pause_ms, int limit_ms)
{
  return pause_ms * 2 < limit_ms ? pause_ms * 2 : limit_ms;
}

/* ---- becoming active ---- */

static int
begin_epoch(struct db *db, void *context, struct error *err)
{
  struct scheduler *scheduler = context;
  struct farm_load_epoch_row row;
  int r = farm_load_epoch(db, &row, err);
  if (r < 0)
    return r;
  scheduler->epoch = row.epoch;
  return farm_load_forget_sessions(db, err);
}

static void
set_mirror(struct scheduler *scheduler, struct mirror *mirror)
{
  pthread_mutex_lock(&scheduler->farm->mirror_lock);
  scheduler->mirror = scheduler->farm->mirror = mirror;
  pthread_mutex_unlock(&scheduler->farm->mirror_lock);
}

static struct mirror *
new_mirror(const struct farm *farm)
{
  struct mirror_options options = { .attempts_limit = farm->options.attempts_limit,
                                    .losses_limit = LOSSES_LIMIT,
                                    .grace_ms = (int64_t) farm->options.agent_grace_s * 1000,
                                    .retry_pause_ms = RETRY_PAUSE_MS };
  struct mirror *mirror = mirror_new(&options);
  mirror->now_ms = clock_monotonic_ms();
  mirror->last_attempt_id = 0;
  return mirror;
}

static int
read_news(struct scheduler *scheduler, struct error *err)
{
  struct load load = { .horizon = scheduler->horizon,
                       .again = { scheduler->healed.items, scheduler->healed.count } };
  pthread_mutex_lock(&scheduler->farm->mirror_lock);
  int r = load_news(scheduler->db, scheduler->mirror, &load, &scheduler->arena, err);
  pthread_mutex_unlock(&scheduler->farm->mirror_lock);
  if (r < 0)
    return r;
  scheduler->horizon = load.horizon;
  scheduler->batch.orders = load.orders;
  scheduler->healed.count = 0;
  scheduler->news_wanted = false;
  scheduler->news_at_ms = clock_monotonic_ms() + NEWS_MS;
  return 0;
}

/* Takes a thousand ids when none is left. */
static int
reserve_ids(struct scheduler *scheduler, struct error *err)
{
  struct mirror *mirror = scheduler->mirror;
  if (mirror->next_attempt_id <= mirror->last_attempt_id)
    return 0;
  struct farm_load_attempt_ids_row row;
  int r = farm_load_attempt_ids(scheduler->db, &row, err);
  if (r < 0)
    return r;
  mirror->next_attempt_id = row.first;
  mirror->last_attempt_id = row.first + ATTEMPT_IDS - 1;
  return 0;
}

/* A new mirror of all that the database has, in place of the old one. */
static int
load_mirror(struct scheduler *scheduler, struct error *err)
{
  struct mirror *old = scheduler->mirror;
  set_mirror(scheduler, new_mirror(scheduler->farm));
  mirror_free(old);
  scheduler->horizon = 0;
  int r = reserve_ids(scheduler, err);
  return r < 0 ? r : read_news(scheduler, err);
}

/* The lock is held; everything is read. */
static int
take_over(struct scheduler *scheduler, struct error *err)
{
  struct farm *farm = scheduler->farm;
  int r = db_listen(scheduler->db, FARM_CHANNEL, err);
  if (r >= 0)
    r = db_run(scheduler->db, DB_WRITE, begin_epoch, scheduler, err);
  if (r < 0)
    return r;
  scheduler->number = 0;
  scheduler->seen_at_ms = 0;
  r = load_mirror(scheduler, err);
  if (r == 0)
    r = conclude_open_running(scheduler, err);
  if (r < 0)
    return r;
  open_set_active(&farm->open, true);
  mailbox_open(&farm->mailbox);
  logs_close_leftovers(farm);
  log_info("farm", "scheduling: epoch %" PRId64 ", %zu builds unfinished, %zu attempts running",
           scheduler->epoch, scheduler->mirror->nodes.count, scheduler->mirror->attempts.count);
  return 0;
}

/* 1 = active now, 0 = another is. */
static int
become_active(struct scheduler *scheduler, struct error *err)
{
  int r = 0;
  if (scheduler->db == NULL)
    r = db_open(scheduler->farm->uri, &scheduler->db, err);
  if (r == 0)
    r = db_try_lock(scheduler->db, SCHEDULER_LOCK, err);
  if (r <= 0)
    return r;
  r = take_over(scheduler, err);
  return r < 0 ? r : 1;
}

static void
clear_round(struct scheduler *scheduler)
{
  batch_free(&scheduler->batch);
  scheduler->hellos.count = scheduler->items.count = scheduler->uploaders.count = 0;
  arena_free(&scheduler->arena);
}

/* Gives everything up; agents are sent away and come back to whoever is active. */
static void
resign(struct scheduler *scheduler)
{
  struct farm *farm = scheduler->farm;
  conclude_failure(scheduler);
  scheduler->messages = mailbox_close(&farm->mailbox);
  conclude_failure(scheduler);
  open_set_active(&farm->open, false);
  sessions_end_all(scheduler);
  struct mirror *mirror = scheduler->mirror;
  set_mirror(scheduler, NULL);
  mirror_free(mirror);
  scheduler->healed.count = 0;
  clear_round(scheduler);
  db_close(scheduler->db); /* and with it the lock */
  scheduler->db = NULL;
}

/* ---- the database goes away and comes back ---- */

static int
check_epoch(struct scheduler *scheduler, struct error *err)
{
  struct farm_batch_last_row last;
  int r = farm_batch_last(scheduler->db, &last, err);
  if (r < 0)
    return r;
  if (r == 1 && last.epoch == scheduler->epoch)
    return 0;
  return error_set(err, -ESTALE, "another scheduler has become active");
}

static int
try_regain(struct scheduler *scheduler, struct error *err)
{
  int r = db_try_lock(scheduler->db, SCHEDULER_LOCK, err);
  if (r == 0)
    return error_set(err, -ESTALE, "another scheduler holds the lock");
  if (r == 1)
    r = db_listen(scheduler->db, FARM_CHANNEL, err);
  return r < 0 ? r : check_epoch(scheduler, err);
}

/* The connection was lost and with it the lock. As long as nobody else became
   active meanwhile, the mirror is good and nothing is given up. */
static int
regain(struct scheduler *scheduler, struct error *err)
{
  log_failure("farm", err, "lost the database");
  scheduler->news_wanted = true;
  for (int pause = 100; !is_stopping(scheduler); pause = double_up(pause, BACK_OFF_MAX_MS)) {
    int r = try_regain(scheduler, err);
    if (r == 0)
      log_info("farm", "has the database again");
    if (r != -DB_ERROR_LOST)
      return r;
    sessions_tick(scheduler);
    rest(scheduler, pause);
  }
  return error_set(err, -ECANCELED, "the farm stops");
}

/* ---- a round ---- */

/* Everything that changes the mirror in a round, save what is read. */
static void
change_mirror(struct scheduler *scheduler)
{
  struct farm *farm = scheduler->farm;
  struct mirror *mirror = scheduler->mirror;
  pthread_mutex_lock(&farm->mirror_lock);
  mirror->now_ms = clock_monotonic_ms();
  plan_messages(scheduler);
  mirror_tick(mirror);
  mirror_dispatch(mirror);
  mirror_take(mirror, &scheduler->batch.changes);
  pthread_mutex_unlock(&farm->mirror_lock);
  scheduler->again |= mirror->next_attempt_id > mirror->last_attempt_id;
  scheduler->batch.sessions = scheduler->hellos.items;
  scheduler->batch.sessions_count = scheduler->hellos.count;
  scheduler->batch.items = scheduler->items.items;
  scheduler->batch.items_count = scheduler->items.count;
}

/* Until it is committed, or cannot be. What is told is read once: a repeated
   write must say the same. */
static int
write_round(struct scheduler *scheduler, struct error *err)
{
  struct batch *batch = &scheduler->batch;
  if (batch_is_empty(batch))
    return 0;
  scheduler->number++;
  bool prepared = false;
  for (;;) {
    int r = prepared ? 0 : batch_prepare(batch, scheduler->db, err);
    prepared |= r == 0;
    if (r == 0)
      r = batch_write(batch, scheduler->db, scheduler->farm->options.cache, scheduler->epoch,
                      scheduler->number, err);
    if (r != -DB_ERROR_LOST)
      return r;
    r = regain(scheduler, err);
    if (r < 0)
      return r;
  }
}

/* A feed that is not woken looks by itself within two seconds. */
static void
wake_readers(struct scheduler *scheduler)
{
  struct error err = { 0 };
  if (scheduler->batch.changes.events.count > 0 && events_wake(scheduler->db, &err) < 0)
    log_debug("farm", "cannot wake the readers of events: %s", err.message);
}

/* Whose items were refused (not: could not be written), so that its agent does
   not bring them again and again. */
static struct message *
culprit_of(const struct scheduler *scheduler, int r)
{
  size_t place = scheduler->batch.refused;
  bool refused = place > 0 && place <= scheduler->uploaders.count && r != -DB_ERROR_LOST
                 && r != -DB_ERROR_CONFLICT && r != -ESTALE && r != -ECANCELED;
  return refused ? scheduler->uploaders.items[place - 1] : NULL;
}

/* The mirror has what was not written: it is read anew, and the round planned again
   without CULPRIT. Sessions, the epoch and the other messages stay. */
static int
plan_without(struct scheduler *scheduler, struct message *culprit, struct error *err)
{
  conclude_refusal(scheduler, culprit);
  clear_round(scheduler);
  int r = load_mirror(scheduler, err);
  while (r == -DB_ERROR_LOST) {
    r = regain(scheduler, err);
    if (r == 0)
      r = load_mirror(scheduler, err);
  }
  if (r < 0)
    return r;
  sessions_attach(scheduler);
  scheduler->number--; /* it was not written */
  change_mirror(scheduler);
  return 0;
}

/* The rest of a round, once news are read. */
static int
finish_round(struct scheduler *scheduler, struct error *err)
{
  struct message *culprit;
  scheduler->messages = mailbox_take(&scheduler->farm->mailbox);
  change_mirror(scheduler);
  int r = write_round(scheduler, err);
  while (r < 0 && (culprit = culprit_of(scheduler, r)) != NULL) {
    log_failure("farm", err, "cannot offer what attempt %" PRId64 " built; it is asked for again",
                culprit->attempt_id);
    r = plan_without(scheduler, culprit, err);
    if (r == 0)
      r = write_round(scheduler, err);
  }
  if (r < 0)
    return r;
  conclude_round(scheduler);
  wake_readers(scheduler);
  clear_round(scheduler);
  return 0;
}

/* News are read before anything is changed: the mirror must equal the database
   then. */
static int
run_round(struct scheduler *scheduler, struct error *err)
{
  struct farm_rounds *rounds = &scheduler->farm->rounds;
  uint64_t ticket;
  bool asked = rounds_begin(rounds, &ticket);
  scheduler->again = false;
  int r = reserve_ids(scheduler, err);
  if (r == 0 && (scheduler->news_wanted || asked))
    r = read_news(scheduler, err);
  if (r == 0)
    r = finish_round(scheduler, err);
  if (r == 0)
    rounds_serve(rounds, ticket);
  return r;
}

/* ---- running ---- */

static int64_t
earlier(int64_t a, int64_t b)
{
  return a < b ? a : b;
}

/* Waits until there is something to do. */
static int
await(struct scheduler *scheduler, struct error *err)
{
  int64_t due_ms = earlier(mirror_due(scheduler->mirror), scheduler->ping_at_ms);
  due_ms = earlier(due_ms, scheduler->news_at_ms);
  int64_t wait_ms = due_ms - clock_monotonic_ms();
  if (wait_ms < 0 || scheduler->again)
    wait_ms = 0;
  int r = db_wait(scheduler->db, (int) wait_ms, scheduler->farm->mailbox.wake, err);
  scheduler->news_wanted |= r == 1 || clock_monotonic_ms() >= scheduler->news_at_ms;
  return r < 0 ? r : 0;
}

/* For people: this scheduler is there, and when agents that are connected were heard.
   Those whose token was revoked in another way than by an order have to go too. */
static int
note_seen(struct scheduler *scheduler, struct error *err)
{
  CLEANUP_ARENA struct arena arena = { 0 };
  int64_t now_ms = clock_monotonic_ms();
  if (now_ms < scheduler->seen_at_ms)
    return 0;
  scheduler->seen_at_ms = now_ms + SEEN_MS;
  struct farm_batch_seen_rows released = { 0 };
  struct db_i64s agents, silent_ms;
  sessions_agents(scheduler, &arena, &agents, &silent_ms);
  int r = farm_batch_alive(scheduler->db, scheduler->epoch, err);
  if (r == 0)
    return error_set(err, -ESTALE, "another scheduler has become active");
  if (r > 0)
    r = farm_batch_seen(scheduler->db, agents, silent_ms, &arena, &released, err);
  for (size_t i = 0; r >= 0 && i < released.count; i++)
    sessions_end_agent(scheduler, released.items[i].id);
  return r < 0 ? r : 0;
}

static int
run_active(struct scheduler *scheduler, struct error *err)
{
  int r = finish_round(scheduler, err); /* what taking over has read */
  while (r == 0 && !is_stopping(scheduler)) {
    r = note_seen(scheduler, err);
    if (r == 0)
      r = await(scheduler, err);
    if (r == 0)
      r = run_round(scheduler, err);
    if (r == -DB_ERROR_LOST)
      r = regain(scheduler, err);
    sessions_tick(scheduler);
  }
  return r;
}

void *
scheduler_main(void *farm)
{
  struct scheduler scheduler = { .farm = farm };
  int pause = STANDBY_MS;
  while (!is_stopping(&scheduler)) {
    struct error err = { 0 };
    int r = become_active(&scheduler, &err);
    if (r == 1) {
      pause = STANDBY_MS;
      r = run_active(&scheduler, &err);
    }
    if (r < 0 && !is_stopping(&scheduler))
      log_failure("farm", &err, "cannot schedule; beginning anew in %d ms", pause);
    if (scheduler.mirror != NULL || r < 0)
      resign(&scheduler);
    rest(&scheduler, pause);
    pause = r < 0 ? double_up(pause, BACK_OFF_MAX_MS) : STANDBY_MS;
  }
  db_close(scheduler.db);
  free(scheduler.healed.items);
  free(scheduler.sessions.items);
  free(scheduler.hellos.items);
  free(scheduler.items.items);
  free(scheduler.uploaders.items);
  return NULL;
}
