/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Errors travel as values. A function that can fail returns 0 (or a count)
   and, on failure, a negative errno value; where the caller wants to know
   why, it passes a `struct error *` (NULL is allowed) that then holds one
   lower-case clause without a full stop, and perhaps a hint: a sentence that
   says what to do. Library code does not log; whoever handles the error does,
   once. */
#pragma once

#include <stdarg.h>

#include "base/compiler.h"

/* Besides errno values: what something stands on is away for now (a lost database). */
#define ERROR_UNAVAILABLE 1001

struct error
{
  int code;          /* negative errno; 0 = no error */
  char message[768]; /* what failed and why */
  char hint[384];    /* what to do; "" = none */
};

/* Sets the error and returns CODE (a negative errno value). */
int error_set(struct error *err, int code, const char *format, ...) PN_PRINTF(3, 4);
int error_setv(struct error *err, int code, const char *format, va_list arguments) PN_PRINTF(3, 0);

/* error_set from errno: appends ": " and its text; returns -errno. */
int error_set_errno(struct error *err, const char *format, ...) PN_PRINTF(2, 3);

/* Adds "PREFIX: " in front of the message; returns the error's code (with ERR NULL:
   the one that this thread set last). */
int error_prefix(struct error *err, const char *format, ...) PN_PRINTF(2, 3);

/* Sets the hint; returns the code like error_prefix. */
int error_hint(struct error *err, const char *format, ...) PN_PRINTF(2, 3);
