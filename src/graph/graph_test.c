/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "graph/graph.h"

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/file.h"
#include "base/mem.h"
#include "db/test_cluster.h"
#include "graph/test_rows_sql.h"
#include "graph/test_store.h"

#define ASSERT_OK(call)                    \
  do {                                     \
    int r_ = (call);                       \
    if (r_ < 0)                            \
      fail_msg("%d: %s", r_, err.message); \
  } while (0)

#define BAD_PATH "/gnu/store/6d4lk73an4918digdv34xprynczidc39-bad"
#define BAD_OUTPUT "(\"out\",\"" BAD_PATH "\",\"\",\"\")"
#define BAD_VARIABLE "(\"out\",\"" BAD_PATH "\")"

/* A store of three levels: app and tool need base; all need the text. */
struct fixture
{
  struct test_store *store;
  struct str text, base, source, app, tool;
};

static struct fixture
fixture_new(void)
{
  struct fixture f = { .store = test_store_new() };
  f.text = test_store_text(f.store, "builder.scm", "(display 1)\n");
  f.source = test_store_derivation(f.store, "base-1.tar", NULL, 0, NULL, 0, true);
  f.base = test_store_derivation(f.store, "base-1", &f.source, 1, &f.text, 1, false);
  f.app = test_store_derivation(f.store, "app-1", &f.base, 1, &f.text, 1, false);
  struct str both[] = { f.base, f.app };
  f.tool = test_store_derivation(f.store, "tool-1", both, 2, &f.text, 1, false);
  return f;
}

struct writing
{
  struct graph_load *load;
  int64_t fresh;
  int failures; /* runs that are rolled back after writing */
};

static int
write_body(struct db *db, void *context, struct error *err)
{
  struct writing *writing = context;
  int r = graph_load_write(writing->load, db, &writing->fresh, err);
  if (r == 0 && writing->failures > 0) {
    writing->failures--;
    return error_set(err, -DB_ERROR_CONFLICT, "once more");
  }
  return r;
}

/* Loads PATH and returns how many derivations were new. */
static int64_t
load_one(struct test_database *database, const struct fixture *f, struct str path)
{
  struct error err = { 0 };
  struct graph_load *load = graph_load_new(database->pool, f->store->root);
  ASSERT_OK(graph_load_add(load, path, &err));
  struct writing writing = { .load = load };
  ASSERT_OK(db_pool_run(database->pool, DB_WRITE, write_body, &writing, &err));
  assert_true(graph_load_id(load, path) > 0);
  graph_load_free(load);
  return writing.fresh;
}

static int64_t
id_of(struct db *db, struct str path)
{
  struct error err = { 0 };
  int64_t id;
  assert_int_equal(graph_path_find(db, guix_path_basename(path), &id, &err), 1);
  return id;
}

static struct str
name_of(struct arena *arena, const char *text)
{
  struct guix_hash hash = guix_hash_of(str_of(text));
  return guix_path_basename(guix_path_make(arena, STR("text"), &hash, str_of(text)));
}

/* ---- paths ---- */

static int
ids_body(struct db *db, void *context, struct error *err)
{
  CLEANUP_ARENA struct arena arena = { 0 };
  int64_t *ids = context;
  struct str names[] = { name_of(&arena, "one"), name_of(&arena, "two"), name_of(&arena, "one"),
                         name_of(&arena, "three") };
  int r = graph_path_ids(db, names, 4, ids, err);
  if (r < 0)
    return r;
  struct str back[4];
  r = graph_path_basenames(db, ids, 4, &arena, back, err);
  for (size_t i = 0; r == 0 && i < 4; i++)
    assert_true(str_equal(back[i], names[i]));
  return r;
}

