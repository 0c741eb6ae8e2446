/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "guix/wire.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "base/file.h"
#include "base/mem.h"

#define OUT_KEPT (1u << 20)         /* bytes of the outgoing buffer kept between requests */
#define LIST_BYTES_MAX (512u << 20) /* of all strings of one list */

void
guix_wire_close(struct guix_wire *wire)
{
  file_closep(&wire->fd);
  wire->broken = -ECONNRESET;
  buf_free(&wire->out);
}

/* shutdown, not close: the owner may be using the descriptor just now. */
void
guix_wire_cancel(struct guix_wire *wire)
{
  atomic_store(&wire->cancelled, true);
  shutdown(wire->fd, SHUT_RDWR);
}

int
guix_wire_break(struct guix_wire *wire, struct error *err, int code, const char *format, ...)
{
  va_list arguments;
  va_start(arguments, format);
  error_setv(err, code, format, arguments);
  va_end(arguments);
  if (wire->broken == 0) {
    wire->broken = code;
    shutdown(wire->fd, SHUT_RDWR);
  }
  return code;
}

static int
check_whole(const struct guix_wire *wire, struct error *err)
{
  if (wire->broken == 0)
    return 0;
  return error_set(err, -ECONNRESET, "the connection to %s was lost before (%s)", wire->peer,
                   strerror(-wire->broken));
}

/* The socket has failed, or was closed at the other end: tells why. */
static int
fail_lost(struct guix_wire *wire, int number, struct error *err)
{
  if (atomic_load(&wire->cancelled))
    return guix_wire_break(wire, err, -ECANCELED, "the request to %s was cancelled", wire->peer);
  if (number == 0)
    return guix_wire_break(wire, err, -ECONNRESET, "%s closed the connection", wire->peer);
  int code = number == EPIPE ? -ECONNRESET : -number;
  return guix_wire_break(wire, err, code, "connection to %s: %s", wire->peer, strerror(number));
}

