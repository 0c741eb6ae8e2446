/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Child processes: started with a clean set of descriptors, in a process
   group of their own, optionally as another account and under limits. */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/error.h"

struct child_options
{
  const char *const *argv;        /* argv[0] is looked up in PATH */
  const char *const *environment; /* NULL = only PATH, HOME, LANG, TZ of ours */
  const char *folder;             /* working folder; NULL = ours */
  int input;                      /* the child's descriptor 0; -1 = /dev/null */
  int output;                     /* 1; -1 = /dev/null */
  int errors;                     /* 2; -1 = same as ours */
  int extra;                      /* 3; -1 = none */
  bool drop_privileges;           /* switch to `user` and `group` (needs root) */
  uid_t user;
  gid_t group;
  uint64_t limit_memory;   /* RLIMIT_AS in bytes; 0 = none */
  uint64_t limit_cpu;      /* RLIMIT_CPU in seconds; 0 = none */
  uint64_t limit_file;     /* RLIMIT_FSIZE in bytes; 0 = none */
  int niceness;            /* added to ours */
  bool die_with_parent;    /* SIGKILL when the starting thread's process ends */
  const atomic_bool *quit; /* child_run ends it soon after this is true; NULL = never */
  bool output_is_whole;    /* child_run ends it when it prints more than is kept */
};

/* All descriptors -1, the rest zero. */
#define CHILD_OPTIONS_INIT                               \
  {                                                      \
    .input = -1, .output = -1, .errors = -1, .extra = -1 \
  }

struct child
{
  pid_t pid; /* also the process group; 0 = none */
  int pidfd; /* readable when it has ended; owned */
};

#define CHILD_INIT        \
  {                       \
    .pid = 0, .pidfd = -1 \
  }

/* Starts the program. A program that cannot be executed is an error here
   (-ENOENT, -EACCES ...), not an exit status. The caller keeps its own copies
   of the descriptors and must wait. */
int child_start(const struct child_options *options, struct child *ret, struct error *err);

/* Waits at most TIMEOUT_MS (-1 = for ever). 1 = ended, *RET_STATUS as of
   waitpid and the struct is cleared; 0 = still running; negative = error. */
int child_wait(struct child *child, int timeout_ms, int *ret_status);

/* Sends SIGNAL to the whole group. */
void child_signal(const struct child *child, int signal);

/* SIGTERM to the group; SIGKILL to what is left of it when the child has ended, or after
   GRACE_MS; waits. Nothing for pid 0. */
void child_stop(struct child *child, int grace_ms);

/* One line about a waitpid status: "exit status 1", "killed by signal 9". */
const char *child_status_text(int status, char text[64]);

/* Runs to the end and collects what it printed on 1 and 2 (at most LIMIT bytes
   are kept; NULL = not wanted). Returns 0 for exit status 0, else an error that
   ends in the output's last line. TIMEOUT_MS -1 = none; on time-out the group
   is killed and the result is -ETIMEDOUT; likewise -ECANCELED after `quit`, and -EFBIG beyond
   LIMIT with `output_is_whole`. Descriptors in OPTIONS are ignored save `input`. */
struct buf;
int child_run(const struct child_options *options, int timeout_ms, size_t limit,
              struct buf *ret_output, struct error *err);
