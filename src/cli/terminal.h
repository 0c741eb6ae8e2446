/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Text from a server or a builder, made fit for a terminal: it cannot move the cursor,
   change colours, titles or the clipboard, nor turn the direction of writing. */
#pragma once

#include "base/arena.h"
#include "base/buf.h"

/* What the next piece of a stream will decide. Zero-initialise. */
struct terminal_text
{
  char held[64];
  size_t held_size;
};

/* Appends PIECE to OUT. Line ends and tabs stay; colours are left out; other control
   characters show as "^X", bad or reordering ones as U+FFFD. LAST: nothing follows. */
void terminal_clean(struct terminal_text *text, struct str piece, bool last, struct buf *out);

/* To standard output: cleaned where that is a terminal, else as it is. */
int terminal_write(struct terminal_text *text, struct str piece, bool last);

/* All of TEXT in one line. */
const char *terminal_line(struct arena *arena, struct str text);
