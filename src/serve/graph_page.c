/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What a build needs and what needs it, as a picture. */
#include <errno.h>
#include <stdlib.h>

#include "base/json.h"
#include "base/map.h"
#include "base/mem.h"
#include "guix/hash.h"
#include "serve/needs.h"
#include "serve/routes.h"
#include "serve/serve_pages.h"
#include "ui/ui.h"

#define NODES_MAX (DRAWING_NODES_MAX - 2)
#define EDGES_MAX 1500
#define FRONTIER_MAX 300      /* nodes from which the next step is taken */
#define STEP_LOOKED_MAX 20000 /* edges of a step */
#define STEP_EDGES_MAX 4000   /* of these, taken */
#define LINKS_MAX (STEP_EDGES_MAX * 2 * (NEEDS_DEPTH_MAX + 1))
#define REST_EDGES_MAX 40

struct found
{
  int64_t build;
  int32_t parent; /* the one that it was found from; -1 = it is the centre */
  int16_t distance;
  bool is_user; /* it needs the centre, and is not needed by it */
  bool is_good, is_chosen;
  bool has_more; /* it has neighbours that are not among the found */
  size_t node;   /* when it is chosen */
};

struct link
{
  int32_t needed, user; /* among the found */
};

struct exploration
{
  struct arena *arena;
  int64_t id;
  struct found *found;
  size_t found_count;
  struct link *links;
  size_t links_count;
  struct int_map by_build; /* struct found */
  bool has_more[2];        /* there may be more than were counted: of needs, of users */
  bool is_full;            /* nothing is added any more: who has more is noted */
  int64_t left_out[2];     /* found, and not chosen: likewise */
  struct drawing drawing;
};

/* ---- looking around ---- */

static struct found *
find_or_add(struct exploration *all, int64_t build, const struct found *from, bool is_good,
            bool is_user)
{
  struct found *found = int_map_get(&all->by_build, build);
  if (found != NULL || all->is_full || all->found_count == NEEDS_FOUND_MAX)
    return found;
  found = &all->found[all->found_count++];
  *found = (struct found) { .build = build,
                            .parent = from == NULL ? -1 : (int32_t) (from - all->found),
                            .distance = from == NULL ? 0 : (int16_t) (from->distance + 1),
                            .is_user = is_user,
                            .is_good = is_good };
  int_map_put(&all->by_build, build, found);
  return found;
}

static void
add_link(struct exploration *all, int64_t near, int64_t far, bool is_good, bool is_user)
{
  struct found *from = int_map_get(&all->by_build, near);
  const struct found *to = find_or_add(all, far, from, is_good, is_user);
  if (to == NULL) {
    from->has_more = all->has_more[is_user] = true;
    return;
  }
  if (all->links_count == LINKS_MAX)
    return;
  int32_t a = (int32_t) (from - all->found), b = (int32_t) (to - all->found);
  all->links[all->links_count++] = is_user ? (struct link) { a, b } : (struct link) { b, a };
}

/* What was found in the last step on one side: what is not good stands first. */
struct frontier
{
  int64_t ids[FRONTIER_MAX];
  size_t count;
};

/* FRONTIERS: of what the centre needs, and of what needs it. */
static int
take_step(struct db *db, struct exploration *all, const struct frontier frontiers[2],
          struct error *err)
{
  struct serve_graph_step_rows rows;
  size_t count[2] = { 0 };
  int r = serve_graph_step(db, (struct db_i64s) { frontiers[0].ids, frontiers[0].count },
                           STEP_LOOKED_MAX, STEP_EDGES_MAX,
                           (struct db_i64s) { frontiers[1].ids, frontiers[1].count }, all->arena,
                           &rows, err);
  if (r < 0)
    return r;
  for (size_t i = 0; i < rows.count; i++) {
    const struct serve_graph_step_row *row = &rows.items[i];
    add_link(all, row->near, row->far, row->is_good, row->is_user);
    count[row->is_user]++;
  }
  for (int side = 0; side < 2; side++)
    all->has_more[side] |= count[side] == STEP_EDGES_MAX;
  return 0;
}

