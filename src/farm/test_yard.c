/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "farm/test_yard.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "farm/farm_private.h"
#include "farm/farm_sql.h"
#include "farm/mirror.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define PATIENCE_MS 60000
#define NAMES 16

/* ---- names and numbers ---- */

int64_t
yard_drv(int64_t n)
{
  return 10 * n;
}

int64_t
yard_out(int64_t n)
{
  return 10 * n + 1;
}

/* The number in nix-base32 digits, and as the name. */
static void
write_basename(int64_t path_id, char name[80])
{
  static const char digits[] = "0123456789abcdfghijklmnpqrsvwxyz";
  int64_t rest = path_id;
  for (int i = 31; i >= 0; i--, rest /= 32)
    name[i] = digits[rest % 32];
  snprintf(name + 32, 48, "-item-%lld%s", (long long) path_id / 10,
           path_id % 10 == 0 ? ".drv" : "");
}

struct str
yard_basename(int64_t path_id)
{
  static _Thread_local char names[NAMES][80];
  static _Thread_local unsigned next;
  char *name = names[next++ % NAMES];
  write_basename(path_id, name);
  return str_of(name);
}

/* ---- statements ---- */

static struct db *
get_db(struct yard *yard)
{
  struct db *db = NULL;
  struct error err = { 0 };
  int r = db_pool_get(yard->database->pool, &db, &err);
  if (r < 0)
    fail_msg("%s", err.message);
  return db;
}

static void
put_db(struct yard *yard, struct db *db)
{
  db_pool_put(yard->database->pool, db);
}

#define RUN(yard, call)            \
  do {                             \
    struct error err = { 0 };      \
    struct db *db = get_db(yard);  \
    int run_ = (call);             \
    put_db(yard, db);              \
    if (run_ < 0)                  \
      fail_msg("%s", err.message); \
  } while (0)

static int
append_piece(void *context, struct str piece)
{
  buf_append_str(context, piece);
  return 0;
}

static void
pack(struct str text, struct buf *ret)
{
  struct guix_compressor *zstd = guix_compressor_new(GUIX_COMPRESSION_ZSTD, 1, append_piece, ret);
  assert_int_equal(guix_compressor_feed(zstd, text, NULL), 0);
  assert_int_equal(guix_compressor_end(zstd, NULL), 0);
  guix_compressor_free(zstd);
}

/* The text is the same for all: nobody builds here. */
static void
insert_derivations(struct yard *yard, struct db_i64s drvs, struct db_i64s outs)
{
  CLEANUP_ARENA struct arena arena = { 0 };
  CLEANUP_BUF struct buf packed = { 0 };
  struct str text =
      STR("Derive([(\"out\",\"/gnu/store/00000000000000000000000000000000-x\",\"\",\"\")],[],"
          "[],\"x86_64-linux\",\"/bin/sh\",[],[(\"out\",\"/gnu/store/"
          "00000000000000000000000000000000-x\")])");
  pack(text, &packed);
  struct str *names = arena_array(&arena, drvs.count, sizeof *names);
  for (size_t i = 0; i < drvs.count; i++)
    names[i] = STR("out");
  RUN(yard, yard_insert_system(db, STR(YARD_SYSTEM), &err));
  RUN(yard, yard_insert_derivations(db, STR(YARD_SYSTEM), (int32_t) text.size, buf_str(&packed),
                                    drvs, outs, &err));
  RUN(yard, yard_insert_outputs(db, drvs, (struct db_strs) { names, drvs.count }, outs, &err));
}

static void
insert_paths(struct yard *yard, struct db_i64s ids)
{
  CLEANUP_ARENA struct arena arena = { 0 };
  struct str *names = arena_array(&arena, ids.count, sizeof *names);
  for (size_t i = 0; i < ids.count; i++)
    names[i] = arena_str(&arena, yard_basename(ids.items[i]));
  RUN(yard, yard_insert_paths(db, ids, (struct db_strs) { names, ids.count }, &err));
}

void
yard_derivations(struct yard *yard, int64_t first, int64_t count)
{
  CLEANUP_ARENA struct arena arena = { 0 };
  size_t size = (size_t) count;
  int64_t *ids = arena_array(&arena, 2 * size, sizeof *ids);
  for (size_t i = 0; i < size; i++) {
    ids[i] = yard_drv(first + (int64_t) i);
    ids[size + i] = yard_out(first + (int64_t) i);
  }
  insert_paths(yard, (struct db_i64s) { ids, 2 * size });
  insert_derivations(yard, (struct db_i64s) { ids, size }, (struct db_i64s) { ids + size, size });
}

