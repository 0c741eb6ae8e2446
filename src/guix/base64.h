/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Private: base64 (RFC 4648, section 4), padded, without line breaks. */
#pragma once

#include "base/buf.h"

void base64_encode(struct str data, struct buf *out);

/* Appends to OUT; -EINVAL for other characters, missing or misplaced padding,
   and bits that belong to no byte. */
int base64_decode(struct str text, struct buf *out) PN_MUST_USE;
