/* SPDX-License-Identifier: GPL-3.0-or-later */
/* One evaluation, from claim to wishes. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "evaluation/evaluation_private.h"
#include "evaluation/evaluation_sql.h"

#define READ_MS 500
#define PROGRESS_EVERY_MS 2000
#define IDLE_MS 5000
#define EVALUATION_LOCK INT64_C(0x70616e6500000000) /* "pane", and the evaluation's id */
#define RETRY_MS 1000                               /* between tries when the database is away */
#define END_MS 5000    /* for a process that has closed its output to end */
#define LAST_WORDS 600 /* bytes of the log that explain a failure */
/* New derivations that are stored together, while Guix goes on: bounds memory and
   transactions, and leaves little to do after it. */
#define LOAD_TARGET 4096

/* Where the time of an evaluation goes. */
enum stage
{
  STAGE_GUIX,    /* waiting for it, and reading derivations meanwhile */
  STAGE_SOURCES, /* into the cache */
  STAGE_GRAPH,   /* derivations into the database */
  STAGE_END,     /* Guix's end, jobs, wishes */
  STAGES,
};

struct run
{
  struct evaluations *evaluations;
  struct running running;
  struct db *guard; /* its session lock says that the evaluation is ours */
  bool taken_over;  /* by another process, while the database was away; or deleted */
  bool ended;       /* and stored */
  struct arena arena;
  struct str name; /* of the specification */
  struct specification specification;
  int32_t priority;
  struct str *commits;
  struct workspace workspace;
  struct results results;
  struct graph_load *load; /* of what is not stored yet */
  size_t stored_jobs;      /* of `results`: their derivations are in `ids` */
  struct str_map ids;      /* full .drv path to derivation id */
  int64_t new_derivations;
  int64_t next_progress_ms;
  int64_t stage_began_ms;
  int64_t stage_ms[STAGES];
  int64_t guix_done_ms; /* when it wrote its last line */
};

/* ---- the database may be away ---- */

static bool
is_unwanted(const struct run *run)
{
  return run->running.cancelled || run->evaluations->stopping;
}

static bool
is_passing(int r)
{
  return r == -DB_ERROR_LOST || r == -EBUSY;
}

/* With its connection the lock is lost: ours again, or -ESTALE when another process
   has it. Waits for a database that is away; -ECANCELED when the server stops. */
static int
regain_lock(struct run *run, struct error *err)
{
  for (;;) {
    if (run->evaluations->stopping)
      return error_set(err, -ECANCELED, "the server stops");
    int r = db_try_lock(run->guard, EVALUATION_LOCK | run->running.id, NULL);
    if (r == 1)
      return 0;
    if (r == 0) {
      run->taken_over = true;
      return error_set(err, -ESTALE, "another process has taken it over");
    }
    clock_sleep_ms(RETRY_MS);
  }
}

/* On the connection that holds the lock: nobody else has the evaluation then. */
static int
run_guarded(struct run *run, db_body *body, void *context, struct error *err)
{
  int r;
  while ((r = db_run(run->guard, DB_WRITE, body, context, err)) == -DB_ERROR_LOST) {
    r = regain_lock(run, err);
    if (r < 0)
      return r;
  }
  return r;
}

static int
wait_for_database(const struct run *run, struct error *err)
{
  if (is_unwanted(run))
    return error_set(err, -ECANCELED, "cancelled");
  clock_sleep_ms(RETRY_MS);
  return 0;
}

/* ---- stages ---- */

static void
end_stage(struct run *run, enum stage stage)
{
  int64_t now = clock_monotonic_ms();
  run->stage_ms[stage] += now - run->stage_began_ms;
  run->stage_began_ms = now;
}

/* ---- claiming ---- */

static struct db_i64s
list_of_running(struct run *run)
{
  struct evaluations *evaluations = run->evaluations;
  size_t count = 0;
  pthread_mutex_lock(&evaluations->lock);
  int64_t *ids = arena_array(&run->arena, (size_t) evaluations->options.parallel, sizeof *ids);
  for (const struct running *running = evaluations->running; running != NULL;
       running = running->next)
    ids[count++] = running->id;
  pthread_mutex_unlock(&evaluations->lock);
  return (struct db_i64s) { ids, count };
}

