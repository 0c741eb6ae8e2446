/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Which threads may wait. A thread that serves many connections must not be held
   up by one of them: what it calls fails at once where it would be patient with
   others (see db_pool_get). Marked once by whoever runs such threads, so that no
   code in between has to pass it on. */
#pragma once

#include <stdbool.h>

/* The calling thread must not wait from now on. */
void thread_forbid_waiting(void);
/* True for every thread that was not forbidden to. */
bool thread_may_wait(void);

/* The calling thread may wait for what others do, but no longer for something that is
   away to come back: somebody waits for its answer, and "not now" is one. */
void thread_forbid_outages(void);
/* True for every thread that neither this nor waiting was forbidden to. */
bool thread_may_sit_out_outages(void);

/* Statements that the calling thread has had the database run, without BEGIN and COMMIT.
   An answer tells how many it took (http_take_up). */
void thread_count_statement(void);
unsigned thread_statements(void);
