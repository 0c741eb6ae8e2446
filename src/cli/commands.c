/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The client commands, verb by verb. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/json.h"
#include "cli/cli.h"
#include "cli/terminal.h"
#include "serve/serve.h"

#define SPECIFICATION_MAX (1 << 20) /* bytes of a file */
#define BEGIN_PAUSE_MS 500          /* between looks whether a build has begun */

/* A number from the command line, so that nothing else gets into a path. */
static int
check_id(const char *word, struct error *err)
{
  int64_t id;
  if (str_to_i64(str_of(word), &id) < 0 || id <= 0)
    return error_set(err, -EINVAL, "\"%s\" is no number of a build or evaluation", word);
  return 0;
}

static const char *
named(struct cli *cli, const char *prefix, const char *name, const char *suffix)
{
  return arena_printf(&cli->arena, "%s%s%s", prefix, cli_encode(cli, name), suffix);
}

/* ---- spec ---- */

static int
read_specification(const char *path, struct buf *ret)
{
  struct error err = { 0 };
  if (file_read_all(path, SPECIFICATION_MAX, ret, &err) < 0)
    return cli_fail(CLI_USAGE, &err);
  return CLI_DONE;
}

/* With the ANSWER to a change that has its channels looked at. */
static int
end_change(struct cli *cli, const char *name, json_t *answer, const char *done)
{
  if (cli->no_wait)
    return cli_done(cli, answer, done);
  json_t *specification = NULL;
  json_decref(answer);
  int status = cli_await_look(cli, name, &specification);
  return status == CLI_DONE ? cli_end_look(cli, name, specification, done, NULL) : status;
}

static int
spec_add(struct cli *cli, int count, char **words)
{
  (void) count;
  CLEANUP_BUF struct buf text = { 0 };
  json_t *answer = NULL;
  int status = read_specification(words[0], &text);
  if (status == CLI_DONE)
    status = cli_call(cli, "POST", "/specifications", buf_text(&text), &answer);
  if (status != CLI_DONE)
    return status;
  const char *name = cli_text(cli, json_object_get(answer, "name"));
  return end_change(cli, name, answer, arena_printf(&cli->arena, "added specification %s", name));
}

static int
spec_edit(struct cli *cli, int count, char **words)
{
  CLEANUP_BUF struct buf text = { 0 };
  json_t *answer = NULL;
  int status = read_specification(count > 1 ? words[1] : "/dev/stdin", &text);
  if (status == CLI_DONE)
    status = cli_call(cli, "PUT", named(cli, "/specifications/", words[0], ""), buf_text(&text),
                      &answer);
  if (status != CLI_DONE)
    return status;
  return end_change(cli, words[0], answer,
                    arena_printf(&cli->arena, "changed specification %s", words[0]));
}

static int
spec_list(struct cli *cli, int count, char **words)
{
  (void) count;
  (void) words;
  static const struct column columns[] = { { "NAME", "name" },
                                           { "PERIOD", "period_s" },
                                           { "PAUSED", "paused" },
                                           { "EVALUATION", "newest_evaluation.id" },
                                           { "STATE", "newest_evaluation.state" },
                                           { "JOBS", "newest_evaluation.jobs" },
                                           { "ERRORS", "newest_evaluation.errors" },
                                           { "FAILURE", "failure" },
                                           { 0 } };
  return cli_list(cli, "/specifications", columns,
                  "There is no specification yet: add one with 'panoply spec add FILE'.");
}

static int
spec_show(struct cli *cli, int count, char **words)
{
  (void) count;
  return cli_show(cli, named(cli, "/specifications/", words[0], ""));
}

static int
spec_delete(struct cli *cli, int count, char **words)
{
  (void) count;
  int status = cli_call(cli, "DELETE", named(cli, "/specifications/", words[0], ""), NULL, NULL);
  if (status != CLI_DONE)
    return status;
  return cli_done(
      cli, NULL,
      arena_printf(&cli->arena, "deleted specification %s and its evaluations", words[0]));
}

static int64_t
newest_evaluation(const json_t *specification)
{
  const json_t *newest = json_object_get(specification, "newest_evaluation");
  return json_integer_value(json_object_get(newest, "id"));
}

/* Its channels were looked at: is there something new? BEFORE: the newest evaluation. */
static int
tell_news(struct cli *cli, const char *name, int64_t before, json_t *specification)
{
  long long newest = newest_evaluation(specification);
  return cli_end_look(cli, name, specification, NULL,
                      arena_printf(&cli->arena, "looked at its channels: %s evaluation %lld",
                                   newest == before ? "nothing new since" : "made", newest));
}

