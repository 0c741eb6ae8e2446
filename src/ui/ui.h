/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What all pages share: the frame (frame.html), components.html, the static
   files and the error page. */
#pragma once

#include "http/http.h"

/* GET /static/{name}: the files of this folder, with their contents' hash as
   ETag, to be asked for again each time (a 304 costs little). */
struct http_routes ui_routes(void);

/* For http_options.error_page. */
void ui_error_page(int status, const struct error *err, struct buf *page);
