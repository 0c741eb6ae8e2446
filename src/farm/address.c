/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the items of a result must hold, as far as the graph knows: agents are not
   believed where they can be checked. */
#include "farm/agent_routes.h"

#include "farm/farm_sql.h"

#include <errno.h>
#include <stdlib.h>

struct looking
{
  struct db *db;
  struct arena *arena;
};

static struct str
full_path(struct arena *arena, struct str basename)
{
  return str_of(arena_printf(arena, GUIX_STORE_PREFIX "%.*s", STR_FMT(basename)));
}

/* By the derivation that declares its hash. */
static int
take_declaration(struct looking *looking, int64_t derivation_id, struct guix_address *address,
                 struct error *err)
{
  CLEANUP_BUF struct buf text = { 0 };
  struct guix_derivation derivation;
  int r = graph_derivation_text(looking->db, derivation_id, &text, err);
  if (r > 0)
    r = guix_derivation_parse(buf_str(&text), looking->arena, &derivation, err);
  if (r < 0)
    return r;
  for (size_t i = 0; i < derivation.outputs_count; i++)
    if (str_equal(derivation.outputs[i].path, address->path)) {
      address->algorithm = derivation.outputs[i].hash_algorithm;
      address->hash = derivation.outputs[i].hash;
      return 0;
    }
  return error_set(err, -EIO, "the derivation of %.*s does not name it", STR_FMT(address->path));
}

static int
compare_paths(const void *a, const void *b)
{
  return str_compare(*(const struct str *) a, *(const struct str *) b);
}

/* By its path, into which its references go in order. */
static void
take_references(struct looking *looking, const struct cache_item *item,
                struct guix_address *address)
{
  struct str *paths = arena_array(looking->arena, item->references_count, sizeof *paths);
  for (size_t i = 0; i < item->references_count; i++)
    paths[i] = full_path(looking->arena, item->references[i]);
  qsort(paths, item->references_count, sizeof *paths, compare_paths);
  address->references = paths;
  address->references_count = item->references_count;
}

static int
take_row(struct looking *looking, const struct farm_attempt_addresses_row *row,
         struct cache_item *item, struct error *err)
{
  if (row->output && row->fixed_by_null)
    return 0; /* what its builder made of its inputs: nobody else can know */
  struct guix_address *address = arena_alloc(looking->arena, sizeof *address);
  address->path = full_path(looking->arena, item->basename);
  int r = 0;
  if (row->fixed_by_null)
    take_references(looking, item, address);
  else
    r = take_declaration(looking, row->fixed_by, address, err);
  item->address = address;
  return r;
}

int
agent_addresses(struct db *db, struct cache_item **items, size_t count, struct arena *arena,
                struct error *err)
{
  struct looking looking = { .db = db, .arena = arena };
  struct farm_attempt_addresses_rows rows;
  struct str_map places = { 0 };
  struct str *names = arena_array(arena, count, sizeof *names);
  for (size_t i = 0; i < count; i++) {
    names[i] = items[i]->basename;
    str_map_put(&places, names[i], (int64_t) i);
  }
  int r = farm_attempt_addresses(db, (struct db_strs) { names, count }, arena, &rows, err);
  for (size_t i = 0; r == 0 && i < rows.count; i++) {
    int64_t place;
    if (str_map_get(&places, rows.items[i].basename, &place))
      r = take_row(&looking, &rows.items[i], items[place], err);
  }
  str_map_free(&places);
  return r;
}
