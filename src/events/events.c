/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "events/events.h"

#include <errno.h>

#include "events/events_private.h"
#include "events/events_sql.h"

int
events_append(struct db *db, const char *kind, int64_t subject, struct str facts, struct error *err)
{
  int r = events_insert(db, str_of(kind), subject, facts, err);
  return r < 0 ? r : 0;
}

int
events_append_all(struct db *db, const struct events_new *events, size_t count, struct error *err)
{
  if (count == 0)
    return 0;
  CLEANUP_ARENA struct arena arena = { 0 };
  struct str *kinds = arena_array(&arena, count, sizeof *kinds);
  struct str *facts = arena_array(&arena, count, sizeof *facts);
  int64_t *subjects = arena_array(&arena, count, sizeof *subjects);
  for (size_t i = 0; i < count; i++) {
    kinds[i] = str_of(events[i].kind);
    facts[i] = events[i].facts;
    subjects[i] = events[i].subject;
  }
  int r =
      events_insert_all(db, (struct db_strs) { kinds, count }, (struct db_i64s) { subjects, count },
                        (struct db_strs) { facts, count }, err);
  return r < 0 ? r : 0;
}

int
events_wake(struct db *db, struct error *err)
{
  return db_notify(db, EVENTS_CHANNEL, err);
}

static struct events_event
event_of(const struct events_after_row *row)
{
  return (struct events_event) {
    .position = { row->transaction, row->id },
    .happened_at = row->happened_at,
    .kind = row->kind,
    .subject = row->subject,
    .facts = row->facts,
  };
}

int
events_read(struct db *db, struct events_position after, struct str prefix, size_t most,
            struct arena *arena, struct events_page *ret, struct error *err)
{
  struct events_after_rows rows;
  int r = events_after(db, after.transaction, after.id, (int64_t) most, prefix, arena, &rows, err);
  if (r < 0)
    return r;
  struct events_event *items = arena_array(arena, rows.count, sizeof *items);
  *ret = (struct events_page) { .items = items, .end = after, .whole = true };
  for (size_t i = 0; i < rows.count; i++) {
    struct events_event event = event_of(&rows.items[i]);
    ret->end = event.position;
    ret->whole = rows.items[i].looked_at < (int64_t) most;
    if (str_starts(event.kind, prefix))
      items[ret->count++] = event;
  }
  return 0;
}

int
events_check_position(struct db *db, struct events_position position, struct error *err)
{
  struct events_is_known_row row = { 0 };
  int r = events_is_known(db, position.transaction, position.id, &row, err);
  if (r < 0 || row.known)
    return r < 0 ? r : 0;
  error_set(err, -ESTALE, "there is no event %lld-%lld here to go on from",
            (long long) position.transaction, (long long) position.id);
  return error_hint(err, "The server's database was replaced, or the event is kept no more: read "
                         "anew what you know, and follow the events without Last-Event-ID.");
}

int
events_position_compare(struct events_position a, struct events_position b)
{
  if (a.transaction != b.transaction)
    return a.transaction < b.transaction ? -1 : 1;
  return a.id < b.id ? -1 : a.id > b.id;
}
