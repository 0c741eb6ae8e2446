/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The connection: opening it, the frame of a request, its side channel. */
#include "guix/daemon.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>

#include "base/file.h"
#include "base/mem.h"
#include "guix/daemon_private.h"
#include "guix/store_path.h"

#define MAGIC_CLIENT 0x6e697863
#define MAGIC_DAEMON 0x6478696f
#define VERSION 0x164        /* ours: Guix 1.5.0 */
#define VERSION_OLDEST 0x163 /* Guix since 2018 */
#define MAJOR(version) ((version) &0xff00)

/* A daemon that is alive answers at once; one whose database is being upgraded
   or whose machine is swapping gets some time. */
#define OPEN_TIMEOUT_S 60

enum side_channel
{
  STDERR_NEXT = 0x6f6c6d67,
  STDERR_READ = 0x64617461,
  STDERR_WRITE = 0x64617416,
  STDERR_LAST = 0x616c7473,
  STDERR_ERROR = 0x63787470,
};

/* ---- side channel ---- */

static int
receive_text(void *context, struct str piece)
{
  struct guix_daemon *daemon = context;
  if (daemon->events != NULL)
    guix_event_parser_feed(daemon->events, piece);
  return 0;
}

/* As much of an error's text as a struct error can hold. */
struct excerpt
{
  char text[512];
  size_t size;
};

static int
collect_excerpt(void *context, struct str piece)
{
  struct excerpt *excerpt = context;
  for (size_t i = 0; i < piece.size && excerpt->size < sizeof excerpt->text; i++) {
    unsigned char c = (unsigned char) piece.data[i];
    excerpt->text[excerpt->size++] = (char) (c < ' ' || c == 0x7f ? ' ' : c);
  }
  return 0;
}

/* The text counts more than the status, which a daemon that fails while it
   starts may not send. */
static int
take_error(struct guix_daemon *daemon, struct error *err)
{
  struct excerpt excerpt = { 0 };
  int r = guix_wire_get_pieces(&daemon->wire, collect_excerpt, &excerpt, err);
  if (r < 0)
    return r;
  uint32_t status = 0;
  r = guix_wire_get_int(&daemon->wire, &status, NULL);
  daemon->status = r == 0 && status <= INT16_MAX ? (int) status : 1;
  struct str text = str_trim(str_make(excerpt.text, excerpt.size));
  return error_set(err, -EREMOTEIO, "guix-daemon: %.*s", STR_FMT(text));
}

/* The daemon wants at most MAX bytes; none tell it that there are no more. */
static int
supply_data(struct guix_daemon *daemon, struct guix_transfer *transfer, struct error *err)
{
  uint32_t max = 0;
  int r = guix_wire_get_int(&daemon->wire, &max, err);
  if (r < 0)
    return r;
  if (transfer == NULL || transfer->read == NULL || max == 0)
    return guix_wire_break(&daemon->wire, err, -EPROTO, "guix-daemon asked for data out of turn");
  char room[GUIX_WIRE_ROOM];
  size_t size = max < sizeof room ? max : sizeof room;
  int64_t n = transfer->failure < 0 ? 0 : transfer->read(transfer->state, room, size);
  if (n < 0)
    transfer->failure = n;
  guix_wire_put_str(&daemon->wire, str_make(room, n < 0 ? 0 : (size_t) n));
  r = guix_wire_flush(&daemon->wire, err);
  return r == -EPIPE ? 0 : r; /* the next read tells why */
}

static int
accept_data(struct guix_daemon *daemon, struct guix_transfer *transfer, struct error *err)
{
  if (transfer == NULL || transfer->write == NULL)
    return guix_wire_break(&daemon->wire, err, -EPROTO, "guix-daemon sent data out of turn");
  return guix_wire_get_pieces(&daemon->wire, transfer->write, transfer->state, err);
}

/* One frame: 1 = that was the last, 0 = go on. */
static int
serve_frame(struct guix_daemon *daemon, struct guix_transfer *transfer, struct error *err)
{
  uint32_t code = 0;
  int r = guix_wire_get_int(&daemon->wire, &code, err);
  if (r < 0)
    return r;
  switch (code) {
  case STDERR_NEXT:
    return guix_wire_get_pieces(&daemon->wire, receive_text, daemon, err);
  case STDERR_READ:
    return supply_data(daemon, transfer, err);
  case STDERR_WRITE:
    return accept_data(daemon, transfer, err);
  case STDERR_LAST:
    return 1;
  case STDERR_ERROR:
    return take_error(daemon, err);
  default:
    return guix_wire_break(&daemon->wire, err, -EPROTO, "guix-daemon sent the unknown code 0x%x",
                           code);
  }
}

