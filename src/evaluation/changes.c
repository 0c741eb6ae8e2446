/* SPDX-License-Identifier: GPL-3.0-or-later */
/* An evaluation held against another: the API, and the data of the page's matrix. */
#include <errno.h>

#include "base/json.h"
#include "base/mem.h"
#include "evaluation/comparison.h"

#define MATRIX_JOBS_MAX 200000 /* more are no picture any more, but some ten MB */

/* ---- asking ---- */

int
changes_ask(struct http_request *request, struct evaluations *evaluations,
            struct changes_question *ret, struct error *err)
{
  *ret = (struct changes_question) { .evaluations = evaluations, .arena = http_arena(request) };
  int r = http_param_id(request, "id", &ret->id, err);
  if (r < 0 || http_query(request, "against").data == NULL)
    return r;
  ret->against = &ret->against_value;
  return http_query_i64(request, "against", 1, INT64_MAX, 0, &ret->against_value, err);
}

int
changes_read_head(struct db *db, struct changes_question *question, struct error *err)
{
  struct changes_head_row *head = &question->head;
  int r = changes_head(db, question->against, question->id, question->arena, head, err);
  if (r == 0)
    return error_set(err, -ENOENT, "there is no evaluation %lld", (long long) question->id);
  if (r > 0 && question->against != NULL && head->against_null)
    return error_set(err, -ENOENT,
                     "there is no other evaluation %lld of specification %.*s that succeeded",
                     (long long) question->against_value, STR_FMT(head->specification));
  return r < 0 ? r : 0;
}

int
changes_read(struct db *db, struct changes_question *question, struct error *err)
{
  comparison_drop(question->comparison);
  question->comparison = NULL;
  int r = changes_read_head(db, question, err);
  if (r < 0)
    return r;
  if (question->head.state == EVALUATION_SUCCEEDED) /* others have no jobs, which says nothing */
    return comparison_take(question->evaluations, db, question->id, question->head.against,
                           &question->comparison, err);
  question->comparison = comparison_empty(question->id);
  return 0;
}

/* ---- the API ---- */

struct api_question
{
  struct changes_question changes; /* first: it is read as one */
  struct comparison_page page;
  struct changes_errors_count_row errors;
};

static int
read_api(struct db *db, void *context, struct error *err)
{
  struct api_question *question = context;
  int r = changes_read(db, &question->changes, err);
  const struct comparison *comparison = question->changes.comparison;
  if (r == 0 && comparison->against_id != 0)
    r = changes_errors_count(db, question->changes.id, comparison->against_id, &question->errors,
                             err);
  return r < 0 ? r : 0;
}

/* A build and its state; ID 0: there is none. */
static void
put_build(struct json *json, const char *name, int64_t id, const char *state_name, int16_t state)
{
  const char *word = id == 0 ? NULL : farm_build_state_name((enum farm_build_state) state);
  json_put_id(json, name, id);
  json_put_cstr(json, state_name, word);
}

static void
put_job(struct json *json, const struct comparison *comparison, size_t index)
{
  const struct compared_job *job = &comparison->jobs[index];
  json_object_open(json);
  json_put_text(json, "name", job->name);
  json_put_cstr(json, "change", job_change_name(comparison->changes[index]));
  put_build(json, "build", job->build_id, "state", comparison->states[index]);
  put_build(json, "build_before", job->before_id, "state_before", comparison->before[index]);
  json_object_close(json);
}

static void
put_counts(struct json *json, const struct api_question *question)
{
  const struct comparison *comparison = question->changes.comparison;
  json_key(json, "counts");
  json_object_open(json);
  for (int show = 0; show < JOB_SHOWS; show++)
    json_put_i64(json, job_shows[show].name, comparison->counts[show]);
  json_object_close(json);
  json_put_i64(json, "errors_new_count", question->errors.added);
  json_put_i64(json, "errors_gone_count", question->errors.gone);
}

static struct str
write_page(struct api_question *question, struct buf *out)
{
  const struct comparison *comparison = question->changes.comparison;
  CLEANUP_FREE size_t *list = mem_array(question->page.limit, sizeof *list);
  bool more;
  size_t count = comparison_list(comparison, &question->page, list, &more);
  struct str next = { 0 };
  if (more)
    next = comparison_cursor(comparison, list[count - 1], question->changes.arena);
  struct json json = json_begin(out);
  json_object_open(&json);
  json_put_i64(&json, "evaluation", question->changes.id);
  json_put_text(&json, "state", question->changes.head.state_name);
  json_put_id(&json, "against", comparison->against_id);
  put_counts(&json, question);
  json_key(&json, "items");
  json_array_open(&json);
  for (size_t i = 0; i < count; i++)
    put_job(&json, comparison, list[i]);
  json_array_close(&json);
  json_put_words(&json, "next", next);
  json_object_close(&json);
  return next;
}

