/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "agent/test_daemon.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
/* cmocka needs the three above first. */
#include <cmocka.h>

#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/mem.h"
#include "guix/daemon_private.h"

#define MAGIC_DAEMON 0x6478696f
#define VERSION 0x164
#define FRAME_READ 0x64617461
#define FRAME_LAST 0x616c7473
#define FRAME_ERROR 0x63787470

#define TEXT_MAX ((size_t) 1 << 20)

static int
shake_hands(struct guix_wire *wire)
{
  uint32_t word = 0;
  guix_wire_put_int(wire, MAGIC_DAEMON);
  guix_wire_put_int(wire, VERSION);
  int r = guix_wire_flush(wire, NULL);
  for (int i = 0; r == 0 && i < 4; i++) /* magic, version, processor, reserve */
    r = guix_wire_get_int(wire, &word, NULL);
  guix_wire_put_int(wire, FRAME_LAST);
  return r;
}

static int
add_temp_root(struct guix_wire *wire, struct arena *arena)
{
  struct str path;
  int r = guix_wire_get_str(wire, TEXT_MAX, arena, &path, NULL);
  guix_wire_put_int(wire, FRAME_LAST);
  guix_wire_put_int(wire, 1);
  return r;
}

static int
query_valid_paths(struct test_daemon *daemon, struct guix_wire *wire, struct arena *arena)
{
  struct str *paths = NULL;
  size_t count = 0, kept = 0;
  int64_t one;
  int r = guix_wire_get_strs(wire, TEXT_MAX, arena, &paths, &count, NULL);
  pthread_mutex_lock(&daemon->lock);
  for (size_t i = 0; i < count; i++)
    if (str_map_get(&daemon->valid, paths[i], &one))
      paths[kept++] = paths[i];
  pthread_mutex_unlock(&daemon->lock);
  guix_wire_put_int(wire, FRAME_LAST);
  guix_wire_put_strs(wire, paths, kept);
  return r;
}

/* Every item is "valid", made by nobody and refers to nothing. */
static int
query_path_info(struct guix_wire *wire, struct arena *arena)
{
  struct str path;
  int r = guix_wire_get_str(wire, TEXT_MAX, arena, &path, NULL);
  guix_wire_put_int(wire, FRAME_LAST);
  guix_wire_put_str(wire, STR(""));
  guix_wire_put_str(wire, STR("a948904f2f0f479b8f8197694b30184b0d2ed1c1cd2a1ec0fb85d299a192a447"));
  guix_wire_put_strs(wire, NULL, 0);
  guix_wire_put_int(wire, 0);
  guix_wire_put_int(wire, 120);
  return r;
}

static void
put_error(struct guix_wire *wire, const char *text)
{
  guix_wire_put_int(wire, FRAME_ERROR);
  guix_wire_put_str(wire, str_of(text));
  guix_wire_put_int(wire, 1);
}

/* True when the end has come; whole lines are taken off TEXT. */
static bool
take_lines(struct test_daemon *daemon, struct buf *text)
{
  struct str rest = buf_str(text), line;
  bool ends = false;
  pthread_mutex_lock(&daemon->lock);
  for (ptrdiff_t end; (end = str_find(rest, '\n')) >= 0; rest = str_from(rest, (size_t) end + 1)) {
    line = str_make(rest.data, (size_t) end);
    ends |= str_equal(line, STR("end"));
    if (str_starts(line, STR("/")))
      (void) str_map_put(&daemon->valid, line, 1);
  }
  pthread_mutex_unlock(&daemon->lock);
  buf_consume(text, text->size - rest.size);
  return ends;
}

static int
import(struct test_daemon *daemon, struct guix_wire *wire, struct arena *arena)
{
  CLEANUP_BUF struct buf text = { 0 };
  struct str piece = STR("?");
  pthread_mutex_lock(&daemon->lock);
  daemon->imports++;
  bool refuses = daemon->refuses;
  pthread_mutex_unlock(&daemon->lock);
  bool ended = false;
  int r = 0;
  while (r == 0 && !refuses && !ended && piece.size > 0) {
    guix_wire_put_int(wire, FRAME_READ);
    guix_wire_put_int(wire, 4096);
    r = guix_wire_flush(wire, NULL);
    if (r == 0)
      r = guix_wire_get_str(wire, TEXT_MAX, arena, &piece, NULL);
    buf_append_str(&text, piece);
    ended = r == 0 && take_lines(daemon, &text);
  }
  if (!ended) {
    put_error(wire, refuses ? "the signature is not good" : "unexpected end of file");
    return r;
  }
  guix_wire_put_int(wire, FRAME_LAST);
  guix_wire_put_strs(wire, NULL, 0);
  return r;
}

static int
serve(struct test_daemon *daemon, struct guix_wire *wire)
{
  CLEANUP_ARENA struct arena arena = { 0 };
  uint32_t op = 0;
  int r = guix_wire_flush(wire, NULL);
  if (r == 0)
    r = guix_wire_get_int(wire, &op, NULL);
  if (r < 0)
    return r;
  switch (op) {
  case GUIX_OP_ADD_TEMP_ROOT:
    return add_temp_root(wire, &arena);
  case GUIX_OP_QUERY_VALID_PATHS:
    return query_valid_paths(daemon, wire, &arena);
  case GUIX_OP_QUERY_PATH_INFO:
    return query_path_info(wire, &arena);
  case GUIX_OP_IMPORT_PATHS:
    return import(daemon, wire, &arena);
  default:
    return -1;
  }
}

static void *
daemon_main(void *context)
{
  struct test_daemon *daemon = context;
  struct guix_wire *wire = mem_alloc(sizeof *wire);
  wire->fd = accept(daemon->listener, NULL, NULL);
  wire->peer = "the agent";
  if (shake_hands(wire) == 0)
    while (serve(daemon, wire) == 0)
      continue;
  guix_wire_close(wire);
  free(wire);
  return NULL;
}

void
test_daemon_start(struct test_daemon *daemon, const char *folder)
{
  struct sockaddr_un address = { .sun_family = AF_UNIX };
  *daemon = (struct test_daemon) { .socket = mem_printf("%s/socket", folder) };
  pthread_mutex_init(&daemon->lock, NULL);
  assert_true(strlen(daemon->socket) < sizeof address.sun_path);
  memcpy(address.sun_path, daemon->socket, strlen(daemon->socket));
  daemon->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  assert_int_equal(bind(daemon->listener, (struct sockaddr *) &address, sizeof address), 0);
  assert_int_equal(listen(daemon->listener, 1), 0);
  assert_int_equal(pthread_create(&daemon->thread, NULL, daemon_main, daemon), 0);
}

void
test_daemon_stop(struct test_daemon *daemon)
{
  pthread_join(daemon->thread, NULL);
  close(daemon->listener);
  free(daemon->socket);
  str_map_free(&daemon->valid);
  pthread_mutex_destroy(&daemon->lock);
}

bool
test_daemon_holds(struct test_daemon *daemon, const char *path)
{
  int64_t one;
  pthread_mutex_lock(&daemon->lock);
  bool holds = str_map_get(&daemon->valid, str_of(path), &one);
  pthread_mutex_unlock(&daemon->lock);
  return holds;
}

int
test_daemon_imports(struct test_daemon *daemon)
{
  pthread_mutex_lock(&daemon->lock);
  int imports = daemon->imports;
  pthread_mutex_unlock(&daemon->lock);
  return imports;
}
