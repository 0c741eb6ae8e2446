/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Structured logging: one logfmt line a message on standard error, with the
   priority prefix `<N>` that journald and shepherd read when JOURNAL_STREAM
   is set. Thread-safe. */
#pragma once

#include "base/compiler.h"
#include "base/error.h"

enum log_level
{
  LOG_LEVEL_ERROR,
  LOG_LEVEL_WARNING,
  LOG_LEVEL_INFO,
  LOG_LEVEL_DEBUG,
};

/* Messages above LEVEL are dropped; the default is LOG_LEVEL_INFO. */
void log_set_level(enum log_level level);

/* ROOM names the part of the house that speaks ("farm", "db"). */
void log_message(enum log_level level, const char *room, const char *format, ...) PN_PRINTF(3, 4);

/* Logs "MESSAGE: ERROR (HINT)" at level ERROR. */
void log_failure(const char *room, const struct error *err, const char *format, ...)
    PN_PRINTF(3, 4);

#define log_error(room, ...) log_message(LOG_LEVEL_ERROR, room, __VA_ARGS__)
#define log_warning(room, ...) log_message(LOG_LEVEL_WARNING, room, __VA_ARGS__)
#define log_info(room, ...) log_message(LOG_LEVEL_INFO, room, __VA_ARGS__)
#define log_debug(room, ...) log_message(LOG_LEVEL_DEBUG, room, __VA_ARGS__)
