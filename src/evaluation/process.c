/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Guix as a child: its words go to the log, its results to a pipe, and it ends
   when it takes more memory or time than the specification allows. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "evaluation/evaluation_private.h"

#define LOOK_EVERY_MS 1000
#define ARGUMENTS_MAX 64
#define FINISH_MS 60000
#define KEEPER_SLACK_MS 10000 /* the keeper is to tell first that time is up */
#define STOP_MS 10000         /* for the keeper to end all others */
#define LOG_MAX (256 << 20)   /* bytes: a channel's code can print for ever */
/* Of the results' pipe: while we store what came, Guix can go on for half a
   minute. What any user may have; less does no harm. */
#define PIPE_BYTES (1 << 20)

const char evaluator_path[] =
    "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:"
    "/run/current-system/profile/bin:/var/guix/profiles/per-user/root/current-guix/bin";

struct process
{
  struct child child; /* the keeper (keeper.c), and its group */
  int release;        /* its standard input: a line lets it go */
  int results;        /* what it writes on descriptor 3 */
  int log;
  int64_t deadline_ms;
  int64_t next_look_ms;
  bool ended; /* the keeper: with `status`, as of waitpid */
  int status;
};

/* ---- limits ---- */

/* Those that only this side sees; the keeper looks after the others, whatever we are
   busy with. Without it, time is still up some time. */
static int
check_limits(struct process *process, struct error *err)
{
  int64_t now = clock_monotonic_ms();
  if (now >= process->deadline_ms)
    return error_set(err, -ETIMEDOUT, "the evaluation took longer than time_limit_s allows");
  if (now < process->next_look_ms)
    return 0;
  process->next_look_ms = now + LOOK_EVERY_MS;
  struct stat log;
  if (fstat(process->log, &log) == 0 && log.st_size > LOG_MAX)
    return error_set(err, -EFBIG, "the evaluation's log grew beyond %d MiB", LOG_MAX >> 20);
  return 0;
}

int
process_explain(int status, struct error *err)
{
  int code = WIFEXITED(status) ? WEXITSTATUS(status) : 0;
  if (code == KEEPER_OUT_OF_MEMORY)
    return error_set(err, -ENOMEM, "the evaluator took more memory than memory_limit_mb allows");
  if (code == KEEPER_OUT_OF_TIME)
    return error_set(err, -ETIMEDOUT, "the evaluation took longer than time_limit_s allows");
  return 0;
}

/* ---- starting ---- */

static size_t
append_words(const char **argv, size_t count, const char *const *words)
{
  for (; *words != NULL && count + 1 < ARGUMENTS_MAX; words++)
    argv[count++] = *words;
  argv[count] = NULL;
  return count;
}

static int
start_child(const struct workspace *workspace, const char *const *argv, int input, int results,
            int log, struct child *ret, struct error *err)
{
  CLEANUP_FREE char *home = mem_printf("HOME=%s", workspace->home);
  const char *environment[] = {
    home, evaluator_path, "LC_ALL=C.UTF-8", "GUILE_AUTO_COMPILE=0", NULL,
  };
  struct child_options options = CHILD_OPTIONS_INIT;
  options.argv = argv;
  options.environment = environment;
  options.folder = "/";
  options.input = input;
  options.output = options.errors = log;
  options.extra = results;
  options.niceness = 5;
  options.die_with_parent = true;
  return child_start(&options, ret, err);
}

static void
fill_arguments(const struct evaluations *evaluations, const struct specification *specification,
               const char *script, const char *request, const char *channels, char limits[2][24],
               const char **argv)
{
  const char *const time_machine[] = { "time-machine", "-C", channels, "--", NULL };
  const char *const repl[] = { "repl", "--", script, request, NULL };
  /* Ourselves, though another version lies at our path by now. */
  snprintf(limits[0], sizeof limits[0], "%lld", (long long) specification->memory_limit);
  snprintf(limits[1], sizeof limits[1], "%lld", (long long) specification->time_limit_s);
  const char *const keeper[] = { "/proc/self/exe", KEEPER_COMMAND, limits[0], limits[1], NULL };
  size_t count = append_words(argv, 0, keeper);
  count = append_words(argv, count, (const char *const *) evaluations->guix);
  if (specification->mode == SPECIFICATION_TIME_MACHINE)
    count = append_words(argv, count, time_machine);
  (void) append_words(argv, count, repl);
}

