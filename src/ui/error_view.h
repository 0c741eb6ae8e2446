/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

struct error_view
{
  int status;
  const char *title;   /* of the status: "Not found" */
  const char *message; /* "" = none */
  const char *hint;    /* "" = none */
};
