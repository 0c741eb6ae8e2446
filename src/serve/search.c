/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Looking for something by what is known of it: a part of a name, a store item, a commit,
   a number. */
#include <errno.h>

#include "serve/api_list.h"
#include "serve/filters.h"
#include "serve/routes.h"
#include "serve/serve_pages.h"
#include "serve/views.h"
#include "ui/ui.h"

#define FOUND_DEFAULT 30 /* of a kind */
#define WORD_MAX 200     /* bytes */
#define HASH_BEGINNING 4 /* digits from which on a store item is looked for by them */
#define STORE "/gnu/store/"

#define NAMES_MAX 20000   /* of jobs that contain it; they are kept when no job has them */
#define BEGINNING_MAX 200 /* builds by the beginning of their name */

struct search
{
  struct arena *arena;
  struct str name;  /* of derivations: as typed, but "name@version" is "name-version" */
  struct str word;  /* lower case, without spaces around */
  struct str items; /* the beginning of store items to look for; size 0 = none */
  int64_t number;   /* 0 = it is none */
  int64_t limit;    /* of a kind */
  struct search_view view;
};

static struct str
lower_case(struct arena *arena, struct str text)
{
  struct str lower = arena_str(arena, text);
  for (size_t i = 0; i < lower.size; i++)
    if (lower.data[i] >= 'A' && lower.data[i] <= 'Z')
      ((char *) lower.data)[i] |= 0x20;
  return lower;
}

/* As Guix names versions to people, and as its derivations have them. */
static struct str
derivation_name(struct arena *arena, struct str word)
{
  struct str name = arena_str(arena, word);
  ptrdiff_t at = str_find(name, '@');
  if (at > 0)
    ((char *) name.data)[at] = '-';
  return name;
}

/* A path of the store or inside one of its items, a basename, or the beginning of its hash:
   digits of Nix's base32. */
static struct str
item_beginning(struct str word)
{
  static const struct str digits = { "0123456789abcdfghijklmnpqrsvwxyz", 32 };
  if (str_starts(word, STR(STORE)))
    word = str_from(word, strlen(STORE));
  ptrdiff_t slash = str_find(word, '/');
  if (slash > (ptrdiff_t) digits.size)
    word.size = (size_t) slash;
  size_t size = 0;
  while (size < word.size && size < digits.size && str_find(digits, word.data[size]) >= 0)
    size++;
  bool is_whole = size == digits.size && (word.size == size || word.data[size] == '-');
  return is_whole || (size == word.size && size >= HASH_BEGINNING) ? word : STR("");
}

/* Those that a job has shown are not shown again. */
static void
drop_shown(const struct search_jobs_rows *jobs, struct search_builds_rows *builds)
{
  size_t count = 0;
  for (size_t i = 0; i < builds->count; i++) {
    bool is_shown = false;
    for (size_t j = 0; j < jobs->count && !is_shown; j++)
      is_shown = jobs->items[j].build == builds->items[i].id;
    if (!is_shown)
      builds->items[count++] = builds->items[i];
  }
  builds->count = count;
}

static void
cut_all(struct search *search)
{
  struct search_view *view = &search->view;
  view->jobs_are_cut = api_cut(&view->jobs.count, search->limit);
  bool has_more_builds = view->builds.count > (size_t) search->limit;
  drop_shown(&view->jobs, &view->builds);
  view->builds_are_cut = api_cut(&view->builds.count, search->limit) || has_more_builds;
  view->items_are_cut = api_cut(&view->items.count, search->limit);
  view->commits_are_cut = api_cut(&view->commits.count, search->limit);
  view->names_are_cut = api_cut(&view->names.count, search->limit);
  view->is_empty = view->jobs.count + view->builds.count + view->names.count + view->commits.count
                       + view->items.count + view->numbers.count
                   == 0;
  if (search->limit < API_LIST_MAX)
    view->limit_further = search->limit * 10 < API_LIST_MAX ? search->limit * 10 : API_LIST_MAX;
}

static int
run_search(struct db *db, void *context, struct error *err)
{
  struct search *search = context;
  struct arena *arena = search->arena;
  struct search_view *view = &search->view;
  int64_t limit = search->limit + 1;
  int r = search_jobs(db, search->word, NAMES_MAX, limit, arena, &view->jobs, err);
  if (r == 0)
    r = search_builds(db, search->name, limit > BEGINNING_MAX ? limit : BEGINNING_MAX,
                      BUILDS_LOOKED_AT, limit, arena, &view->builds, err);
  if (r == 0)
    r = search_names(db, search->word, limit, arena, &view->names, err);
  if (r == 0)
    r = search_commits(db, search->word, limit, arena, &view->commits, err);
  if (r == 0 && search->items.size > 0)
    r = search_store_items(db, search->items, limit, arena, &view->items, err);
  if (r == 0 && search->number > 0)
    r = search_number(db, search->number, arena, &view->numbers, err);
  if (r < 0)
    return r;
  cut_all(search);
  return 0;
}

static int
search_for(struct http_request *request, struct serve_context *serve, struct search *search,
           struct error *err)
{
  struct arena *arena = http_arena(request);
  struct str asked = str_trim(http_query(request, "q"));
  *search = (struct search) { .arena = arena, .view = { .asked = asked } };
  if (asked.size == 0)
    return 0;
  if (asked.size > WORD_MAX)
    return error_set(err, -EINVAL, "what is searched for may have %d bytes", WORD_MAX);
  search->word = lower_case(arena, asked);
  search->name = derivation_name(arena, asked);
  search->items = item_beginning(asked);
  if (str_to_i64(asked, &search->number) < 0)
    search->number = 0;
  int r = http_query_i64(request, "limit", 1, API_LIST_MAX, FOUND_DEFAULT, &search->limit, err);
  return r < 0 ? r : db_pool_run(serve->pool, DB_READ, run_search, search, err);
}

