/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Specifications: JSON from outside, checked field by field (doc/specification.md). */
#include <errno.h>
#include <stdlib.h>
#include <sys/utsname.h>

#include "base/json.h"
#include "evaluation/evaluation.h"
#include "evaluation/evaluation_sql.h"

#define CHANNELS_MAX 32
#define NAMES_MAX 10000
#define SYSTEMS_MAX 16
#define NAME_MAX_BYTES 63
#define TEXT_MAX_BYTES 1000

/* ---- single values ---- */

/* A name that may stand in an address and in a file name. */
static bool
is_plain_name(struct str text)
{
  if (text.size == 0 || text.size > NAME_MAX_BYTES)
    return false;
  for (size_t i = 0; i < text.size; i++) {
    char c = text.data[i];
    bool alphanumeric = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
    if (!alphanumeric && (i == 0 || (c != '.' && c != '_' && c != '-')))
      return false;
  }
  return true;
}

static bool
is_text(struct str text)
{
  for (size_t i = 0; i < text.size; i++)
    if ((unsigned char) text.data[i] < 0x20 || text.data[i] == 0x7f)
      return false;
  return text.size > 0 && text.size <= TEXT_MAX_BYTES;
}

static int
read_name(const json_t *value, const char *field, struct arena *arena, struct str *ret,
          struct error *err)
{
  struct str text = str_of(json_string_value(value));
  if (!is_plain_name(text))
    return error_set(err, -EINVAL,
                     "\"%s\" must be 1 to %d letters, digits, dots, dashes or underscores", field,
                     NAME_MAX_BYTES);
  *ret = arena_str(arena, text);
  return 0;
}

static int
read_text(const json_t *value, const char *field, struct arena *arena, struct str *ret,
          struct error *err)
{
  struct str text = str_of(json_string_value(value));
  if (!is_text(text))
    return error_set(err, -EINVAL, "\"%s\" must be a text of 1 to %d characters in one line", field,
                     TEXT_MAX_BYTES);
  *ret = arena_str(arena, text);
  return 0;
}

static int
read_texts(const json_t *value, const char *field, size_t limit, struct arena *arena,
           struct str **ret, size_t *ret_count, struct error *err)
{
  size_t count = json_array_size(value);
  if (!json_is_array(value) || count == 0 || count > limit)
    return error_set(err, -EINVAL, "\"%s\" must be a list of 1 to %zu texts", field, limit);
  struct str *texts = arena_array(arena, count, sizeof *texts);
  for (size_t i = 0; i < count; i++) {
    int r = read_text(json_array_get(value, i), field, arena, &texts[i], err);
    if (r < 0)
      return r;
  }
  *ret = texts;
  *ret_count = count;
  return 0;
}

static int
read_number(const json_t *object, const char *field, int64_t low, int64_t high, int64_t fallback,
            int64_t *ret, struct error *err)
{
  const json_t *value = json_object_get(object, field);
  *ret = value == NULL ? fallback : json_integer_value(value);
  if ((value != NULL && !json_is_integer(value)) || *ret < low || *ret > high)
    return error_set(err, -EINVAL, "\"%s\" must be a whole number from %lld to %lld", field,
                     (long long) low, (long long) high);
  return 0;
}

/* A misspelt field would be a wish silently not fulfilled. */
static int
check_fields(const json_t *object, const char *what, const char *const *known, struct error *err)
{
  if (!json_is_object(object))
    return error_set(err, -EINVAL, "%s must be a JSON object", what);
  const char *key;
  json_t *value;
  json_object_foreach((json_t *) object, key, value)
  {
    const char *const *name = known;
    while (*name != NULL && strcmp(*name, key) != 0)
      name++;
    if (*name == NULL)
      return error_set(err, -EINVAL, "%s has no field \"%.60s\"", what, key);
  }
  return 0;
}

/* ---- channels ---- */

static int
read_commit(const json_t *value, const char *field, struct arena *arena, struct str *ret,
            struct error *err)
{
  int r = read_text(value, field, arena, ret, err);
  if (r < 0)
    return r;
  r = channels_check_commit(*ret, err);
  return r < 0 ? error_prefix(err, "%s", field) : 0;
}

