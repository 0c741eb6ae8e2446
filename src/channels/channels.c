/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "channels/channels_private.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "channels/channels_sql.h"

#define BRANCH_MAX 255
#define LOCK_LOOK_MS 100
#define TEXT_MAX 1000 /* bytes of an author or subject that we keep */

struct channels *
channels_new(const struct channels_options *options)
{
  struct channels *channels = mem_alloc(sizeof *channels);
  channels->folder = mem_strdup(options->folder);
  channels->pool = options->pool;
  pthread_mutex_init(&channels->lock, NULL);
  pthread_mutex_init(&channels->asking, NULL);
  channels->credentials = options->credentials != NULL ? mem_strdup(options->credentials) : NULL;
  channels->limits = (struct git_limits) {
    .credentials = channels->credentials,
    .timeout_s = options->fetch_timeout_s > 0 ? options->fetch_timeout_s : 600,
    .quit = &channels->quit,
  };
  return channels;
}

void
channels_quit(struct channels *channels)
{
  channels->quit = true;
}

void
channels_free(struct channels *channels)
{
  if (channels == NULL)
    return;
  channels_forget_ranges(channels);
  pthread_mutex_destroy(&channels->asking);
  pthread_mutex_destroy(&channels->lock);
  free(channels->folder);
  free(channels->credentials);
  free(channels);
}

/* ---- what may be asked for ---- */

/* What stands between the slashes of a branch name. */
static bool
is_branch_part(struct str part)
{
  return part.size > 0 && part.data[0] != '.' && !str_ends(part, STR(".lock"));
}

/* The rules of git-check-ref-format, which keep a name from being an option or
   another kind of reference. */
static bool
is_branch(struct str branch)
{
  if (branch.size == 0 || branch.size > BRANCH_MAX || !channels_is_printable(branch)
      || branch.data[0] == '-' || str_ends(branch, STR("/")) || str_ends(branch, STR("."))
      || memmem(branch.data, branch.size, "..", 2) != NULL
      || memmem(branch.data, branch.size, "@{", 2) != NULL)
    return false;
  for (size_t i = 0; i < branch.size; i++)
    if (strchr("~^:?*[\\", branch.data[i]) != NULL)
      return false;
  struct str rest = branch;
  struct str part;
  while (str_split(&rest, '/', &part))
    if (!is_branch_part(part))
      return false;
  return true;
}

int
channels_check_branch(struct str branch, struct error *err)
{
  return is_branch(branch) ? 0
                           : error_set(err, -EINVAL, "\"%.*s\" is no branch name", STR_FMT(branch));
}

int
channels_check_commit(struct str commit, struct error *err)
{
  return git_commit_hash_is_valid(commit)
             ? 0
             : error_set(err, -EINVAL, "\"%.*s\" is no full commit hash in lower case",
                         STR_FMT(commit));
}

/* ---- the clone of a repository ---- */

char *
channels_clone_folder(const struct channels *channels, int64_t repository_id)
{
  return mem_printf("%s/%lld.git", channels->folder, (long long) repository_id);
}

/* Held while a clone is written: several specifications may share it. */
static int
lock_clone(const struct channels *channels, const char *clone, struct error *err)
{
  CLEANUP_FREE char *path = mem_printf("%s.lock", clone);
  int r = file_make_dirs(channels->folder, 0755, err);
  if (r < 0)
    return r;
  CLEANUP_FD int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (fd < 0)
    return error_set_errno(err, "cannot open %s", path);
  while (flock(fd, LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK)
      return error_set_errno(err, "cannot lock %s", path);
    if (channels->quit)
      return error_set(err, -ECANCELED, "the server stops");
    clock_sleep_ms(LOCK_LOOK_MS);
  }
  return TAKE_FD(fd);
}

/* ---- recording ---- */

struct sighting
{
  const char *url;
  const char *commit;
  struct git_commit details; /* author NULL = only looking the commit up */
  int64_t repository_id;
  int64_t revision_id; /* 0 = unknown yet */
};

static struct str
shortened(struct str text)
{
  if (text.size > TEXT_MAX)
    text.size = TEXT_MAX;
  while (text.size > 0 && !str_is_utf8(text))
    text.size--; /* a cut in the middle of a character */
  return text;
}

static int
find_or_add_revision(struct db *db, void *context, struct error *err)
{
  struct sighting *sighting = context;
  struct channels_repository_touch_row repository;
  struct channels_revision_find_row found;
  struct channels_revision_add_row added;
  int r = channels_repository_touch(db, str_of(sighting->url), &repository, err);
  if (r < 0)
    return r;
  sighting->repository_id = repository.id;
  r = channels_revision_find(db, repository.id, str_of(sighting->commit), &found, err);
  sighting->revision_id = r == 1 ? found.id : 0;
  if (r != 0 || sighting->details.author.data == NULL)
    return r < 0 ? r : 0;
  r = channels_revision_add(
      db, repository.id, str_of(sighting->commit), shortened(sighting->details.author),
      shortened(sighting->details.subject), sighting->details.committed_s, &added, err);
  if (r == 1)
    sighting->revision_id = added.id;
  return r < 0 ? r : 0;
}

