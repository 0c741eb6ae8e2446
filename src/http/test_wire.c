/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "http/test_wire.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
/* cmocka needs the three above first. */
#include <cmocka.h>

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/file.h"

struct wire
wire_open_small(int port, int receive_buffer)
{
  struct wire wire = { .fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0) };
  struct sockaddr_in address = { .sin_family = AF_INET,
                                 .sin_port = htons((uint16_t) port),
                                 .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
  struct timeval patience = { .tv_sec = WIRE_DEADLINE_S };
  assert_true(wire.fd >= 0);
  setsockopt(wire.fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  if (receive_buffer > 0)
    setsockopt(wire.fd, SOL_SOCKET, SO_RCVBUF, &receive_buffer, sizeof receive_buffer);
  assert_int_equal(connect(wire.fd, (struct sockaddr *) &address, sizeof address), 0);
  return wire;
}

struct wire
wire_open(int port)
{
  return wire_open_small(port, 0);
}

void
wire_close(struct wire *wire)
{
  if (wire->fd >= 0)
    close(wire->fd);
  wire->fd = -1;
  buf_free(&wire->in);
}

void
wire_send_bytes(struct wire *wire, struct str bytes)
{
  assert_int_equal(file_write_full(wire->fd, bytes.data, bytes.size), 0);
}

void
wire_send(struct wire *wire, const char *text)
{
  wire_send_bytes(wire, str_of(text));
}

/* False at the end of the connection. */
static bool
receive(struct wire *wire)
{
  char *room = buf_reserve(&wire->in, 64 * 1024);
  ssize_t got = recv(wire->fd, room, 64 * 1024, 0);
  if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
    fail_msg("nothing came for %d s", WIRE_DEADLINE_S);
  if (got <= 0)
    return false;
  wire->in.size += (size_t) got;
  return true;
}

/* Takes everything up to and with END off the input. */
static bool
take_until(struct wire *wire, const char *end, struct buf *ret)
{
  const char *found;
  while (
      (found = wire->in.size == 0 ? NULL : memmem(wire->in.data, wire->in.size, end, strlen(end)))
      == NULL)
    if (!receive(wire))
      return false;
  size_t size = (size_t) (found - wire->in.data) + strlen(end);
  buf_append(ret, wire->in.data, size);
  buf_consume(&wire->in, size);
  return true;
}

static bool
take_bytes(struct wire *wire, size_t size, struct buf *ret)
{
  while (wire->in.size < size)
    if (!receive(wire))
      return false;
  buf_append(ret, wire->in.data, size);
  buf_consume(&wire->in, size);
  return true;
}

static bool
take_chunks(struct wire *wire, struct buf *ret)
{
  for (;;) {
    CLEANUP_BUF struct buf line = { 0 };
    CLEANUP_BUF struct buf end = { 0 };
    if (!take_until(wire, "\r\n", &line))
      return false;
    size_t size = strtoul(buf_text(&line), NULL, 16);
    if (!take_bytes(wire, size, ret) || !take_bytes(wire, 2, &end))
      return false;
    if (size == 0)
      return true;
  }
}

static bool
take_body(struct wire *wire, struct wire_reply *reply)
{
  if (wire_header(reply, "Transfer-Encoding")[0] != '\0')
    return take_chunks(wire, &reply->body);
  const char *length = wire_header(reply, "Content-Length");
  if (length[0] != '\0')
    return take_bytes(wire, strtoul(length, NULL, 10), &reply->body);
  while (receive(wire))
    ;
  buf_append_str(&reply->body, buf_str(&wire->in));
  return true;
}

struct wire_reply
wire_read(struct wire *wire, bool head)
{
  struct wire_reply reply = { 0 };
  if (!take_until(wire, "\r\n\r\n", &reply.head))
    fail_msg("the connection ended before a reply");
  assert_true(str_starts(buf_str(&reply.head), STR("HTTP/1.")));
  reply.status = (int) strtol(buf_text(&reply.head) + 9, NULL, 10);
  bool bodyless = head || reply.status == 204 || reply.status == 304 || reply.status < 200;
  reply.whole = bodyless || take_body(wire, &reply);
  buf_text(&reply.body);
  return reply;
}

void
wire_reply_free(struct wire_reply *reply)
{
  buf_free(&reply->head);
  buf_free(&reply->body);
}

struct wire_reply
wire_ask(struct wire *wire, const char *method, const char *target, const char *headers)
{
  CLEANUP_BUF struct buf request = { 0 };
  buf_printf(&request, "%s %s HTTP/1.1\r\nHost: test\r\n%s\r\n", method, target, headers);
  wire_send_bytes(wire, buf_str(&request));
  return wire_read(wire, strcmp(method, "HEAD") == 0);
}

const char *
wire_header(const struct wire_reply *reply, const char *name)
{
  static char value[1024];
  size_t size = strlen(name);
  struct str line;
  for (struct str rest = buf_str(&reply->head); str_split(&rest, '\n', &line);)
    if (line.size > size && line.data[size] == ':' && strncasecmp(line.data, name, size) == 0) {
      snprintf(value, sizeof value, "%.*s", STR_FMT(str_trim(str_from(line, size + 1))));
      return value;
    }
  return "";
}

void
wire_expect(struct wire *wire, const char *text)
{
  CLEANUP_BUF struct buf seen = { 0 };
  if (!take_until(wire, text, &seen))
    fail_msg("the connection ended before '%s'", text);
}

void
wire_expect_end(struct wire *wire)
{
  while (receive(wire))
    ;
}
