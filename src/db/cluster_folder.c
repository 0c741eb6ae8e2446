/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The files of the private cluster, and who may touch them. As root we work
   inside a folder that belongs to another account: nothing here follows a
   symbolic link that the account could have planted. */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "db/cluster_private.h"

#define INITDB_TIMEOUT_MS 300000
#define INITDB_OUTPUT_MAX 65536

/* ---- account ---- */

int
cluster_account_find(struct cluster_account *ret, struct error *err)
{
  *ret = (struct cluster_account) { .user = geteuid(), .group = getegid() };
  if (ret->user != 0) {
    snprintf(ret->name, sizeof ret->name, "%u", ret->user);
    return 0;
  }
  char room[4096];
  struct passwd entry;
  struct passwd *found = NULL;
  int number = getpwnam_r("postgres", &entry, room, sizeof room, &found);
  if (found == NULL || found->pw_uid == 0) {
    error_set(err, number != 0 ? -number : -ENOENT,
              "PostgreSQL refuses to run as root, and there is no account `postgres` to run it as");
    return error_hint(err, "install PostgreSQL from your distribution (it makes the account), "
                           "run panoply as an ordinary user, or give --database URI");
  }
  ret->drop = true;
  ret->user = entry.pw_uid;
  ret->group = entry.pw_gid;
  snprintf(ret->name, sizeof ret->name, "%s", entry.pw_name);
  return 0;
}

/* ---- folder ---- */

/* The path goes into a configuration file and a list of folders; characters
   that mean something there are refused rather than quoted thrice. */
static int
check_path(const char *path, struct error *err)
{
  for (const char *c = path; *c != '\0'; c++)
    if (iscntrl((unsigned char) *c) || strchr("'\"\\,", *c) != NULL)
      return error_set(err, -EINVAL,
                       "the state folder's path may not contain quotes, commas, backslashes or "
                       "control characters: %s",
                       path);
  struct sockaddr_un address;
  size_t needed = strlen(path) + sizeof "/socket/.s.PGSQL.5432";
  if (needed <= sizeof address.sun_path)
    return 0;
  error_set(err, -ENAMETOOLONG, "the path %s is too long for a Unix socket below it", path);
  return error_hint(err, "use a state folder whose path is at least %zu characters shorter",
                    needed - sizeof address.sun_path);
}

/* A folder that is ours or root's is handed to the account; anybody else's is
   left alone. */
static int
claim_folder(const struct cluster_account *account, const char *path, struct error *err)
{
  CLEANUP_FD int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  struct stat status;
  if (fd < 0 || fstat(fd, &status) != 0)
    return error_set_errno(err, "cannot open the folder %s", path);
  if (status.st_uid != account->user && status.st_uid != geteuid()) {
    error_set(err, -EPERM, "the folder %s belongs to another account (uid %u)", path,
              status.st_uid);
    return error_hint(err, "run `chown -R %s %s` as root, or use another state folder",
                      account->name, path);
  }
  if (status.st_uid != account->user && fchown(fd, account->user, account->group) != 0)
    return error_set_errno(err, "cannot give %s to the account %s", path, account->name);
  if (fchmod(fd, 0700) != 0)
    return error_set_errno(err, "cannot set the mode of %s", path);
  return 0;
}

static int
make_folder(const struct cluster_account *account, const char *path, struct error *err)
{
  if (mkdir(path, 0700) != 0 && errno != EEXIST)
    return error_set_errno(err, "cannot make the folder %s", path);
  return claim_folder(account, path, err);
}

static int
make_with_parents(const struct cluster_account *account, const char *path, struct error *err)
{
  CLEANUP_FREE char *copy = mem_strdup(path);
  int r = file_make_dirs(dirname(copy), 0755, err);
  if (r < 0)
    return r;
  return make_folder(account, path, err);
}

