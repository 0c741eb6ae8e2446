/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Git repositories: polling and incremental fetching, by the `git` program in
   a child that can be killed. */
#pragma once

#include "channels/forge.h" /* links to commits and files */
#include "events/events.h"

struct channels_options
{
  const char *folder; /* STATE/repositories: one bare clone for each URL */
  struct db_pool *pool;
  const char *credentials; /* file of git-credential-store(1), read when there; NULL = none */
  int fetch_timeout_s;     /* 0 = 600 */
};

struct channels;
struct channels *channels_new(const struct channels_options *options);
/* Whatever goes on now or begins later ends soon, with -ECANCELED. */
void channels_quit(struct channels *channels);
void channels_free(struct channels *channels);

#define CHANNELS_URL_MAX 1000 /* bytes */

/* Refuses what `git` would take for an option or a helper: only https, http,
   ssh, git, file URLs and absolute paths; and what holds a secret, for URLs are shown to
   everybody. -EINVAL with ERR set. */
int channels_check_url(struct str url, struct error *err);
/* Likewise what is no branch name by git-check-ref-format(1), and what is no full
   commit hash in lower case. */
int channels_check_branch(struct str branch, struct error *err);
int channels_check_commit(struct str commit, struct error *err);

struct channels_tip
{
  int64_t revision_id; /* row in `revision` */
  char commit[65];     /* hex, NUL-terminated */
};

/* Asks the remote for BRANCH's tip (git ls-remote) and, when it is new here,
   fetches it into the bare clone and records the revision. BRANCH "": the one that the
   remote's HEAD names. COMMIT, when not
   NULL, pins that commit instead of the tip. Errors carry git's own words. */
int channels_poll(struct channels *channels, const char *url, const char *branch,
                  const char *commit, struct channels_tip *ret, struct error *err);

/* Writes the files of COMMIT of URL's repository, which was polled once, to FOLDER
   (must not exist). Fetches BRANCH again where the clone is new: another process may
   have polled. */
int channels_checkout(struct channels *channels, const char *url, const char *branch,
                      const char *commit, const char *folder, struct error *err);

/* ---- what came between two commits ---- */

struct channels_commit
{
  struct str commit, author, subject;
  int64_t committed_at; /* microseconds since 1970 */
};

struct channels_range
{
  int64_t total;                       /* commits that TO has and FROM has not */
  const struct channels_commit *items; /* the newest of them, newest first */
  size_t count;
};

#define CHANNELS_RANGE_SHOWN 50

/* Asks the clone, or remembers what it said; in ARENA. Takes its time: not for server
   threads. Negative when the clone lacks one of them, as where another process polls. -EBUSY:
   nothing is remembered, and the clone was not asked, for it is later than UNTIL_MS (monotonic)
   or somebody else asks: anybody may want to know of any two commits. */
int channels_range(struct channels *channels, int64_t repository_id, struct str from, struct str to,
                   int64_t until_ms, struct arena *arena, struct channels_range *ret,
                   struct error *err);