/* The definition as it was when the evaluation was made. One that cannot be read any
   more fails this evaluation, not us: it counts as without channels. */
static int
read_definition(struct db *db, struct run *run, struct str definition, struct error *err)
{
  struct evaluation_commits_rows commits = { 0 };
  int r = evaluation_commits(db, run->running.id, &run->arena, &commits, err);
  if (r < 0)
    return r;
  struct specification *specification = &run->specification;
  if (specification_parse(definition, &run->arena, specification, NULL) < 0
      || commits.count != specification->channels_count)
    specification->channels_count = 0;
  run->commits = arena_array(&run->arena, commits.count + 1, sizeof *run->commits);
  for (size_t i = 0; i < commits.count; i++)
    run->commits[i] = commits.items[i].commit_hash;
  return 0;
}

/* Takes the oldest evaluation that nobody runs. The lock first, then a second look:
   whoever had the lock may have ended it meanwhile. */
static int
claim(struct db *db, void *context, struct error *err)
{
  struct run *run = context;
  arena_free(&run->arena);
  run->running.id = 0;
  struct evaluation_unfinished_rows unfinished = { 0 };
  struct evaluation_claim_row row;
  int r = evaluation_unfinished(db, list_of_running(run), &run->arena, &unfinished, err);
  if (r >= 0 && unfinished.count > 0 && run->guard == NULL)
    r = db_open(run->evaluations->options.uri, &run->guard, err);
  for (size_t i = 0; r >= 0 && i < unfinished.count; i++) {
    int64_t id = unfinished.items[i].id;
    r = db_try_lock(run->guard, EVALUATION_LOCK | id, err);
    if (r == 1)
      r = evaluation_claim(db, id, &run->arena, &row, err);
    if (r != 1)
      continue;
    run->running.id = row.id;
    run->name = row.name;
    run->priority = row.priority;
    return read_definition(db, run, row.definition, err);
  }
  return r < 0 ? r : 0;
}

static void
list_running(struct run *run)
{
  struct evaluations *evaluations = run->evaluations;
  pthread_mutex_lock(&evaluations->lock);
  run->running.next = evaluations->running;
  evaluations->running = &run->running;
  pthread_mutex_unlock(&evaluations->lock);
}

static void
unlist_running(struct run *run)
{
  struct evaluations *evaluations = run->evaluations;
  pthread_mutex_lock(&evaluations->lock);
  struct running **link = &evaluations->running;
  while (*link != NULL && *link != &run->running)
    link = &(*link)->next;
  if (*link != NULL)
    *link = run->running.next;
  evaluations->pokes++;
  pthread_cond_broadcast(&evaluations->changed);
  pthread_mutex_unlock(&evaluations->lock);
}

/* ---- storing what an evaluator made ---- */

static void
begin_load(struct run *run)
{
  const struct evaluation_options *options = &run->evaluations->options;
  graph_load_free(run->load);
  run->load = graph_load_new(options->pool, options->store_root);
  graph_load_sift(run->load);
}

static int
adopt_sources(struct run *run, struct error *err)
{
  const struct evaluation_options *options = &run->evaluations->options;
  size_t count = 0;
  const struct str *sources = graph_load_sources(run->load, &count);
  if (count == 0)
    return 0;
  CLEANUP_FREE char *socket = mem_printf("%s/var/guix/daemon-socket/socket", options->store_root);
  struct guix_daemon *daemon = NULL;
  int r = guix_daemon_open(socket, &daemon, err);
  if (r == 0)
    r = cache_adopt(options->cache, options->store_root, daemon, sources, count, err);
  guix_daemon_close(daemon);
  return r;
}

struct writing
{
  struct graph_load *load;
  int64_t fresh;
};

static int
write_graph(struct db *db, void *context, struct error *err)
{
  struct writing *writing = context;
  return graph_load_write(writing->load, db, &writing->fresh, err);
}

