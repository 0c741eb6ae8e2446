/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
/* cmocka needs the three above first. */
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "serve/serve.h"

#define WORDS_MAX 40

struct site
{
  struct arena arena;
  char file[64]; /* a configuration file, if a test writes one */
  struct serve_options options;
  struct error err;
};

static int
setup(void **state)
{
  struct site *site = mem_alloc(sizeof *site);
  snprintf(site->file, sizeof site->file, "/tmp/panoply-options-XXXXXX");
  close(mkstemp(site->file));
  *state = site;
  return 0;
}

static int
teardown(void **state)
{
  struct site *site = *state;
  unlink(site->file);
  arena_free(&site->arena);
  free(site);
  return 0;
}

static int
parse(struct site *site, const char *const *words)
{
  char *argv[WORDS_MAX + 1] = { (char *) "serve" };
  int argc = 1;
  for (; words[argc - 1] != NULL; argc++)
    argv[argc] = (char *) words[argc - 1];
  return serve_options_parse(argc, argv, &site->arena, &site->options, &site->err);
}

#define PARSE(site, ...) parse(site, (const char *const[]) { __VA_ARGS__ __VA_OPT__(, ) NULL })

static void
write_file(const struct site *site, const char *text)
{
  assert_int_equal(file_write_atomic(site->file, str_of(text), 0600, NULL), 0);
}

static void
test_defaults(void **state)
{
  struct site *site = *state;
  const struct serve_options *options = &site->options;
  assert_int_equal(PARSE(site), 0);
  assert_string_equal(options->state, "/var/lib/panoply");
  assert_null(options->database);
  assert_null(options->guix);
  assert_string_equal(options->store_root, "");
  assert_string_equal(options->roles, "all");
  assert_string_equal(options->compression, "gzip");
  assert_int_equal(options->listen.count, 1);
  assert_string_equal(options->listen.items[0], "127.0.0.1:8080"); /* not the whole world */
  assert_int_equal(options->agent_grace_s, 60);
  assert_true(options->fsync);
  assert_false(options->verbose);
}

static void
test_words(void **state)
{
  struct site *site = *state;
  const struct serve_options *options = &site->options;
  assert_int_equal(PARSE(site, "--state", "/s", "--threads=7", "--listen", "[::1]:1",
                         "--listen=unix:/x", "--no-fsync", "--verbose", "--guix", "ssh host guix",
                         "--database=postgresql:///a?b=c", "--roles", "web,evaluator"),
                   0);
  assert_string_equal(options->state, "/s");
  assert_int_equal(options->threads, 7);
  assert_int_equal(options->listen.count, 2);
  assert_string_equal(options->listen.items[0], "[::1]:1");
  assert_string_equal(options->listen.items[1], "unix:/x");
  assert_false(options->fsync);
  assert_true(options->verbose);
  assert_string_equal(options->guix, "ssh host guix");
  assert_string_equal(options->database, "postgresql:///a?b=c");
  assert_string_equal(options->roles, "web,evaluator");
}

static void
test_the_command_line_beats_the_file(void **state)
{
  struct site *site = *state;
  const struct serve_options *options = &site->options;
  write_file(site, "# A farm.\nthreads = 5\nattempts = 9\nstate = /from/file\n"
                   "listen = 10.0.0.1:80\nno-fsync = yes\nverbose = yes\nguix = guix --flag\n");
  assert_int_equal(PARSE(site, "--config", site->file), 0);
  assert_int_equal(options->threads, 5);
  assert_int_equal(options->attempts, 9);
  assert_string_equal(options->state, "/from/file");
  assert_string_equal(options->listen.items[0], "10.0.0.1:80");
  assert_int_equal(options->listen.count, 1);
  assert_string_equal(options->guix, "guix --flag");
  assert_false(options->fsync);

  /* Wherever --config stands, and lists are replaced, not joined. */
  assert_int_equal(PARSE(site, "--threads", "6", "--listen", "127.0.0.1:1", "--config", site->file,
                         "--verbose=no", "--no-fsync=no", "--state=/from/word"),
                   0);
  assert_int_equal(options->threads, 6);
  assert_int_equal(options->attempts, 9);
  assert_string_equal(options->state, "/from/word");
  assert_int_equal(options->listen.count, 1);
  assert_string_equal(options->listen.items[0], "127.0.0.1:1");
  assert_false(options->verbose);
  assert_true(options->fsync);
}

static void
test_texts_of_the_file_live_in_the_arena(void **state)
{
  struct site *site = *state;
  write_file(site, "host-name = farm.example.org\n");
  assert_int_equal(PARSE(site, "--config", site->file), 0);
  write_file(site, "host-name = somewhere.else\n");
  struct serve_options before = site->options;
  assert_int_equal(PARSE(site, "--config", site->file), 0);
  assert_string_equal(before.host_name, "farm.example.org");
  assert_string_equal(site->options.host_name, "somewhere.else");
}

