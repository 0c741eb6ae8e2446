/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Nars, narinfos, logs and keys; the substitute server. Invariant: what is
   offered is whole: its bytes are stored and every reference is offered too. */
#pragma once

#include "events/events.h"
#include "graph/graph.h"

struct cache;

struct cache_options
{
  const char *folder;     /* STATE/cache: nars, uploads */
  const char *log_folder; /* STATE/logs */
  const char *key_folder; /* signing-key.pub / .sec; made when missing, 0600 */
  struct db_pool *pool;
  const char *host_name;                    /* in signatures; NULL = this host's */
  enum guix_compression second_compression; /* GZIP or LZIP */
  int64_t inline_limit; /* bytes; compressed nars up to this lie in the database; 0 = none */
};

/* Starts the background thread that makes second compressions (nice 19) and
   clears forgotten uploads. */
int cache_start(const struct cache_options *options, struct cache **ret, struct error *err);
void cache_stop(struct cache *cache);

const struct guix_key *cache_key(const struct cache *cache);
/* Others on this machine than its owner can get at the private half. */
bool cache_key_is_exposed(const struct cache *cache);
/* Makes a new key pair in FOLDER, for the next start; the old one stays there as
   signing-key.{pub,sec}.retired-TIME. No server may use FOLDER. -ENOENT: none there. */
int cache_key_rotate(const char *folder, struct error *err);

/* Tells which attempt's log belongs to /log/BASENAME (an output or a derivation):
   1 with *RET_ATTEMPT_ID, 0 unknown. Set by the room that knows attempts, before
   requests come. */
typedef int cache_log_lookup(void *context, struct db *db, struct str basename,
                             int64_t *ret_attempt_id, struct error *err);
void cache_set_log_lookup(struct cache *cache, cache_log_lookup *look_up, void *context);

/* Substitute routes: /nix-cache-info, /{hash}.narinfo, /nar/..., /file/...,
   /log/{item}, /signing-key.pub. */
struct http_routes cache_routes(struct cache *cache);

/* ---- adopting from a store on this machine ---- */

/* Packs store items (full paths below STORE_ROOT) with their reference closure
   into the cache, skipping what is there. DAEMON: connection to that store's
   guix-daemon, for references. Opens its own transactions, in batches. */
int cache_adopt(struct cache *cache, const char *store_root, struct guix_daemon *daemon,
                const struct str *paths, size_t count, struct error *err);

/* ---- uploads from agents ---- */

/* A resumable upload, named by the caller (letters, digits, '-': e.g.
   "attempt-12-<hash part>"). Its bytes outlive the process; a power cut may spoil
   them, which _verify sees. */
struct cache_upload;

/* How many bytes of the upload are there (0 = none). */
int64_t cache_upload_offset(struct cache *cache, const char *name);
/* Opens for appending at OFFSET; 0 drops what is there. -EINVAL when OFFSET is not
   the present one, -EBUSY when it is open elsewhere or being checked. */
int cache_upload_open(struct cache *cache, const char *name, int64_t offset,
                      struct cache_upload **ret, struct error *err);
int cache_upload_append(struct cache_upload *upload, struct str piece, struct error *err);
void cache_upload_close(struct cache_upload *upload);   /* keeps the bytes; does not wait */
void cache_upload_discard(struct cache_upload *upload); /* closes it too */

struct cache_item
{
  struct str basename;
  struct guix_hash nar_hash;
  int64_t nar_size;
  const struct str *references; /* basenames; may include itself */
  size_t references_count;
  struct str deriver;                 /* basename or "" */
  const char *upload;                 /* its name; zstd-compressed nar */
  const struct guix_address *address; /* what it must hold; NULL = that cannot be known */
};

/* Before the transaction, slow: decompresses, checks structure, size, hash and
   address, moves the file to its place (fsync). -EBADMSG: wrong hash or size or
   damaged; -EPERM: whole, but not what must stand under that name, as ERR tells
   whoever sent it. The upload is then gone. May be repeated. */
int cache_upload_verify(struct cache *cache, const struct cache_item *item, struct error *err);

/* Inside the caller's transaction: registers verified items, all or none.
   Items already offered stay as they are. -ENOKEY when a reference is neither
   offered nor among ITEMS (ERR names it). */
int cache_register(struct cache *cache, struct db *db, const struct cache_item *items, size_t count,
                   struct error *err);

/* ---- asking ---- */

