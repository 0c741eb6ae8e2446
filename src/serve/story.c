/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "serve/story.h"

#include <errno.h>

#include "base/buf.h"

/* ---- causes ---- */

static const struct cause_words words[FARM_CAUSE_MAX] = {
  [FARM_CAUSE_NONE] = { "", "" },
  [FARM_CAUSE_BUILD] = { "The builder failed.",
                         "The end of the log says why. Builds that need this one fail, too." },
  [FARM_CAUSE_TIMEOUT] = { "It took longer than it may.",
                           "It is not tried again by itself, for that would cost as long. Restart "
                           "it, or raise the package's timeout." },
  [FARM_CAUSE_SILENCE] = { "It printed nothing for longer than it may.",
                           "Perhaps it hangs. Restart it, or raise the package's "
                           "max-silent-time." },
  [FARM_CAUSE_OUT_OF_MEMORY] = { "The builder was killed, likely for want of memory.",
                                 "It is tried again, on another agent if there is one." },
  [FARM_CAUSE_DISK_FULL] = { "The agent's disk was full.",
                             "Make room on that machine; the build is tried elsewhere if it "
                             "can be." },
  [FARM_CAUSE_MISSING_INPUT] = { "Something that it needs could not be had.",
                                 "What was missing is built anew, then this is tried again." },
  [FARM_CAUSE_AGENT_LOST] = { "The agent went away.",
                              "It is tried again at once, and this does not count as a try." },
  [FARM_CAUSE_CANCELLED] = { "It was cancelled, or the agent gave it back.",
                             "Restart it to have it built." },
  [FARM_CAUSE_DAEMON] = { "The agent's guix-daemon failed or refused.",
                          "Look at guix-daemon on that machine; the build is tried again." },
  [FARM_CAUSE_HASH_MISMATCH] = { "What it made has another hash than the one declared.",
                                 "The file was changed at its origin, or the hash is wrong. "
                                 "Builds that need this one fail, too." },
  [FARM_CAUSE_UPLOAD] = { "The outputs could not be stored.",
                          "The network or the server's disk may be to blame; it is tried "
                          "again." },
};

struct cause_words
cause_words(enum farm_cause cause)
{
  return words[(unsigned) cause < FARM_CAUSE_MAX ? cause : FARM_CAUSE_NONE];
}

/* ---- history ---- */

static bool
is_failure(struct str state)
{
  return str_equal(state, STR("failed")) || str_equal(state, STR("dependency-failed"));
}

static bool
is_known(const struct history *history, size_t limit, int64_t build)
{
  for (size_t i = 0; i < history->count; i++)
    if (history->items[limit - 1 - i].build == build)
      return true;
  return false;
}

/* The distinct builds; the room is filled from its end. */
static void
take_marks(const struct serve_job_history_rows *rows, size_t limit, struct history *history)
{
  for (size_t i = 0; i < rows->count && history->count < limit; i++) {
    const struct serve_job_history_row *row = &rows->items[i];
    if (!is_known(history, limit, row->build))
      history->items[limit - ++history->count] = (struct history_mark) {
        .build = row->build,
        .evaluation = row->evaluation,
        .created_at = row->created_at,
        .state = row->state,
        .name = row->name,
      };
  }
  history->items += limit - history->count;
}

/* Those that wait, run or were cancelled say nothing, but what is built again has failed. */
static void
take_since(const struct serve_job_history_rows *rows, struct history *history)
{
  for (size_t i = 0; i < rows->count; i++) {
    const struct serve_job_history_row *row = &rows->items[i];
    bool fails = is_failure(row->state) || row->failed_before;
    bool succeeds = str_equal(row->state, STR("succeeded"));
    if ((fails && history->succeeds) || (succeeds && history->fails))
      return;
    if (!fails && !succeeds)
      continue;
    if (history->since_evaluation == 0)
      history->is_built_again = row->failed_before;
    history->fails = fails;
    history->succeeds = succeeds;
    history->since_evaluation = row->evaluation;
    history->since = row->created_at;
  }
  history->is_longer = rows->count > 0 && rows->items[rows->count - 1].is_edge;
}

struct history
history_of(const struct serve_job_history_rows *rows, size_t limit, struct arena *arena)
{
  struct history history = {
    .items = arena_array(arena, limit, sizeof *history.items),
  };
  take_marks(rows, limit, &history);
  take_since(rows, &history);
  return history;
}

