/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The process between the server and an evaluator, and looking at what is below it. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/map.h"
#include "base/mem.h"
#include "evaluation/evaluation_private.h"

#define STAT_MAX 4096
#define END_MS 5000 /* for killed processes to be gone: less than process_free gives us */
#define LOOK_MS 5   /* between looks at them */
#define LIMITS_EVERY_S 1
#define OWN_DESCRIPTORS 10 /* and above */

/* ---- kin ---- */

struct sighting
{
  struct kin kin;
  pid_t parent;
};

struct sightings
{
  struct sighting *items;
  size_t count, capacity;
};

/* Nothing when it is gone. */
static void
see(struct sightings *sightings, const char *pid)
{
  char path[300];
  CLEANUP_BUF struct buf text = { 0 };
  snprintf(path, sizeof path, "/proc/%s/stat", pid);
  if (file_read_all(path, STAT_MAX, &text, NULL) < 0)
    return;
  /* After the command in parentheses: state, parent, ..., rss as 22nd. */
  const char *end = strrchr(buf_text(&text), ')');
  uint64_t number = 0;
  if (end == NULL || str_to_u64(str_of(pid), &number) < 0)
    return;
  struct str rest = str_of(end + 1);
  struct str field;
  uint64_t fields[23] = { 0 };
  for (size_t i = 0; i < ARRAY_SIZE(fields) && str_split(&rest, ' ', &field); i++)
    (void) !str_to_u64(field, &fields[i]);
  mem_grow(&sightings->items, &sightings->capacity, sightings->count + 1, sizeof *sightings->items);
  sightings->items[sightings->count++] = (struct sighting) {
    .kin = { (pid_t) number, (int64_t) fields[22] * sysconf(_SC_PAGESIZE) },
    .parent = (pid_t) fields[2],
  };
}

static struct sightings
see_all(void)
{
  struct sightings ret = { 0 };
  DIR *processes = opendir("/proc");
  if (processes == NULL)
    return ret;
  const struct dirent *entry;
  while ((entry = readdir(processes)) != NULL)
    if (entry->d_name[0] >= '1' && entry->d_name[0] <= '9')
      see(&ret, entry->d_name);
  closedir(processes);
  return ret;
}

struct kin *
kin_of(pid_t root, size_t *ret_count)
{
  struct sightings all = see_all();
  struct kin *kin = mem_array(all.count + 1, sizeof *kin);
  struct int_map below = { 0 };
  size_t count = 0, before;
  int_map_put(&below, root, kin);
  do { /* a generation, or more, each time */
    before = count;
    for (size_t i = 0; i < all.count; i++)
      if (int_map_get(&below, all.items[i].parent) != NULL
          && int_map_put(&below, all.items[i].kin.pid, kin) == NULL)
        kin[count++] = all.items[i].kin;
  } while (count > before);
  int_map_free(&below);
  free(all.items);
  *ret_count = count;
  return kin;
}

/* ---- keeping ---- */

static PN_NORETURN void
become(char **argv, pid_t keeper)
{
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, NULL);
  if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0 || getppid() != keeper)
    _exit(127);
  execvp(argv[0], argv);
  fprintf(stderr, "cannot run %s: %s\n", argv[0], strerror(errno));
  _exit(127);
}

/* ---- a namespace for it ---- */

static bool
write_proc(const char *path, const char *text)
{
  CLEANUP_FD int fd = open(path, O_WRONLY | O_CLOEXEC);
  return fd >= 0 && write(fd, text, strlen(text)) == (ssize_t) strlen(text);
}

/* The next child is the first process of a namespace of its own: those inside see and
   signal nobody outside, not even us, and all end with that child. Root may do so; others
   where the kernel lets them have a user namespace (of themselves alone). */
static bool
separate(void)
{
  if (unshare(CLONE_NEWPID) == 0)
    return true;
  char map[64];
  uid_t uid = getuid();
  gid_t gid = getgid();
  if (unshare(CLONE_NEWUSER | CLONE_NEWPID) != 0)
    return false;
  snprintf(map, sizeof map, "%u %u 1", uid, uid);
  (void) write_proc("/proc/self/uid_map", map);
  (void) write_proc("/proc/self/setgroups", "deny");
  snprintf(map, sizeof map, "%u %u 1", gid, gid);
  (void) write_proc("/proc/self/gid_map", map);
  return true;
}

/* The first process of the namespace: tells REPORT how the command ended, and by ending
   itself ends whatever is left. Signals cannot say it: the first process ignores them. */
static PN_NORETURN void
be_first(char **argv, int report)
{
  pid_t ended;
  int status = 0;
  pid_t first = getpid();
  pid_t command = fork();
  if (command == 0)
    become(argv, first);
  static const int theirs[] = { STDIN_FILENO, STDOUT_FILENO, 3 };
  for (size_t i = 0; i < ARRAY_SIZE(theirs); i++)
    close(theirs[i]);
  while ((ended = waitpid(-1, &status, __WALL)) != command)
    if (ended < 0 && errno != EINTR)
      _exit(127);
  (void) !write(report, &status, sizeof status);
  _exit(0);
}

/* Of numbers that are not the command's. */
static bool
make_report(int ret[2])
{
  if (pipe2(ret, O_CLOEXEC) != 0)
    return false;
  for (int i = 0; i < 2; i++) {
    int fd = fcntl(ret[i], F_DUPFD_CLOEXEC, OWN_DESCRIPTORS);
    close(ret[i]);
    ret[i] = fd;
  }
  return ret[0] >= 0 && ret[1] >= 0;
}

