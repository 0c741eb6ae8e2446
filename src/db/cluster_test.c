/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
/* cmocka needs the three above first. */
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <libpq-fe.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "db/cluster_private.h"

#define DEADLINE_MS 60000

/* A place of its own for each test: *state is its path. */
static int
make_place(void **state)
{
  char *path = mem_strdup("/tmp/panoply-cluster-XXXXXX");
  if (mkdtemp(path) == NULL)
    return -1;
  chmod(path, 0755);
  *state = path;
  return 0;
}

static int
remove_place(void **state)
{
  CLEANUP_FREE char *path = *state;
  return file_remove_tree(path, NULL);
}

static char *
in_place(void **state, const char *name)
{
  return mem_printf("%s/%s", (const char *) *state, name);
}

static struct cluster *
start(const char *folder, bool durable)
{
  struct error err = { 0 };
  struct cluster *cluster = NULL;
  if (cluster_start(folder, durable, &cluster, &err) < 0)
    fail_msg("%s (%s)", err.message, err.hint);
  return cluster;
}

/* Runs one statement; the first value as a number, -1 on any failure. */
static int64_t
ask(const char *uri, const char *statement)
{
  int64_t number = -1;
  PGconn *connection = PQconnectdb(uri);
  PGresult *result = PQexec(connection, statement);
  if (PQresultStatus(result) == PGRES_COMMAND_OK)
    number = 0;
  if (PQntuples(result) == 1 && str_to_i64(str_of(PQgetvalue(result, 0, 0)), &number) < 0)
    number = -1;
  PQclear(result);
  PQfinish(connection);
  return number;
}

static void
test_is_made_private_and_started(void **state)
{
  CLEANUP_FREE char *folder = in_place(state, "deep/down/database");
  CLEANUP_FREE char *socket = in_place(state, "deep/down/database/socket");
  struct cluster *cluster = start(folder, false);
  const char *uri = cluster_uri(cluster);
  assert_true(cluster_is_running(cluster));
  assert_int_equal(ask(uri, "SELECT count(*) FROM pg_database WHERE datname = current_database()"
                            " AND pg_encoding_to_char(encoding) = 'UTF8' AND datcollate = 'C'"),
                   1);
  assert_int_equal(ask(uri, "SELECT rolsuper::int FROM pg_roles WHERE rolname = current_user"), 0);
  assert_int_equal(ask(uri, "SELECT length(setting) FROM pg_settings"
                            " WHERE name = 'listen_addresses'"),
                   0);
  assert_int_equal(ask(uri, "SELECT (setting = 'off')::int FROM pg_settings WHERE name = 'jit'"),
                   1);
  struct stat status;
  const char *paths[] = { folder, socket };
  for (size_t i = 0; i < ARRAY_SIZE(paths); i++) {
    assert_int_equal(stat(paths[i], &status), 0);
    assert_int_equal(status.st_mode & 07777, 0700);
    assert_int_equal(status.st_uid, cluster->account.user);
  }
  assert_true(geteuid() != 0 || cluster->account.user != 0);
  cluster_stop(cluster);
}

static void
test_keeps_its_data_over_a_clean_stop(void **state)
{
  CLEANUP_FREE char *folder = in_place(state, "database");
  struct cluster *cluster = start(folder, true);
  assert_int_equal(ask(cluster_uri(cluster), "CREATE TABLE kept AS SELECT 7 AS n"), 0);
  assert_int_equal(ask(cluster_uri(cluster), "SELECT (setting = 'on')::int FROM pg_settings"
                                             " WHERE name = 'fsync'"),
                   1);
  int pid = cluster_pid(cluster);
  cluster_stop(cluster);
  assert_int_equal(kill(pid, 0), -1);
  cluster = start(folder, true);
  assert_int_equal(ask(cluster_uri(cluster), "SELECT n FROM kept"), 7);
  cluster_stop(cluster);
}

static void
wait_until_ended(const struct cluster *cluster)
{
  int64_t deadline = clock_monotonic_ms() + DEADLINE_MS;
  while (cluster_is_running(cluster)) {
    assert_true(clock_monotonic_ms() < deadline);
    clock_sleep_ms(5);
  }
}

