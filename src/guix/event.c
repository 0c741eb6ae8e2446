/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The daemon's log stream as events: nix/libstore/build.cc of Guix writes it,
   guix/status.scm reads it. At the start of a line
   there is either a line of text or the header of LEN bytes of builder output,
   after which another line starts. */
#include <stdlib.h>

#include "base/mem.h"
#include "guix/daemon.h"
#include "guix/store_path.h"

struct guix_event_parser
{
  guix_event_receiver *receive;
  void *context;
  struct buf line;   /* the unfinished line */
  bool is_continued; /* it began in a part that was handed on already */
  uint64_t log_left; /* bytes of builder output still to come */
  int64_t log_pid;
};

/* A word of a trace line and where it goes. */
enum field
{
  FIELD_NONE,
  FIELD_DASH,
  FIELD_DRV,
  FIELD_SYSTEM,
  FIELD_LOG_FILE,
  FIELD_PID,
  FIELD_REASON,
  FIELD_ITEM,
  FIELD_URL,
  FIELD_ALGORITHM,
  FIELD_EXPECTED,
  FIELD_ACTUAL,
  FIELD_WORD, /* skipped */
  FIELD_TEXT, /* the rest of the line, perhaps nothing */
};

#define FIELDS_MAX 6

struct trace
{
  const char *verb;
  enum guix_event_kind kind;
  const char *reason;
  enum field fields[FIELDS_MAX];
};

static const struct trace traces[] = {
  { "build-started",
    GUIX_EVENT_BUILD_STARTED,
    "",
    { FIELD_DRV, FIELD_DASH, FIELD_SYSTEM, FIELD_LOG_FILE, FIELD_PID } },
  { "build-succeeded", GUIX_EVENT_BUILD_SUCCEEDED, "", { FIELD_DRV, FIELD_DASH } },
  { "build-failed",
    GUIX_EVENT_BUILD_FAILED,
    "",
    { FIELD_DRV, FIELD_DASH, FIELD_REASON, FIELD_TEXT } },
  { "hook-failed",
    GUIX_EVENT_HOOK_FAILED,
    "",
    { FIELD_DRV, FIELD_DASH, FIELD_REASON, FIELD_TEXT } },
  { "hash-mismatch",
    GUIX_EVENT_HASH_MISMATCH,
    "",
    { FIELD_ITEM, FIELD_ALGORITHM, FIELD_EXPECTED, FIELD_ACTUAL } },
  { "substituter-started", GUIX_EVENT_SUBSTITUTER, "started", { FIELD_ITEM, FIELD_TEXT } },
  { "substituter-succeeded", GUIX_EVENT_SUBSTITUTER, "succeeded", { FIELD_ITEM, FIELD_TEXT } },
  { "substituter-failed", GUIX_EVENT_SUBSTITUTER, "failed", { FIELD_ITEM, FIELD_TEXT } },
  { "download-started", GUIX_EVENT_DOWNLOAD, "started", { FIELD_WORD, FIELD_URL, FIELD_TEXT } },
  { "download-progress", GUIX_EVENT_DOWNLOAD, "progress", { FIELD_WORD, FIELD_URL, FIELD_TEXT } },
  { "download-succeeded", GUIX_EVENT_DOWNLOAD, "succeeded", { FIELD_WORD, FIELD_URL, FIELD_TEXT } },
};

static bool
set_path(struct str *field, struct str word)
{
  *field = word;
  return guix_path_is_valid(word);
}

static bool
set_word(struct str *field, struct str word)
{
  *field = word;
  return true;
}

static bool
set_field(struct guix_event *event, enum field field, struct str word)
{
  switch (field) {
  case FIELD_DASH:
    return str_equal(word, STR("-"));
  case FIELD_DRV:
    return set_path(&event->drv, word);
  case FIELD_ITEM:
    return set_path(&event->item, word);
  case FIELD_PID:
    return str_to_i64(word, &event->pid) == 0;
  case FIELD_SYSTEM:
    return set_word(&event->system, word);
  case FIELD_LOG_FILE:
    return set_word(&event->log_file, word);
  case FIELD_REASON:
    return set_word(&event->reason, word);
  case FIELD_URL:
    return set_word(&event->item, word);
  case FIELD_ALGORITHM:
    return set_word(&event->algorithm, word);
  case FIELD_EXPECTED:
    return set_word(&event->expected, word);
  case FIELD_ACTUAL:
    return set_word(&event->actual, word);
  case FIELD_WORD:
  case FIELD_TEXT:
  case FIELD_NONE:
    break;
  }
  return true;
}

