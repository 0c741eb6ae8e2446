/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
/* cmocka needs the three above first. */
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>

#include "base/mem.h"
#include "evaluation/evaluation_private.h"

#define CHANNEL "{\"name\": \"example\", \"url\": \"https://example.org/c.git\"}"
#define COMMIT "0123456789012345678901234567890123456789"
#define CHANNEL_ON_BRANCH(branch)                                                             \
  "{\"name\": \"x\", \"channels\": [{\"name\": \"c\", \"url\": \"/c\", \"branch\": \"" branch \
  "\"}]}"

static void
test_defaults(void **state)
{
  (void) state;
  CLEANUP_ARENA struct arena arena = { 0 };
  struct specification parsed;
  struct error err = { 0 };
  assert_int_equal(specification_parse(STR("{\"name\": \"a.b-c_1\", \"channels\": [" CHANNEL "]}"),
                                       &arena, &parsed, &err),
                   0);
  assert_string_equal(parsed.channels[0].branch.data, "");
  assert_int_equal(parsed.channels[0].commit.size, 0);
  assert_int_equal(parsed.mode, SPECIFICATION_OVERLAY);
  assert_int_equal(parsed.subset, SPECIFICATION_ALL);
  assert_int_equal(parsed.period_s, 300);
  assert_int_equal(parsed.systems_count, 1);
  assert_true(parsed.memory_limit == INT64_C(6144) << 20);
}

static void
test_channels_come_in_order_of_name(void **state)
{
  (void) state;
  CLEANUP_ARENA struct arena arena = { 0 };
  struct specification parsed;
  struct error err = { 0 };
  assert_int_equal(
      specification_parse(
          STR("{\"name\": \"x\", \"mode\": \"time-machine\", \"channels\": ["
              "{\"name\": \"guix\", \"url\": \"/srv/guix\", \"branch\": \"version-1.5/x_y\","
              "\"commit\": \"" COMMIT "\", \"introduction\": {\"commit\": \"" COMMIT
              "\", \"signer\": \"AB CD\"}}, " CHANNEL "],"
              "\"build\": {\"packages\": [\"hello\", \"gcc@12\"]},"
              "\"systems\": [\"x86_64-linux\", \"aarch64-linux\"]}"),
          &arena, &parsed, &err),
      0);
  assert_string_equal(parsed.channels[0].name.data, "example");
  assert_string_equal(parsed.channels[1].name.data, "guix");
  assert_string_equal(parsed.channels[1].introduction_signer.data, "AB CD");
  assert_int_equal(parsed.subset, SPECIFICATION_PACKAGES);
  assert_string_equal(parsed.subset_names[1].data, "gcc@12");
  assert_int_equal(parsed.systems_count, 2);
}

