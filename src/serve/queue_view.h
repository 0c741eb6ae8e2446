/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the page of the queue is given. */
#pragma once

#include "serve/serve_sql.h"
#include "ui/frame.h"
#include "ui/list.h"

/* What agents get next: a part of the queue. */
struct queue_part
{
  struct
  {
    struct queue_next_row *items; /* that wait for no other build */
    size_t count;
  } builds;
  int64_t last;   /* the next part goes on behind this build; 0 = this is the last one */
  int64_t passed; /* builds among them that wait for others */
};

struct queue_view
{
  struct queue_systems_rows systems;
  struct queue_specifications_rows specifications;
  struct queue_oldest_rows oldest; /* for the API */
  struct queue_part part;
  int64_t waiting, running;
  int64_t stuck;            /* of those that wait: nobody works for their system */
  bool is_first;            /* the part is the front */
  const char *front, *next; /* addresses; next "" = there is none */
};
