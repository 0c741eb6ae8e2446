/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What this room's own pages show. */
#pragma once

#include "ui/frame.h"

struct ui_error_view
{
  int status;
  const char *title;
  const char *message;
  const char *advice;
};
