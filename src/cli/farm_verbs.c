/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Agents, the signing key and the cache. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "cli/cli.h"
#include "cli/view.h"
#include "serve/serve.h"

#define PAST_SHOWN "5"              /* of what an agent built, and failed to build */
#define CHECK_SILENCE_S (24 * 3600) /* nothing comes before all files were looked at */

/* ---- agents ---- */

static int
agents_list(struct cli *cli, int count, char **words)
{
  (void) count;
  (void) words;
  static const struct column columns[] = {
    { "NAME", "name", COLUMN_NAME, 0 },        { "CONNECTED", "connected", COLUMN_TEXT, 0 },
    { "PAUSED", "paused", COLUMN_TEXT, 1 },    { "RELEASED", "released", COLUMN_TEXT, 4 },
    { "PLACES", "places", COLUMN_TEXT, 3 },    { "SEEN", "seen_at", COLUMN_TIME, 2 },
    { "SYSTEMS", "systems", COLUMN_PROSE, 5 }, { 0 }
  };
  return cli_show(
      cli, &(struct cli_view) {
               .path = cli_with_filters(cli, "/agents"),
               .members = "items:list",
               .columns = columns,
               .empty = "There is no agent yet: start one with the token in STATE/join-token.",
               .kinds = "agent." });
}

static const char *
standing_of(const json_t *agent)
{
  bool connected = json_is_true(json_object_get(agent, "connected"));
  if (json_is_true(json_object_get(agent, "released")))
    return "released";
  if (json_is_true(json_object_get(agent, "paused")))
    return connected ? "paused" : "paused, away";
  return connected ? "connected" : "away";
}

/* How its machine fares, where it has told. */
static void
print_condition(struct cli *cli, const json_t *condition)
{
  static const struct fact facts[] = { { "Load", "load", COLUMN_TEXT },
                                       { "Memory free", "memory_free", COLUMN_SIZE },
                                       { 0 } };
  const json_t *disk = json_object_get(condition, "disk_free");
  cli_print_facts(cli, facts, condition);
  if (disk != NULL)
    cli_print_fact(
        cli, "Disk free",
        arena_printf(&cli->arena, "%s of %s", cli_value(cli, disk, COLUMN_SIZE),
                     cli_value(cli, json_object_get(condition, "disk_size"), COLUMN_SIZE)));
}

/* Its last 24 hours, and what it built last: parts of its page that have routes of their own. */
static int
print_past(struct cli *cli, const char *path)
{
  static const struct column attempts[] = { { "BUILD", "build", COLUMN_TEXT, 0 },
                                            { "NAME", "name", COLUMN_NAME, 0 },
                                            { "CAUSE", "cause", COLUMN_TEXT, 1 },
                                            { "ENDED", "finished_at", COLUMN_TIME, 0 },
                                            { 0 } };
  static const char *const states[] = { "failed", "succeeded" };
  static const char *const titles[] = { "Failed last", "Built last" };
  json_t *day = NULL;
  int status = cli_get(cli, arena_printf(&cli->arena, "%s/day", path),
                       "busy_percent:number failures_count:number", &day);
  if (status == CLI_DONE && !cli_tells_news(cli))
    cli_print_fact(cli, "Last day",
                   arena_printf(&cli->arena, "%s %% of its places busy, %s tries failed",
                                cli_text(cli, json_object_get(day, "busy_percent")),
                                cli_text(cli, json_object_get(day, "failures_count"))));
  json_decref(day);
  for (size_t i = 0; status == CLI_DONE && i < ARRAY_SIZE(states); i++) {
    json_t *answer = NULL;
    status = cli_get(
        cli,
        arena_printf(&cli->arena, "%s/attempts?limit=" PAST_SHOWN "&state=%s", path, states[i]),
        "items:list", &answer);
    cli_print_section(cli, titles[i], attempts, json_object_get(answer, "items"));
    json_decref(answer);
  }
  return status;
}