static void
test_paths(void **state)
{
  struct test_database *database = *state;
  struct error err = { 0 };
  int64_t first[4], second[4], id;
  ASSERT_OK(db_pool_run(database->pool, DB_WRITE, ids_body, first, &err));
  ASSERT_OK(db_pool_run(database->pool, DB_WRITE, ids_body, second, &err));
  assert_memory_equal(first, second, sizeof first);
  assert_int_equal(first[0], first[2]);
  assert_true(first[0] != first[1] && first[1] != first[3]);

  CLEANUP_ARENA struct arena arena = { 0 };
  struct str name = name_of(&arena, "two"), found;
  struct db *db;
  ASSERT_OK(db_pool_get(database->pool, &db, &err));
  assert_int_equal(graph_path_find(db, name, &id, &err), 1);
  assert_int_equal(id, first[1]);
  assert_int_equal(graph_path_find(db, name_of(&arena, "four"), &id, &err), 0);
  struct str bad = STR("../../etc/passwd");
  assert_int_equal(graph_path_ids(db, &bad, 1, &id, &err), -EINVAL);
  id = 999999;
  assert_int_equal(graph_path_basenames(db, &id, 1, &arena, &found, &err), -ENOENT);
  db_pool_put(database->pool, db);
}

#define CROWD 4
#define CROWD_NAMES 600

struct crowd_member
{
  struct test_database *database;
  int64_t ids[CROWD_NAMES];
  unsigned seed;
  int result;
};

/* All names, in an order of the member's own. */
static int
crowd_body(struct db *db, void *context, struct error *err)
{
  struct crowd_member *member = context;
  CLEANUP_ARENA struct arena arena = { 0 };
  struct str names[CROWD_NAMES];
  size_t places[CROWD_NAMES];
  int64_t ids[CROWD_NAMES];
  for (size_t i = 0; i < CROWD_NAMES; i++)
    places[i] = i;
  for (size_t i = CROWD_NAMES - 1; i > 0; i--) {
    size_t j = (size_t) rand_r(&member->seed) % (i + 1), kept = places[i];
    places[i] = places[j];
    places[j] = kept;
  }
  for (size_t i = 0; i < CROWD_NAMES; i++)
    names[i] = name_of(&arena, arena_printf(&arena, "crowd-%zu", places[i]));
  int r = graph_path_ids(db, names, CROWD_NAMES, ids, err);
  for (size_t i = 0; i < CROWD_NAMES; i++)
    member->ids[places[i]] = ids[i];
  return r;
}

static void *
crowd_run(void *context)
{
  struct crowd_member *member = context;
  struct error err = { 0 };
  member->result = db_pool_run(member->database->pool, DB_WRITE, crowd_body, member, &err);
  return NULL;
}

static void
test_paths_in_a_crowd(void **state)
{
  static struct crowd_member members[CROWD];
  pthread_t threads[CROWD];
  for (unsigned i = 0; i < CROWD; i++) {
    members[i] = (struct crowd_member) { .database = *state, .seed = i + 1 };
    assert_int_equal(pthread_create(&threads[i], NULL, crowd_run, &members[i]), 0);
  }
  for (size_t i = 0; i < CROWD; i++)
    pthread_join(threads[i], NULL);
  for (size_t i = 0; i < CROWD; i++) {
    assert_int_equal(members[i].result, 0);
    assert_memory_equal(members[i].ids, members[0].ids, sizeof members[0].ids);
  }
}

/* ---- loading ---- */

static void
check_text(struct db *db, struct fixture *f, struct str path)
{
  struct error err = { 0 };
  CLEANUP_BUF struct buf kept = { 0 }, wanted = { 0 };
  assert_int_equal(graph_derivation_text(db, id_of(db, path), &kept, &err), 1);
  ASSERT_OK(file_read_all(test_store_file(f->store, path), 1 << 20, &wanted, &err));
  assert_true(str_equal(buf_str(&kept), buf_str(&wanted)));
}

static void
check_facts(struct db *db, struct fixture *f)
{
  CLEANUP_ARENA struct arena arena = { 0 };
  struct error err = { 0 };
  struct test_derivation_row derivation;
  int64_t app = id_of(db, f->app);
  assert_int_equal(test_derivation(db, app, &arena, &derivation, &err), 1);
  assert_true(str_equal(derivation.basename, guix_path_basename(f->app)));
  assert_true(str_equal(derivation.system, STR("x86_64-linux")));
  assert_false(derivation.fixed_output);

  struct test_outputs_rows outputs;
  ASSERT_OK(test_outputs(db, app, &arena, &outputs, &err));
  assert_int_equal(outputs.count, 2);
  assert_true(str_equal(outputs.items[0].name, STR("lib")));
  assert_true(str_equal(outputs.items[1].name, STR("out")));
  assert_int_equal(derivation.output_key, outputs.items[0].path_id);

  int64_t *inputs;
  size_t count;
  ASSERT_OK(test_outputs(db, id_of(db, f->base), &arena, &outputs, &err));
  int64_t base_out = outputs.items[1].path_id, text = id_of(db, f->text);
  ASSERT_OK(graph_derivation_inputs(db, app, &arena, &inputs, &count, &err));
  assert_int_equal(count, 2);
  assert_true((inputs[0] == base_out && inputs[1] == text)
              || (inputs[0] == text && inputs[1] == base_out));
  assert_int_equal(test_derivation(db, text, &arena, &derivation, &err), 0);
  assert_int_equal(test_derivation(db, id_of(db, f->source), &arena, &derivation, &err), 1);
  assert_true(derivation.fixed_output);
}

