/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
/* cmocka needs the three above first. */
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/child.h"
#include "base/file.h"
#include "base/mem.h"
#include "channels/channels_private.h"

static const struct git_limits limits = { .timeout_s = 30 };

struct fixture
{
  char folder[64];
  char *remote;
  char *clone;
};

static void
shell(const struct fixture *fixture, const char *script)
{
  const char *argv[] = { "sh", "-euc", script, NULL };
  struct child_options options = CHILD_OPTIONS_INIT;
  struct error err = { 0 };
  options.argv = argv;
  options.folder = fixture->folder;
  if (child_run(&options, 30000, 0, NULL, &err) < 0)
    fail_msg("%s", err.message);
}

#define COMMIT "git -C remote -c user.name=\"A Name\" -c user.email=a@example.org commit -q -m "

static int
setup(void **state)
{
  struct fixture *fixture = mem_alloc(sizeof *fixture);
  snprintf(fixture->folder, sizeof fixture->folder, "/tmp/panoply-git-XXXXXX");
  assert_non_null(mkdtemp(fixture->folder));
  fixture->remote = mem_printf("%s/remote", fixture->folder);
  fixture->clone = mem_printf("%s/clones/1.git", fixture->folder);
  shell(fixture, "mkdir clones; git init -q -b main remote; mkdir remote/sub; "
                 "echo one > remote/sub/file; ln -s sub/file remote/link; "
                 "git -C remote add -A; " COMMIT "'first <b>'");
  *state = fixture;
  return 0;
}

static int
teardown(void **state)
{
  struct fixture *fixture = *state;
  file_remove_tree(fixture->folder, NULL);
  free(fixture->remote);
  free(fixture->clone);
  free(fixture);
  return 0;
}

/* As a server reads a channel in somebody's home folder. */
static void
test_repository_of_another_account(void **state)
{
  const struct fixture *fixture = *state;
  struct error err = { 0 };
  char commit[GIT_COMMIT_SIZE];
  CLEANUP_FREE char *url = mem_printf("file://%s", fixture->remote);
  if (geteuid() != 0)
    skip();
  shell(fixture, "chown -R 65534:65534 remote");
  assert_int_equal(git_remote_tip(fixture->remote, "main", &limits, commit, &err), 0);
  assert_int_equal(git_remote_tip(url, "main", &limits, commit, &err), 0);
  assert_int_equal(git_fetch(fixture->clone, url, "main", &limits, &err), 0);
  assert_true(git_has_commit(fixture->clone, commit));
}

/* The server may have been started where git cannot be. */
static void
test_the_folder_that_we_are_in_is_of_no_matter(void **state)
{
  const struct fixture *fixture = *state;
  struct error err = { 0 };
  char commit[GIT_COMMIT_SIZE];
  CLEANUP_FREE char *gone = mem_printf("%s/gone", fixture->folder);
  CLEANUP_FREE char *before = getcwd(NULL, 0);
  assert_non_null(before);
  assert_true(mkdir(gone, 0755) == 0 && chdir(gone) == 0 && rmdir(gone) == 0);
  int r = git_remote_tip(fixture->remote, "main", &limits, commit, &err);
  if (r == 0)
    r = git_fetch(fixture->clone, fixture->remote, "main", &limits, &err);
  assert_int_equal(chdir(before), 0);
  assert_int_equal(r, 0);
}

static void
test_tip_fetch_export(void **state)
{
  const struct fixture *fixture = *state;
  struct error err = { 0 };
  char commit[GIT_COMMIT_SIZE];
  assert_int_equal(git_remote_tip(fixture->remote, "main", &limits, commit, &err), 0);
  assert_false(git_has_commit(fixture->clone, commit));
  assert_int_equal(git_fetch(fixture->clone, fixture->remote, "main", &limits, &err), 0);
  assert_true(git_has_commit(fixture->clone, commit));

  CLEANUP_ARENA struct arena arena = { 0 };
  struct git_commit details;
  assert_int_equal(git_read_commit(fixture->clone, commit, &arena, &details, &err), 0);
  assert_string_equal(details.author.data, "A Name");
  assert_string_equal(details.subject.data, "first <b>");
  assert_true(details.committed_s > 1600000000);

  CLEANUP_FREE char *target = mem_printf("%s/out", fixture->folder);
  CLEANUP_FREE char *file = mem_printf("%s/link", target);
  CLEANUP_BUF struct buf contents = { 0 };
  assert_int_equal(git_export(fixture->clone, commit, target, &err), 0);
  assert_int_equal(file_read_all(file, 100, &contents, &err), 0);
  assert_string_equal(buf_text(&contents), "one\n");
  assert_int_equal(git_export(fixture->clone, commit, target, &err), -EEXIST);
}