/* Starts the command; *RET_REPORT: where its status comes from in the end, or -1 when
   that is the child's own. */
static pid_t
start_command(char **argv, int *ret_report)
{
  int report[2] = { -1, -1 };
  pid_t keeper = getpid();
  bool separated = make_report(report) && separate();
  pid_t child = fork();
  if (child == 0 && !separated)
    become(argv, keeper);
  if (child == 0 && prctl(PR_SET_PDEATHSIG, SIGKILL) == 0)
    be_first(argv, report[1]);
  file_closep(&report[1]);
  if (!separated)
    file_closep(&report[0]);
  *ret_report = report[0];
  return child;
}

/* ---- limits ---- */

struct limits
{
  int64_t memory; /* bytes, of all below us */
  int64_t end_ms;
};

/* Of all processes below us: time-machine runs Guix in several, and a channel's code may
   start its own. */
static int64_t
memory_below(void)
{
  int64_t total = 0;
  size_t count;
  CLEANUP_FREE struct kin *kin = kin_of(getpid(), &count);
  for (size_t i = 0; i < count; i++)
    total += kin[i].resident;
  return total;
}

/* As a status of wait, or 0. */
static int
exceeded(const struct limits *limits)
{
  if (clock_monotonic_ms() >= limits->end_ms)
    return W_EXITCODE(KEEPER_OUT_OF_TIME, 0);
  return memory_below() > limits->memory ? W_EXITCODE(KEEPER_OUT_OF_MEMORY, 0) : 0;
}

/* The status with which CHILD ends, that of SIGTERM when we are asked to end, or what
   says that a limit was exceeded. */
static int
await(pid_t child, const sigset_t *signals, const struct limits *limits)
{
  int64_t next_look_ms = 0;
  for (;;) {
    int status;
    pid_t ended;
    while ((ended = waitpid(-1, &status, WNOHANG | __WALL)) > 0)
      if (ended == child)
        return status;
    const struct timespec look = { .tv_sec = LIMITS_EVERY_S };
    if (sigtimedwait(signals, NULL, &look) == SIGTERM)
      return SIGTERM;
    if (clock_monotonic_ms() < next_look_ms)
      continue; /* however many children end meanwhile */
    next_look_ms = clock_monotonic_ms() + LIMITS_EVERY_S * 1000;
    status = exceeded(limits);
    if (status != 0)
      return status;
  }
}

static bool
read_limits(char **argv, struct limits *ret)
{
  int64_t seconds;
  if (argv[0] == NULL || argv[1] == NULL || str_to_i64(str_of(argv[0]), &ret->memory) < 0
      || str_to_i64(str_of(argv[1]), &seconds) < 0)
    return false;
  ret->end_ms = clock_monotonic_ms() + seconds * 1000;
  return true;
}

/* What the first process of the namespace told of the command. */
static int
told_status(int report)
{
  int status;
  ssize_t got = read(report, &status, sizeof status);
  return got == (ssize_t) sizeof status ? status : SIGKILL;
}

/* Until none is left: what loses its parent becomes our child. */
static void
end_all(void)
{
  int64_t deadline = clock_monotonic_ms() + END_MS;
  for (;;) {
    size_t count;
    CLEANUP_FREE struct kin *kin = kin_of(getpid(), &count);
    for (size_t i = 0; i < count; i++)
      kill(kin[i].pid, SIGKILL);
    pid_t ended;
    while ((ended = waitpid(-1, NULL, WNOHANG | __WALL)) > 0)
      continue;
    if (ended < 0 || clock_monotonic_ms() > deadline)
      return;
    clock_sleep_ms(LOOK_MS);
  }
}

/* By the same signal, without a core of our own. At once: what a sanitizer does at the
   end of a program it cannot do without the namespace of its children. */
static PN_NORETURN void
end_as(int status)
{
  if (!WIFSIGNALED(status))
    _exit(WEXITSTATUS(status));
  const struct rlimit none = { 0, 0 };
  sigset_t all;
  setrlimit(RLIMIT_CORE, &none);
  signal(WTERMSIG(status), SIG_DFL);
  sigfillset(&all);
  sigprocmask(SIG_UNBLOCK, &all, NULL);
  raise(WTERMSIG(status));
  _exit(128 + WTERMSIG(status));
}

int
evaluation_keep(char **argv)
{
  struct limits limits;
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGCHLD);
  sigaddset(&signals, SIGTERM);
  sigprocmask(SIG_BLOCK, &signals, NULL);
  /* SIGKILL until now (child_start): no chance to end others, of which there are none. */
  if (!read_limits(argv, &limits) || argv[2] == NULL || prctl(PR_SET_CHILD_SUBREAPER, 1) != 0
      || prctl(PR_SET_PDEATHSIG, SIGTERM) != 0)
    return 127;
  int report;
  pid_t child = start_command(argv + 2, &report);
  if (child < 0)
    return 127;
  /* Whoever waits for the end of the evaluator's output must not wait for ours. */
  static const int theirs[] = { STDIN_FILENO, STDOUT_FILENO, 3 };
  for (size_t i = 0; i < ARRAY_SIZE(theirs); i++)
    close(theirs[i]);
  int status = await(child, &signals, &limits);
  if (report >= 0 && status == 0)
    status = told_status(report);
  end_all();
  end_as(status);
}
