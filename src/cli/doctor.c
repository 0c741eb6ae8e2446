/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Looks at a running server from outside and says what an operator should do. */
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/view.h"

struct finding
{
  bool good;
  const char *when_good;
  const char *when_bad;
};

struct findings
{
  struct cli *cli;
  json_t *list; /* for --json */
  bool all_good;
};

static void
note_finding(struct findings *findings, const struct finding *finding)
{
  const char *text = finding->good ? finding->when_good : finding->when_bad;
  if (findings->cli->json)
    json_array_append_new(findings->list,
                          json_pack("{s:b,s:s}", "good", finding->good, "finding", text));
  else
    printf("%s %s\n", finding->good ? "ok  " : "LOOK", text);
  findings->all_good &= finding->good;
}

static json_int_t
number_at(const json_t *object, const char *path)
{
  return json_integer_value(cli_member(object, path));
}

static void
look_at_server(struct findings *seen, const json_t *status)
{
  const struct finding findings[] = {
    { true,
      arena_printf(&seen->cli->arena, "the server answers, version %s",
                   cli_text(seen->cli, json_object_get(status, "version"))),
      NULL },
    { json_is_true(json_object_get(status, "scheduler")), "a scheduler is active",
      "no scheduler was active in the last minute: a process with that role must run on the same "
      "database; see its log" },
    { json_integer_value(json_object_get(status, "losses_met")) == 0,
      "nothing that is offered was found missing",
      "a file of the cache was asked for and is gone: see 'panoply cache check'" },
    { !json_is_true(json_object_get(status, "key_exposed")),
      "the signing key is readable by the server alone",
      "others on the server's machine can read or write STATE/keys/signing-key.sec: chmod 600 it, "
      "or make another ('panoply key rotate')" },
  };
  for (size_t i = 0; i < ARRAY_SIZE(findings); i++)
    note_finding(seen, &findings[i]);
}

static void
look_at_agents(struct findings *seen, const json_t *status)
{
  struct cli *cli = seen->cli;
  long long connected = number_at(status, "agents_connected_count");
  long long enrolled = number_at(status, "agents_enrolled_count");
  long long waiting = number_at(status, "builds_by_state.waiting");
  const char *none =
      enrolled == 0
          ? arena_printf(&cli->arena,
                         "no agent is enrolled, and %lld builds wait: 'panoply agent --server %s "
                         "--join-token-file STATE/join-token' on a machine makes it one",
                         waiting, cli->url)
          : arena_printf(&cli->arena,
                         "no agent is connected, and %lld builds wait: 'panoply agents list' shows "
                         "who was there, and when",
                         waiting);
  note_finding(seen,
               &(struct finding) { connected > 0,
                                   arena_printf(&cli->arena,
                                                "%lld of %lld agents are connected, %lld builds "
                                                "wait",
                                                connected, enrolled, waiting),
                                   none });
}

static void
look_at_evaluation(struct findings *seen, const char *name, const json_t *newest)
{
  struct cli *cli = seen->cli;
  const char *id = cli_text(cli, json_object_get(newest, "id"));
  const char *state = cli_text(cli, json_object_get(newest, "state"));
  if (!json_is_object(newest))
    return;
  note_finding(
      seen,
      &(struct finding) {
          strcmp(state, "failed") != 0,
          arena_printf(&cli->arena, "specification %s: its newest evaluation, %s, %s%s", name, id,
                       strcmp(state, "succeeded") == 0 ? "was computed: " : "is ",
                       strcmp(state, "succeeded") == 0
                           ? cli_text(cli, json_object_get(newest, "summary"))
                           : state),
          arena_printf(&cli->arena,
                       "specification %s: its newest evaluation, %s, failed: %s (see 'panoply "
                       "evaluation log %s'; 'panoply spec evaluate %s --force' tries again)",
                       name, id, cli_text(cli, json_object_get(newest, "message")), id, name) });
}

static void
look_at_specifications(struct findings *seen, const json_t *list)
{
  struct cli *cli = seen->cli;
  size_t i;
  json_t *item;
  json_array_foreach(json_object_get(list, "items"), i, item)
  {
    const json_t *failure = json_object_get(item, "failure");
    const char *name = cli_text(cli, json_object_get(item, "name"));
    bool paused = json_is_true(json_object_get(item, "paused"));
    bool failed = json_is_string(failure);
    const struct finding finding = {
      !failed,
      arena_printf(&cli->arena, "specification %s: %s", name,
                   paused ? "paused" : "its channels can be reached"),
      arena_printf(&cli->arena, "specification %s: %s", name, cli_text(cli, failure)),
    };
    note_finding(seen, &finding);
    look_at_evaluation(seen, name, json_object_get(item, "newest_evaluation"));
  }
}

