/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Calls to the server's API. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "cli/cli.h"
#include "cli/terminal.h"

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
  case EHOSTUNREACH:
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
  const char *hint;
} next_steps[] = {
  { -ENOENT, "/specifications/", "'panoply spec list' shows those that there are." },
  { -ENOENT, "/evaluations?specification=", "'panoply spec list' shows those that there are." },
  { -ENOENT, "/evaluations/", "'panoply evaluation list' shows those that there are." },
  { -ENOENT, "/builds/", "'panoply build list' shows those that there are." },
  { -ENOENT, "/agents/tokens/", "'panoply agents token list' shows those that there are." },
  { -ENOENT, "/agents/", "'panoply agents list' shows those that there are." },
  { -EEXIST, "/specifications", "'panoply spec edit NAME FILE' changes the one that is there." },
  { -EEXIST, "/builds/", "'panoply build show ID' tells its state." },
  { -EEXIST, "/evaluations/", "'panoply evaluation show ID' tells its state." },
};

/* Unless the server has told already. */
static void
hint_next_step(const char *path, int code, struct error *err)
{
  for (size_t i = 0; i < ARRAY_SIZE(next_steps) && err->hint[0] == '\0'; i++)
    if (next_steps[i].code == code && str_starts(str_of(path), str_of(next_steps[i].path)))
      error_hint(err, "%s", next_steps[i].hint);
}

int
cli_fail_call(const struct cli *cli, const char *path, struct error *err)
{
  hint_next_step(path, err->code, err);
  if (err->code == -EACCES) /* the server's own hint is for those who write programs */
    error_hint(err, "Give the administrator token: PANOPLY_TOKEN, or --token-file "
                    "STATE/admin-token.");
  if (err->code == -ECONNREFUSED || err->code == -EHOSTUNREACH)
    error_hint(err, "Is 'panoply serve' running at %s? Name another with --url.", cli->url);
  return cli_fail(exit_status(err), err);
}

int
cli_call(struct cli *cli, const char *method, const char *path, const char *body, json_t **ret)
{
  struct error err = { 0 };
  struct http_answer answer = { 0 };
  struct http_client *client = cli_client(cli, 60);
  int r = http_client_expect(
      client,
      &(struct http_call) { .method = method,
                            .path = arena_printf(&cli->arena, HTTP_API "%s", path),
                            .type = body != NULL ? "application/json" : NULL,
                            .body = str_of(body) },
      &answer, &err);
  http_client_free(client);
  json_t *value = NULL;
  if (r == 0 && answer.body.size > 0) {
    value = json_loadb(answer.body.data, answer.body.size, JSON_DECODE_ANY, NULL);
    if (value == NULL)
      r = error_set(&err, -EPROTO, "the server's answer is not JSON: is %s a Panoply server?",
                    cli->url);
  }
  http_answer_free(&answer);
  if (r < 0)
    return cli_fail_call(cli, path, &err);
  if (ret != NULL)
    *ret = value;
  else
    json_decref(value);
  return CLI_DONE;
}

struct output
{
  struct terminal_text text;
  int result; /* of the last piece */
};

static int
write_piece(void *state, struct str piece)
{
  struct output *output = state;
  output->result = terminal_write(&output->text, piece, false);
  return output->result;
}

static int
fail_output(int r)
{
  struct error err = { 0 };
  errno = -r;
  error_set_errno(&err, "cannot write to standard output");
  return cli_fail(CLI_FAILED, &err);
}

int
cli_write(struct str text)
{
  int r = terminal_write(&(struct terminal_text) { 0 }, text, true);
  return r < 0 ? fail_output(r) : CLI_DONE;
}

int
cli_stream(struct cli *cli, const char *path)
{
  struct error err = { 0 };
  struct http_answer answer = { 0 };
  struct output output = { 0 };
  /* A followed log may be silent for as long as a build may. */
  struct http_client *client = cli_client(cli, 7 * 24 * 3600);
  int r = http_client_expect(
      client,
      &(struct http_call) { .method = "GET",
                            .path = arena_printf(&cli->arena, HTTP_API "%s", path),
                            .reply_piece = write_piece,
                            .reply_state = &output },
      &answer, &err);
  if (output.result == 0)
    output.result = terminal_write(&output.text, STR(""), true);
  http_client_free(client);
  http_answer_free(&answer);
  if (output.result < 0)
    return fail_output(output.result);
  return r < 0 ? cli_fail_call(cli, path, &err) : CLI_DONE;
}

int
cli_done(struct cli *cli, json_t *answer, const char *done)
{
  if (!cli->json)
    puts(done);
  else if (answer != NULL)
    cli_print_json(answer);
  json_decref(answer);
  return CLI_DONE;
}

int
cli_action(struct cli *cli, const char *path, const char *done)
{
  json_t *answer = NULL;
  int status = cli_call(cli, "POST", path, "{}", &answer);
  return status == CLI_DONE ? cli_done(cli, answer, done) : status;
}

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
  hint_next_step(prefix, -ENOENT, &err);
  (void) cli_fail(CLI_USAGE, &err);
  return NULL;
}
