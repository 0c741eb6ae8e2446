/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The last day of an agent, in steps (agent_pages.c). */
#pragma once

#include "serve/serve_sql.h"

#define AGENT_DAY_STEP_S 600

struct agent_day_sum
{
  int64_t busy_percent; /* of its places */
  int64_t failures;
};

/* PLACES: builds that it takes at once. */
struct agent_day_sum agent_day_sum(const struct agent_day_rows *day, int64_t places);