static int
print_agent(struct cli *cli, const json_t *agent)
{
  static const struct fact facts[] = {
    { "Systems", "systems", COLUMN_TEXT },      { "Places", "places", COLUMN_TEXT },
    { "Seen", "seen_at", COLUMN_TIME },         { "Connected", "connected_at", COLUMN_TIME },
    { "Enrolled", "enrolled_at", COLUMN_TIME }, { 0 },
  };
  static const struct fact told[] = {
    { "Host", "host", COLUMN_TEXT },
    { "Kernel", "kernel", COLUMN_TEXT },
    { "Machine", "machine", COLUMN_TEXT },
    { "Panoply", "version", COLUMN_TEXT },
    { "Cores", "cores", COLUMN_TEXT },
    { "Memory", "memory", COLUMN_SIZE },
    { 0 },
  };
  static const struct column builds[] = { { "BUILD", "build", COLUMN_TEXT, 0 },
                                          { "NAME", "name", COLUMN_NAME, 0 },
                                          { "SINCE", "created_at", COLUMN_TIME, 1 },
                                          { 0 } };
  cli_print_headline(
      cli, arena_printf(&cli->arena, "Agent %s", cli_text(cli, json_object_get(agent, "name"))),
      standing_of(agent));
  fputc('\n', cli->out);
  cli_print_facts(cli, facts, agent);
  print_condition(cli, json_object_get(agent, "condition"));
  cli_print_facts(cli, told, json_object_get(agent, "facts"));
  cli_print_section(cli, "It builds", builds, json_object_get(agent, "running_attempts"));
  return print_past(
      cli, cli_path_of(cli, "/agents/", json_string_value(json_object_get(agent, "name")), ""));
}

static int
agents_show(struct cli *cli, int count, char **words)
{
  (void) count;
  return cli_show(cli,
                  &(struct cli_view) { .path = cli_path_of(cli, "/agents/", words[0], ""),
                                       .members = "name:text connected:flag running_attempts:list",
                                       .print = print_agent,
                                       .kinds = "agent. build. attempt." });
}

static int
agents_release(struct cli *cli, int count, char **words)
{
  (void) count;
  return cli_action(cli, cli_path_of(cli, "/agents/", words[0], "/release"),
                    "released: it is shut out, and its name may be enrolled anew with a joining "
                    "token, also by that machine once its token file is removed");
}

static int
agents_pause(struct cli *cli, int count, char **words)
{
  (void) count;
  return cli_action(cli, cli_path_of(cli, "/agents/", words[0], "/pause"),
                    "paused: what it builds goes on, nothing new begins");
}

static int
agents_resume(struct cli *cli, int count, char **words)
{
  (void) count;
  return cli_action(cli, cli_path_of(cli, "/agents/", words[0], "/resume"), "it takes work again");
}

static int
token_create(struct cli *cli, int count, char **words)
{
  CLEANUP_BUF struct buf body = { 0 };
  struct json json = json_begin(&body);
  json_object_open(&json);
  json_put_cstr(&json, "name", count > 0 ? words[0] : "joining token");
  json_put_i64(&json, "valid_s", cli->days * 24 * 3600);
  json_object_close(&json);
  json_t *answer = NULL;
  const struct cli_call call = { .method = "POST",
                                 .path = "/agents/tokens",
                                 .body = buf_text(&body),
                                 .status = 201,
                                 .members = "id:number token:text" };
  int status = cli_call(cli, &call, &answer);
  if (status != CLI_DONE)
    return status;
  if (cli->json)
    cli_print_json(cli, answer);
  else
    puts(cli_text(cli, json_object_get(answer, "token")));
  json_decref(answer);
  return CLI_DONE;
}

static int
token_list(struct cli *cli, int count, char **words)
{
  (void) count;
  (void) words;
  static const struct column columns[] = { { "ID", "id", COLUMN_TEXT, 0 },
                                           { "NAME", "name", COLUMN_NAME, 0 },
                                           { "CREATED", "created_at", COLUMN_TIME, 1 },
                                           { "EXPIRES", "expires_at", COLUMN_TIME, 0 },
                                           { 0 } };
  return cli_show(
      cli,
      &(struct cli_view) {
          .path = cli_with_filters(cli, "/agents/tokens"),
          .members = "items:list",
          .columns = columns,
          .empty = "No joining token is valid: make one with 'panoply agents token create'." });
}

static int
token_revoke(struct cli *cli, int count, char **words)
{
  (void) count;
  struct error err = { 0 };
  int64_t number;
  if (str_to_i64(str_of(words[0]), &number) < 0 || number <= 0) {
    error_set(&err, -EINVAL, "\"%s\" is no number of a joining token", words[0]);
    error_hint(&err, "'panoply agents token list' shows them.");
    return cli_fail(CLI_USAGE, &err);
  }
  return cli_action(cli, cli_path_of(cli, "/agents/tokens/", words[0], "/revoke"),
                    "revoked: it enrols nobody any more; agents that it enrolled stay");
}

