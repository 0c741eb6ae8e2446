/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What goes on for long: logs that grow, and the stream of events. A connection that has
   worked and is lost is dialled again. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "cli/cli.h"
#include "cli/terminal.h"
#include "cli/view.h"

#define STREAM_LINE_MAX (1 << 20)     /* bytes of a line of the stream */
#define FEED_SILENCE_S 60             /* the server says something every 15 */
#define LOG_SILENCE_S (7 * 24 * 3600) /* a followed log may be silent as long as a build may */
#define FIRST_PAUSE_MS 500            /* before dialling again; then twice that ... */
#define LONGEST_PAUSE_MS 30000
#define LASTED_MS 5000 /* one that ends sooner is no good one, whoever ended it */

/* ---- dialling again ---- */

struct dial
{
  bool worked; /* something has come over some connection */
  bool heard;  /* over this one */
  bool said;   /* that it is lost */
  int pause_ms;
  int64_t begun_at; /* this one; monotonic ms, 0 = the first */
};

bool
cli_may_come_back(int code)
{
  return code == 0 || code == -ECONNREFUSED || code == -ETIMEDOUT || code == -EIO || code == -EBUSY
         || code == -ECONNRESET || code == -EHOSTUNREACH || code == -EPIPE;
}

static void
hear(struct dial *dial)
{
  cli_say_back(&dial->said);
  dial->worked = dial->heard = true;
}

/* A connection has ended with CODE: false = for good. Otherwise waits, first. */
static bool
dials_again(struct dial *dial, int code)
{
  bool lost = code < 0 || !dial->heard;
  if (!dial->worked || !cli_may_come_back(code))
    return false;
  bool lasted = dial->heard && clock_monotonic_ms() - dial->begun_at >= LASTED_MS;
  if (lasted || dial->pause_ms == 0)
    dial->pause_ms = FIRST_PAUSE_MS;
  if (lost)
    cli_say_away(&dial->said, "the connection is lost; dialling again");
  clock_sleep_ms(lost || !lasted ? dial->pause_ms : 0);
  cli_show_progress("");
  dial->pause_ms = dial->pause_ms * 2 < LONGEST_PAUSE_MS ? dial->pause_ms * 2 : LONGEST_PAUSE_MS;
  dial->begun_at = clock_monotonic_ms();
  dial->heard = false;
  return true;
}

/* ---- text ---- */

struct output
{
  struct terminal_text text;
  struct dial dial;
  int64_t bytes; /* that came */
  int result;    /* of writing them */
};

static int
write_piece(void *state, struct str piece)
{
  struct output *output = state;
  hear(&output->dial);
  output->bytes += (int64_t) piece.size;
  output->result = terminal_write(&output->text, piece, false);
  return output->result;
}

static int
stream_once(struct cli *cli, const char *path, struct output *output, struct http_answer *answer,
            struct error *err)
{
  if (output->bytes > 0)
    path = arena_printf(&cli->arena, "%s%cfrom=%lld", path, strchr(path, '?') != NULL ? '&' : '?',
                        (long long) output->bytes);
  struct http_client *client = cli_client(cli, LOG_SILENCE_S);
  int r = http_client_expect(
      client,
      &(struct http_call) { .method = "GET",
                            .path = arena_printf(&cli->arena, HTTP_API "%s", path),
                            .reply_piece = write_piece,
                            .reply_state = output,
                            .reply_type = "text/plain" },
      answer, err);
  if (r == 0 && answer->status != 200)
    r = error_set(err, -EPROTO, "%s answered with status %d and no log", cli->url, answer->status);
  http_client_free(client);
  return r;
}

int
cli_stream(struct cli *cli, const char *path)
{
  struct error err = { 0 };
  struct http_answer answer = { 0 };
  struct output output = { 0 };
  int r = stream_once(cli, path, &output, &answer, &err);
  while (r < 0 && output.result == 0 && cli->follow) {
    if (answer.status == 200) /* a builder may say nothing for long */
      hear(&output.dial);
    if (!dials_again(&output.dial, r))
      break;
    http_answer_free(&answer);
    err = (struct error) { 0 };
    r = stream_once(cli, path, &output, &answer, &err);
  }
  if (output.result == 0)
    output.result = terminal_write(&output.text, STR(""), true);
  int status = output.result < 0 ? cli_fail_output(output.result)
               : r < 0           ? cli_fail_call(cli, path, &answer, &err)
                                 : CLI_DONE;
  http_answer_free(&answer);
  return status;
}

