/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "base/error.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/str.h"

/* So that error_prefix and error_hint return the right code to callers who did
   not want to know more. */
static _Thread_local int last_code = -EIO;

int
error_setv(struct error *err, int code, const char *format, va_list arguments)
{
  last_code = code;
  if (err == NULL)
    return code;
  err->code = code;
  err->hint[0] = '\0';
  vsnprintf(err->message, sizeof err->message, format, arguments);
  str_mend_utf8(err->message);
  return code;
}

int
error_set(struct error *err, int code, const char *format, ...)
{
  va_list arguments;
  va_start(arguments, format);
  error_setv(err, code, format, arguments);
  va_end(arguments);
  return code;
}

int
error_set_errno(struct error *err, const char *format, ...)
{
  int number = errno;
  va_list arguments;
  va_start(arguments, format);
  error_setv(err, -number, format, arguments);
  va_end(arguments);
  if (err != NULL) {
    size_t used = strlen(err->message);
    snprintf(err->message + used, sizeof err->message - used, ": %s", strerror(number));
    str_mend_utf8(err->message);
  }
  return -number;
}

int
error_prefix(struct error *err, const char *format, ...)
{
  if (err == NULL)
    return last_code;
  char old[sizeof err->message];
  memcpy(old, err->message, sizeof old);
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(err->message, sizeof err->message, format, arguments);
  va_end(arguments);
  size_t used = strlen(err->message);
  snprintf(err->message + used, sizeof err->message - used, ": %s", old);
  str_mend_utf8(err->message);
  return err->code;
}

int
error_hint(struct error *err, const char *format, ...)
{
  if (err == NULL)
    return last_code;
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(err->hint, sizeof err->hint, format, arguments);
  str_mend_utf8(err->hint);
  va_end(arguments);
  return err->code;
}
