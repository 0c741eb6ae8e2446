/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
/* cmocka needs the three above first. */
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/child.h"
#include "base/file.h"
#include "base/mem.h"
#include "db/test_cluster.h"
#include "evaluation/evaluation_private.h"

#define EVALUATION 7

/* A store root, a state folder, a script, and a repository that was polled. */
struct site
{
  struct test_database *database;
  struct arena arena;
  char folder[64];
  struct evaluations evaluations;
  struct specification_channel channel;
  struct specification specification;
  struct str commit;
  struct workspace workspace;
  struct error err;
};

static const char *
path_of(struct site *site, const char *name)
{
  return arena_printf(&site->arena, "%s/%s", site->folder, name);
}

static void
shell(struct site *site, const char *script)
{
  const char *argv[] = { "sh", "-euc", script, NULL };
  struct child_options options = CHILD_OPTIONS_INIT;
  options.argv = argv;
  options.folder = site->folder;
  if (child_run(&options, 30000, 0, NULL, &site->err) < 0)
    fail_msg("%s", site->err.message);
}

static void
poll_channel(struct site *site)
{
  struct channels_tip tip;
  shell(site, "mkdir root scheme state; echo '(script)' > scheme/evaluate.scm;"
              "git init -q -b main remote; mkdir remote/sub; echo one > remote/sub/file;"
              "git -C remote add -A;"
              "git -C remote -c user.name=A -c user.email=a@example.org commit -q -m one");
  site->channel.url = str_of(path_of(site, "remote"));
  if (channels_poll(site->evaluations.options.channels, site->channel.url.data, "main", NULL, &tip,
                    &site->err)
      < 0)
    fail_msg("%s", site->err.message);
  site->commit = arena_str(&site->arena, str_of(tip.commit));
}

static int
setup(void **state)
{
  struct site *site = mem_alloc(sizeof *site);
  snprintf(site->folder, sizeof site->folder, "/tmp/panoply-workspace-XXXXXX");
  assert_non_null(mkdtemp(site->folder));
  site->database = test_database_new();
  const struct channels_options channels = { .folder = path_of(site, "repositories"),
                                             .pool = site->database->pool };
  site->evaluations.options =
      (struct evaluation_options) { .pool = site->database->pool,
                                    .channels = channels_new(&channels),
                                    .folder = path_of(site, "state"),
                                    .store_root = path_of(site, "root"),
                                    .scheme_folder = path_of(site, "scheme") };
  site->channel = (struct specification_channel) { .name = STR("sea"), .branch = STR("main") };
  site->specification = (struct specification) { .name = STR("ocean"),
                                                 .channels = &site->channel,
                                                 .channels_count = 1 };
  poll_channel(site);
  *state = site;
  return 0;
}

static int
teardown(void **state)
{
  struct site *site = *state;
  workspace_clear(&site->workspace);
  channels_free(site->evaluations.options.channels);
  test_database_free(site->database);
  file_remove_tree(site->folder, NULL);
  arena_free(&site->arena);
  free(site);
  return 0;
}

static void
make(struct site *site)
{
  if (workspace_make(&site->evaluations, EVALUATION, &site->specification, &site->commit,
                     &site->workspace, &site->err)
      < 0)
    fail_msg("%s", site->err.message);
}

/* The file NAME of the workspace. */
static const char *
contents(struct site *site, const char *name)
{
  CLEANUP_BUF struct buf text = { 0 };
  const char *path = arena_printf(&site->arena, "%s/%s", site->workspace.outside, name);
  if (file_read_all(path, 1 << 20, &text, &site->err) < 0)
    fail_msg("%s", site->err.message);
  return arena_str(&site->arena, buf_str(&text)).data;
}