/* Which of PATH_IDS are offered: RET_OFFERED has COUNT places. */
int cache_offered(struct db *db, const int64_t *path_ids, size_t count, bool *ret_offered,
                  struct error *err);
/* Which of the basenames are not offered; slices of the given ones, in ARENA. */
int cache_missing(struct db *db, const struct str *basenames, size_t count, struct arena *arena,
                  struct str **ret, size_t *ret_count, struct error *err);
/* Reference closure of offered items, references first; in ARENA. */
int cache_closure(struct db *db, const int64_t *path_ids, size_t count, struct arena *arena,
                  int64_t **ret_ids, size_t *ret_count, struct error *err);

/* ---- losses ---- */

struct cache_lost /* a stored form whose file is gone, or is not whole */
{
  int64_t path_id;
  struct guix_hash nar_hash;
  enum guix_compression compression;
};

/* Zero-initialise; free with cache_check_free. */
struct cache_check
{
  struct cache_lost *lost;
  size_t count, capacity;
  int64_t looked_at; /* forms */
};

/* Looks at the file of every stored form; slow. */
int cache_check_files(struct cache *cache, struct cache_check *ret, struct error *err);
void cache_check_free(struct cache_check *check);
/* Inside the caller's transaction: forgets these forms. Items that have none left, and
   all that refers to them, are no longer offered: their ids, in ARENA. */
int cache_withdraw_lost(struct cache *cache, struct db *db, const struct cache_check *check,
                        struct arena *arena, int64_t **ret_ids, size_t *ret_count,
                        struct error *err);
/* How many requests have met a lost file since the start. */
int64_t cache_losses_met(const struct cache *cache);

/* Answers REQUEST with a signed export stream of BASENAMES (offered items or
   derivations of the graph; references first, as given): made and sent item by
   item on a thread of its own, never whole in memory; so is looking them up. The
   request is deferred, and BASENAMES must live as long as it; -EBUSY: too many bundles. */
int cache_send_bundle(struct cache *cache, struct http_request *request,
                      const struct str *basenames, size_t count, struct error *err);

/* ---- build logs, one for each attempt ---- */

#define CACHE_LOG_MAX (INT64_C(1) << 30) /* bytes of text; an agent sends no more */

/* Appends to the live log at OFFSET: bytes before the present end are skipped
   (a repeated piece), a gap is -EINVAL, a finished log -ESTALE, one beyond CACHE_LOG_MAX -EFBIG,
   a full disk -ENOSPC. Wakes followers.
   RET_SIZE: the end, after a gap too. */
int cache_log_append(struct cache *cache, int64_t attempt_id, int64_t offset, struct str piece,
                     int64_t *ret_size, struct error *err);
/* Compresses (gzip) and closes it; followers end. RET_SIZE: bytes of text; 0 when
   nothing was ever appended. May be repeated. */
int cache_log_finish(struct cache *cache, int64_t attempt_id, int64_t *ret_size, struct error *err);
/* Answers with the log from byte offset FROM; FOLLOW keeps the reply open until
   the log is finished. text/plain, compressed for those who accept it. -ENOENT when
   there is none. */
int cache_log_reply(struct cache *cache, struct http_request *request, int64_t attempt_id,
                    int64_t from, bool follow, struct error *err);
/* It has begun and is not finished, whether or not its attempt still runs. */
bool cache_log_is_live(const struct cache *cache, int64_t attempt_id);
/* Zero-initialise; free with cache_attempts_free. */
struct cache_attempts
{
  int64_t *ids;
  size_t count;
  size_t capacity;
};
void cache_attempts_free(struct cache_attempts *attempts);
/* Adds all attempts whose logs are live; reads all names in the log folder. */
int cache_logs_live(const struct cache *cache, struct cache_attempts *ret, struct error *err);
/* The last SIZE bytes of a log, appended to RET. RET_END: the byte after them, from
   which a follower goes on; RET_LIVE: it still grows. -ENOENT when there is none. */
int cache_log_tail(struct cache *cache, int64_t attempt_id, size_t size, struct buf *ret,
                   int64_t *ret_end, bool *ret_live, struct error *err);
/* Gives a log's text from byte FROM on to TAKE, piece by piece, up to its present end or until
   TAKE returns other than 0. Unpacks: not for server threads. RET_LIVE as above. -ENOENT when
   there is none. */
int cache_log_read(struct cache *cache, int64_t attempt_id, int64_t from,
                   int (*take)(void *state, struct str piece), void *state, bool *ret_live,
                   struct error *err);
