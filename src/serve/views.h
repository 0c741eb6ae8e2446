/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the templates of this room are given. */
#pragma once

#include "evaluation/evaluation_sql.h"
#include "serve/serve_sql.h"
#include "ui/frame.h"

struct overview_view
{
  struct serve_counts_row counts;
  struct overview_troubles_rows troubles;
  struct overview_away_rows away;
  struct overview_broken_rows broken;
  struct page_specifications_rows specifications;
  struct page_strips_rows strips; /* of all of them */
  struct overview_running_rows running;
  struct overview_failed_rows failed;
};

struct builds_view
{
  struct serve_builds_rows builds;
  const char *state; /* the filter; "" = all */
  struct str name;   /* likewise */
  int64_t next;      /* id from which older ones go on; 0 = none */
};

struct build_view
{
  struct serve_builds_row build;
  struct serve_build_outputs_rows outputs;
  struct serve_build_attempts_rows attempts;
  struct serve_build_dependencies_rows dependencies;
  struct serve_build_dependents_rows dependents;
  struct serve_build_jobs_rows jobs;
  const char *cause;  /* of the newest attempt; "" = none */
  int64_t attempt_id; /* whose log is shown; 0 = none */
  struct str log;     /* the end of its log */
  int64_t log_from;   /* byte from which a follower goes on */
  bool log_is_live;
  bool log_is_cut; /* it has more before what is shown */
};

struct agents_view
{
  struct serve_agents_rows agents;
  struct serve_running_rows running;
};

struct agent_view
{
  struct serve_agents_row agent;
  struct serve_running_rows running;
};

struct search_view
{
  struct str asked; /* size 0 = nothing yet */
  bool is_empty;    /* nothing was found */
  struct search_jobs_rows jobs;
  struct search_store_items_rows items;
  struct search_commits_rows commits;
  struct search_number_rows numbers;
  struct search_names_rows names;
};

struct substitutes_view
{
  struct str key;
  int64_t nars;
  struct str url; /* of this server, as the visitor knows it */
};
