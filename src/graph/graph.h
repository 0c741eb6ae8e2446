/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The dictionary of store paths and derivations. All other rooms refer to
   them by integer id. Rows are written once and never change. */
#pragma once

#include "db/db.h"
#include "graph/order.h"
#include "guix/guix.h"

/* Ids of basenames ("<32>-<name>"), new ones made; RET_IDS has COUNT places, in
   the order given. Inside the caller's transaction. One call a transaction cannot
   deadlock with another's; several may, and are then retried by db_run. */
int graph_path_ids(struct db *db, const struct str *basenames, size_t count, int64_t *ret_ids,
                   struct error *err);
/* Id of one basename: 1 found, 0 unknown. */
int graph_path_find(struct db *db, struct str basename, int64_t *ret_id, struct error *err);
/* Basenames of ids, in the order given; in ARENA. */
int graph_path_basenames(struct db *db, const int64_t *ids, size_t count, struct arena *arena,
                         struct str *ret_basenames, struct error *err);

/* ---- loading derivations ---- */

/* Collects derivations on their way into the database: feed it with job
   derivations; it reads what it does not know from the store, follows inputs,
   and loads all in bulk, children before parents. */
struct graph_load;

/* STORE_ROOT: prefix in front of "/gnu/store" ("" = none). POOL supplies
   short-lived connections for looking up what is known. */
struct graph_load *graph_load_new(struct db_pool *pool, const char *store_root);
void graph_load_free(struct graph_load *load);

/* Adds a derivation (full path) and its whole closure; cheap when known. Works
   in memory and by look-ups in batches, so most calls only queue the name and a
   call may report what is wrong with an earlier one: -ENOENT a file is missing,
   -EBADMSG it does not match its name, -EFBIG it is too large, -EINVAL it is no
   derivation. A failure stays: the load is then good for nothing but _free. Nothing is
   written yet. */
int graph_load_add(struct graph_load *load, struct str drv_path, struct error *err);

/* From now on one that is as bad as that is no failure: it is left out, with all that need
   it, and the rest is loaded. */
void graph_load_sift(struct graph_load *load);

/* After _sources or _write: why a derivation was left out; data NULL = it was not. */
struct str graph_load_refusal(const struct graph_load *load, struct str drv_path);

/* How many new derivations it has read so far: the caller may write them and begin
   another load, rather than let one grow. */
size_t graph_load_count(const struct graph_load *load);

/* Full paths of the new derivations' sources (not derivations), without
   repeats, for cache_adopt; valid until the next _add or _free. Works off what is
   queued; if that fails, graph_load_write says so. */
const struct str *graph_load_sources(struct graph_load *load, size_t *ret_count);

/* Writes all new derivations inside the caller's transaction (safe to repeat
   after a rollback). RET_NEW: how many. Until the end of that transaction other
   loads wait; so write late in it, and never two loads in one transaction. */
int graph_load_write(struct graph_load *load, struct db *db, int64_t *ret_new, struct error *err);

/* After _write: the id of a derivation that was added. 0 = never added, or left out. */
int64_t graph_load_id(const struct graph_load *load, struct str drv_path);

/* ---- asking ---- */

/* The text of a derivation, as it was in the store; appended to RET.
   1 found, 0 unknown. */
int graph_derivation_text(struct db *db, int64_t derivation_id, struct buf *ret, struct error *err);
/* The texts of many, in the order given, in ARENA; data NULL = no derivation. */
int graph_derivation_texts(struct db *db, const int64_t *ids, size_t count, struct arena *arena,
                           struct str *ret_texts, struct error *err);

/* All derivations and sources that the .drv of DERIVATION_ID refers to,
   transitively, itself last: references before referrers. Ids of store paths;
   breadth-first by levels, a query a level. In ARENA. */
int graph_derivation_closure(struct db *db, int64_t derivation_id, struct arena *arena,
                             int64_t **ret_ids, size_t *ret_count, struct error *err);

/* Output paths that the derivation's builder reads directly: the named outputs
   of its input derivations, and its sources. In ARENA. */
int graph_derivation_inputs(struct db *db, int64_t derivation_id, struct arena *arena,
                            int64_t **ret_path_ids, size_t *ret_count, struct error *err);
