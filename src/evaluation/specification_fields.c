/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "evaluation/specification_fields.h"

#include <errno.h>
#include <stdlib.h>

#include "base/mem.h"
#include "http/http.h"

#define NAMES_SHOWN_MAX 200 /* more are no pleasure in one line */

static bool
is_between_words(char c)
{
  return c == ' ' || c == ',' || c == '\n' || c == '\r' || c == '\t';
}

/* ---- from a definition ---- */

/* "" for what is absent. */
static struct str
text_of(const json_t *object, const char *key, struct arena *arena)
{
  const char *text = json_string_value(json_object_get(object, key));
  return str_of(arena_printf(arena, "%s", text != NULL ? text : ""));
}

/* The texts of LIST with blanks between them; false when that would not say the same. */
static bool
join_words(const json_t *list, struct arena *arena, struct str *ret)
{
  CLEANUP_BUF struct buf words = { 0 };
  size_t count = json_array_size(list);
  for (size_t i = 0; i < count; i++) {
    struct str word = str_of(json_string_value(json_array_get(list, i)));
    for (size_t j = 0; j < word.size; j++)
      if (is_between_words(word.data[j]))
        return false;
    buf_printf(&words, "%s%.*s", i > 0 ? " " : "", STR_FMT(word));
  }
  *ret = str_of(arena_printf(arena, "%s", buf_text(&words)));
  return count <= NAMES_SHOWN_MAX;
}

static bool
read_build(const json_t *build, struct arena *arena, struct specification_form *form)
{
  form->names = STR("");
  form->build = STR("all");
  if (!json_is_object(build))
    return true;
  const char *kind = json_object_iter_key(json_object_iter((json_t *) build));
  const json_t *names = json_object_get(build, kind);
  form->build = str_of(arena_printf(arena, "%s", kind));
  if (str_equal(form->build, STR("channels"))) /* one by one, and there is but one */
    return json_array_size(names) == 1;
  return (str_equal(form->build, STR("packages")) || str_equal(form->build, STR("manifests")))
         && join_words(names, arena, &form->names);
}

static bool
read_fields(const json_t *object, struct arena *arena, struct specification_form *form)
{
  const json_t *channels = json_object_get(object, "channels");
  const json_t *channel = json_array_get(channels, 0);
  const json_t *period = json_object_get(object, "period");
  form->name = text_of(object, "name", arena);
  form->channel = text_of(channel, "name", arena);
  form->url = text_of(channel, "url", arena);
  form->branch = text_of(channel, "branch", arena);
  form->period = STR("");
  if (json_is_integer(period))
    form->period = str_of(arena_printf(arena, "%lld", (long long) json_integer_value(period)));
  return json_array_size(channels) == 1 && read_build(json_object_get(object, "build"), arena, form)
         && join_words(json_object_get(object, "systems"), arena, &form->systems);
}

bool
specification_fields_read(struct str definition, struct arena *arena,
                          struct specification_form *form)
{
  struct specification_form fields = *form;
  struct error err;
  json_t *object = NULL;
  if (http_parse_json(definition, &object, &err) < 0)
    return false;
  bool fits = read_fields(object, arena, &fields);
  json_decref(object);
  if (fits)
    *form = fields;
  return fits;
}

/* ---- into one ---- */

static void
set_text(json_t *object, const char *key, struct str text)
{
  json_object_set_new(object, key, json_stringn(text.size > 0 ? text.data : "", text.size));
}

/* As set_text; what is empty is left out, and means the default. */
static void
set_if_any(json_t *object, const char *key, struct str text)
{
  if (text.size > 0)
    set_text(object, key, text);
  else
    json_object_del(object, key);
}

/* The words of TEXT, between blanks, commas and newlines. */
static json_t *
split_words(struct str text)
{
  json_t *list = json_array();
  while (text.size > 0) {
    size_t size = 0;
    while (size < text.size && !is_between_words(text.data[size]))
      size++;
    if (size > 0)
      json_array_append_new(list, json_stringn(text.data, size));
    text = str_from(text, size + (size < text.size));
  }
  return list;
}

static json_t *
make_build(const struct specification_form *form, struct str channel)
{
  bool is_named =
      str_equal(form->build, STR("packages")) || str_equal(form->build, STR("manifests"));
  if (is_named)
    return json_pack("{s:o}", str_equal(form->build, STR("packages")) ? "packages" : "manifests",
                     split_words(form->names));
  if (form->build.size == 0 || str_equal(form->build, STR("channels")))
    return json_pack("{s:[o]}", "channels", json_stringn(channel.data, channel.size));
  return json_stringn(form->build.data, form->build.size); /* "all", or what will be refused */
}

static void
set_fields(json_t *object, const struct specification_form *form)
{
  struct str channel_name = form->channel.size > 0 ? form->channel : form->name;
  json_t *channel = json_array_get(json_object_get(object, "channels"), 0);
  int64_t period;
  if (channel == NULL) {
    channel = json_object();
    json_object_set_new(object, "channels", json_pack("[o]", channel));
  }
  set_text(object, "name", form->name);
  set_text(channel, "name", channel_name);
  set_text(channel, "url", form->url);
  set_if_any(channel, "branch", form->branch);
  json_object_set_new(object, "build", make_build(form, channel_name));
  if (form->systems.size > 0)
    json_object_set_new(object, "systems", split_words(form->systems));
  else
    json_object_del(object, "systems");
  set_if_any(object, "period", form->period);
  if (form->period.size > 0 && str_to_i64(form->period, &period) == 0)
    json_object_set_new(object, "period", json_integer(period));
}

int
specification_fields_write(const struct specification_form *form, struct str base, struct buf *out,
                           struct error *err)
{
  json_t *object = NULL;
  if (base.size == 0)
    object = json_object();
  else if (http_parse_json(base, &object, err) < 0)
    return err->code;
  set_fields(object, form);
  char *text = json_dumps(object, JSON_COMPACT);
  json_decref(object);
  if (text == NULL)
    return error_set(err, -EINVAL, "the fields are no text");
  buf_append_str(out, str_of(text));
  free(text);
  return 0;
}
