/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The process between the server and an evaluator, and looking at what is below it. */
#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/map.h"
#include "base/mem.h"
#include "evaluation/evaluation_private.h"

#define STAT_MAX 4096
#define END_MS 5000 /* for killed processes to be gone: less than process_free gives us */
#define LOOK_MS 5   /* between looks at them */

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

/* The status with which CHILD ends, that of SIGTERM when we are asked to end. */
static int
await(pid_t child, const sigset_t *signals)
{
  for (;;) {
    int status;
    pid_t ended;
    while ((ended = waitpid(-1, &status, WNOHANG | __WALL)) > 0)
      if (ended == child)
        return status;
    if (sigwaitinfo(signals, NULL) == SIGTERM)
      return SIGTERM;
  }
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

/* By the same signal, without a core of our own. */
static int
end_as(int status)
{
  if (!WIFSIGNALED(status))
    return WEXITSTATUS(status);
  const struct rlimit none = { 0, 0 };
  sigset_t all;
  setrlimit(RLIMIT_CORE, &none);
  signal(WTERMSIG(status), SIG_DFL);
  sigfillset(&all);
  sigprocmask(SIG_UNBLOCK, &all, NULL);
  raise(WTERMSIG(status));
  return 128 + WTERMSIG(status);
}

int
evaluation_keep(char **argv)
{
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGCHLD);
  sigaddset(&signals, SIGTERM);
  sigprocmask(SIG_BLOCK, &signals, NULL);
  /* SIGKILL until now (child_start): no chance to end others, of which there are none. */
  if (argv[0] == NULL || prctl(PR_SET_CHILD_SUBREAPER, 1) != 0
      || prctl(PR_SET_PDEATHSIG, SIGTERM) != 0)
    return 127;
  pid_t keeper = getpid();
  pid_t child = fork();
  if (child == 0)
    become(argv, keeper);
  if (child < 0)
    return 127;
  /* Whoever waits for the end of the evaluator's output must not wait for ours. */
  static const int theirs[] = { STDIN_FILENO, STDOUT_FILENO, 3 };
  for (size_t i = 0; i < ARRAY_SIZE(theirs); i++)
    close(theirs[i]);
  int status = await(child, &signals);
  end_all();
  return end_as(status);
}