struct outcome
{
  const char *url;
  const char *failure;
};

static int
keep_outcome(struct db *db, void *context, struct error *err)
{
  const struct outcome *outcome = context;
  int r = channels_repository_outcome(db, str_of(outcome->failure), str_of(outcome->url), err);
  return r < 0 ? r : 0;
}

/* ---- polling ---- */

/* Fetches BRANCH when the clone lacks COMMIT. The clone's lock is held. */
static int
ensure_commit(const struct channels *channels, const char *clone, const char *url,
              const char *branch, const char *commit, struct error *err)
{
  if (git_has_commit(clone, commit))
    return 0;
  int r = git_fetch(clone, url, branch, &channels->limits, err);
  if (r == 0 && !git_has_commit(clone, commit))
    return error_set(err, -ENOENT, "%s has no commit %s on %s%s", url, commit,
                     branch[0] != '\0' ? "branch " : "its default branch", branch);
  return r;
}

/* What the clone lacks is fetched; the commit's own words are read. */
static int
fetch_and_record(struct channels *channels, const char *branch, struct sighting *sighting,
                 struct error *err)
{
  CLEANUP_ARENA struct arena arena = { 0 };
  CLEANUP_FREE char *clone = channels_clone_folder(channels, sighting->repository_id);
  CLEANUP_FD int lock = lock_clone(channels, clone, err);
  if (lock < 0)
    return lock;
  int r = ensure_commit(channels, clone, sighting->url, branch, sighting->commit, err);
  if (r == 0)
    r = git_check_size(clone, sighting->commit, err);
  if (r == 0)
    r = git_read_commit(clone, sighting->commit, &arena, &sighting->details, err);
  if (r == 0)
    r = db_pool_run(channels->pool, DB_WRITE, find_or_add_revision, sighting, err);
  return r;
}

static int
poll_tip(struct channels *channels, const char *url, const char *branch, const char *commit,
         struct channels_tip *ret, struct error *err)
{
  int r = 0;
  if (commit != NULL)
    snprintf(ret->commit, sizeof ret->commit, "%s", commit);
  else
    r = git_remote_tip(url, branch, &channels->limits, ret->commit, err);
  if (r < 0)
    return r;
  struct sighting sighting = { .url = url, .commit = ret->commit };
  r = db_pool_run(channels->pool, DB_WRITE, find_or_add_revision, &sighting, err);
  if (r == 0 && sighting.revision_id == 0)
    r = fetch_and_record(channels, branch, &sighting, err);
  ret->revision_id = sighting.revision_id;
  return r;
}

int
channels_poll(struct channels *channels, const char *url, const char *branch, const char *commit,
              struct channels_tip *ret, struct error *err)
{
  int r = channels_check_url(str_of(url), err);
  if (r == 0 && branch[0] != '\0')
    r = channels_check_branch(str_of(branch), err);
  if (r == 0 && commit != NULL)
    r = channels_check_commit(str_of(commit), err);
  if (r < 0)
    return r;
  r = poll_tip(channels, url, branch, commit, ret, err);
  if (r < 0 && err != NULL)
    channels_mask_secrets(err->message);
  struct outcome outcome = { url, r < 0 ? err->message : NULL };
  struct error ignored = { 0 };
  /* The outcome is for people to read; the poll's own result matters more. */
  (void) db_pool_run(channels->pool, DB_WRITE, keep_outcome, &outcome, &ignored);
  return r;
}

struct lookup
{
  const char *url;
  int64_t repository_id;
};

static int
find_repository(struct db *db, void *context, struct error *err)
{
  struct lookup *lookup = context;
  struct channels_repository_find_row row;
  int r = channels_repository_find(db, str_of(lookup->url), &row, err);
  if (r == 0)
    return error_set(err, -ENOENT, "%s was never polled", lookup->url);
  lookup->repository_id = r == 1 ? row.id : 0;
  return r < 0 ? r : 0;
}

int
channels_checkout(struct channels *channels, const char *url, const char *branch,
                  const char *commit, const char *folder, struct error *err)
{
  struct lookup lookup = { .url = url };
  int r = channels_check_commit(str_of(commit), err);
  if (r == 0)
    r = db_pool_run(channels->pool, DB_READ, find_repository, &lookup, err);
  if (r < 0)
    return r;
  CLEANUP_FREE char *clone = channels_clone_folder(channels, lookup.repository_id);
  CLEANUP_FD int lock = lock_clone(channels, clone, err);
  if (lock < 0)
    return lock;
  r = ensure_commit(channels, clone, url, branch, commit, err);
  if (r == 0)
    r = git_export(clone, commit, folder, err);
  if (r < 0 && err != NULL)
    channels_mask_secrets(err->message);
  return r;
}
