/* SPDX-License-Identifier: GPL-3.0-or-later */
/* How answers are shown to people: lists as tables, one thing in words and facts. */
#pragma once

#include "cli/cli.h"
#include "cli/table.h"

/* ---- values and lists (output.c) ---- */

/* The text of a value for people: one line, harmless; in the arena. "-" for NULL. */
const char *cli_text(struct cli *cli, const json_t *value);
/* Whether standard output is a terminal. */
bool cli_is_for_people(void);
/* The text of a value as KIND has it for people. */
const char *cli_value(struct cli *cli, const json_t *value, enum column_kind kind);
/* Follows "build.state" into nested objects; NULL where something is missing. */
const json_t *cli_member(const json_t *item, const char *path);
/* PATH with another parameter of its query; the same when VALUE is NULL. */
const char *cli_with_parameter(struct cli *cli, const char *path, const char *name,
                               const char *value);
/* PATH with --before and --limit; with all filters that were given too. */
const char *cli_with_page(struct cli *cli, const char *path);
const char *cli_with_filters(struct cli *cli, const char *path);
struct table cli_make_table(struct cli *cli, const struct column *columns, const json_t *items);
void cli_print_table(struct cli *cli, const struct column *columns, const json_t *items);
/* The items of ANSWER, and how to go on. EMPTY: said when there is none; NULL: it
   was said above. */
void cli_print_list(struct cli *cli, const json_t *answer, const struct column *columns,
                    const char *empty);
void cli_print_json(struct cli *cli, const json_t *value);
void cli_print_json_line(struct cli *cli, const json_t *value); /* in one line */

/* ---- one thing (show.c) ---- */

/* A line of key and value. */
struct fact
{
  const char *label;
  const char *path;
  enum column_kind kind;
};

/* "Build 88 sextant-1.0: failed", the state in its colour. */
void cli_print_headline(struct cli *cli, const char *name, const char *state);
/* A paragraph, broken into lines that fit. */
void cli_print_text(struct cli *cli, const char *text);
/* FACTS, ended by a NULL label, of OBJECT; those that are missing or empty are left out. */
void cli_print_facts(struct cli *cli, const struct fact *facts, const json_t *object);
/* One that is no member as it stands. */
void cli_print_fact(struct cli *cli, const char *label, const char *value);
/* A titled table; nothing when there is nothing. Returns how many rows. */
size_t cli_print_section(struct cli *cli, const char *title, const struct column *columns,
                         const json_t *items);
/* "3 min ago, 2026-11-23 08:04 UTC" on a terminal. */
const char *cli_moment(struct cli *cli, const json_t *value);
/* Seconds from one time to another, or until now (END null), but that on a terminal only: what
   changes by itself is of no use elsewhere. -1 = none. */
int64_t cli_span(const json_t *begin, const json_t *end);
/* "5 min 12 s" on a terminal, elsewhere "312 s". */
const char *cli_duration(struct cli *cli, int64_t seconds);
/* Whether what is shown is compared with what was: it then tells nothing that time alone
   changes. */
bool cli_tells_news(const struct cli *cli);
/* "9 succeeded, 1 failed" of an object of numbers; "" when all are 0. */
const char *cli_counts(struct cli *cli, const json_t *counts);

/* One build, at the PATH of it, and why it is as it is (build_show.c). */
int cli_show_build(struct cli *cli, const char *path);
int cli_explain_build(struct cli *cli, const char *path);

/* ---- asking and showing (view.c) ---- */

/* What a verb shows, of which answer; with --follow again whenever something happens. */
struct cli_view
{
  const char *path;
  const char *members; /* that the answer must have */
  /* Prints one thing, or what stands above a list; returns the exit status. NULL = nothing */
  int (*print)(struct cli *cli, const json_t *answer);
  const struct column *columns;          /* of a list's items; NULL = it is none */
  const char *empty;                     /* said when there is no item; NULL: by PRINT */
  const char *kinds;                     /* beginnings of the kinds of events that may change it */
  bool (*is_over)(const json_t *answer); /* nothing will change any more; NULL = never */
};

int cli_show(struct cli *cli, const struct cli_view *view);
