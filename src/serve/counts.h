/* SPDX-License-Identifier: GPL-3.0-or-later */
/* How much there is of everything. */
#pragma once

#include "serve/routes.h"

/* As counted not long ago (a second, or more where counting takes long). May have to
   wait: not for server threads. */
int counts_get(struct serve_context *serve, struct serve_counts_row *ret, struct error *err);
/* Of builds and agents, as members of the object that JSON has open. */
struct json;
void counts_write(struct json *json, const struct serve_counts_row *counts);
