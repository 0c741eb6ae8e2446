/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The description of the JSON API for programs (OpenAPI 3.1), made from the route tables.
   What they cannot say (schemas, parameters, what all errors look like) is in
   openapi-components.json. */
#pragma once

#include "http/http.h"

/* Appends the document that describes those of ROUTES that are below HTTP_API. */
void openapi_write(const struct http_routes *routes, size_t count, struct buf *out);

/* openapi-components.json, put into the program by tools/embed.py. */
extern const char openapi_components[];