/* What was found since there were BEFORE. */
static void
advance(struct exploration *all, size_t before, struct frontier frontiers[2])
{
  frontiers[0].count = frontiers[1].count = 0;
  for (size_t i = before; i < all->found_count; i++) {
    bool side = all->found[i].is_user;
    struct frontier *frontier = &frontiers[side];
    all->has_more[side] |= frontier->count == FRONTIER_MAX;
    if (frontier->count < FRONTIER_MAX)
      frontier->ids[frontier->count++] = all->found[i].build;
  }
}

/* From the centre both ways at once. A last step only tells who has more beyond, so that what
   ends here is not said to go on. */
static int
look_around(struct db *db, struct exploration *all, struct error *err)
{
  struct frontier frontiers[2] = { { { all->id }, 1 }, { { all->id }, 1 } };
  for (int depth = 0; depth <= NEEDS_DEPTH_MAX && frontiers[0].count + frontiers[1].count > 0;
       depth++) {
    size_t before = all->found_count;
    all->is_full = depth == NEEDS_DEPTH_MAX;
    int r = take_step(db, all, frontiers, err);
    if (r < 0)
      return r;
    advance(all, before, frontiers);
  }
  return 0;
}

/* ---- choosing ---- */

static int
compare_found(const void *a, const void *b)
{
  const struct found *x = *(struct found *const *) a, *y = *(struct found *const *) b;
  if (x->is_good != y->is_good)
    return x->is_good ? 1 : -1;
  if (x->distance != y->distance)
    return x->distance - y->distance;
  return (x->build > y->build) - (x->build < y->build);
}

/* With all on its way from the centre; false when these are too many. */
static bool
choose(struct exploration *all, struct found *found, size_t *left)
{
  size_t wanted = 0;
  for (const struct found *it = found; !it->is_chosen; it = &all->found[it->parent])
    wanted++;
  if (wanted > *left)
    return false;
  *left -= wanted;
  for (struct found *it = found; !it->is_chosen; it = &all->found[it->parent])
    it->is_chosen = true;
  return true;
}

static void
choose_all(struct exploration *all)
{
  size_t left = NODES_MAX - 1;
  struct found **order = arena_array(all->arena, all->found_count, sizeof *order);
  for (size_t i = 0; i < all->found_count; i++)
    order[i] = &all->found[i];
  all->found[0].is_chosen = true;
  qsort(order, all->found_count, sizeof *order, compare_found);
  for (size_t i = 0; i < all->found_count && left > 0; i++)
    (void) choose(all, order[i], &left);
}

/* ---- the picture ---- */

static size_t
add_node(struct drawing *drawing, struct drawing_node node)
{
  drawing->nodes.items[drawing->nodes.count] = node;
  return drawing->nodes.count++;
}

static void
add_edge(struct drawing *drawing, size_t from, size_t to)
{
  if (drawing->edges.count < EDGES_MAX)
    drawing->edges.items[drawing->edges.count++] = (struct drawing_edge) { .from = from, .to = to };
}

/* Those that are drawn and lead to what is not. Returns how many. */
static size_t
find_ends(const struct exploration *all, bool is_user, const struct found *ends[REST_EDGES_MAX])
{
  bool *is_end = arena_array(all->arena, all->found_count, sizeof *is_end);
  size_t count = 0;
  memset(is_end, 0, all->found_count * sizeof *is_end);
  for (size_t i = 0; i < all->found_count; i++) {
    const struct found *it = &all->found[i];
    if (it->is_user != is_user || (it->is_chosen && !it->has_more))
      continue;
    while (!it->is_chosen)
      it = &all->found[it->parent];
    if (!is_end[it - all->found] && count < REST_EDGES_MAX)
      ends[count++] = it;
    is_end[it - all->found] = true;
  }
  if (count == 0)
    ends[count++] = &all->found[0];
  return count;
}

