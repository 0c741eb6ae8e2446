/* SPDX-License-Identifier: GPL-3.0-or-later */
/* For tests: a whole farm on a real database, with an HTTP server in front, and a
   graph made up of numbers: derivation N has the output "out" of its own. */
#pragma once

#include "db/test_cluster.h"
#include "farm/farm.h"
#include "farm/yard_sql.h"

#define YARD_SYSTEM "x86_64-linux"

struct yard_edge
{
  int64_t from;
  int64_t needs;
};

struct yard
{
  struct test_database *database;
  char folder[32];
  struct cache *cache;
  struct farm *farm;
  struct http_server *server;
  char url[64];
  char join_token[ACCOUNTS_TOKEN_SIZE];
  struct farm_options options;
  bool guest; /* database and cache are another's */
};

/* Everything but the farm and its server. */
struct yard *yard_new(void);
void yard_free(struct yard *yard); /* stops what runs */

void yard_start(struct yard *yard); /* with yard->options */
void yard_stop(struct yard *yard);
/* Another process on the same database and cache; free it first. */
struct yard *yard_beside(struct yard *yard);

/* Ids that stand for derivation N. */
int64_t yard_drv(int64_t n);
int64_t yard_out(int64_t n);
/* Basename of store path ID, in a static ring of a few. */
struct str yard_basename(int64_t path_id);

/* Makes derivations 1 to COUNT of YARD_SYSTEM. */
void yard_derivations(struct yard *yard, int64_t first, int64_t count);
/* Derivation N with the outputs of another. */
void yard_twin(struct yard *yard, int64_t n, int64_t other);
void yard_need(struct yard *yard, const struct yard_edge *edges, size_t count);
/* Derivation N declares a hash (base16) of its output. */
void yard_fix(struct yard *yard, int64_t n, const char *algorithm, const char *hash);
/* The output of SOURCE, which has no derivation then, is a source of derivation N. */
void yard_source(struct yard *yard, int64_t n, int64_t source);
void yard_offer(struct yard *yard, int64_t n);           /* as if it were in the cache */
void yard_offer_built(struct yard *yard);                /* outputs of all succeeded builds */
void yard_let_register(struct yard *yard, bool allowed); /* false: the database refuses */
void yard_withdraw(struct yard *yard, int64_t n);

/* Wishes for N in a transaction of its own, and wakes; returns the build's id. */
int64_t yard_wish(struct yard *yard, int64_t n, int32_t priority);

/* The same with limits other than 100 and 10 seconds. */
int64_t yard_wish_within(struct yard *yard, int64_t n, int64_t timeout_s, int64_t max_silent_s);

/* The row of the build of derivation N, which must exist. */
struct yard_build_row yard_build_of(struct yard *yard, int64_t n);
bool yard_find_build(struct yard *yard, int64_t n,
                     struct yard_build_row *ret); /* RET may be NULL */
struct yard_attempt_row yard_attempt_of(struct yard *yard, int64_t attempt_id);
struct yard_scheduler_row yard_scheduler_of(struct yard *yard);
int64_t yard_events_of(struct yard *yard, const char *kind);
/* Those whose facts name derivation N by its full path. */
int64_t yard_events_about(struct yard *yard, int64_t n);
int64_t yard_orders_of(struct yard *yard);
int64_t yard_count_of(struct yard *yard, enum farm_build_state state);
struct yard_attempts_row yard_attempts_of(struct yard *yard, enum farm_cause cause);
int64_t yard_bump_epoch(struct yard *yard);
/* Without a session; the same id for the same name. */
int64_t yard_make_agent(struct yard *yard, const char *name);

/* Wait until something is so; fail after a time that is generous. */
void yard_await_state(struct yard *yard, int64_t n, enum farm_build_state state);
void yard_await_count(struct yard *yard, enum farm_build_state state, int64_t count);
void yard_await_orders_done(struct yard *yard);
void yard_await_loaded(struct yard *yard, int64_t build_id); /* the scheduler knows it */
void yard_await_connected(struct yard *yard, const char *agent, bool connected);