static void
test_restarts_after_its_postmaster_was_killed(void **state)
{
  CLEANUP_FREE char *folder = in_place(state, "database");
  struct cluster *cluster = start(folder, true);
  const char *uri = cluster_uri(cluster);
  assert_int_equal(ask(uri, "CREATE TABLE kept AS SELECT 8 AS n"), 0);
  for (int round = 0; round < 2; round++) {
    /* A backend in the middle of something outlives its postmaster for a while. */
    PGconn *busy = PQconnectdb(uri);
    assert_int_equal(PQsendQuery(busy, "SELECT pg_sleep(1)"), 1);
    int old = cluster_pid(cluster);
    assert_int_equal(kill(old, SIGKILL), 0);
    wait_until_ended(cluster);
    struct error err = { 0 };
    if (cluster_restart(cluster, &err) < 0)
      fail_msg("%s", err.message);
    assert_true(cluster_is_running(cluster));
    assert_int_not_equal(cluster_pid(cluster), old);
    assert_int_equal(ask(uri, "SELECT n FROM kept"), 8);
    PQfinish(busy);
  }
  cluster_stop(cluster);
}

/* Starts a cluster in a child process that is then killed without warning. */
static void
start_in_killed_server(const char *folder)
{
  int ends[2];
  char ready;
  assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
  pid_t pid = fork();
  if (pid == 0) {
    struct cluster *cluster = NULL;
    bool started = cluster_start(folder, true, &cluster, NULL) == 0
                   && ask(cluster_uri(cluster), "CREATE TABLE kept AS SELECT 9 AS n") == 0;
    (void) !write(ends[1], started ? "y" : "n", 1);
    for (;;)
      pause();
  }
  close(ends[1]);
  assert_int_equal(read(ends[0], &ready, 1), 1);
  close(ends[0]);
  kill(pid, SIGKILL);
  waitpid(pid, NULL, 0);
  assert_int_equal(ready, 'y');
}

static pid_t
recorded_pid(const char *folder)
{
  CLEANUP_FREE char *path = mem_printf("%s/data/postmaster.pid", folder);
  CLEANUP_BUF struct buf text = { 0 };
  int64_t pid = 0;
  if (file_read_all(path, 4096, &text, NULL) < 0)
    return 0;
  struct str rest = buf_str(&text);
  struct str line;
  assert_true(str_split(&rest, '\n', &line));
  assert_int_equal(str_to_i64(str_trim(line), &pid), 0);
  return (pid_t) pid;
}

static void
test_is_found_again_after_the_server_was_killed(void **state)
{
  CLEANUP_FREE char *folder = in_place(state, "database");
  start_in_killed_server(folder);
  pid_t leftover = recorded_pid(folder);
  assert_int_equal(kill(leftover, 0), 0);
  struct cluster *cluster = start(folder, true);
  assert_int_not_equal(cluster_pid(cluster), leftover);
  assert_int_equal(ask(cluster_uri(cluster), "SELECT n FROM kept"), 9);
  cluster_stop(cluster);
}

static void
test_is_found_again_after_both_were_killed(void **state)
{
  CLEANUP_FREE char *folder = in_place(state, "database");
  start_in_killed_server(folder);
  kill(recorded_pid(folder), SIGKILL);
  struct cluster *cluster = start(folder, true);
  assert_int_equal(ask(cluster_uri(cluster), "SELECT n FROM kept"), 9);
  cluster_stop(cluster);
}

/* The account's process that has taken over a dead postmaster's number. */
static pid_t
start_foreign(const struct cluster_account *account)
{
  pid_t pid = fork();
  if (pid == 0) {
    if (account->drop && (setgid(account->group) != 0 || setuid(account->user) != 0))
      _exit(1);
    for (;;)
      pause();
  }
  return pid;
}

static void
replace_recorded_pid(const char *folder, pid_t pid)
{
  CLEANUP_FREE char *path = mem_printf("%s/data/postmaster.pid", folder);
  CLEANUP_BUF struct buf old = { 0 };
  CLEANUP_BUF struct buf new = { 0 };
  assert_int_equal(file_read_all(path, 4096, &old, NULL), 0);
  struct str rest = buf_str(&old);
  struct str line;
  assert_true(str_split(&rest, '\n', &line));
  buf_printf(&new, "%d\n%.*s", pid, STR_FMT(rest));
  CLEANUP_FD int fd = open(path, O_WRONLY | O_TRUNC | O_CLOEXEC);
  assert_int_equal(file_write_full(fd, new.data, new.size), 0);
}

