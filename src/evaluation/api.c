/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The API of specifications and evaluations: doc/api.md. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/thread.h"
#include "evaluation/evaluation_private.h"
#include "evaluation/evaluation_sql.h"

#define DEFINITION_MAX (1 << 20) /* bytes */

/* ---- replies made by PostgreSQL ---- */

/* A query that fills JSON, and what it asks for. */
struct question
{
  struct http_request *request;
  struct arena *arena;
  struct str name;
  int64_t id;
  int64_t before;
  int64_t limit;
  struct str after_name;
  const int16_t *state;        /* of builds; NULL = any */
  struct str evaluation_state; /* data NULL = any */
  struct str outcome;          /* the same */
  struct str json;             /* the answer; data NULL = there is no such thing */
  struct str next; /* of a page of a list: the cursor behind it; data NULL = the last one */
};

int
evaluation_list_limit(struct http_request *request, int64_t *ret, struct error *err)
{
  return http_query_i64(request, "limit", 1, 1000, 100, ret, err);
}

static int
read_page(struct question *question, struct error *err)
{
  int r = evaluation_list_limit(question->request, &question->limit, err);
  if (r == 0)
    r = http_query_i64(question->request, "before", 1, INT64_MAX, INT64_MAX, &question->before,
                       err);
  return r;
}

static int
ask(struct evaluations *evaluations, struct http_request *request, db_body *query,
    struct question *question, struct error *err)
{
  question->request = request;
  question->arena = http_arena(request);
  int r = db_pool_run(evaluations->options.pool, DB_READ, query, question, err);
  if (r < 0)
    return r;
  if (question->json.data == NULL)
    return error_set(err, -ENOENT, "there is no such thing");
  CLEANUP_BUF struct buf body = { 0 };
  buf_append_str(&body, question->json);
  return http_reply_page(request, &body, question->next);
}

/* ---- specifications ---- */

static int
no_specification(struct str name, struct error *err)
{
  return error_set(err, -ENOENT, "there is no specification \"%.*s\"", STR_FMT(name));
}

static int
query_specification(struct db *db, void *context, struct error *err)
{
  struct question *question = context;
  struct specification_json_row row = { 0 };
  int r = specification_json(db, question->name, question->arena, &row, err);
  if (r == 0)
    return no_specification(question->name, err);
  question->json = row.json;
  return r < 0 ? r : 0;
}

static int
query_specifications(struct db *db, void *context, struct error *err)
{
  struct question *question = context;
  struct specification_json_list_row row = { 0 };
  int r = specification_json_list(db, question->after_name, question->limit, question->arena, &row,
                                  err);
  question->json = row.json;
  question->next = row.next;
  return r < 0 ? r : 0;
}

static int
get_specifications(struct http_request *request, void *context, struct error *err)
{
  struct str before = http_query(request, "before");
  struct question question = { .after_name = before.data != NULL ? before : STR("") };
  int r = evaluation_list_limit(request, &question.limit, err);
  return r < 0 ? r : ask(context, request, query_specifications, &question, err);
}

static int
get_specification(struct http_request *request, void *context, struct error *err)
{
  struct question question = { .name = http_param(request, "name") };
  return ask(context, request, query_specification, &question, err);
}

static int
reply_specification(struct evaluations *evaluations, struct http_request *request, int status,
                    struct str name, struct error *err)
{
  struct question question = { .arena = http_arena(request), .name = name };
  int r = db_pool_run(evaluations->options.pool, DB_READ, query_specification, &question, err);
  if (r < 0)
    return r;
  CLEANUP_BUF struct buf body = { 0 };
  buf_append_str(&body, question.json);
  return http_reply_json(request, status, &body);
}

void
evaluations_look_now(struct evaluations *evaluations)
{
  evaluations_wake_feeds(evaluations);
  evaluations_poke(evaluations);
}

