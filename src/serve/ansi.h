/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What terminals are told in a log (ECMA-48): colours become classes of panoply.css, every
   other escape is dropped. src/ui/log.js does the same with what comes later; the two must
   agree. */
#pragma once

#include <stdint.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/str.h"

/* A colour: 0 none, 1 to 6 red, green, yellow, blue, magenta, cyan, 8 grey. The many others
   that terminals know become the nearest of these, whose contrast is known. Black and white are
   none: which of them can be read depends on the scheme. */
struct ansi_style
{
  uint8_t ink, paper;
  bool bold, italic, underlined, inverse;
};

struct ansi_run
{
  struct str text;     /* a slice of the line */
  const char *classes; /* "" = plain */
};

struct ansi_runs
{
  struct ansi_run *items;
  size_t count;
};

/* Splits LINE, without its newline, by style; STYLE goes on from line to line. What a carriage
   return has overwritten is left out. In ARENA. */
struct ansi_runs ansi_read(struct str line, struct ansi_style *style, struct arena *arena);

/* LINE without escapes: itself where it has none, else in ROOM, which is empty. */
struct str ansi_plain(struct str line, struct buf *room);

/* As in ansi_run: "c1 bold". */
const char *ansi_classes(const struct ansi_style *style, struct arena *arena);