static int
serve_side_channel(struct guix_daemon *daemon, struct guix_transfer *transfer, struct error *err)
{
  int r;
  do
    r = serve_frame(daemon, transfer, err);
  while (r == 0);
  if (daemon->events != NULL)
    guix_event_parser_end(daemon->events);
  return r < 0 ? r : 0;
}

/* ---- the frame of a request ---- */

int
guix_daemon_begin(struct guix_daemon *daemon, enum guix_op op, struct error *err)
{
  int r = guix_wire_check_idle(&daemon->wire, err);
  if (r == 0)
    guix_wire_put_int(&daemon->wire, op);
  return r;
}

int
guix_daemon_finish(struct guix_daemon *daemon, struct guix_transfer *transfer, struct error *err)
{
  int r = guix_wire_flush(&daemon->wire, err);
  if (r < 0 && r != -EPIPE)
    return r;
  r = serve_side_channel(daemon, transfer, err);
  if (transfer == NULL || transfer->failure == 0 || (r < 0 && r != -EREMOTEIO))
    return r;
  int failure = (int) transfer->failure;
  return error_set(err, failure, "source of data for guix-daemon: %s", strerror(-failure));
}

int
guix_daemon_check_path(struct str path, struct error *err)
{
  if (guix_path_is_valid(path))
    return 0;
  return error_set(err, -EINVAL, "'%.*s' is not a store path", STR_FMT(path));
}

int
guix_daemon_check_paths(const struct str *paths, size_t count, struct error *err)
{
  int r = 0;
  for (size_t i = 0; i < count && r == 0; i++)
    r = guix_daemon_check_path(paths[i], err);
  return r;
}

static int
refuse_reply(struct guix_daemon *daemon, struct str text, struct error *err)
{
  return guix_wire_break(&daemon->wire, err, -EPROTO,
                         "guix-daemon sent '%.*s' in place of a store path", STR_FMT(text));
}

int
guix_daemon_get_path_or_none(struct guix_daemon *daemon, struct arena *arena, struct str *ret,
                             struct error *err)
{
  struct str path = STR("");
  int r = guix_wire_get_str(&daemon->wire, GUIX_WIRE_PATH_MAX, arena, &path, err);
  if (r < 0)
    return r;
  if (path.size > 0 && !guix_path_is_valid(path))
    return refuse_reply(daemon, path, err);
  *ret = path;
  return 0;
}

int
guix_daemon_get_path(struct guix_daemon *daemon, struct arena *arena, struct str *ret,
                     struct error *err)
{
  struct str path = STR("");
  int r = guix_daemon_get_path_or_none(daemon, arena, &path, err);
  if (r < 0)
    return r;
  if (path.size == 0)
    return refuse_reply(daemon, path, err);
  *ret = path;
  return 0;
}

int
guix_daemon_get_paths(struct guix_daemon *daemon, struct arena *arena, struct str **ret,
                      size_t *ret_count, struct error *err)
{
  struct str *paths = NULL;
  size_t count = 0;
  int r = guix_wire_get_strs(&daemon->wire, GUIX_WIRE_PATH_MAX, arena, &paths, &count, err);
  if (r < 0)
    return r;
  for (size_t i = 0; i < count; i++)
    if (!guix_path_is_valid(paths[i]))
      return refuse_reply(daemon, paths[i], err);
  *ret = paths;
  *ret_count = count;
  return 0;
}

int
guix_daemon_get_done(struct guix_daemon *daemon, struct error *err)
{
  uint32_t one;
  return guix_wire_get_int(&daemon->wire, &one, err);
}

/* ---- opening and closing ---- */

/* A socket's address has room for 107 bytes of name only: a longer one is
   reached through its folder, which *RET_FOLDER keeps open. */
static int
make_address(const char *socket_name, struct sockaddr_un *ret, int *ret_folder, struct error *err)
{
  *ret = (struct sockaddr_un) { .sun_family = AF_UNIX };
  size_t size = strlen(socket_name);
  if (size < sizeof ret->sun_path) {
    memcpy(ret->sun_path, socket_name, size);
    return 0;
  }
  const char *slash = strrchr(socket_name, '/');
  CLEANUP_FREE char *folder = slash == NULL
                                  ? mem_strdup(".")
                                  : mem_strndup(socket_name, (size_t) (slash - socket_name) + 1);
  *ret_folder = open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
  if (*ret_folder < 0)
    return error_set_errno(err, "%s", folder);
  int n = snprintf(ret->sun_path, sizeof ret->sun_path, "/proc/self/fd/%d/%s", *ret_folder,
                   slash == NULL ? socket_name : slash + 1);
  return n < (int) sizeof ret->sun_path
             ? 0
             : error_set(err, -ENAMETOOLONG, "%s: name too long", socket_name);
}

