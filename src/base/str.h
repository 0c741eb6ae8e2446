/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Slices: a pointer and a length, not owned, not NUL-terminated. The text
   type inside the program; NUL-terminated strings appear only where the C
   library or another library wants them. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/compiler.h"

struct str
{
  const char *data; /* may be NULL when size is 0 */
  size_t size;
};

/* Print a slice with printf: "%.*s", STR_FMT(slice). */
#define STR_FMT(slice) (int) (slice).size, (slice).data

/* A slice of a string literal. */
#define STR(literal) ((struct str) { "" literal, sizeof(literal) - 1 })

static inline struct str
str_of(const char *text)
{
  return (struct str) { text, text == NULL ? 0 : strlen(text) };
}

static inline struct str
str_make(const void *data, size_t size)
{
  return (struct str) { data, size };
}

static inline bool
str_equal(struct str a, struct str b)
{
  return a.size == b.size && (a.size == 0 || memcmp(a.data, b.data, a.size) == 0);
}

/* Order by bytes, a shorter prefix first: -1, 0 or 1. */
int str_compare(struct str a, struct str b);

bool str_starts(struct str text, struct str prefix);
bool str_ends(struct str text, struct str suffix);

/* Index of C in TEXT, or -1. */
ptrdiff_t str_find(struct str text, char c);

/* From OFFSET on; an empty slice past the end. */
struct str str_from(struct str text, size_t offset);

/* Takes what stands before the first SEPARATOR off the front of *REST into
   *RET_PART and skips the separator; without one takes all. False when *REST
   was already used up (data NULL). */
bool str_split(struct str *rest, char separator, struct str *ret_part);

/* Without spaces, tabs, CR and LF at both ends. */
struct str str_trim(struct str text);

/* Strict decimal numbers: the whole slice, no sign for u64, no overflow.
   0 or -EINVAL / -ERANGE; *RET only on success. */
int str_to_i64(struct str text, int64_t *ret) PN_MUST_USE;
int str_to_u64(struct str text, uint64_t *ret) PN_MUST_USE;

/* Base16, lower case. str_from_hex wants exactly 2*SIZE digits (either case). */
void str_to_hex(const void *data, size_t size, char *ret_digits); /* 2*SIZE, no NUL */
int str_from_hex(struct str digits, void *ret_data, size_t size) PN_MUST_USE;

/* True when TEXT is valid UTF-8 (RFC 3629: no overlong forms, no surrogates). */
bool str_is_utf8(struct str text);
/* Puts "?" in the place of every byte that is no part of a character. */
void str_mend_utf8(char *text);
