/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Forms that add, change and delete specifications, and the buttons of their pages. The
   simple form becomes the same JSON that everybody else sends, so there is one check. */
#include <errno.h>

#include "evaluation/evaluation_pages.h"
#include "evaluation/evaluation_private.h"
#include "evaluation/pages.h"
#include "evaluation/specification_fields.h"
#include "ui/ui.h"

#define FORM_LIMIT 8192
#define DEFINITION_LIMIT (3 << 20) /* bytes of a form with a definition, percent-encoded */

/* ---- showing ---- */

/* Which field an error of specification_parse speaks of: it quotes the JSON's names. */
static const struct
{
  const char *quoted;
  const char *field;
} fields_of_errors[] = {
  { "\"channels.name\"", "channel" },
  { "\"channels.url\"", "url" },
  { "\"channels.branch\"", "branch" },
  { "branch", "branch" },
  { "URL", "url" },
  { "\"url\"", "url" },
  { "\"packages\"", "names" },
  { "\"manifests\"", "names" },
  { "Name at least one", "names" },
  { "a manifest is named", "names" },
  { "\"build\"", "build" },
  { "\"systems\"", "systems" },
  { "is no system", "systems" },
  { "\"period\"", "period" },
  { "\"name\"", "name" },
  { "already", "name" },
};

static const char *
field_of_error(const struct error *err)
{
  for (size_t i = 0; i < ARRAY_SIZE(fields_of_errors); i++)
    if (strstr(err->message, fields_of_errors[i].quoted) != NULL)
      return fields_of_errors[i].field;
  return "";
}

static const char *
specification_path(struct http_request *request, const char *rest)
{
  return arena_printf(http_arena(request), "/specifications/%.*s%s",
                      STR_FMT(http_param(request, "name")), rest);
}

static int
show_form(struct http_request *request, struct evaluations *evaluations,
          struct specification_form *form, const struct error *problem)
{
  struct ui_frame frame;
  /* As the API's; -ESTALE, which is 410 elsewhere, is a conflict of two people here. */
  int status = problem == NULL ? 200 : problem->code == -EINVAL ? 400 : 409;
  CLEANUP_BUF struct buf page = { 0 };
  accounts_frame(request, evaluations->options.pool, &frame);
  form->address = form->is_new ? "/add-specification" : specification_path(request, "/edit");
  if (problem != NULL) {
    form->problem = str_of(problem->message);
    form->wrong = STR("");
    if (problem->code != -ESTALE)
      form->wrong = str_of(form->as_json ? "definition" : field_of_error(problem));
  }
  specification_form_page(&page, form, &frame);
  return ui_reply_status(request, &frame, status, &page);
}

/* What can be mended in the form is shown there; anything else is an error page. */
static bool
is_about_the_form(int r)
{
  return r == -EINVAL || r == -EEXIST || r == -ESTALE;
}

/* ---- adding ---- */

static struct str
form_field(struct http_request *request, const char *name)
{
  struct str value = http_form(request, name);
  return value.data == NULL ? STR("") : str_trim(value);
}

static void
read_form(struct http_request *request, struct specification_form *form)
{
  form->as_json = http_form(request, "definition").data != NULL;
  form->definition = form_field(request, "definition");
  form->name = form_field(request, "name");
  form->channel = form_field(request, "channel");
  form->url = form_field(request, "url");
  form->branch = form_field(request, "branch");
  form->build = form_field(request, "build");
  form->names = form_field(request, "names");
  form->systems = form_field(request, "systems");
  form->period = form_field(request, "period");
}

/* Microseconds, as the form was given them. */
static int
form_time(struct http_request *request, const char *name, int64_t *ret, struct error *err)
{
  if (str_to_i64(form_field(request, name), ret) < 0 || *ret <= 0)
    return error_set(err, -EINVAL, "\"%s\" is missing: open the form again", name);
  return 0;
}

/* Which form is wanted: "json", or "" for the simple one where there is one. */
static int
read_as(struct http_request *request, struct str *ret, struct error *err)
{
  *ret = http_query(request, "as");
  if (ret->size > 0 && !str_equal(*ret, STR("json")))
    return error_set(err, -EINVAL, "there is no form \"%.*s\", only \"json\"", STR_FMT(*ret));
  return 0;
}

/* What the field of the JSON form begins with. */
#define EXAMPLE                                                                       \
  "{\n"                                                                               \
  "  \"name\": \"my-channel\",\n"                                                     \
  "  \"channels\": [\n"                                                               \
  "    {\"name\": \"my-channel\", \"url\": \"https://example.org/my-channel.git\"}\n" \
  "  ],\n"                                                                            \
  "  \"build\": {\"channels\": [\"my-channel\"]},\n"                                  \
  "  \"period\": 300\n"                                                               \
  "}\n"

