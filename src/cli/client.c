/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Calls to the server's API. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/answer.h"
#include "cli/cli.h"
#include "cli/terminal.h"
#include "cli/view.h"

#define SILENCE_S 60 /* of a server that owes an answer */

struct http_client *
cli_client(const struct cli *cli, int silence_s)
{
  return http_client_new(&(struct http_client_options) {
      .base_url = cli->url, .token = cli->token, .silence_timeout_s = silence_s });
}

/* A missing thing and a refused action are answers; a server that cannot be reached
   or does not know us is a wrong question. */
static int
exit_status(const struct error *err)
{
  switch (-err->code) {
  case EACCES:
  case EPERM:
  case EINVAL:
  case ECONNREFUSED:
  case ECONNRESET:
  case EHOSTUNREACH:
  case ETIMEDOUT:
    return CLI_USAGE;
  default:
    return CLI_FAILED;
  }
}

/* What somebody does next who asked for what is not there, or is there already. */
static const struct
{
  int code;
  const char *path; /* the beginning */
  const char *says; /* the server; NULL = whatever */
  const char *hint;
} next_steps[] = {
  { -ENOENT, "/specifications/", NULL, "'panoply spec list' shows those that there are." },
  { -ENOENT, "/evaluations?specification=", NULL,
    "'panoply spec list' shows those that there are." },
  { -ENOENT, "/evaluations/", NULL, "'panoply evaluation list' shows those that there are." },
  { -ENOENT, "/builds/", "no log",
    "'panoply build explain ID' says how it stands; with --follow its log is waited for." },
  { -ENOENT, "/builds/", "attempt", "'panoply build show ID' lists its attempts." },
  { -ENOENT, "/builds/", NULL, "'panoply build list' shows those that there are." },
  { -ENOENT, "/agents/tokens/", NULL, "'panoply agents token list' shows those that there are." },
  { -ENOENT, "/agents/", NULL, "'panoply agents list' shows those that there are." },
  { -EEXIST, "/specifications", NULL,
    "'panoply spec edit NAME FILE' changes the one that is there." },
  { -EEXIST, "/builds/", NULL, "'panoply build show ID' tells its state." },
  { -EEXIST, "/evaluations/", NULL, "'panoply evaluation show ID' tells its state." },
  { -EINVAL, "/builds", "derivation",
    "A derivation is a full path in the server's store, /gnu/store/HASH-NAME.drv: 'guix build -d' "
    "prints it." },
};

/* Unless the server has told already. */
static void
hint_next_step(const char *path, int code, struct error *err)
{
  for (size_t i = 0; i < ARRAY_SIZE(next_steps) && err->hint[0] == '\0'; i++)
    if (next_steps[i].code == code && str_starts(str_of(path), str_of(next_steps[i].path))
        && (next_steps[i].says == NULL || strstr(err->message, next_steps[i].says) != NULL))
      error_hint(err, "%s", next_steps[i].hint);
}

/* The server names the value that it refuses; of some we know what else there is. */
static void
hint_values(const struct cli *cli, struct error *err)
{
  for (size_t i = 0; cli_options[i].name != NULL && err->hint[0] == '\0'; i++) {
    const char *value = NULL;
    const char *words = cli_words_of(cli_kind_of_value(cli->verb, &cli_options[i]));
    if (cli_options[i].type == OPTION_TEXT)
      memcpy(&value, (const char *) cli + cli_options[i].offset, sizeof value);
    if (value != NULL && words != NULL && strstr(err->message, value) != NULL)
      error_hint(err, "--%s is one of: %s", cli_options[i].name, words);
  }
  if (cli->before != NULL && err->hint[0] == '\0')
    error_hint(err, "--before takes what a list has ended with: \"go on with --before ...\".");
}

/* Nobody answered, or something else than a Panoply server. */
static void
hint_address(const struct cli *cli, int status, struct error *err)
{
  bool away = err->code == -ECONNREFUSED || err->code == -EHOSTUNREACH || err->code == -ETIMEDOUT;
  if (away)
    error_hint(err, "Is 'panoply serve' running at %s? Name another with --url.", cli->url);
  else if (err->code == -EPROTO && status == 0 && strncmp(cli->url, "https:", 6) == 0)
    error_hint(err, "Does it speak http only? Then say http://; otherwise this machine has to "
                    "know who signed its certificate.");
  else if (status == 502 || status == 503 || status == 504)
    error_hint(err,
               "What answers at %s finds no server behind it: is 'panoply serve' running there?",
               cli->url);
  else
    error_hint(err, "Is this a Panoply server? --url or PANOPLY_URL names one, as in "
                    "http://127.0.0.1:8080.");
}

/* A Panoply server says by problem details why it refuses; others do not. */
static bool
is_problem(struct str body)
{
  json_t *problem = body.size == 0 ? NULL : json_loadb(body.data, body.size, 0, NULL);
  bool is = json_is_string(json_object_get(problem, "title"))
            && json_is_integer(json_object_get(problem, "status"));
  json_decref(problem);
  return is;
}

