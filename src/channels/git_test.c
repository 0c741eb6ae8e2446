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
#include "http/http.h"

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

/* 10 times the same folder in one, 10 folders deep: a few KB. */
static void
test_a_folder_that_is_in_itself_many_times(void **state)
{
  const struct fixture *fixture = *state;
  struct error err = { 0 };
  char commit[GIT_COMMIT_SIZE];
  shell(fixture, "cd remote; tree=$(printf '100644 blob %s\tf\n' $(git rev-parse HEAD:sub/file)"
                 " | git mktree); for depth in 1 2 3 4 5 6 7 8 9 10; do"
                 " tree=$(for n in 0 1 2 3 4 5 6 7 8 9; do printf '040000 tree %s\t%s\n' $tree $n;"
                 " done | git mktree); done; git update-ref refs/heads/main"
                 " $(git -c user.name=A -c user.email=a@example.org commit-tree -m x $tree)");
  assert_int_equal(git_remote_tip(fixture->remote, "main", &limits, commit, &err), 0);
  assert_int_equal(git_fetch(fixture->clone, fixture->remote, "main", &limits, &err), 0);
  CLEANUP_FREE char *target = mem_printf("%s/out", fixture->folder);
  assert_int_equal(git_export(fixture->clone, commit, target, &err), -EFBIG);
  assert_non_null(strstr(err.message, "has more than 200000 files"));
  assert_false(file_exists(target));
}

/* What a fetch that fails has written goes with it. */
static void
test_a_pack_that_is_too_large(void **state)
{
  const struct fixture *fixture = *state;
  const struct git_limits small = { .timeout_s = 30, .file_max = 1 << 20 };
  struct error err = { 0 };
  char commit[GIT_COMMIT_SIZE];
  shell(fixture, "head -c 3000000 /dev/urandom > remote/large; git -C remote add -A;" COMMIT
                 "large; for n in $(seq 120); do " COMMIT "$n --allow-empty; done");
  assert_int_equal(git_remote_tip(fixture->remote, "main", &limits, commit, &err), 0);
  assert_true(git_fetch(fixture->clone, fixture->remote, "main", &small, &err) < 0);
  assert_non_null(strstr(err.message, "4 GiB"));
  shell(fixture, "test -z \"$(find clones -name 'tmp_*' -o -name '.tmp-*')\"");
  assert_int_equal(git_fetch(fixture->clone, fixture->remote, "main", &limits, &err), 0);
  assert_true(git_has_commit(fixture->clone, commit));
}

static void
test_times_of_no_calendar(void **state)
{
  const struct fixture *fixture = *state;
  CLEANUP_ARENA struct arena arena = { 0 };
  struct git_range range;
  struct git_commit details;
  char first[GIT_COMMIT_SIZE], commit[GIT_COMMIT_SIZE];
  assert_int_equal(git_remote_tip(fixture->remote, "main", &limits, first, NULL), 0);
  shell(fixture, "cd remote; git update-ref refs/heads/main $(printf 'tree %s\nparent %s\nauthor A"
                 " <a> 9 +0000\ncommitter A <a> 9223372036854775806 +0000\n\nlate\n'"
                 " $(git rev-parse HEAD^{tree}) $(git rev-parse HEAD)"
                 " | git hash-object -t commit -w --stdin --literally)");
  assert_int_equal(git_remote_tip(fixture->remote, "main", &limits, commit, NULL), 0);
  assert_int_equal(git_fetch(fixture->clone, fixture->remote, "main", &limits, NULL), 0);
  assert_int_equal(git_read_commit(fixture->clone, commit, &arena, &details, NULL), 0);
  assert_true(details.committed_s >= 0 && details.committed_s <= INT64_C(253402300799));
  assert_int_equal(git_read_range(fixture->clone, first, commit, 2, &arena, &range, NULL), 0);
  assert_int_equal(range.count, 1);
  assert_int_equal(range.items[0].details.committed_s, details.committed_s);
}

/* ---- a server that sends git elsewhere ---- */

struct closed_forge
{
  struct http_server *server;
  atomic_int asked; /* times, for the private repository */
  atomic_int told;  /* with a password */
};

static int
send_on(struct http_request *request, void *context, struct error *err)
{
  const struct closed_forge *forge = context;
  (void) err;
  CLEANUP_FREE char *to =
      mem_printf("http://127.0.0.1:%d/private/info/refs?service=git-upload-pack",
                 http_server_port(forge->server, 1));
  return http_reply_redirect(request, 302, to);
}

static int
want_password(struct http_request *request, void *context, struct error *err)
{
  struct closed_forge *forge = context;
  forge->asked++;
  forge->told += http_header(request, "Authorization").size > 0;
  http_reply_header(request, "WWW-Authenticate", "Basic realm=\"forge\"");
  return error_set(err, -EACCES, "it is private");
}