/* ---- the page ---- */

static int
show_search(struct http_request *request, void *context, struct error *err)
{
  struct serve_context *serve = context;
  struct search search;
  int r = search_for(request, serve, &search, err);
  if (r < 0)
    return r;
  CLEANUP_BUF struct buf page = { 0 };
  struct ui_frame frame;
  accounts_frame(request, serve->pool, &frame);
  search_page(&page, &search.view, &frame);
  return ui_reply(request, &frame, &page);
}

static int
get_search(struct http_request *request, void *context, struct error *err)
{
  (void) err;
  return serve_later(context, request, show_search);
}

/* ---- the API ---- */

static void
put_jobs(struct json *json, const struct search_jobs_rows *jobs)
{
  json_key(json, "jobs");
  json_array_open(json);
  for (size_t i = 0; i < jobs->count; i++) {
    const struct search_jobs_row *job = &jobs->items[i];
    json_object_open(json);
    json_put_text(json, "name", job->name);
    json_put_text(json, "specification", job->specification);
    json_put_i64(json, "evaluation", job->evaluation);
    json_put_i64(json, "build", job->build);
    json_put_text(json, "state", job->state);
    json_object_close(json);
  }
  json_array_close(json);
}

static void
put_builds(struct json *json, const struct search_builds_rows *builds)
{
  json_key(json, "builds");
  json_array_open(json);
  for (size_t i = 0; i < builds->count; i++) {
    const struct search_builds_row *build = &builds->items[i];
    json_object_open(json);
    json_put_i64(json, "id", build->id);
    json_put_text(json, "name", build->name);
    json_put_text(json, "system", build->system);
    json_put_text(json, "state", build->state);
    json_object_close(json);
  }
  json_array_close(json);
}

static void
put_items(struct json *json, const struct search_store_items_rows *items)
{
  json_key(json, "store_items");
  json_array_open(json);
  for (size_t i = 0; i < items->count; i++) {
    const struct search_store_items_row *item = &items->items[i];
    json_object_open(json);
    json_put_text(json, "path", item->path);
    json_put_id(json, "build", item->build);
    json_put_words(json, "state", item->state);
    json_put_bool(json, "available", !item->nar_size_null);
    json_object_close(json);
  }
  json_array_close(json);
}

static void
put_commits(struct json *json, const struct search_commits_rows *commits)
{
  json_key(json, "commits");
  json_array_open(json);
  for (size_t i = 0; i < commits->count; i++) {
    const struct search_commits_row *commit = &commits->items[i];
    json_object_open(json);
    json_put_text(json, "commit", commit->commit);
    json_put_text(json, "url", commit->url);
    json_put_text(json, "subject", commit->subject);
    json_put_words(json, "specification", commit->specification);
    json_put_id(json, "evaluation", commit->evaluation);
    json_put_words(json, "state", commit->state);
    json_object_close(json);
  }
  json_array_close(json);
}

/* ID 0: it goes by its name. */
static void
put_thing(struct json *json, struct str kind, int64_t id, struct str name, struct str state)
{
  json_object_open(json);
  json_put_text(json, "kind", kind);
  json_put_id(json, "id", id);
  json_put_text(json, "name", name);
  json_put_words(json, "state", state);
  json_object_close(json);
}

static void
put_things(struct json *json, const struct search_view *view)
{
  json_key(json, "things");
  json_array_open(json);
  for (size_t i = 0; i < view->numbers.count; i++) {
    const struct search_number_row *row = &view->numbers.items[i];
    put_thing(json, row->kind, row->id, row->name, row->state);
  }
  for (size_t i = 0; i < view->names.count; i++)
    put_thing(json, view->names.items[i].kind, 0, view->names.items[i].name, STR(""));
  json_array_close(json);
}

static void
put_cuts(struct json *json, const struct search_view *view)
{
  json_key(json, "cut");
  json_array_open(json);
  if (view->jobs_are_cut)
    json_cstr(json, "jobs");
  if (view->builds_are_cut)
    json_cstr(json, "builds");
  if (view->items_are_cut)
    json_cstr(json, "store_items");
  if (view->commits_are_cut)
    json_cstr(json, "commits");
  if (view->names_are_cut)
    json_cstr(json, "things");
  json_array_close(json);
}

static int
tell_search(struct http_request *request, void *context, struct error *err)
{
  struct search search;
  int r = search_for(request, context, &search, err);
  if (r == 0 && search.view.asked.size == 0)
    r = error_set(err, -EINVAL, "q must say what is searched for");
  if (r < 0)
    return r;
  const struct search_view *view = &search.view;
  CLEANUP_BUF struct buf body = { 0 };
  struct json json = json_begin(&body);
  json_object_open(&json);
  put_jobs(&json, &view->jobs);
  put_builds(&json, &view->builds);
  put_items(&json, &view->items);
  put_commits(&json, &view->commits);
  put_things(&json, view);
  put_cuts(&json, view);
  json_object_close(&json);
  return http_reply_json(request, 200, &body);
}

static int
get_api_search(struct http_request *request, void *context, struct error *err)
{
  (void) err;
  return serve_later(context, request, tell_search);
}

static const struct http_route routes[] = {
  { "GET", "/search", get_search, .summary = "Search" },
  { "GET", HTTP_API "/search", get_api_search, .query = "limit q",
    .summary = "Jobs, store items, commits and names that fit a word", .reply = "Found" },
};

struct http_routes
serve_search(struct serve_context *context)
{
  return (struct http_routes) { routes, ARRAY_SIZE(routes), context };
}
