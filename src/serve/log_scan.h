/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What must be known of a log before a part of it can be shown: where its lines begin, the
   phases of Guix's build systems, and the first line that looks like an error. Made by going
   through it once, in pieces; goes on when a live one has grown. Bounded, however the log is. */
#pragma once

#include <stdint.h>

#include "base/buf.h"

#define LOG_PLACES_MAX 4096
#define LOG_PHASES_MAX 100
#define LOG_NAME_SIZE 64
#define LOG_ERROR_SIZE 240

struct log_phase
{
  char name[LOG_NAME_SIZE];
  int64_t line;     /* where it begins */
  int64_t duration; /* microseconds */
  bool has_ended, has_failed;
};

struct log_phases
{
  struct log_phase *items;
  size_t count;
};

/* Zero-initialise; free with log_scan_free. */
struct log_scan
{
  bool wants_error;   /* look for the first error */
  int64_t size;       /* bytes seen */
  int64_t lines;      /* whole ones */
  int64_t line_start; /* byte where the last, perhaps unfinished, line begins */
  int64_t error_line; /* 0 = none found */
  char error[LOG_ERROR_SIZE];
  struct log_guess
  {
    int64_t line; /* 0 = none */
    char text[LOG_ERROR_SIZE];
    size_t size;
  } likely, last; /* the newest line that may tell of an error; the newest one with words */
  struct log_phases phases;
  size_t phases_capacity;

  int64_t spacing; /* lines from one known place to the next, at most; or some bytes are between */
  struct log_place
  {
    int64_t line, byte; /* where it begins */
  } places[LOG_PLACES_MAX];
  size_t places_count;
  struct buf begun; /* the beginning of an unfinished line */
  struct buf plain; /* of a line with escapes */
};

void log_scan_free(struct log_scan *scan);
void log_scan_feed(struct log_scan *scan, struct str piece);

/* Lines, with one that is not finished. */
int64_t log_scan_lines(const struct log_scan *scan);

/* The byte where line *LINE or one before it begins: *LINE is then that one. */
int64_t log_scan_place(const struct log_scan *scan, int64_t *line);

/* True for what guix-daemon says at the end: that the builder failed, which all know. */
bool log_is_verdict(struct str line);

/* True for a line that tells of an error, as compilers, make, test suites and Guix do. */
bool log_is_error(struct str line);
