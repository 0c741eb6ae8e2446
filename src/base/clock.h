/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Time. Wall-clock time is int64_t microseconds since 1970 (UTC); intervals
   and time-outs use the monotonic clock, in milliseconds. */
#pragma once

#include <stdint.h>

#define CLOCK_TEXT_SIZE 32
#define CLOCK_US_PER_S INT64_C(1000000)

int64_t clock_now_us(void);
int64_t clock_monotonic_ms(void);

/* Writes "2026-11-23T03:31:01.123456Z" into TEXT; returns TEXT. */
const char *clock_format(int64_t microseconds, char text[CLOCK_TEXT_SIZE]);

/* Sleeps; goes on after signals. */
void clock_sleep_ms(int64_t milliseconds);
