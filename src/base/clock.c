/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "base/clock.h"

#include <errno.h>
#include <stdio.h>
#include <time.h>

int64_t
clock_now_us(void)
{
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  return now.tv_sec * CLOCK_US_PER_S + now.tv_nsec / 1000;
}

int64_t
clock_monotonic_ms(void)
{
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (int64_t) now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

const char *
clock_format(int64_t microseconds, char text[CLOCK_TEXT_SIZE])
{
  int64_t fraction = microseconds % CLOCK_US_PER_S;
  time_t seconds = (time_t) (microseconds / CLOCK_US_PER_S);
  if (fraction < 0) {
    fraction += CLOCK_US_PER_S;
    seconds--;
  }
  struct tm parts;
  if (gmtime_r(&seconds, &parts) == NULL)
    parts = (struct tm) { .tm_mday = 1 };
  size_t used = strftime(text, CLOCK_TEXT_SIZE - 8, "%Y-%m-%dT%H:%M:%S", &parts);
  snprintf(text + used, CLOCK_TEXT_SIZE - used, ".%06dZ", (int) fraction);
  return text;
}

void
clock_sleep_ms(int64_t milliseconds)
{
  struct timespec rest = { milliseconds / 1000, milliseconds % 1000 * 1000000 };
  while (nanosleep(&rest, &rest) != 0 && errno == EINTR)
    continue;
}