/* Each row is refused, and the message names what is wrong. */
static void
test_refusals_name_the_field(void **state)
{
  (void) state;
  static const struct
  {
    const char *json;
    const char *words;
  } rows[] = {
    { "", "line" },
    { "[]", "must be a JSON object" },
    { "{\"name\": \"x\", \"name\": \"y\"}", "duplicate" },
    { "{\"channels\": [" CHANNEL "]}", "\"name\"" },
    { "{\"name\": \"../x\", \"channels\": [" CHANNEL "]}", "\"name\"" },
    { "{\"name\": \"x\"}", "\"channels\"" },
    { "{\"name\": \"x\", \"channels\": []}", "\"channels\"" },
    { "{\"name\": \"x\", \"channels\": [" CHANNEL ", " CHANNEL "]}", "two channels" },
    { "{\"name\": \"x\", \"channels\": [{\"name\": \"c\", \"url\": \"--upload-pack=x\"}]}", "URL" },
    { "{\"name\": \"x\", \"channels\": [{\"name\": \"c\", \"url\": \"/c\", \"commit\": \"abc\"}]}",
      "channels.commit" },
    { "{\"name\": \"x\", \"channels\": [{\"name\": \"c\", \"url\": \"/c\", \"commit\": "
      "\"ABCDEF0123456789012345678901234567890123\"}]}",
      "lower case" },
    { "{\"name\": \"x\", \"channels\": [{\"name\": \"c\", \"url\": \"/c\", \"introduction\": "
      "{\"commit\": \"ABCDEF0123456789012345678901234567890123\", \"signer\": \"AB\"}}]}",
      "introduction.commit" },
    { "{\"name\": \"x\", \"channels\": [{\"name\": \"c\", \"url\": \"/c\", \"introduction\": "
      "{\"commit\": \"" COMMIT "\", \"signer\": \"AB\"}}]}",
      "which mode \"overlay\" ignores" },
    { CHANNEL_ON_BRANCH("--upload-pack=x"), "no branch name" },
    { CHANNEL_ON_BRANCH("a b"), "no branch name" },
    { CHANNEL_ON_BRANCH("a..b"), "no branch name" },
    { CHANNEL_ON_BRANCH("a//b"), "no branch name" },
    { CHANNEL_ON_BRANCH("a/.b"), "no branch name" },
    { CHANNEL_ON_BRANCH("a.lock"), "no branch name" },
    { CHANNEL_ON_BRANCH("a/"), "no branch name" },
    { CHANNEL_ON_BRANCH("a:b"), "no branch name" },
    { CHANNEL_ON_BRANCH(""), "channels.branch" },
    { "{\"name\": \"x\", \"channels\": [{\"name\": \"c\", \"url\": \"/c\", \"brnch\": \"m\"}]}",
      "brnch" },
    { "{\"name\": \"x\", \"channels\": [" CHANNEL "], \"priod\": 5}", "priod" },
    { "{\"name\": \"x\", \"channels\": [" CHANNEL "], \"period\": -1}", "\"period\"" },
    { "{\"name\": \"x\", \"channels\": [" CHANNEL "], \"period\": 1.5}", "\"period\"" },
    { "{\"name\": \"x\", \"channels\": [" CHANNEL "], \"mode\": \"time-machine\"}", "guix" },
    { "{\"name\": \"x\", \"channels\": [" CHANNEL "], \"build\": \"some\"}", "\"build\"" },
    { "{\"name\": \"x\", \"channels\": [" CHANNEL "], \"build\": {\"packages\": []}}",
      "\"packages\"" },
    { "{\"name\": \"x\", \"channels\": [" CHANNEL "], \"build\": {\"channels\": [\"exmple\"]}}",
      "exmple" },
    { "{\"name\": \"x\", \"channels\": [" CHANNEL "], \"build\": {\"manifests\": [\"a/../../b\"]}}",
      "manifest" },
    { "{\"name\": \"x\", \"channels\": [" CHANNEL "], \"systems\": [\"a b\"]}", "system" },
    { "{\"name\": \"x\", \"channels\": [" CHANNEL "], \"systems\": [\"foo\"]}", "\"foo\"" },
    { "{\"name\": \"x\", \"channels\": [" CHANNEL "], \"systems\": [\"x86-64-linux\"]}",
      "\"x86-64-linux\"" },
    { "{\"name\": \"x\", \"channels\": [" CHANNEL "], \"systems\": [\"-gnu\"]}", "\"-gnu\"" },
    { "{\"name\": \"x\", \"channels\": [" CHANNEL "], \"time_limit_s\": 1}", "time_limit_s" },
  };
  for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
    CLEANUP_ARENA struct arena arena = { 0 };
    struct specification parsed;
    struct error err = { 0 };
    assert_int_equal(specification_parse(str_of(rows[i].json), &arena, &parsed, &err), -EINVAL);
    if (strstr(err.message, rows[i].words) == NULL)
      fail_msg("row %zu: \"%s\" does not say \"%s\"", i, err.message, rows[i].words);
  }
}

/* ---- what an evaluator reports ---- */

static int
count_job(void *context, const struct result_job *job, struct error *err)
{
  (void) job;
  (void) err;
  ++*(int *) context;
  return 0;
}

#define DRV "/gnu/store/6d4lk73an4918digdv34xprynczidc39-demo.drv"

static const char stream[] =
    "{\"type\":\"progress\",\"done\":1,\"total\":2}\n"
    "{\"type\":\"job\",\"name\":\"demo.x86_64-linux\",\"system\":\"x86_64-linux\","
    "\"derivation\":\"" DRV "\",\"timeout\":72000,\"max_silent\":3600}\n"
    "{\"type\":\"error\",\"name\":\"bad\",\"message\":\"no\",\"file\":\"a.scm\",\"line\":3,"
    "\"column\":1}\n"
    "{\"type\":\"news\",\"of\":\"a later version\"}\n"
    "{\"type\":\"done\",\"jobs\":1,\"errors\":1}\n";

