/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The build itself: one request to the daemon, its output into the spool, and
   what its failure means. */
#include <errno.h>
#include <stdio.h>
#include <sys/statvfs.h>

#include "agent/agent_private.h"
#include "base/mem.h"

#define DISK_FULL_BYTES (UINT64_C(1) << 30) /* less is left: too little for most builds */
#define DISK_FULL_FILES 10000

struct run
{
  struct attempt *attempt;
  struct guix_daemon *daemon;
  struct spool *spool;
  struct failure_signs signs;
  char message[768]; /* the daemon's words about the failure */
};

/* ---- what a failure means ---- */

static bool
mentions(struct str text, struct str words)
{
  return text.size >= words.size && memmem(text.data, text.size, words.data, words.size) != NULL;
}

void
failure_note(struct failure_signs *signs, const struct guix_event *event, struct str derivation)
{
  switch (event->kind) {
  case GUIX_EVENT_LOG:
    signs->says_no_space |= mentions(event->text, STR("No space left on device"));
    break;
  case GUIX_EVENT_MESSAGE:
    signs->no_space |= mentions(event->text, STR("No space left on device"));
    signs->silence |= mentions(event->text, STR("seconds of silence"));
    break;
  case GUIX_EVENT_BUILD_FAILED:
    signs->builder_failed |= str_equal(event->drv, derivation);
    signs->killed |= mentions(event->text, STR("signal 9"));
    break;
  case GUIX_EVENT_HASH_MISMATCH:
    signs->hash_mismatch = true;
    break;
  case GUIX_EVENT_BUILD_STARTED:
  case GUIX_EVENT_BUILD_SUCCEEDED:
  case GUIX_EVENT_HOOK_FAILED:
  case GUIX_EVENT_SUBSTITUTER:
  case GUIX_EVENT_DOWNLOAD:
    break;
  }
}

/* For an output of the wrong kind the daemon ends the request like one of its own
   failures, but it is the builder's. */
void
failure_note_error(struct failure_signs *signs, const char *error)
{
  signs->unfit_output |= mentions(str_of(error), STR("has an unsupported type"))
                         || mentions(str_of(error), STR("suspicious ownership or permission"));
}

/* The daemon's status alone does not tell (100 for nearly all): a full disk or
   a killed builder looks like a broken package. */
const char *
failure_cause(const struct failure_signs *signs)
{
  if (signs->log_error == -EFBIG)
    return "build";
  if (signs->log_error != 0)
    return signs->log_error == -ENOSPC || signs->log_error == -EDQUOT ? "disk-full" : "daemon";
  if (signs->hash_mismatch)
    return "hash-mismatch";
  if (signs->no_space)
    return "disk-full";
  if (signs->error != -EREMOTEIO)
    return "daemon";
  if (signs->status == 101)
    return signs->silence ? "silence" : "timeout";
  if (signs->killed)
    return "out-of-memory";
  bool is_builders = signs->status == 100 || signs->builder_failed || signs->unfit_output;
  return is_builders ? "build" : "daemon";
}

/* That the log could not be kept. */
static void
explain_log_error(const struct failure_signs *signs, const char *folder, char *room, size_t size)
{
  if (signs->log_error == -EFBIG)
    snprintf(room, size, "the log grew beyond 1 GiB");
  else if (str_equal(str_of(failure_cause(signs)), STR("disk-full")))
    snprintf(room, size, "the agent's state folder %s is full: the log cannot be kept", folder);
  else
    snprintf(room, size, "the log cannot be kept in the agent's state folder %s: %s", folder,
             strerrordesc_np(-signs->log_error));
}

/* The daemon says "build of DRV failed" to everything. */
void
failure_explain(const struct failure_signs *signs, const struct attempt *attempt, const char *words,
                struct verdict *verdict)
{
  char *room = verdict->message;
  size_t size = sizeof verdict->message;
  verdict->cause = failure_cause(signs);
  if (signs->log_error != 0)
    explain_log_error(signs, attempt->agent->state, room, size);
  else if (str_equal(str_of(verdict->cause), STR("timeout")))
    snprintf(room, size, "it took longer than its limit of %lld seconds",
             (long long) attempt->timeout_s);
  else if (str_equal(str_of(verdict->cause), STR("silence")))
    snprintf(room, size, "it printed nothing for %lld seconds, its limit",
             (long long) attempt->max_silent_s);
  else
    snprintf(room, size, "%s", words);
}

