/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Agents, and one of them. */
#include <errno.h>
#include <stdlib.h>

#include "serve/agent_day.h"
#include "serve/routes.h"
#include "serve/serve_pages.h"
#include "serve/views.h"
#include "ui/ui.h"

#define FORM_LIMIT 8192
#define AGENTS_MAX 100000 /* all of them */

/* Its page; the name goes through as it came, since a name has nothing to be encoded. */
static const char *
agent_path(struct http_request *request)
{
  return arena_printf(http_arena(request), "/agents/%.*s", STR_FMT(http_param(request, "name")));
}

struct agents_question
{
  struct serve_context *serve;
  struct arena *arena;
  struct serve_agents_rows agents;
  struct serve_running_rows running;
  struct agents_view view;
};

static int
read_agents(struct db *db, void *context, struct error *err)
{
  struct agents_question *question = context;
  const struct str all = { 0 };
  int r = serve_agents(db, all, STR(""), AGENTS_MAX, question->arena, &question->agents, err);
  return r < 0 ? r : serve_running(db, all, question->arena, &question->running, err);
}

struct serve_running_rows
serve_running_of(const struct serve_running_rows *rows, int64_t agent_id)
{
  size_t first = 0, count = 0;
  for (size_t end = rows->count; first < end;) {
    size_t middle = first + (end - first) / 2;
    if (rows->items[middle].agent_id < agent_id)
      first = middle + 1;
    else
      end = middle;
  }
  while (first + count < rows->count && rows->items[first + count].agent_id == agent_id)
    count++;
  return (struct serve_running_rows) { rows->items + first, count };
}

/* ---- order ---- */

static int
by_name(const struct serve_agents_row *a, const struct serve_agents_row *b)
{
  return str_compare(a->name, b->name);
}

static int
by_state(const struct serve_agents_row *a, const struct serve_agents_row *b)
{
  return str_compare(a->state, b->state);
}

static int
by_taken(const struct serve_agents_row *a, const struct serve_agents_row *b)
{
  return (a->running > b->running) - (a->running < b->running);
}

static int
by_load(const struct serve_agents_row *a, const struct serve_agents_row *b)
{
  return (a->load > b->load) - (a->load < b->load);
}

static int
by_disk(const struct serve_agents_row *a, const struct serve_agents_row *b)
{
  return (a->disk_free > b->disk_free) - (a->disk_free < b->disk_free);
}

static int
by_seen(const struct serve_agents_row *a, const struct serve_agents_row *b)
{
  return (a->seen_at > b->seen_at) - (a->seen_at < b->seen_at);
}

static const struct ui_column agent_columns[] = {
  { "Agent", "name", false, false },  { "State", "state", false, false },
  { "Works on", NULL, false, false }, { "Taken", "busy", true, true },
  { "Load", "load", true, true },     { "Disk free", "disk", false, true },
  { "Systems", NULL, false, false },  { "Seen", "seen", true, false },
};

static int (*const agent_orders[])(const struct serve_agents_row *,
                                   const struct serve_agents_row *) = {
  by_name, by_state, NULL, by_taken, by_load, by_disk, NULL, by_seen,
};

/* Equal ones stay in order of name. */
static int
compare_agents(const void *left, const void *right, void *context)
{
  const struct ui_sort *sort = context;
  int order = agent_orders[sort->column](left, right);
  return order == 0 ? by_name(left, right) : sort->falls ? -order : order;
}

static void
fill_agents(struct agents_question *question, struct ui_sort *sort)
{
  struct serve_agents_rows *agents = &question->agents;
  qsort_r(agents->items, agents->count, sizeof *agents->items, compare_agents, sort);
  struct agent_line *lines = arena_array(question->arena, agents->count + 1, sizeof *lines);
  for (size_t i = 0; i < agents->count; i++)
    lines[i] = (struct agent_line) { agents->items[i],
                                     serve_running_of(&question->running, agents->items[i].id) };
  question->view.agents.items = lines;
  question->view.agents.count = agents->count;
}

static int
show_agents(struct http_request *request, void *context, struct error *err)
{
  struct serve_context *serve = context;
  struct agents_question question = { .serve = serve, .arena = http_arena(request) };
  struct agents_view *view = &question.view;
  const struct ui_list list = { request, "/agents", NULL, (const char *const[]) { NULL } };
  struct ui_sort sort = { 0, false };
  int r = ui_sort_read(request, agent_columns, ARRAY_SIZE(agent_columns), &sort, err);
  if (r == 0)
    r = db_pool_run(serve->pool, DB_READ, read_agents, &question, err);
  if (r < 0)
    return r;
  fill_agents(&question, &sort);
  view->url = serve_own_url(request);
  view->heads = ui_list_heads(&list, agent_columns, ARRAY_SIZE(agent_columns), &sort);
  CLEANUP_BUF struct buf page = { 0 };
  struct ui_frame frame;
  accounts_frame(request, serve->pool, &frame);
  agents_page(&page, &question.view, &frame);
  return ui_reply(request, &frame, &page);
}