/* Jobs whose derivation, or one that it needs, cannot be loaded become errors. */
static void
sort_jobs(struct run *run)
{
  struct results *results = &run->results;
  size_t kept = run->stored_jobs;
  for (size_t i = kept; i < results->jobs_count; i++) {
    struct result_job job = results->jobs[i];
    struct str refusal = graph_load_refusal(run->load, job.derivation);
    if (refusal.data != NULL) {
      results_refuse(results, &job, refusal);
      continue;
    }
    (void) str_map_put(&run->ids, job.derivation, graph_load_id(run->load, job.derivation));
    results->jobs[kept++] = job;
  }
  results->jobs_count = run->stored_jobs = kept;
}

/* Sources first: a derivation in the graph promises that its sources are in the
   cache. */
static int
store_load(struct run *run, struct error *err)
{
  struct writing writing = { .load = run->load };
  struct db_pool *pool = run->evaluations->options.pool;
  int r;
  end_stage(run, STAGE_GUIX);
  do
    r = adopt_sources(run, err);
  while (is_passing(r) && (r = wait_for_database(run, err)) == 0);
  end_stage(run, STAGE_SOURCES);
  if (r == 0)
    do
      r = db_pool_run(pool, DB_WRITE, write_graph, &writing, err);
    while (is_passing(r) && (r = wait_for_database(run, err)) == 0);
  end_stage(run, STAGE_GRAPH);
  if (r < 0)
    return r;
  run->new_derivations += writing.fresh;
  sort_jobs(run);
  begin_load(run);
  return 0;
}

/* ---- reading one evaluator ---- */

/* What the channel's code only names need not be there. */
static bool
is_in_store(const struct run *run, struct str path)
{
  CLEANUP_FREE char *file =
      mem_printf("%s%.*s", run->evaluations->options.store_root, STR_FMT(path));
  return file_exists(file);
}

static int
on_job(void *context, const struct result_job *job, struct error *err)
{
  struct run *run = context;
  if (!is_in_store(run, job->derivation))
    return error_set(err, -ENXIO, "%.*s is not in the evaluator's store", STR_FMT(job->derivation));
  int r = graph_load_add(run->load, job->derivation, err);
  return r < 0 || graph_load_count(run->load) < LOAD_TARGET ? r : store_load(run, err);
}

/* For people to see, since the end writes the counts again; and a look whether it is
   still wanted, still there and still ours. */
static int
save_progress(struct db *db, void *context, struct error *err)
{
  struct run *run = context;
  struct evaluation_progress_row row;
  int r = evaluation_progress(db, (int32_t) run->results.jobs_count,
                              (int32_t) run->results.errors_count, run->running.id, &row, err);
  if (r == 1 && row.cancel_requested)
    run->running.cancelled = true;
  run->taken_over = r == 0;
  return r != 0 ? (r < 0 ? r : 0)
                : error_set(err, -ESTALE, "it was deleted, or ended by another process");
}

static int
tell_progress(struct run *run, struct error *err)
{
  int64_t now = clock_monotonic_ms();
  if (now < run->next_progress_ms)
    return 0;
  run->next_progress_ms = now + PROGRESS_EVERY_MS;
  return run_guarded(run, save_progress, run, err);
}

static int
read_results(struct run *run, struct process *process, struct error *err)
{
  CLEANUP_BUF struct buf piece = { 0 };
  run->results.done = false;
  while (!run->results.done) {
    if (is_unwanted(run))
      return error_set(err, -ECANCELED, "cancelled");
    buf_clear(&piece);
    int r = process_read(process, READ_MS, &piece, err);
    if (r > 0)
      r = results_feed(&run->results, buf_str(&piece), on_job, run, err);
    if (r >= 0)
      r = tell_progress(run, err);
    if (r < 0)
      return r;
  }
  run->guix_done_ms = clock_monotonic_ms();
  return 0;
}