static int
read_branch(const json_t *value, struct arena *arena, struct str *ret, struct error *err)
{
  int r = read_text(value, "channels.branch", arena, ret, err);
  return r < 0 ? r : channels_check_branch(*ret, err);
}

static int
read_introduction(const json_t *value, struct arena *arena, struct specification_channel *channel,
                  struct error *err)
{
  static const char *const known[] = { "commit", "signer", NULL };
  int r = check_fields(value, "\"introduction\"", known, err);
  if (r == 0)
    r = read_commit(json_object_get(value, "commit"), "introduction.commit", arena,
                    &channel->introduction_commit, err);
  if (r == 0)
    r = read_text(json_object_get(value, "signer"), "introduction.signer", arena,
                  &channel->introduction_signer, err);
  return r;
}

static int
read_url(const json_t *value, const char *field, struct arena *arena, struct str *ret,
         struct error *err)
{
  struct str text = str_of(json_string_value(value));
  if (channels_check_url(text, err) < 0)
    return error_prefix(err, "\"%s\"", field);
  *ret = arena_str(arena, text);
  return 0;
}

static int
read_channel(const json_t *value, struct arena *arena, struct specification_channel *ret,
             struct error *err)
{
  static const char *const known[] = { "name", "url", "branch", "commit", "introduction", NULL };
  const json_t *branch = json_object_get(value, "branch");
  const json_t *commit = json_object_get(value, "commit");
  const json_t *introduction = json_object_get(value, "introduction");
  *ret = (struct specification_channel) { .branch = STR(""),
                                          .commit = STR(""),
                                          .introduction_commit = STR(""),
                                          .introduction_signer = STR("") };
  int r = check_fields(value, "a channel", known, err);
  if (r == 0)
    r = read_name(json_object_get(value, "name"), "channels.name", arena, &ret->name, err);
  if (r == 0)
    r = read_url(json_object_get(value, "url"), "channels.url", arena, &ret->url, err);
  if (r == 0 && branch != NULL)
    r = read_branch(branch, arena, &ret->branch, err);
  if (r == 0 && commit != NULL)
    r = read_commit(commit, "channels.commit", arena, &ret->commit, err);
  if (r == 0 && introduction != NULL)
    r = read_introduction(introduction, arena, ret, err);
  return r;
}

static int
compare_channels(const void *a, const void *b)
{
  const struct specification_channel *one = a;
  const struct specification_channel *two = b;
  return str_compare(one->name, two->name);
}

static int
read_channels(const json_t *value, struct arena *arena, struct specification *ret,
              struct error *err)
{
  size_t count = json_array_size(value);
  if (!json_is_array(value) || count == 0 || count > CHANNELS_MAX)
    return error_set(err, -EINVAL, "\"channels\" must be a list of 1 to %d channels", CHANNELS_MAX);
  ret->channels = arena_array(arena, count, sizeof *ret->channels);
  ret->channels_count = count;
  for (size_t i = 0; i < count; i++) {
    int r = read_channel(json_array_get(value, i), arena, &ret->channels[i], err);
    if (r < 0)
      return r;
  }
  qsort(ret->channels, count, sizeof *ret->channels, compare_channels);
  for (size_t i = 1; i < count; i++)
    if (compare_channels(&ret->channels[i - 1], &ret->channels[i]) == 0)
      return error_set(err, -EINVAL, "two channels are named \"%.*s\"",
                       STR_FMT(ret->channels[i].name));
  return 0;
}

/* ---- what to build ---- */

static const struct
{
  const char *field;
  enum specification_subset subset;
} subsets[] = {
  { "channels", SPECIFICATION_CHANNELS },
  { "packages", SPECIFICATION_PACKAGES },
  { "manifests", SPECIFICATION_MANIFESTS },
  { "custom", SPECIFICATION_CUSTOM },
};