static void
test_what_came_between(void **state)
{
  const struct fixture *fixture = *state;
  CLEANUP_ARENA struct arena arena = { 0 };
  struct git_range range;
  char first[GIT_COMMIT_SIZE];
  char last[GIT_COMMIT_SIZE];
  assert_int_equal(git_remote_tip(fixture->remote, "main", &limits, first, NULL), 0);
  shell(fixture, COMMIT "'second <b>' --allow-empty; " COMMIT "\"$(printf 'x%.0s' $(seq 900))\""
                        " --allow-empty; " COMMIT "'fourth' --allow-empty");
  assert_int_equal(git_remote_tip(fixture->remote, "main", &limits, last, NULL), 0);
  assert_int_equal(git_fetch(fixture->clone, fixture->remote, "main", &limits, NULL), 0);

  assert_int_equal(git_read_range(fixture->clone, first, last, 2, &arena, &range, NULL), 0);
  assert_int_equal(range.total, 3);
  assert_int_equal(range.count, 2);
  assert_true(str_equal(range.items[0].commit, str_of(last)));
  assert_string_equal(range.items[0].details.subject.data, "fourth");
  assert_string_equal(range.items[0].details.author.data, "A Name");
  assert_true(range.items[1].details.subject.size <= 200);

  assert_int_equal(git_read_range(fixture->clone, last, first, 2, &arena, &range, NULL), 0);
  assert_int_equal(range.total, 0);
  assert_true(git_read_range(fixture->clone, "0123456789012345678901234567890123456789", last, 2,
                             &arena, &range, NULL)
              < 0);
}

static void
test_a_rewritten_branch_is_followed(void **state)
{
  const struct fixture *fixture = *state;
  char commit[GIT_COMMIT_SIZE];
  assert_int_equal(git_fetch(fixture->clone, fixture->remote, "main", &limits, NULL), 0);
  shell(fixture, COMMIT "again --amend");
  assert_int_equal(git_remote_tip(fixture->remote, "main", &limits, commit, NULL), 0);
  assert_false(git_has_commit(fixture->clone, commit));
  assert_int_equal(git_fetch(fixture->clone, fixture->remote, "main", &limits, NULL), 0);
  assert_true(git_has_commit(fixture->clone, commit));
}

/* Also when it is another one later. */
static void
test_the_default_branch_is_what_head_names(void **state)
{
  const struct fixture *fixture = *state;
  struct error err = { 0 };
  char commit[GIT_COMMIT_SIZE], other[GIT_COMMIT_SIZE];
  assert_int_equal(git_remote_tip(fixture->remote, "main", &limits, commit, &err), 0);
  assert_int_equal(git_remote_tip(fixture->remote, "", &limits, other, &err), 0);
  assert_string_equal(commit, other);
  assert_int_equal(git_fetch(fixture->clone, fixture->remote, "", &limits, &err), 0);
  assert_true(git_has_commit(fixture->clone, commit));
  shell(fixture, "git -C remote checkout -q -b next; " COMMIT "next --allow-empty");
  assert_int_equal(git_remote_tip(fixture->remote, "", &limits, other, &err), 0);
  assert_string_not_equal(commit, other);
  assert_int_equal(git_fetch(fixture->clone, fixture->remote, "", &limits, &err), 0);
  assert_true(git_has_commit(fixture->clone, other));
  assert_int_equal(git_remote_tip(fixture->remote, "none", &limits, commit, &err), -ENOENT);
  assert_non_null(strstr(err.message, "it has \"main\", \"next\""));
  /* Some stay without a name: those that are too long, and those that are too many. */
  shell(fixture,
        "cd remote; git branch a123456789b123456789c123456789d123456789e123456789f123456789");
  assert_int_equal(git_remote_tip(fixture->remote, "none", &limits, commit, &err), -ENOENT);
  assert_non_null(strstr(err.message, "it has \"main\", \"next\" and 1 other"));
  shell(fixture, "cd remote; for i in 1 2 3 4 5 6 7 8; do git branch o$i; done");
  assert_int_equal(git_remote_tip(fixture->remote, "none", &limits, commit, &err), -ENOENT);
  assert_non_null(strstr(err.message, "\"o6\" and 3 others"));
}

