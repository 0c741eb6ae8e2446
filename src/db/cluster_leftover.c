/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What a killed server, a killed PostgreSQL or a power cut leaves behind. The
   folder's lock is ours here, so no living server of ours looks after what we find. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "db/cluster_private.h"

/* A fast shutdown ends with a checkpoint, which may have much to write. */
#define FAST_SHUTDOWN_MS 120000
#define HARD_SHUTDOWN_MS 10000
/* What a dead postmaster has started ends by itself, once it looks up. */
#define ORPHAN_MS 10000
#define PID_FILE_MAX 65536

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

/* ---- who is it? ---- */

/* The arguments of a process, each with a NUL behind it; empty when it is gone. */
static void
read_arguments(pid_t pid, struct buf *ret)
{
  char path[64];
  snprintf(path, sizeof path, "/proc/%d/cmdline", (int) pid);
  if (file_read_all(path, 65536, ret, NULL) < 0)
    ret->size = 0;
}

/* All processes of a PostgreSQL work inside its data folder. A path alone says little: that of
   another root of this machine reads the same. */
static bool
is_inside(pid_t pid, const char *data)
{
  char path[64];
  struct stat theirs;
  struct stat ours;
  snprintf(path, sizeof path, "/proc/%d/cwd", (int) pid);
  return stat(path, &theirs) == 0 && stat(data, &ours) == 0 && theirs.st_dev == ours.st_dev
         && theirs.st_ino == ours.st_ino;
}

/* Only the postmaster keeps its arguments; its children rename themselves. */
static bool
is_postmaster_of(pid_t pid, const char *data)
{
  CLEANUP_BUF struct buf text = { 0 };
  read_arguments(pid, &text);
  struct str rest = buf_str(&text);
  struct str argument;
  if (!str_split(&rest, '\0', &argument)
      || !(str_ends(argument, STR("/postgres")) || str_equal(argument, STR("postgres"))))
    return false;
  while (str_split(&rest, '\0', &argument))
    if (str_equal(argument, str_of(data)))
      return is_inside(pid, data);
  return false;
}

/* A postmaster of the data folder, by whatever path it was given, or a child of one. */
static bool
works_in(pid_t pid, const char *data)
{
  if (!is_inside(pid, data))
    return false;
  CLEANUP_BUF struct buf text = { 0 };
  read_arguments(pid, &text);
  struct str program = { 0 };
  struct str rest = buf_str(&text);
  return str_split(&rest, '\0', &program)
         && (str_starts(program, STR("postgres:")) || str_ends(program, STR("/postgres"))
             || str_equal(program, STR("postgres")));
}

/* ---- the postmaster that postmaster.pid names ---- */

/* The first line of postmaster.pid; negative for a PostgreSQL of a single user; 0 =
   there is none, and PostgreSQL calls the file bogus and does not start. */
static pid_t
recorded_pid(struct str contents)
{
  struct str line;
  int64_t pid;
  if (!str_split(&contents, '\n', &line) || str_to_i64(str_trim(line), &pid) < 0 || pid < -INT32_MAX
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
end_recorded(const struct cluster *cluster, pid_t pid, const char *path, struct str contents,
             struct error *err)
{
  CLEANUP_FD int pidfd = pid > 1 ? (int) syscall(SYS_pidfd_open, pid, 0) : -1;
  if (pidfd < 0)
    return 0; /* dead: PostgreSQL itself sees that */
  if (is_postmaster_of(pid, cluster->data))
    return cluster_postmaster_end(pidfd, err);
  return disown(path, contents, err);
}

/* ---- one that no file names ---- */

typedef int visit_process(const struct cluster *cluster, pid_t pid, int pidfd, struct error *err);

static int
end_postmaster(const struct cluster *cluster, pid_t pid, int pidfd, struct error *err)
{
  return is_postmaster_of(pid, cluster->data) ? cluster_postmaster_end(pidfd, err) : 0;
}

static int
await_orphan(const struct cluster *cluster, pid_t pid, int pidfd, struct error *err)
{
  if (!works_in(pid, cluster->data) || wait_end(pidfd, ORPHAN_MS))
    return 0;
  error_set(err, -EBUSY, "process %d of a PostgreSQL still works in %s", (int) pid, cluster->data);
  return error_hint(err, "end it: kill -QUIT %d", (int) pid);
}

/* VISIT asks who the process is after its descriptor was opened: so the number cannot
   pass to another in between. */
static int
for_each_process(const struct cluster *cluster, visit_process *visit, struct error *err)
{
  DIR *folder = opendir("/proc");
  if (folder == NULL)
    return error_set_errno(err, "cannot list the processes in /proc");
  int r = 0;
  for (const struct dirent *entry; r == 0 && (entry = readdir(folder)) != NULL;) {
    int64_t pid;
    if (str_to_i64(str_of(entry->d_name), &pid) < 0 || pid == getpid())
      continue;
    CLEANUP_FD int pidfd = (int) syscall(SYS_pidfd_open, (pid_t) pid, 0);
    if (pidfd >= 0)
      r = visit(cluster, (pid_t) pid, pidfd, err);
  }
  closedir(folder);
  return r;
}

/* In another container, say, where /proc does not show it. */
static int
check_nobody_listens(const struct cluster *cluster, struct error *err)
{
  struct sockaddr_un address = { .sun_family = AF_UNIX };
  snprintf(address.sun_path, sizeof address.sun_path, "%s/.s.PGSQL.5432", cluster->socket);
  CLEANUP_FD int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0)
    return error_set_errno(err, "cannot make a socket");
  /* EAGAIN: somebody listens, whose queue is full. */
  if (connect(fd, (struct sockaddr *) &address, sizeof address) != 0 && errno != EAGAIN)
    return 0;
  error_set(err, -EBUSY, "a PostgreSQL that /proc does not show listens at %s", address.sun_path);
  return error_hint(err, "stop it: it may run in another container");
}

/* postmaster.pid is not there or, after a power cut or on a full disk, says nothing.
   Such a file keeps PostgreSQL from starting for ever, so it goes, once it is sure
   that no PostgreSQL works on the data any more. */
static int
end_unrecorded(const struct cluster *cluster, const char *path, struct error *err)
{
  int r = for_each_process(cluster, end_postmaster, err);
  if (r == 0)
    r = for_each_process(cluster, await_orphan, err);
  if (r == 0)
    r = check_nobody_listens(cluster, err);
  if (r < 0)
    return r;
  if (unlink(path) != 0 && errno != ENOENT)
    return error_set_errno(err, "cannot remove %s", path);
  return 0;
}

/* ---- all of it ---- */

static int
end_postmasters(const struct cluster *cluster, struct error *err)
{
  CLEANUP_FREE char *path = mem_printf("%s/postmaster.pid", cluster->data);
  CLEANUP_BUF struct buf contents = { 0 };
  int r = file_read_all(path, PID_FILE_MAX, &contents, NULL);
  if (r < 0 && r != -ENOENT && r != -EFBIG) {
    errno = -r;
    return error_set_errno(err, "cannot read %s", path);
  }
  pid_t pid = r < 0 ? 0 : recorded_pid(buf_str(&contents));
  if (pid == 0)
    return end_unrecorded(cluster, path, err);
  return end_recorded(cluster, pid, path, buf_str(&contents), err);
}

int
cluster_leftover_end(const struct cluster *cluster, struct error *err)
{
  static const char *const names[] = { ".s.PGSQL.5432", ".s.PGSQL.5432.lock" };
  int r = end_postmasters(cluster, err);
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