static void
test_a_password_is_told_to_its_own_host_alone(void **state)
{
  const struct fixture *fixture = *state;
  static const char *const addresses[] = { "127.0.0.1:0", "127.0.0.1:0" };
  static const struct http_route routes[] = {
    { "GET", "/public/info/refs", send_on, .summary = "x" },
    { "GET", "/private/info/refs", want_password, .summary = "x" },
  };
  struct closed_forge forge = { 0 };
  const struct http_routes all = { routes, ARRAY_SIZE(routes), &forge };
  const struct http_options options = {
    .listen = addresses, .listen_count = 2, .routes = &all, .routes_count = 1
  };
  struct error err = { 0 };
  assert_int_equal(http_server_start(&options, &forge.server, &err), 0);
  CLEANUP_FREE char *file = mem_printf("%s/credentials", fixture->folder);
  CLEANUP_FREE char *line =
      mem_printf("http://me:word@127.0.0.1:%d\n", http_server_port(forge.server, 1));
  assert_int_equal(file_write_atomic(file, str_of(line), 0600, &err), 0);
  const struct git_limits known = { .timeout_s = 30, .credentials = file };
  char commit[GIT_COMMIT_SIZE];
  CLEANUP_FREE char *public =
      mem_printf("http://127.0.0.1:%d/public", http_server_port(forge.server, 0));
  CLEANUP_FREE char *private =
      mem_printf("http://127.0.0.1:%d/private", http_server_port(forge.server, 1));
  assert_true(git_remote_tip(public, "main", &known, commit, &err) < 0);
  assert_int_equal(forge.told, 0);
  assert_int_not_equal(forge.asked, 0);
  assert_true(git_remote_tip(private, "main", &known, commit, &err) < 0);
  assert_int_not_equal(forge.told, 0);
  http_server_stop(forge.server);
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

/* Who asks for many pairs of commits keeps one thread busy, and others hear what is known. */
static void
test_one_asks_at_a_time(void **state)
{
  const struct fixture *fixture = *state;
  CLEANUP_ARENA struct arena arena = { 0 };
  CLEANUP_FREE char *clones = mem_printf("%s/clones", fixture->folder);
  struct channels *channels = channels_new(&(struct channels_options) { .folder = clones });
  struct channels_range range;
  char first[GIT_COMMIT_SIZE], last[GIT_COMMIT_SIZE];
  assert_int_equal(git_remote_tip(fixture->remote, "main", &limits, first, NULL), 0);
  shell(fixture, COMMIT "'second' --allow-empty");
  assert_int_equal(git_remote_tip(fixture->remote, "main", &limits, last, NULL), 0);
  assert_int_equal(git_fetch(fixture->clone, fixture->remote, "main", &limits, NULL), 0);
  struct str from = str_of(first), to = str_of(last);
  pthread_mutex_lock(&channels->asking);
  assert_int_equal(channels_range(channels, 1, from, to, INT64_MAX, &arena, &range, NULL), -EBUSY);
  pthread_mutex_unlock(&channels->asking);
  assert_int_equal(channels_range(channels, 1, from, to, 0, &arena, &range, NULL), -EBUSY);
  assert_int_equal(channels_range(channels, 1, from, to, INT64_MAX, &arena, &range, NULL), 0);
  assert_int_equal(range.total, 1);
  assert_int_equal(channels_range(channels, 1, from, to, 0, &arena, &range, NULL), 0);
  assert_int_equal(range.total, 1);
  channels_free(channels);
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
  char text[] = "cannot reach https://me:a@secret@host/x: 'http://secret@c/': see ssh://git@d";
  channels_mask_secrets(text);
  assert_string_equal(
      text, "cannot reach https://***********@host/x: 'http://******@c/': see ssh://git@d");
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
    cmocka_unit_test_setup_teardown(test_tip_fetch_export, setup, teardown),
    cmocka_unit_test_setup_teardown(test_a_folder_that_is_in_itself_many_times, setup, teardown),
    cmocka_unit_test_setup_teardown(test_a_pack_that_is_too_large, setup, teardown),
    cmocka_unit_test_setup_teardown(test_times_of_no_calendar, setup, teardown),
    cmocka_unit_test_setup_teardown(test_a_password_is_told_to_its_own_host_alone, setup, teardown),
    cmocka_unit_test_setup_teardown(test_what_came_between, setup, teardown),
    cmocka_unit_test_setup_teardown(test_one_asks_at_a_time, setup, teardown),
    cmocka_unit_test_setup_teardown(test_the_folder_that_we_are_in_is_of_no_matter, setup,
                                    teardown),
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