/* As in a URI: all but unreserved characters and slashes as %XX. */
static char *
make_uri(const char *role, const char *database, const char *socket)
{
  CLEANUP_BUF struct buf uri = { 0 };
  buf_printf(&uri, "postgresql:///%s?user=%s&host=", database, role);
  for (const char *c = socket; *c != '\0'; c++)
    if (isalnum((unsigned char) *c) || strchr("-._~/", *c) != NULL)
      buf_append_char(&uri, *c);
    else
      buf_printf(&uri, "%%%02X", (unsigned char) *c);
  return mem_strdup(buf_text(&uri));
}

static int
lock_folder(struct cluster *cluster, struct error *err)
{
  CLEANUP_FREE char *path = mem_printf("%s/lock", cluster->folder);
  CLEANUP_FD int fd = open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
  if (fd < 0)
    return error_set_errno(err, "cannot open %s", path);
  if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK)
      return error_set_errno(err, "cannot lock %s", path);
    error_set(err, -EBUSY, "another panoply server uses the database in %s", cluster->folder);
    return error_hint(err, "stop it first, or give this one another --state folder");
  }
  cluster->folder_lock = TAKE_FD(fd);
  return 0;
}

int
cluster_folder_open(struct cluster *cluster, const char *folder, struct error *err)
{
  int r = make_with_parents(&cluster->account, folder, err);
  if (r < 0)
    return r;
  cluster->folder = realpath(folder, NULL);
  if (cluster->folder == NULL)
    return error_set_errno(err, "cannot resolve the path %s", folder);
  r = check_path(cluster->folder, err);
  if (r < 0)
    return r;
  cluster->data = mem_printf("%s/data", cluster->folder);
  cluster->socket = mem_printf("%s/socket", cluster->folder);
  cluster->log = mem_printf("%s/log", cluster->folder);
  cluster->configuration = mem_printf("%s/postgresql.conf", cluster->folder);
  cluster->uri = make_uri(CLUSTER_ROLE, CLUSTER_DATABASE, cluster->socket);
  cluster->superuser_uri = make_uri(CLUSTER_SUPERUSER, "postgres", cluster->socket);
  return lock_folder(cluster, err);
}

int
cluster_folder_major(const struct cluster *cluster, int *ret_major, struct error *err)
{
  CLEANUP_FREE char *path = mem_printf("%s/PG_VERSION", cluster->data);
  *ret_major = 0;
  if (!file_exists(path))
    return 0;
  CLEANUP_BUF struct buf text = { 0 };
  int r = file_read_all(path, 64, &text, err);
  if (r < 0)
    return r;
  int64_t major;
  if (str_to_i64(str_trim(buf_str(&text)), &major) < 0 || major < 1 || major > 999)
    return error_set(err, -EINVAL, "%s holds no PostgreSQL version", path);
  *ret_major = (int) major;
  return 0;
}

/* ---- access ---- */

void
cluster_child_options(const struct cluster *cluster, const char *const *argv,
                      struct child_options *ret)
{
  static const char *const environment[] = { "LC_ALL=C", "TZ=UTC", "PATH=/usr/bin:/bin", NULL };
  *ret = (struct child_options) CHILD_OPTIONS_INIT;
  ret->argv = argv;
  ret->environment = environment;
  ret->folder = cluster->folder;
  ret->drop_privileges = cluster->account.drop;
  ret->user = cluster->account.user;
  ret->group = cluster->account.group;
}

/* By mode bits alone, which is what stands in the way nearly always. */
static bool
may_pass(const struct cluster_account *account, const struct stat *status)
{
  if (status->st_uid == account->user)
    return (status->st_mode & S_IXUSR) != 0;
  if (status->st_gid == account->group)
    return (status->st_mode & S_IXGRP) != 0;
  return (status->st_mode & S_IXOTH) != 0;
}

