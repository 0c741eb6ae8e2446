/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Looks at a running server from outside and says what an operator should do. */
#include <stdio.h>

#include "cli/cli.h"

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
number_at(const json_t *object, const char *outer, const char *inner)
{
  return json_integer_value(json_object_get(json_object_get(object, outer), inner));
}

static void
look_at_farm(struct findings *seen, const json_t *status)
{
  struct cli *cli = seen->cli;
  json_int_t connected = number_at(status, "agents", "connected");
  json_int_t waiting = number_at(status, "builds", "waiting");
  const struct finding findings[] = {
    { true,
      arena_printf(&cli->arena, "the server answers, version %s",
                   cli_text(cli, json_object_get(status, "version"))),
      NULL },
    { json_is_true(json_object_get(status, "scheduler")), "a scheduler is active",
      "no scheduler was active in the last minute: a process with that role must run on the same "
      "database; see its log" },
    { connected > 0 || waiting == 0,
      arena_printf(&cli->arena, "%lld agents connected, %lld builds wait", (long long) connected,
                   (long long) waiting),
      arena_printf(&cli->arena, "%lld builds wait, but no agent is connected",
                   (long long) waiting) },
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
    const struct finding finding = {
      json_is_null(failure),
      arena_printf(&cli->arena, "specification %s: %s", name,
                   paused ? "paused" : "its channels can be reached"),
      arena_printf(&cli->arena, "specification %s: %s", name, cli_text(cli, failure)),
    };
    note_finding(seen, &finding);
  }
}

static int
doctor_run(struct cli *cli, int count, char **words)
{
  (void) count;
  (void) words;
  json_t *status = NULL;
  json_t *specifications = NULL;
  int r = cli_call(cli, "GET", "/status", NULL, &status);
  if (r == CLI_DONE)
    r = cli_call(cli, "GET", "/specifications", NULL, &specifications);
  struct findings findings = { .cli = cli, .list = json_array(), .all_good = true };
  if (r == CLI_DONE) {
    look_at_farm(&findings, status);
    look_at_specifications(&findings, specifications);
  }
  if (r == CLI_DONE && cli->json)
    cli_print_json(findings.list);
  json_decref(findings.list);
  json_decref(status);
  json_decref(specifications);
  return r != CLI_DONE ? r : findings.all_good ? CLI_DONE : CLI_FAILED;
}

const struct verb cli_doctor_verbs[] = {
  { "", "", CLI_CALL, "Asks a server how it is, and says where to look.", 0, 0, doctor_run,
    CLI_WORD_ANY },
  { 0 },
};
