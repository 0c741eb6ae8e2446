/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Replies to agents. */
#pragma once

#include "db/db.h"
#include "http/http.h"

void reply_done(struct http_request *request); /* 200 {} */
void reply_gone(struct http_request *request); /* 410 */
void reply_busy(struct http_request *request); /* 503: repeat it */

/* {"NAME": NUMBER}; as problem details when STATUS is an error. */
void reply_number(struct http_request *request, int status, const char *name, int64_t number);

/* {"NAME": [basenames]}; the same. */
void reply_paths(struct http_request *request, int status, const char *name,
                 const struct str *paths, size_t count);

/* 422 to a result. */
void reply_unfit(struct http_request *request, const struct str *damaged, size_t damaged_count,
                 const struct str *missing, size_t missing_count);

/* 422 to a result that ended its attempt: the outputs PATHS hold what cannot be theirs. */
void reply_refused(struct http_request *request, struct str why, const struct str *paths,
                   size_t count);
