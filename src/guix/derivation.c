/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Reading and writing the text of a derivation (reference 2.1). */
#include "guix/derivation.h"

#include <errno.h>

/* Elements of any one list; the largest derivation of Guix has some 3,000. */
#define LIST_MAX 100000

/* Reads a copy of the text that belongs to the arena, so strings are slices of
   it and escapes are undone in place. The first failure sticks: after it every
   function does nothing and returns something empty. */
struct parser
{
  const char *text;
  char *at;
  const char *end;
  struct arena *arena;
  struct error *err;
  int r;
};

static void
fail(struct parser *p, const char *what)
{
  if (p->r == 0)
    p->r = error_set(p->err, -EINVAL, "derivation, byte %zu: %s", (size_t) (p->at - p->text), what);
}

static bool
peek(const struct parser *p, char c)
{
  return p->r == 0 && p->at < p->end && *p->at == c;
}

static void
expect(struct parser *p, const char *token)
{
  size_t size = strlen(token);
  if (p->r < 0)
    return;
  if ((size_t) (p->end - p->at) < size || memcmp(p->at, token, size) != 0) {
    char what[64] = "expected ";
    memcpy(what + strlen(what), token, size + 1);
    fail(p, what);
    return;
  }
  p->at += size;
}

/* What stands in a string only behind a backslash, and the letter it has there. */
static char
escape_letter(char c)
{
  switch (c) {
  case '"':
  case '\\':
    return c;
  case '\n':
    return 'n';
  case '\r':
    return 'r';
  case '\t':
    return 't';
  default:
    return '\0';
  }
}

/* The byte that backslash LETTER stands for; NUL = guix never writes it. */
static char
unescaped(char letter)
{
  static const char specials[] = "\"\\\n\r\t";
  for (size_t i = 0; i < sizeof specials - 1; i++)
    if (escape_letter(specials[i]) == letter)
      return specials[i];
  return '\0';
}

/* Skips to the next byte that is not itself. */
static void
skip_plain(struct parser *p)
{
  while (p->at < p->end && *p->at != '\0' && escape_letter(*p->at) == '\0')
    p->at++;
}

static struct str
parse_string(struct parser *p)
{
  expect(p, "\"");
  if (p->r < 0)
    return STR("");
  char *start = p->at;
  skip_plain(p);
  char *out = p->at; /* behind the last byte of the string so far */
  while (p->at < p->end && *p->at == '\\') {
    char c = p->at + 1 < p->end ? unescaped(p->at[1]) : '\0';
    if (c == '\0')
      break;
    *out++ = c;
    p->at += 2;
    char *plain = p->at;
    skip_plain(p);
    memmove(out, plain, (size_t) (p->at - plain));
    out += p->at - plain;
  }
  if (p->at == p->end || *p->at != '"') {
    fail(p, p->at == p->end ? "unfinished string" : "bad byte in a string");
    return STR("");
  }
  p->at++;
  return str_make(start, (size_t) (out - start));
}

/* "(" string "," string ... ")" */
static void
parse_tuple(struct parser *p, struct str *const *fields, size_t count)
{
  for (size_t i = 0; i < count; i++) {
    expect(p, i == 0 ? "(" : ",");
    *fields[i] = parse_string(p);
  }
  expect(p, ")");
}

/* ---- lists ---- */

/* Every kind of element begins with a struct str, the key it is sorted by. */
struct element_type
{
  size_t size;
  bool sorted; /* strictly ascending */
  void (*parse)(struct parser *p, void *element);
};

static const struct str *
key_of(const char *items, size_t index, const struct element_type *type)
{
  return (const struct str *) (const void *) (items + index * type->size);
}

static void
check_order(struct parser *p, const struct element_type *type, const char *items, size_t count)
{
  if (!type->sorted || count < 2)
    return;
  if (str_compare(*key_of(items, count - 2, type), *key_of(items, count - 1, type)) >= 0)
    fail(p, "not sorted, or something twice");
}

/* Room for one more element; the array moves when it doubles. */
static char *
list_grow(struct parser *p, char *items, size_t count, const struct element_type *type)
{
  if (count > 0 && (count & (count - 1)) != 0)
    return items;
  char *larger = arena_array(p->arena, count == 0 ? 1 : 2 * count, type->size);
  if (count > 0)
    memcpy(larger, items, count * type->size);
  return larger;
}

static void *
parse_list(struct parser *p, const struct element_type *type, size_t *ret_count)
{
  char *items = NULL;
  size_t count = 0;
  expect(p, "[");
  while (p->r == 0 && !peek(p, ']')) {
    if (count > 0)
      expect(p, ",");
    if (count == LIST_MAX)
      fail(p, "list too long");
    items = list_grow(p, items, count, type);
    type->parse(p, items + count * type->size);
    count++;
    check_order(p, type, items, count);
  }
  expect(p, "]");
  *ret_count = count;
  return items;
}

