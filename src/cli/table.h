/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Tables of text that fit a terminal. */
#pragma once

#include <stdbool.h>

#include "base/arena.h"
#include "base/buf.h"

/* How a value looks, and what may be taken from it where a line is too long. */
enum column_kind
{
  COLUMN_TEXT,     /* whole, or not at all */
  COLUMN_PROSE,    /* what is too long loses its end */
  COLUMN_NAME,     /* its middle: names differ at both ends */
  COLUMN_STATE,    /* has a colour; whole */
  COLUMN_OUTCOME,  /* an evaluation's, "2 of 4 failed, 1 error": a colour; may lose its end */
  COLUMN_TIME,     /* RFC 3339; on a terminal as people say it: "5 min ago" */
  COLUMN_DURATION, /* seconds; "20 h" */
  COLUMN_SIZE,     /* bytes; "1.2 MiB" */
  COLUMN_COMMIT,   /* a hash, of which people read the beginning */
};

struct column
{
  const char *title;
  const char *path; /* into the item: "build.state" */
  enum column_kind kind;
  int drop; /* where there is no room the highest goes first; 0 = never */
};

#define TABLE_COLUMNS_MAX 12

struct table
{
  const struct column *columns;
  size_t columns_count; /* at most TABLE_COLUMNS_MAX */
  const char **cells;   /* row by row: lines of harmless text */
  size_t rows;
  /* Of rows that were written before and are to stand above these, without a title between
     them; kept up. NULL = there are none. */
  size_t *widths;
};

/* What standard output is. */
struct table_style
{
  size_t width; /* columns; 0 = no terminal, nothing is cut */
  bool colours;
};

struct table_style table_style_of_output(void);

/* Appends title and rows, a line each. Where they are too wide, columns go by their `drop`
   until the others can be told; then long texts and names are cut. */
void table_write(const struct table *table, const struct table_style *style, struct buf *out);

/* Appends the name of a state in its colour, if there are any. */
void table_write_state(const char *state, bool colours, struct buf *out);

/* Appends TEXT in lines of at most WIDTH (0 = one line) broken between words, each behind
   INDENT spaces; the first goes on behind USED columns, or is new with USED 0. A word that
   is longer (a path, to be copied) stays whole. */
void table_write_text(struct str text, size_t indent, size_t used, size_t width, struct buf *out);

/* How many columns of a terminal TEXT takes. */
size_t table_text_width(struct str text);
