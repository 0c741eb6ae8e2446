/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Follows the server's stream of events (doc/api.md). */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "cli/cli.h"
#include "cli/terminal.h"

#define STREAM_LINE_MAX (1 << 20) /* bytes of a line of the stream */
#define SILENCE_S 60              /* the server says something every 15 */
#define FIRST_PAUSE_MS 500        /* before dialling again; then twice that ... */
#define LONGEST_PAUSE_MS 30000

struct follower
{
  struct cli *cli;
  struct buf rest;     /* of the stream: what is no whole line yet */
  struct buf position; /* of the event whose lines are being read */
  struct buf reached;  /* of the last whole one: where a new connection goes on */
  int64_t left;        /* events until the end; -1 = for ever */
  bool heard;          /* this connection has brought something */
  int result;          /* of what a callback met; 0 = go on */
};

static void
follower_free(struct follower *follower)
{
  buf_free(&follower->rest);
  buf_free(&follower->position);
  buf_free(&follower->reached);
}

/* ---- an event as a line ---- */

/* `agent=builder-1`; paths of derivations lose what says nothing to people. */
static void
append_fact(struct cli *cli, struct buf *out, const char *name, const json_t *value)
{
  const char *text = cli_text(cli, value);
  if (text[0] == '\0' || json_is_null(value))
    return;
  if (strcmp(name, "derivation") == 0 && strlen(text) > strlen("/gnu/store/") + 33)
    text += strlen("/gnu/store/") + 33;
  bool spaced = strpbrk(text, " =") != NULL;
  buf_printf(out, " %s=%s%s%s", terminal_line(&cli->arena, str_of(name)), spaced ? "\"" : "", text,
             spaced ? "\"" : "");
}

/* What people look for first. */
static const char *const first_facts[] = { "specification", "evaluation", "derivation", "system",
                                           "agent",         "cause",      "message" };

static bool
is_first(const char *name)
{
  for (size_t i = 0; i < ARRAY_SIZE(first_facts); i++)
    if (strcmp(first_facts[i], name) == 0)
      return true;
  return false;
}

/* The subject says it already: `build` of `build.failed`. */
static bool
is_subject(const json_t *event, const char *name, const json_t *value)
{
  size_t size = strlen(name);
  const char *kind = json_string_value(json_object_get(event, "kind"));
  return kind != NULL && strncmp(kind, name, size) == 0 && kind[size] == '.'
         && json_equal(value, json_object_get(event, "subject"));
}

static void
append_facts(struct cli *cli, struct buf *line, const json_t *event)
{
  const char *name;
  json_t *value;
  json_t *facts = json_object_get(event, "facts");
  for (size_t i = 0; i < ARRAY_SIZE(first_facts); i++)
    if ((value = json_object_get(facts, first_facts[i])) != NULL)
      append_fact(cli, line, first_facts[i], value);
  json_object_foreach(facts, name, value) if (!is_first(name) && !is_subject(event, name, value))
      append_fact(cli, line, name, value);
}

static void
print_event(struct cli *cli, const json_t *event)
{
  CLEANUP_BUF struct buf line = { 0 };
  buf_printf(&line, "%s %s", cli_text(cli, json_object_get(event, "happened_at")),
             cli_text(cli, json_object_get(event, "kind")));
  buf_printf(&line, " %s", cli_text(cli, json_object_get(event, "subject")));
  append_facts(cli, &line, event);
  puts(buf_text(&line));
}

static int
take_event(struct follower *follower, struct str data)
{
  struct cli cli = *follower->cli;
  cli.arena = (struct arena) { 0 }; /* or the whole program's would grow for ever */
  json_t *event = json_loadb(data.data, data.size, 0, NULL);
  if (!json_is_object(event)) {
    json_decref(event);
    return -EPROTO;
  }
  if (cli.json)
    cli_print_json_line(event);
  else
    print_event(&cli, event);
  json_decref(event);
  arena_free(&cli.arena);
  if (follower->left > 0)
    follower->left--;
  return fflush(stdout) == 0 ? 0 : -errno;
}

/* ---- the stream ---- */