static int
spec_evaluate(struct cli *cli, int count, char **words)
{
  (void) count;
  const char *path =
      named(cli, "/specifications/", words[0], cli->force ? "/evaluate?force=yes" : "/evaluate");
  json_t *specification = NULL;
  if (cli->no_wait)
    return cli_action(cli, path, "its channels are being looked at");
  int status =
      cli_call(cli, "GET", named(cli, "/specifications/", words[0], ""), NULL, &specification);
  int64_t before = newest_evaluation(specification);
  json_decref(specification);
  if (status == CLI_DONE)
    status = cli_call(cli, "POST", path, "{}", NULL);
  if (status == CLI_DONE)
    status = cli_await_look(cli, words[0], &specification);
  return status == CLI_DONE ? tell_news(cli, words[0], before, specification) : status;
}

static int
spec_pause(struct cli *cli, int count, char **words)
{
  (void) count;
  return cli_action(cli, named(cli, "/specifications/", words[0], "/pause"),
                    "paused: its channels are looked at only when somebody asks");
}

static int
spec_resume(struct cli *cli, int count, char **words)
{
  (void) count;
  return cli_action(cli, named(cli, "/specifications/", words[0], "/resume"),
                    "its channels are looked at by its period again");
}

static const struct verb spec_verbs[] = {
  { "add", "FILE", CLI_CALL | CLI_NO_WAIT,
    "add the specification in FILE (JSON: doc/specification.md)", 1, 1, spec_add },
  { "list", "", CLI_CALL, "all specifications", 0, 0, spec_list },
  { "show", "NAME", CLI_CALL, "one, with its newest evaluation", 1, 1, spec_show },
  { "edit", "NAME [FILE]", CLI_CALL | CLI_NO_WAIT,
    "replace its definition by FILE, or standard input", 1, 2, spec_edit },
  { "delete", "NAME", CLI_CALL, "delete it and its evaluations; outputs stay", 1, 1, spec_delete },
  { "evaluate", "NAME", CLI_CALL | CLI_FORCE | CLI_NO_WAIT,
    "look at its channels now; --force: evaluate in any case", 1, 1, spec_evaluate },
  { "pause", "NAME", CLI_CALL, "look at its channels only when asked to", 1, 1, spec_pause },
  { "resume", "NAME", CLI_CALL, "look at its channels by its period again", 1, 1, spec_resume },
  { 0 },
};

int
cli_spec(int argc, char **argv)
{
  return cli_dispatch("spec", spec_verbs, argc, argv);
}

/* ---- evaluation ---- */

/* The path of a numbered thing; NULL after printing what is wrong. */
static const char *
numbered(struct cli *cli, const char *prefix, const char *word, const char *suffix)
{
  struct error err = { 0 };
  if (check_id(word, &err) < 0) {
    (void) cli_fail(CLI_USAGE, &err);
    return NULL;
  }
  return arena_printf(&cli->arena, "%s%s%s", prefix, word, suffix);
}

static int
evaluation_list(struct cli *cli, int count, char **words)
{
  static const struct column columns[] = { { "ID", "id" },
                                           { "SPECIFICATION", "specification" },
                                           { "STATE", "state" },
                                           { "JOBS", "jobs" },
                                           { "ERRORS", "errors" },
                                           { "CREATED", "created_at" },
                                           { 0 } };
  const char *path =
      count > 0 ? named(cli, "/evaluations?specification=", words[0], "") : "/evaluations";
  return cli_list(cli, path, columns, "There is no evaluation yet.");
}

static int
evaluation_show(struct cli *cli, int count, char **words)
{
  (void) count;
  const char *path = numbered(cli, "/evaluations/", words[0], "");
  return path == NULL ? CLI_USAGE : cli_show(cli, path);
}

static int
evaluation_jobs(struct cli *cli, int count, char **words)
{
  (void) count;
  static const struct column columns[] = {
    { "JOB", "name" }, { "BUILD", "build.id" }, { "STATE", "build.state" }, { 0 }
  };
  const char *path = numbered(cli, "/evaluations/", words[0], "/jobs");
  return path == NULL ? CLI_USAGE : cli_list(cli, path, columns, "It has no such jobs.");
}

