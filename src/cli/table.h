/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Tables of text that fit a terminal. */
#pragma once

#include <stdbool.h>

#include "base/arena.h"
#include "base/buf.h"

enum column_kind
{
  COLUMN_TEXT,  /* what is too long loses its end */
  COLUMN_NAME,  /* its middle: names differ at both ends */
  COLUMN_STATE, /* has a colour */
  COLUMN_TIME,  /* RFC 3339 in UTC; people need no fractions of seconds */
};

struct column
{
  const char *title;
  const char *path; /* into the item: "build.state" */
  enum column_kind kind;
};

#define TABLE_COLUMNS_MAX 12

struct table
{
  const struct column *columns;
  size_t columns_count; /* at most TABLE_COLUMNS_MAX */
  const char **cells;   /* row by row: lines of harmless text */
  size_t rows;
};

/* What standard output is. */
struct table_style
{
  size_t width; /* columns; 0 = no terminal, nothing is cut */
  bool colours;
};

struct table_style table_style_of_output(void);

/* Appends title and rows, a line each. */
void table_write(const struct table *table, const struct table_style *style, struct buf *out);

/* Appends the name of a state in its colour, if there are any. */
void table_write_state(const char *state, bool colours, struct buf *out);

/* How many columns of a terminal TEXT takes. */
size_t table_text_width(struct str text);