static int
post_specification(struct http_request *request, void *context, struct error *err)
{
  struct evaluations *evaluations = context;
  struct specification parsed;
  int64_t id = 0;
  int r = specification_parse(http_body(request), http_arena(request), &parsed, err);
  if (r == 0)
    r = specification_add(evaluations->options.pool, http_body(request), &id, err);
  if (r < 0)
    return r;
  evaluations_look_now(evaluations);
  return reply_specification(evaluations, request, 201, parsed.name, err);
}

static int
put_specification(struct http_request *request, void *context, struct error *err)
{
  struct evaluations *evaluations = context;
  struct str name = http_param(request, "name");
  int r = specification_edit(evaluations->options.pool, name, http_body(request), 0, err);
  if (r < 0)
    return r;
  evaluations_look_now(evaluations);
  return reply_specification(evaluations, request, 200, name, err);
}

struct deletion
{
  struct work work;
  struct http_request *request; /* deferred */
  int (*reply)(struct http_request *request);
};

static void
delete_run(void *context, struct work *work, bool stopping)
{
  struct evaluations *evaluations = context;
  struct deletion *deletion = (struct deletion *) work;
  struct http_request *request = deletion->request;
  struct error err = { 0 };
  thread_forbid_outages();
  int r = stopping
              ? error_set(&err, -EBUSY, "the server stops")
              : specification_delete(evaluations->options.pool, http_param(request, "name"), &err);
  if (r < 0)
    http_reply_failure(request, &err);
  else {
    evaluations_wake_feeds(evaluations);
    (void) deletion->reply(request);
  }
  free(deletion);
}

int
evaluations_delete_later(struct evaluations *evaluations, struct http_request *request,
                         int (*reply)(struct http_request *request))
{
  struct deletion *deletion = mem_alloc(sizeof *deletion);
  *deletion =
      (struct deletion) { .work = { .run = delete_run }, .request = request, .reply = reply };
  http_defer(request);
  work_pool_put(&evaluations->deletions, &deletion->work);
  return 0;
}

static int
reply_deleted(struct http_request *request)
{
  return http_reply_text(request, 204, "application/json", "");
}

static int
delete_specification(struct http_request *request, void *context, struct error *err)
{
  (void) err;
  return evaluations_delete_later(context, request, reply_deleted);
}

static int
post_evaluate(struct http_request *request, void *context, struct error *err)
{
  bool force = str_equal(http_query(request, "force"), STR("yes"));
  int r = evaluations_request(context, http_param(request, "name"), force, err);
  return r < 0 ? r : http_reply_accepted(request);
}

static int
set_paused(struct evaluations *evaluations, struct http_request *request, bool paused,
           struct error *err)
{
  int r = specification_pause(evaluations->options.pool, http_param(request, "name"), paused, err);
  if (r < 0)
    return r;
  evaluations_look_now(evaluations);
  return http_reply_accepted(request);
}

static int
post_pause(struct http_request *request, void *context, struct error *err)
{
  return set_paused(context, request, true, err);
}

static int
post_resume(struct http_request *request, void *context, struct error *err)
{
  return set_paused(context, request, false, err);
}

/* ---- evaluations ---- */

static int
query_evaluations(struct db *db, void *context, struct error *err)
{
  struct question *question = context;
  struct evaluation_json_list_row row = { 0 };
  int r = evaluation_json_list(db, question->before, question->name, question->evaluation_state,
                               question->outcome, question->limit, question->arena, &row, err);
  if (r >= 0 && !row.known)
    return no_specification(question->name, err);
  question->json = row.json;
  question->next = row.next;
  return r < 0 ? r : 0;
}

/* The parameter NAME, one of WORDS. */
static int
read_word(struct http_request *request, const char *name, const char *words, struct str *ret,
          struct error *err)
{
  struct str rest = str_of(words);
  struct str given = http_query(request, name);
  struct str word;
  while (given.size > 0 && str_split(&rest, ' ', &word))
    if (str_equal(given, word)) {
      *ret = given;
      return 0;
    }
  return given.size == 0 ? 0
                         : error_set(err, -EINVAL, "there is no %s \"%.*s\"", name, STR_FMT(given));
}

