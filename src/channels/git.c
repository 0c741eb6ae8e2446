/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "channels/git.h"

#include <dirent.h>
#include <errno.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/child.h"
#include "base/file.h"
#include "base/mem.h"

#define OUTPUT_MAX (64 << 10) /* bytes of git's output that we read */
#define BRANCHES_NAMED 8
#define BRANCH_NAMED_MAX 60 /* bytes */

/* What a repository may make git take, however it was made: several times what all of Guix
   does. */
#define MEMORY_MAX (UINT64_C(4) << 30)
#define FILE_MAX (UINT64_C(4) << 30)

/* And of the files of one commit. */
#define EXPORT_FILES_MAX 200000 /* with folders */
#define EXPORT_BYTES_MAX (INT64_C(4) << 30)
#define EXPORT_LIST_MAX (64 << 20)     /* bytes of git's list of them */
#define TIME_MAX INT64_C(253402300799) /* seconds: the end of the year 9999 */

static const char *const settings[] = {
  "safe.directory=*", /* the server reads repositories that belong to other accounts */
  "core.hooksPath=/dev/null",
  "gc.auto=0",
  /* What is mapped of packs counts as memory, and so do the rooms of threads. */
  "core.packedGitLimit=1g",
  "core.packedGitWindowSize=256m",
  "pack.threads=4",
};

static const struct git_limits local = { .timeout_s = 120 };
static const struct git_limits brief = { .timeout_s = 3 }; /* while somebody waits for a page */

bool
git_commit_hash_is_valid(struct str commit)
{
  if (commit.size != 40 && commit.size != 64)
    return false;
  for (size_t i = 0; i < commit.size; i++)
    if (!((commit.data[i] >= '0' && commit.data[i] <= '9')
          || (commit.data[i] >= 'a' && commit.data[i] <= 'f')))
      return false;
  return true;
}

/* What git died of: the first "fatal:" line, or, where that only says that the other
   side hung up, what was said before it. */
static struct str
cause_of_death(struct str output)
{
  struct str line;
  struct str before = STR("");
  while (str_split(&output, '\n', &line)) {
    bool fatal = str_starts(line, STR("fatal: "));
    if (fatal && before.size > 0 && str_starts(line, STR("fatal: Could not read from remote")))
      return before;
    if (fatal)
      return str_from(line, strlen("fatal: "));
    if (str_trim(line).size > 0)
      before = str_trim(line);
  }
  return before;
}

/* What to do about some of git's words. */
static const struct
{
  const char *words, *advice;
} advices[] = {
  { "could not read Username",
    "it asks for a password: \"Private repositories\" in doc/operating.md" },
  { "could not read Password",
    "it asks for a password: \"Private repositories\" in doc/operating.md" },
  { "Authentication failed",
    "it refuses the password that is known: \"Private repositories\" in doc/operating.md" },
  { "Permission denied (",
    "it takes no ssh key of the server's account: \"Private repositories\" in doc/operating.md" },
  { "Host key verification failed",
    "its host is not in known_hosts of the server's account: \"Private repositories\" in "
    "doc/operating.md" },
  { "index-pack", "no more than 4 GiB are fetched at once" },
};

static const char *
advice_for(struct str cause)
{
  for (size_t i = 0; i < ARRAY_SIZE(advices); i++)
    if (memmem(cause.data, cause.size, advices[i].words, strlen(advices[i].words)) != NULL)
      return advices[i].advice;
  return NULL;
}

/* What a call needs besides its arguments; zero = nothing. */
struct call
{
  const char *url;   /* the remote, to which the credentials may be told */
  const char *index; /* an index file of its own */
  size_t output_max; /* more of it is -EFBIG; 0 = the last OUTPUT_MAX bytes are kept */
};

static bool
is_https(const char *url)
{
  return url != NULL && str_starts(str_of(url), STR("https://"));
}

/* "https://HOST:PORT"; empty for what is no such URL. */
static struct str
origin_of(const char *url)
{
  if (!is_https(url) && (url == NULL || !str_starts(str_of(url), STR("http://"))))
    return STR("");
  size_t start = (size_t) (strstr(url, "://") + 3 - url);
  size_t end = start
               + strspn(url + start, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                     "0123456789.-_:[]");
  return url[end] == '/' || url[end] == '\0' ? str_make(url, end) : STR("");
}

/* A helper that only tells: git would have the store forget what was refused once. It is asked
   for the remote's own host alone, for a server may send git on to another, which would let
   it read what is private there. NULL when there is no such file. */
