/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the page of an evaluation tells besides its jobs, in the API: commits and errors. */
#include <errno.h>

#include "base/json.h"
#include "evaluation/comparison.h"
#include "evaluation/revisions.h"

struct facts_question
{
  struct changes_question changes; /* without a comparison */
  int64_t against;                 /* 0 = there is nothing to hold it against */
  struct page_revisions_rows revisions;
  bool wants_new, wants_gone;
  int64_t after, limit;
  struct page_errors_rows errors;
};

/* As the page has it: only one that succeeded is held against another. */
static int
read_head(struct db *db, struct facts_question *question, struct error *err)
{
  struct changes_question *changes = &question->changes;
  int r = changes_read_head(db, changes, err);
  bool is_comparable = changes->head.state == EVALUATION_SUCCEEDED;
  question->against = is_comparable ? changes->head.against : 0;
  return r;
}

static int
read_revisions(struct db *db, struct facts_question *question, struct error *err)
{
  const struct changes_question *changes = &question->changes;
  return page_revisions(db, changes->head.against, changes->id, changes->arena,
                        &question->revisions, err);
}

/* ---- commits ---- */

static int
read_commits(struct db *db, void *context, struct error *err)
{
  struct facts_question *question = context;
  int r = changes_read_head(db, &question->changes, err);
  return r < 0 ? r : read_revisions(db, question, err);
}

static void
put_commits(struct json *json, const struct commit_lines *commits)
{
  json_key(json, "commits");
  json_array_open(json);
  for (size_t i = 0; i < commits->count; i++) {
    const struct commit_line *line = &commits->items[i];
    json_object_open(json);
    json_put_text(json, "commit", line->row.commit);
    json_put_text(json, "subject", line->row.subject);
    json_put_text(json, "author", line->row.author);
    json_put_time(json, "committed_at", line->row.committed_at, false);
    json_put_words(json, "commit_url", line->url);
    json_object_close(json);
  }
  json_array_close(json);
}

/* What is the same has no commits in between, which is known. */
static void
put_count(struct json *json, const struct revision_line *line)
{
  bool is_same = !line->row.before_null && str_equal(line->row.before, line->row.commit);
  json_key(json, "commits_count");
  if (line->is_known || is_same)
    json_i64(json, line->total);
  else
    json_none(json);
}

static void
put_revision(struct json *json, const struct revision_line *line)
{
  json_object_open(json);
  json_put_text(json, "channel", line->row.channel);
  json_put_text(json, "url", line->row.url);
  json_put_text(json, "commit", line->row.commit);
  json_put_words(json, "commit_url", line->commit_url);
  json_put_words(json, "commit_before", line->row.before);
  json_put_words(json, "compare_url", line->compare_url);
  put_count(json, line);
  put_commits(json, &line->commits);
  json_object_close(json);
}

static int
answer_commits(struct http_request *request, void *context, struct error *err)
{
  struct evaluations *evaluations = context;
  struct facts_question question = { 0 };
  struct revision_lines lines;
  int r = changes_ask(request, evaluations, &question.changes, err);
  if (r == 0)
    r = db_pool_run(evaluations->options.pool, DB_READ, read_commits, &question, err);
  if (r < 0)
    return r;
  revisions_tell(evaluations, &question.revisions, question.changes.arena, &lines);
  CLEANUP_BUF struct buf body = { 0 };
  struct json json = json_begin(&body);
  json_object_open(&json);
  json_put_i64(&json, "evaluation", question.changes.id);
  json_put_id(&json, "against", question.changes.head.against);
  json_key(&json, "items");
  json_array_open(&json);
  for (size_t i = 0; i < lines.count; i++)
    put_revision(&json, &lines.items[i]);
  json_array_close(&json);
  json_put_cstr(&json, "next", NULL);
  json_object_close(&json);
  return http_reply_json(request, 200, &body);
}