static void
test_a_recorded_pid_of_somebody_else_is_no_obstacle(void **state)
{
  CLEANUP_FREE char *folder = in_place(state, "database");
  struct cluster *cluster = start(folder, true);
  assert_int_equal(ask(cluster_uri(cluster), "CREATE TABLE kept AS SELECT 10 AS n"), 0);
  struct cluster_account account = cluster->account;
  kill(cluster_pid(cluster), SIGKILL);
  wait_until_ended(cluster);
  cluster_stop(cluster);
  pid_t foreign = start_foreign(&account);
  replace_recorded_pid(folder, foreign);
  cluster = start(folder, true);
  assert_int_equal(ask(cluster_uri(cluster), "SELECT n FROM kept"), 10);
  assert_int_equal(waitpid(foreign, NULL, WNOHANG), 0);
  cluster_stop(cluster);
  kill(foreign, SIGKILL);
  waitpid(foreign, NULL, 0);
}

/* In another root of this machine a data folder may have the same path. */
static void
test_a_postmaster_of_another_root_is_left_alone(void **state)
{
  CLEANUP_FREE char *folder = in_place(state, "database");
  CLEANUP_FREE char *data = in_place(state, "database/data");
  pid_t foreign = fork();
  if (foreign == 0) {
    execl("/bin/sh", "postgres", "-c", "kill -STOP $$", data, NULL);
    _exit(1);
  }
  int status;
  assert_int_equal(waitpid(foreign, &status, WUNTRACED), foreign);
  assert_true(WIFSTOPPED(status));
  cluster_stop(start(folder, true));
  assert_int_equal(waitpid(foreign, NULL, WNOHANG), 0);
  kill(foreign, SIGKILL);
  waitpid(foreign, NULL, 0);
}

/* As a power cut or a full disk leaves a file. */
static void
spoil(const char *folder, const char *name, struct str contents)
{
  CLEANUP_FREE char *path = mem_printf("%s/%s", folder, name);
  CLEANUP_FD int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  assert_int_equal(file_write_full(fd, contents.data, contents.size), 0);
}

static void
test_lock_files_that_say_nothing_are_no_obstacle(void **state)
{
  const struct str contents[] = { STR(""), STR("garbage\n"), STR("0\n"), STR("\0\0\0\0\0\0\0\0"),
                                  STR("12x\n/") };
  CLEANUP_FREE char *folder = in_place(state, "database");
  start_in_killed_server(folder);
  kill(recorded_pid(folder), SIGKILL);
  for (size_t i = 0; i < ARRAY_SIZE(contents); i++) {
    spoil(folder, "data/postmaster.pid", contents[i]);
    spoil(folder, "socket/.s.PGSQL.5432.lock", contents[i]);
    struct cluster *cluster = start(folder, true);
    assert_int_equal(ask(cluster_uri(cluster), "SELECT n FROM kept"), 9);
    cluster_stop(cluster);
  }
}

/* The file lies: the postmaster lives, and two on the same data would ruin it. */
static void
test_a_postmaster_that_no_file_names_is_ended_first(void **state)
{
  CLEANUP_FREE char *folder = in_place(state, "database");
  CLEANUP_FREE char *path = in_place(state, "database/data/postmaster.pid");
  CLEANUP_FREE char *socket = in_place(state, "database/socket/.s.PGSQL.5432");
  for (int round = 0; round < 2; round++) {
    start_in_killed_server(folder);
    CLEANUP_FD int pidfd = (int) syscall(SYS_pidfd_open, recorded_pid(folder), 0);
    struct pollfd watch = { .fd = pidfd, .events = POLLIN };
    assert_int_equal(poll(&watch, 1, 0), 0);
    if (round == 0)
      spoil(folder, "data/postmaster.pid", STR(""));
    else
      assert_int_equal(unlink(path), 0);
    assert_int_equal(unlink(socket), 0); /* nor does it help to ask there */
    struct cluster *cluster = start(folder, true);
    assert_int_equal(poll(&watch, 1, 0), 1);
    assert_int_equal(ask(cluster_uri(cluster), "SELECT n FROM kept"), 9);
    assert_int_equal(ask(cluster_uri(cluster), "DROP TABLE kept"), 0);
    cluster_stop(cluster);
  }
}