/* Names the uppermost folder on the way to PATH that stops the account. */
static int
explain_no_access(const struct cluster_account *account, const char *path, struct error *err)
{
  CLEANUP_FREE char *copy = mem_strdup(path);
  for (char *slash = copy + 1;; slash++) {
    slash += strcspn(slash, "/");
    char kept = *slash;
    *slash = '\0';
    struct stat status;
    if (stat(copy, &status) == 0 && !may_pass(account, &status)) {
      error_set(err, -EACCES, "the account %s, which runs PostgreSQL, cannot pass the folder %s",
                account->name, copy);
      return error_hint(err, "run `chmod o+x %s`, or use a state folder elsewhere", copy);
    }
    if (kept == '\0')
      return error_set(err, -EACCES,
                       "the account %s, which runs PostgreSQL, cannot reach %s or the programs",
                       account->name, path);
    *slash = kept;
  }
}

int
cluster_folder_check_access(const struct cluster *cluster, struct error *err)
{
  CLEANUP_FREE char *program = mem_printf("%s/postgres", cluster->programs);
  const char *argv[] = { program, "--version", NULL };
  struct child_options options;
  cluster_child_options(cluster, argv, &options);
  int r = child_run(&options, 10000, 0, NULL, err);
  if (r == -EACCES)
    return explain_no_access(&cluster->account, cluster->folder, err);
  return r;
}

/* ---- contents ---- */

/* initdb looks its own account up, and its words for a missing one help nobody. */
static int
check_account_has_name(const struct cluster_account *account, struct error *err)
{
  char room[4096];
  struct passwd entry;
  struct passwd *found = NULL;
  int number = getpwuid_r(account->user, &entry, room, sizeof room, &found);
  if (found != NULL)
    return 0;
  error_set(err, number != 0 ? -number : -ENOENT,
            "the account %u, which is to run PostgreSQL, has no name", account->user);
  return error_hint(err,
                    "add it to /etc/passwd (useradd --uid %u NAME), run panoply as another "
                    "account, or give --database URI",
                    account->user);
}

/* Its last lines tell how it cleaned up. */
static int
tell_initdb_failure(struct str output, int r, struct error *err)
{
  static const char *const marks[] = { "error:", "could not", "FATAL:", "PANIC:" };
  struct str line;
  while (str_split(&output, '\n', &line))
    for (size_t i = 0; i < ARRAY_SIZE(marks); i++)
      if (memmem(line.data, line.size, marks[i], strlen(marks[i])) != NULL)
        return error_set(err, r, "initdb failed: %.*s", line.size > 300 ? 300 : (int) line.size,
                         line.data);
  return r;
}

/* initdb works beside the final place, so that one which was killed half-way
   is never taken for a cluster. */
int
cluster_folder_initialise(const struct cluster *cluster, struct error *err)
{
  CLEANUP_FREE char *program = mem_printf("%s/initdb", cluster->programs);
  CLEANUP_FREE char *unfinished = mem_printf("%s.new", cluster->data);
  int r = check_account_has_name(&cluster->account, err);
  if (r == 0)
    r = file_remove_tree(unfinished, err);
  if (r < 0)
    return r;
  const char *argv[] = { program,
                         "--pgdata",
                         unfinished,
                         "--encoding=UTF8",
                         "--locale=C",
                         ("--username=" CLUSTER_SUPERUSER),
                         "--auth-local=trust",
                         "--auth-host=reject",
                         "--data-checksums",
                         "--no-instructions",
                         cluster->durable ? NULL : "--no-sync",
                         NULL };
  struct child_options options;
  cluster_child_options(cluster, argv, &options);
  CLEANUP_BUF struct buf output = { 0 };
  r = child_run(&options, INITDB_TIMEOUT_MS, INITDB_OUTPUT_MAX, &output, err);
  if (r == -ECHILD)
    r = tell_initdb_failure(buf_str(&output), r, err);
  if (r < 0)
    return error_prefix(err, "cannot make the private database in %s", cluster->folder);
  if (rename(unfinished, cluster->data) != 0)
    return error_set_errno(err, "cannot rename %s", unfinished);
  return cluster->durable ? file_sync_parent(cluster->data, err) : 0;
}