/* Manifests are files inside a checkout: they may not climb out of it. */
static int
check_manifests(const struct specification *specification, struct error *err)
{
  for (size_t i = 0; i < specification->subset_names_count; i++) {
    struct str rest = specification->subset_names[i];
    struct str part;
    bool climbs = rest.data[0] == '/';
    while (str_split(&rest, '/', &part))
      climbs |= str_equal(part, STR(".."));
    if (climbs)
      return error_set(err, -EINVAL, "a manifest is named by its path inside a channel");
  }
  return 0;
}

static int
check_channels(const struct specification *specification, struct error *err)
{
  for (size_t i = 0; i < specification->subset_names_count; i++) {
    struct str name = specification->subset_names[i];
    bool known = false;
    for (size_t j = 0; j < specification->channels_count; j++)
      known |= str_equal(specification->channels[j].name, name);
    if (!known)
      return error_set(err, -EINVAL, "\"build\" names \"%.*s\", which is none of its channels",
                       STR_FMT(name));
  }
  return 0;
}

static int
check_subset(const struct specification *specification, struct error *err)
{
  if (specification->subset == SPECIFICATION_CHANNELS)
    return check_channels(specification, err);
  if (specification->subset == SPECIFICATION_MANIFESTS)
    return check_manifests(specification, err);
  return 0;
}

static int
read_build(const json_t *value, struct arena *arena, struct specification *ret, struct error *err)
{
  ret->subset = SPECIFICATION_ALL;
  if (value == NULL || (json_is_string(value) && strcmp(json_string_value(value), "all") == 0))
    return 0;
  for (size_t i = 0; json_object_size(value) == 1 && i < ARRAY_SIZE(subsets); i++) {
    const json_t *names = json_object_get(value, subsets[i].field);
    if (names == NULL)
      continue;
    ret->subset = subsets[i].subset;
    int r = read_texts(names, subsets[i].field, NAMES_MAX, arena, &ret->subset_names,
                       &ret->subset_names_count, err);
    return r == 0 ? check_subset(ret, err) : r;
  }
  return error_set(err, -EINVAL,
                   "\"build\" must be \"all\" or an object with one of channels, packages, "
                   "manifests and custom");
}

/* Nothing authenticates channels in overlay mode: whoever asks for it must not believe
   that it happens. */
static int
refuse_introductions(const struct specification *specification, struct error *err)
{
  for (size_t i = 0; i < specification->channels_count; i++) {
    const struct specification_channel *channel = &specification->channels[i];
    if (channel->introduction_commit.size == 0)
      continue;
    error_set(err, -EINVAL, "channel %.*s has an \"introduction\", which mode \"overlay\" ignores",
              STR_FMT(channel->name));
    return error_hint(err, "Leave it out to evaluate the channel unauthenticated, or use mode "
                           "\"time-machine\".");
  }
  return 0;
}

static int
read_mode(const json_t *value, struct specification *ret, struct error *err)
{
  struct str text = value == NULL ? STR("overlay") : str_of(json_string_value(value));
  if (str_equal(text, STR("overlay")))
    ret->mode = SPECIFICATION_OVERLAY;
  else if (str_equal(text, STR("time-machine")))
    ret->mode = SPECIFICATION_TIME_MACHINE;
  else
    return error_set(err, -EINVAL, "\"mode\" must be \"overlay\" or \"time-machine\"");
  if (ret->mode == SPECIFICATION_OVERLAY)
    return refuse_introductions(ret, err);
  for (size_t i = 0; i < ret->channels_count; i++)
    if (str_equal(ret->channels[i].name, STR("guix")))
      return 0;
  return error_set(err, -EINVAL, "with mode \"time-machine\" one channel must be named guix");
}

/* "ARCHITECTURE-KERNEL", as Guix names systems. Which of them it knows is its affair:
   the evaluator tells. */
static bool
is_system(struct str text)
{
  const struct str kernels[] = { STR("-linux"), STR("-gnu") };
  struct str architecture = { 0 };
  for (size_t i = 0; i < ARRAY_SIZE(kernels); i++)
    if (str_ends(text, kernels[i]))
      architecture = str_make(text.data, text.size - kernels[i].size);
  for (size_t i = 0; i < architecture.size; i++) {
    char c = architecture.data[i];
    if (!(c >= 'a' && c <= 'z') && !(c >= '0' && c <= '9') && c != '_')
      return false;
  }
  return architecture.size > 0 && text.size <= NAME_MAX_BYTES;
}