/* Takes the words that TRACE wants off REST; what follows them is left for
   daemons to come. */
static bool
parse_fields(const struct trace *trace, struct str rest, struct guix_event *event)
{
  for (size_t i = 0; i < FIELDS_MAX && trace->fields[i] != FIELD_NONE; i++) {
    struct str word;
    if (trace->fields[i] == FIELD_TEXT) {
      event->text = rest;
      return true;
    }
    if (!str_split(&rest, ' ', &word) || word.size == 0)
      return false;
    if (!set_field(event, trace->fields[i], word))
      return false;
  }
  return true;
}

/* LINE without its "@ ". */
static bool
parse_trace(struct str line, struct guix_event *event)
{
  struct str verb;
  if (!str_split(&line, ' ', &verb))
    return false;
  for (size_t i = 0; i < ARRAY_SIZE(traces); i++) {
    if (!str_equal(verb, str_of(traces[i].verb)))
      continue;
    *event = (struct guix_event) { .kind = traces[i].kind, .reason = str_of(traces[i].reason) };
    if (!parse_fields(&traces[i], line, event))
      return false;
    /* 0 and 1 tell whether the builder ran; the text says more. */
    if (event->kind == GUIX_EVENT_BUILD_FAILED && event->reason.size == 1)
      event->reason = STR("");
    return true;
  }
  return false;
}

/* "build-log PID LEN": LEN bytes of builder output follow. */
static bool
parse_log_header(struct guix_event_parser *parser, struct str line)
{
  struct str verb, pid;
  if (!str_split(&line, ' ', &verb) || !str_equal(verb, STR("build-log")))
    return false;
  return str_split(&line, ' ', &pid) && str_to_i64(pid, &parser->log_pid) == 0
         && str_to_u64(line, &parser->log_left) == 0;
}

static void
receive_message(struct guix_event_parser *parser, struct str text)
{
  struct guix_event event = { .kind = GUIX_EVENT_MESSAGE, .text = text };
  parser->receive(parser->context, &event);
}

static void
receive_line(struct guix_event_parser *parser, struct str line)
{
  struct guix_event event;
  if (parser->is_continued || !str_starts(line, STR("@ "))) {
    receive_message(parser, line);
    return;
  }
  if (parse_log_header(parser, str_from(line, 2)))
    return;
  if (parse_trace(str_from(line, 2), &event))
    parser->receive(parser->context, &event);
  else
    receive_message(parser, line);
}

/* Both return how much of PIECE they have used. */

static size_t
take_log(struct guix_event_parser *parser, struct str piece)
{
  if (piece.size > parser->log_left)
    piece.size = (size_t) parser->log_left;
  parser->log_left -= piece.size;
  struct guix_event event = { .kind = GUIX_EVENT_LOG, .text = piece, .pid = parser->log_pid };
  parser->receive(parser->context, &event);
  return piece.size;
}

static size_t
take_line(struct guix_event_parser *parser, struct str piece)
{
  size_t room = GUIX_EVENT_LINE_MAX - parser->line.size;
  if (piece.size > room)
    piece.size = room;
  ptrdiff_t at = str_find(piece, '\n');
  if (at >= 0)
    piece.size = (size_t) at;
  buf_append_str(&parser->line, piece);
  if (at < 0 && parser->line.size < GUIX_EVENT_LINE_MAX)
    return piece.size;
  receive_line(parser, buf_str(&parser->line));
  buf_clear(&parser->line);
  parser->is_continued = at < 0;
  return piece.size + (at >= 0);
}

struct guix_event_parser *
guix_event_parser_new(guix_event_receiver *receive, void *context)
{
  struct guix_event_parser *parser = mem_alloc(sizeof *parser);
  *parser = (struct guix_event_parser) { .receive = receive, .context = context };
  return parser;
}

void
guix_event_parser_feed(struct guix_event_parser *parser, struct str piece)
{
  while (piece.size > 0) {
    size_t used = parser->log_left > 0 ? take_log(parser, piece) : take_line(parser, piece);
    piece = str_from(piece, used);
  }
}

void
guix_event_parser_end(struct guix_event_parser *parser)
{
  if (parser->line.size > 0)
    receive_line(parser, buf_str(&parser->line));
  buf_clear(&parser->line);
  parser->is_continued = false;
  parser->log_left = 0;
}

void
guix_event_parser_free(struct guix_event_parser *parser)
{
  if (parser == NULL)
    return;
  buf_free(&parser->line);
  free(parser);
}
