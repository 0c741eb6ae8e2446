/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Reading the evaluator's lines. The channel's code runs in that process, so
   every line is hostile. */
#include <errno.h>
#include <stdlib.h>

#include "base/mem.h"
#include "evaluation/evaluation_private.h"

#define LINE_MAX_BYTES (1 << 20)
#define JOBS_MAX 1000000
#define ERRORS_MAX 100000
#define ERRORS_BYTES_MAX (32 << 20) /* of their texts: one statement stores them */
#define JOBS_BYTES_MAX (256 << 20)  /* of the texts of all that were named */
#define NAME_MAX_BYTES 500
#define MESSAGE_MAX_BYTES 8000
#define OUTPUT_MAX_BYTES (1 << 30)   /* of all lines: a hundred times what all of Guix takes */
#define LIMIT_MAX_S (30 * 24 * 3600) /* the same as in evaluate.scm */

void
results_free(struct results *results)
{
  arena_free(&results->arena);
  buf_free(&results->line);
  str_map_free(&results->seen);
  free(results->jobs);
  free(results->errors);
  *results = (struct results) { 0 };
}

/* A member's text, cut to LIMIT bytes at a character's border. Lives as long as the line:
   what is kept is copied, and only that. */
static struct str
text_member(const json_t *object, const char *name, size_t limit)
{
  struct str text = str_of(json_string_value(json_object_get(object, name)));
  if (text.size > limit)
    text.size = limit;
  while (text.size > 0 && !str_is_utf8(text))
    text.size--;
  return text;
}

static int64_t
number_member(const json_t *object, const char *name, int64_t high)
{
  int64_t number = json_integer_value(json_object_get(object, name));
  return number < 0 ? 0 : number > high ? high : number;
}

struct reading
{
  struct results *results;
  int (*on_job)(void *context, const struct result_job *job, struct error *err);
  void *context;
  struct error *err;
};

/* Guix has some packages under two names: a job that is repeated is one job. */
static bool
is_new(struct results *results, const struct result_job *job)
{
  CLEANUP_BUF struct buf key = { 0 };
  buf_append_str(&key, job->derivation);
  buf_append_char(&key, '\n');
  buf_append_str(&key, job->name);
  bool added = str_map_put(&results->seen, buf_str(&key), 1);
  results->jobs_bytes += added ? key.size : 0;
  return added;
}

/* A copy. Beyond the limit errors are neither kept nor counted: so many say enough. */
static void
add_problem(struct results *results, struct result_error problem)
{
  if (results->errors_count == ERRORS_MAX || results->errors_bytes > ERRORS_BYTES_MAX)
    return;
  results->errors_bytes += problem.name.size + problem.message.size + problem.file.size;
  problem.name = arena_str(&results->arena, problem.name);
  problem.message = arena_str(&results->arena, problem.message);
  problem.file = arena_str(&results->arena, problem.file);
  mem_grow(&results->errors, &results->errors_capacity, results->errors_count + 1,
           sizeof *results->errors);
  results->errors[results->errors_count++] = problem;
}

void
results_refuse(struct results *results, const struct result_job *job, struct str why)
{
  struct result_error problem = {
    .name = job->name.size > 0 ? job->name : STR("(a job without a name)"),
    .message = why,
    .file = STR(""),
  };
  add_problem(results, problem);
}

static int
read_job(const struct reading *reading, const json_t *line)
{
  struct results *results = reading->results;
  struct result_job job = {
    .name = text_member(line, "name", NAME_MAX_BYTES),
    .derivation = text_member(line, "derivation", NAME_MAX_BYTES),
    .timeout_s = number_member(line, "timeout", LIMIT_MAX_S),
    .max_silent_s = number_member(line, "max_silent", LIMIT_MAX_S),
  };
  if (!is_new(results, &job))
    return 0;
  if (results->jobs_count == JOBS_MAX || results->jobs_bytes > JOBS_BYTES_MAX)
    return error_set(reading->err, -E2BIG, "the evaluator reported more than %zu jobs",
                     results->jobs_count);
  if (job.name.size == 0 || !guix_path_is_valid(job.derivation)
      || !guix_path_is_derivation(job.derivation)) {
    results_refuse(results, &job, STR("the evaluator reported a job without name or derivation"));
    return 0;
  }
  job.name = arena_str(&results->arena, job.name);
  job.derivation = arena_str(&results->arena, job.derivation);
  mem_grow(&results->jobs, &results->jobs_capacity, results->jobs_count + 1, sizeof *results->jobs);
  results->jobs[results->jobs_count++] = job;
  struct error why = { 0 };
  int r = reading->on_job(reading->context, &job, &why);
  if (r == -ENXIO) {
    results->jobs_count--;
    results_refuse(results, &job, str_of(why.message));
    return 0;
  }
  if (r < 0 && reading->err != NULL)
    *reading->err = why;
  return r;
}

static int
read_error(const struct reading *reading, const json_t *line)
{
  struct results *results = reading->results;
  struct result_error problem = {
    .name = text_member(line, "name", NAME_MAX_BYTES),
    .message = text_member(line, "message", MESSAGE_MAX_BYTES),
    .file = text_member(line, "file", NAME_MAX_BYTES),
    .line = (int32_t) number_member(line, "line", INT32_MAX),
    .column = (int32_t) number_member(line, "column", INT32_MAX),
  };
  add_problem(results, problem);
  return 0;
}

static int
read_done(const struct reading *reading, const json_t *line)
{
  (void) line;
  reading->results->done = true;
  return 0;
}

static const struct
{
  const char *type;
  int (*read)(const struct reading *reading, const json_t *line);
} types[] = {
  { "job", read_job },
  { "error", read_error },
  { "done", read_done },
};

static int
read_line(const struct reading *reading, struct str text)
{
  json_t *line = json_loadb(text.data, text.size, 0, NULL);
  const char *type = json_string_value(json_object_get(line, "type"));
  int r = type == NULL
              ? error_set(reading->err, -EPROTO, "the evaluator wrote what is no message: %.*s",
                          (int) (text.size < 200 ? text.size : 200), text.data)
              : 0;
  for (size_t i = 0; r == 0 && i < ARRAY_SIZE(types); i++)
    if (strcmp(type, types[i].type) == 0) {
      r = types[i].read(reading, line);
      break;
    }
  json_decref(line);
  return r;
}

int
results_feed(struct results *results, struct str piece,
             int (*on_job)(void *, const struct result_job *, struct error *), void *context,
             struct error *err)
{
  const struct reading reading = { results, on_job, context, err };
  results->bytes += piece.size;
  if (results->bytes > OUTPUT_MAX_BYTES)
    return error_set(err, -EMSGSIZE, "the evaluator wrote more than %d MiB of results",
                     OUTPUT_MAX_BYTES >> 20);
  buf_append_str(&results->line, piece);
  struct str rest = buf_str(&results->line);
  int r = 0;
  ptrdiff_t end;
  while (r == 0 && (end = str_find(rest, '\n')) >= 0) {
    r = read_line(&reading, str_make(rest.data, (size_t) end));
    rest = str_from(rest, (size_t) end + 1);
  }
  buf_consume(&results->line, results->line.size - rest.size);
  if (r == 0 && results->line.size > LINE_MAX_BYTES)
    r = error_set(err, -EMSGSIZE, "the evaluator wrote a line without end");
  return r;
}
