/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Whether what evaluations need is there: a guix to run, and its daemon. */
#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "evaluation/evaluation_private.h"
#include "guix/daemon.h"

#define LOOK_AGAIN_MS 15000   /* while something is missing */
#define LOOK_LATER_MS 1200000 /* the daemon notes each look */

/* A link inside a store root may lead nowhere from here. */
static bool
is_there(const char *path)
{
  struct stat status;
  return lstat(path, &status) == 0;
}

/* In a folder of the path, below ROOT. */
static bool
is_on_path(const char *root, const char *name)
{
  struct str rest = str_from(str_of(evaluator_path), strlen("PATH="));
  struct str folder;
  while (str_split(&rest, ':', &folder)) {
    CLEANUP_FREE char *path = mem_printf("%s%.*s/%s", root, STR_FMT(folder), name);
    if (is_there(path))
      return true;
  }
  return false;
}

static int
check_guix(const struct evaluations *evaluations, struct error *err)
{
  const char *root = evaluations->options.store_root;
  bool is_named = evaluations->options.guix != NULL;
  const char *name = is_named ? evaluations->guix[0] : "guix";
  const char *below = is_named ? "" : root;
  if (name != NULL && (name[0] == '/' ? is_there(name) : is_on_path(below, name)))
    return 0;
  error_set(err, -ENOENT, "there is no %s%s%s", name != NULL ? name : "guix",
            below[0] != '\0'                 ? " below "
            : name != NULL && name[0] == '/' ? ""
                                             : " on the path",
            below);
  return error_hint(err, "Install Guix, or tell where it is: --guix COMMAND for a command, "
                         "--store-root FOLDER for a root of its own.");
}

static int
check(const struct evaluations *evaluations, struct error *err)
{
  CLEANUP_FREE char *socket =
      mem_printf("%s/var/guix/daemon-socket/socket", evaluations->options.store_root);
  struct guix_daemon *daemon = NULL;
  int r = check_guix(evaluations, err);
  if (r < 0)
    return r;
  r = guix_daemon_open(socket, &daemon, err);
  guix_daemon_close(daemon);
  return r == 0 ? 0
                : error_hint(err, "Start guix-daemon (systemctl start guix-daemon), or tell where "
                                  "its root is: --store-root FOLDER.");
}

int
evaluations_check(struct evaluations *evaluations, struct error *err)
{
  struct error found = { 0 };
  int r = check(evaluations, &found);
  pthread_mutex_lock(&evaluations->lock);
  bool is_new = r < 0 && strcmp(evaluations->trouble.message, found.message) != 0;
  evaluations->trouble = found;
  evaluations->look_for_trouble_at_ms =
      clock_monotonic_ms() + (r < 0 ? LOOK_AGAIN_MS : LOOK_LATER_MS);
  pthread_mutex_unlock(&evaluations->lock);
  if (is_new)
    log_warning("evaluation", "evaluations will fail: %s. %s", found.message, found.hint);
  if (r < 0)
    *err = found;
  return r;
}

void
evaluations_look_for_trouble(struct evaluations *evaluations)
{
  struct error err = { 0 };
  pthread_mutex_lock(&evaluations->lock);
  bool is_due = clock_monotonic_ms() >= evaluations->look_for_trouble_at_ms;
  pthread_mutex_unlock(&evaluations->lock);
  if (is_due)
    (void) evaluations_check(evaluations, &err);
}

void
evaluations_trouble(struct evaluations *evaluations, struct error *ret)
{
  pthread_mutex_lock(&evaluations->lock);
  *ret = evaluations->trouble;
  pthread_mutex_unlock(&evaluations->lock);
}
