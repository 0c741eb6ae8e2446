/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Parts of why a build waits, for the API (explain.c) and for pages (reasons.c). */
#pragma once

#include "farm/farm.h"

/* What the mirror knows; -1 = not known or not so. */
struct explain_place
{
  int64_t ahead;       /* ready builds of the system that go first */
  int64_t retry_in_ms; /* it rests after a try */
};

struct explain_place explain_place(struct farm *farm, int64_t build_id);

/* Agents for a system, and places on those that take work. */
struct explain_seats
{
  int64_t agents, connected, working, free;
};

void explain_seats_add(struct explain_seats *seats, bool is_connected, bool is_paused,
                       int64_t free);

/* The reason of a build that needs no other: a word of doc/api.md. */
const char *explain_ready(const struct explain_seats *seats, const struct explain_place *place);

/* "NAME" of "/gnu/store/<32 digits>-NAME.drv". */
struct str explain_name(struct str derivation);