static char *
credentials_option(const struct git_limits *limits, const char *url)
{
  const char *path = limits->credentials;
  struct str origin = origin_of(url);
  if (origin.size == 0 || path == NULL || strchr(path, '\'') != NULL || !file_exists(path))
    return NULL;
  return mem_printf("credential.%.*s.helper=!f() { test \"$1\" = get && "
                    "git credential-store --file='%s' get; }; f",
                    STR_FMT(origin), path);
}

static int
explain_death(int r, struct str cause, struct error *err)
{
  const char *advice = advice_for(cause);
  if (advice != NULL)
    return error_set(err, r, "git: %.*s; %s", STR_FMT(cause), advice);
  return error_set(err, r, "git: %.*s", STR_FMT(cause));
}

static int
run_git(const char *const *argv, const struct call *call, const struct git_limits *limits,
        struct buf *output, struct error *err)
{
  const char *path = getenv("PATH");
  CLEANUP_FREE char *path_entry =
      mem_printf("PATH=%s", path != NULL ? path : "/usr/local/bin:/usr/bin:/bin");
  CLEANUP_FREE char *index_entry =
      call->index != NULL ? mem_printf("GIT_INDEX_FILE=%s", call->index) : NULL;
  const char *environment[] = {
    path_entry,
    "HOME=/nonexistent",
    "LC_ALL=C.UTF-8",
    "GIT_CONFIG_NOSYSTEM=1",
    "GIT_TERMINAL_PROMPT=0",
    "GIT_ASKPASS=/bin/false",
    /* To what is not encrypted nobody is sent on from what is. */
    is_https(call->url) ? "GIT_ALLOW_PROTOCOL=https" : "GIT_ALLOW_PROTOCOL=https:http:ssh:git:file",
    "GIT_SSH_COMMAND=ssh -oBatchMode=yes",
    "GIT_HTTP_LOW_SPEED_LIMIT=100",
    "GIT_HTTP_LOW_SPEED_TIME=60",
    index_entry,
    NULL,
  };
  struct child_options options = CHILD_OPTIONS_INIT;
  options.argv = argv;
  options.environment = environment;
  options.folder = "/"; /* git looks for a repository in its own, which may be unreadable to it */
  options.die_with_parent = true;
  options.quit = limits->quit;
  options.limit_memory = MEMORY_MAX;
  options.limit_file = limits->file_max > 0 ? limits->file_max : FILE_MAX;
  options.output_is_whole = call->output_max > 0;
  size_t output_max = call->output_max > 0 ? call->output_max : OUTPUT_MAX;
  int r = child_run(&options, limits->timeout_s * 1000, output_max, output, err);
  struct str cause = r == -ECHILD ? cause_of_death(buf_str(output)) : STR("");
  return cause.size == 0 ? r : explain_death(r, cause, err);
}

/* Runs git with ARGUMENTS (NULL-terminated, at most 20). CALL, OUTPUT: may be NULL. */
static int
git(const char *const *arguments, const struct call *call, const struct git_limits *limits,
    struct buf *output, struct error *err)
{
  static const struct call plain = { 0 };
  const char *argv[40] = { "git" };
  size_t count = 1;
  for (size_t i = 0; i < ARRAY_SIZE(settings); i++) {
    argv[count++] = "-c";
    argv[count++] = settings[i];
  }
  call = call != NULL ? call : &plain;
  CLEANUP_FREE char *credentials = credentials_option(limits, call->url);
  if (credentials != NULL) {
    argv[count++] = "-c";
    argv[count++] = credentials;
  }
  for (; *arguments != NULL && count + 1 < ARRAY_SIZE(argv); arguments++)
    argv[count++] = *arguments;
  CLEANUP_BUF struct buf own = { 0 };
  return run_git(argv, call, limits, output != NULL ? output : &own, err);
}

/* git serves a repository of this machine by a child of its own, which is told nothing
   of our `-c safe.directory`, and would refuse those of other accounts. */
static const char *
serving_option(const char *url)
{
  bool is_here = url[0] == '/' || str_starts(str_of(url), STR("file://"));
  return is_here ? "--upload-pack=git -c safe.directory='*' upload-pack"
                 : "--upload-pack=git-upload-pack";
}

