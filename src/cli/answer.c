/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "cli/answer.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>

#include "base/str.h"

static bool
is_array_of(const json_t *value, json_type type)
{
  bool good = json_is_array(value);
  for (size_t i = 0; i < json_array_size(value); i++)
    good = good && json_typeof(json_array_get(value, i)) == type;
  return good;
}

static bool
is_number(const json_t *value)
{
  return json_is_integer(value);
}

static bool
is_text(const json_t *value)
{
  return json_is_string(value);
}

static bool
is_flag(const json_t *value)
{
  return json_is_boolean(value);
}

static bool
is_object(const json_t *value)
{
  return json_is_object(value);
}

static bool
is_numbers(const json_t *value)
{
  return is_array_of(value, JSON_INTEGER);
}

static bool
is_list(const json_t *value)
{
  return is_array_of(value, JSON_OBJECT);
}

static const struct
{
  const char *name;
  bool (*holds)(const json_t *value);
} kinds[] = {
  { "number", is_number }, { "text", is_text },       { "flag", is_flag },
  { "object", is_object }, { "numbers", is_numbers }, { "list", is_list },
};

static bool
is_of_kind(const json_t *value, struct str kind)
{
  for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
    if (str_equal(kind, str_of(kinds[i].name)))
      return kinds[i].holds(value);
  assert(false); /* a misspelt kind in one of our own tables */
  return false;
}

int
answer_check(const json_t *answer, const char *members, struct error *err)
{
  struct str rest = str_of(members);
  struct str kind;
  if (members != NULL && !json_is_object(answer))
    return error_set(err, -EPROTO, "the answer is no JSON object");
  while (rest.size > 0 && str_split(&rest, ' ', &kind)) {
    struct str name;
    char text[64];
    str_split(&kind, ':', &name);
    snprintf(text, sizeof text, "%.*s", STR_FMT(name));
    if (!is_of_kind(json_object_get(answer, text), kind))
      return error_set(err, -EPROTO, "the answer has no %.*s \"%s\"", STR_FMT(kind), text);
  }
  return 0;
}
