/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What can be done to an evaluation: forms of its page and the API. */
#include <errno.h>

#include "evaluation/comparison.h"
#include "ui/list.h"
#include "ui/ui.h"

#define FORM_LIMIT 8192
#define NAMES_SHOWN 8

static const char *
evaluation_path(struct http_request *request, int64_t id, const char *rest)
{
  return arena_printf(http_arena(request), "/evaluations/%lld%s", (long long) id, rest);
}

/* ---- restarting what failed: on a worker, as orders wait for their effect ---- */

/* The restart of all that failed, or of what the list on the page, whose filters the address
   has, shows of it. */
struct asked_restart
{
  struct changes_question changes;
  struct comparison_page page;
  bool is_narrowed;
  const char *back;
  int64_t *ids;
  size_t count;
  struct str names; /* of the first few of a narrowed one */
};

static int
ask_for_restart(struct http_request *request, struct evaluations *evaluations,
                struct asked_restart *ret, struct error *err)
{
  *ret = (struct asked_restart) { .page.name = http_query(request, "name") };
  int r = changes_ask(request, evaluations, &ret->changes, err);
  if (r == 0)
    r = job_show_parse(http_query(request, "show"), &ret->page.show, err);
  ret->is_narrowed =
      http_query(request, "all").size == 0 && (ret->page.show >= 0 || ret->page.name.size > 0);
  const struct ui_list list = { request, evaluation_path(request, ret->changes.id, ""),
                                ret->is_narrowed || http_query(request, "all").size > 0 ? "#jobs"
                                                                                        : NULL,
                                comparison_page_kept };
  ret->back = ui_list_address(&list, NULL, STR(""));
  return r;
}

/* "a, b and 3 others" */
static struct str
name_some(const struct comparison *comparison, const struct asked_restart *asked)
{
  struct arena *arena = asked->changes.arena;
  struct str names = STR("");
  size_t shown = asked->count < NAMES_SHOWN ? asked->count : NAMES_SHOWN;
  size_t named = 0;
  for (size_t i = 0; i < shown; i++)
    for (size_t j = 0; j < comparison->jobs_count; j++)
      if (comparison->jobs[j].build_id == asked->ids[i]) {
        struct str name = comparison->jobs[j].name;
        names = str_of(arena_printf(arena, "%.*s%s%.*s", STR_FMT(names), named++ > 0 ? ", " : "",
                                    STR_FMT(name)));
        break;
      }
  if (asked->count > shown)
    names =
        str_of(arena_printf(arena, "%.*s and %zu others", STR_FMT(names), asked->count - shown));
  return names;
}

/* Orders are given by what is so now: nothing remembered will do. */
static int
read_now(struct db *db, struct changes_question *changes, struct error *err)
{
  comparison_drop(changes->comparison);
  changes->comparison = NULL;
  int r = changes_read_head(db, changes, err);
  if (r < 0)
    return r;
  if (changes->head.state == EVALUATION_SUCCEEDED)
    return comparison_read(db, changes->id, changes->head.against, &changes->comparison, err);
  changes->comparison = comparison_empty(changes->id);
  return 0;
}

static int
read_restart(struct db *db, void *context, struct error *err)
{
  struct asked_restart *asked = context;
  int r = read_now(db, &asked->changes, err);
  if (r < 0)
    return r;
  const struct comparison *comparison = asked->changes.comparison;
  struct comparison_page page = asked->page;
  if (!asked->is_narrowed)
    page = (struct comparison_page) { .show = -1 };
  asked->ids = arena_array(asked->changes.arena, comparison->jobs_count + 1, sizeof *asked->ids);
  asked->count = comparison_failed(comparison, &page, asked->ids);
  asked->names = asked->is_narrowed ? name_some(comparison, asked) : STR("");
  return 0;
}

/* On a page that was open for a while: its builds were restarted meanwhile. */
static int
nothing_failed(struct http_request *request, const struct asked_restart *asked)
{
  return ui_done(request, asked->back,
                 "There is nothing to restart: no build of it is failed now.");
}

