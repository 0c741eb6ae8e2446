/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What this room's own pages show. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "ui/frame.h"

struct ui_error_view
{
  int status;
  const char *title;
  const char *message;
  const char *advice;
};

struct ui_role
{
  const char *name;
  const char *use;
};

struct ui_state
{
  const char *name;
};

struct ui_style_view
{
  struct
  {
    const struct ui_role *items;
    size_t count;
  } roles;
  struct
  {
    const struct ui_state *items;
    size_t count;
  } states;
  const char *path;
  const char *commit;
  int64_t size;
  int64_t time;
};
