/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "base/child.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/close_range.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"

#define ENVIRONMENT_MAX 8

/* Everything between fork and exec uses only async-signal-safe calls. */

static void
child_fail(int report)
{
  int number = errno;
  (void) !write(report, &number, sizeof number);
  _exit(127);
}

static bool
place_descriptors(const struct child_options *options)
{
  int wanted[] = { options->input, options->output, options->errors, options->extra };
  int null = open("/dev/null", O_RDWR | O_CLOEXEC);
  if (null < 0)
    return false;
  /* First above the target range, so that no source is overwritten early. */
  for (int i = 0; i < 4; i++) {
    int source = wanted[i];
    if (source < 0)
      source = i == 2 ? STDERR_FILENO : null;
    wanted[i] = i == 3 && options->extra < 0 ? -1 : fcntl(source, F_DUPFD_CLOEXEC, 10);
    if (wanted[i] < 0 && !(i == 3 && options->extra < 0))
      return false;
  }
  for (int i = 0; i < 4; i++)
    if (wanted[i] >= 0 && dup2(wanted[i], i) < 0)
      return false;
  return true;
}

static bool
limit(int resource, uint64_t value)
{
  if (value == 0)
    return true;
  struct rlimit bound = { value, value };
  return setrlimit(resource, &bound) == 0;
}

static bool
drop_privileges(const struct child_options *options)
{
  if (!options->drop_privileges)
    return true;
  return setgroups(0, NULL) == 0 && setresgid(options->group, options->group, options->group) == 0
         && setresuid(options->user, options->user, options->user) == 0;
}

static bool
prepare(const struct child_options *options, pid_t parent)
{
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, NULL);
  for (int s = 1; s < 32; s++)
    if (s != SIGKILL && s != SIGSTOP)
      signal(s, SIG_DFL);
  setpgid(0, 0);
  if (options->niceness != 0)
    (void) !nice(options->niceness);
  if (!place_descriptors(options) || !limit(RLIMIT_AS, options->limit_memory)
      || !limit(RLIMIT_CPU, options->limit_cpu) || !limit(RLIMIT_FSIZE, options->limit_file)
      || !drop_privileges(options))
    return false;
  if (options->die_with_parent) {
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0)
      return false;
    if (getppid() != parent)
      _exit(127);
  }
  return options->folder == NULL || chdir(options->folder) == 0;
}

static PN_NORETURN void
child_main(const struct child_options *options, const char *const *environment, int report,
           pid_t parent)
{
  if (!prepare(options, parent))
    child_fail(report);
  int high = fcntl(report, F_DUPFD_CLOEXEC, 10);
  int first = options->extra >= 0 ? 4 : 3;
  /* Leave `high` open (close-on-exec) so that a failing exec can be told. */
  if (high > first)
    syscall(SYS_close_range, (unsigned) first, (unsigned) high - 1, 0U);
  syscall(SYS_close_range, (unsigned) high + 1, ~0U, 0U);
  execvpe(options->argv[0], (char *const *) options->argv, (char *const *) environment);
  child_fail(high);
  _exit(127);
}

/* Children get no secrets: only these variables of ours. */
static size_t
default_environment(char *ret[ENVIRONMENT_MAX])
{
  static const char *const names[] = { "PATH", "HOME", "LANG", "TZ" };
  size_t count = 0;
  for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
    const char *value = getenv(names[i]);
    if (value != NULL)
      ret[count++] = mem_printf("%s=%s", names[i], value);
  }
  ret[count] = NULL;
  return count;
}

/* Waits for the exec: 0 when it happened, else the child's errno, negated. */
static int
exec_result(int report)
{
  int number;
  int r = file_read_full(report, &number, sizeof number);
  return r == -EPIPE ? 0 : r < 0 ? r : -number;
}

static int
fork_child(const struct child_options *options, const char *const *environment, pid_t *ret_pid)
{
  CLEANUP_FD int read_end = -1;
  CLEANUP_FD int write_end = -1;
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0)
    return -errno;
  read_end = ends[0];
  write_end = ends[1];
  pid_t parent = getpid();
  pid_t pid = fork();
  if (pid < 0)
    return -errno;
  if (pid == 0)
    child_main(options, environment, write_end, parent);
  file_closep(&write_end);
  int r = exec_result(read_end);
  if (r < 0) {
    waitpid(pid, NULL, 0);
    return r;
  }
  *ret_pid = pid;
  return 0;
}

int
child_start(const struct child_options *options, struct child *ret, struct error *err)
{
  char *defaults[ENVIRONMENT_MAX];
  size_t count = 0;
  const char *const *environment = options->environment;
  if (environment == NULL) {
    count = default_environment(defaults);
    environment = (const char *const *) defaults;
  }
  pid_t pid = 0;
  int r = fork_child(options, environment, &pid);
  for (size_t i = 0; i < count; i++)
    free(defaults[i]);
  if (r < 0) {
    errno = -r;
    return error_set_errno(err, "cannot run %s", options->argv[0]);
  }
  int pidfd = (int) syscall(SYS_pidfd_open, pid, 0);
  if (pidfd < 0) {
    r = error_set_errno(err, "cannot watch %s", options->argv[0]);
    kill(-pid, SIGKILL);
    waitpid(pid, NULL, 0);
    return r;
  }
  fcntl(pidfd, F_SETFD, FD_CLOEXEC);
  *ret = (struct child) { .pid = pid, .pidfd = pidfd };
  return 0;
}

