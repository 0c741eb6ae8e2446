/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The life of the private cluster: made, started, watched, stopped. */
#include <errno.h>
#include <fcntl.h>
#include <libpq-fe.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "db/cluster_private.h"

/* Recovery after a crash reads up to max_wal_size and more; the process ending
   is noticed at once, so this only bounds one that hangs. */
#define READY_TIMEOUT_MS 600000

/* Backends that outlive a killed postmaster for a moment keep a new one from
   starting: try again after these pauses. */
static const int64_t start_pauses_ms[] = { 200, 1000, 4000 };

/* ---- starting ---- */

static int
launch(struct cluster *cluster, struct error *err)
{
  CLEANUP_FREE char *program = mem_printf("%s/postgres", cluster->programs);
  CLEANUP_FREE char *configuration = mem_printf("config_file=%s", cluster->configuration);
  CLEANUP_FREE char *socket = mem_printf("unix_socket_directories=%s", cluster->socket);
  CLEANUP_FREE char *log = mem_printf("%s/start.log", cluster->log);
  /* What must hold whatever the configuration says stands on the command line. */
  const char *argv[] = { program,
                         "-D",
                         cluster->data,
                         "-c",
                         configuration,
                         "-c",
                         socket,
                         "-c",
                         "port=5432",
                         "-c",
                         "unix_socket_permissions=0700",
                         "-c",
                         "listen_addresses=",
                         NULL };
  CLEANUP_FD int fd = open(log, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
  if (fd < 0)
    return error_set_errno(err, "cannot write %s", log);
  struct child_options options;
  cluster_child_options(cluster, argv, &options);
  options.output = options.errors = fd;
  options.die_with_parent = !cluster->durable;
  return child_start(&options, &cluster->postmaster, err);
}

static int
ended_at_start(const struct cluster *cluster, int status, struct error *err)
{
  char text[64];
  char complaint[256];
  cluster_folder_last_complaint(cluster, complaint);
  error_set(err, -ECHILD, "PostgreSQL ended at start (%s)%s%s", child_status_text(status, text),
            complaint[0] != '\0' ? ": " : "", complaint);
  return error_hint(err, "see the log in %s", cluster->log);
}

static int
wait_ready(struct cluster *cluster, struct error *err)
{
  int64_t deadline = clock_monotonic_ms() + READY_TIMEOUT_MS;
  int status;
  for (;;) {
    int ended = child_wait(&cluster->postmaster, 20, &status);
    if (ended < 0)
      return error_set(err, ended, "cannot watch PostgreSQL");
    if (ended > 0)
      return ended_at_start(cluster, status, err);
    if (PQping(cluster->superuser_uri) == PQPING_OK)
      return 0;
    if (clock_monotonic_ms() > deadline)
      return error_set(err, -ETIMEDOUT, "PostgreSQL in %s does not become ready", cluster->folder);
  }
}

static void
stop_postmaster(struct cluster *cluster)
{
  int status;
  if (cluster->postmaster.pid == 0)
    return;
  (void) cluster_postmaster_end(cluster->postmaster.pidfd, NULL);
  (void) child_wait(&cluster->postmaster, 1000, &status);
}

static int
start_once(struct cluster *cluster, struct error *err)
{
  int r = launch(cluster, err);
  if (r == 0)
    r = wait_ready(cluster, err);
  if (r < 0)
    stop_postmaster(cluster);
  return r;
}

static int
start_postmaster(struct cluster *cluster, struct error *err)
{
  int r = cluster_folder_prepare(cluster, err);
  if (r == 0)
    r = cluster_leftover_end(cluster, err);
  if (r < 0)
    return r;
  r = start_once(cluster, err);
  for (size_t i = 0; r == -ECHILD && i < ARRAY_SIZE(start_pauses_ms); i++) {
    clock_sleep_ms(start_pauses_ms[i]);
    r = start_once(cluster, err);
  }
  return r;
}

/* ---- the role and the database inside ---- */

static bool
can_connect(const char *uri)
{
  PGconn *connection = PQconnectdb(uri);
  bool connected = PQstatus(connection) == CONNECTION_OK;
  PQfinish(connection);
  return connected;
}

/* Makes both; one that is there already, from a start that was cut short, is
   as good. */
static int
make_contents(PGconn *connection, struct error *err)
{
  static const struct
  {
    const char *text;
    const char *exists; /* SQLSTATE: it is there already */
  } steps[] = {
    { "CREATE ROLE " CLUSTER_ROLE " LOGIN", "42710" },
    { "CREATE DATABASE " CLUSTER_DATABASE " OWNER " CLUSTER_ROLE, "42P04" },
  };
  for (size_t i = 0; i < ARRAY_SIZE(steps); i++) {
    PGresult *result = PQexec(connection, steps[i].text);
    const char *state = PQresultErrorField(result, PG_DIAG_SQLSTATE);
    bool failed = PQresultStatus(result) != PGRES_COMMAND_OK
                  && (state == NULL || strcmp(state, steps[i].exists) != 0);
    if (failed)
      error_set(err, -DB_ERROR_FAILED, "cannot set up the private database: %s",
                PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY));
    PQclear(result);
    if (failed)
      return -DB_ERROR_FAILED;
  }
  return 0;
}

