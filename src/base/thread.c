/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "base/thread.h"

static _Thread_local bool waiting_is_forbidden;
static _Thread_local bool outages_are_forbidden;
static _Thread_local unsigned statements;

void
thread_forbid_waiting(void)
{
  waiting_is_forbidden = true;
}

bool
thread_may_wait(void)
{
  return !waiting_is_forbidden;
}

void
thread_forbid_outages(void)
{
  outages_are_forbidden = true;
}

bool
thread_may_sit_out_outages(void)
{
  return !waiting_is_forbidden && !outages_are_forbidden;
}

void
thread_count_statement(void)
{
  statements++;
}

unsigned
thread_statements(void)
{
  return statements;
}
