/* SPDX-License-Identifier: GPL-3.0-or-later */
/* One request and its reply: what libmicrohttpd calls. */
#pragma once

#include <microhttpd.h>

/* CONTEXT is the struct http_server in all three. */

/* Makes the struct http_request, which becomes the connection's context. */
void *exchange_begin(void *context, const char *target, struct MHD_Connection *connection);

enum MHD_Result exchange_continue(void *context, struct MHD_Connection *connection, const char *url,
                                  const char *method, const char *version, const char *piece,
                                  size_t *piece_size, void **request);

void exchange_end(void *context, struct MHD_Connection *connection, void **request,
                  enum MHD_RequestTerminationCode reason);

/* libmicrohttpd shall not decode targets: uri.c does. */
size_t exchange_keep_escapes(void *context, struct MHD_Connection *connection, char *text);