static int
evaluation_errors(struct cli *cli, int count, char **words)
{
  (void) count;
  static const struct column columns[] = {
    { "JOB", "name" }, { "FILE", "file" }, { "LINE", "line" }, { "MESSAGE", "message" }, { 0 }
  };
  const char *path = numbered(cli, "/evaluations/", words[0], "/errors");
  return path == NULL ? CLI_USAGE : cli_list(cli, path, columns, "It has no errors.");
}

static int
evaluation_log(struct cli *cli, int count, char **words)
{
  (void) count;
  const char *path =
      numbered(cli, "/evaluations/", words[0], cli->follow ? "/log?follow=yes" : "/log");
  return path == NULL ? CLI_USAGE : cli_stream(cli, path);
}

static int
evaluation_cancel(struct cli *cli, int count, char **words)
{
  (void) count;
  const char *path = numbered(cli, "/evaluations/", words[0], "/cancel");
  return path == NULL ? CLI_USAGE : cli_action(cli, path, "cancelled");
}

static const struct verb evaluation_verbs[] = {
  { "list", "[SPECIFICATION]", CLI_LIST, "newest first", 0, 1, evaluation_list },
  { "show", "ID", CLI_CALL, "one", 1, 1, evaluation_show },
  { "jobs", "ID", CLI_LIST | CLI_STATE, "what it asked for, by name", 1, 1, evaluation_jobs },
  { "errors", "ID", CLI_LIST, "packages that could not be evaluated", 1, 1, evaluation_errors },
  { "log", "ID", CLI_TEXT | CLI_FOLLOW, "Guix's own words", 1, 1, evaluation_log },
  { "cancel", "ID", CLI_CALL, "stop it", 1, 1, evaluation_cancel },
  { 0 },
};

int
cli_evaluation(int argc, char **argv)
{
  return cli_dispatch("evaluation", evaluation_verbs, argc, argv);
}

/* ---- build ---- */

static int
build_submit(struct cli *cli, int count, char **words)
{
  CLEANUP_BUF struct buf body = { 0 };
  struct json json = json_begin(&body);
  json_object_open(&json);
  json_key(&json, "derivations");
  json_array_open(&json);
  for (int i = 0; i < count; i++)
    json_cstr(&json, words[i]);
  json_array_close(&json);
  json_object_close(&json);
  json_t *answer = NULL;
  int status = cli_call(cli, "POST", "/builds", buf_text(&body), &answer);
  if (status != CLI_DONE)
    return status;
  size_t i;
  json_t *id;
  if (cli->json)
    cli_print_json(answer);
  else
    json_array_foreach(json_object_get(answer, "builds"), i, id)
    {
      printf("build %s of %s\n", cli_text(cli, id), i < (size_t) count ? words[i] : "");
    }
  json_decref(answer);
  return CLI_DONE;
}

static int
build_list(struct cli *cli, int count, char **words)
{
  (void) count;
  (void) words;
  static const struct column columns[] = { { "ID", "id" },
                                           { "NAME", "name" },
                                           { "SYSTEM", "system" },
                                           { "STATE", "state" },
                                           { "CREATED", "created_at" },
                                           { "FINISHED", "finished_at" },
                                           { 0 } };
  return cli_list(cli, "/builds", columns, "There are no such builds.");
}

static int
build_show(struct cli *cli, int count, char **words)
{
  (void) count;
  const char *path = numbered(cli, "/builds/", words[0], "");
  return path == NULL ? CLI_USAGE : cli_show(cli, path);
}

/* Until a build has begun there is no log to follow. */
static int
await_begin(struct cli *cli, const char *path)
{
  bool waiting = true;
  int status = CLI_DONE;
  while (status == CLI_DONE && waiting) {
    json_t *build = NULL;
    status = cli_call(cli, "GET", path, NULL, &build);
    const char *state = json_string_value(json_object_get(build, "state"));
    waiting = state != NULL && strcmp(state, "waiting") == 0;
    json_decref(build);
    if (waiting) {
      cli_show_progress("It has not begun yet ...");
      clock_sleep_ms(BEGIN_PAUSE_MS);
    }
  }
  cli_show_progress("");
  return status;
}

static int
build_log(struct cli *cli, int count, char **words)
{
  (void) count;
  const char *build = numbered(cli, "/builds/", words[0], "");
  if (build == NULL)
    return CLI_USAGE;
  int status = cli->follow ? await_begin(cli, build) : CLI_DONE;
  if (status != CLI_DONE)
    return status;
  return cli_stream(cli,
                    arena_printf(&cli->arena, "%s/log%s", build, cli->follow ? "?follow=yes" : ""));
}

