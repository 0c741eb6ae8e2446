/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The static files of the pages, put into the program by tools/embed.py. */
#pragma once

#include <stddef.h>

#include "base/str.h"

struct ui_asset
{
  const char *path; /* the file's name: "panoply.css" */
  const char *type; /* media type */
  const char *etag; /* quoted, of the contents (SHA-256) */
  struct str bytes;
};

/* In ascending order of path. */
extern const struct ui_asset ui_assets[];
extern const size_t ui_assets_count;