/* A builder may say anything (test suites write to /dev/full); and when it has failed,
   the daemon frees its space at once. So this is asked as soon as it speaks of it. */
bool
disk_is_full(const char *store_root)
{
  static const char *const folders[] = { "/gnu/store", "/tmp" };
  bool is_full = false;
  for (size_t i = 0; i < ARRAY_SIZE(folders); i++) {
    struct statvfs status;
    CLEANUP_FREE char *folder = mem_printf("%s%s", store_root, folders[i]);
    if (statvfs(folder, &status) == 0)
      is_full |= (uint64_t) status.f_bavail * status.f_frsize < DISK_FULL_BYTES
                 || (status.f_files > 0 && status.f_favail < DISK_FULL_FILES);
  }
  return is_full;
}

/* ---- events of the daemon ---- */

static void
log_text(struct run *run, struct str text)
{
  int r = run->signs.log_error == 0 ? spool_append(run->spool, text) : 0;
  if (r == 0)
    return;
  run->signs.log_error = r;
  guix_daemon_cancel(run->daemon);
}

static void
keep_message(struct run *run, const struct guix_event *event)
{
  if (event->kind == GUIX_EVENT_BUILD_FAILED && event->text.size > 0)
    snprintf(run->message, sizeof run->message, "%.*s", STR_FMT(event->text));
  if (event->kind == GUIX_EVENT_HASH_MISMATCH)
    snprintf(run->message, sizeof run->message, "%.*s: %.*s expected, %.*s found",
             STR_FMT(event->item), STR_FMT(event->expected), STR_FMT(event->actual));
}

static void
on_event(void *context, const struct guix_event *event)
{
  struct run *run = context;
  failure_note(&run->signs, event, run->attempt->derivation);
  if (run->signs.says_no_space)
    run->signs.no_space |= disk_is_full(run->attempt->agent->store_root);
  run->signs.says_no_space = false;
  keep_message(run, event);
  if (event->kind == GUIX_EVENT_BUILD_STARTED && str_equal(event->drv, run->attempt->derivation))
    spool_mark_started(run->spool);
  if (event->kind == GUIX_EVENT_LOG)
    log_text(run, event->text);
  if (event->kind == GUIX_EVENT_MESSAGE && event->text.size > 0) {
    log_text(run, event->text);
    log_text(run, STR("\n"));
  }
}

/* ---- the request ---- */

static int
ask_daemon(struct run *run, struct error *err)
{
  const struct attempt *attempt = run->attempt;
  const struct guix_build_options options = {
    /* Everything this build needs was fetched: the daemon builds this one. */
    .use_substitutes = false,
    .max_jobs = 1,
    .cores = (int) attempt->agent->options->cores,
    .timeout_s = attempt->timeout_s,
    .max_silent_s = attempt->max_silent_s,
  };
  int r = guix_daemon_set_options(run->daemon, &options, err);
  guix_daemon_on_event(run->daemon, on_event, run);
  if (r == 0)
    r = guix_daemon_build(run->daemon, &attempt->derivation, 1, err);
  guix_daemon_on_event(run->daemon, NULL, NULL);
  return r;
}

void
attempt_build(struct attempt *attempt, struct guix_daemon *daemon, struct spool *spool,
              struct verdict *verdict)
{
  struct error err = { 0 };
  struct run run = { .attempt = attempt, .daemon = daemon, .spool = spool };
  int r = ask_daemon(&run, &err);
  if (r >= 0)
    return;
  run.signs.error = r;
  run.signs.status = guix_daemon_status(daemon);
  failure_note_error(&run.signs, err.message);
  failure_explain(&run.signs, attempt, run.message[0] != '\0' ? run.message : err.message, verdict);
}
