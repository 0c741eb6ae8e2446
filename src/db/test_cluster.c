/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "db/test_cluster.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "db/cluster_private.h"
#include "db/db_private.h"
#include "db/test_cluster_sql.h"

#define TEMPLATE "template_panoply"

static struct
{
  char folder[32];
  struct cluster *cluster; /* NULL = not started */
  struct db *superuser;
  bool has_template;
  int databases; /* made so far; names them */
} shared;

static PN_NORETURN void
give_up(const char *what, const struct error *err)
{
  fprintf(stderr, "%s: %s (%s)\n", what, err->message, err->hint);
  (void) test_cluster_teardown(NULL);
  exit(1);
}

static void
start_cluster(void)
{
  struct error err = { 0 };
  if (shared.cluster != NULL)
    return;
  /* Short, whatever TMPDIR says: a Unix socket lies below it. */
  snprintf(shared.folder, sizeof shared.folder, "/tmp/panoply-test-XXXXXX");
  if (mkdtemp(shared.folder) == NULL)
    error_set_errno(&err, "cannot make a folder in /tmp");
  else if (cluster_start(shared.folder, false, &shared.cluster, &err) == 0)
    (void) db_open(shared.cluster->superuser_uri, &shared.superuser, &err);
  if (err.code != 0)
    give_up("no PostgreSQL for tests", &err);
}

static void
run(const char *format, const char *name, const char *rest)
{
  struct error err = { 0 };
  CLEANUP_BUF struct buf text = { 0 };
  buf_printf(&text, "%s %s%s", format, name, rest);
  if (db_ready(shared.superuser, &err) < 0
      || db_command(shared.superuser, buf_text(&text), name, &err) < 0)
    give_up("a database for tests", &err);
}

/* The cluster's URI with another database. */
static char *
uri_of(const char *database)
{
  const char *uri = cluster_uri(shared.cluster);
  return mem_printf("postgresql:///%s%s", database, strchr(uri, '?'));
}

static void
make_template(void)
{
  struct error err = { 0 };
  if (shared.has_template)
    return;
  CLEANUP_FREE char *uri = uri_of(TEMPLATE);
  run("CREATE DATABASE", TEMPLATE, " OWNER " CLUSTER_ROLE);
  if (db_migrate(uri, &err) < 0)
    give_up("migrations", &err);
  shared.has_template = true;
}

static char *
make_database(const char *rest)
{
  char name[32];
  snprintf(name, sizeof name, "test_%d", ++shared.databases);
  run("CREATE DATABASE", name, rest);
  return uri_of(name);
}

char *
test_database_make_empty(void)
{
  start_cluster();
  return make_database(" OWNER " CLUSTER_ROLE);
}

char *
test_database_make_encoded(const char *encoding)
{
  start_cluster();
  CLEANUP_FREE char *rest =
      mem_printf(" OWNER " CLUSTER_ROLE " TEMPLATE template0 ENCODING '%s' LOCALE 'C'", encoding);
  return make_database(rest);
}

struct test_database *
test_database_new(void)
{
  start_cluster();
  make_template();
  struct test_database *database = mem_alloc(sizeof *database);
  database->uri = make_database(" OWNER " CLUSTER_ROLE " TEMPLATE " TEMPLATE);
  database->pool = db_pool_new(database->uri, 4);
  return database;
}

/* As made by uri_of. */
static char *
name_in(const char *uri)
{
  const char *name = uri + strlen("postgresql:///");
  return mem_strndup(name, strcspn(name, "?"));
}

void
test_database_drop(char *uri)
{
  CLEANUP_FREE char *name = name_in(uri);
  run("DROP DATABASE", name, " WITH (FORCE)");
  free(uri);
}

void
test_database_free(struct test_database *database)
{
  if (database == NULL)
    return;
  db_pool_free(database->pool);
  test_database_drop(database->uri);
  free(database);
}

int
test_database_cut_off(const char *uri)
{
  CLEANUP_FREE char *name = name_in(uri);
  struct test_cut_off_row row = { 0 };
  struct error err = { 0 };
  if (test_cut_off(shared.superuser, str_of(name), &row, &err) < 0)
    give_up("cutting connections", &err);
  return (int) row.count;
}

int
test_database_setup(void **state)
{
  *state = test_database_new();
  return 0;
}

int
test_database_teardown(void **state)
{
  test_database_free(*state);
  return 0;
}

int
test_cluster_teardown(void **state)
{
  (void) state;
  db_close(shared.superuser);
  cluster_stop(shared.cluster);
  shared.superuser = NULL;
  shared.cluster = NULL;
  shared.has_template = false;
  return shared.folder[0] == '\0' ? 0 : file_remove_tree(shared.folder, NULL);
}