static int
find_failed(struct evaluations *evaluations, struct asked_restart *asked, struct error *err)
{
  int r = db_pool_run(evaluations->options.pool, DB_READ, read_restart, asked, err);
  comparison_drop(asked->changes.comparison);
  asked->changes.comparison = NULL;
  return r;
}

static int
find_restart(struct http_request *request, struct evaluations *evaluations,
             struct asked_restart *ret, struct error *err)
{
  int r = ask_for_restart(request, evaluations, ret, err);
  return r < 0 ? r : find_failed(evaluations, ret, err);
}

static int
restart(struct evaluations *evaluations, const struct asked_restart *asked, struct error *err)
{
  int r = farm_builds_restart(evaluations->options.farm, asked->ids, asked->count, err);
  comparisons_expire(evaluations);
  return r;
}

static int
page_restart(struct http_request *request, void *context, struct error *err)
{
  struct asked_restart asked;
  int r = find_restart(request, context, &asked, err);
  if (r == 0 && asked.count == 0)
    return nothing_failed(request, &asked);
  if (r == 0)
    r = restart(context, &asked, err);
  if (r < 0)
    return r;
  return ui_done(request, asked.back, "%zu %s restarted.", asked.count,
                 asked.count == 1 ? "build is" : "builds are");
}

static int
post_restart(struct http_request *request, void *context, struct error *err)
{
  (void) err;
  return evaluations_later(context, request, page_restart);
}

static int
api_restart(struct http_request *request, void *context, struct error *err)
{
  struct asked_restart asked = { 0 };
  int r = changes_ask(request, context, &asked.changes, err);
  if (r == 0)
    r = find_failed(context, &asked, err);
  if (r == 0 && asked.count == 0)
    r = error_set(err, -EEXIST, "no build of evaluation %lld has failed",
                  (long long) asked.changes.id);
  if (r == 0)
    r = restart(context, &asked, err);
  return r < 0 ? r : http_reply_accepted(request);
}

static int
post_api_restart(struct http_request *request, void *context, struct error *err)
{
  (void) err;
  return evaluations_later(context, request, api_restart);
}

/* ---- asking first ---- */

struct asked
{
  struct arena *arena;
  int64_t id;
  struct changes_head_row head;
};

static int
read_asked(struct db *db, void *context, struct error *err)
{
  struct asked *asked = context;
  int r = changes_head(db, NULL, asked->id, asked->arena, &asked->head, err);
  if (r == 0)
    return error_set(err, -ENOENT, "there is no evaluation %lld", (long long) asked->id);
  return r < 0 ? r : 0;
}

static int
find_asked(struct evaluations *evaluations, struct http_request *request, struct asked *ret,
           struct error *err)
{
  *ret = (struct asked) { .arena = http_arena(request) };
  int r = http_param_id(request, "id", &ret->id, err);
  return r < 0 ? r : db_pool_run(evaluations->options.pool, DB_READ, read_asked, ret, err);
}

static int
ask(struct evaluations *evaluations, struct http_request *request,
    const struct ui_question *question)
{
  struct ui_frame frame;
  accounts_frame(request, evaluations->options.pool, &frame);
  return ui_ask(request, &frame, question);
}

static int
ask_restart(struct http_request *request, void *context, struct error *err)
{
  struct asked_restart asked;
  int r = find_restart(request, context, &asked, err);
  if (r < 0)
    return r;
  if (asked.count == 0)
    return nothing_failed(request, &asked);
  struct arena *arena = asked.changes.arena;
  const char *them = asked.count == 1 ? "it" : "them";
  const struct ui_question question = {
    .title = str_of(
        arena_printf(arena,
                     asked.is_narrowed ? "Restart what the list shows of evaluation %lld of %.*s?"
                                       : "Restart what failed of evaluation %lld of %.*s?",
                     (long long) asked.changes.id, STR_FMT(asked.changes.head.specification))),
    .what = str_of(arena_printf(
        arena,
        "%zu %s tried again%s%.*s, and with %s whatever failed through %s, also of other "
        "evaluations.",
        asked.count, asked.count == 1 ? "build is" : "builds are", asked.is_narrowed ? ": " : "",
        STR_FMT(asked.names), them, them)),
    .button = str_of(arena_printf(arena, "Restart %s", them)),
    .action = arena_str(arena, http_target(request)).data,
    .back = asked.back,
  };
  return ask(context, request, &question);
}