static size_t
place_in(const int64_t *ids, size_t count, int64_t id)
{
  for (size_t i = 0; i < count; i++)
    if (ids[i] == id)
      return i;
  fail_msg("%lld is not in the closure", (long long) id);
  return count;
}

static void
check_closure(struct db *db, struct fixture *f)
{
  CLEANUP_ARENA struct arena arena = { 0 };
  struct error err = { 0 };
  int64_t *ids;
  size_t count;
  ASSERT_OK(graph_derivation_closure(db, id_of(db, f->tool), &arena, &ids, &count, &err));
  assert_int_equal(count, 5);
  size_t text = place_in(ids, count, id_of(db, f->text));
  size_t source = place_in(ids, count, id_of(db, f->source));
  size_t base = place_in(ids, count, id_of(db, f->base));
  size_t app = place_in(ids, count, id_of(db, f->app));
  assert_true(text < base && source < base && base < app);
  assert_int_equal(ids[count - 1], id_of(db, f->tool));
}

static void
test_load(void **state)
{
  struct test_database *database = *state;
  struct fixture f = fixture_new();
  struct error err = { 0 };
  assert_int_equal(load_one(database, &f, f.app), 3);
  assert_int_equal(load_one(database, &f, f.app), 0);
  assert_int_equal(load_one(database, &f, f.tool), 1);

  struct db *db;
  ASSERT_OK(db_pool_get(database->pool, &db, &err));
  const struct str paths[] = { f.source, f.base, f.app, f.tool };
  for (size_t i = 0; i < ARRAY_SIZE(paths); i++)
    check_text(db, &f, paths[i]);
  check_facts(db, &f);
  check_closure(db, &f);

  CLEANUP_ARENA struct arena arena = { 0 };
  int64_t ids[] = { id_of(db, f.text), id_of(db, f.app) };
  struct str texts[2];
  ASSERT_OK(graph_derivation_texts(db, ids, 2, &arena, texts, &err));
  assert_null(texts[0].data);
  assert_true(str_starts(texts[1], STR("Derive([")));
  db_pool_put(database->pool, db);
  test_store_free(f.store);
}

/* A known derivation's file may have gone; sources are those of new ones. */
static void
test_load_what_is_known(void **state)
{
  struct test_database *database = *state;
  struct fixture f = fixture_new();
  struct error err = { 0 };
  size_t count;
  assert_int_equal(load_one(database, &f, f.base), 2);
  assert_int_equal(remove(test_store_file(f.store, f.base)), 0);
  assert_int_equal(remove(test_store_file(f.store, f.source)), 0);

  struct graph_load *load = graph_load_new(database->pool, f.store->root);
  ASSERT_OK(graph_load_add(load, f.base, &err));
  graph_load_sources(load, &count);
  assert_int_equal(count, 0);
  ASSERT_OK(graph_load_add(load, f.app, &err));
  const struct str *sources = graph_load_sources(load, &count);
  assert_int_equal(count, 1);
  assert_true(str_equal(sources[0], f.text));
  struct writing writing = { .load = load };
  ASSERT_OK(db_pool_run(database->pool, DB_WRITE, write_body, &writing, &err));
  assert_int_equal(writing.fresh, 1);
  assert_true(graph_load_id(load, f.base) > 0 && graph_load_id(load, f.tool) == 0);
  graph_load_free(load);
  test_store_free(f.store);
}