static int
no_system(struct str text, struct error *err)
{
  error_set(err, -EINVAL, "\"%.*s\" is no system", STR_FMT(text));
  return error_hint(err, "Systems are named as in Guix: x86_64-linux, i686-linux, aarch64-linux, "
                         "armhf-linux, powerpc64le-linux, riscv64-linux, i586-gnu, x86_64-gnu ...");
}

static int
read_systems(const json_t *value, struct arena *arena, struct specification *ret, struct error *err)
{
  if (value != NULL) {
    int r =
        read_texts(value, "systems", SYSTEMS_MAX, arena, &ret->systems, &ret->systems_count, err);
    for (size_t i = 0; r == 0 && i < ret->systems_count; i++)
      if (!is_system(ret->systems[i]))
        r = no_system(ret->systems[i], err);
    return r;
  }
  struct utsname kernel;
  uname(&kernel);
  ret->systems = arena_array(arena, 1, sizeof *ret->systems);
  ret->systems[0] = str_of(arena_printf(arena, "%s-linux", kernel.machine));
  ret->systems_count = 1;
  return 0;
}

static int
read_limits(const json_t *object, struct specification *ret, struct error *err)
{
  int64_t period = 0;
  int64_t priority = 0;
  int64_t memory = 0;
  int64_t time = 0;
  int r = read_number(object, "period", 0, 31536000, 300, &period, err);
  if (r == 0)
    r = read_number(object, "priority", -1000, 1000, 0, &priority, err);
  if (r == 0)
    r = read_number(object, "memory_limit_mb", 256, 1048576, 6144, &memory, err);
  if (r == 0)
    r = read_number(object, "time_limit_s", 10, 604800, 14400, &time, err);
  ret->period_s = (int32_t) period;
  ret->priority = (int32_t) priority;
  ret->memory_limit = memory << 20;
  ret->time_limit_s = (int32_t) time;
  return r;
}

static int
read_specification(const json_t *object, struct arena *arena, struct specification *ret,
                   struct error *err)
{
  static const char *const known[] = { "name",         "channels", "mode",     "build",
                                       "systems",      "period",   "priority", "memory_limit_mb",
                                       "time_limit_s", NULL };
  int r = check_fields(object, "a specification", known, err);
  if (r == 0)
    r = read_name(json_object_get(object, "name"), "name", arena, &ret->name, err);
  if (r == 0)
    r = read_channels(json_object_get(object, "channels"), arena, ret, err);
  if (r == 0)
    r = read_mode(json_object_get(object, "mode"), ret, err);
  if (r == 0)
    r = read_build(json_object_get(object, "build"), arena, ret, err);
  if (r == 0)
    r = read_systems(json_object_get(object, "systems"), arena, ret, err);
  if (r == 0)
    r = read_limits(object, ret, err);
  return r;
}

int
specification_parse(struct str json, struct arena *arena, struct specification *ret,
                    struct error *err)
{
  json_t *object = NULL;
  struct specification parsed = { 0 };
  int r = http_parse_json(json, &object, err);
  if (r < 0)
    return r;
  r = read_specification(object, arena, &parsed, err);
  json_decref(object);
  if (r == 0)
    *ret = parsed;
  else if (err != NULL && err->hint[0] == '\0')
    error_hint(err, "The fields: " SPECIFICATION_GUIDE ".");
  return r;
}

/* ---- in the database ---- */

struct change
{
  struct str json;
  struct str name; /* of the one to replace, delete, pause or resume */
  struct specification parsed;
  bool active;
  int64_t seen_at; /* microseconds; 0 = whatever it is now is replaced */
  int64_t id;
};

static int
no_specification(struct str name, struct error *err)
{
  return error_set(err, -ENOENT, "there is no specification \"%.*s\"", STR_FMT(name));
}

