/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The jobs of an evaluation held against those of another of its specification. Which jobs
   there are never changes once both have ended, so that is remembered; the states of
   their builds are asked for again and again. */
#pragma once

#include "evaluation/pairing.h"

enum job_change
{
  JOB_SAME,    /* as it was, or not decided yet, or not comparable */
  JOB_BROKEN,  /* failed, and had succeeded */
  JOB_FIXED,   /* succeeded, and had failed */
  JOB_FAILING, /* failed, and had failed before */
  JOB_ADDED,
  JOB_REMOVED,
  JOB_CHANGE_MAX,
};

const char *job_change_name(
    enum job_change change); /* "same", "broken", ...: in addresses and the API */
const char *job_change_word(enum job_change change); /* to people: "", "broken", "still failing" */
/* One letter each, for scripts: ".bxfar" in that order; "wrsfdc", and "-" for a job that
   is not there. */
char job_change_letter(enum job_change change);
char job_state_letter(int16_t state);

/* STATE, BEFORE: enum farm_build_state, or -1 where there is no such job. */
enum job_change job_change_of(int16_t state, int16_t before);

/* What a list may be narrowed to: "broken", "unfinished", "failed", ... */
#define JOB_SHOWS 13

struct job_show
{
  const char *name;
  unsigned changes; /* 1 << enum job_change */
  unsigned states;  /* 1 << enum farm_build_state; of jobs that are there */
};

extern const struct job_show job_shows[JOB_SHOWS];

/* An index into job_shows; -1 for the empty text, all jobs; -EINVAL. */
int job_show_parse(struct str name, int *ret, struct error *err);

/* All jobs of both, in order of name and derivation; nothing in it changes. */
struct comparison
{
  atomic_int references;
  struct pairing *pairing;
  int64_t evaluation_id;
  int64_t against_id; /* 0 = none: nothing is added then */
  const struct compared_job *jobs;
  size_t jobs_count;
  int16_t *states; /* of each job's build; -1 = removed */
  int16_t *before; /* of its build in the other evaluation; -1 = added */
  uint8_t *changes;
  int64_t counts[JOB_SHOWS];
  int64_t present; /* jobs of the evaluation itself */
  int64_t read_ms; /* when the states were asked for, monotonic */
};

/* Inside the caller's transaction; drop it afterwards. Both have ended. AGAINST 0 = none. */
int comparison_take(struct evaluations *evaluations, struct db *db, int64_t evaluation_id,
                    int64_t against_id, struct comparison **ret, struct error *err);
/* The same with all states as they are now; not remembered. */
int comparison_read(struct db *db, int64_t evaluation_id, int64_t against_id,
                    struct comparison **ret, struct error *err);
/* How many jobs a name of job_shows counts. */
int64_t comparison_count(const struct comparison *comparison, const char *show);
/* Of an evaluation that has no jobs yet. */
struct comparison *comparison_empty(int64_t evaluation_id);
void comparison_drop(struct comparison *comparison); /* NULL is fine */
/* After orders were given: the next one asks anew. */
void comparisons_expire(struct evaluations *evaluations);

/* Whether the job of that index is among SHOW; -1 = among all that are there. */
bool comparison_shows(const struct comparison *comparison, size_t index, int show);

/* What somebody should look at first stands first: 0 is a job that broke. */
#define JOB_RANKS 10

int job_rank(int16_t state, enum job_change change);

/* A part of the list: jobs of SHOW whose name contains NAME, behind a cursor. In order of name
   and derivation, or BY_RANK, and within a rank of name; or the other way round. */
struct comparison_page
{
  int show; /* -1 = all that are there */
  struct str name;
  bool by_rank;
  bool falls;
  int after_rank;
  struct str after_name; /* of evaluation_job_cursor; empty, and no id: from the beginning */
  int64_t after_id;
  size_t limit;
};

/* What says in an address which list it is, and what a restart of it restarts: for struct
   ui_list. */
extern const char *const comparison_page_kept[];

/* Indexes of at most LIMIT jobs in RET; *RET_MORE: there are more. */
size_t comparison_list(const struct comparison *comparison, const struct comparison_page *page,
                       size_t *ret, bool *ret_more);
/* Builds that failed, themselves or by what they need, among all jobs of SHOW whose name contains
   NAME: each once, in order of id. How many; RET may be NULL, or has room for as many as there
   are jobs. */
size_t comparison_failed(const struct comparison *comparison, const struct comparison_page *page,
                         int64_t *ret);
/* Behind the job of that index: "NAME/DERIVATION". */
struct str comparison_cursor(const struct comparison *comparison, size_t index,
                             struct arena *arena);
/* The same for a list by rank: "RANK/NAME/DERIVATION"; and back. -EINVAL. */
struct str comparison_rank_cursor(const struct comparison *comparison, size_t index,
                                  struct arena *arena);
int comparison_cursor_parse(struct str cursor, struct comparison_page *ret, struct error *err);

/* ---- a question about an evaluation and the one that it is held against ---- */

struct changes_question
{
  struct evaluations *evaluations;
  struct arena *arena;
  int64_t id;
  int64_t against_value;
  const int64_t *against; /* against_value, or NULL: the newest earlier that succeeded */
  struct changes_head_row head;
  struct comparison *comparison; /* to be dropped */
};

/* `{id}` and `?against=` of a request. */
int changes_ask(struct http_request *request, struct evaluations *evaluations,
                struct changes_question *ret, struct error *err);
/* Fills head alone, likewise. */
int changes_read_head(struct db *db, struct changes_question *question, struct error *err);
/* Fills head and comparison, inside a transaction that may be repeated. -ENOENT. */
int changes_read(struct db *db, struct changes_question *question, struct error *err);