/* One node for all that are not drawn. */
static void
add_rest(struct exploration *all, bool is_user)
{
  int64_t count = 0;
  for (size_t i = 0; i < all->found_count; i++)
    count += !all->found[i].is_chosen && all->found[i].is_user == is_user;
  all->left_out[is_user] = count;
  if (count == 0 && !all->has_more[is_user])
    return;
  struct str text = STR("and others");
  if (count > 0)
    text = str_of(arena_printf(all->arena,
                               all->has_more[is_user] ? "and at least %lld more" : "and %lld more",
                               (long long) count));
  size_t rest = add_node(&all->drawing, (struct drawing_node) { .name = text });
  const struct found *ends[REST_EDGES_MAX];
  size_t ends_count = find_ends(all, is_user, ends);
  for (size_t i = 0; i < ends_count; i++)
    add_edge(&all->drawing, is_user ? ends[i]->node : rest, is_user ? rest : ends[i]->node);
}

static int
compare_links(const void *a, const void *b)
{
  const struct link *x = a, *y = b;
  return x->needed != y->needed ? (x->needed > y->needed) - (x->needed < y->needed)
                                : (x->user > y->user) - (x->user < y->user);
}

static void
add_edges(struct exploration *all)
{
  qsort(all->links, all->links_count, sizeof *all->links, compare_links);
  for (size_t i = 0; i < all->links_count; i++) {
    const struct found *needed = &all->found[all->links[i].needed];
    const struct found *user = &all->found[all->links[i].user];
    bool is_repeated = i > 0 && compare_links(&all->links[i - 1], &all->links[i]) == 0;
    if (needed->is_chosen && user->is_chosen && !is_repeated)
      add_edge(&all->drawing, needed->node, user->node);
  }
}

static int
name_nodes(struct db *db, struct exploration *all, struct error *err)
{
  struct drawing *drawing = &all->drawing;
  int64_t *ids = arena_array(all->arena, NODES_MAX, sizeof *ids);
  struct db_i64s chosen = { .items = ids };
  struct serve_graph_builds_rows rows;
  for (size_t i = 0; i < all->found_count; i++)
    if (all->found[i].is_chosen) {
      ids[chosen.count++] = all->found[i].build;
      all->found[i].node = add_node(
          drawing, (struct drawing_node) { .build = all->found[i].build, .is_centre = i == 0 });
    }
  int r = serve_graph_builds(db, chosen, all->arena, &rows, err);
  for (size_t i = 0; r == 0 && i < rows.count; i++) {
    const struct found *found = int_map_get(&all->by_build, rows.items[i].id);
    drawing->nodes.items[found->node].name = rows.items[i].name;
    drawing->nodes.items[found->node].state = rows.items[i].state;
  }
  if (r == 0 && rows.count == 0)
    return error_set(err, -ENOENT, "there is no build %lld", (long long) all->id);
  return r;
}

static int
look(struct db *db, struct exploration *all, struct error *err)
{
  struct arena *arena = all->arena;
  int_map_free(&all->by_build); /* this may be another try */
  *all = (struct exploration) { .arena = arena, .id = all->id };
  all->found = arena_array(arena, NEEDS_FOUND_MAX, sizeof *all->found);
  all->links = arena_array(arena, LINKS_MAX, sizeof *all->links);
  (void) find_or_add(all, all->id, NULL, true, false);
  return look_around(db, all, err);
}

static int
explore(struct db *db, void *context, struct error *err)
{
  struct exploration *all = context;
  int r = look(db, all, err);
  if (r < 0)
    return r;
  all->drawing.nodes.items =
      arena_array(all->arena, DRAWING_NODES_MAX, sizeof *all->drawing.nodes.items);
  all->drawing.edges.items = arena_array(all->arena, EDGES_MAX, sizeof *all->drawing.edges.items);
  choose_all(all);
  r = name_nodes(db, all, err);
  if (r < 0)
    return r;
  add_edges(all);
  add_rest(all, false);
  add_rest(all, true);
  return 0;
}

/* ---- the answer ---- */

/* As policies write hashes (RFC 4648): of 32 bytes, the last two make three digits. */
static void
put_base64(struct buf *out, const struct guix_hash *hash)
{
  static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  for (size_t i = 0; i < GUIX_HASH_SIZE; i += 3) {
    unsigned third = i + 2 < GUIX_HASH_SIZE ? hash->bytes[i + 2] : 0;
    unsigned group = (unsigned) hash->bytes[i] << 16 | (unsigned) hash->bytes[i + 1] << 8 | third;
    for (int shift = 18; shift >= 0; shift -= 6)
      buf_append_char(out, digits[group >> shift & 63]);
  }
  out->data[out->size - 1] = '=';
}

