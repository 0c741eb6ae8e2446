/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <unistd.h>

#include "agent/agent_private.h"
#include "base/file.h"
#include "base/mem.h"

#define PIPE_BYTES (1 << 20)

struct pump
{
  int (*produce)(void *state, guix_sink *sink, void *sink_context, struct error *err);
  void *state;
  int read_end;
  int write_end;
  pthread_t thread;
  bool joined;
  bool cut;          /* of the thread: the reader has left */
  atomic_int result; /* 1 while it runs */
  struct error err;
};

static int
pump_sink(void *context, struct str piece)
{
  struct pump *pump = context;
  int r = file_write_full(pump->write_end, piece.data, piece.size);
  pump->cut |= r == -EPIPE;
  return r;
}

static void *
pump_main(void *context)
{
  struct pump *pump = context;
  int r = pump->produce(pump->state, pump_sink, pump, &pump->err);
  pump->result = pump->cut ? -EPIPE : r;
  /* The reader sees the end only after the result is known. */
  file_closep(&pump->write_end);
  return NULL;
}

struct pump *
pump_start(int (*produce)(void *, guix_sink *, void *, struct error *), void *state)
{
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0)
    return NULL;
  /* A larger pipe saves switches; the default works too. */
  (void) fcntl(ends[1], F_SETPIPE_SZ, PIPE_BYTES);
  struct pump *pump = mem_alloc(sizeof *pump);
  *pump = (struct pump) {
    .produce = produce, .state = state, .read_end = ends[0], .write_end = ends[1], .result = 1
  };
  if (pthread_create(&pump->thread, NULL, pump_main, pump) != 0) {
    pump->joined = true;
    file_closep(&pump->write_end);
    pump_free(pump);
    return NULL;
  }
  return pump;
}

bool
pump_is_ready(const struct pump *pump, int timeout_ms)
{
  struct pollfd ready = { .fd = pump->read_end, .events = POLLIN };
  return poll(&ready, 1, timeout_ms) > 0;
}

int64_t
pump_read(void *context, char *room, size_t size)
{
  struct pump *pump = context;
  ssize_t got;
  do
    got = read(pump->read_end, room, size);
  while (got < 0 && errno == EINTR);
  if (got < 0)
    return -errno;
  /* An end because the producer failed must not look like a whole body. */
  return got == 0 && pump->result != 0 ? -ECANCELED : got;
}

int
pump_finish(struct pump *pump, struct error *err)
{
  file_closep(&pump->read_end); /* a producer that still writes gets EPIPE */
  if (!pump->joined)
    pthread_join(pump->thread, NULL);
  pump->joined = true;
  if (pump->result < 0 && err != NULL)
    *err = pump->err;
  return pump->result;
}

void
pump_free(struct pump *pump)
{
  if (pump == NULL)
    return;
  (void) pump_finish(pump, NULL);
  free(pump);
}
