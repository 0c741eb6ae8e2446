/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Request targets and form data (RFC 3986, RFC 9112 section 3.2, the URL
   standard's application/x-www-form-urlencoded). Everything is decoded exactly
   once, here; what is not clean UTF-8 text is refused. */
#pragma once

#include <stdbool.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/str.h"

struct http_field
{
  struct str name;
  struct str value;
};

/* Names and values in the order they came, in an arena. */
struct http_fields
{
  struct http_field *items;
  size_t count;
  size_t capacity;
};

void http_fields_add(struct http_fields *fields, struct arena *arena, struct str name,
                     struct str value);
/* The first value of NAME; data NULL = absent. */
struct str http_fields_get(const struct http_fields *fields, struct str name);
/* The same for names that ignore case (headers). */
struct str http_fields_get_nocase(const struct http_fields *fields, struct str name);

/* Splits a request target (origin or absolute form) into raw path, which
   begins with '/', and raw query. -EINVAL for anything else. */
int uri_split(struct str target, struct str *ret_path, struct str *ret_query) PN_MUST_USE;

/* Percent-decodes TEXT into ARENA. -EINVAL for a malformed escape, a NUL or
   invalid UTF-8. PLUS: '+' means a space. */
int uri_decode(struct arena *arena, struct str text, bool plus, struct str *ret) PN_MUST_USE;

/* Decodes a whole path and refuses with -EINVAL what no honest client sends:
   control characters, "." and ".." segments, however they are encoded. */
int uri_decode_path(struct arena *arena, struct str raw, struct str *ret) PN_MUST_USE;

/* The opposite: appends TEXT; all but letters, digits and -._~ is percent-encoded. */
void uri_encode(struct buf *out, struct str text);

/* "a=1&b=2"; -EINVAL when badly encoded, -E2BIG above LIMIT fields. */
int uri_parse_query(struct arena *arena, struct str text, size_t limit,
                    struct http_fields *ret) PN_MUST_USE;
