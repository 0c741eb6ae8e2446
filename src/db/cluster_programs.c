/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Where PostgreSQL's programs are. A cluster is bound to the major version
   that made it, so the version decides, not only the place. */
#include <errno.h>
#include <glob.h>
#include <libgen.h>
#include <limits.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/mem.h"
#include "db/cluster_private.h"

/* Debian and its kin keep several versions here, none of them in PATH. */
#define DEBIAN_PROGRAMS "/usr/lib/postgresql/*/bin/postgres"

struct search
{
  int wanted; /* major version; 0 = the best */
  char *folder;
  int major;      /* of `folder`; 0 = nothing found yet */
  bool from_path; /* the operator's own choice beats a newer one */
  int seen_major; /* one that was found but does not do; for the message */
};

/* "postgres (PostgreSQL) 15.20 (Debian ...)" gives 15; 0 when it is not so. */
static int
major_of_version(struct str text)
{
  static const struct str before = { "(PostgreSQL) ", 13 };
  for (size_t i = 0; i + before.size < text.size; i++) {
    struct str rest = str_from(text, i);
    if (!str_starts(rest, before))
      continue;
    rest = str_from(rest, before.size);
    size_t digits = 0;
    while (digits < rest.size && rest.data[digits] >= '0' && rest.data[digits] <= '9')
      digits++;
    int64_t major;
    return str_to_i64(str_make(rest.data, digits), &major) == 0 && major < 1000 ? (int) major : 0;
  }
  return 0;
}

static int
program_major(const char *program)
{
  CLEANUP_BUF struct buf output = { 0 };
  const char *argv[] = { program, "--version", NULL };
  struct child_options options = CHILD_OPTIONS_INIT;
  options.argv = argv;
  if (child_run(&options, 10000, 4096, &output, NULL) < 0)
    return 0;
  return major_of_version(buf_str(&output));
}

static bool
search_wants(const struct search *search, int major)
{
  if (search->wanted != 0)
    return major == search->wanted && search->major == 0;
  return major >= CLUSTER_OLDEST_MAJOR && !search->from_path && major > search->major;
}

static void
search_consider(struct search *search, const char *program, bool from_path)
{
  CLEANUP_FREE char *real = realpath(program, NULL);
  if (real == NULL || access(real, X_OK) != 0)
    return;
  const char *folder = dirname(real);
  CLEANUP_FREE char *server = mem_printf("%s/postgres", folder);
  CLEANUP_FREE char *initdb = mem_printf("%s/initdb", folder);
  if (access(server, X_OK) != 0 || access(initdb, X_OK) != 0)
    return;
  int major = program_major(server);
  if (!search_wants(search, major)) {
    search->seen_major = major;
    return;
  }
  free(search->folder);
  search->folder = mem_strdup(folder);
  search->major = major;
  search->from_path = from_path;
}

static void
search_path(struct search *search)
{
  const char *path = getenv("PATH");
  struct str rest = str_of(path);
  struct str part;
  while (search->major == 0 && str_split(&rest, ':', &part)) {
    if (part.size == 0 || part.data[0] != '/')
      continue;
    CLEANUP_FREE char *program = mem_printf("%.*s/postgres", STR_FMT(part));
    search_consider(search, program, true);
  }
}

static void
search_debian(struct search *search)
{
  glob_t found;
  if (glob(DEBIAN_PROGRAMS, 0, NULL, &found) == 0)
    for (size_t i = 0; i < found.gl_pathc; i++)
      search_consider(search, found.gl_pathv[i], false);
  globfree(&found);
}

static int
nothing_found(const struct search *search, struct error *err)
{
  if (search->wanted != 0) {
    error_set(err, -ENOENT,
              "the private database was made by PostgreSQL %d, which is not installed (looked in "
              "PATH and /usr/lib/postgresql)",
              search->wanted);
    return error_hint(err, "install PostgreSQL %d, or move the data to a newer one by pg_upgrade",
                      search->wanted);
  }
  if (search->seen_major > 0)
    error_set(err, -ENOENT, "PostgreSQL %d is too old: Panoply needs %d or newer",
              search->seen_major, CLUSTER_OLDEST_MAJOR);
  else
    error_set(err, -ENOENT,
              "no PostgreSQL server is installed (looked in PATH and "
              "/usr/lib/postgresql for `postgres` and `initdb`)");
  return error_hint(err, "install PostgreSQL %d or newer, or give --database URI",
                    CLUSTER_OLDEST_MAJOR);
}

int
cluster_programs_find(int major, char **ret_folder, struct error *err)
{
  struct search search = { .wanted = major };
  search_path(&search);
  search_debian(&search);
  if (search.folder == NULL)
    return nothing_found(&search, err);
  *ret_folder = search.folder;
  return 0;
}