static int
get_agents(struct http_request *request, void *context, struct error *err)
{
  (void) err;
  return serve_later(context, request, show_agents);
}

/* ---- one agent ---- */

/* The picture of its last day: a bar for each step, as high as it was busy. */
#define BAR_WIDTH 6
#define PICTURE_HEIGHT 60
#define ATTEMPTS_SHOWN 15

struct agent_question
{
  struct arena *arena;
  struct str name;
  struct agent_view view;
};

struct agent_day_sum
agent_day_sum(const struct agent_day_rows *day, int64_t places)
{
  struct agent_day_sum sum = { 0 };
  int64_t most = 1000 * places;
  for (size_t i = 0; i < day->count; i++) {
    sum.busy_percent += day->items[i].busy < most ? day->items[i].busy : most;
    sum.failures += day->items[i].failures;
  }
  sum.busy_percent = 100 * sum.busy_percent / (most * (86400 / AGENT_DAY_STEP_S));
  return sum;
}

static void
draw_day(struct arena *arena, const struct agent_day_rows *day, struct agent_view *view)
{
  int64_t places = 1000 * (int64_t) view->agent.jobs;
  const struct agent_day_sum sum = agent_day_sum(day, view->agent.jobs);
  struct agent_bar *bars = arena_array(arena, day->count + 1, sizeof *bars);
  for (size_t i = 0; i < day->count; i++) {
    const struct agent_day_row *step = &day->items[i];
    int64_t taken = step->busy < places ? step->busy : places;
    int64_t height = (PICTURE_HEIGHT * taken + places - 1) / places;
    bars[i] = (struct agent_bar) { .x = BAR_WIDTH * (int64_t) step->step,
                                   .y = PICTURE_HEIGHT - height,
                                   .height = height,
                                   .failed = step->failures > 0 };
  }
  view->day = (struct agent_bars) { bars, day->count };
  view->busy_percent = sum.busy_percent;
  view->failures = sum.failures;
}

#define HOUR_STEPS (3600 / AGENT_DAY_STEP_S)
#define HOUR_US (3600 * INT64_C(1000000))

/* The same by the hour: those in which there was something, the newest first. */
static void
count_hours(struct arena *arena, const struct agent_day_rows *day, struct agent_view *view)
{
  struct agent_hour *hours = arena_array(arena, 24, sizeof *hours);
  size_t count = 0;
  for (size_t i = day->count; i-- > 0;) {
    const struct agent_day_row *step = &day->items[i];
    int64_t begins_at = step->begins_at - step->step % HOUR_STEPS * (HOUR_US / HOUR_STEPS);
    if (count == 0 || hours[count - 1].begins_at != begins_at)
      hours[count++] = (struct agent_hour) { .begins_at = begins_at };
    hours[count - 1].busy_us += step->busy * (HOUR_US / HOUR_STEPS / 1000);
    hours[count - 1].failures += step->failures;
  }
  for (size_t i = 0; i < count; i++)
    view->busy_us += hours[i].busy_us;
  view->hours.items = hours;
  view->hours.count = count;
}

int
serve_find_agent(struct db *db, struct str name, struct arena *arena, struct serve_agents_row *ret,
                 struct error *err)
{
  struct serve_agents_rows found = { 0 };
  int r = serve_agents(db, name, STR(""), 1, arena, &found, err);
  if (r == 0 && found.count == 0)
    r = error_set(err, -ENOENT, "there is no agent \"%.*s\"", STR_FMT(name));
  if (r == 0)
    *ret = found.items[0];
  return r;
}

static int
read_agent(struct db *db, void *context, struct error *err)
{
  struct agent_question *question = context;
  struct arena *arena = question->arena;
  struct agent_view *view = &question->view;
  static const int16_t failed = 2;
  struct serve_plan_anew_row plan;
  struct agent_day_rows day = { 0 };
  int r = serve_find_agent(db, question->name, arena, &view->agent, err);
  if (r < 0)
    return r;
  int64_t id = view->agent.id;
  r = serve_plan_anew(db, arena, &plan, err);
  if (r >= 0)
    r = serve_running(db, question->name, arena, &view->running, err);
  if (r == 0)
    r = agent_facts(db, id, arena, &view->facts, err);
  if (r == 0)
    r = agent_day(db, id, AGENT_DAY_STEP_S, arena, &day, err);
  if (r == 0)
    r = agent_attempts(db, id, &failed, NULL, INT64_MAX, ATTEMPTS_SHOWN, arena, &view->failed, err);
  if (r == 0)
    r = agent_attempts(db, id, NULL, NULL, INT64_MAX, ATTEMPTS_SHOWN, arena, &view->newest, err);
  if (r == 0)
    draw_day(arena, &day, view);
  if (r == 0)
    count_hours(arena, &day, view);
  return r;
}

