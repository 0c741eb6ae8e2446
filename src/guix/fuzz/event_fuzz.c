/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Events do not depend on the pieces in which their text arrives. */
#include "guix/daemon.h"

#include "guix/fuzz/fuzz.h"

/* A hash of all events; builder output counts byte by byte, since it is handed
   on as it comes. */
static void
receive(void *context, const struct guix_event *event)
{
  struct guix_hasher *hasher = context;
  const struct str *fields[] = {
    &event->drv,  &event->system,    &event->log_file, &event->reason,
    &event->item, &event->algorithm, &event->expected, &event->actual
  };
  bool is_log = event->kind == GUIX_EVENT_LOG;
  MUST(event->text.size <= GUIX_EVENT_LINE_MAX || is_log);
  for (size_t i = 0; i < ARRAY_SIZE(fields); i++) {
    guix_hasher_update(hasher, fields[i]->data, fields[i]->size);
    if (!is_log)
      guix_hasher_update(hasher, "|", 1);
  }
  for (size_t i = 0; i < event->text.size; i++) {
    if (is_log)
      guix_hasher_update(hasher, &event->pid, sizeof event->pid);
    guix_hasher_update(hasher, event->text.data + i, 1);
  }
}

static struct guix_hash
events_of(struct str text, size_t step)
{
  struct guix_hasher *hasher = guix_hasher_new();
  struct guix_event_parser *parser = guix_event_parser_new(receive, hasher);
  for (; text.size > step; text = str_from(text, step))
    guix_event_parser_feed(parser, str_make(text.data, step));
  guix_event_parser_feed(parser, text);
  guix_event_parser_end(parser);
  guix_event_parser_free(parser);
  struct guix_hash hash = guix_hasher_digest(hasher);
  guix_hasher_free(hasher);
  return hash;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  struct str text = str_make(data, size);
  size_t step = 1 + fuzz_choose(&text) % 64;
  struct guix_hash whole = events_of(text, SIZE_MAX), pieces = events_of(text, step);
  MUST(memcmp(&whole, &pieces, sizeof whole) == 0);
  return 0;
}
