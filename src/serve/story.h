/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What a build's page tells beside the facts: how the same job went before, and how others make the
 * same. No input or output here. */
#pragma once

#include "farm/farm.h"
#include "serve/serve.h"
#include "serve/serve_sql.h"

#define HISTORY_SHOWN 30
#define HISTORY_EVALUATIONS 500 /* that are looked at */

/* A build of the job, in the newest evaluation that asked for it. */
struct history_mark
{
  int64_t build, evaluation, created_at;
  struct str state, name;
};

struct history
{
  struct history_mark *items; /* oldest first */
  size_t count;
  bool fails, succeeds;            /* how its newest build that ended did; neither: none did */
  bool is_built_again;             /* that failed build, at present */
  int64_t since_evaluation, since; /* the first of the evaluations that it has done so */
  bool is_longer;                  /* perhaps even longer: that one is the first we looked at */
};

/* ROWS: newest first. At most LIMIT builds, in ARENA. */
struct history history_of(const struct serve_job_history_rows *rows, size_t limit,
                          struct arena *arena);

/* How somebody else makes the same; "" = not known, or nothing that a shell could take. */
struct reproduction
{
  struct str channels; /* channels.scm */
  struct str command;  /* that uses it, or needs none */
  bool is_whole;       /* with the Guix of the evaluation, too */
};

/* JOB: with its evaluation's channels; NAME: the derivation's, without ".drv". */
struct reproduction reproduction_of(const struct serve_build_jobs_row *job, struct str name,
                                    struct str system, struct arena *arena);