static void
test_what_is_in_it(void **state)
{
  struct site *site = *state;
  make(site);
  const struct workspace *workspace = &site->workspace;
  assert_string_equal(workspace->log, path_of(site, "state/7/log"));
  assert_string_equal(workspace->inside,
                      arena_printf(&site->arena, "/var/lib/panoply/evaluation-7-%d", getpid()));
  assert_string_equal(workspace->outside,
                      arena_printf(&site->arena, "%s/root%s", site->folder, workspace->inside));
  assert_string_equal(contents(site, "evaluate.scm"), "(script)\n");
  assert_string_equal(contents(site, "channels/sea/sub/file"), "one\n");
  assert_true(file_exists(path_of(site, "root/var/lib/panoply/home/ocean")));
  assert_true(file_exists(path_of(site, "state/7")));
  assert_false(file_exists(arena_printf(&site->arena, "%s/channels.scm", workspace->outside)));
}

static void
test_without_a_store_root_inside_is_outside(void **state)
{
  struct site *site = *state;
  site->evaluations.options.store_root = "";
  make(site);
  assert_string_equal(site->workspace.inside, site->workspace.outside);
  assert_true(str_starts(str_of(site->workspace.inside), str_of(path_of(site, "state/"))));
  assert_string_equal(site->workspace.home, path_of(site, "state/home/ocean"));
}

/* Whatever the specification holds, it is one text to Guile. */
static void
test_channels_of_a_time_machine(void **state)
{
  struct site *site = *state;
  site->specification.mode = SPECIFICATION_TIME_MACHINE;
  site->channel.introduction_commit = STR("0123");
  site->channel.introduction_signer = STR("AB \"(exit)\\ CD");
  make(site);
  assert_string_equal(contents(site, "channels.scm"),
                      arena_printf(&site->arena,
                                   "(list\n"
                                   " (channel (name (string->symbol \"sea\"))\n"
                                   "  (url \"%s\")\n"
                                   "  (branch \"main\")\n"
                                   "  (commit \"%s\")\n"
                                   "  (introduction (make-channel-introduction \"0123\""
                                   " (openpgp-fingerprint \"AB \\\"(exit)\\\\ CD\")))))\n",
                                   site->channel.url.data, site->commit.data));
}

static json_t *
request(struct site *site, const char *system)
{
  char *inside = NULL;
  if (workspace_write_request(&site->workspace, &site->specification, &site->commit, str_of(system),
                              &inside, &site->err)
      < 0)
    fail_msg("%s", site->err.message);
  const char *name = arena_printf(&site->arena, "request-%s.json", system);
  assert_string_equal(inside, arena_printf(&site->arena, "%s/%s", site->workspace.inside, name));
  free(inside);
  json_t *value = json_loads(contents(site, name), 0, NULL);
  assert_non_null(value);
  return value;
}

static void
test_request(void **state)
{
  struct site *site = *state;
  make(site);
  json_t *value = request(site, "x86_64-linux");
  json_t *expected =
      json_pack("{s:s, s:s, s:s, s:[{s:s, s:s, s:s, s:s, s:s}]}", "mode", "overlay", "build", "all",
                "system", "x86_64-linux", "channels", "name", "sea", "url", site->channel.url.data,
                "branch", "main", "commit", site->commit.data, "checkout",
                arena_printf(&site->arena, "%s/channels/sea", site->workspace.inside));
  assert_true(json_equal(value, expected));
  json_decref(value);
  json_decref(expected);
}

static void
test_requests_for_parts(void **state)
{
  struct site *site = *state;
  struct str names[] = { STR("a \"b\""), STR("(c d)") };
  static const struct
  {
    enum specification_subset subset;
    const char *field;
  } cases[] = {
    { SPECIFICATION_CHANNELS, "channels" },
    { SPECIFICATION_PACKAGES, "packages" },
    { SPECIFICATION_MANIFESTS, "manifests" },
    { SPECIFICATION_CUSTOM, "custom" },
  };
  make(site);
  site->specification.mode = SPECIFICATION_TIME_MACHINE;
  site->specification.subset_names = names;
  site->specification.subset_names_count = ARRAY_SIZE(names);
  for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
    site->specification.subset = cases[i].subset;
    json_t *value = request(site, "aarch64-linux");
    json_t *expected = json_pack("{s:[s, s]}", cases[i].field, "a \"b\"", "(c d)");
    assert_true(json_equal(json_object_get(value, "build"), expected));
    assert_string_equal(json_string_value(json_object_get(value, "mode")), "time-machine");
    json_decref(value);
    json_decref(expected);
  }
}

