/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the templates of this room are given. */
#pragma once

#include "channels/channels.h"
#include "evaluation/evaluation_sql.h"
#include "ui/frame.h"
#include "ui/list.h"

struct specifications_view
{
  struct page_specifications_rows specifications;
  struct page_strips_rows strips; /* of all of them */
};

struct specification_view
{
  struct page_specification_row specification;
  struct page_channels_rows channels;
  struct page_strips_rows strip;
  struct page_evaluations_rows evaluations;
  int64_t next; /* id from which older ones go on; 0 = none */
};

/* The form for a specification: simple, for one channel, or its whole definition. */
struct specification_form
{
  bool is_new;
  const char *address; /* where it is, and is sent to */
  bool has_fields;     /* it can be said by the fields: there are two forms to choose from */
  bool as_json;        /* shows the definition alone */
  struct str definition;
  struct str name; /* the rest as typed */
  struct str channel;
  struct str url;
  struct str branch;
  struct str build; /* "channels", "all", "packages", "manifests" */
  struct str names; /* of packages or manifests */
  struct str systems;
  struct str period;
  int64_t changed_at; /* of the one that is edited: microseconds, as it was seen */
  struct str other;   /* what somebody else made of it in the meantime; size 0 = nothing */
  struct str problem; /* size 0 = none */
  struct str wrong;   /* name of the field that PROBLEM is about; "" = of none alone */
};

/* ---- one evaluation ---- */

/* A count that narrows the list of jobs to what was counted. */
struct job_chip
{
  const char *label, *address;
  const char *mark; /* of marks.svg */
  int64_t count;
  bool is_current;
};

struct job_chips
{
  struct job_chip items[12];
  size_t count;
};

struct job_line
{
  struct str name;
  int64_t build_id; /* 0 = removed */
  const char *state;
  int64_t before_id; /* in the other evaluation; 0 = added */
  const char *before;
  const char *change, *change_word; /* "" = none */
};

struct revision_line
{
  struct page_revisions_row row;
  struct str commit_url, compare_url; /* "" = none */
  bool is_known;                      /* whether the clone could tell what came between */
  int64_t total;                      /* commits since the other evaluation */
  struct commit_lines
  {
    struct commit_line
    {
      struct channels_commit row;
      struct str url;
    } * items;
    size_t count;
  } commits;
};

struct error_line
{
  struct page_errors_row row;
  struct str url;     /* of its place at the forge; "" = none */
  struct str message; /* not more than is shown */
  bool is_long, is_cut;
};

struct evaluation_view
{
  struct changes_head_row evaluation;
  int64_t against;                         /* 0 = there is nothing to hold it against */
  struct str asked_against;                /* as it stands in the query; "" = not at all */
  struct str against_typed;                /* what its field says */
  struct str problem;                      /* with `against`; "" = none */
  int64_t superseded_by;                   /* it was not begun, for a newer one came; 0 = not so */
  bool is_compared;                        /* its jobs and errors are; else only its commits */
  bool is_open;                            /* waits or runs */
  bool has_failed;                         /* there is something to restart */
  bool is_filtered;                        /* the list is narrowed by `show` or a name */
  const char *restart_all, *restart_these; /* addresses; "" = nothing to restart */
  int64_t failed_these;                    /* builds of the list that restart_these means */

  struct job_chips changes, states;
  const char *show;       /* "" = all */
  const char *show_label; /* of `show` */
  struct str name;        /* filter */
  int64_t jobs_present, errors_added, errors_gone;

  struct job_lines
  {
    struct job_line *items;
    size_t count;
  } jobs, broken;         /* broken: the first of them, whatever the list shows */
  int64_t broken_count;   /* of all */
  bool has_more_broken;   /* than these */
  const char *all_broken; /* address of the whole list */
  struct ui_heads heads;
  struct str sort;         /* as it stands in the query */
  const char *all_address; /* of the list with all states */
  const char *next_jobs;   /* address of the next page of jobs; "" = none */

  struct revision_lines
  {
    struct revision_line *items;
    size_t count;
  } revisions;

  struct error_lines
  {
    struct error_line *items;
    size_t count;
  } errors;
  const char *errors_shown; /* "all", "new", "gone" */
  int64_t errors_next;      /* id behind which they go on; 0 = none */

  /* While it runs; 0 = not known. */
  int64_t elapsed, usually_took, ends_at, jobs_expected;

  struct str log;
  int64_t log_from; /* byte from which a follower goes on */
  bool log_is_cut;
};