static void
test_load_repeats_after_rollback(void **state)
{
  struct test_database *database = *state;
  struct fixture f = fixture_new();
  struct error err = { 0 };
  struct writing writing = { .load = graph_load_new(database->pool, f.store->root), .failures = 2 };
  ASSERT_OK(graph_load_add(writing.load, f.tool, &err));
  ASSERT_OK(db_pool_run(database->pool, DB_WRITE, write_body, &writing, &err));
  assert_int_equal(writing.fresh, 4);

  struct db *db;
  ASSERT_OK(db_pool_get(database->pool, &db, &err));
  assert_int_equal(graph_load_id(writing.load, f.tool), id_of(db, f.tool));
  check_closure(db, &f);
  db_pool_put(database->pool, db);
  graph_load_free(writing.load);
  test_store_free(f.store);
}

static int
load_fails(struct test_database *database, struct fixture *f, struct str path, struct error *err)
{
  struct graph_load *load = graph_load_new(database->pool, f->store->root);
  size_t count;
  int r = graph_load_add(load, path, err);
  if (r == 0) {
    graph_load_sources(load, &count);
    struct writing writing = { .load = load };
    r = db_pool_run(database->pool, DB_WRITE, write_body, &writing, err);
  }
  graph_load_free(load);
  return r;
}

static void
test_load_refuses_damage(void **state)
{
  struct test_database *database = *state;
  struct fixture f = fixture_new();
  struct error err = { 0 };
  const char *file = test_store_file(f.store, f.base);
  CLEANUP_BUF struct buf text = { 0 };
  ASSERT_OK(file_read_all(file, 1 << 20, &text, &err));

  /* Another word of the same length, so that it still parses. */
  char *place = strstr(buf_text(&text), "builtin:download");
  assert_non_null(place);
  place[15] = 'b';
  ASSERT_OK(file_write_atomic(file, buf_str(&text), 0444, &err));
  assert_int_equal(load_fails(database, &f, f.tool, &err), -EBADMSG);
  assert_non_null(strstr(err.message, "base-1.drv is damaged"));

  ASSERT_OK(file_write_atomic(file, str_make(text.data, text.size / 2), 0444, &err));
  assert_int_equal(load_fails(database, &f, f.tool, &err), -EINVAL);
  assert_non_null(strstr(err.message, "base-1.drv"));
  assert_int_equal(remove(file), 0);
  assert_int_equal(load_fails(database, &f, f.tool, &err), -ENOENT);
  assert_int_equal(load_fails(database, &f, f.text, &err), -EINVAL);
  assert_int_equal(load_fails(database, &f, STR("/etc/passwd.drv"), &err), -EINVAL);

  struct db *db;
  int64_t id;
  ASSERT_OK(db_pool_get(database->pool, &db, &err));
  assert_int_equal(graph_path_find(db, guix_path_basename(f.tool), &id, &err), 0);
  db_pool_put(database->pool, db);
  test_store_free(f.store);
}

/* ---- what is bad is left out ---- */

/* What guix-daemon takes for a text, and no evaluator can build. */
static struct str
bad_text(struct fixture *f, const char *name, const char *outputs, const char *system)
{
  return test_store_text(f->store, name,
                         arena_printf(&f->store->arena, "Derive([%s],[],[],\"%s\",\"y\",[],[%s])",
                                      outputs, system, outputs[0] == '\0' ? "" : BAD_VARIABLE));
}

/* Like app, but of an output that base does not have. */
static struct str
app_of_no_output(struct fixture *f, const char *name)
{
  struct error err = { 0 };
  struct str references[] = { f->base, f->text };
  CLEANUP_BUF struct buf text = { 0 };
  ASSERT_OK(file_read_all(test_store_file(f->store, f->app), 1 << 20, &text, &err));
  char *place = strstr(buf_text(&text), "[\"out\"]");
  assert_non_null(place);
  memcpy(place, "[\"dev\"]", 7);
  if (str_compare(f->text, f->base) < 0)
    references[0] = f->text, references[1] = f->base;
  struct str path =
      guix_path_of_text(&f->store->arena, str_of(name), buf_str(&text), references, 2);
  ASSERT_OK(file_write_atomic(test_store_file(f->store, path), buf_str(&text), 0444, &err));
  return path;
}

static struct str
link_to_nowhere(struct fixture *f)
{
  struct str path = guix_path_of_text(&f->store->arena, STR("link.drv"), STR(""), NULL, 0);
  assert_int_equal(symlink("/dev/zero", test_store_file(f->store, path)), 0);
  return path;
}