const struct verb cli_agents_verbs[] = {
  { "list", "", CLI_LIST | CLI_FOLLOW, "all build machines", 0, 0, agents_list, CLI_WORD_ANY },
  { "show", "NAME", CLI_CALL | CLI_FOLLOW, "one, with what it builds", 1, 1, agents_show,
    CLI_WORD_AGENT },
  { "pause", "NAME", CLI_CALL, "give it no new work", 1, 1, agents_pause, CLI_WORD_AGENT },
  { "resume", "NAME", CLI_CALL, "give it work again", 1, 1, agents_resume, CLI_WORD_AGENT },
  { "release", "NAME", CLI_CALL, "shut it out; its name may be enrolled anew", 1, 1, agents_release,
    CLI_WORD_AGENT },
  { "token create", "[NAME]", CLI_CALL | CLI_DAYS, "a joining token, for new agents: shown once", 0,
    1, token_create, CLI_WORD_ANY },
  { "token list", "", CLI_LIST, "joining tokens that are valid", 0, 0, token_list, CLI_WORD_ANY },
  { "token revoke", "ID", CLI_CALL, "let a joining token enrol nobody any more", 1, 1, token_revoke,
    CLI_WORD_TOKEN },
  { 0 },
};

/* ---- key ---- */

static int
key_show(struct cli *cli, int count, char **words)
{
  (void) count;
  (void) words;
  json_t *answer = NULL;
  int status = cli_get(cli, "/key", "public_key:text", &answer);
  if (status != CLI_DONE)
    return status;
  struct str key = str_of(json_string_value(json_object_get(answer, "public_key")));
  if (cli->json)
    cli_print_json(cli, answer);
  else
    status = cli_write(key);
  json_decref(answer);
  return status;
}

static int
key_rotate(struct cli *cli, int count, char **words)
{
  (void) count;
  struct error err = { 0 };
  if (!cli->force) {
    error_set(&err, -EINVAL, "a new key makes every user of the substitutes authorize it anew");
    error_hint(&err, "If that is meant, say it with --force.");
    return cli_fail(CLI_USAGE, &err);
  }
  if (serve_rotate_key(words[0], &err) < 0)
    return cli_fail(err.code == -ENOENT ? CLI_USAGE : CLI_FAILED, &err);
  const char *key = arena_printf(&cli->arena, "%s/keys/signing-key.pub", words[0]);
  if (cli->json)
    return cli_done(cli, json_pack("{s:s}", "public_key_file", key), "");
  printf("A new signing key is in %s/keys; the old one is beside it, as retired.\n"
         "Start the server: agents learn the key by themselves, users by\n"
         "'guix archive --authorize' of %s.\n"
         "Did somebody else get the old key? Then take it out of /etc/guix/acl everywhere.\n",
         words[0], key);
  return CLI_DONE;
}

const struct verb cli_key_verbs[] = {
  { "show", "", CLI_CALL, "the public key, for 'guix archive --authorize'", 0, 0, key_show,
    CLI_WORD_ANY },
  { "rotate", "STATE", CLI_FORCE | CLI_JSON,
    "a new signing key for a stopped server; only with --force", 1, 1, key_rotate, CLI_WORD_FILE },
  { 0 },
};

/* ---- cache ---- */

static long long
number(const json_t *answer, const char *name)
{
  return json_integer_value(json_object_get(answer, name));
}

/* Looking at a million files takes its time. */
static int
cache_check(struct cli *cli, int count, char **words)
{
  (void) count;
  (void) words;
  json_t *answer = NULL;
  cli_show_progress("Looking at all files ...");
  const struct cli_call call = {
    .method = "POST",
    .path = arena_printf(&cli->arena, "/cache/check?withdraw=%s&force=%s",
                         cli->withdraw ? "yes" : "no", cli->force ? "yes" : "no"),
    .body = "{}",
    .members = "files:number lost:number withdrawn:number restored:number builds_count:number",
    .silence_s = CHECK_SILENCE_S,
  };
  int status = cli_call(cli, &call, &answer);
  cli_show_progress("");
  if (status != CLI_DONE)
    return status;
  long long lost = number(answer, "lost");
  if (cli->json)
    cli_print_json(cli, answer);
  else if (lost == 0)
    printf("all %lld files are there\n", number(answer, "files"));
  else if (cli->withdraw)
    printf("%lld of %lld files are lost: %lld items are no longer offered, of which %lld were "
           "taken from this server's store again; %lld builds begin anew\n",
           lost, number(answer, "files"), number(answer, "withdrawn"), number(answer, "restored"),
           number(answer, "builds_count"));
  else
    printf("%lld of %lld files are lost: 'panoply cache check --withdraw' has them made again\n",
           lost, number(answer, "files"));
  json_decref(answer);
  return lost == 0 || cli->withdraw ? CLI_DONE : CLI_FAILED;
}

const struct verb cli_cache_verbs[] = {
  { "check", "", CLI_CALL | CLI_WITHDRAW | CLI_FORCE,
    "look for files that are lost; --force: even if all are", 0, 0, cache_check, CLI_WORD_ANY },
  { 0 },
};