/* The number of a process that has ended. */
static pid_t
ended_process(void)
{
  pid_t pid = fork();
  if (pid == 0)
    _exit(0);
  assert_int_equal(waitpid(pid, NULL, 0), pid);
  return pid;
}

static const char *
make_folder(struct site *site, int evaluation, int pid)
{
  const char *path = arena_printf(&site->arena, "%s/root/var/lib/panoply/evaluation-%d-%d",
                                  site->folder, evaluation, pid);
  assert_int_equal(file_make_dirs(path, 0755, &site->err), 0);
  return path;
}

static void
test_only_what_the_dead_left_of_it_goes(void **state)
{
  struct site *site = *state;
  int dead = ended_process();
  const char *left = make_folder(site, EVALUATION, dead);
  const char *of_the_living = make_folder(site, EVALUATION, getppid());
  const char *of_another = make_folder(site, EVALUATION * 10, dead);
  const char *ours = make_folder(site, EVALUATION, getpid());
  const char *old = arena_printf(&site->arena, "%s/old", ours);
  assert_int_equal(file_make_dirs(old, 0755, &site->err), 0);
  make(site);
  assert_false(file_exists(left));
  assert_true(file_exists(of_the_living));
  assert_true(file_exists(of_another));
  assert_false(file_exists(old));
  assert_string_equal(contents(site, "evaluate.scm"), "(script)\n");
}

static void
test_clearing_leaves_log_and_home(void **state)
{
  struct site *site = *state;
  make(site);
  const char *outside = arena_printf(&site->arena, "%s", site->workspace.outside);
  assert_int_equal(file_write_atomic(site->workspace.log, STR("x"), 0600, &site->err), 0);
  workspace_clear(&site->workspace);
  assert_null(site->workspace.outside);
  assert_false(file_exists(outside));
  assert_true(file_exists(path_of(site, "state/7/log")));
  assert_true(file_exists(path_of(site, "root/var/lib/panoply/home/ocean")));
  workspace_clear(&site->workspace); /* of nothing */
}

static void
test_what_is_missing_is_told(void **state)
{
  struct site *site = *state;
  site->evaluations.options.scheme_folder = path_of(site, "nowhere");
  assert_int_equal(workspace_make(&site->evaluations, EVALUATION, &site->specification,
                                  &site->commit, &site->workspace, &site->err),
                   -ENOENT);
  assert_non_null(strstr(site->err.message, "nowhere/evaluate.scm"));
  assert_true(site->err.hint[0] != '\0');
  workspace_clear(&site->workspace);

  struct str unknown = STR("0123456789012345678901234567890123456789");
  assert_true(workspace_make(&site->evaluations, EVALUATION, &site->specification, &unknown,
                             &site->workspace, &site->err)
              < 0);
  assert_non_null(strstr(site->err.message, unknown.data));
}

#define ON_SITE(function) cmocka_unit_test_setup_teardown(function, setup, teardown)

int
main(void)
{
  const struct CMUnitTest tests[] = {
    ON_SITE(test_what_is_in_it),
    ON_SITE(test_without_a_store_root_inside_is_outside),
    ON_SITE(test_channels_of_a_time_machine),
    ON_SITE(test_request),
    ON_SITE(test_requests_for_parts),
    ON_SITE(test_only_what_the_dead_left_of_it_goes),
    ON_SITE(test_clearing_leaves_log_and_home),
    ON_SITE(test_what_is_missing_is_told),
  };
  return cmocka_run_group_tests_name("workspace", tests, NULL, test_cluster_teardown);
}