static void
parse_text(struct parser *p, void *element)
{
  *(struct str *) element = parse_string(p);
}

static void
parse_name(struct parser *p, void *element)
{
  parse_text(p, element);
  if (p->r == 0 && !guix_name_is_valid(*(struct str *) element))
    fail(p, "bad output name");
}

static void
parse_path(struct parser *p, void *element)
{
  parse_text(p, element);
  if (p->r == 0 && !guix_path_is_valid(*(struct str *) element))
    fail(p, "bad store path");
}

static const struct element_type arguments_type = { sizeof(struct str), false, parse_text };
static const struct element_type names_type = { sizeof(struct str), true, parse_name };
static const struct element_type sources_type = { sizeof(struct str), true, parse_path };

static bool
is_base16(struct str text)
{
  for (size_t i = 0; i < text.size; i++) {
    char c = text.data[i];
    if (!(c >= '0' && c <= '9') && !(c >= 'a' && c <= 'f'))
      return false;
  }
  return text.size % 2 == 0;
}

static void
parse_output(struct parser *p, void *element)
{
  struct guix_output *output = element;
  struct str *const fields[] = { &output->name, &output->path, &output->hash_algorithm,
                                 &output->hash };
  parse_tuple(p, fields, ARRAY_SIZE(fields));
  if (p->r < 0)
    return;
  if (!guix_name_is_valid(output->name))
    fail(p, "bad output name");
  if (!guix_path_is_valid(output->path))
    fail(p, "bad store path");
  if ((output->hash_algorithm.size == 0) != (output->hash.size == 0) || !is_base16(output->hash))
    fail(p, "bad output hash");
}

static void
parse_input(struct parser *p, void *element)
{
  struct guix_input *input = element;
  expect(p, "(");
  parse_path(p, &input->path);
  if (p->r == 0 && !guix_path_is_derivation(input->path))
    fail(p, "input is no derivation");
  expect(p, ",");
  input->outputs = parse_list(p, &names_type, &input->outputs_count);
  if (p->r == 0 && input->outputs_count == 0)
    fail(p, "input without outputs");
  expect(p, ")");
}

static void
parse_variable(struct parser *p, void *element)
{
  struct guix_variable *variable = element;
  struct str *const fields[] = { &variable->name, &variable->value };
  parse_tuple(p, fields, ARRAY_SIZE(fields));
}

static const struct element_type outputs_type = { sizeof(struct guix_output), true, parse_output };
static const struct element_type inputs_type = { sizeof(struct guix_input), true, parse_input };
static const struct element_type variables_type = { sizeof(struct guix_variable), true,
                                                    parse_variable };

/* ---- the whole ---- */

/* What holds between the parts: guix-daemon refuses derivations without it. */
static void
check_whole(struct parser *p, const struct guix_derivation *derivation)
{
  if (p->r < 0)
    return;
  if (derivation->outputs_count == 0)
    fail(p, "no output");
  for (size_t i = 0; i < derivation->outputs_count; i++) {
    const struct guix_output *output = &derivation->outputs[i];
    if (output->hash.size > 0 && !guix_derivation_is_fixed(derivation))
      fail(p, "a fixed output must be the only one and called out");
    const struct guix_variable *variable = guix_derivation_find_variable(derivation, output->name);
    if (variable == NULL || !str_equal(variable->value, output->path))
      fail(p, "an output's variable is not its path");
  }
}

static void
parse_derivation(struct parser *p, struct guix_derivation *ret)
{
  expect(p, "Derive(");
  ret->outputs = parse_list(p, &outputs_type, &ret->outputs_count);
  expect(p, ",");
  ret->inputs = parse_list(p, &inputs_type, &ret->inputs_count);
  expect(p, ",");
  ret->sources = parse_list(p, &sources_type, &ret->sources_count);
  expect(p, ",");
  ret->system = parse_string(p);
  expect(p, ",");
  ret->builder = parse_string(p);
  expect(p, ",");
  ret->arguments = parse_list(p, &arguments_type, &ret->arguments_count);
  expect(p, ",");
  ret->variables = parse_list(p, &variables_type, &ret->variables_count);
  expect(p, ")");
  if (p->r == 0 && p->at < p->end)
    fail(p, "something after the end");
  check_whole(p, ret);
}

int
guix_derivation_parse(struct str text, struct arena *arena, struct guix_derivation *ret,
                      struct error *err)
{
  if (text.size > GUIX_DERIVATION_SIZE_MAX)
    return error_set(err, -EFBIG, "derivation of %zu bytes, more than %u", text.size,
                     GUIX_DERIVATION_SIZE_MAX);
  char *copy = arena_alloc(arena, text.size + 1);
  if (text.size > 0)
    memcpy(copy, text.data, text.size);
  struct parser p = {
    .text = copy, .at = copy, .end = copy + text.size, .arena = arena, .err = err
  };
  struct guix_derivation derivation = { 0 };
  parse_derivation(&p, &derivation);
  if (p.r == 0)
    *ret = derivation;
  return p.r;
}

