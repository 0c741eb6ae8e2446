/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What somebody may have meant who misspelt a word. */
#pragma once

#include "base/str.h"

/* How many letters are to be changed, added, taken away or swapped with their neighbour to
   make one of the other; more than NEAR_MOST where they have nothing to do with each other. */
#define NEAR_MOST 2
size_t near_distance(struct str a, struct str b);