static void
test_results_in_pieces_of_any_size(void **state)
{
  (void) state;
  for (size_t step = 1; step < sizeof stream; step += 7) {
    struct results results = { 0 };
    struct error err = { 0 };
    int jobs = 0;
    for (size_t at = 0; at < sizeof stream - 1; at += step) {
      size_t rest = sizeof stream - 1 - at;
      struct str piece = str_make(stream + at, rest < step ? rest : step);
      assert_int_equal(results_feed(&results, piece, count_job, &jobs, &err), 0);
    }
    assert_true(results.done);
    assert_int_equal(jobs, 1);
    assert_int_equal(results.jobs[0].timeout_s, 72000);
    assert_string_equal(results.jobs[0].derivation.data, DRV);
    assert_int_equal(results.errors_count, 1);
    assert_int_equal(results.errors[0].line, 3);
    results_free(&results);
  }
}

static void
test_results_refuse_nonsense(void **state)
{
  (void) state;
  static const char *const bad[] = {
    "hello\n",
    "{}\n",
  };
  for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
    struct results results = { 0 };
    int jobs = 0;
    assert_int_equal(results_feed(&results, str_of(bad[i]), count_job, &jobs, NULL), -EPROTO);
    assert_int_equal(jobs, 0);
    results_free(&results);
  }
}

static int
refuse_libtide(void *context, const struct result_job *job, struct error *err)
{
  (void) context;
  return str_equal(job->name, STR("libtide")) ? error_set(err, -ENXIO, "it is not there") : 0;
}

static void
test_job_that_cannot_be_costs_only_itself(void **state)
{
  (void) state;
  static const char lines[] =
      "{\"type\":\"job\",\"name\":\"almanac\",\"derivation\":\"/etc/passwd\"}\n"
      "{\"type\":\"job\",\"derivation\":\"" DRV "\"}\n"
      "{\"type\":\"job\",\"name\":\"slashed\",\"derivation\":\"" DRV "/../x.drv\"}\n"
      "{\"type\":\"job\",\"name\":\"libtide\",\"derivation\":\"" DRV "\"}\n"
      "{\"type\":\"job\",\"name\":\"sunrise\",\"derivation\":\"" DRV "\",\"timeout\":-3,"
      "\"max_silent\":9000000000000000000}\n"
      "{\"type\":\"done\",\"jobs\":5,\"errors\":0}\n";
  struct results results = { 0 };
  assert_int_equal(results_feed(&results, str_of(lines), refuse_libtide, NULL, NULL), 0);
  assert_true(results.done);
  assert_int_equal(results.jobs_count, 1);
  assert_string_equal(results.jobs[0].name.data, "sunrise");
  assert_int_equal(results.jobs[0].timeout_s, 0);
  assert_int_equal(results.jobs[0].max_silent_s, 30 * 24 * 3600);
  assert_int_equal(results.errors_count, 4);
  assert_string_equal(results.errors[0].name.data, "almanac");
  assert_string_equal(results.errors[3].name.data, "libtide");
  assert_string_equal(results.errors[3].message.data, "it is not there");
  results_free(&results);
}

static void
test_results_refuse_an_endless_line(void **state)
{
  (void) state;
  struct results results = { 0 };
  CLEANUP_FREE char *zeros = mem_alloc(1 << 20);
  memset(zeros, 'x', 1 << 20);
  int jobs = 0;
  int r = 0;
  for (int i = 0; i < 3 && r == 0; i++)
    r = results_feed(&results, str_make(zeros, 1 << 20), count_job, &jobs, NULL);
  assert_int_equal(r, -EMSGSIZE);
  results_free(&results);
}

int
main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_defaults),
    cmocka_unit_test(test_channels_come_in_order_of_name),
    cmocka_unit_test(test_refusals_name_the_field),
    cmocka_unit_test(test_results_in_pieces_of_any_size),
    cmocka_unit_test(test_results_refuse_nonsense),
    cmocka_unit_test(test_job_that_cannot_be_costs_only_itself),
    cmocka_unit_test(test_results_refuse_an_endless_line),
  };
  return cmocka_run_group_tests_name("evaluation", tests, NULL, NULL);
}
