/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the templates of this room are given. */
#pragma once

#include "evaluation/evaluation_sql.h"
#include "ui/frame.h"

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
  bool as_json; /* shows the definition alone */
  struct str definition;
  struct str name; /* the rest as typed */
  struct str channel;
  struct str url;
  struct str branch;
  struct str build; /* "channels", "all", "packages", "manifests" */
  struct str names; /* of packages or manifests */
  struct str systems;
  struct str period;
  struct str problem; /* size 0 = none */
  struct str wrong;   /* name of the field that PROBLEM is about; "" = of none alone */
};

struct evaluation_view
{
  struct page_evaluations_row evaluation;
  struct page_evaluation_revisions_rows revisions;
  struct page_evaluation_builds_rows builds;
  struct page_evaluation_jobs_rows jobs;
  struct page_evaluation_errors_rows errors;
  const char *state; /* the filter on jobs; "" = all */
  struct str cursor; /* of the next page of jobs; "" = none */
};
