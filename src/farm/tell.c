/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "farm/tell.h"

#include "base/json.h"

#include <inttypes.h>
#include <stdio.h>

/* ---- events ---- */

static const char *const event_names[EVENT_KIND_MAX] = {
  [EVENT_BUILD_STARTED] = "build.started",
  [EVENT_BUILD_SUCCEEDED] = "build.succeeded",
  [EVENT_BUILD_FAILED] = "build.failed",
  [EVENT_BUILD_DEPENDENCY_FAILED] = "build.dependency_failed",
  [EVENT_BUILD_CANCELLED] = "build.cancelled",
  [EVENT_BUILD_RESTARTED] = "build.restarted",
  [EVENT_ATTEMPT_FAILED] = "attempt.failed",
  [EVENT_ATTEMPT_LOST] = "attempt.lost",
  [EVENT_AGENT_CONNECTED] = "agent.connected",
  [EVENT_AGENT_DISCONNECTED] = "agent.disconnected",
  [EVENT_AGENT_LOST] = "agent.lost",
  [EVENT_AGENT_PAUSED] = "agent.paused",
  [EVENT_AGENT_RESUMED] = "agent.resumed",
};

/* Events speak of store items as the API does; agents are told basenames. */
static void
put_store_path(struct json *json, const char *name, struct str basename)
{
  CLEANUP_BUF struct buf path = { 0 };
  buf_printf(&path, GUIX_STORE_PREFIX "%.*s", STR_FMT(basename));
  json_put_text(json, name, buf_str(&path));
}

static void
put_event_facts(struct json *json, const struct batch *batch, const struct change_event *event)
{
  const struct batch_facts *facts =
      event->build_id != 0 ? int_map_get(&batch->facts, event->build_id) : NULL;
  json_object_open(json);
  if (event->build_id != 0)
    json_put_i64(json, "build", event->build_id);
  if (facts != NULL) {
    put_store_path(json, "derivation", facts->derivation);
    json_put_text(json, "system", facts->system);
  }
  if (event->attempt_id != 0)
    json_put_i64(json, "attempt", event->attempt_id);
  if (event->agent.data != NULL)
    json_put_text(json, "agent", event->agent);
  if (event->cause != FARM_CAUSE_NONE)
    json_put_cstr(json, "cause", farm_cause_name(event->cause));
  if (event->failed_id != 0)
    json_put_i64(json, "failed_build", event->failed_id);
  if (event->message.size > 0)
    json_put_text(json, "message", event->message);
  json_object_close(json);
}

/* Starts that were spared did not happen. */
static bool
did_happen(const struct batch *batch, const struct change_event *event)
{
  const struct batch_facts *facts =
      event->kind == EVENT_BUILD_STARTED ? int_map_get(&batch->facts, event->build_id) : NULL;
  return facts == NULL || !facts->offered;
}

int
tell_events(const struct batch *batch, struct db *db, struct error *err)
{
  CLEANUP_ARENA struct arena arena = { 0 };
  CLEANUP_BUF struct buf text = { 0 };
  const struct changes *changes = &batch->changes;
  struct events_new *events = arena_array(&arena, changes->events.count, sizeof *events);
  size_t count = 0;
  for (size_t i = 0; i < changes->events.count; i++) {
    const struct change_event *event = &changes->events.items[i];
    if (!did_happen(batch, event))
      continue;
    buf_clear(&text);
    struct json json = json_begin(&text);
    put_event_facts(&json, batch, event);
    events[count++] = (struct events_new) { event_names[event->kind], event->subject,
                                            arena_str(&arena, buf_str(&text)) };
  }
  return events_append_all(db, events, count, err);
}

/* ---- messages to agents ---- */

static struct json
message_open(struct buf *out, const char *type)
{
  struct json json = json_begin(out);
  json_object_open(&json);
  json_put_cstr(&json, "type", type);
  return json;
}

static void
message_close(struct json *json)
{
  json_object_close(json);
  buf_append_char(json->out, '\n');
}

void
tell_welcome(struct buf *out, struct str agent, struct str key, int64_t grace_s)
{
  struct json json = message_open(out, "welcome");
  json_put_text(&json, "agent", agent);
  json_put_text(&json, "key", key);
  json_put_cstr(&json, "version", PANOPLY_VERSION);
  json_put_i64(&json, "grace_s", grace_s);
  message_close(&json);
}

void
tell_build(struct buf *out, const struct change_start *start, const struct batch_facts *facts,
           const struct batch_outputs *outputs)
{
  char fence[24];
  snprintf(fence, sizeof fence, "%" PRId64, start->fence);
  struct json json = message_open(out, "build");
  json_put_i64(&json, "attempt", start->attempt_id);
  json_put_cstr(&json, "fence", fence);
  json_put_text(&json, "derivation", facts->derivation);
  json_put_text(&json, "system", facts->system);
  json_put_i64(&json, "timeout_s", start->timeout_s);
  json_put_i64(&json, "max_silent_s", start->max_silent_s);
  json_key(&json, "outputs");
  json_array_open(&json);
  for (size_t i = 0; outputs != NULL && i < outputs->count; i++) {
    json_object_open(&json);
    json_put_text(&json, "name", outputs->items[i].name);
    json_put_text(&json, "path", outputs->items[i].basename);
    json_object_close(&json);
  }
  json_array_close(&json);
  message_close(&json);
}

void
tell_cancel(struct buf *out, int64_t attempt_id)
{
  struct json json = message_open(out, "cancel");
  json_put_i64(&json, "attempt", attempt_id);
  message_close(&json);
}

void
tell_ping(struct buf *out)
{
  struct json json = message_open(out, "ping");
  message_close(&json);
}