/* It asks clones. */
static int
get_commits(struct http_request *request, void *context, struct error *err)
{
  (void) err;
  return evaluations_later(context, request, answer_commits);
}

/* ---- errors ---- */

static int
read_errors(struct db *db, void *context, struct error *err)
{
  struct facts_question *question = context;
  int64_t id = question->changes.id;
  bool gone = question->wants_gone;
  int r = read_head(db, question, err);
  if (r == 0)
    r = read_revisions(db, question, err);
  return r < 0 ? r
               : page_errors(db, gone ? id : question->against, gone ? question->against : id,
                             question->after, gone || question->wants_new, question->limit + 1,
                             question->changes.arena, &question->errors, err);
}

/* Those that are gone stood in other commits. */
static void
put_error(struct json *json, const struct facts_question *question,
          const struct page_errors_row *row)
{
  struct str url = STR("");
  if (!question->wants_gone)
    url = revisions_file_url(&question->revisions, row->file, row->line, question->changes.arena);
  json_object_open(json);
  json_put_text(json, "name", row->job);
  json_put_text(json, "message", row->message);
  json_put_words(json, "file", row->file);
  json_put_id(json, "line", row->line);
  json_put_id(json, "column", row->column_);
  json_put_words(json, "file_url", url);
  json_key(json, "new");
  if (question->against == 0)
    json_none(json);
  else
    json_bool(json, !question->wants_gone && row->is_alone);
  json_object_close(json);
}

static int
read_errors_question(struct http_request *request, struct evaluations *evaluations,
                     struct facts_question *ret, struct error *err)
{
  struct str show = http_query(request, "show");
  *ret = (struct facts_question) { 0 };
  ret->wants_new = str_equal(show, STR("new"));
  ret->wants_gone = str_equal(show, STR("gone"));
  int r = changes_ask(request, evaluations, &ret->changes, err);
  if (r == 0)
    r = evaluation_list_limit(request, &ret->limit, err);
  if (r == 0)
    r = http_query_i64(request, "before", 1, INT64_MAX, 0, &ret->after, err);
  if (r == 0 && show.size > 0 && !ret->wants_new && !ret->wants_gone)
    return error_set(err, -EINVAL, "errors that are \"new\" or \"gone\" can be shown, not \"%.*s\"",
                     STR_FMT(show));
  return r;
}

static int
get_errors(struct http_request *request, void *context, struct error *err)
{
  struct evaluations *evaluations = context;
  struct facts_question question;
  int r = read_errors_question(request, evaluations, &question, err);
  if (r == 0)
    r = db_pool_run(evaluations->options.pool, DB_READ, read_errors, &question, err);
  if (r < 0)
    return r;
  size_t limit = (size_t) question.limit;
  size_t count = question.errors.count < limit ? question.errors.count : limit;
  const char *next = NULL;
  if (question.errors.count > count)
    next = arena_printf(question.changes.arena, "%lld",
                        (long long) question.errors.items[count - 1].id);
  CLEANUP_BUF struct buf body = { 0 };
  struct json json = json_begin(&body);
  json_object_open(&json);
  json_key(&json, "items");
  json_array_open(&json);
  for (size_t i = 0; i < count; i++)
    put_error(&json, &question, &question.errors.items[i]);
  json_array_close(&json);
  json_put_cstr(&json, "next", next);
  json_object_close(&json);
  return http_reply_page(request, &body, str_of(next));
}

static const struct http_route routes[] = {
  { "GET", HTTP_API "/evaluations/{id}/commits", get_commits,
    .summary = "Its commits since the evaluation before", .query = "against",
    .reply = "EvaluationCommits" },
  { "GET", HTTP_API "/evaluations/{id}/errors", get_errors,
    .summary = "What could not be evaluated", .query = "against before limit show",
    .reply = "EvaluationErrors" },
};

struct http_routes
evaluations_facts(struct evaluations *evaluations)
{
  return (struct http_routes) { routes, ARRAY_SIZE(routes), evaluations };
}
