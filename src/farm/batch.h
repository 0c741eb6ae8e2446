/* SPDX-License-Identifier: GPL-3.0-or-later */
/* One transaction of the scheduler: all that changed since the last. */
#pragma once

#include "base/map.h"
#include "farm/changes.h"

/* What an agent said of itself when its session began. */
struct batch_session
{
  int64_t agent_id;
  struct db_strs systems;
  int32_t jobs;
  struct str facts; /* JSON */
};

/* Items to be offered: the outputs of one attempt, all or none. */
struct batch_items
{
  const struct cache_item *items;
  size_t count;
};

/* Of a build in this batch. */
struct batch_facts
{
  int64_t derivation_id;
  struct str derivation; /* basename */
  struct str system;
  bool offered; /* all outputs */
};

struct batch_output
{
  struct str name;
  struct str basename;
};

struct batch_outputs
{
  struct batch_output *items;
  size_t count;
};

/* Zero-initialise; free with batch_free. */
struct batch
{
  struct changes changes;
  struct db_i64s orders; /* carried out; the caller's */
  const struct batch_session *sessions;
  size_t sessions_count;
  const struct batch_items *items;
  size_t items_count;

  size_t refused; /* by batch_write: which of the items the cache refused, from 1; 0 = none */

  struct arena arena;     /* of what follows: batch_prepare */
  struct int_map facts;   /* struct batch_facts by build id */
  struct int_map outputs; /* struct batch_outputs by derivation id, of starts */
};

void batch_free(struct batch *batch); /* empties it; may be used again */
bool batch_is_empty(const struct batch *batch);

/* Reads what is told about the builds; once, so that a repeated write says the
   same. */
int batch_prepare(struct batch *batch, struct db *db, struct error *err);

/* The same for derivations of attempts that run already. */
int batch_read_outputs(struct db *db, struct db_i64s derivation_ids, struct arena *arena,
                       struct int_map *ret, struct error *err);

/* A start whose outputs are offered is spared: not written, not told. */
bool batch_spares(const struct batch *batch, const struct change_start *start);

/* Writes all of it as batch NUMBER of EPOCH, or nothing. A batch that was
   written before is fine. -ESTALE: another scheduler's epoch has begun. */
int batch_write(struct batch *batch, struct db *db, struct cache *cache, int64_t epoch,
                int64_t number, struct error *err);