static int
build_cancel(struct cli *cli, int count, char **words)
{
  (void) count;
  const char *path = numbered(cli, "/builds/", words[0], "/cancel");
  return path == NULL ? CLI_USAGE : cli_action(cli, path, "cancelled");
}

static int
build_restart(struct cli *cli, int count, char **words)
{
  (void) count;
  const char *path =
      numbered(cli, "/builds/", words[0], cli->dependents ? "/restart?dependents=yes" : "/restart");
  return path == NULL ? CLI_USAGE : cli_action(cli, path, "it will be built again");
}

static int
build_explain(struct cli *cli, int count, char **words)
{
  (void) count;
  const char *path = numbered(cli, "/builds/", words[0], "/explain");
  return path == NULL ? CLI_USAGE : cli_show(cli, path);
}

static const struct verb build_verbs[] = {
  { "submit", "DRV...", CLI_CALL, "build derivations of the server's store", 1, -1, build_submit },
  { "list", "", CLI_LIST | CLI_STATE, "newest first", 0, 0, build_list },
  { "show", "ID", CLI_CALL, "one, with attempts, outputs, dependencies", 1, 1, build_show },
  { "log", "ID", CLI_TEXT | CLI_FOLLOW, "what the builder printed", 1, 1, build_log },
  { "cancel", "ID", CLI_CALL, "stop it, or do not begin it", 1, 1, build_cancel },
  { "restart", "ID", CLI_CALL | CLI_DEPENDENTS, "try again what failed", 1, 1, build_restart },
  { "explain", "ID", CLI_CALL, "why it waits", 1, 1, build_explain },
  { 0 },
};

int
cli_build(int argc, char **argv)
{
  return cli_dispatch("build", build_verbs, argc, argv);
}

/* ---- agents ---- */

static int
agents_list(struct cli *cli, int count, char **words)
{
  (void) count;
  (void) words;
  static const struct column columns[] = { { "NAME", "name" },       { "CONNECTED", "connected" },
                                           { "PAUSED", "paused" },   { "RELEASED", "released" },
                                           { "SYSTEMS", "systems" }, { "JOBS", "jobs" },
                                           { "SEEN", "seen_at" },    { 0 } };
  return cli_list(cli, "/agents", columns,
                  "There is no agent yet: start one with the token in STATE/join-token.");
}

static int
agents_show(struct cli *cli, int count, char **words)
{
  (void) count;
  return cli_show(cli, named(cli, "/agents/", words[0], ""));
}

static int
agents_release(struct cli *cli, int count, char **words)
{
  (void) count;
  return cli_action(cli, named(cli, "/agents/", words[0], "/release"),
                    "released: it is shut out, and its name may be enrolled anew with a joining "
                    "token, also by that machine once its token file is removed");
}

static int
agents_pause(struct cli *cli, int count, char **words)
{
  (void) count;
  return cli_action(cli, named(cli, "/agents/", words[0], "/pause"),
                    "paused: what it builds goes on, nothing new begins");
}

static int
agents_resume(struct cli *cli, int count, char **words)
{
  (void) count;
  return cli_action(cli, named(cli, "/agents/", words[0], "/resume"), "it takes work again");
}

static int
token_create(struct cli *cli, const char *name)
{
  CLEANUP_BUF struct buf body = { 0 };
  struct json json = json_begin(&body);
  json_object_open(&json);
  json_put_cstr(&json, "name", name != NULL ? name : "joining token");
  json_object_close(&json);
  json_t *answer = NULL;
  int status = cli_call(cli, "POST", "/agents/tokens", buf_text(&body), &answer);
  if (status != CLI_DONE)
    return status;
  if (cli->json)
    cli_print_json(answer);
  else
    puts(cli_text(cli, json_object_get(answer, "token")));
  json_decref(answer);
  return CLI_DONE;
}

static int
token_list(struct cli *cli)
{
  static const struct column columns[] = { { "ID", "id" },
                                           { "NAME", "name" },
                                           { "CREATED", "created_at" },
                                           { "EXPIRES", "expires_at" },
                                           { 0 } };
  return cli_list(cli, "/agents/tokens", columns,
                  "No joining token is valid: make one with 'panoply agents token create'.");
}

