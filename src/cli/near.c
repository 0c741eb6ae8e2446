/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "cli/near.h"

#define WORD_MAX 32

static size_t
least(size_t a, size_t b)
{
  return a < b ? a : b;
}

/* Optimal string alignment, with three rows of the table. */
size_t
near_distance(struct str a, struct str b)
{
  size_t rows[3][WORD_MAX + 1];
  size_t *before = rows[0], *last = rows[1], *now = rows[2];
  if (a.size < 2 || a.size > WORD_MAX || b.size > WORD_MAX)
    return NEAR_MOST + 1;
  for (size_t j = 0; j <= b.size; j++)
    last[j] = j;
  for (size_t i = 1; i <= a.size; i++) {
    now[0] = i;
    for (size_t j = 1; j <= b.size; j++) {
      size_t change = last[j - 1] + (a.data[i - 1] != b.data[j - 1]);
      now[j] = least(change, least(last[j], now[j - 1]) + 1);
      if (i > 1 && j > 1 && a.data[i - 1] == b.data[j - 2] && a.data[i - 2] == b.data[j - 1])
        now[j] = least(now[j], before[j - 2] + 1);
    }
    size_t *free_row = before;
    before = last;
    last = now;
    now = free_row;
  }
  size_t distance = last[b.size];
  return distance < least(a.size, b.size) ? distance : NEAR_MOST + 1;
}