static struct str
too_large(struct fixture *f)
{
  struct str path = guix_path_of_text(&f->store->arena, STR("large.drv"), STR(""), NULL, 0);
  struct error err = { 0 };
  ASSERT_OK(file_write_atomic(test_store_file(f->store, path), STR("Derive("), 0644, &err));
  assert_int_equal(truncate(test_store_file(f->store, path), GUIX_DERIVATION_SIZE_MAX + 1), 0);
  return path;
}

static void
assert_unknown(struct test_database *database, struct str path)
{
  struct error err = { 0 };
  struct db *db;
  int64_t id;
  ASSERT_OK(db_pool_get(database->pool, &db, &err));
  assert_int_equal(graph_path_find(db, guix_path_basename(path), &id, &err), 0);
  db_pool_put(database->pool, db);
}

/* Loads the COUNT of BAD, what needs each of them, what needs that, and tool. */
static void
sift(struct test_database *database, struct fixture *f, const struct str *bad, size_t count)
{
  struct error err = { 0 };
  struct writing writing = { .load = graph_load_new(database->pool, f->store->root),
                             .failures = 1 };
  struct str *above = arena_array(&f->store->arena, 2 * count, sizeof *above);
  size_t sources;
  graph_load_sift(writing.load);
  for (size_t i = 0; i < count; i++) {
    struct str both[] = { bad[i], f->base };
    const char *name = arena_printf(&f->store->arena, "above-%zu", i);
    struct str lost = test_store_text(f->store, name, "a source of nothing that stays");
    above[i] = test_store_derivation(f->store, name, both, 2, &lost, 1, false);
    name = arena_printf(&f->store->arena, "top-%zu", i);
    above[count + i] = test_store_derivation(f->store, name, &above[i], 1, NULL, 0, false);
    ASSERT_OK(graph_load_add(writing.load, above[i % 2 == 0 ? count + i : i], &err));
    ASSERT_OK(graph_load_add(writing.load, above[i % 2 == 0 ? i : count + i], &err));
  }
  ASSERT_OK(graph_load_add(writing.load, f->tool, &err));
  graph_load_sources(writing.load, &sources);
  assert_int_equal(sources, 1);
  /* What comes after a look sees what was refused before it. */
  struct str late = test_store_derivation(f->store, "late", &above[0], 1, NULL, 0, false);
  ASSERT_OK(graph_load_add(writing.load, late, &err));
  ASSERT_OK(db_pool_run(database->pool, DB_WRITE, write_body, &writing, &err));
  assert_int_equal(writing.fresh, 4);
  assert_true(graph_load_id(writing.load, f->tool) > 0);
  assert_null(graph_load_refusal(writing.load, f->tool).data);
  assert_non_null(graph_load_refusal(writing.load, late).data);
  for (size_t i = 0; i < 2 * count; i++) {
    struct str name = guix_path_name(bad[i % count]);
    struct str why = graph_load_refusal(writing.load, above[i]);
    assert_non_null(why.data);
    assert_non_null(strstr(why.data, arena_printf(&f->store->arena, "%.*s", STR_FMT(name))));
    assert_int_equal(graph_load_id(writing.load, above[i]), 0);
    assert_int_equal(graph_load_id(writing.load, bad[i % count]), 0);
    assert_unknown(database, above[i]);
    assert_unknown(database, bad[i % count]);
  }
  graph_load_free(writing.load);
}

static void
test_load_sifts(void **state)
{
  struct test_database *database = *state;
  struct fixture f = fixture_new();
  const struct str bad[] = {
    bad_text(&f, "mini.drv", "", "x"),
    bad_text(&f, "odd.drv", BAD_OUTPUT, "\377\377"),
    bad_text(&f, "wordy.drv", BAD_OUTPUT, "x"),
    test_store_text(f.store, "prose.drv", "In the beginning"),
    guix_path_of_text(&f.store->arena, STR("absent.drv"), STR(""), NULL, 0),
    app_of_no_output(&f, "astray.drv"),
    link_to_nowhere(&f),
    too_large(&f),
  };
  sift(database, &f, bad, ARRAY_SIZE(bad));

  /* Of one that is known by now too. */
  struct str astray = app_of_no_output(&f, "stray.drv");
  struct error err = { 0 };
  assert_int_equal(load_fails(database, &f, astray, &err), -EINVAL);
  assert_non_null(strstr(err.message, "needs an output that"));
  test_store_free(f.store);
}

