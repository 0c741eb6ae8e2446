/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The documents of doc/ that the server shows (tools/help_pages.py makes the table). */
#pragma once

#include <stddef.h>

#include "ui/html.h"

struct help_page
{
  struct str name; /* its address is /help/NAME */
  struct str title;
  struct ui_html text; /* what comes below the title */
};

extern const struct help_page help_pages[]; /* the first is the one to begin with */
extern const size_t help_pages_count;

struct help_view
{
  struct
  {
    const struct help_page *items;
    size_t count;
  } all;
  const struct help_page *shown; /* one of these */
};
