/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The `git` program as a child: no prompts, no helpers, no configuration but
   ours, killed when it takes too long. */
#pragma once

#include <stdatomic.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/error.h"
#include "base/str.h"

#define GIT_COMMIT_SIZE 65 /* up to 64 hex digits and a NUL */

struct git_commit /* slices in the arena of the call */
{
  struct str author;
  struct str subject;
  int64_t committed_s; /* seconds since 1970 */
};

/* When a call that may take long is given up, and whom it may be. */
struct git_limits
{
  const char *credentials; /* file of git-credential-store(1), for https; NULL = none */
  int timeout_s;
  uint64_t file_max;       /* bytes of a file that git may write; 0 = 4 GiB */
  const atomic_bool *quit; /* NULL = never */
};

bool git_commit_hash_is_valid(struct str commit);

/* The commit at the tip of BRANCH of the remote URL; "": at its HEAD. */
int git_remote_tip(const char *url, const char *branch, const struct git_limits *limits,
                   char ret_commit[GIT_COMMIT_SIZE], struct error *err);

/* Brings BRANCH into the bare clone FOLDER, made when missing; only what is new
   crosses the network. */
int git_fetch(const char *folder, const char *url, const char *branch,
              const struct git_limits *limits, struct error *err);

/* Whether FOLDER holds COMMIT. */
bool git_has_commit(const char *folder, const char *commit);

int git_read_commit(const char *folder, const char *commit, struct arena *arena,
                    struct git_commit *ret, struct error *err);

/* What TO has and FROM has not: how many commits, and the newest LIMIT of them. */
struct git_range
{
  int64_t total;
  struct git_range_commit
  {
    struct str commit;
    struct git_commit details;
  } * items;
  size_t count;
};

int git_read_range(const char *folder, const char *from, const char *to, size_t limit,
                   struct arena *arena, struct git_range *ret, struct error *err);

/* -EFBIG with ERR set when COMMIT has more files, or larger ones, than are ever written: folders
   that are in one another many times over take no room in a repository. */
int git_check_size(const char *folder, const char *commit, struct error *err);
/* Writes the files of COMMIT below TARGET, which must not exist. Checks its size first. */
int git_export(const char *folder, const char *commit, const char *target, struct error *err);
