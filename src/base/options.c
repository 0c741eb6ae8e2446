/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "base/options.h"

#include <errno.h>

const struct option *
options_find(const struct option *table, struct str name)
{
  for (; table->name != NULL; table++)
    if (str_equal(str_of(table->name), name))
      return table;
  return NULL;
}

/* ---- setting one ---- */

static int
set_number(const struct option *option, const char *value, int64_t *member, struct error *err)
{
  int64_t number;
  if (str_to_i64(str_of(value), &number) < 0 || number < option->low || number > option->high)
    return error_set(err, -EINVAL, "--%s takes a whole number from %lld to %lld, not \"%s\"",
                     option->name, (long long) option->low, (long long) option->high, value);
  *member = number;
  return 0;
}

static bool
is_on_by_default(const struct option *flag)
{
  return flag->value != NULL && strcmp(flag->value, "yes") == 0;
}

/* "no-fsync" clears what is set by default, "verbose" sets what is not. */
static int
set_flag(const struct option *option, const char *value, bool *member, struct error *err)
{
  bool given = strcmp(value, "yes") == 0;
  if (!given && strcmp(value, "no") != 0)
    return error_set(err, -EINVAL, "%s is yes or no, not \"%s\"", option->name, value);
  *member = given != is_on_by_default(option);
  return 0;
}

static int
append(const struct option *option, const char *value, struct option_list *member,
       struct error *err)
{
  if (member->count == OPTION_LIST_MAX)
    return error_set(err, -EINVAL, "--%s may be given at most %d times", option->name,
                     OPTION_LIST_MAX);
  member->items[member->count++] = value;
  return 0;
}

int
option_set(const struct option *option, const char *value, void *target, struct error *err)
{
  void *member = (char *) target + option->offset;
  switch (option->type) {
  case OPTION_TEXT:
    *(const char **) member = value;
    return 0;
  case OPTION_NUMBER:
    return set_number(option, value, member, err);
  case OPTION_FLAG:
    return set_flag(option, value, member, err);
  case OPTION_LIST:
    return append(option, value, member, err);
  }
  return -EINVAL;
}

void
options_set_defaults(const struct option *table, void *target)
{
  for (; table->name != NULL; table++)
    if (table->type == OPTION_FLAG)
      *(bool *) ((char *) target + table->offset) = is_on_by_default(table);
    else if (table->value != NULL)
      (void) option_set(table, table->value, target, NULL);
}

/* ---- the command line ---- */

int
options_take(const struct option *table, int argc, char **argv, int *index, void *target,
             const struct option **ret, struct error *err)
{
  const char *word = argv[*index];
  struct str rest = str_of(word);
  struct str name;
  if (rest.size < 2 || rest.data[0] != '-')
    return 0;
  bool is_long = str_starts(rest, STR("--"));
  rest = str_from(rest, 2);
  (void) str_split(&rest, '=', &name);
  const struct option *option = is_long ? options_find(table, name) : NULL;
  if (option == NULL)
    return error_set(err, -EINVAL, "there is no option %s", word);
  const char *value = rest.data;
  if (value == NULL && option->type == OPTION_FLAG)
    value = "yes";
  if (value == NULL && *index + 1 < argc)
    value = argv[++*index];
  if (value == NULL)
    return error_set(err, -EINVAL, "%s needs a value", word);
  int r = option_set(option, value, target, err);
  if (r < 0)
    return r;
  *ret = option;
  return 1;
}

/* ---- help ---- */

void
option_print(const struct option *option, FILE *out)
{
  char left[64];
  bool has_value = option->placeholder != NULL;
  snprintf(left, sizeof left, "--%s%s%s", option->name, has_value ? " " : "",
           has_value ? option->placeholder : "");
  fprintf(out, "  %-24s %s", left, option->help);
  if (option->type != OPTION_FLAG && option->value != NULL && option->value[0] != '\0')
    fprintf(out, " [%s]", option->value);
  fputc('\n', out);
}

void
options_print(const struct option *table, FILE *out)
{
  for (; table->name != NULL; table++)
    option_print(table, out);
}
