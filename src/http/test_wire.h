/* SPDX-License-Identifier: GPL-3.0-or-later */
/* For tests: HTTP by hand over a socket, so that a test can send and see what a
   well-behaved client never would. Failures are cmocka failures. */
#pragma once

#include <stdbool.h>

#include "base/buf.h"

struct wire
{
  int fd;
  struct buf in; /* received, not yet read */
};

struct wire_reply
{
  int status;
  struct buf head;
  struct buf body; /* chunks put together */
  bool whole;      /* false: the connection ended inside the body */
};

#define WIRE_DEADLINE_S 20 /* for each read */

struct wire wire_open(int port);
struct wire wire_open_small(int port, int receive_buffer); /* bytes the kernel may hold */
void wire_close(struct wire *wire);
#define CLEANUP_WIRE PN_CLEANUP(wire_close)

void wire_send(struct wire *wire, const char *text);
void wire_send_bytes(struct wire *wire, struct str bytes);

/* Reads the next reply; HEAD: it has no body. */
struct wire_reply wire_read(struct wire *wire, bool head);
void wire_reply_free(struct wire_reply *reply);
#define CLEANUP_REPLY PN_CLEANUP(wire_reply_free)

/* Sends "METHOD TARGET" with HEADERS (lines, may be "") and reads the reply. */
struct wire_reply wire_ask(struct wire *wire, const char *method, const char *target,
                           const char *headers);
/* Of a reply; "" when absent. Valid until the next call. */
const char *wire_header(const struct wire_reply *reply, const char *name);
/* Reads until the text has come. */
void wire_expect(struct wire *wire, const char *text);
/* Waits for the server's end of the connection. */
void wire_expect_end(struct wire *wire);