static void
test_a_folder_that_this_account_may_not_read(void **state)
{
  const struct fixture *fixture = *state;
  if (geteuid() != 0)
    skip();
  pid_t child = fork();
  if (child == 0) {
    struct error err = { 0 };
    char commit[GIT_COMMIT_SIZE];
    bool refused = setresuid(65534, 65534, 65534) == 0
                   && git_remote_tip(fixture->remote, "main", &limits, commit, &err) == -EACCES
                   && strstr(err.message, "the server's account") != NULL;
    _exit(refused ? 0 : 1);
  }
  int status = -1;
  assert_int_equal(waitpid(child, &status, 0), child);
  assert_int_equal(status, 0);
}

static void
test_failures_carry_the_reason(void **state)
{
  const struct fixture *fixture = *state;
  struct error err = { 0 };
  char commit[GIT_COMMIT_SIZE];
  assert_int_equal(git_remote_tip(fixture->remote, "none", &limits, commit, &err), -ENOENT);
  assert_non_null(strstr(err.message, "has no branch \"none\""));
  assert_true(git_remote_tip("/no/such/repository", "main", &limits, commit, &err) < 0);
  assert_non_null(strstr(err.message, "/no/such/repository"));
}

static void
test_urls_that_git_would_take_otherwise_are_refused(void **state)
{
  (void) state;
  static const char *const bad[] = { "",
                                     "--upload-pack=touch /tmp/x",
                                     "ext::sh -c id",
                                     "relative/path",
                                     "host:path",
                                     "https://",
                                     "https://example.org/a b",
                                     "https://example.org/\x01",
                                     "fd::17" };
  for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
    assert_int_equal(channels_check_url(str_of(bad[i]), NULL), -EINVAL);
  assert_int_equal(channels_check_url(STR("https://example.org/guix.git"), NULL), 0);
  assert_int_equal(channels_check_url(STR("/srv/channel"), NULL), 0);
}

static void
test_secrets_in_urls_are_refused(void **state)
{
  (void) state;
  static const char *const bad[] = { "https://me:secret@example.org/x.git",
                                     "https://secret@example.org/x.git",
                                     "http://a@b:secret@example.org/",
                                     "ssh://git:secret@example.org/x.git" };
  for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
    struct error err = { 0 };
    assert_int_equal(channels_check_url(str_of(bad[i]), &err), -EINVAL);
    assert_null(strstr(err.message, "secret"));
    assert_non_null(strstr(err.hint, "git-credentials"));
  }
  assert_int_equal(channels_check_url(STR("ssh://git@example.org/x.git"), NULL), 0);
  assert_int_equal(channels_check_url(STR("https://example.org/@x:y"), NULL), 0);
  char text[] = "cannot reach https://me:a@secret@host/x: 'http://b:secret@c/': see ssh://git@d";
  channels_mask_secrets(text);
  assert_string_equal(
      text, "cannot reach https://***********@host/x: 'http://********@c/': see ssh://git@d");
}

static void
test_the_short_form_of_ssh_is_explained(void **state)
{
  (void) state;
  struct error err = { 0 };
  assert_int_equal(channels_check_url(STR("git@github.com:me/private.git"), &err), -EINVAL);
  assert_string_equal(err.hint, "Write it ssh://git@github.com/me/private.git.");
  assert_int_equal(channels_check_url(STR("ext::sh -c"), &err), -EINVAL);
  assert_null(strstr(err.hint, "ssh://"));
}

int
main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test_setup_teardown(test_the_folder_that_we_are_in_is_of_no_matter, setup,
                                    teardown),
    cmocka_unit_test_setup_teardown(test_what_came_between, setup, teardown),
    cmocka_unit_test_setup_teardown(test_tip_fetch_export, setup, teardown),
    cmocka_unit_test_setup_teardown(test_repository_of_another_account, setup, teardown),
    cmocka_unit_test_setup_teardown(test_a_rewritten_branch_is_followed, setup, teardown),
    cmocka_unit_test_setup_teardown(test_the_default_branch_is_what_head_names, setup, teardown),
    cmocka_unit_test_setup_teardown(test_a_folder_that_this_account_may_not_read, setup, teardown),
    cmocka_unit_test(test_secrets_in_urls_are_refused),
    cmocka_unit_test(test_the_short_form_of_ssh_is_explained),
    cmocka_unit_test_setup_teardown(test_failures_carry_the_reason, setup, teardown),
    cmocka_unit_test(test_urls_that_git_would_take_otherwise_are_refused),
  };
  return cmocka_run_group_tests_name("channels", tests, NULL, NULL);
}
