/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the page of the queue is given. */
#pragma once

#include "serve/serve_sql.h"
#include "ui/frame.h"

struct queue_view
{
  struct queue_systems_rows systems;
  struct queue_specifications_rows specifications;
  struct queue_oldest_rows oldest;
};
