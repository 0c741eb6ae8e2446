/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Any answer of a daemon ends the request: with a result, an error of the
   daemon, or a broken connection. */
#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include "guix/daemon_private.h"
#include "guix/store_path.h"

#include "guix/fuzz/fuzz.h"

static int64_t
read_some(void *state, char *room, size_t size)
{
  (void) state;
  size_t n = size < 10 ? size : 10;
  memset(room, 'x', n);
  return (int64_t) n;
}

static int
write_none(void *state, struct str piece)
{
  (void) state;
  return piece.size > 1000 ? -ENOSPC : 0;
}

static void
receive(void *context, const struct guix_event *event)
{
  (void) context;
  MUST(event->text.size == 0 || event->text.data != NULL);
}

static int
read_answer(struct guix_daemon *daemon, unsigned kind, struct arena *arena)
{
  struct guix_transfer transfer = { .read = read_some, .write = write_none };
  struct error err = { 0 };
  struct str path, *paths = NULL;
  size_t count = 0;
  uint32_t number;
  int r = guix_daemon_finish(daemon, kind & 1 ? &transfer : NULL, &err);
  if (r == 0 && kind & 2)
    r = guix_daemon_get_path(daemon, arena, &path, &err);
  if (r == 0 && kind & 4)
    r = guix_daemon_get_paths(daemon, arena, &paths, &count, &err);
  if (r == 0 && kind & 8)
    r = guix_wire_get_int(&daemon->wire, &number, &err);
  MUST(r == 0 || (r == err.code && err.message[0] != '\0'));
  for (size_t i = 0; r == 0 && i < count; i++)
    MUST(guix_path_is_valid(paths[i]));
  return r;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  int ends[2];
  struct str answer = str_make(data, size);
  unsigned kind = fuzz_choose(&answer);
  MUST(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0);
  MUST(send(ends[1], answer.data, answer.size, MSG_NOSIGNAL) == (ssize_t) answer.size);
  shutdown(ends[1], SHUT_WR);
  CLEANUP_ARENA struct arena arena = { 0 };
  struct guix_daemon *daemon = calloc(1, sizeof *daemon);
  MUST(daemon != NULL);
  daemon->wire.fd = ends[0];
  daemon->wire.peer = "fuzz";
  guix_daemon_on_event(daemon, receive, NULL);
  int r = read_answer(daemon, kind, &arena);
  if (r < 0 && r != -EREMOTEIO)
    MUST(!guix_daemon_is_usable(daemon));
  guix_daemon_close(daemon);
  close(ends[1]);
  return 0;
}
