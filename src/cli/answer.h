/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Whether an answer is one that this program can read: a URL may name any server. */
#pragma once

#include <jansson.h>

#include "base/error.h"

/* MEMBERS: "id:number items:list": what the object ANSWER must have, and of which kind;
   NULL = nothing, it may be absent. Kinds: number, text, flag, object, numbers, and list (of
   objects). -EPROTO says what is missing. */
int answer_check(const json_t *answer, const char *members, struct error *err);