/* As when it runs in another container. */
static void
test_a_postmaster_out_of_sight_is_left_alone(void **state)
{
  CLEANUP_FREE char *folder = in_place(state, "database");
  CLEANUP_FREE char *path = in_place(state, "database/data/postmaster.pid");
  struct sockaddr_un address = { .sun_family = AF_UNIX };
  cluster_stop(start(folder, false));
  spoil(folder, "data/postmaster.pid", STR("garbage"));
  snprintf(address.sun_path, sizeof address.sun_path, "%s/socket/.s.PGSQL.5432", folder);
  CLEANUP_FD int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  assert_int_equal(bind(fd, (struct sockaddr *) &address, sizeof address), 0);
  assert_int_equal(listen(fd, 1), 0);
  struct error err = { 0 };
  struct cluster *cluster = NULL;
  assert_int_equal(cluster_start(folder, false, &cluster, &err), -EBUSY);
  assert_non_null(strstr(err.message, address.sun_path));
  assert_true(file_exists(path));
}

static void
test_a_half_made_cluster_is_made_anew(void **state)
{
  CLEANUP_FREE char *folder = in_place(state, "database");
  CLEANUP_FREE char *half = in_place(state, "database/data.new/base");
  CLEANUP_FREE char *parent = in_place(state, "database/data.new");
  CLEANUP_FREE char *version = in_place(state, "database/data.new/PG_VERSION");
  assert_int_equal(file_make_dirs(half, 0700, NULL), 0);
  assert_int_equal(file_write_atomic(version, STR("15\n"), 0600, NULL), 0);
  struct cluster *cluster = start(folder, false);
  assert_false(file_exists(parent));
  cluster_stop(cluster);
}

static void
test_one_server_a_folder(void **state)
{
  CLEANUP_FREE char *folder = in_place(state, "database");
  struct cluster *first = start(folder, false);
  struct cluster *second = NULL;
  struct error err = { 0 };
  assert_int_equal(cluster_start(folder, false, &second, &err), -EBUSY);
  assert_non_null(strstr(err.message, folder));
  assert_true(cluster_is_running(first));
  assert_int_equal(ask(cluster_uri(first), "SELECT 1"), 1);
  cluster_stop(first);
}

static void
test_tells_which_folder_the_account_cannot_pass(void **state)
{
  if (geteuid() != 0)
    skip();
  CLEANUP_FREE char *closed = in_place(state, "closed");
  CLEANUP_FREE char *folder = in_place(state, "closed/state/database");
  assert_int_equal(mkdir(closed, 0700), 0);
  struct error err = { 0 };
  struct cluster *cluster = NULL;
  assert_int_equal(cluster_start(folder, false, &cluster, &err), -EACCES);
  CLEANUP_FREE char *part = mem_printf("cannot pass the folder %s", closed);
  assert_non_null(strstr(err.message, part));
  assert_non_null(strstr(err.message, "postgres"));
  assert_non_null(strstr(err.hint, "chmod o+x"));
}

static void
test_refuses_data_of_a_version_that_is_not_installed(void **state)
{
  CLEANUP_FREE char *folder = in_place(state, "database");
  CLEANUP_FREE char *data = in_place(state, "database/data");
  CLEANUP_FREE char *version = in_place(state, "database/data/PG_VERSION");
  assert_int_equal(file_make_dirs(data, 0700, NULL), 0);
  assert_int_equal(file_write_atomic(version, STR("9\n"), 0600, NULL), 0);
  struct error err = { 0 };
  struct cluster *cluster = NULL;
  assert_int_equal(cluster_start(folder, false, &cluster, &err), -ENOENT);
  assert_non_null(strstr(err.message, "PostgreSQL 9"));
  assert_non_null(strstr(err.hint, "pg_upgrade"));
}

static void
test_says_why_postgresql_does_not_start(void **state)
{
  CLEANUP_FREE char *folder = in_place(state, "database");
  struct cluster *cluster = start(folder, false);
  CLEANUP_FREE char *control = in_place(state, "database/data/global/pg_control");
  cluster_stop(cluster);
  assert_int_equal(unlink(control), 0);
  struct error err = { 0 };
  assert_int_equal(cluster_start(folder, false, &cluster, &err), -ECHILD);
  assert_non_null(strstr(err.message, "could not find the database system"));
  assert_non_null(strstr(err.hint, folder));
}

