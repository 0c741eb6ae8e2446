/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "base/log.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"

static _Atomic enum log_level threshold = LOG_LEVEL_INFO;

static const struct
{
  const char *name;
  int priority; /* syslog(3) priority, for the journal's prefix */
} levels[] = {
  [LOG_LEVEL_ERROR] = { "error", 3 },
  [LOG_LEVEL_WARNING] = { "warning", 4 },
  [LOG_LEVEL_INFO] = { "info", 6 },
  [LOG_LEVEL_DEBUG] = { "debug", 7 },
};

void
log_set_level(enum log_level level)
{
  threshold = level;
}

/* Appends TEXT to LINE as a quoted logfmt value; control characters become
   spaces, so that a message cannot forge another line. */
static size_t
append_quoted(char *line, size_t used, size_t capacity, const char *text)
{
  for (const char *p = text; *p != '\0' && used + 4 < capacity; p++) {
    unsigned char c = (unsigned char) *p;
    if (c == '"' || c == '\\')
      line[used++] = '\\';
    line[used++] = c < 0x20 || c == 0x7f ? ' ' : (char) c;
  }
  return used;
}

static void
write_line(enum log_level level, const char *room, const char *text)
{
  char line[2048];
  char stamp[CLOCK_TEXT_SIZE];
  int used = 0;
  if (getenv("JOURNAL_STREAM") != NULL)
    used = snprintf(line, sizeof line, "<%d>", levels[level].priority);
  used += snprintf(line + used, sizeof line - (size_t) used, "time=%s level=%s room=%s msg=\"",
                   clock_format(clock_now_us(), stamp), levels[level].name, room);
  size_t size = append_quoted(line, (size_t) used, sizeof line, text);
  line[size++] = '"';
  line[size++] = '\n';
  /* One write, so lines of threads and processes do not mix. */
  (void) !write(STDERR_FILENO, line, size);
}

void
log_message(enum log_level level, const char *room, const char *format, ...)
{
  if (level > threshold)
    return;
  char text[1536];
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(text, sizeof text, format, arguments);
  va_end(arguments);
  write_line(level, room, text);
}

void
log_failure(const char *room, const struct error *err, const char *format, ...)
{
  char text[512];
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(text, sizeof text, format, arguments);
  va_end(arguments);
  if (err->hint[0] != '\0')
    log_error(room, "%s: %s. %s", text, err->message, err->hint);
  else
    log_error(room, "%s: %s", text, err->message);
}