static void
look_at_breakages(struct findings *seen, const json_t *breakages)
{
  struct cli *cli = seen->cli;
  size_t i;
  json_t *item;
  long long count = 0;
  const json_t *newest = json_array_get(breakages, 0);
  const json_t *example = json_array_get(json_object_get(newest, "jobs"), 0);
  json_array_foreach(breakages, i, item) count += number_at(item, "jobs_count");
  note_finding(seen,
               &(struct finding) {
                   count == 0, "no job is broken that had succeeded",
                   arena_printf(&cli->arena,
                                "%lld job%s broken that had succeeded, %s since evaluation %s for "
                                "one: 'panoply overview' lists what broke, and when",
                                count, count == 1 ? " is" : "s are",
                                cli_text(cli, json_object_get(example, "name")),
                                cli_text(cli, json_object_get(newest, "evaluation"))) });
}

/* One that has new errors, or a first one that is not all well. */
static void
look_at_worse(struct findings *seen, const json_t *worse)
{
  struct cli *cli = seen->cli;
  const char *id = cli_text(cli, json_object_get(worse, "evaluation"));
  long long errors = number_at(worse, "errors_new_count");
  const char *what =
      errors > 0 ? arena_printf(&cli->arena, "has %lld new error%s", errors, errors == 1 ? "" : "s")
                 : arena_printf(&cli->arena, "is not all well: %s",
                                cli_text(cli, json_object_get(worse, "summary")));
  note_finding(
      seen,
      &(struct finding) {
          .when_bad = arena_printf(
              &cli->arena, "specification %s: evaluation %s %s ('panoply evaluation show %s')",
              cli_text(cli, json_object_get(worse, "specification")), id, what, id) });
}

/* What the overview has under "Needs attention", beside what has a line of its own above. */
static void
look_at_overview(struct findings *seen, const json_t *overview)
{
  struct cli *cli = seen->cli;
  size_t i;
  json_t *item;
  const json_t *away = json_object_get(overview, "agents_away");
  const json_t *trouble = json_object_get(overview, "evaluations_trouble");
  if (json_is_string(trouble))
    note_finding(
        seen, &(struct finding) { .when_bad = arena_printf(&cli->arena, "evaluations will fail: %s",
                                                           cli_text(cli, trouble)) });
  json_array_foreach(json_object_get(overview, "worse_evaluations"), i, item)
      look_at_worse(seen, item);
  look_at_breakages(seen, json_object_get(overview, "breakages"));
  if (json_array_size(away) > 0 && number_at(overview, "agents_connected_count") > 0)
    note_finding(seen, &(struct finding) {
                           .when_bad = arena_printf(
                               &cli->arena,
                               "%zu agent%s away, %s for one: 'panoply agents list' shows since "
                               "when",
                               json_array_size(away), json_array_size(away) == 1 ? " is" : "s are",
                               cli_text(cli, json_object_get(json_array_get(away, 0), "agent"))) });
}

static int
doctor_run(struct cli *cli, int count, char **words)
{
  (void) count;
  (void) words;
  json_t *status = NULL;
  json_t *specifications = NULL;
  json_t *overview = NULL;
  int r = cli_get(cli, "/status",
                  "version:text scheduler:flag builds_by_state:object "
                  "agents_connected_count:number agents_enrolled_count:number losses_met:number "
                  "key_exposed:flag",
                  &status);
  if (r == CLI_DONE)
    r = cli_get(cli, "/specifications", "items:list", &specifications);
  if (r == CLI_DONE)
    r = cli_get(cli, "/overview", "worse_evaluations:list breakages:list agents_away:list",
                &overview);
  struct findings findings = { .cli = cli, .list = json_array(), .all_good = true };
  if (r == CLI_DONE) {
    look_at_server(&findings, status);
    look_at_agents(&findings, status);
    look_at_specifications(&findings, specifications);
    look_at_overview(&findings, overview);
  }
  if (r == CLI_DONE && cli->json)
    cli_print_json(cli, findings.list);
  json_decref(findings.list);
  json_decref(status);
  json_decref(specifications);
  json_decref(overview);
  return r != CLI_DONE ? r : findings.all_good ? CLI_DONE : CLI_FAILED;
}

const struct verb cli_doctor_verbs[] = {
  { "", "", CLI_CALL, "Asks a server how it is, and says where to look.", 0, 0, doctor_run,
    CLI_WORD_ANY },
  { 0 },
};
