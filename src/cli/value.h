/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Values for people. On a terminal times, sizes and durations are as people say them, and
   elsewhere exact: what a script reads does not change its unit. */
#pragma once

#include "base/arena.h"
#include "base/str.h"

/* "2026-11-23T08:04:52.120000Z" in seconds since 1970; -EINVAL. */
int value_parse_time(struct str text, int64_t *ret) PN_MUST_USE;
/* "12 s ago", "3 min ago", "in 5 h", "9 d ago"; a date where that is more telling. */
const char *value_ago(struct arena *arena, int64_t then_s, int64_t now_s);
/* "45 s", "5 min 12 s", "20 h", "3 d 4 h": at most two units. */
const char *value_duration(struct arena *arena, int64_t seconds);
/* "512 B", "1.2 MiB". */
const char *value_size(struct arena *arena, int64_t bytes);
