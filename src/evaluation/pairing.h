/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Which job of an evaluation stands beside which of another. It never changes once both
   have ended. */
#pragma once

#include "evaluation/evaluation_private.h"
#include "evaluation/evaluation_sql.h"

struct compared_job
{
  struct str name;
  int64_t derivation_id; /* of the job, or of the removed one */
  int64_t build_id;      /* 0 = removed */
  int64_t before_id;     /* its build in the other evaluation; 0 = added */
};

/* A job's build as the evaluation's roster has it: it may have ended since. -1 = there is
   no such job. */
struct noted_states
{
  int16_t state, before;
};

/* A job as its evaluation's roster has it. */
struct roster_job
{
  struct str name;
  int64_t derivation_id;
  int64_t build_id;
  int16_t state;
};

/* In order of name and derivation. */
struct roster
{
  struct roster_job *jobs;
  size_t count;
};

/* Reads what evaluation_roster has; names stay where they are in ROW. -EPROTO. */
int roster_unpack(const struct changes_roster_row *row, struct arena *arena, struct roster *ret,
                  struct error *err);

/* Pairs the jobs of each name: equal derivations first, then equal builds, the rest in the
   order of their derivations. RET, NOTED: room for all jobs of both; returns how many. */
size_t rosters_pair(const struct roster *now, const struct roster *before, struct compared_job *ret,
                    struct noted_states *noted);

struct pairing
{
  atomic_int references;
  struct arena arena; /* names are in it */
  struct compared_job *jobs;
  size_t count;
  /* comparison.c: who sets the evaluations' `refreshing` may change what follows. */
  atomic_llong refresh_at_ms; /* not before */
  bool is_written;            /* there are the rosters that this was made from */
  struct noted_states *noted; /* of each job */
};

/* AGAINST 0 = none. */
int pairing_read(struct db *db, int64_t evaluation_id, int64_t against_id, struct pairing **ret,
                 struct error *err);
void pairing_drop(struct pairing *pairing); /* NULL is fine */