static int
append_event(struct db *db, const char *kind, int64_t id, struct str name, struct error *err)
{
  CLEANUP_BUF struct buf facts = { 0 };
  struct json json = json_begin(&facts);
  json_object_open(&json);
  json_put_text(&json, "specification", name);
  json_object_close(&json);
  return events_append(db, kind, id, buf_str(&facts), err);
}

static int
insert(struct db *db, void *context, struct error *err)
{
  struct change *change = context;
  const struct specification *parsed = &change->parsed;
  struct specification_insert_row row;
  int r = specification_insert(db, parsed->name, change->json, parsed->period_s, parsed->priority,
                               &row, err);
  if (r == 0)
    return error_set(err, -EEXIST, "there is a specification \"%.*s\" already",
                     STR_FMT(parsed->name));
  if (r < 0)
    return r;
  change->id = row.id;
  return append_event(db, "specification.added", row.id, parsed->name, err);
}

int
specification_add(struct db_pool *pool, struct str json, int64_t *ret_id, struct error *err)
{
  CLEANUP_ARENA struct arena arena = { 0 };
  struct change change = { .json = json };
  int r = specification_parse(json, &arena, &change.parsed, err);
  if (r == 0)
    r = db_pool_run(pool, DB_WRITE, insert, &change, err);
  if (r == 0)
    *ret_id = change.id;
  return r;
}

/* Keeps others from changing it until the end of the transaction. */
static int
check_unchanged(struct db *db, const struct change *change, struct error *err)
{
  struct specification_changed_at_row row;
  int r = specification_changed_at(db, change->name, &row, err);
  if (r <= 0)
    return r < 0 ? r : no_specification(change->name, err);
  if (change->seen_at != 0 && row.changed_at != change->seen_at)
    return error_set(err, -ESTALE, "somebody else has changed it since you opened this form");
  return 0;
}

static int
replace(struct db *db, void *context, struct error *err)
{
  const struct change *change = context;
  struct specification_update_row row;
  int r = check_unchanged(db, change, err);
  if (r < 0)
    return r;
  r = specification_update(db, change->json, change->parsed.period_s, change->parsed.priority,
                           change->name, &row, err);
  if (r == 0)
    return no_specification(change->name, err);
  return r < 0 ? r : append_event(db, "specification.changed", row.id, change->name, err);
}

int
specification_edit(struct db_pool *pool, struct str name, struct str json, int64_t seen_at,
                   struct error *err)
{
  CLEANUP_ARENA struct arena arena = { 0 };
  struct change change = { .json = json, .name = name, .seen_at = seen_at };
  int r = specification_parse(json, &arena, &change.parsed, err);
  if (r == 0 && !str_equal(change.parsed.name, name))
    r = error_set(err, -EINVAL, "a specification's name cannot be changed");
  return r < 0 ? r : db_pool_run(pool, DB_WRITE, replace, &change, err);
}

static int delete (struct db *db, void *context, struct error *err)
{
  const struct change *change = context;
  struct specification_remove_row row;
  int r = specification_remove(db, change->name, &row, err);
  if (r == 0)
    return no_specification(change->name, err);
  return r < 0 ? r : append_event(db, "specification.deleted", row.id, change->name, err);
}

int
specification_delete(struct db_pool *pool, struct str name, struct error *err)
{
  struct change change = { .name = name };
  return db_pool_run(pool, DB_WRITE, delete, &change, err);
}

static int
set_active(struct db *db, void *context, struct error *err)
{
  const struct change *change = context;
  struct specification_set_active_row row;
  int r = specification_set_active(db, change->active, change->name, &row, err);
  if (r == 0)
    return no_specification(change->name, err);
  if (r < 0 || !row.changed)
    return r < 0 ? r : 0;
  return append_event(db, change->active ? "specification.resumed" : "specification.paused", row.id,
                      change->name, err);
}

int
specification_pause(struct db_pool *pool, struct str name, bool paused, struct error *err)
{
  struct change change = { .name = name, .active = !paused };
  return db_pool_run(pool, DB_WRITE, set_active, &change, err);
}