int
process_start(struct evaluations *evaluations, const struct workspace *workspace,
              const struct specification *specification, const char *request, struct process **ret,
              struct error *err)
{
  int input[2];
  int output[2];
  if (pipe2(input, O_CLOEXEC) != 0)
    return error_set_errno(err, "cannot make a pipe");
  CLEANUP_FD int input_read = input[0];
  CLEANUP_FD int input_write = input[1];
  if (pipe2(output, O_CLOEXEC) != 0)
    return error_set_errno(err, "cannot make a pipe");
  CLEANUP_FD int output_read = output[0];
  CLEANUP_FD int output_write = output[1];
  (void) fcntl(output_read, F_SETPIPE_SZ, PIPE_BYTES);

  CLEANUP_FREE char *script = mem_printf("%s/evaluate.scm", workspace->inside);
  CLEANUP_FREE char *channels = mem_printf("%s/channels.scm", workspace->inside);
  const char *argv[ARGUMENTS_MAX];
  char limits[2][24];
  fill_arguments(evaluations, specification, script, request, channels, limits, argv);
  struct child child = CHILD_INIT;
  CLEANUP_FD int log = open(workspace->log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
  if (log < 0)
    return error_set_errno(err, "cannot write %s", workspace->log);
  int r = start_child(workspace, argv, input_read, output_write, log, &child, err);
  if (r < 0)
    return r;
  struct process *process = mem_alloc(sizeof *process);
  *process = (struct process) {
    .child = child,
    .release = TAKE_FD(input_write),
    .results = TAKE_FD(output_read),
    .log = TAKE_FD(log),
    .deadline_ms =
        clock_monotonic_ms() + (int64_t) specification->time_limit_s * 1000 + KEEPER_SLACK_MS,
  };
  *ret = process;
  return 0;
}

/* ---- reading ---- */

/* As child_wait, but may be asked again. */
static int
await_end(struct process *process, int timeout_ms)
{
  if (process->ended)
    return 1;
  int r = child_wait(&process->child, timeout_ms, &process->status);
  process->ended = r == 1;
  return r;
}

int
process_read(struct process *process, int timeout_ms, struct buf *ret, struct error *err)
{
  int r = check_limits(process, err);
  if (r < 0)
    return r;
  struct pollfd watch = { .fd = process->results, .events = POLLIN };
  if (poll(&watch, 1, timeout_ms) <= 0)
    return await_end(process, 0) != 0 ? -ENODATA : 0; /* whoever else may hold its output open */
  ssize_t got = read(process->results, buf_reserve(ret, 65536), 65536);
  if (got < 0)
    return errno == EINTR ? 0 : error_set_errno(err, "cannot read the evaluator's results");
  ret->size += (size_t) got;
  return got == 0 ? -ENODATA : 1;
}

int
process_wait(struct process *process, int timeout_ms)
{
  return await_end(process, timeout_ms) == 1 ? process->status : -ETIMEDOUT;
}

int
process_finish(struct process *process, struct error *err)
{
  (void) !write(process->release, "\n", 1);
  file_closep(&process->release);
  char text[64];
  int r = await_end(process, FINISH_MS);
  if (r == 0)
    return error_set(err, -ETIMEDOUT, "the evaluator did not end");
  if (r < 0)
    return error_set(err, r, "cannot wait for the evaluator");
  r = process_explain(process->status, err);
  if (r < 0)
    return r;
  return process->status == 0 ? 0
                              : error_set(err, -ECHILD, "guix failed (%s)",
                                          child_status_text(process->status, text));
}

void
process_free(struct process *process)
{
  if (process == NULL)
    return;
  child_stop(&process->child, STOP_MS);
  file_closep(&process->release);
  file_closep(&process->results);
  file_closep(&process->log);
  free(process);
}