/* ---- writing ---- */

static void
print_string(struct buf *out, struct str text)
{
  size_t done = 0; /* everything before it is in OUT */
  buf_append_char(out, '"');
  for (size_t i = 0; i < text.size; i++) {
    char letter = escape_letter(text.data[i]);
    if (letter == '\0')
      continue;
    buf_append(out, text.data + done, i - done);
    buf_append_char(out, '\\');
    buf_append_char(out, letter);
    done = i + 1;
  }
  buf_append_str(out, str_from(text, done));
  buf_append_char(out, '"');
}

static void
print_strings(struct buf *out, char open, const struct str *strings, size_t count, char close)
{
  buf_append_char(out, open);
  for (size_t i = 0; i < count; i++) {
    if (i > 0)
      buf_append_char(out, ',');
    print_string(out, strings[i]);
  }
  buf_append_char(out, close);
}

static void
print_outputs(struct buf *out, const struct guix_derivation *derivation)
{
  for (size_t i = 0; i < derivation->outputs_count; i++) {
    const struct guix_output *output = &derivation->outputs[i];
    const struct str fields[] = { output->name, output->path, output->hash_algorithm,
                                  output->hash };
    if (i > 0)
      buf_append_char(out, ',');
    print_strings(out, '(', fields, ARRAY_SIZE(fields), ')');
  }
}

static void
print_inputs(struct buf *out, const struct guix_derivation *derivation)
{
  for (size_t i = 0; i < derivation->inputs_count; i++) {
    const struct guix_input *input = &derivation->inputs[i];
    buf_append_text(out, i > 0 ? ",(" : "(");
    print_string(out, input->path);
    buf_append_char(out, ',');
    print_strings(out, '[', input->outputs, input->outputs_count, ']');
    buf_append_char(out, ')');
  }
}

static void
print_variables(struct buf *out, const struct guix_derivation *derivation)
{
  for (size_t i = 0; i < derivation->variables_count; i++) {
    const struct str fields[] = { derivation->variables[i].name, derivation->variables[i].value };
    if (i > 0)
      buf_append_char(out, ',');
    print_strings(out, '(', fields, ARRAY_SIZE(fields), ')');
  }
}

void
guix_derivation_print(const struct guix_derivation *derivation, struct buf *out)
{
  buf_append_text(out, "Derive([");
  print_outputs(out, derivation);
  buf_append_text(out, "],[");
  print_inputs(out, derivation);
  buf_append_text(out, "],");
  print_strings(out, '[', derivation->sources, derivation->sources_count, ']');
  buf_append_char(out, ',');
  print_string(out, derivation->system);
  buf_append_char(out, ',');
  print_string(out, derivation->builder);
  buf_append_char(out, ',');
  print_strings(out, '[', derivation->arguments, derivation->arguments_count, ']');
  buf_append_text(out, ",[");
  print_variables(out, derivation);
  buf_append_text(out, "])");
}

/* ---- asking ---- */

bool
guix_derivation_is_fixed(const struct guix_derivation *derivation)
{
  return derivation->outputs_count == 1 && derivation->outputs[0].hash.size > 0
         && str_equal(derivation->outputs[0].name, STR("out"));
}

const struct guix_variable *
guix_derivation_find_variable(const struct guix_derivation *derivation, struct str name)
{
  size_t low = 0, high = derivation->variables_count;
  while (low < high) {
    size_t middle = low + (high - low) / 2;
    const struct guix_variable *variable = &derivation->variables[middle];
    int order = str_compare(variable->name, name);
    if (order == 0)
      return variable;
    if (order < 0)
      low = middle + 1;
    else
      high = middle;
  }
  return NULL;
}

struct str
guix_derivation_variable(const struct guix_derivation *derivation, const char *name)
{
  const struct guix_variable *variable = guix_derivation_find_variable(derivation, str_of(name));
  return variable == NULL ? (struct str) { NULL, 0 } : variable->value;
}

/* Merges two sorted lists; an item that is in both stands once. */
struct str *
guix_derivation_references(const struct guix_derivation *derivation, struct arena *arena,
                           size_t *ret_count)
{
  size_t inputs = derivation->inputs_count, sources = derivation->sources_count;
  struct str *merged = arena_array(arena, inputs + sources, sizeof *merged);
  size_t count = 0, i = 0, s = 0;
  while (i < inputs || s < sources) {
    int order = i == inputs    ? 1
                : s == sources ? -1
                               : str_compare(derivation->inputs[i].path, derivation->sources[s]);
    merged[count++] = order <= 0 ? derivation->inputs[i].path : derivation->sources[s];
    i += order <= 0;
    s += order >= 0;
  }
  *ret_count = count;
  return merged;
}