/* An id comes before its data; one alone tells where the stream stands. */
static int
take_line(struct follower *follower, struct str line)
{
  static const struct str id = { "id: ", 4 }, data = { "data: ", 6 };
  if (str_starts(line, id)) {
    buf_clear(&follower->position);
    buf_append_str(&follower->position, str_from(line, id.size));
  } else if (line.size == 0) {
    buf_clear(&follower->reached);
    buf_append_str(&follower->reached, buf_str(&follower->position));
  }
  return str_starts(line, data) ? take_event(follower, str_from(line, data.size)) : 0;
}

/* -ECANCELED ends the call: enough was seen. */
static int
take_piece(void *state, struct str piece)
{
  struct follower *follower = state;
  follower->heard = true;
  buf_append_str(&follower->rest, piece);
  struct str rest = buf_str(&follower->rest);
  for (ptrdiff_t end; (end = str_find(rest, '\n')) >= 0; rest = str_from(rest, (size_t) end + 1)) {
    follower->result = take_line(follower, str_make(rest.data, (size_t) end));
    if (follower->result < 0 || follower->left == 0)
      return -ECANCELED;
  }
  buf_consume(&follower->rest, follower->rest.size - rest.size);
  if (follower->rest.size > STREAM_LINE_MAX)
    follower->result = -EPROTO;
  return follower->result;
}

static int
follow_once(struct follower *follower, const char *path, struct error *err)
{
  CLEANUP_BUF struct buf header = { 0 };
  struct http_answer answer = { 0 };
  buf_printf(&header, "Last-Event-ID: %s", buf_text(&follower->reached));
  const char *headers[] = { follower->reached.size > 0 ? buf_text(&header) : NULL, NULL };
  struct http_client *client = cli_client(follower->cli, SILENCE_S);
  int r = http_client_expect(client,
                             &(struct http_call) { .method = "GET",
                                                   .path = path,
                                                   .headers = headers,
                                                   .reply_piece = take_piece,
                                                   .reply_state = follower },
                             &answer, err);
  http_client_free(client);
  http_answer_free(&answer);
  buf_clear(&follower->rest);
  return r;
}

/* A server that answers no (-EINVAL, say) will do so again. */
static bool
may_come_back(int code)
{
  return code == 0 || code == -ECONNREFUSED || code == -ETIMEDOUT || code == -EIO || code == -EBUSY
         || code == -ECONNRESET || code == -EHOSTUNREACH || code == -EPIPE;
}

/* Until enough was seen: 0. It must have worked once before it is tried again. */
static int
follow(struct follower *follower, const char *path, struct error *err)
{
  bool worked = false;
  int pause_ms = FIRST_PAUSE_MS;
  for (;;) {
    follower->heard = false;
    int r = follow_once(follower, path, err);
    if (follower->left == 0)
      return 0;
    if (follower->result < 0)
      return error_set(err, follower->result, "cannot go on with the stream: %s",
                       strerror(-follower->result));
    worked |= follower->heard;
    if (r < 0 && (!worked || !may_come_back(r)))
      return r;
    pause_ms = follower->heard ? FIRST_PAUSE_MS : pause_ms;
    if (r < 0)
      cli_show_progress("The connection is lost; dialling again ...");
    clock_sleep_ms(r < 0 || !follower->heard ? pause_ms : 0);
    cli_show_progress("");
    pause_ms = pause_ms * 2 < LONGEST_PAUSE_MS ? pause_ms * 2 : LONGEST_PAUSE_MS;
  }
}

static int
events_run(struct cli *cli, int count, char **words)
{
  (void) count;
  (void) words;
  struct error err = { 0 };
  CLEANUP_BUF struct buf path = { 0 };
  PN_CLEANUP(follower_free)
  struct follower follower = { .cli = cli, .left = cli->limit > 0 ? cli->limit : -1 };
  buf_append_text(&path, HTTP_API "/events");
  if (cli->kind != NULL)
    buf_printf(&path, "?kind=%s", cli_encode(cli, cli->kind));
  if (cli->since != NULL)
    buf_append_text(&follower.reached, cli->since);
  int r = follow(&follower, buf_text(&path), &err);
  return r < 0 ? cli_fail_call(cli, "/events", &err) : CLI_DONE;
}

const struct verb cli_events_verbs[] = {
  { "", "", CLI_CALL | CLI_LIMIT | CLI_KIND | CLI_SINCE, "Follows all that happens, a line each.",
    0, 0, events_run, CLI_WORD_ANY },
  { 0 },
};