static void
test_refuses_paths_that_cannot_work(void **state)
{
  char name[120];
  memset(name, 'x', sizeof name - 1);
  name[sizeof name - 1] = '\0';
  CLEANUP_FREE char *deep = in_place(state, name);
  CLEANUP_FREE char *quoted = in_place(state, "it's");
  struct cluster *cluster = NULL;
  struct error err = { 0 };
  assert_int_equal(cluster_start(deep, false, &cluster, &err), -ENAMETOOLONG);
  assert_non_null(strstr(err.hint, "shorter"));
  assert_int_equal(cluster_start(quoted, false, &cluster, &err), -EINVAL);
}

static void
test_tells_that_the_account_has_no_name(void **state)
{
  enum
  {
    NAMELESS = 54321
  };
  if (geteuid() != 0 || getpwuid(NAMELESS) != NULL)
    skip();
  CLEANUP_FREE char *folder = in_place(state, "database");
  CLEANUP_FREE char *data = in_place(state, "database/data.new");
  assert_int_equal(chmod(*state, 0777), 0);
  pid_t pid = fork();
  if (pid == 0) {
    struct error err = { 0 };
    struct cluster *cluster = NULL;
    bool told = setgid(NAMELESS) == 0 && setuid(NAMELESS) == 0
                && cluster_start(folder, false, &cluster, &err) == -ENOENT
                && strstr(err.message, "account 54321") != NULL
                && strstr(err.hint, "/etc/passwd") != NULL;
    _exit(told && !file_exists(data) ? 0 : 1);
  }
  int status = -1;
  assert_int_equal(waitpid(pid, &status, 0), pid);
  assert_int_equal(status, 0);
}

/* All of the above again as an account without rights: root's test runs
   itself in a child. */
static void
test_works_for_an_ordinary_user(void **state)
{
  if (geteuid() != 0)
    skip();
  CLEANUP_BUF struct buf output = { 0 };
  CLEANUP_FREE char *copy = in_place(state, "cluster_test");
  CLEANUP_BUF struct buf program = { 0 };
  /* The build folder may be closed to others. */
  assert_int_equal(file_read_all("/proc/self/exe", 64 << 20, &program, NULL), 0);
  assert_int_equal(file_write_atomic(copy, buf_str(&program), 0755, NULL), 0);
  const char *argv[] = { copy, NULL };
  struct child_options options = CHILD_OPTIONS_INIT;
  options.argv = argv;
  options.folder = "/tmp";
  options.drop_privileges = true;
  options.user = 65534;
  options.group = 65534;
  struct error err = { 0 };
  if (child_run(&options, 300000, 65536, &output, &err) < 0)
    fail_msg("%s\n%s", err.message, buf_text(&output));
}

#define IN_PLACE(function) cmocka_unit_test_setup_teardown(function, make_place, remove_place)

int
main(void)
{
  const struct CMUnitTest tests[] = {
    IN_PLACE(test_is_made_private_and_started),
    IN_PLACE(test_keeps_its_data_over_a_clean_stop),
    IN_PLACE(test_restarts_after_its_postmaster_was_killed),
    IN_PLACE(test_is_found_again_after_the_server_was_killed),
    IN_PLACE(test_is_found_again_after_both_were_killed),
    IN_PLACE(test_a_recorded_pid_of_somebody_else_is_no_obstacle),
    IN_PLACE(test_a_postmaster_of_another_root_is_left_alone),
    IN_PLACE(test_lock_files_that_say_nothing_are_no_obstacle),
    IN_PLACE(test_a_postmaster_that_no_file_names_is_ended_first),
    IN_PLACE(test_a_postmaster_out_of_sight_is_left_alone),
    IN_PLACE(test_a_half_made_cluster_is_made_anew),
    IN_PLACE(test_one_server_a_folder),
    IN_PLACE(test_tells_which_folder_the_account_cannot_pass),
    IN_PLACE(test_refuses_data_of_a_version_that_is_not_installed),
    IN_PLACE(test_says_why_postgresql_does_not_start),
    IN_PLACE(test_refuses_paths_that_cannot_work),
    IN_PLACE(test_tells_that_the_account_has_no_name),
    IN_PLACE(test_works_for_an_ordinary_user),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
