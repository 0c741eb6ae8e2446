/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "serve/log_window.h"

/* Of LINES from the first on, how many come before LINE. */
static size_t
count_before(struct log_lines lines, int64_t line)
{
  size_t count = 0;
  while (count < lines.count && lines.items[count].number < line)
    count++;
  return count;
}

static bool
is_sought(const struct log_window *window, struct log_lines lines)
{
  for (size_t i = 0; i < lines.count; i++)
    if (lines.items[i].is_marked || lines.items[i].number == window->error_line)
      return true;
  return false;
}

static void
add_fold(struct log_folds *folds, const struct log_window *window, const struct log_phase *phase,
         struct log_lines lines)
{
  bool has_succeeded = phase != NULL && phase->has_ended && !phase->has_failed;
  bool is_open = !has_succeeded || is_sought(window, lines);
  folds->closed += !is_open;
  folds->items[folds->count++] = (struct log_fold) {
    .phase = phase,
    .has_name = phase != NULL,
    .goes_on = phase != NULL && lines.count > 0 && lines.items[0].number > phase->line,
    .is_open = is_open,
    .lines = lines,
  };
}

struct log_folds
log_window_fold(const struct log_window *window, struct arena *arena)
{
  const struct log_phases *phases = &window->phases;
  struct log_folds folds = { .items = arena_array(arena, phases->count + 1, sizeof *folds.items) };
  struct log_lines rest = window->lines;
  for (size_t i = 0; i <= phases->count; i++) {
    int64_t end = i < phases->count ? phases->items[i].line : INT64_MAX;
    struct log_lines lines = { rest.items, count_before(rest, end) };
    if (lines.count > 0)
      add_fold(&folds, window, i > 0 ? &phases->items[i - 1] : NULL, lines);
    rest.items += lines.count;
    rest.count -= lines.count;
  }
  if (folds.count == 0)
    add_fold(&folds, window, NULL, rest);
  if (folds.count == 1 && folds.closed == 1) {
    folds.items[0].is_open = true;
    folds.closed = 0;
  }
  return folds;
}
