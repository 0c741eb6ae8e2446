/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The page frame, the static files, the error page. Templates extend frame.html
   and use components.html; what they call is in html.h. */
#pragma once

#include "http/http.h"

/* Static files below /static/. */
struct http_routes ui_routes(void);

/* http_options.error_page. */
void ui_error_page(int status, const struct error *err, struct buf *page);