static int
show_agent(struct http_request *request, void *context, struct error *err)
{
  struct serve_context *serve = context;
  struct agent_question question = { .arena = http_arena(request),
                                     .name = http_param(request, "name") };
  int r = db_pool_run(serve->pool, DB_READ, read_agent, &question, err);
  if (r < 0)
    return r;
  CLEANUP_BUF struct buf page = { 0 };
  struct ui_frame frame;
  accounts_frame(request, serve->pool, &frame);
  agent_page(&page, &question.view, &frame);
  return ui_reply(request, &frame, &page);
}

static int
get_agent(struct http_request *request, void *context, struct error *err)
{
  (void) err;
  return serve_later(context, request, show_agent);
}

/* ---- what can be done ---- */

static int
set_paused(struct http_request *request, struct serve_context *serve, bool paused,
           struct error *err)
{
  struct str name = http_param(request, "name");
  int r = farm_agent_pause(serve->farm, name, paused, err);
  if (r < 0)
    return r;
  return ui_done(request, agent_path(request), "Agent %.*s %s.", STR_FMT(name),
                 paused ? "is paused: it finishes what it builds and gets nothing new"
                        : "takes builds again");
}

static int
pause_agent(struct http_request *request, void *context, struct error *err)
{
  return set_paused(request, context, true, err);
}

static int
post_pause(struct http_request *request, void *context, struct error *err)
{
  (void) err;
  return serve_later(context, request, pause_agent);
}

static int
resume_agent(struct http_request *request, void *context, struct error *err)
{
  return set_paused(request, context, false, err);
}

static int
post_resume(struct http_request *request, void *context, struct error *err)
{
  (void) err;
  return serve_later(context, request, resume_agent);
}

struct release_question
{
  struct arena *arena;
  struct str name;
};

static int
check_releasable(struct db *db, void *context, struct error *err)
{
  struct release_question *question = context;
  struct serve_agents_row agent;
  int r = serve_find_agent(db, question->name, question->arena, &agent, err);
  if (r == 0 && agent.released)
    r = error_set(err, -EEXIST, "agent \"%.*s\" was released before", STR_FMT(question->name));
  return r;
}

static int
get_release(struct http_request *request, void *context, struct error *err)
{
  const struct serve_context *serve = context;
  struct arena *arena = http_arena(request);
  struct str name = http_param(request, "name");
  struct release_question asked = { .arena = arena, .name = name };
  struct ui_frame frame;
  int r = db_pool_run(serve->pool, DB_READ, check_releasable, &asked, err);
  if (r < 0)
    return r;
  accounts_frame(request, serve->pool, &frame);
  const struct ui_question question = {
    .title = str_of(arena_printf(arena, "Release agent %.*s?", STR_FMT(name))),
    .what = STR("Its token is revoked: the machine is shut out, and what it builds is built "
                "elsewhere. Its history stays, and its name can be enrolled anew."),
    .button = STR("Release it"),
    .action = arena_printf(arena, "%s/release", agent_path(request)),
    .back = agent_path(request),
  };
  return ui_ask(request, &frame, &question);
}

static int
post_release(struct http_request *request, void *context, struct error *err)
{
  struct serve_context *serve = context;
  struct str name = http_param(request, "name");
  int r = farm_agent_release(serve->farm, name, err);
  return r < 0 ? r
               : ui_done(request, agent_path(request), "Agent %.*s is released.", STR_FMT(name));
}

static const struct http_route routes[] = {
  { "GET", "/agents", get_agents, .summary = "Agents" },
  { "GET", "/agents/{name}", get_agent, .summary = "An agent" },
  { "POST", "/agents/{name}/pause", post_pause, .form = true, .role = "admin",
    .body_limit = FORM_LIMIT, .summary = "Give it no new work" },
  { "POST", "/agents/{name}/resume", post_resume, .form = true, .role = "admin",
    .body_limit = FORM_LIMIT, .summary = "Give it work again" },
  { "GET", "/agents/{name}/release", get_release, .role = "admin", .summary = "Release it?" },
  { "POST", "/agents/{name}/release", post_release, .form = true, .role = "admin",
    .body_limit = FORM_LIMIT, .summary = "Shut it out; its name may be enrolled anew" },
};

struct http_routes
serve_agent_pages(struct serve_context *context)
{
  return (struct http_routes) { routes, ARRAY_SIZE(routes), context };
}