static int
ensure_contents(const struct cluster *cluster, struct error *err)
{
  if (can_connect(cluster->uri))
    return 0;
  PGconn *connection = PQconnectdb(cluster->superuser_uri);
  int r = PQstatus(connection) == CONNECTION_OK
              ? make_contents(connection, err)
              : error_set(err, -DB_ERROR_LOST, "cannot enter the private database in %s",
                          cluster->folder);
  PQfinish(connection);
  return r;
}

/* ---- the public face ---- */

static void
cluster_free(struct cluster *cluster)
{
  stop_postmaster(cluster);
  file_closep(&cluster->folder_lock);
  free(cluster->programs);
  free(cluster->folder);
  free(cluster->data);
  free(cluster->socket);
  free(cluster->log);
  free(cluster->configuration);
  free(cluster->uri);
  free(cluster->superuser_uri);
  pthread_mutex_destroy(&cluster->mutex);
  free(cluster);
}

static int
cluster_bring_up(struct cluster *cluster, const char *folder, struct error *err)
{
  int major = 0;
  int r = cluster_account_find(&cluster->account, err);
  if (r == 0)
    r = cluster_folder_open(cluster, folder, err);
  if (r == 0)
    r = cluster_folder_major(cluster, &major, err);
  if (r == 0)
    r = cluster_programs_find(major, &cluster->programs, err);
  if (r == 0)
    r = cluster_folder_check_access(cluster, err);
  if (r == 0 && major == 0)
    r = cluster_folder_initialise(cluster, err);
  if (r == 0)
    r = start_postmaster(cluster, err);
  if (r == 0)
    r = ensure_contents(cluster, err);
  return r;
}

int
cluster_start(const char *folder, bool durable, struct cluster **ret, struct error *err)
{
  struct error own = { 0 };
  err = err != NULL ? err : &own;
  struct cluster *cluster = mem_alloc(sizeof *cluster);
  pthread_mutex_init(&cluster->mutex, NULL);
  cluster->postmaster = (struct child) CHILD_INIT;
  cluster->folder_lock = -1;
  cluster->durable = durable;
  int r = cluster_bring_up(cluster, folder, err);
  if (r < 0) {
    cluster_free(cluster);
    return r;
  }
  *ret = cluster;
  return 0;
}

const char *
cluster_uri(const struct cluster *cluster)
{
  return cluster->uri;
}

bool
cluster_is_running(const struct cluster *cluster)
{
  /* The caller's view is constant; noticing an end is our own affair. */
  struct cluster *own = (struct cluster *) cluster;
  int status;
  pthread_mutex_lock(&own->mutex);
  bool running = own->postmaster.pid > 0 && child_wait(&own->postmaster, 0, &status) == 0;
  pthread_mutex_unlock(&own->mutex);
  return running;
}

int
cluster_pid(const struct cluster *cluster)
{
  return cluster->postmaster.pid;
}

int
cluster_restart(struct cluster *cluster, struct error *err)
{
  struct error own = { 0 };
  err = err != NULL ? err : &own;
  pthread_mutex_lock(&cluster->mutex);
  stop_postmaster(cluster);
  int r = start_postmaster(cluster, err);
  pthread_mutex_unlock(&cluster->mutex);
  return r;
}

void
cluster_stop(struct cluster *cluster)
{
  if (cluster != NULL)
    cluster_free(cluster);
}
