/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Parts of logs, as pages show them. What was learnt of a log (log_scan.h) is kept for the
   next look, for the few that were looked at last. */
#pragma once

#include <pthread.h>

#include "cache/cache.h"
#include "serve/ansi.h"
#include "serve/log_scan.h"

#define LOG_WINDOW_LINES 2000
#define LOG_WINDOW_BYTES (256 << 10)

#define LOG_SCANS_KEPT 32
#define LOG_SLOW_BYTES (64 << 20) /* more takes a noticeable time to go through */
#define LOG_SLOW_MAX 2            /* such logs at once; half the workers (serve.c) */

struct log_scans
{
  pthread_mutex_t lock;
  struct log_known *items[LOG_SCANS_KEPT];
  int64_t clock; /* counts looks, for who was looked at last */
  int slow;
};

void log_scans_init(struct log_scans *scans);
void log_scans_free(struct log_scans *scans);

struct log_line
{
  int64_t number;
  struct ansi_runs runs;
  bool is_marked; /* it was asked for */
  bool is_cut;    /* more of it than a window holds */
};

struct log_lines
{
  struct log_line *items;
  size_t count;
};

struct log_window_question
{
  int64_t attempt_id;
  int64_t line;      /* the first one; 0 = the last lines */
  int64_t lines_max; /* 0 = LOG_WINDOW_LINES */
  int64_t mark_from, mark_to;
  bool has_failed; /* the first error is wanted */
};

struct log_window /* in the arena that was given */
{
  struct log_lines lines;
  bool is_cut;              /* there are lines before */
  struct log_phases phases; /* of the whole log, as all that follows */
  int64_t lines_count, size;
  int64_t error_line; /* 0 = none */
  const char *error;
  bool is_live;
  /* For who follows: the byte where the last line begins that is not whole (shown, when
     has_begun), else the end; its number, and the style there. */
  int64_t follow_from, follow_line;
  bool has_begun;
  const char *follow_style;
};

/* A part of a window: lines of one phase, or of none. */
struct log_fold
{
  const struct log_phase *phase; /* NULL = none; has_name says the same */
  bool has_name;
  bool goes_on; /* the phase has begun before the window */
  bool is_open; /* to be shown, not folded */
  struct log_lines lines;
};

struct log_folds /* in the arena that was given; never empty */
{
  struct log_fold *items;
  size_t count;
  size_t closed;
};

/* The lines of WINDOW by phase. Folded is what succeeded, unless a line of it was asked for or
   is the first error, or nothing else is there. */
struct log_folds log_window_fold(const struct log_window *window, struct arena *arena);

/* Goes through all that is new of the log: not for server threads. -ENOENT: there is none;
   -EBUSY: others go through it, or through too many, and that takes long. */
int log_window_read(struct log_scans *scans, struct cache *cache,
                    const struct log_window_question *question, struct arena *arena,
                    struct log_window *ret, struct error *err);
