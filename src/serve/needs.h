/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What a build needs, or what needs it, as a list: the picture (graph_page.c) in words. No input
   or output here. */
#pragma once

#include "http/http.h"
#include "serve/views.h"

/* How far is looked, each way. */
#define NEEDS_DEPTH_MAX 4 /* steps */
#define NEEDS_FOUND_MAX 5000

#define NEEDS_LIMIT 200 /* of a page */

/* `part`, `sort` and `page`. */
int needs_read_question(struct http_request *request, struct needs_view *ret, struct error *err);

/* The lower the sooner somebody should look at it. */
int needs_rank(struct str state);

/* Orders all, and leaves those of the page that was asked for. */
void needs_take_page(struct needs_view *view);