static int
get_restart(struct http_request *request, void *context, struct error *err)
{
  (void) err;
  return evaluations_later(context, request, ask_restart);
}

static struct ui_question
question_of_evaluation(const struct asked *asked)
{
  return (struct ui_question) {
    .title = str_of(arena_printf(asked->arena, "Cancel evaluation %lld of %.*s?",
                                 (long long) asked->id, STR_FMT(asked->head.specification))),
    .what = STR("What Guix has computed so far is lost, and no build comes of it. The next "
                "change of a channel makes a new evaluation."),
    .button = STR("Cancel it"),
  };
}

static struct ui_question
question_of_its_builds(const struct asked *asked)
{
  return (struct ui_question) {
    .title = str_of(arena_printf(asked->arena, "Cancel what is left of evaluation %lld of %.*s?",
                                 (long long) asked->id, STR_FMT(asked->head.specification))),
    .what = STR("Its builds that have not ended are cancelled, and with them what they alone "
                "need. Those stay that a newer evaluation or another specification asks for. A "
                "later evaluation that asks for them has them built again."),
    .button = STR("Cancel its builds"),
  };
}

static int
get_cancel(struct http_request *request, void *context, struct error *err)
{
  struct asked asked;
  int r = find_asked(context, request, &asked, err);
  bool is_computed = !asked.head.finished_at_null;
  if (r == 0 && is_computed && !str_equal(asked.head.outcome, STR("building")))
    r = error_set(err, -EEXIST, "evaluation %lld has ended", (long long) asked.id);
  if (r < 0)
    return r;
  struct ui_question question =
      is_computed ? question_of_its_builds(&asked) : question_of_evaluation(&asked);
  question.action = evaluation_path(request, asked.id, "/cancel");
  question.back = evaluation_path(request, asked.id, "");
  return ask(context, request, &question);
}

static int
post_cancel(struct http_request *request, void *context, struct error *err)
{
  int64_t id = 0, builds;
  int r = http_param_id(request, "id", &id, err);
  if (r == 0)
    r = evaluations_cancel(context, id, &builds, err);
  if (r < 0)
    return r;
  if (builds >= 0)
    return ui_done(request, evaluation_path(request, id, ""), "%lld %s cancelled.",
                   (long long) builds, builds == 1 ? "build is" : "builds are");
  return ui_done(request, evaluation_path(request, id, ""), "Evaluation %lld is cancelled.",
                 (long long) id);
}

static const struct http_route routes[] = {
  { "GET", "/evaluations/{id}/cancel", get_cancel, .role = "admin", .summary = "Cancel it?" },
  { "POST", "/evaluations/{id}/cancel", post_cancel, .form = true, .role = "admin",
    .body_limit = FORM_LIMIT, .summary = "Stop an evaluation, or what is left of its builds" },
  { "GET", "/evaluations/{id}/restart", get_restart, .role = "admin",
    .summary = "Restart what failed?" },
  { "POST", "/evaluations/{id}/restart", post_restart, .form = true, .role = "admin",
    .body_limit = FORM_LIMIT, .summary = "Build again what failed" },
  { "POST", HTTP_API "/evaluations/{id}/restart", post_api_restart, .body_limit = 1024,
    .role = "admin", .summary = "Build again what failed of it", .status = 202 },
};

struct http_routes
evaluations_actions(struct evaluations *evaluations)
{
  return (struct http_routes) { routes, ARRAY_SIZE(routes), evaluations };
}