static int
get_add(struct http_request *request, void *context, struct error *err)
{
  struct str as;
  int r = read_as(request, &as, err);
  if (r < 0)
    return r;
  struct specification_form form = { .is_new = true,
                                     .has_fields = true,
                                     .as_json = as.size > 0,
                                     .definition = STR(EXAMPLE),
                                     .branch = STR(""),
                                     .build = STR("channels"),
                                     .period = STR("300") };
  return show_form(request, context, &form, NULL);
}

/* The check of all specifications would say it of the JSON that nobody has seen. */
static int
check_names(const struct specification_form *form, struct error *err)
{
  if (form->names.size == 0 && str_equal(form->build, STR("packages")))
    return error_set(err, -EINVAL, "Name at least one package.");
  if (form->names.size == 0 && str_equal(form->build, STR("manifests")))
    return error_set(err, -EINVAL, "Name at least one manifest file, by its path in the channel.");
  return 0;
}

/* As whole JSON, or BASE with the fields of the form in it. */
static int
write_definition(const struct specification_form *form, struct str base, struct buf *out,
                 struct error *err)
{
  if (form->as_json) {
    buf_append_str(out, form->definition);
    return 0;
  }
  int r = check_names(form, err);
  return r < 0 ? r : specification_fields_write(form, base, out, err);
}

static int
post_add(struct http_request *request, void *context, struct error *err)
{
  struct evaluations *evaluations = context;
  struct specification_form form = { .is_new = true, .has_fields = true };
  struct specification parsed;
  CLEANUP_BUF struct buf made = { 0 };
  int64_t id = 0;
  read_form(request, &form);
  int r = write_definition(&form, STR(""), &made, err);
  if (r == 0)
    r = specification_parse(buf_str(&made), http_arena(request), &parsed, err);
  if (r == 0)
    r = specification_add(evaluations->options.pool, buf_str(&made), &id, err);
  if (is_about_the_form(r))
    return show_form(request, evaluations, &form, err);
  if (r < 0)
    return r;
  evaluations_look_now(evaluations);
  return ui_done(
      request, arena_printf(http_arena(request), "/specifications/%.*s", STR_FMT(parsed.name)),
      "Specification %.*s is added. Its channels are looked at now.", STR_FMT(parsed.name));
}

/* ---- one that exists ---- */

struct definition_question
{
  struct str name;
  struct arena *arena;
  struct page_specification_row row;
};

static int
read_definition(struct db *db, void *context, struct error *err)
{
  struct definition_question *question = context;
  int r = page_specification(db, question->name, question->arena, &question->row, err);
  if (r == 0)
    return error_set(err, -ENOENT, "there is no specification \"%.*s\"", STR_FMT(question->name));
  return r < 0 ? r : 0;
}

static int
find_definition(struct http_request *request, struct evaluations *evaluations,
                struct definition_question *ret, struct error *err)
{
  *ret = (struct definition_question) { .name = http_param(request, "name"),
                                        .arena = http_arena(request) };
  return db_pool_run(evaluations->options.pool, DB_READ, read_definition, ret, err);
}

static int
get_edit(struct http_request *request, void *context, struct error *err)
{
  struct definition_question question;
  struct str as;
  int r = read_as(request, &as, err);
  if (r == 0)
    r = find_definition(request, context, &question, err);
  if (r < 0)
    return r;
  struct specification_form form = { .name = question.name,
                                     .definition = question.row.definition,
                                     .changed_at = question.row.changed_at };
  form.has_fields = specification_fields_read(question.row.definition, http_arena(request), &form);
  form.as_json = as.size > 0 || !form.has_fields;
  return show_form(request, context, &form, NULL);
}

/* Somebody was faster: what they made of it is shown beside what was typed, and the next try is
   made with knowledge of it. */
static int
show_conflict(struct http_request *request, struct evaluations *evaluations,
              struct specification_form *form, const struct error *problem)
{
  struct definition_question now;
  struct error err = { 0 };
  int r = find_definition(request, evaluations, &now, &err);
  if (r < 0) {
    http_reply_failure(request, &err);
    return 0;
  }
  form->other = now.row.definition;
  form->changed_at = now.row.changed_at;
  return show_form(request, evaluations, form, problem);
}