void
yard_twin(struct yard *yard, int64_t n, int64_t other)
{
  int64_t drv = yard_drv(n), out = yard_out(other);
  insert_paths(yard, (struct db_i64s) { &drv, 1 });
  insert_derivations(yard, (struct db_i64s) { &drv, 1 }, (struct db_i64s) { &out, 1 });
}

void
yard_fix(struct yard *yard, int64_t n, const char *algorithm, const char *hash)
{
  CLEANUP_BUF struct buf text = { 0 };
  CLEANUP_BUF struct buf packed = { 0 };
  struct str path = yard_basename(yard_out(n));
  buf_printf(&text,
             "Derive([(\"out\",\"/gnu/store/%.*s\",\"%s\",\"%s\")],[],[],\"" YARD_SYSTEM
             "\",\"/bin/sh\",[],[(\"out\",\"/gnu/store/%.*s\")])",
             STR_FMT(path), algorithm, hash, STR_FMT(path));
  pack(buf_str(&text), &packed);
  RUN(yard, yard_fix_derivation(db, (int32_t) text.size, buf_str(&packed), yard_drv(n), &err));
}

void
yard_source(struct yard *yard, int64_t n, int64_t source)
{
  int64_t id = yard_out(source);
  insert_paths(yard, (struct db_i64s) { &id, 1 });
  RUN(yard, yard_insert_sources(db, yard_drv(n), id, &err));
}

void
yard_need(struct yard *yard, const struct yard_edge *edges, size_t count)
{
  CLEANUP_ARENA struct arena arena = { 0 };
  int64_t *from = arena_array(&arena, count, sizeof *from);
  int64_t *needs = arena_array(&arena, count, sizeof *needs);
  for (size_t i = 0; i < count; i++) {
    from[i] = yard_drv(edges[i].from);
    needs[i] = yard_drv(edges[i].needs);
  }
  RUN(yard, yard_insert_inputs(db, (struct db_i64s) { from, count },
                               (struct db_i64s) { needs, count }, &err));
}

void
yard_offer(struct yard *yard, int64_t n)
{
  int64_t id = yard_out(n);
  struct guix_hash hash = { { 1 } };
  RUN(yard, yard_insert_nars(db, str_make(hash.bytes, GUIX_HASH_SIZE), (struct db_i64s) { &id, 1 },
                             &err));
}

void
yard_offer_built(struct yard *yard)
{
  struct guix_hash hash = { { 1 } };
  RUN(yard,
      yard_offer_succeeded(db, str_make(hash.bytes, GUIX_HASH_SIZE), FARM_BUILD_SUCCEEDED, &err));
}

void
yard_let_register(struct yard *yard, bool allowed)
{
  RUN(yard, allowed ? yard_accept_nars(db, &err) : yard_refuse_nars(db, &err));
}

void
yard_withdraw(struct yard *yard, int64_t n)
{
  RUN(yard, yard_delete_nar(db, yard_out(n), &err));
}

int64_t
yard_bump_epoch(struct yard *yard)
{
  struct farm_load_epoch_row row = { 0 };
  RUN(yard, farm_load_epoch(db, &row, &err));
  return row.epoch;
}

static int
make_agent(struct db *db, void *context, struct error *err)
{
  const char *name = context;
  static const struct str systems[] = { { YARD_SYSTEM, sizeof YARD_SYSTEM - 1 } };
  char token[ACCOUNTS_TOKEN_SIZE];
  struct farm_agent_insert_row row;
  int64_t token_id;
  int r = accounts_token_create(db, "agent", str_of(name), 0, token, &token_id, err);
  return r < 0 ? r
               : farm_agent_insert(db, str_of(name), token_id, (struct db_strs) { systems, 1 }, 1,
                                   STR("{}"), &row, err);
}

int64_t
yard_make_agent(struct yard *yard, const char *name)
{
  struct yard_agent_row row = { 0 };
  RUN(yard, db_run(db, DB_WRITE, make_agent, (void *) name, &err));
  RUN(yard, yard_agent(db, str_of(name), &row, &err));
  return row.id;
}

struct wish
{
  struct farm_wish wish;
  int64_t build_id;
};

static int
wish_body(struct db *db, void *context, struct error *err)
{
  struct wish *wish = context;
  return farm_wish(db, &wish->wish, 1, &wish->build_id, err);
}