int
cli_fail_call(const struct cli *cli, const char *path, const struct http_answer *answer,
              struct error *err)
{
  bool told = answer->status >= 400 && is_problem(buf_str(&answer->body));
  if (cli->quiet)
    return CLI_FAILED;
  if (cli->patient && cli_may_come_back(err->code))
    return CLI_AWAY;
  if (told && err->code == -EINVAL)
    hint_values(cli, err);
  if (told)
    hint_next_step(path, err->code, err);
  if (err->code == -EACCES || err->code == -EPERM) /* the server's hint is for programmers */
    error_hint(err, "Give the administrator token: PANOPLY_TOKEN, or --token-file "
                    "STATE/admin-token.");
  else if (!told)
    hint_address(cli, answer->status, err);
  else if (err->code == -EINVAL && err->hint[0] == '\0')
    error_hint(err, "See 'panoply %s --help'.", cli->command);
  return cli_fail(exit_status(err), err);
}

/* ---- calls ---- */

/* 0, or negative: what came is no answer of a Panoply server's to such a call. */
static int
read_answer(const struct cli_call *call, const struct http_answer *answer, json_t **ret,
            struct error *err)
{
  int wanted = call->status != 0 ? call->status : 200;
  json_error_t why;
  if (answer->status != wanted)
    return error_set(err, -EPROTO, "the answer has status %d, where %d is due", answer->status,
                     wanted);
  if (answer->body.size > 0) {
    *ret = json_loadb(answer->body.data, answer->body.size, 0, &why);
    if (*ret == NULL)
      return error_set(err, -EPROTO, "the answer is no JSON: %s", why.text);
  }
  return answer_check(*ret, call->members, err);
}

int
cli_call(struct cli *cli, const struct cli_call *call, json_t **ret)
{
  struct error err = { 0 };
  struct http_answer answer = { 0 };
  struct http_client *client = cli_client(cli, call->silence_s > 0 ? call->silence_s : SILENCE_S);
  const char *method = call->method != NULL ? call->method : "GET";
  int r = http_client_expect(
      client,
      &(struct http_call) { .method = method,
                            .path = arena_printf(&cli->arena, HTTP_API "%s", call->path),
                            .type = call->body != NULL ? "application/json" : NULL,
                            .body = str_of(call->body),
                            .reply_type = "application/json" },
      &answer, &err);
  http_client_free(client);
  json_t *value = NULL;
  if (r == 0 && (r = read_answer(call, &answer, &value, &err)) < 0)
    error_prefix(&err, "%s %s" HTTP_API "%s", method, cli->url, call->path);
  int status = r < 0 ? cli_fail_call(cli, call->path, &answer, &err) : CLI_DONE;
  http_answer_free(&answer);
  if (r == 0 && ret != NULL)
    *ret = value;
  else
    json_decref(value);
  return status;
}

int
cli_get(struct cli *cli, const char *path, const char *members, json_t **ret)
{
  return cli_call(cli, &(struct cli_call) { .path = path, .members = members }, ret);
}

int
cli_write(struct str text)
{
  int r = terminal_write(&(struct terminal_text) { 0 }, text, true);
  return r < 0 ? cli_fail_output(r) : CLI_DONE;
}

int
cli_fail_output(int r)
{
  struct error err = { 0 };
  errno = -r;
  error_set_errno(&err, "cannot write to standard output");
  return cli_fail(CLI_FAILED, &err);
}

int
cli_done(struct cli *cli, json_t *answer, const char *done)
{
  if (answer == NULL)
    answer = json_object();
  if (cli->json)
    cli_print_json(cli, answer);
  else
    puts(done);
  json_decref(answer);
  return CLI_DONE;
}

int
cli_action(struct cli *cli, const char *path, const char *done)
{
  json_t *answer = NULL;
  const struct cli_call call = {
    .method = "POST", .path = path, .body = "{}", .status = 202, .members = ""
  };
  int status = cli_call(cli, &call, &answer);
  return status == CLI_DONE ? cli_done(cli, answer, done) : status;
}

/* ---- paths ---- */

const char *
cli_encode(struct cli *cli, const char *text)
{
  CLEANUP_BUF struct buf out = { 0 };
  for (const char *p = text; *p != '\0'; p++) {
    bool plain = (*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') || (*p >= '0' && *p <= '9')
                 || strchr("-._~", *p) != NULL;
    if (plain)
      buf_append_char(&out, *p);
    else
      buf_printf(&out, "%%%02X", (unsigned) (unsigned char) *p);
  }
  return arena_printf(&cli->arena, "%s", buf_text(&out));
}

const char *
cli_path_of(struct cli *cli, const char *prefix, const char *name, const char *suffix)
{
  return arena_printf(&cli->arena, "%s%s%s", prefix, cli_encode(cli, name), suffix);
}

/* Only a number, so that nothing else gets into the path. */
const char *
cli_path_of_id(struct cli *cli, const char *prefix, const char *word, const char *suffix)
{
  struct error err = { 0 };
  int64_t id;
  if (str_to_i64(str_of(word), &id) == 0 && id > 0)
    return cli_path_of(cli, prefix, word, suffix);
  error_set(&err, -EINVAL, "\"%s\" is no number of a build or evaluation", word);
  hint_next_step(prefix, -ENOENT, &err); /* a list of what there is */
  (void) cli_fail(CLI_USAGE, &err);
  return NULL;
}

const char *
cli_path_of_build(struct cli *cli, const char *word, const char *suffix)
{
  struct error err = { 0 };
  int64_t id;
  if (str_to_i64(str_of(word), &id) == 0 && id > 0)
    return cli_path_of(cli, "/builds/", word, suffix);
  error_set(&err, -EINVAL, "\"%s\" is no number of a build", word);
  error_hint(&err, "'panoply build list --name %s' finds builds by a part of their name.", word);
  (void) cli_fail(CLI_USAGE, &err);
  return NULL;
}