static int
read_states(struct question *question, struct error *err)
{
  int r = read_word(question->request, "state", "waiting running succeeded failed cancelled",
                    &question->evaluation_state, err);
  if (r < 0)
    return r;
  return read_word(question->request, "outcome",
                   "waiting running building some-failed succeeded failed cancelled",
                   &question->outcome, err);
}

static int
get_evaluations(struct http_request *request, void *context, struct error *err)
{
  struct question question = { .request = request, .name = http_query(request, "specification") };
  int r = read_page(&question, err);
  if (r == 0)
    r = read_states(&question, err);
  return r < 0 ? r : ask(context, request, query_evaluations, &question, err);
}

static int
no_evaluation(int64_t id, struct error *err)
{
  return error_set(err, -ENOENT, "there is no evaluation %lld", (long long) id);
}

static int
query_evaluation(struct db *db, void *context, struct error *err)
{
  struct question *question = context;
  struct evaluation_json_row row = { 0 };
  struct page_pace_row pace = { 0 };
  int r = page_pace(db, question->id, &pace, err);
  int64_t usual_s = (pace.took + 500000) / 1000000;
  bool is_known = r == 1 && !pace.took_null;
  if (r >= 0)
    r = evaluation_json(db, question->id, is_known ? &usual_s : NULL, is_known ? &pace.jobs : NULL,
                        is_known && !pace.ends_at_null ? &pace.ends_at : NULL, question->arena,
                        &row, err);
  if (r == 0)
    return no_evaluation(question->id, err);
  question->json = row.json;
  return r < 0 ? r : 0;
}

static int
get_evaluation(struct http_request *request, void *context, struct error *err)
{
  struct question question = { 0 };
  int r = http_param_id(request, "id", &question.id, err);
  return r < 0 ? r : ask(context, request, query_evaluation, &question, err);
}

int
evaluation_job_cursor(struct str cursor, struct str *ret_name, int64_t *ret_id, struct error *err)
{
  *ret_name = STR("");
  *ret_id = 0;
  if (cursor.data == NULL)
    return 0;
  size_t slash = cursor.size;
  while (slash > 0 && cursor.data[slash - 1] != '/')
    slash--;
  if (slash == 0 || str_to_i64(str_from(cursor, slash), ret_id) < 0)
    return error_set(err, -EINVAL, "that is no cursor of this list");
  *ret_name = str_make(cursor.data, slash - 1);
  return 0;
}

struct jobs_question
{
  struct question question;
  int64_t evaluation_id;
  struct str name;
  struct str system;
};

static int
query_jobs(struct db *db, void *context, struct error *err)
{
  struct jobs_question *jobs = context;
  struct question *question = &jobs->question;
  struct evaluation_jobs_json_row row = { 0 };
  int r = evaluation_jobs_json(db, jobs->evaluation_id, question->after_name, question->id,
                               question->state, jobs->name, jobs->system, question->limit,
                               question->arena, &row, err);
  if (r == 0)
    return no_evaluation(jobs->evaluation_id, err);
  question->json = row.json;
  question->next = row.next;
  return r < 0 ? r : 0;
}

int
evaluation_build_state(struct str name, int16_t *state, const int16_t **ret, struct error *err)
{
  *ret = NULL;
  if (name.size == 0)
    return 0;
  for (*state = 0; *state < FARM_BUILD_STATE_MAX; (*state)++)
    if (str_equal(name, str_of(farm_build_state_name((enum farm_build_state) * state)))) {
      *ret = state;
      return 0;
    }
  return error_set(err, -EINVAL, "there is no state \"%.*s\"", STR_FMT(name));
}