/* 1 = it has ended, and is a zombie yet; 0 = time is up. */
static int
await_end(const struct child *child, int timeout_ms)
{
  struct pollfd watch = { .fd = child->pidfd, .events = POLLIN };
  int64_t deadline = clock_monotonic_ms() + timeout_ms;
  int ready;
  do {
    int64_t left = deadline - clock_monotonic_ms();
    ready = poll(&watch, 1, timeout_ms < 0 ? -1 : left < 0 ? 0 : (int) left);
  } while (ready < 0 && errno == EINTR);
  return ready < 0 ? -errno : ready;
}

int
child_wait(struct child *child, int timeout_ms, int *ret_status)
{
  int r = await_end(child, timeout_ms);
  if (r <= 0)
    return r;
  if (waitpid(child->pid, ret_status, 0) < 0)
    return -errno;
  file_closep(&child->pidfd);
  child->pid = 0;
  return 1;
}

void
child_signal(const struct child *child, int signal)
{
  if (child->pid > 0)
    kill(-child->pid, signal);
}

void
child_stop(struct child *child, int grace_ms)
{
  int status;
  if (child->pid <= 0)
    return;
  child_signal(child, SIGTERM);
  (void) await_end(child, grace_ms);
  /* Others of the group may go on when it has ended itself; and as long as it was not
     waited for, the group's number is nobody else's. */
  child_signal(child, SIGKILL);
  (void) child_wait(child, -1, &status);
}

const char *
child_status_text(int status, char text[64])
{
  if (WIFSIGNALED(status))
    snprintf(text, 64, "killed by signal %d", WTERMSIG(status));
  else
    snprintf(text, 64, "exit status %d", WEXITSTATUS(status));
  return text;
}

#define QUIT_LOOK_MS 200

/* Reads until end of file or the deadline; keeps the last LIMIT bytes. */
static int
collect(int fd, int64_t deadline, const struct child_options *options, size_t limit,
        struct buf *output)
{
  const atomic_bool *quit = options->quit;
  for (;;) {
    struct pollfd watch = { .fd = fd, .events = POLLIN };
    int64_t left = deadline < 0 ? -1 : deadline - clock_monotonic_ms();
    if (quit != NULL && *quit)
      return -ECANCELED;
    if (deadline >= 0 && left <= 0)
      return -ETIMEDOUT;
    if (quit != NULL && (left < 0 || left > QUIT_LOOK_MS))
      left = QUIT_LOOK_MS;
    if (poll(&watch, 1, (int) left) <= 0)
      continue;
    ssize_t got = read(fd, buf_reserve(output, 8192), 8192);
    if (got < 0 && errno == EINTR)
      continue;
    if (got <= 0)
      return 0;
    output->size += (size_t) got;
    if (output->size > limit && options->output_is_whole)
      return -EFBIG;
    if (output->size > limit)
      buf_consume(output, output->size - limit);
  }
}

static struct str
last_line(struct str text)
{
  text = str_trim(text);
  for (size_t i = text.size; i > 0; i--)
    if (text.data[i - 1] == '\n')
      return str_from(text, i);
  return text;
}

static int
run_result(const char *name, int r, int status, struct str output, struct error *err)
{
  char text[64];
  struct str line = last_line(output);
  if (r == -ETIMEDOUT)
    return error_set(err, r, "%s took too long and was ended", name);
  if (r == -ECANCELED)
    return error_set(err, r, "%s was ended: the server stops", name);
  if (r == -EFBIG)
    return error_set(err, r, "%s printed too much and was ended", name);
  if (status == 0)
    return 0;
  if (line.size > 300)
    line.size = 300;
  return error_set(err, -ECHILD, "%s failed (%s)%s%.*s", name, child_status_text(status, text),
                   line.size > 0 ? ": " : "", STR_FMT(line));
}

int
child_run(const struct child_options *options, int timeout_ms, size_t limit, struct buf *ret_output,
          struct error *err)
{
  CLEANUP_BUF struct buf own = { 0 };
  struct buf *output = ret_output != NULL ? ret_output : &own;
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0)
    return error_set_errno(err, "cannot make a pipe");
  CLEANUP_FD int read_end = ends[0];
  CLEANUP_FD int write_end = ends[1];
  struct child_options with_pipe = *options;
  with_pipe.output = with_pipe.errors = write_end;
  struct child child = CHILD_INIT;
  int r = child_start(&with_pipe, &child, err);
  if (r < 0)
    return r;
  file_closep(&write_end);
  int64_t deadline = timeout_ms < 0 ? -1 : clock_monotonic_ms() + timeout_ms;
  r = collect(read_end, deadline, options, ret_output != NULL ? limit : 4096, output);
  if (r < 0)
    child_signal(&child, SIGKILL);
  int status = 0;
  (void) child_wait(&child, -1, &status);
  return run_result(options->argv[0], r, status, buf_str(output), err);
}