static int64_t
wish_and_wake(struct yard *yard, const struct farm_wish *asked)
{
  struct wish wish = { .wish = *asked };
  RUN(yard, db_run(db, DB_WRITE, wish_body, &wish, &err));
  RUN(yard, farm_wake(db, &err));
  return wish.build_id;
}

int64_t
yard_wish(struct yard *yard, int64_t n, int32_t priority)
{
  return wish_and_wake(yard, &(struct farm_wish) { .derivation_id = yard_drv(n),
                                                   .priority = priority,
                                                   .timeout_s = 100,
                                                   .max_silent_s = 10 });
}

int64_t
yard_wish_within(struct yard *yard, int64_t n, int64_t timeout_s, int64_t max_silent_s)
{
  return wish_and_wake(yard, &(struct farm_wish) { .derivation_id = yard_drv(n),
                                                   .timeout_s = timeout_s,
                                                   .max_silent_s = max_silent_s });
}

bool
yard_find_build(struct yard *yard, int64_t n, struct yard_build_row *ret)
{
  struct yard_build_row row = { 0 };
  int found = 0;
  RUN(yard, found = yard_build(db, yard_drv(n), &row, &err));
  if (ret != NULL)
    *ret = row;
  return found == 1;
}

struct yard_build_row
yard_build_of(struct yard *yard, int64_t n)
{
  struct yard_build_row row;
  assert_true(yard_find_build(yard, n, &row));
  return row;
}

int64_t
yard_orders_of(struct yard *yard)
{
  struct yard_orders_row row = { 0 };
  RUN(yard, yard_orders(db, &row, &err));
  return row.count;
}

int64_t
yard_count_of(struct yard *yard, enum farm_build_state state)
{
  struct yard_count_row row = { 0 };
  RUN(yard, yard_count(db, (int16_t) state, &row, &err));
  return row.count;
}

struct yard_attempts_row
yard_attempts_of(struct yard *yard, enum farm_cause cause)
{
  struct yard_attempts_row row = { 0 };
  RUN(yard, yard_attempts(db, (int16_t) cause, &row, &err));
  return row;
}

struct yard_attempt_row
yard_attempt_of(struct yard *yard, int64_t attempt_id)
{
  CLEANUP_ARENA struct arena arena = { 0 };
  struct yard_attempt_row row = { 0 };
  int found = 0;
  RUN(yard, found = yard_attempt(db, attempt_id, &arena, &row, &err));
  assert_int_equal(found, 1);
  row.message = STR(""); /* was in the arena */
  return row;
}

struct yard_scheduler_row
yard_scheduler_of(struct yard *yard)
{
  struct yard_scheduler_row row = { 0 };
  RUN(yard, yard_scheduler(db, &row, &err));
  return row;
}

int64_t
yard_events_of(struct yard *yard, const char *kind)
{
  struct yard_events_row row = { 0 };
  RUN(yard, yard_events(db, str_of(kind), &row, &err));
  return row.count;
}

int64_t
yard_events_about(struct yard *yard, int64_t n)
{
  struct yard_path_events_row row = { 0 };
  char path[256];
  snprintf(path, sizeof path, GUIX_STORE_PREFIX "%.*s", STR_FMT(yard_basename(yard_drv(n))));
  RUN(yard, yard_path_events(db, str_of(path), &row, &err));
  return row.count;
}

/* ---- waiting ---- */

void
yard_await_state(struct yard *yard, int64_t n, enum farm_build_state state)
{
  int64_t until = clock_monotonic_ms() + PATIENCE_MS;
  struct yard_build_row row = yard_build_of(yard, n);
  while (row.state != (int16_t) state && clock_monotonic_ms() < until) {
    clock_sleep_ms(10);
    row = yard_build_of(yard, n);
  }
  if (row.state != (int16_t) state)
    fail_msg("build %lld is %s, not %s", (long long) n,
             farm_build_state_name((enum farm_build_state) row.state),
             farm_build_state_name(state));
}

void
yard_await_count(struct yard *yard, enum farm_build_state state, int64_t count)
{
  int64_t until = clock_monotonic_ms() + PATIENCE_MS;
  int64_t found;
  while ((found = yard_count_of(yard, state)) != count && clock_monotonic_ms() < until)
    clock_sleep_ms(10);
  if (found != count)
    fail_msg("%lld builds are %s, not %lld", (long long) found, farm_build_state_name(state),
             (long long) count);
}

