/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the files of this room share. */
#pragma once

#include <pthread.h>
#include <stdatomic.h>

#include "base/map.h"
#include "cache/cache.h"

#define CACHE_ZSTD_LEVEL 3 /* of what is packed on this machine */
/* Smaller nars get no second compression: they are offered uncompressed too. */
#define CACHE_SECOND_MINIMUM 16384
#define CACHE_PIECE 65536 /* bytes moved at once */
#define CACHE_LOG_TYPE "text/plain; charset=utf-8"

struct cache_background;
struct cache_pump;

struct cache
{
  char *nar_folder, *upload_folder, *log_folder;
  struct db_pool *pool;
  char *host_name;
  enum guix_compression second;
  int64_t inline_limit;

  struct guix_key *key;
  char *public_text;
  char *private_key_file;
  int64_t key_number; /* stands for the key in the database */

  cache_log_lookup *log_lookup;
  void *log_lookup_context;

  atomic_llong losses_met;

  struct cache_background *background;
  struct cache_pump *pump;

  pthread_mutex_t mutex; /* of all below */
  pthread_cond_t idle;   /* the last bundle has ended */
  int bundles;           /* being sent */
  bool stopping;
  struct int_map logs; /* live ones, by attempt: struct cache_log */
};

bool cache_is_stopping(struct cache *cache);

/* Reads the key pair in FOLDER, made there when there is none, into CACHE (key.c). */
int cache_key_open(struct cache *cache, const char *folder, struct error *err);

/* ---- nar_store.c: files of nars ---- */

/* What its file names end in: "zst". */
const char *cache_nar_suffix(enum guix_compression compression);
/* The file of a stored form; free it. */
char *cache_nar_file(const struct cache *cache, const struct guix_hash *nar_hash,
                     enum guix_compression compression);
/* Gives the open file FD, which is whole and was synced, its place for good, besides the
   name that it has. One that is there already is kept instead, if it holds the nar, and
   is then young again for the sweep; a damaged one makes way. *RET_SIZE: of the file that
   is there now. */
int cache_nar_place(const struct cache *cache, int fd, const struct guix_hash *nar_hash,
                    enum guix_compression compression, int64_t *ret_size, struct error *err);
/* -ENOSPC when FOLDER, which WHAT ("an upload") goes to, is on a full disk. */
int cache_check_room(const char *folder, const char *what, struct error *err);
/* A new file in the upload folder, which only this process writes; unlink it, placed
   or not. RET_FILE: its name, to be freed. */
int cache_nar_temporary(const struct cache *cache, int *ret_fd, char **ret_file, struct error *err);
/* A stored form of a nar: in the database where CONTENTS has data, else in a file. */
struct cache_form
{
  struct guix_hash nar_hash;
  enum guix_compression compression;
  int64_t file_size;
  struct str contents;
};

/* Its file. -ENOENT when that is not there or has another size: it is lost. */
int cache_nar_open(const struct cache *cache, const struct cache_form *form, int *ret_fd,
                   struct error *err);
/* A source of the uncompressed nar; -ENOENT like cache_nar_open. */
int cache_nar_source(const struct cache *cache, const struct cache_form *form,
                     struct guix_source **ret, struct error *err);
/* Notes, and logs, that the file of what is offered is lost. */
void cache_note_loss(struct cache *cache, const struct error *err);
/* The nar of a plain, not executable file with these contents. */
void cache_nar_of_text(struct str text, struct buf *ret);
/* The other way: true when NAR holds nothing but such a file. */
bool cache_text_of_nar(struct str nar, struct str *ret_text);
/* The size of that file, from the first bytes of a nar; negative: it is none. */
#define CACHE_TEXT_HEADER 96
int64_t cache_text_size(const char header[CACHE_TEXT_HEADER]);

/* ---- register.c ---- */