/* The end of the log: whole lines, where there are some. */
static struct str
last_words(const struct run *run, char room[LAST_WORDS])
{
  struct stat status;
  CLEANUP_FD int log = open(run->workspace.log, O_RDONLY | O_CLOEXEC);
  if (log < 0 || fstat(log, &status) != 0)
    return STR("");
  off_t from = status.st_size > LAST_WORDS ? status.st_size - LAST_WORDS : 0;
  ssize_t got = pread(log, room, LAST_WORDS, from);
  struct str words = str_make(room, got > 0 ? (size_t) got : 0);
  while (words.size > 0 && ((unsigned char) words.data[0] & 0xc0) == 0x80)
    words = str_from(words, 1); /* the rest of a character */
  struct str whole = words;
  struct str broken;
  if (from > 0 && str_split(&whole, '\n', &broken) && str_trim(whole).size > 0)
    words = whole;
  return str_trim(words);
}

/* It ended its output before it was done. -EINTR: from outside, so that nothing is
   said about the evaluation. */
static int
explain_end(const struct run *run, struct process *process, struct error *err)
{
  char room[LAST_WORDS];
  int status = process_wait(process, END_MS);
  int r = status > 0 ? process_explain(status, err) : 0;
  if (r < 0)
    return r;
  if (status > 0 && WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM)
    return error_set(err, -EINTR, "somebody asked guix to end");
  if (status > 0 && WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL)
    return error_set(err, -ECHILD, "guix was killed, perhaps for lack of memory");
  struct str words = last_words(run, room);
  struct error trouble = { 0 };
  if (evaluations_check(run->evaluations, &trouble) < 0)
    return error_set(err, -ECHILD, "%s. %s%s%.*s", trouble.message, trouble.hint,
                     words.size > 0 ? " guix ended without finishing: " : "", STR_FMT(words));
  if (words.size > 0)
    return error_set(err, -ECHILD, "guix ended without finishing: %.*s", STR_FMT(words));
  return error_set(err, -ECHILD, "guix ended without finishing and said nothing");
}

static int
evaluate_with(struct run *run, struct process *process, struct error *err)
{
  begin_load(run);
  int r = read_results(run, process, err);
  if (r == 0)
    r = store_load(run, err);
  if (r == 0)
    return process_finish(process, err);
  return r == -ENODATA ? explain_end(run, process, err) : r;
}

static int
evaluate_system(struct run *run, struct str system, struct error *err)
{
  char *request = NULL;
  struct process *process = NULL;
  int r = workspace_write_request(&run->workspace, &run->specification, run->commits, system,
                                  &request, err);
  if (r == 0)
    r = process_start(run->evaluations, &run->workspace, &run->specification, request, &process,
                      err);
  if (r == 0)
    r = evaluate_with(run, process, err);
  process_free(process);
  free(request);
  return r;
}

/* Errors alone are no result: a misspelt package must not look like a success. */
static int
check_yield(const struct run *run, struct error *err)
{
  const struct results *results = &run->results;
  if (results->jobs_count > 0 || results->errors_count == 0)
    return 0;
  const struct result_error *first = &results->errors[0];
  if (str_starts(first->message, first->name)) /* Guix's own words begin with it, too */
    return error_set(err, -ENOMSG, "nothing could be evaluated; %.*s", STR_FMT(first->message));
  return error_set(err, -ENOMSG, "nothing could be evaluated; %.*s: %.*s", STR_FMT(first->name),
                   STR_FMT(first->message));
}

static int
evaluate(struct run *run, struct error *err)
{
  if (run->specification.channels_count == 0)
    return error_set(err, -EINVAL, "its definition cannot be read by this version");
  int r = workspace_make(run->evaluations, run->running.id, &run->specification, run->commits,
                         &run->workspace, err);
  for (size_t i = 0; r == 0 && i < run->specification.systems_count; i++)
    r = evaluate_system(run, run->specification.systems[i], err);
  return r < 0 ? r : check_yield(run, err);
}

/* ---- the end, in one transaction ---- */

struct ending
{
  struct run *run;
  int result; /* of evaluate */
  const struct error *reason;
};