/* For a folder of this machine: who cannot read it is told by git that there is none. */
static int
explain_unreachable(const char *url, struct error *err)
{
  const char *folder = str_starts(str_of(url), STR("file://")) ? url + strlen("file://") : url;
  int why = folder[0] != '/' || access(folder, R_OK | X_OK) == 0 ? 0 : errno;
  if (why == EACCES) {
    char room[4096];
    struct passwd entry;
    struct passwd *account = NULL;
    (void) getpwuid_r(geteuid(), &entry, room, sizeof room, &account);
    return error_set(err, -EACCES, "cannot reach %s: the server's account%s%s may not read it", url,
                     account != NULL ? ", " : "", account != NULL ? account->pw_name : "");
  }
  if (why == ENOENT && str_starts(str_of(folder), STR("/tmp/")))
    return error_prefix(err, "cannot reach %s (if systemd runs the server, its /tmp is another)",
                        url);
  return error_prefix(err, "cannot reach %s", url);
}

/* The commit of REFERENCE in what ls-remote said. Warnings may stand before the answer: it is
   the line that names it. */
static bool
find_reference(struct str rest, const char *reference, char ret_commit[GIT_COMMIT_SIZE])
{
  struct str line, commit;
  while (str_split(&rest, '\n', &line))
    if (str_split(&line, '\t', &commit) && str_equal(str_trim(line), str_of(reference))
        && git_commit_hash_is_valid(commit)) {
      snprintf(ret_commit, GIT_COMMIT_SIZE, "%.*s", STR_FMT(commit));
      return true;
    }
  return false;
}

/* "main, next and 3 others", in OUT. */
static void
name_branches(struct str rest, struct buf *out)
{
  struct str line, commit;
  size_t named = 0;
  size_t others = 0;
  while (str_split(&rest, '\n', &line))
    if (str_split(&line, '\t', &commit) && str_starts(line, STR("refs/heads/"))) {
      struct str name = str_from(line, strlen("refs/heads/"));
      if (named < BRANCHES_NAMED && name.size < BRANCH_NAMED_MAX)
        buf_printf(out, "%s\"%.*s\"", named++ > 0 ? ", " : "", STR_FMT(name));
      else
        others++;
    }
  if (others > 0)
    buf_printf(out, "%s%zu %s", named > 0 ? " and " : "", others, others == 1 ? "other" : "others");
}

/* With the branches that there are, for it is mostly a slip. */
static int
no_branch(const char *url, const char *branch, const struct git_limits *limits, struct error *err)
{
  const char *arguments[] = { "ls-remote", "--quiet", "--heads", serving_option(url),
                              "--",        url,       NULL };
  CLEANUP_BUF struct buf output = { 0 };
  CLEANUP_BUF struct buf names = { 0 };
  if (git(arguments, &(struct call) { .url = url }, limits, &output, NULL) == 0)
    name_branches(buf_str(&output), &names);
  const char *has = names.size > 0 ? "; it has " : "";
  if (branch[0] == '\0')
    return error_set(err, -ENOENT, "%s has no default branch%s%s", url, has, buf_text(&names));
  return error_set(err, -ENOENT, "%s has no branch \"%s\"%s%s", url, branch, has, buf_text(&names));
}

/* "" is HEAD, whatever it names. */
static char *
remote_reference(const char *branch)
{
  return branch[0] == '\0' ? mem_strdup("HEAD") : mem_printf("refs/heads/%s", branch);
}

int
git_remote_tip(const char *url, const char *branch, const struct git_limits *limits,
               char ret_commit[GIT_COMMIT_SIZE], struct error *err)
{
  CLEANUP_FREE char *reference = remote_reference(branch);
  CLEANUP_BUF struct buf output = { 0 };
  const char *arguments[] = { "ls-remote", "--quiet", serving_option(url), "--", url,
                              reference,   NULL };
  int r = git(arguments, &(struct call) { .url = url }, limits, &output, err);
  if (r < 0)
    return explain_unreachable(url, err);
  return find_reference(buf_str(&output), reference, ret_commit)
             ? 0
             : no_branch(url, branch, limits, err);
}

static int
make_clone(const char *folder, struct error *err)
{
  if (file_exists(folder))
    return 0;
  const char *arguments[] = { "init", "--quiet", "--bare", "--", folder, NULL };
  return git(arguments, NULL, &local, NULL, err);
}

/* BRANCH as one word: where there was a branch "a" there may be "a/b" now. */
static void
append_flat(struct buf *out, const char *branch)
{
  for (const char *c = branch; *c != '\0'; c++)
    if (*c == '/')
      buf_append_text(out, "%2F");
    else if (*c == '%')
      buf_append_text(out, "%25");
    else
      buf_append_char(out, *c);
}

