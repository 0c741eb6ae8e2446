/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A connection that waits for another thread: suspended in libmicrohttpd, so
   that it costs nothing, until it is woken, its client hangs up, or the server
   stops.

   libmicrohttpd's terms: suspend only on the connection's own thread, resume
   only what is suspended, resume all before stopping, and a suspended
   connection's hang-up goes unnoticed. The server's one lock guards every
   `suspended` flag and makes this airtight; its door thread watches for
   hang-ups. A wake that comes before the sleep is kept, as in a semaphore, so
   no wake-up is lost. */
#pragma once

#include <microhttpd.h>
#include <stdbool.h>
#include <stdint.h>

struct http_server;

/* What the door does when the client hangs up. */
enum wait_watch
{
  WATCH_NOTHING,
  WATCH_READER, /* the wait is gone: nobody reads our stream any more */
  WATCH_SENDER, /* libmicrohttpd is told again that the body ends here */
};

struct http_wait
{
  struct http_server *server;
  struct MHD_Connection *connection;
  int64_t id; /* key in the server's map of waits; 0 = not open */
  enum wait_watch watch;
  bool suspended; /* in libmicrohttpd */
  bool woken;     /* since the last sleep */
  bool gone;      /* nobody is there any more: waking is pointless */
  bool hung_up;   /* the sender did, perhaps before its last bytes were read */
};

enum wait_result
{
  WAIT_ASLEEP, /* suspended: return to libmicrohttpd at once */
  WAIT_WOKEN,  /* look again, then sleep again */
  WAIT_GONE,   /* end the connection */
};

/* From then on it can be woken; from any thread. */
void wait_init(struct http_wait *wait, struct http_server *server,
               struct MHD_Connection *connection);
/* On the connection's thread, before the first sleep; later calls do nothing. */
void wait_open(struct http_wait *wait, enum wait_watch watch);
/* On the connection's thread, after bytes of the body were read: has it look for more, where
   the sender hung up. */
void wait_has_read(struct http_wait *wait);
/* On the connection's thread only. */
enum wait_result wait_sleep(struct http_wait *wait);
/* From any thread. False when the connection is gone. */
bool wait_wake(struct http_wait *wait);
bool wait_is_gone(struct http_wait *wait);
/* When the reply is taken or over; on the connection's thread if it was opened.
   Later calls do nothing. */
void wait_close(struct http_wait *wait);

/* ---- for the server ---- */

/* The door saw wait ID's client hang up. */
void wait_hung_up(struct http_server *server, int64_t id);
/* From now on every sleeper is woken and every sleep fails; waits until all
   open waits were closed by their connections, at most MILLISECONDS. */
void wait_stop_all(struct http_server *server, int milliseconds);