void
yard_await_orders_done(struct yard *yard)
{
  int64_t until = clock_monotonic_ms() + PATIENCE_MS;
  while (yard_orders_of(yard) > 0 && clock_monotonic_ms() < until)
    clock_sleep_ms(10);
  assert_int_equal(yard_orders_of(yard), 0);
}

void
yard_await_loaded(struct yard *yard, int64_t build_id)
{
  int64_t until = clock_monotonic_ms() + PATIENCE_MS;
  for (bool known = false; !known; clock_sleep_ms(5)) {
    pthread_mutex_lock(&yard->farm->mirror_lock);
    known = yard->farm->mirror != NULL && mirror_find(yard->farm->mirror, build_id) != NULL;
    pthread_mutex_unlock(&yard->farm->mirror_lock);
    assert_true(clock_monotonic_ms() < until);
  }
}

void
yard_await_connected(struct yard *yard, const char *agent, bool connected)
{
  int64_t until = clock_monotonic_ms() + PATIENCE_MS;
  struct yard_agent_row row = { 0 };
  for (;;) {
    RUN(yard, yard_agent(db, str_of(agent), &row, &err));
    if (row.id != 0 && row.connected == connected)
      return;
    assert_true(clock_monotonic_ms() < until);
    clock_sleep_ms(10);
  }
}

/* ---- the farm ---- */

static int
make_join_token(struct db *db, void *context, struct error *err)
{
  struct yard *yard = context;
  int64_t id;
  return accounts_token_create(db, "join", STR("test"), 0, yard->join_token, &id, err);
}

struct yard *
yard_new(void)
{
  struct yard *yard = mem_alloc(sizeof *yard);
  struct error err = { 0 };
  yard->database = test_database_new();
  snprintf(yard->folder, sizeof yard->folder, "/tmp/farm-test-XXXXXX");
  assert_non_null(mkdtemp(yard->folder));
  CLEANUP_FREE char *cache = mem_printf("%s/cache", yard->folder);
  CLEANUP_FREE char *logs = mem_printf("%s/logs", yard->folder);
  CLEANUP_FREE char *keys = mem_printf("%s/keys", yard->folder);
  struct cache_options options = { .folder = cache,
                                   .log_folder = logs,
                                   .key_folder = keys,
                                   .pool = yard->database->pool,
                                   .host_name = "test",
                                   .second_compression = GUIX_COMPRESSION_GZIP,
                                   .inline_limit = 4096 };
  if (cache_start(&options, &yard->cache, &err) < 0)
    fail_msg("%s", err.message);
  yard->options = (struct farm_options) { .uri = yard->database->uri,
                                          .pool = yard->database->pool,
                                          .cache = yard->cache };
  if (db_pool_run(yard->database->pool, DB_WRITE, make_join_token, yard, &err) < 0)
    fail_msg("%s", err.message);
  return yard;
}

void
yard_start(struct yard *yard)
{
  struct error err = { 0 };
  if (farm_start(&yard->options, &yard->farm, &err) < 0)
    fail_msg("%s", err.message);
  const char *const listen[] = { "127.0.0.1:0" };
  struct http_routes routes = farm_agent_routes(yard->farm);
  struct http_options options = { .listen = listen,
                                  .listen_count = 1,
                                  .routes = &routes,
                                  .routes_count = 1,
                                  .guard = accounts_guard,
                                  .guard_context = yard->database->pool };
  if (http_server_start(&options, &yard->server, &err) < 0)
    fail_msg("%s", err.message);
  snprintf(yard->url, sizeof yard->url, "http://127.0.0.1:%d", http_server_port(yard->server, 0));
}

void
yard_stop(struct yard *yard)
{
  http_server_stop(yard->server);
  farm_stop(yard->farm);
  yard->server = NULL;
  yard->farm = NULL;
}

struct yard *
yard_beside(struct yard *yard)
{
  struct yard *guest = mem_alloc(sizeof *guest);
  *guest = *yard;
  guest->farm = NULL;
  guest->server = NULL;
  guest->guest = true;
  return guest;
}

void
yard_free(struct yard *yard)
{
  yard_stop(yard);
  if (yard->guest) {
    free(yard);
    return;
  }
  cache_stop(yard->cache);
  test_database_free(yard->database);
  (void) file_remove_tree(yard->folder, NULL);
  free(yard);
}