static int
get_jobs(struct http_request *request, void *context, struct error *err)
{
  struct jobs_question jobs = { .question.request = request,
                                .name = http_query(request, "name"),
                                .system = http_query(request, "system") };
  int16_t state;
  int r = http_param_id(request, "id", &jobs.evaluation_id, err);
  if (r == 0)
    r = evaluation_list_limit(request, &jobs.question.limit, err);
  if (r == 0)
    r = evaluation_job_cursor(http_query(request, "before"), &jobs.question.after_name,
                              &jobs.question.id, err);
  if (r == 0)
    r = evaluation_build_state(http_query(request, "state"), &state, &jobs.question.state, err);
  return r < 0 ? r : ask(context, request, query_jobs, &jobs.question, err);
}

static int
get_log(struct http_request *request, void *context, struct error *err)
{
  int64_t id = 0;
  int64_t from = 0;
  bool follow = str_equal(http_query(request, "follow"), STR("yes"));
  int r = http_param_id(request, "id", &id, err);
  if (r == 0)
    r = http_query_i64(request, "from", 0, INT64_MAX, 0, &from, err);
  return r < 0 ? r : evaluations_log_reply(context, request, id, from, follow, err);
}

static int
post_cancel(struct http_request *request, void *context, struct error *err)
{
  int64_t id = 0, builds;
  int r = http_param_id(request, "id", &id, err);
  if (r == 0)
    r = evaluations_cancel(context, id, &builds, err);
  return r < 0 ? r : http_reply_accepted(request);
}

static const struct http_route routes[] = {
  { "GET", HTTP_API "/specifications", get_specifications, .summary = "Specifications, by name",
    .query = "before limit", .reply = "Specifications" },
  { "POST", HTTP_API "/specifications", post_specification, .body_limit = DEFINITION_MAX,
    .role = "admin", .summary = "Add a specification", .request = "Definition",
    .members = HTTP_MEMBERS_READ, .reply = "Specification", .status = 201 },
  { "GET", HTTP_API "/specifications/{name}", get_specification, .summary = "One specification",
    .reply = "Specification" },
  { "PUT", HTTP_API "/specifications/{name}", put_specification, .body_limit = DEFINITION_MAX,
    .role = "admin", .summary = "Replace a specification's definition", .request = "Definition",
    .members = HTTP_MEMBERS_READ, .reply = "Specification" },
  { "DELETE", HTTP_API "/specifications/{name}", delete_specification, .role = "admin",
    .summary = "Delete a specification with its evaluations", .status = 204 },
  { "POST", HTTP_API "/specifications/{name}/evaluate", post_evaluate, .body_limit = 1024,
    .role = "admin", .summary = "Look at its channels now", .query = "force?", .status = 202 },
  { "POST", HTTP_API "/specifications/{name}/pause", post_pause, .body_limit = 1024,
    .role = "admin", .summary = "Look at its channels only when asked to", .status = 202 },
  { "POST", HTTP_API "/specifications/{name}/resume", post_resume, .body_limit = 1024,
    .role = "admin", .summary = "Look at its channels by its period again", .status = 202 },
  { "GET", HTTP_API "/evaluations", get_evaluations, .summary = "Evaluations, newest first",
    .query = "before limit outcome specification state", .reply = "Evaluations" },
  { "GET", HTTP_API "/evaluations/{id}", get_evaluation, .summary = "One evaluation",
    .reply = "Evaluation" },
  { "GET", HTTP_API "/evaluations/{id}/jobs", get_jobs, .summary = "Its jobs, by name",
    .query = "before limit name state system", .reply = "Jobs" },
  { "GET", HTTP_API "/evaluations/{id}/log", get_log, .summary = "Guix's own words",
    .query = "follow? from", .type = "text/plain" },
  { "POST", HTTP_API "/evaluations/{id}/cancel", post_cancel, .body_limit = 1024, .role = "admin",
    .summary = "Stop an evaluation, or what is left of its builds", .status = 202 },
};

struct http_routes
evaluations_routes(struct evaluations *evaluations)
{
  return (struct http_routes) { routes, ARRAY_SIZE(routes), evaluations };
}
