/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the templates of this room are given. */
#pragma once

#include "evaluation/evaluation_sql.h"
#include "ui/frame.h"

struct specifications_view
{
  struct page_specifications_rows specifications;
};

struct specification_view
{
  struct page_specification_row specification;
  struct page_evaluations_rows evaluations;
  int64_t next; /* id from which older ones go on; 0 = none */
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
