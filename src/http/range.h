/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Conditional and range requests (RFC 9110 sections 8.8, 13 and 14): the pure part. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/str.h"

enum range_kind
{
  RANGE_WHOLE, /* no range, one we need not serve (several), or malformed */
  RANGE_PART,
  RANGE_UNSATISFIABLE, /* 416 */
};

/* What a Range header asks of SIZE bytes; FROM and COUNT are set for RANGE_PART. */
enum range_kind range_parse(struct str header, uint64_t size, uint64_t *ret_from,
                            uint64_t *ret_count);

/* True when the list in an If-None-Match header has ETAG (quoted text), weakly compared. */
bool etag_listed(struct str header, struct str etag);

/* HTTP dates, in seconds since 1970: "Sun, 06 Nov 1994 08:49:37 GMT". */
#define HTTP_DATE_SIZE 32
const char *http_date_format(int64_t seconds, char text[HTTP_DATE_SIZE]);
int http_date_parse(struct str text, int64_t *ret) PN_MUST_USE; /* -EINVAL */