static int
write_jobs(struct db *db, struct run *run, struct error *err)
{
  CLEANUP_ARENA struct arena arena = { 0 };
  size_t count = run->results.jobs_count;
  struct farm_wish *wishes = arena_array(&arena, count + 1, sizeof *wishes);
  int64_t *builds = arena_array(&arena, count + 1, sizeof *builds);
  int64_t *derivations = arena_array(&arena, count + 1, sizeof *derivations);
  struct str *names = arena_array(&arena, count + 1, sizeof *names);
  for (size_t i = 0; i < count; i++) {
    const struct result_job *job = &run->results.jobs[i];
    (void) str_map_get(&run->ids, job->derivation, &derivations[i]);
    names[i] = job->name;
    wishes[i] = (struct farm_wish) { .derivation_id = derivations[i],
                                     .priority = run->priority,
                                     .timeout_s = job->timeout_s,
                                     .max_silent_s = job->max_silent_s };
  }
  if (count == 0)
    return 0;
  struct db_strs name_list = { names, count };
  int r = farm_wish(db, wishes, count, builds, err);
  if (r >= 0)
    r = evaluation_job_names(db, name_list, err);
  if (r >= 0)
    r = evaluation_jobs(db, run->running.id, name_list, (struct db_i64s) { derivations, count },
                        (struct db_i64s) { builds, count }, err);
  if (r >= 0)
    r = changes_roster_write(db, run->running.id, err);
  if (r >= 0)
    r = evaluation_count(db, run->running.id, err);
  return r < 0 ? r : 0;
}

static int
write_errors(struct db *db, const struct run *run, struct error *err)
{
  CLEANUP_ARENA struct arena arena = { 0 };
  size_t count = run->results.errors_count;
  if (count == 0)
    return 0;
  struct str *texts = arena_array(&arena, 3 * count, sizeof *texts);
  int32_t *numbers = arena_array(&arena, 2 * count, sizeof *numbers);
  for (size_t i = 0; i < count; i++) {
    const struct result_error *problem = &run->results.errors[i];
    texts[i] = problem->name;
    texts[count + i] = problem->message;
    texts[2 * count + i] = problem->file;
    numbers[i] = problem->line;
    numbers[count + i] = problem->column;
  }
  int r = evaluation_errors(
      db, run->running.id, (struct db_strs) { texts, count },
      (struct db_strs) { texts + count, count }, (struct db_strs) { texts + 2 * count, count },
      (struct db_i32s) { numbers, count }, (struct db_i32s) { numbers + count, count }, err);
  return r < 0 ? r : 0;
}

static int
append_end_event(struct db *db, const struct run *run, enum evaluation_state state,
                 struct error *err)
{
  static const char *const kinds[] = {
    [EVALUATION_SUCCEEDED] = "evaluation.succeeded",
    [EVALUATION_FAILED] = "evaluation.failed",
    [EVALUATION_CANCELLED] = "evaluation.cancelled",
  };
  CLEANUP_BUF struct buf facts = { 0 };
  struct json json = json_begin(&facts);
  json_object_open(&json);
  json_put_text(&json, "specification", run->name);
  json_put_i64(&json, "jobs_count", (int64_t) run->results.jobs_count);
  json_put_i64(&json, "errors_count", (int64_t) run->results.errors_count);
  json_put_i64(&json, "derivations_count", run->new_derivations);
  json_object_close(&json);
  return events_append(db, kinds[state], run->running.id, buf_str(&facts), err);
}

/* Repeated after a commit of unknown outcome, this finds the evaluation no
   longer running and does nothing. */
static int
write_end(struct db *db, void *context, struct error *err)
{
  const struct ending *ending = context;
  struct run *run = ending->run;
  enum evaluation_state state = ending->result == 0            ? EVALUATION_SUCCEEDED
                                : ending->result == -ECANCELED ? EVALUATION_CANCELLED
                                                               : EVALUATION_FAILED;
  bool succeeded = state == EVALUATION_SUCCEEDED;
  int r = evaluation_finish(db, (int16_t) state, (int32_t) run->results.jobs_count,
                            (int32_t) run->results.errors_count, (int32_t) run->new_derivations,
                            succeeded ? STR("") : str_of(ending->reason->message), run->running.id,
                            err);
  if (r <= 0)
    return r;
  if (succeeded)
    r = write_jobs(db, run, err);
  if (r >= 0)
    r = write_errors(db, run, err);
  return r < 0 ? r : append_end_event(db, run, state, err);
}

