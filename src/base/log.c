/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "base/log.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/str.h"

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

/* Bytes of the control character at TEXT; 0 = it is none. In UTF-8, 0xc2 begins those
   that terminals take for an escape and more (C1). */
static size_t
control_size(const char *text)
{
  unsigned char c = (unsigned char) text[0];
  if (c < 0x20 || c == 0x7f)
    return 1;
  return c == 0xc2 && (unsigned char) text[1] < 0xa0 ? 2 : 0;
}

/* Appends TEXT, which is UTF-8, to LINE as a quoted logfmt value, as much as fits of it;
   control characters become spaces, so that a message cannot forge another line. */
static size_t
append_quoted(char *line, size_t used, size_t capacity, const char *text)
{
  for (const char *p = text; *p != '\0';) {
    bool begins = ((unsigned char) *p & 0xc0) != 0x80; /* whole characters only */
    if (begins && used + 8 >= capacity)
      break;
    size_t control = control_size(p);
    if (*p == '"' || *p == '\\')
      line[used++] = '\\';
    line[used++] = control > 0 ? ' ' : *p;
    p += control > 0 ? control : 1;
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
  str_mend_utf8(text);
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