/* ---- rivals ---- */

#define RIVALS 3
#define LAYERS 40
#define WIDTH 10

struct rival
{
  struct test_database *database;
  struct graph_load *load;
  int64_t fresh;
  int result;
};

static int
rival_body(struct db *db, void *context, struct error *err)
{
  struct rival *rival = context;
  return graph_load_write(rival->load, db, &rival->fresh, err);
}

static void *
rival_run(void *context)
{
  struct rival *rival = context;
  struct error err = { 0 };
  rival->result = db_pool_run(rival->database->pool, DB_WRITE, rival_body, rival, &err);
  if (rival->result < 0)
    fprintf(stderr, "rival: %s\n", err.message);
  return NULL;
}

/* Layers of derivations, each of which needs all of the layer below. */
static void
make_layers(struct test_store *store, struct str layers[LAYERS][WIDTH])
{
  for (size_t i = 0; i < LAYERS; i++)
    for (size_t j = 0; j < WIDTH; j++) {
      const char *name = arena_printf(&store->arena, "layer-%zu-%zu", i, j);
      struct str text = test_store_text(store, arena_printf(&store->arena, "text-%zu", j), name);
      layers[i][j] = test_store_derivation(store, name, i == 0 ? NULL : layers[i - 1],
                                           i == 0 ? 0 : WIDTH, &text, 1, false);
    }
}

/* All have looked before any writes: each takes all for new, with roots of its
   own and all below in common. */
static void
test_loads_at_once(void **state)
{
  static struct str layers[LAYERS][WIDTH];
  struct test_database *database = *state;
  struct test_store *store = test_store_new();
  struct error err = { 0 };
  struct rival rivals[RIVALS];
  pthread_t threads[RIVALS];
  int64_t total = 0;
  size_t count;
  make_layers(store, layers);
  for (size_t i = 0; i < RIVALS; i++) {
    rivals[i] = (struct rival) { .database = database,
                                 .load = graph_load_new(database->pool, store->root) };
    ASSERT_OK(graph_load_add(rivals[i].load, layers[LAYERS - 1][i], &err));
    graph_load_sources(rivals[i].load, &count);
    assert_int_equal(count, (LAYERS - 1) * WIDTH + 1);
  }
  for (size_t i = 0; i < RIVALS; i++)
    assert_int_equal(pthread_create(&threads[i], NULL, rival_run, &rivals[i]), 0);
  for (size_t i = 0; i < RIVALS; i++) {
    pthread_join(threads[i], NULL);
    assert_int_equal(rivals[i].result, 0);
    total += rivals[i].fresh;
  }
  assert_int_equal(total, (LAYERS - 1) * WIDTH + RIVALS);
  int64_t shared = graph_load_id(rivals[0].load, layers[0][0]);
  for (size_t i = 0; i < RIVALS; i++) {
    assert_int_equal(graph_load_id(rivals[i].load, layers[0][0]), shared);
    graph_load_free(rivals[i].load);
  }

  struct db *db;
  CLEANUP_ARENA struct arena arena = { 0 };
  int64_t *ids;
  ASSERT_OK(db_pool_get(database->pool, &db, &err));
  ASSERT_OK(
      graph_derivation_closure(db, id_of(db, layers[LAYERS - 1][0]), &arena, &ids, &count, &err));
  assert_int_equal(count, 2 * ((LAYERS - 1) * WIDTH + 1));
  db_pool_put(database->pool, db);
  test_store_free(store);
}

#define WITH_DATABASE(test) \
  cmocka_unit_test_setup_teardown(test, test_database_setup, test_database_teardown)

int
main(void)
{
  const struct CMUnitTest tests[] = {
    WITH_DATABASE(test_paths),
    WITH_DATABASE(test_paths_in_a_crowd),
    WITH_DATABASE(test_load),
    WITH_DATABASE(test_load_what_is_known),
    WITH_DATABASE(test_load_repeats_after_rollback),
    WITH_DATABASE(test_load_refuses_damage),
    WITH_DATABASE(test_load_sifts),
    WITH_DATABASE(test_loads_at_once),
  };
  return cmocka_run_group_tests(tests, NULL, test_cluster_teardown);
}
