/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What a killed server or a killed PostgreSQL leaves behind. The folder's lock
   is ours here, so no living server of ours looks after what we find. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "db/cluster_private.h"

/* A fast shutdown ends with a checkpoint, which may have much to write. */
#define FAST_SHUTDOWN_MS 120000
#define HARD_SHUTDOWN_MS 10000

/* True when the process ended within TIMEOUT_MS. */
static bool
wait_end(int pidfd, int timeout_ms)
{
  int64_t deadline = clock_monotonic_ms() + timeout_ms;
  for (;;) {
    struct pollfd watch = { .fd = pidfd, .events = POLLIN };
    int64_t left = deadline - clock_monotonic_ms();
    int ready = poll(&watch, 1, left > 0 ? (int) left : 0);
    if (ready >= 0 || errno != EINTR)
      return ready > 0;
  }
}

int
cluster_postmaster_end(int pidfd, struct error *err)
{
  static const struct
  {
    int signal;
    int patience_ms;
  } steps[] = {
    { SIGINT, FAST_SHUTDOWN_MS },  /* disconnects clients, checkpoints */
    { SIGQUIT, HARD_SHUTDOWN_MS }, /* at once; recovery at the next start */
    { SIGKILL, HARD_SHUTDOWN_MS },
  };
  for (size_t i = 0; i < ARRAY_SIZE(steps); i++) {
    if (syscall(SYS_pidfd_send_signal, pidfd, steps[i].signal, NULL, 0) != 0 && errno != ESRCH)
      return error_set_errno(err, "cannot stop PostgreSQL");
    if (wait_end(pidfd, steps[i].patience_ms))
      return 0;
  }
  return error_set(err, -ETIMEDOUT, "PostgreSQL does not end, not even by SIGKILL");
}

/* Only the postmaster keeps its arguments; its children rename themselves. */
static bool
is_postmaster_of(pid_t pid, const char *data)
{
  char path[64];
  snprintf(path, sizeof path, "/proc/%d/cmdline", (int) pid);
  CLEANUP_BUF struct buf text = { 0 };
  if (file_read_all(path, 65536, &text, NULL) < 0)
    return false;
  struct str rest = buf_str(&text);
  struct str argument;
  if (!str_split(&rest, '\0', &argument)
      || !(str_ends(argument, STR("/postgres")) || str_equal(argument, STR("postgres"))))
    return false;
  while (str_split(&rest, '\0', &argument))
    if (str_equal(argument, str_of(data)))
      return true;
  return false;
}

/* The first line of postmaster.pid; 0 = there is none. */
static pid_t
recorded_pid(struct str contents)
{
  struct str line;
  int64_t pid;
  if (!str_split(&contents, '\n', &line) || str_to_i64(str_trim(line), &pid) < 0 || pid < 2
      || pid > INT32_MAX)
    return 0;
  return (pid_t) pid;
}

/* A number in postmaster.pid that now belongs to some other process would keep
   PostgreSQL from starting. The file must stay, since its shared memory key is
   how PostgreSQL notices backends that outlived their postmaster; so we put our
   own number in, and PostgreSQL takes its parent's for a stale one. */
static int
disown(const char *path, struct str contents, struct error *err)
{
  CLEANUP_BUF struct buf text = { 0 };
  struct str line;
  (void) str_split(&contents, '\n', &line);
  buf_printf(&text, "%d\n", (int) getpid());
  buf_append_str(&text, contents);
  /* In place, so that it stays the account's. */
  CLEANUP_FD int fd = open(path, O_WRONLY | O_TRUNC | O_NOFOLLOW | O_CLOEXEC);
  if (fd < 0 || file_write_full(fd, text.data, text.size) < 0)
    return error_set_errno(err, "cannot rewrite %s", path);
  return 0;
}

static int
end_recorded(const struct cluster *cluster, struct error *err)
{
  CLEANUP_FREE char *path = mem_printf("%s/postmaster.pid", cluster->data);
  CLEANUP_BUF struct buf contents = { 0 };
  if (!file_exists(path))
    return 0;
  int r = file_read_all(path, 65536, &contents, err);
  if (r < 0)
    return r;
  pid_t pid = recorded_pid(buf_str(&contents));
  CLEANUP_FD int pidfd = pid > 0 ? (int) syscall(SYS_pidfd_open, pid, 0) : -1;
  if (pidfd < 0)
    return 0; /* dead: PostgreSQL itself sees that */
  if (is_postmaster_of(pid, cluster->data))
    return cluster_postmaster_end(pidfd, err);
  return disown(path, buf_str(&contents), err);
}

int
cluster_leftover_end(const struct cluster *cluster, struct error *err)
{
  static const char *const names[] = { ".s.PGSQL.5432", ".s.PGSQL.5432.lock" };
  int r = end_recorded(cluster, err);
  if (r < 0)
    return error_prefix(err, "a database left running in %s", cluster->folder);
  /* No postmaster of this folder runs now, so these have no owner. */
  for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
    CLEANUP_FREE char *path = mem_printf("%s/%s", cluster->socket, names[i]);
    if (unlink(path) != 0 && errno != ENOENT)
      return error_set_errno(err, "cannot remove %s", path);
  }
  return 0;
}