struct cache_row /* an item whose zstd form is stored */
{
  struct str basename;
  struct guix_hash nar_hash;
  int64_t nar_size;
  const struct str *references; /* basenames */
  size_t references_count;
  struct str deriver; /* basename or "" */
  int64_t file_size;
  struct str contents; /* "" = in the nar folder */
};

/* cache_register for what is stored already. */
int cache_register_rows(struct db *db, const struct cache_row *rows, size_t count,
                        struct error *err);
/* True for names that tell of compressed contents: "foo-1.2.tar.gz". */
bool cache_is_compressed_name(struct str basename);

/* ---- narinfo.c ---- */

/* References of a derivation's text: inputs and sources, as sorted basenames. */
int cache_text_references(struct str text, struct arena *arena, struct str **ret, size_t *ret_count,
                          struct error *err);
int cache_handle_narinfo(struct http_request *request, void *context, struct error *err);

/* ---- log_pack.c: finished logs, gzip files that can be entered in the middle ---- */

/* Writes the SIZE bytes of FROM into the empty file TO. */
int cache_log_pack(int from, int64_t size, int to, struct error *err);
struct cache_log_reader;
/* FD, which is taken over, is such a file. Reading begins with byte FROM of its text, or
   with the last -FROM bytes; at most a thousandth of the text (or 1 MiB) is unpacked for
   that. -EBADMSG: damaged. */
int cache_log_reader_open(int fd, int64_t from, struct cache_log_reader **ret);
int64_t cache_log_text_size(int fd); /* of the whole text; negative when it is damaged */
int64_t cache_log_reader_size(const struct cache_log_reader *reader); /* of the whole text */
/* The count, 0 at the end; -EBADMSG: damaged. */
int64_t cache_log_reader_read(struct cache_log_reader *reader, char *room, size_t size);
void cache_log_reader_free(struct cache_log_reader *reader); /* NULL is fine */

/* ---- log.c, log_reply.c, log_follow.c ---- */

/* A log that is being written. */
struct cache_log
{
  int64_t attempt_id;
  int fd;
  int users; /* the map and each follower; under the cache's mutex */

  pthread_mutex_t finishing; /* held while it is compressed; taken first */
  pthread_mutex_t mutex;     /* of all below */
  int64_t size;              /* bytes that are there */
  bool finished;             /* no more will come */
};

/* The live log of an attempt, with a reference for the caller; -ESTALE when it is
   finished, -ENOENT when there is none. */
int cache_log_get(struct cache *cache, int64_t attempt_id, struct cache_log **ret,
                  struct error *err);
/* Where a finished one is; free it. */
char *cache_log_file(const struct cache *cache, int64_t attempt_id);
char *cache_log_live_file(const struct cache *cache, int64_t attempt_id);
#define CACHE_LOG_FOLDERS 256
void cache_log_unref(struct cache *cache, struct cache_log *log);
/* Streams LOG from byte FROM until it is finished. Takes a reference of its own. */
int cache_log_follow(struct cache *cache, struct cache_log *log, struct http_request *request,
                     int64_t from);
/* A live log has grown or ended. */
void cache_pump_wake(struct cache *cache);
int cache_pump_start(struct cache *cache, struct error *err);
void cache_pump_stop(struct cache *cache);
/* Answers with the newest log of an output or derivation. */
int cache_handle_log(struct http_request *request, void *context, struct error *err);

/* ---- background.c, recompress.c, sweep.c ---- */

int cache_background_start(struct cache *cache, struct error *err);
void cache_background_stop(struct cache *cache);
/* There may be something to compress. */
void cache_background_wake(struct cache *cache);
/* One round of each, as the thread does them: for tests too. A round of compressions is
   in parts: AFTER is where it goes on, 0 at its beginning; RET_DONE 0 is its end. */
int cache_recompress(struct cache *cache, int64_t *after, int *ret_done, struct error *err);
int cache_sweep_uploads(struct cache *cache, int64_t older_than_s, struct error *err);
int cache_sweep_nars(struct cache *cache, int64_t older_than_s, struct error *err);