/* ---- making the same ---- */

#define GUIX_URL "https://git.guix.gnu.org/guix.git"

static void
put_scheme_text(struct buf *out, struct str text)
{
  buf_append_char(out, '"');
  for (size_t i = 0; i < text.size; i++) {
    if (text.data[i] == '"' || text.data[i] == '\\')
      buf_append_char(out, '\\');
    buf_append_char(out, text.data[i]);
  }
  buf_append_char(out, '"');
}

/* What is a symbol as it stands, and a word for a shell. */
static bool
is_plain_word(struct str text)
{
  for (size_t i = 0; i < text.size; i++) {
    char c = text.data[i];
    bool is_letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
    if (!is_letter && (memchr("@._+-", c, 5) == NULL || (i == 0 && c != '_')))
      return false;
  }
  return text.size > 0;
}

static void
put_scheme_symbol(struct buf *out, struct str name)
{
  if (is_plain_word(name)) {
    buf_append_char(out, '\'');
    buf_append_str(out, name);
    return;
  }
  buf_append_text(out, "(string->symbol ");
  put_scheme_text(out, name);
  buf_append_char(out, ')');
}

static void
put_channel(struct buf *out, const struct serve_build_jobs_row *job, size_t index)
{
  buf_append_text(out, "(channel\n        (name ");
  put_scheme_symbol(out, job->channels.items[index]);
  buf_append_text(out, ")\n        (url ");
  put_scheme_text(out, job->urls.items[index]);
  buf_append_text(out, ")\n        (commit ");
  put_scheme_text(out, job->commits.items[index]);
  buf_append_text(out, ")");
  if (job->introduction_commits.items[index].size > 0) {
    buf_append_text(out, "\n        (introduction (make-channel-introduction\n          ");
    put_scheme_text(out, job->introduction_commits.items[index]);
    buf_append_text(out, "\n          (openpgp-fingerprint ");
    put_scheme_text(out, job->introduction_signers.items[index]);
    buf_append_text(out, ")))");
  }
  buf_append_char(out, ')');
}

static struct str
channels_text(const struct serve_build_jobs_row *job, struct arena *arena)
{
  CLEANUP_BUF struct buf text = { 0 };
  buf_append_text(&text, job->is_whole ? "(list " : "(cons* ");
  for (size_t i = 0; i < job->channels.count; i++) {
    if (i > 0)
      buf_append_text(&text, "\n      ");
    put_channel(&text, job, i);
  }
  buf_append_text(&text, job->is_whole ? ")\n" : "\n      %default-channels)\n");
  return arena_str(arena, buf_str(&text));
}

/* "almanac.x86_64-linux" is the package almanac, whose derivation's name, almanac-2026.1,
   tells the version. */
static struct str
package_of(struct str job, struct str name, struct str system, struct arena *arena)
{
  const char *suffix = arena_printf(arena, ".%.*s", STR_FMT(system));
  if (str_ends(job, str_of(suffix)))
    job.size -= strlen(suffix);
  bool has_version = str_starts(name, job) && name.size > job.size + 1 && name.data[job.size] == '-'
                     && str_find(job, '@') < 0;
  struct str package = job;
  if (has_version)
    package = str_of(
        arena_printf(arena, "%.*s@%.*s", STR_FMT(job), STR_FMT(str_from(name, job.size + 1))));
  return is_plain_word(package) ? package : (struct str) { 0 };
}

static bool
is_guix_alone(const struct serve_build_jobs_row *job)
{
  return job->channels.count == 1 && str_equal(job->channels.items[0], STR("guix"))
         && str_equal(job->urls.items[0], STR(GUIX_URL));
}

struct reproduction
reproduction_of(const struct serve_build_jobs_row *job, struct str name, struct str system,
                struct arena *arena)
{
  struct reproduction made = { 0 };
  struct str package = package_of(job->name, name, system, arena);
  if (job->channels.count == 0 || package.size == 0 || !is_plain_word(system))
    return made;
  made.is_whole = job->is_whole;
  const char *source = "-C channels.scm";
  if (made.is_whole && is_guix_alone(job))
    source = arena_printf(arena, "--commit=%.*s", STR_FMT(job->commits.items[0]));
  else
    made.channels = channels_text(job, arena);
  made.command = str_of(arena_printf(arena, "guix time-machine %s -- build --system=%.*s %.*s",
                                     source, STR_FMT(system), STR_FMT(package)));
  return made;
}