/* Ours; `ALTER SYSTEM` beats them (data/postgresql.auto.conf is read last). */
static const char settings_always[] = "max_connections = 64\n"
                                      "wal_compression = on\n"
                                      "jit = off\n"
                                      "timezone = 'UTC'\n"
                                      "datestyle = 'iso, ymd'\n"
                                      "lc_messages = 'C'\n"
                                      "default_text_search_config = 'pg_catalog.english'\n"
                                      "dynamic_shared_memory_type = posix\n"
                                      "logging_collector = on\n"
                                      "log_filename = 'postgresql-%a.log'\n"
                                      "log_rotation_age = 1d\n"
                                      "log_rotation_size = 0\n"
                                      "log_truncate_on_rotation = on\n"
                                      "log_timezone = 'UTC'\n"
                                      "log_line_prefix = '%m [%p] '\n"
                                      "log_min_duration_statement = 2s\n"
                                      "log_parameter_max_length = 0\n";
static const char settings_durable[] = "shared_buffers = 128MB\n"
                                       "max_wal_size = 2GB\n"
                                       "checkpoint_timeout = 15min\n";
static const char settings_throw_away[] = "shared_buffers = 32MB\n"
                                          "fsync = off\n"
                                          "synchronous_commit = off\n"
                                          "full_page_writes = off\n";

static int
write_configuration(const struct cluster *cluster, struct error *err)
{
  CLEANUP_BUF struct buf text = { 0 };
  buf_append_text(&text, "# Written by panoply at every start: changes here are lost.\n"
                         "# Use ALTER SYSTEM (psql -U postgres -h the socket folder) instead.\n");
  buf_append_text(&text, settings_always);
  buf_append_text(&text, cluster->durable ? settings_durable : settings_throw_away);
  buf_printf(&text, "log_directory = '%s'\n", cluster->log);
  /* Readable for the account, which owns the folder; not for others, who
     cannot enter it. */
  return file_write_atomic(cluster->configuration, buf_str(&text), 0644, err);
}

int
cluster_folder_prepare(const struct cluster *cluster, struct error *err)
{
  int r = make_folder(&cluster->account, cluster->socket, err);
  if (r == 0)
    r = make_folder(&cluster->account, cluster->log, err);
  if (r == 0)
    r = write_configuration(cluster, err);
  return r;
}

/* ---- what went wrong ---- */

/* Appends at most the last 8 KiB of the file. */
static void
read_tail(const char *path, struct buf *ret)
{
  CLEANUP_FD int fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
  struct stat status;
  if (fd < 0 || fstat(fd, &status) != 0)
    return;
  off_t from = status.st_size > 8192 ? status.st_size - 8192 : 0;
  ssize_t got = pread(fd, buf_reserve(ret, 8192), 8192, from);
  ret->size += got > 0 ? (size_t) got : 0;
}

static void
keep_complaint(struct str line, char ret[256])
{
  static const char *const marks[] = { "FATAL:  ", "PANIC:  ", "postgres: " };
  for (size_t m = 0; m < ARRAY_SIZE(marks); m++) {
    const char *at = memmem(line.data, line.size, marks[m], strlen(marks[m]));
    if (at == NULL)
      continue;
    at += strlen(marks[m]);
    snprintf(ret, 256, "%.*s", (int) (line.data + line.size - at), at);
  }
}

void
cluster_folder_last_complaint(const struct cluster *cluster, char ret[256])
{
  CLEANUP_BUF struct buf text = { 0 };
  char name[64];
  struct tm today;
  time_t now = time(NULL);
  ret[0] = '\0';
  /* The collector's file of the day, then what came before the collector. */
  if (gmtime_r(&now, &today) != NULL && strftime(name, sizeof name, "postgresql-%a.log", &today)) {
    CLEANUP_FREE char *path = mem_printf("%s/%s", cluster->log, name);
    read_tail(path, &text);
  }
  CLEANUP_FREE char *early = mem_printf("%s/start.log", cluster->log);
  read_tail(early, &text);
  struct str rest = buf_str(&text);
  struct str line;
  while (str_split(&rest, '\n', &line))
    keep_complaint(line, ret);
}