/* The picture may be styled by what it holds, and do nothing else, wherever it is opened. */
static void
restrict_picture(struct http_request *request, struct str picture)
{
  const char *begin = memmem(picture.data, picture.size, "<style>", 7);
  const char *end = memmem(picture.data, picture.size, "</style>", 8);
  if (begin == NULL || end == NULL)
    return;
  const struct guix_hash hash = guix_hash_of(str_make(begin + 7, (size_t) (end - begin - 7)));
  CLEANUP_BUF struct buf policy = { 0 };
  buf_append_text(&policy, "default-src 'none'; style-src 'sha256-");
  put_base64(&policy, &hash);
  buf_append_text(&policy, "'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'");
  http_reply_header(request, "Content-Security-Policy", buf_text(&policy));
}

static int
reply_picture(struct http_request *request, struct str picture)
{
  char hex[2 * GUIX_HASH_SIZE];
  const struct guix_hash hash = guix_hash_of(picture);
  str_to_hex(hash.bytes, sizeof hash.bytes, hex);
  const char *etag = arena_printf(http_arena(request), "\"%.32s\"", hex);
  restrict_picture(request, picture);
  http_reply_header(request, "Cache-Control", "no-cache");
  return http_reply_bytes(request, "image/svg+xml", etag, picture);
}

static int
show_graph(struct http_request *request, void *context, struct error *err)
{
  struct serve_context *serve = context;
  struct exploration all = { .arena = http_arena(request) };
  CLEANUP_BUF struct buf picture = { 0 };
  int r = http_param_id(request, "id", &all.id, err);
  if (r == 0)
    r = db_pool_run(serve->pool, DB_READ, explore, &all, err);
  int_map_free(&all.by_build);
  if (r == 0)
    r = drawing_lay_out(&serve->drawings, &all.drawing, all.arena, err);
  if (r == -ETIMEDOUT)
    return error_set(err, -EFBIG, "%s", "this graph is too large to be drawn");
  if (r < 0)
    return r;
  graph_picture(&picture, &all.drawing);
  return reply_picture(request, buf_str(&picture));
}

/* Drawing takes its time. */
static int
get_graph(struct http_request *request, void *context, struct error *err)
{
  (void) err;
  return serve_later(context, request, show_graph);
}

/* ---- the same as a list ---- */

struct list_question
{
  struct exploration all;
  bool users;
  struct needs_view view;
};

/* Of one side all that was found, with what they are called. */
static int
read_list(struct db *db, void *context, struct error *err)
{
  struct list_question *question = context;
  struct exploration *all = &question->all;
  struct needs_view *view = &question->view;
  view->needs = view->needed_by = 0; /* this may be another try */
  int r = look(db, all, err);
  if (r < 0)
    return r;
  int64_t *ids = arena_array(all->arena, all->found_count, sizeof *ids);
  for (size_t i = 0; i < all->found_count; i++)
    ids[i] = all->found[i].build;
  struct serve_graph_builds_rows rows;
  r = serve_graph_builds(db, (struct db_i64s) { ids, all->found_count }, all->arena, &rows, err);
  if (r < 0)
    return r;
  struct needs_item *items = arena_array(all->arena, all->found_count, sizeof *items);
  for (size_t i = 0; i < rows.count; i++) {
    const struct found *found = int_map_get(&all->by_build, rows.items[i].id);
    items[found - all->found] = (struct needs_item) {
      .build = found->build,
      .name = rows.items[i].name,
      .state = rows.items[i].state,
      .rank = needs_rank(rows.items[i].state),
      .step = found->distance,
      .by = found->distance > 1 ? &items[found->parent] : NULL,
    };
    if (found->distance > 0)
      *(found->is_user ? &view->needed_by : &view->needs) += 1;
  }
  if (rows.count < all->found_count)
    return error_set(err, -ENOENT, "there is no build %lld", (long long) all->id);
  view->name = items[0].name;
  view->build = all->id;
  view->more_needs = all->has_more[false];
  view->more_needed_by = all->has_more[true];
  view->has_more = all->has_more[question->users];
  view->items.items = arena_array(all->arena, all->found_count, sizeof *view->items.items);
  view->items.count = 0;
  for (size_t i = 1; i < all->found_count; i++)
    if (all->found[i].is_user == question->users)
      view->items.items[view->items.count++] = &items[i];
  return 0;
}