static void
test_wrong_words(void **state)
{
  struct site *site = *state;
  const struct
  {
    const char *words[3];
    const char *expected; /* of the message */
  } cases[] = {
    { { "--colour" }, "--colour" },
    { { "--colour=red" }, "--colour=red" },
    { { "-v" }, "-v" },
    { { "--" }, "--" },
    { { "" }, "\"\"" },
    { { "word" }, "\"word\"" },
    { { "--threads" }, "--threads needs a value" },
    { { "--threads", "0" }, "1 to 64" },
    { { "--threads", "65" }, "1 to 64" },
    { { "--threads", "2x" }, "\"2x\"" },
    { { "--threads=" }, "\"\"" },
    { { "--threads", "99999999999999999999" }, "1 to 64" },
    { { "--agent-grace", "4" }, "5 to 86400" },
    { { "--no-fsync=perhaps" }, "yes or no" },
    { { "--compression", "rar" }, "gzip or lzip" },
    { { "--roles", "web,cook" }, "\"cook\"" },
    { { "--roles", "web,," }, "\"\"" },
    { { "--config", "/nonexistent.conf" }, "/nonexistent.conf" },
  };
  for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
    site->err = (struct error) { 0 };
    int r = PARSE(site, cases[i].words[0], cases[i].words[1], cases[i].words[2]);
    if (r >= 0 || strstr(site->err.message, cases[i].expected) == NULL)
      fail_msg("%s %s: %d, %s", cases[i].words[0], cases[i].words[1], r, site->err.message);
  }
}

static void
test_limits_of_numbers(void **state)
{
  struct site *site = *state;
  assert_int_equal(PARSE(site, "--threads", "1", "--attempts=100", "--agent-grace", "86400",
                         "--evaluations", "64"),
                   0);
  assert_int_equal(site->options.threads, 1);
  assert_int_equal(site->options.attempts, 100);
  assert_int_equal(site->options.agent_grace_s, 86400);
  assert_int_equal(site->options.evaluations, 64);
}

static void
test_too_many_addresses(void **state)
{
  struct site *site = *state;
  const char *words[WORDS_MAX] = { NULL };
  for (int i = 0; i < OPTION_LIST_MAX; i++)
    words[i] = "--listen=127.0.0.1:0";
  assert_int_equal(parse(site, words), 0);
  assert_int_equal(site->options.listen.count, OPTION_LIST_MAX);
  words[OPTION_LIST_MAX] = "--listen=127.0.0.1:0";
  assert_int_equal(parse(site, words), -EINVAL);
  assert_non_null(strstr(site->err.message, "--listen"));
}

static void
test_wrong_files(void **state)
{
  struct site *site = *state;
  const struct
  {
    const char *text;
    const char *line;
    const char *expected;
  } cases[] = {
    { "threads = 2\ncolour = red\n", "line 2", "\"colour\"" },
    { "\n# x\nthreads = many\n", "line 3", "\"many\"" },
    { "threads\n", "line 1", "NAME = VALUE" },
    { "[farm]\nthreads = 2\n", "line 2", "sections" },
    { "config = /etc/other\n", "line 1", "\"config\"" }, /* no files from files */
    { "verbose = very\n", "line 1", "yes or no" },
    { "compression = rar\n", "", "gzip or lzip" },
  };
  for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
    site->err = (struct error) { 0 };
    write_file(site, cases[i].text);
    int r = PARSE(site, "--config", site->file);
    if (r >= 0 || strstr(site->err.message, cases[i].expected) == NULL
        || strstr(site->err.message, cases[i].line) == NULL)
      fail_msg("%s: %d, %s", cases[i].text, r, site->err.message);
  }
}

static void
test_help_names_every_option(void **state)
{
  (void) state;
  char *text = NULL;
  size_t size = 0;
  FILE *out = open_memstream(&text, &size);
  serve_options_help(out);
  fclose(out);
  static const char *const names[] = { "state",     "database",    "listen",      "roles",
                                       "config",    "store-root",  "guix",        "scheme",
                                       "host-name", "compression", "evaluations", "agent-grace",
                                       "attempts",  "threads",     "no-fsync",    "verbose" };
  for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
    CLEANUP_FREE char *option = mem_printf("  --%s ", names[i]);
    if (strstr(text, option) == NULL)
      fail_msg("no %s in: %s", option, text);
  }
  assert_non_null(strstr(text, "[/var/lib/panoply]"));
  free(text);
}

#define ON_SITE(function) cmocka_unit_test_setup_teardown(function, setup, teardown)

int
main(void)
{
  const struct CMUnitTest tests[] = {
    ON_SITE(test_defaults),
    ON_SITE(test_words),
    ON_SITE(test_the_command_line_beats_the_file),
    ON_SITE(test_texts_of_the_file_live_in_the_arena),
    ON_SITE(test_wrong_words),
    ON_SITE(test_limits_of_numbers),
    ON_SITE(test_too_many_addresses),
    ON_SITE(test_wrong_files),
    cmocka_unit_test(test_help_names_every_option),
  };
  return cmocka_run_group_tests_name("options", tests, NULL, NULL);
}
