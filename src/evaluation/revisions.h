/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The commits that an evaluation is made from, against those of another, and where forges
   show them: for its page and the API. */
#pragma once

#include "evaluation/pages.h"

struct evaluations;

/* ROWS with their commits since the other evaluation, in ARENA. Asks clones: not for server
   threads. */
void revisions_tell(struct evaluations *evaluations, const struct page_revisions_rows *rows,
                    struct arena *arena, struct revision_lines *ret);
/* Where a forge shows that place of a channel; empty = not known. */
struct str revisions_file_url(const struct page_revisions_rows *rows, struct str file, int32_t line,
                              struct arena *arena);
