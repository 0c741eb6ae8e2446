/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The simple form of a specification and the definition that it stands for. */
#pragma once

#include "evaluation/pages.h"

/* Fills the fields of FORM from a definition that specification_parse takes, into ARENA. False,
   and FORM is as before, when the form could not show all that they are about: several channels,
   custom modules, names with blanks. */
bool specification_fields_read(struct str definition, struct arena *arena,
                               struct specification_form *form);

/* Appends BASE (a definition, or "" for a new one) with the fields of FORM in it; what they are
   not about stays. Checks nothing: the result is for specification_parse. */
int specification_fields_write(const struct specification_form *form, struct str base,
                               struct buf *out, struct error *err);