static int
show_list(struct http_request *request, void *context, struct error *err)
{
  struct serve_context *serve = context;
  struct list_question question = { .all = { .arena = http_arena(request) } };
  struct needs_view *view = &question.view;
  int r = http_param_id(request, "id", &question.all.id, err);
  if (r == 0)
    r = needs_read_question(request, view, err);
  question.users = view->users;
  if (r == 0)
    r = db_pool_run(serve->pool, DB_READ, read_list, &question, err);
  int_map_free(&question.all.by_build);
  if (r < 0)
    return r;
  needs_take_page(view);
  CLEANUP_BUF struct buf page = { 0 };
  struct ui_frame frame;
  accounts_frame(request, serve->pool, &frame);
  needs_page(&page, view, &frame);
  return ui_reply(request, &frame, &page);
}

static int
get_list(struct http_request *request, void *context, struct error *err)
{
  (void) err;
  return serve_later(context, request, show_list);
}

/* ---- the API ---- */

static void
put_nodes(struct json *json, const struct drawing *drawing)
{
  json_key(json, "nodes");
  json_array_open(json);
  for (size_t i = 0; i < drawing->nodes.count; i++) {
    const struct drawing_node *node = &drawing->nodes.items[i];
    if (node->build == 0)
      continue;
    json_object_open(json);
    json_put_i64(json, "id", node->build);
    json_put_text(json, "name", node->name);
    json_put_text(json, "state", node->state);
    json_object_close(json);
  }
  json_array_close(json);
}

static void
put_edges(struct json *json, const struct drawing *drawing)
{
  const struct drawing_node *nodes = drawing->nodes.items;
  json_key(json, "edges");
  json_array_open(json);
  for (size_t i = 0; i < drawing->edges.count; i++) {
    const struct drawing_edge *edge = &drawing->edges.items[i];
    if (nodes[edge->from].build == 0 || nodes[edge->to].build == 0)
      continue;
    json_object_open(json);
    json_put_i64(json, "dependency", nodes[edge->from].build);
    json_put_i64(json, "dependent", nodes[edge->to].build);
    json_object_close(json);
  }
  json_array_close(json);
}

static int
tell_graph(struct http_request *request, void *context, struct error *err)
{
  struct serve_context *serve = context;
  struct exploration all = { .arena = http_arena(request) };
  int r = http_param_id(request, "id", &all.id, err);
  if (r == 0)
    r = db_pool_run(serve->pool, DB_READ, explore, &all, err);
  int_map_free(&all.by_build);
  if (r < 0)
    return r;
  CLEANUP_BUF struct buf body = { 0 };
  struct json json = json_begin(&body);
  json_object_open(&json);
  json_put_i64(&json, "build", all.id);
  put_nodes(&json, &all.drawing);
  put_edges(&json, &all.drawing);
  json_put_i64(&json, "dependencies_left_out_count", all.left_out[0]);
  json_put_bool(&json, "more_dependencies", all.has_more[0]);
  json_put_i64(&json, "dependents_left_out_count", all.left_out[1]);
  json_put_bool(&json, "more_dependents", all.has_more[1]);
  json_object_close(&json);
  return http_reply_json(request, 200, &body);
}

static int
get_api_graph(struct http_request *request, void *context, struct error *err)
{
  (void) err;
  return serve_later(context, request, tell_graph);
}

static const struct http_route routes[] = {
  { "GET", HTTP_API "/builds/{id}/graph", get_api_graph,
    .summary = "What it needs and what needs it, up to 300 builds", .reply = "Graph" },
  { "GET", "/builds/{id}/needs", get_list, .query = "part? sort? page?",
    .summary = "What it needs, or what needs it, step by step" },
  { "GET", "/builds/{id}/graph.svg", get_graph, .summary = "What it needs and what needs it" },
};

struct http_routes
serve_graph_page(struct serve_context *context)
{
  return (struct http_routes) { routes, ARRAY_SIZE(routes), context };
}