/* Results that cannot be stored make a failed evaluation, with the reason. REASON
   tells, after it, what was stored. */
static int
finish(struct run *run, int result, struct error *reason)
{
  struct error err = { 0 };
  struct ending ending = { run, result, reason };
  int r = run_guarded(run, write_end, &ending, &err);
  if (r >= 0 || run->taken_over || r == -ECANCELED)
    return r;
  error_set(reason, r, "what came of it cannot be stored: %s", err.message);
  ending.result = r;
  r = run_guarded(run, write_end, &ending, &err);
  if (r < 0)
    log_failure("evaluation", &err, "cannot end evaluation %lld", (long long) run->running.id);
  return r;
}

/* Scheduler and feeds look by themselves after a while: a failure only delays. */
static void
wake_others(struct evaluations *evaluations)
{
  struct db *db = NULL;
  if (db_pool_get(evaluations->options.pool, &db, NULL) < 0)
    return;
  (void) farm_wake(db, NULL);
  (void) events_wake(db, NULL);
  db_pool_put(evaluations->options.pool, db);
}

static void
log_end(const struct run *run, int64_t begun_ms, const char *outcome)
{
  const int64_t *ms = run->stage_ms;
  int64_t now = clock_monotonic_ms();
  log_info("evaluation",
           "evaluation %lld of %.*s ended after %lld ms: %zu jobs, %zu errors, %s"
           " (ms: Guix %lld, sources %lld, graph %lld, end %lld; %lld of them after Guix was done)",
           (long long) run->running.id, STR_FMT(run->name), (long long) (now - begun_ms),
           run->results.jobs_count, run->results.errors_count, outcome, (long long) ms[STAGE_GUIX],
           (long long) ms[STAGE_SOURCES], (long long) ms[STAGE_GRAPH], (long long) ms[STAGE_END],
           (long long) (run->guix_done_ms == 0 ? 0 : now - run->guix_done_ms));
}

/* Then it stays "running", and whoever comes next runs it again: when the server
   stops, the database is away, or Guix was ended from outside. One that was taken over
   is no longer ours to end. */
static bool
was_interrupted(const struct run *run, int r)
{
  return run->taken_over || is_passing(r) || r == -EINTR
         || (r == -ECANCELED && !run->running.cancelled);
}

static void
run_claimed(struct run *run)
{
  struct error err = { 0 };
  int64_t begun = clock_monotonic_ms();
  run->stage_began_ms = begun;
  list_running(run);
  log_info("evaluation", "evaluation %lld of %.*s begins", (long long) run->running.id,
           STR_FMT(run->name));
  int r = evaluate(run, &err);
  if (!was_interrupted(run, r))
    run->ended = finish(run, r, &err) >= 0;
  wake_others(run->evaluations);
  end_stage(run, STAGE_END);
  log_end(run, begun, err.code == 0 ? "succeeded" : err.message);
  unlist_running(run);
}

static void
run_free(struct run *run)
{
  db_close(run->guard); /* after the end is written: this lets the lock go */
  workspace_clear(&run->workspace);
  results_free(&run->results);
  graph_load_free(run->load);
  str_map_free(&run->ids);
  arena_free(&run->arena);
}

void *
evaluation_runner_main(void *context)
{
  struct evaluations *evaluations = context;
  while (!evaluations->stopping) {
    unsigned seen = evaluations_seen(evaluations);
    struct run run = { .evaluations = evaluations };
    struct error err = { 0 };
    int r = db_pool_run(evaluations->options.pool, DB_WRITE, claim, &run, &err);
    if (r < 0)
      log_failure("evaluation", &err, "cannot look for work");
    if (r == 0 && run.running.id != 0)
      run_claimed(&run);
    bool ended = run.ended; /* else nothing was there, or it would be the same again */
    run_free(&run);
    if (!ended)
      evaluations_pause(evaluations, seen, IDLE_MS);
  }
  return NULL;
}
