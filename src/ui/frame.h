/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the frame of every page shows besides the page itself. A page declares it as its
   second parameter, named `frame`. */
#pragma once

#include <stdbool.h>

#include "base/str.h"

struct ui_frame
{
  struct str account; /* who is signed in; size 0 = nobody */
  struct str csrf;    /* goes into every form of who is signed in; size 0 = nobody is */
  struct str said;    /* what came of the form that led here; size 0 = nothing */
  struct str here;    /* this page's path and query: where to return after signing in */
  struct str search;  /* what is searched for; size 0 = nothing */
  bool has_secret;    /* the page shows one: nothing on the way or behind may keep it */
};