/* The time-out is for a daemon whose queue of connections is full. */
static int
connect_socket(const char *socket_name, int *ret, struct error *err)
{
  struct sockaddr_un address;
  CLEANUP_FD int folder = -1;
  int r = make_address(socket_name, &address, &folder, err);
  if (r < 0)
    return r;
  CLEANUP_FD int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0)
    return error_set_errno(err, "socket");
  struct timeval limit = { .tv_sec = OPEN_TIMEOUT_S };
  setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
  if (connect(fd, (struct sockaddr *) &address, sizeof address) < 0) {
    r = error_set_errno(err, "cannot reach guix-daemon at %s", socket_name);
    error_hint(err, "Check that guix-daemon runs and listens there.");
    return r;
  }
  *ret = TAKE_FD(fd);
  return 0;
}

static int
exchange_versions(struct guix_daemon *daemon, struct error *err)
{
  struct guix_wire *wire = &daemon->wire;
  uint32_t magic = 0;
  guix_wire_put_int(wire, MAGIC_CLIENT);
  int r = guix_wire_flush(wire, err);
  if (r == 0)
    r = guix_wire_get_int(wire, &magic, err);
  if (r == 0 && magic != MAGIC_DAEMON)
    return guix_wire_break(wire, err, -EPROTO, "whoever listens there is not guix-daemon");
  if (r == 0)
    r = guix_wire_get_int(wire, &daemon->version, err);
  if (r < 0)
    return r;
  if (MAJOR(daemon->version) != MAJOR(VERSION) || daemon->version < VERSION_OLDEST)
    return guix_wire_break(wire, err, -EPROTONOSUPPORT,
                           "guix-daemon speaks version 0x%x of its protocol, not 0x%x",
                           daemon->version, VERSION);
  return 0;
}

static int
shake_hands(struct guix_daemon *daemon, struct error *err)
{
  int r = exchange_versions(daemon, err);
  if (r < 0)
    return r;
  guix_wire_put_int(&daemon->wire, VERSION);
  guix_wire_put_int(&daemon->wire, 0); /* not bound to a CPU */
  guix_wire_put_int(&daemon->wire, 1); /* keep disk space in reserve */
  return guix_daemon_finish(daemon, NULL, err);
}

int
guix_daemon_open(const char *socket, struct guix_daemon **ret, struct error *err)
{
  int fd = -1;
  int r = connect_socket(socket, &fd, err);
  if (r < 0)
    return r;
  struct guix_daemon *daemon = mem_alloc(sizeof *daemon);
  daemon->wire.fd = fd;
  daemon->wire.peer = "guix-daemon";
  daemon->wire.timeout_s = OPEN_TIMEOUT_S;
  r = shake_hands(daemon, err);
  if (r < 0) {
    guix_daemon_close(daemon);
    error_prefix(err, "%s", socket);
    return r;
  }
  daemon->wire.timeout_s = 0;
  *ret = daemon;
  return 0;
}

void
guix_daemon_close(struct guix_daemon *daemon)
{
  if (daemon == NULL)
    return;
  guix_wire_close(&daemon->wire);
  guix_event_parser_free(daemon->events);
  free(daemon);
}

void
guix_daemon_cancel(struct guix_daemon *daemon)
{
  guix_wire_cancel(&daemon->wire);
}

bool
guix_daemon_is_usable(struct guix_daemon *daemon)
{
  return guix_wire_check_idle(&daemon->wire, NULL) == 0;
}

void
guix_daemon_set_timeout(struct guix_daemon *daemon, int seconds)
{
  daemon->wire.timeout_s = seconds < 0 ? 0 : seconds;
}

int
guix_daemon_status(const struct guix_daemon *daemon)
{
  return daemon->status;
}

unsigned
guix_daemon_version(const struct guix_daemon *daemon)
{
  return daemon->version;
}

void
guix_daemon_on_event(struct guix_daemon *daemon, guix_event_receiver *receive, void *context)
{
  guix_event_parser_free(daemon->events);
  daemon->events = receive == NULL ? NULL : guix_event_parser_new(receive, context);
}