/* Packs what many fetches have left, when it is much by git's own measure. */
static void
tidy(const char *git_dir, const struct git_limits *limits)
{
  const char *arguments[] = { git_dir, "-c",     "gc.auto=6700", "-c", "gc.autoDetach=false",
                              "gc",    "--auto", "--quiet",      NULL };
  (void) git(arguments, NULL, limits, NULL, NULL); /* the fetch was fine without it */
}

/* What a fetch that was killed has left half written. The clone's lock is held. */
static void
sweep_folder(const char *folder)
{
  DIR *names = opendir(folder);
  const struct dirent *name;
  while (names != NULL && (name = readdir(names)) != NULL)
    if (strncmp(name->d_name, "tmp_", 4) == 0 || strncmp(name->d_name, ".tmp-", 5) == 0)
      (void) !unlinkat(dirfd(names), name->d_name, 0);
  if (names != NULL)
    closedir(names);
}

static void
sweep(const char *clone)
{
  CLEANUP_FREE char *packs = mem_printf("%s/objects/pack", clone);
  sweep_folder(packs);
  for (int i = 0; i < 256; i++) {
    CLEANUP_FREE char *loose = mem_printf("%s/objects/%02x", clone, (unsigned) i);
    sweep_folder(loose);
  }
}

int
git_fetch(const char *folder, const char *url, const char *branch, const struct git_limits *limits,
          struct error *err)
{
  int r = make_clone(folder, err);
  if (r < 0)
    return r;
  CLEANUP_FREE char *git_dir = mem_printf("--git-dir=%s", folder);
  CLEANUP_BUF struct buf kept = { 0 };
  append_flat(&kept, branch[0] == '\0' ? "HEAD" : branch);
  CLEANUP_FREE char *wanted = remote_reference(branch);
  CLEANUP_FREE char *reference = mem_printf("+%s:refs/panoply/%s", wanted, buf_text(&kept));
  const char *arguments[] = { git_dir,
                              "fetch",
                              "--quiet",
                              "--no-tags",
                              "--no-write-fetch-head",
                              "--no-recurse-submodules",
                              serving_option(url),
                              "--",
                              url,
                              reference,
                              NULL };
  sweep(folder); /* of one that went down with the server */
  r = git(arguments, &(struct call) { .url = url }, limits, NULL, err);
  if (r < 0) {
    sweep(folder);
    return error_prefix(err, "cannot fetch %s", url);
  }
  tidy(git_dir, limits);
  return 0;
}

bool
git_has_commit(const char *folder, const char *commit)
{
  if (!file_exists(folder))
    return false;
  CLEANUP_FREE char *git_dir = mem_printf("--git-dir=%s", folder);
  CLEANUP_FREE char *object = mem_printf("%s^{tree}", commit);
  const char *arguments[] = { git_dir, "cat-file", "-e", object, NULL };
  return git(arguments, NULL, &local, NULL, NULL) == 0;
}

/* A commit has any time that its author likes: one that no calendar of ours has is the nearest
   that it has. */
static bool
read_seconds(struct str text, int64_t *ret)
{
  int r = str_to_i64(text, ret);
  if (r == -ERANGE)
    *ret = text.data[0] == '-' ? 0 : TIME_MAX;
  else if (r < 0)
    return false;
  *ret = *ret < 0 ? 0 : *ret > TIME_MAX ? TIME_MAX : *ret;
  return true;
}

int
git_read_commit(const char *folder, const char *commit, struct arena *arena, struct git_commit *ret,
                struct error *err)
{
  CLEANUP_FREE char *git_dir = mem_printf("--git-dir=%s", folder);
  CLEANUP_BUF struct buf output = { 0 };
  const char *arguments[] = {
    git_dir, "log", "-1", "--no-show-signature", "--encoding=UTF-8", "--format=%ct%x00%an%x00%s",
    commit,  "--",  NULL
  };
  int r = git(arguments, NULL, &local, &output, err);
  if (r < 0)
    return r;
  struct str rest = str_trim(buf_str(&output));
  struct str seconds;
  struct str author;
  if (!str_split(&rest, '\0', &seconds) || !str_split(&rest, '\0', &author)
      || !read_seconds(seconds, &ret->committed_s))
    return error_set(err, -EPROTO, "git's answer about %s cannot be read", commit);
  ret->author = arena_str(arena, author);
  ret->subject = arena_str(arena, rest);
  return 0;
}