static int
token_revoke(struct cli *cli, const char *id)
{
  struct error err = { 0 };
  int64_t number;
  if (str_to_i64(str_of(id), &number) < 0 || number <= 0) {
    error_set(&err, -EINVAL, "\"%s\" is no number of a joining token", id);
    error_hint(&err, "'panoply agents token list' shows them.");
    return cli_fail(CLI_USAGE, &err);
  }
  return cli_action(cli, named(cli, "/agents/tokens/", id, "/revoke"),
                    "revoked: it enrols nobody any more; agents that it enrolled stay");
}

static int
agents_token(struct cli *cli, int count, char **words)
{
  struct error err = { 0 };
  if (strcmp(words[0], "create") == 0)
    return token_create(cli, count > 1 ? words[1] : NULL);
  if (strcmp(words[0], "list") == 0 && count == 1)
    return token_list(cli);
  if (strcmp(words[0], "revoke") == 0 && count == 2)
    return token_revoke(cli, words[1]);
  error_set(&err, -EINVAL, "usage: panoply agents token create [NAME] | list | revoke ID");
  return cli_fail(CLI_USAGE, &err);
}

static const struct verb agents_verbs[] = {
  { "list", "", CLI_CALL, "all build machines", 0, 0, agents_list },
  { "show", "NAME", CLI_CALL, "one, with what it builds", 1, 1, agents_show },
  { "pause", "NAME", CLI_CALL, "give it no new work", 1, 1, agents_pause },
  { "resume", "NAME", CLI_CALL, "give it work again", 1, 1, agents_resume },
  { "release", "NAME", CLI_CALL, "shut it out; its name may be enrolled anew", 1, 1,
    agents_release },
  { "token", "create [NAME] | list | revoke ID", CLI_CALL, "joining tokens, for new agents", 1, 2,
    agents_token },
  { 0 },
};

int
cli_agents(int argc, char **argv)
{
  return cli_dispatch("agents", agents_verbs, argc, argv);
}

/* ---- key ---- */

static int
key_show(struct cli *cli, int count, char **words)
{
  (void) count;
  (void) words;
  json_t *answer = NULL;
  int status = cli_call(cli, "GET", "/key", NULL, &answer);
  if (status != CLI_DONE)
    return status;
  struct str key = str_of(json_string_value(json_object_get(answer, "public_key")));
  if (cli->json)
    cli_print_json(answer);
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
  printf("A new signing key is in %s/keys; the old one is beside it, as retired.\n"
         "Start the server: agents learn the key by themselves, users by\n"
         "'guix archive --authorize' of %s/keys/signing-key.pub.\n"
         "Did somebody else get the old key? Then take it out of /etc/guix/acl everywhere.\n",
         words[0], words[0]);
  return CLI_DONE;
}

static const struct verb key_verbs[] = {
  { "show", "", CLI_CALL, "the public key, for 'guix archive --authorize'", 0, 0, key_show },
  { "rotate", "STATE", CLI_FORCE, "a new signing key for a stopped server; only with --force", 1, 1,
    key_rotate },
  { 0 },
};

int
cli_key(int argc, char **argv)
{
  return cli_dispatch("key", key_verbs, argc, argv);
}

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
  int status = cli_call(cli, "POST",
                        arena_printf(&cli->arena, "/cache/check?withdraw=%s&force=%s",
                                     cli->withdraw ? "yes" : "no", cli->force ? "yes" : "no"),
                        "{}", &answer);
  cli_show_progress("");
  if (status != CLI_DONE)
    return status;
  long long lost = number(answer, "lost");
  if (cli->json)
    cli_print_json(answer);
  else if (lost == 0)
    printf("all %lld files are there\n", number(answer, "files"));
  else if (cli->withdraw)
    printf("%lld of %lld files are lost: %lld items are no longer offered, of which %lld were "
           "taken from this server's store again; %lld builds begin anew\n",
           lost, number(answer, "files"), number(answer, "withdrawn"), number(answer, "restored"),
           number(answer, "builds"));
  else
    printf("%lld of %lld files are lost: 'panoply cache check --withdraw' has them made again\n",
           lost, number(answer, "files"));
  json_decref(answer);
  return lost == 0 || cli->withdraw ? CLI_DONE : CLI_FAILED;
}

static const struct verb cache_verbs[] = {
  { "check", "", CLI_CALL | CLI_WITHDRAW | CLI_FORCE,
    "look for files that are lost; --force: even if all are", 0, 0, cache_check },
  { 0 },
};

int
cli_cache(int argc, char **argv)
{
  return cli_dispatch("cache", cache_verbs, argc, argv);
}