/* ---- events ---- */

struct listener
{
  struct feed *feed;
  struct dial dial;
  struct buf rest;     /* of the stream: what is no whole line yet */
  struct buf position; /* of the event whose lines are being read */
  int result;          /* of what a callback met; 0 = go on, 1 = enough was seen */
};

static void
listener_free(struct listener *listener)
{
  buf_free(&listener->rest);
  buf_free(&listener->position);
}

/* An id comes before its data; one alone tells where the stream stands. */
static int
take_line(struct listener *listener, struct str line)
{
  static const struct str id = { "id: ", 4 }, data = { "data: ", 6 };
  struct feed *feed = listener->feed;
  if (str_starts(line, id)) {
    buf_clear(&listener->position);
    buf_append_str(&listener->position, str_from(line, id.size));
    hear(&listener->dial);
  } else if (line.size == 0) {
    buf_clear(&feed->reached);
    buf_append_str(&feed->reached, buf_str(&listener->position));
  }
  bool is_event = str_starts(line, data) && feed->take != NULL;
  return is_event ? feed->take(feed->state, str_from(line, data.size)) : 0;
}

/* -ECANCELED ends the call. */
static int
take_piece(void *state, struct str piece)
{
  struct listener *listener = state;
  struct feed *feed = listener->feed;
  buf_append_str(&listener->rest, piece);
  struct str rest = buf_str(&listener->rest);
  for (ptrdiff_t end; (end = str_find(rest, '\n')) >= 0; rest = str_from(rest, (size_t) end + 1)) {
    listener->result = take_line(listener, str_make(rest.data, (size_t) end));
    if (listener->result != 0)
      return -ECANCELED;
  }
  buf_consume(&listener->rest, listener->rest.size - rest.size);
  if (listener->rest.size > STREAM_LINE_MAX)
    listener->result = -EPROTO;
  else if (feed->beat != NULL && listener->dial.heard)
    listener->result = feed->beat(feed->state);
  return listener->result != 0 ? -ECANCELED : 0;
}

static int
listen_once(struct listener *listener, const char *path, struct http_answer *answer,
            struct error *err)
{
  CLEANUP_BUF struct buf header = { 0 };
  struct feed *feed = listener->feed;
  buf_printf(&header, "Last-Event-ID: %s", buf_text(&feed->reached));
  const char *headers[] = { feed->reached.size > 0 ? buf_text(&header) : NULL, NULL };
  struct http_client *client = cli_client(feed->cli, FEED_SILENCE_S);
  int r = http_client_expect(client,
                             &(struct http_call) { .method = "GET",
                                                   .path = path,
                                                   .headers = headers,
                                                   .reply_piece = take_piece,
                                                   .reply_state = listener,
                                                   .reply_type = "text/event-stream" },
                             answer, err);
  http_client_free(client);
  buf_clear(&listener->rest);
  return r;
}

/* It must have worked once before it is tried again. */
int
cli_feed(struct feed *feed)
{
  struct error err = { 0 };
  struct http_answer answer = { 0 };
  PN_CLEANUP(listener_free) struct listener listener = { .feed = feed };
  const char *path =
      arena_printf(&feed->cli->arena, HTTP_API "/events%s%s", feed->kind != NULL ? "?kind=" : "",
                   feed->kind != NULL ? cli_encode(feed->cli, feed->kind) : "");
  int r;
  do {
    http_answer_free(&answer);
    err = (struct error) { 0 };
    r = listen_once(&listener, path, &answer, &err);
  } while (listener.result == 0 && dials_again(&listener.dial, r));
  int status = CLI_DONE;
  if (listener.result < 0) {
    error_set(&err, listener.result, "cannot go on with the stream of events: %s",
              strerror(-listener.result));
    status = cli_fail(CLI_FAILED, &err);
  } else if (listener.result == 0) {
    if (r == 0)
      error_set(&err, -EPROTO, "the stream of events at %s ended before it began", feed->cli->url);
    status = cli_fail_call(feed->cli, "/events", &answer, &err);
  }
  http_answer_free(&answer);
  return status;
}