/* Reads "HASH, seconds, author, subject", each but the last with a NUL behind it. */
static bool
read_range_line(struct str line, struct arena *arena, struct git_range_commit *ret)
{
  struct str commit;
  struct str seconds;
  struct str author;
  if (!str_split(&line, '\0', &commit) || !str_split(&line, '\0', &seconds)
      || !str_split(&line, '\0', &author) || !git_commit_hash_is_valid(commit)
      || !read_seconds(seconds, &ret->details.committed_s))
    return false;
  ret->commit = arena_str(arena, commit);
  ret->details.author = arena_str(arena, str_trim(author));
  ret->details.subject = arena_str(arena, str_trim(line));
  return true;
}

int
git_read_range(const char *folder, const char *from, const char *to, size_t limit,
               struct arena *arena, struct git_range *ret, struct error *err)
{
  CLEANUP_FREE char *git_dir = mem_printf("--git-dir=%s", folder);
  CLEANUP_FREE char *range = mem_printf("%s..%s", from, to);
  CLEANUP_FREE char *most = mem_printf("-%zu", limit);
  CLEANUP_BUF struct buf number = { 0 };
  CLEANUP_BUF struct buf output = { 0 };
  const char *count[] = { git_dir, "rev-list", "--count", range, "--", NULL };
  const char *log[] = { git_dir,
                        "log",
                        most,
                        "--no-show-signature",
                        "--encoding=UTF-8",
                        "--format=%H%x00%ct%x00%<(80,trunc)%an%x00%<(200,trunc)%s",
                        range,
                        "--",
                        NULL };
  *ret = (struct git_range) { .items = arena_array(arena, limit, sizeof *ret->items) };
  int r = git(count, NULL, &brief, &number, err);
  if (r == 0)
    r = git(log, NULL, &brief, &output, err);
  if (r == 0 && str_to_i64(str_trim(buf_str(&number)), &ret->total) < 0)
    r = error_set(err, -EPROTO, "git's count of %s cannot be read", range);
  struct str rest = buf_str(&output);
  struct str line;
  while (r == 0 && ret->count < limit && str_split(&rest, '\n', &line))
    ret->count += read_range_line(line, arena, &ret->items[ret->count]);
  return r;
}

/* Of "MODE TYPE HASH SIZE<tab>NAME", where what is no file has "-" as its size. */
static int64_t
size_in_list(struct str line)
{
  struct str facts, word;
  int64_t size = 0;
  (void) str_split(&line, '\t', &facts);
  while (str_split(&facts, ' ', &word))
    if (facts.data == NULL && str_to_i64(word, &size) < 0)
      size = 0;
  return size;
}

int
git_check_size(const char *folder, const char *commit, struct error *err)
{
  CLEANUP_FREE char *git_dir = mem_printf("--git-dir=%s", folder);
  CLEANUP_BUF struct buf list = { 0 };
  const char *arguments[] = { git_dir, "ls-tree", "-r", "-t", "-l", commit, NULL };
  int r = git(arguments, &(struct call) { .output_max = EXPORT_LIST_MAX }, &local, &list, err);
  int64_t files = 0, bytes = 0;
  struct str line, rest = buf_str(&list);
  while (r == 0 && str_split(&rest, '\n', &line) && bytes <= EXPORT_BYTES_MAX) {
    int64_t size = size_in_list(line);
    bytes = size > EXPORT_BYTES_MAX ? size : bytes + size;
    files++;
  }
  if (r == -EFBIG || files > EXPORT_FILES_MAX)
    return error_set(err, -EFBIG, "commit %s has more than %d files and folders", commit,
                     EXPORT_FILES_MAX);
  if (bytes > EXPORT_BYTES_MAX)
    return error_set(err, -EFBIG, "the files of commit %s are larger than %lld bytes", commit,
                     (long long) EXPORT_BYTES_MAX);
  return r;
}

int
git_export(const char *folder, const char *commit, const char *target, struct error *err)
{
  CLEANUP_FREE char *git_dir = mem_printf("--git-dir=%s", folder);
  CLEANUP_FREE char *work_tree = mem_printf("--work-tree=%s", target);
  CLEANUP_FREE char *index = mem_printf("%s.index", target);
  const char *read_tree[] = { git_dir, "read-tree", commit, NULL };
  const char *write_files[] = { git_dir, work_tree, "checkout-index", "--all", "--force", NULL };
  int r = git_check_size(folder, commit, err);
  if (r < 0)
    return r;
  if (mkdir(target, 0755) != 0)
    return error_set_errno(err, "cannot make the folder %s", target);
  const struct call call = { .index = index };
  r = git(read_tree, &call, &local, NULL, err);
  if (r == 0)
    r = git(write_files, &call, &local, NULL, err);
  unlink(index);
  return r < 0 ? error_prefix(err, "cannot write the files of commit %s", commit) : 0;
}
