/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Compiler attributes and the few macros that all rooms share. */
#pragma once

#include <stddef.h>

#define PN_PRINTF(format_index, first_argument) \
  __attribute__((format(printf, format_index, first_argument)))
#define PN_MUST_USE __attribute__((warn_unused_result))
#define PN_NORETURN __attribute__((noreturn))

/* Runs FUNCTION(&variable) when the variable leaves its scope. */
#define PN_CLEANUP(function) __attribute__((cleanup(function)))

#define ARRAY_SIZE(array) (sizeof(array) / sizeof((array)[0]))

/* Moves a pointer out of a scope-bound variable: returns it and leaves NULL. */
#define TAKE_PTR(pointer)                   \
  __extension__({                           \
    __typeof__(pointer) taken_ = (pointer); \
    (pointer) = NULL;                       \
    taken_;                                 \
  })

/* Moves a file descriptor out of a scope-bound variable: returns it, leaves -1. */
#define TAKE_FD(fd)       \
  __extension__({         \
    int taken_fd_ = (fd); \
    (fd) = -1;            \
    taken_fd_;            \
  })