static int
post_edit(struct http_request *request, void *context, struct error *err)
{
  struct evaluations *evaluations = context;
  struct definition_question question;
  struct specification_form form = { 0 };
  CLEANUP_BUF struct buf edited = { 0 };
  read_form(request, &form);
  form.name = http_param(request, "name");
  int r = find_definition(request, evaluations, &question, err);
  if (r == 0)
    r = form_time(request, "changed_at", &form.changed_at, err);
  if (r < 0)
    return r;
  form.has_fields = !form.as_json;
  r = write_definition(&form, question.row.definition, &edited, err);
  if (r == 0)
    r = specification_edit(evaluations->options.pool, form.name, buf_str(&edited), form.changed_at,
                           err);
  if (r == -ESTALE)
    return show_conflict(request, evaluations, &form, err);
  if (is_about_the_form(r))
    return show_form(request, evaluations, &form, err);
  if (r < 0)
    return r;
  evaluations_look_now(evaluations);
  return ui_done(request, specification_path(request, ""),
                 "Specification %.*s is changed. Its channels are looked at now.",
                 STR_FMT(form.name));
}

static int
get_delete(struct http_request *request, void *context, struct error *err)
{
  struct evaluations *evaluations = context;
  struct definition_question found;
  struct ui_frame frame;
  int r = find_definition(request, evaluations, &found, err);
  if (r < 0)
    return r;
  accounts_frame(request, evaluations->options.pool, &frame);
  const struct ui_question question = {
    .title = str_of(
        arena_printf(http_arena(request), "Delete specification %.*s?", STR_FMT(found.name))),
    .what = STR("All its evaluations go with it, their jobs, errors and logs. Builds and their "
                "outputs stay; those that wait are built all the same, unless its evaluations are "
                "cancelled before. To stop looking at its channels for a while, pause it instead."),
    .button = STR("Delete it"),
    .action = specification_path(request, "/delete"),
    .back = specification_path(request, ""),
  };
  return ui_ask(request, &frame, &question);
}

static int
reply_deleted(struct http_request *request)
{
  return ui_done(request, "/specifications", "Specification %.*s is deleted.",
                 STR_FMT(http_param(request, "name")));
}

static int
post_delete(struct http_request *request, void *context, struct error *err)
{
  (void) err;
  return evaluations_delete_later(context, request, reply_deleted);
}

static int
post_evaluate(struct http_request *request, void *context, struct error *err)
{
  bool force = str_equal(http_form(request, "force"), STR("yes"));
  int r = evaluations_request(context, http_param(request, "name"), force, err);
  return r < 0 ? r
               : ui_done(request, specification_path(request, ""), "Its channels are looked at%s.",
                         force ? ", and evaluated even if nothing changed"
                               : "; a new commit makes an evaluation");
}

static int
set_paused(struct http_request *request, struct evaluations *evaluations, bool paused,
           struct error *err)
{
  int r = specification_pause(evaluations->options.pool, http_param(request, "name"), paused, err);
  if (r < 0)
    return r;
  evaluations_look_now(evaluations);
  return ui_done(request, specification_path(request, ""), "%s",
                 paused ? "Paused: its channels are looked at on demand only."
                        : "Resumed: its channels are looked at again, by its period or on demand.");
}

static int
post_pause(struct http_request *request, void *context, struct error *err)
{
  return set_paused(request, context, true, err);
}

static int
post_resume(struct http_request *request, void *context, struct error *err)
{
  return set_paused(request, context, false, err);
}

#define FORM(limit) .form = true, .role = "admin", .body_limit = (limit)

static const struct http_route routes[] = {
  { "GET", "/add-specification", get_add, .role = "admin", .summary = "A form for a new one" },
  { "POST", "/add-specification", post_add, FORM(DEFINITION_LIMIT),
    .members = "definition name channel url branch build names systems period",
    .summary = "Add it" },
  { "GET", "/specifications/{name}/edit", get_edit, .role = "admin", .summary = "A form for it" },
  { "POST", "/specifications/{name}/edit", post_edit, FORM(DEFINITION_LIMIT),
    .members = "definition name channel url branch build names systems period changed_at",
    .summary = "Change it" },
  { "GET", "/specifications/{name}/delete", get_delete, .role = "admin", .summary = "Delete it?" },
  { "POST", "/specifications/{name}/delete", post_delete, FORM(FORM_LIMIT),
    .summary = "Delete it" },
  { "POST", "/specifications/{name}/evaluate", post_evaluate, FORM(FORM_LIMIT), .members = "force?",
    .summary = "Look at its channels now" },
  { "POST", "/specifications/{name}/pause", post_pause, FORM(FORM_LIMIT), .summary = "Pause it" },
  { "POST", "/specifications/{name}/resume", post_resume, FORM(FORM_LIMIT),
    .summary = "Resume it" },
};

struct http_routes
evaluations_specification_forms(struct evaluations *evaluations)
{
  return (struct http_routes) { routes, ARRAY_SIZE(routes), evaluations };
}
