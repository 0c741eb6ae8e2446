/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Options as a table: a row has name, type, range, default and explanation. From it
   words of a command line and lines of a file are parsed, and the help is printed. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "base/error.h"
#include "base/str.h"

#define OPTION_LIST_MAX 8

struct option_list
{
  const char *items[OPTION_LIST_MAX];
  size_t count;
};

/* And the type of the member that an option sets. */
enum option_type
{
  OPTION_TEXT,   /* const char * */
  OPTION_NUMBER, /* int64_t */
  OPTION_FLAG,   /* bool; given, it turns the default round */
  OPTION_LIST,   /* struct option_list; may be given several times */
};

/* A row; a table ends with a NULL name. */
struct option
{
  const char *name; /* without "--" */
  enum option_type type;
  size_t offset;           /* of the member in the struct that the table fills */
  int64_t low, high;       /* of a number */
  const char *value;       /* the default, as a user would write it; NULL = none */
  const char *placeholder; /* in the help; NULL for flags */
  const char *help;        /* one line */
};

/* Sets what has a default; other members stay as they are. */
void options_set_defaults(const struct option *table, void *target);
const struct option *options_find(const struct option *table, struct str name);
/* VALUE must live as long as TARGET; a flag's is "yes" or "no". -EINVAL says what it
   should be. */
int option_set(const struct option *option, const char *value, void *target, struct error *err);

/* Takes the option at argv[*INDEX], "--name=value" or "--name value"; *INDEX is then
   its last word. 1 = *RET was set; 0 = the word is no option; -EINVAL. */
int options_take(const struct option *table, int argc, char **argv, int *index, void *target,
                 const struct option **ret, struct error *err);

void option_print(const struct option *option, FILE *out); /* one line of help */
void options_print(const struct option *table, FILE *out);