static int
answer_changes(struct http_request *request, void *context, struct error *err)
{
  struct evaluations *evaluations = context;
  struct api_question question = { 0 };
  struct comparison_page *page = &question.page;
  int64_t limit = 0;
  struct str show = http_query(request, "show");
  int r = changes_ask(request, evaluations, &question.changes, err);
  if (r == 0)
    r = evaluation_list_limit(request, &limit, err);
  if (r == 0)
    r = evaluation_job_cursor(http_query(request, "before"), &page->after_name, &page->after_id,
                              err);
  if (r == 0)
    r = job_show_parse(show.size > 0 ? show : STR("changed"), &page->show, err);
  page->limit = (size_t) limit;
  page->name = http_query(request, "name");
  if (r == 0)
    r = db_pool_run(evaluations->options.pool, DB_READ, read_api, &question, err);
  if (r == 0) {
    CLEANUP_BUF struct buf body = { 0 };
    struct str next = write_page(&question, &body);
    r = http_reply_page(request, &body, next);
  }
  comparison_drop(question.changes.comparison);
  return r;
}

static int
get_changes(struct http_request *request, void *context, struct error *err)
{
  (void) err;
  return evaluations_later(context, request, answer_changes);
}

/* ---- the matrix ---- */

static int
read_question(struct db *db, void *context, struct error *err)
{
  return changes_read(db, context, err);
}

/* A text with one letter for each job. */
static void
put_letters(struct json *json, const char *name, const struct comparison *comparison,
            bool of_changes)
{
  CLEANUP_BUF struct buf letters = { 0 };
  for (size_t i = 0; i < comparison->jobs_count; i++)
    buf_append_char(&letters, of_changes ? job_change_letter(comparison->changes[i])
                                         : job_state_letter(comparison->states[i]));
  json_put_text(json, name, buf_str(&letters));
}

/* What all names end in, from a point on: the system, mostly. */
static struct str
common_ending(const struct comparison *comparison)
{
  struct str ending = comparison->jobs_count > 0 ? comparison->jobs[0].name : STR("");
  for (size_t i = 1; i < comparison->jobs_count; i++)
    while (!str_ends(comparison->jobs[i].name, ending))
      ending = str_from(ending, 1);
  ptrdiff_t point = str_find(ending, '.');
  return point < 0 || !str_is_utf8(ending) ? STR("") : str_from(ending, (size_t) point);
}

/* What never changes: names, and builds (of the other evaluation for a removed job). */
static void
put_jobs(struct json *json, const struct comparison *comparison)
{
  struct str ending = common_ending(comparison);
  json_put_text(json, "ending", ending);
  json_key(json, "names");
  json_array_open(json);
  for (size_t i = 0; i < comparison->jobs_count; i++) {
    struct str name = comparison->jobs[i].name;
    json_text(json, str_make(name.data, name.size - ending.size));
  }
  json_array_close(json);
  json_key(json, "builds");
  json_array_open(json);
  for (size_t i = 0; i < comparison->jobs_count; i++) {
    const struct compared_job *job = &comparison->jobs[i];
    json_i64(json, job->build_id != 0 ? job->build_id : job->before_id);
  }
  json_array_close(json);
}

static int
answer_matrix(struct http_request *request, void *context, struct error *err)
{
  struct evaluations *evaluations = context;
  struct changes_question question;
  struct str part = http_query(request, "part");
  bool only_states = str_equal(part, STR("states"));
  int r = changes_ask(request, evaluations, &question, err);
  if (r == 0 && part.size > 0 && !only_states)
    r = error_set(err, -EINVAL, "part must be \"states\"");
  if (r == 0)
    r = db_pool_run(evaluations->options.pool, DB_READ, read_question, &question, err);
  if (r == 0 && question.comparison->jobs_count > MATRIX_JOBS_MAX)
    r = error_set(err, -EFBIG, "a matrix has at most %d jobs", MATRIX_JOBS_MAX);
  if (r == 0) {
    CLEANUP_BUF struct buf body = { 0 };
    struct json json = json_begin(&body);
    json_object_open(&json);
    put_letters(&json, "states", question.comparison, false);
    put_letters(&json, "changes", question.comparison, true);
    if (!only_states)
      put_jobs(&json, question.comparison);
    json_object_close(&json);
    r = http_reply_json(request, 200, &body);
  }
  comparison_drop(question.comparison);
  return r;
}

static int
get_matrix(struct http_request *request, void *context, struct error *err)
{
  (void) err;
  return evaluations_later(context, request, answer_matrix);
}

static const struct http_route routes[] = {
  { "GET", "/evaluations/{id}/matrix", get_matrix, .summary = "All its jobs, for a script" },
  { "GET", HTTP_API "/evaluations/{id}/changes", get_changes,
    .summary = "Its jobs against those of the one before",
    .query = "against before limit name show", .reply = "Changes" },
};

struct http_routes
evaluations_changes(struct evaluations *evaluations)
{
  return (struct http_routes) { routes, ARRAY_SIZE(routes), evaluations };
}