int
guix_wire_check_idle(struct guix_wire *wire, struct error *err)
{
  int r = check_whole(wire, err);
  if (r < 0)
    return r;
  char byte;
  ssize_t n = recv(wire->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
  if (n < 0 && (errno == EAGAIN || errno == EINTR) && wire->at == wire->end)
    return 0;
  if (n > 0 || wire->at < wire->end)
    r = guix_wire_break(wire, err, -EPROTO, "%s sent something unasked", wire->peer);
  else
    r = fail_lost(wire, n < 0 ? errno : 0, err);
  return r == -ECANCELED ? r : -ECONNRESET;
}

static int
milliseconds_of(int seconds)
{
  return seconds > INT_MAX / 1000 ? INT_MAX : seconds * 1000;
}

/* Waits until the socket is ready for EVENTS. */
static int
wait_ready(struct guix_wire *wire, short events, struct error *err)
{
  struct pollfd ready = { .fd = wire->fd, .events = events };
  int n;
  do
    n = poll(&ready, 1, wire->timeout_s > 0 ? milliseconds_of(wire->timeout_s) : -1);
  while (n < 0 && errno == EINTR);
  if (n < 0)
    return fail_lost(wire, errno, err);
  if (n == 0)
    return guix_wire_break(wire, err, -ETIMEDOUT, "no sign of life from %s for %d seconds",
                           wire->peer, wire->timeout_s);
  return 0;
}

/* ---- writing ---- */

static size_t
padding_of(uint64_t size)
{
  return (size_t) (-size & 7);
}

void
guix_wire_put_int(struct guix_wire *wire, uint64_t value)
{
  char bytes[8];
  for (size_t i = 0; i < sizeof bytes; i++)
    bytes[i] = (char) (value >> 8 * i);
  buf_append(&wire->out, bytes, sizeof bytes);
}

void
guix_wire_put_str(struct guix_wire *wire, struct str text)
{
  static const char zeros[8];
  guix_wire_put_int(wire, text.size);
  buf_append_str(&wire->out, text);
  buf_append(&wire->out, zeros, padding_of(text.size));
}

void
guix_wire_put_strs(struct guix_wire *wire, const struct str *texts, size_t count)
{
  guix_wire_put_int(wire, count);
  for (size_t i = 0; i < count; i++)
    guix_wire_put_str(wire, texts[i]);
}

void
guix_wire_put_raw(struct guix_wire *wire, struct str bytes)
{
  buf_append_str(&wire->out, bytes);
}

/* What is unsent goes whatever happens: after a failure it is of no use. So
   does the memory of an unusually large request. */
static void
clear_out(struct buf *out)
{
  if (out->capacity > OUT_KEPT)
    buf_free(out);
  else
    buf_clear(out);
}

int
guix_wire_flush(struct guix_wire *wire, struct error *err)
{
  struct str rest = buf_str(&wire->out);
  int r = check_whole(wire, err);
  while (r == 0 && rest.size > 0) {
    ssize_t n = send(wire->fd, rest.data, rest.size, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (n >= 0)
      rest = str_from(rest, (size_t) n);
    else if (errno == EAGAIN)
      r = wait_ready(wire, POLLOUT, err);
    else if (errno == EPIPE || errno == ECONNRESET)
      r = error_set(err, -EPIPE, "%s closed the connection", wire->peer);
    else if (errno != EINTR)
      r = fail_lost(wire, errno, err);
  }
  clear_out(&wire->out);
  return r;
}

/* ---- reading ---- */

/* Makes at least one received byte available. */
static int
fill(struct guix_wire *wire, struct error *err)
{
  int r = check_whole(wire, err);
  while (r == 0 && wire->at == wire->end) {
    ssize_t n = recv(wire->fd, wire->in, sizeof wire->in, MSG_DONTWAIT);
    if (n > 0) {
      wire->at = 0;
      wire->end = (size_t) n;
    } else if (n == 0)
      r = fail_lost(wire, 0, err);
    else if (errno == EAGAIN)
      r = wait_ready(wire, POLLIN, err);
    else if (errno != EINTR)
      r = fail_lost(wire, errno, err);
  }
  return r;
}

/* At most SIZE received bytes, at least one; valid until the next read. */
static int
next_piece(struct guix_wire *wire, uint64_t size, struct str *ret, struct error *err)
{
  int r = fill(wire, err);
  if (r < 0)
    return r;
  size_t ready = wire->end - wire->at;
  *ret = str_make(wire->in + wire->at, size < ready ? (size_t) size : ready);
  wire->at += ret->size;
  return 0;
}

static int
read_bytes(struct guix_wire *wire, void *data, size_t size, struct error *err)
{
  char *to = data;
  struct str piece;
  for (; size > 0; size -= piece.size, to += piece.size) {
    int r = next_piece(wire, size, &piece, err);
    if (r < 0)
      return r;
    memcpy(to, piece.data, piece.size);
  }
  return 0;
}

int
guix_wire_get_long(struct guix_wire *wire, uint64_t *ret, struct error *err)
{
  unsigned char bytes[8];
  int r = read_bytes(wire, bytes, sizeof bytes, err);
  if (r < 0)
    return r;
  uint64_t value = 0;
  for (size_t i = sizeof bytes; i-- > 0;)
    value = value << 8 | bytes[i];
  *ret = value;
  return 0;
}

int
guix_wire_get_int(struct guix_wire *wire, uint32_t *ret, struct error *err)
{
  uint64_t value = 0;
  int r = guix_wire_get_long(wire, &value, err);
  if (r < 0)
    return r;
  if (value > UINT32_MAX)
    return guix_wire_break(wire, err, -EPROTO, "%s sent a number of more than 32 bits", wire->peer);
  *ret = (uint32_t) value;
  return 0;
}

static int
skip_padding(struct guix_wire *wire, uint64_t size, struct error *err)
{
  char padding[8] = { 0 };
  int r = read_bytes(wire, padding, padding_of(size), err);
  if (r < 0)
    return r;
  for (size_t i = 0; i < sizeof padding; i++)
    if (padding[i] != 0)
      return guix_wire_break(wire, err, -EPROTO, "%s sent non-zero padding", wire->peer);
  return 0;
}

int
guix_wire_get_str(struct guix_wire *wire, size_t limit, struct arena *arena, struct str *ret,
                  struct error *err)
{
  uint32_t size = 0;
  int r = guix_wire_get_int(wire, &size, err);
  if (r < 0)
    return r;
  if (size > limit)
    return guix_wire_break(wire, err, -EPROTO, "%s sent a string of %u bytes where %zu are allowed",
                           wire->peer, size, limit);
  char *text = arena_alloc(arena, (size_t) size + 1);
  r = read_bytes(wire, text, size, err);
  if (r == 0)
    r = skip_padding(wire, size, err);
  if (r == 0)
    *ret = str_make(text, size);
  return r;
}

int
guix_wire_get_strs(struct guix_wire *wire, size_t limit, struct arena *arena, struct str **ret,
                   size_t *ret_count, struct error *err)
{
  uint32_t count = 0;
  int r = guix_wire_get_int(wire, &count, err);
  if (r < 0)
    return r;
  if (count > GUIX_WIRE_STRINGS_MAX)
    return guix_wire_break(wire, err, -EPROTO, "%s sent a list of %u strings", wire->peer, count);
  CLEANUP_FREE struct str *strings = NULL;
  size_t capacity = 0, left = LIST_BYTES_MAX;
  for (size_t i = 0; i < count; i++) {
    mem_grow(&strings, &capacity, i + 1, sizeof *strings);
    r = guix_wire_get_str(wire, limit < left ? limit : left, arena, &strings[i], err);
    if (r < 0)
      return r;
    left -= strings[i].size;
  }
  *ret = arena_array(arena, count, sizeof **ret);
  if (count > 0)
    memcpy(*ret, strings, count * sizeof *strings);
  *ret_count = count;
  return 0;
}

int
guix_wire_get_pieces(struct guix_wire *wire, guix_sink *sink, void *context, struct error *err)
{
  uint32_t size = 0;
  int r = guix_wire_get_int(wire, &size, err);
  if (r < 0)
    return r;
  struct str piece;
  for (uint32_t rest = size; rest > 0; rest -= (uint32_t) piece.size) {
    r = next_piece(wire, rest, &piece, err);
    if (r < 0)
      return r;
    r = sink == NULL ? 0 : sink(context, piece);
    if (r < 0)
      return guix_wire_break(wire, err, r, "receiver of data from %s: %s", wire->peer,
                             strerror(-r));
  }
  return skip_padding(wire, size, err);
}
