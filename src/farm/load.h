/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Filling the mirror from the database: everything at the start, afterwards
   what is new. Only when all that the mirror changed is committed. */
#pragma once

#include "farm/mirror.h"
#include "farm/order.h"

struct load
{
  int64_t horizon;      /* of the next reading; 0 = from the beginning */
  struct db_i64s again; /* builds whose needs are to be looked at anew */

  /* Out: orders that were carried out and are to be deleted. */
  struct db_i64s orders;
};

/* Reads in one snapshot and then changes the mirror, or fails without having
   changed anything. The first time agents and running attempts come too.
   LOAD->orders lie in ARENA. */
int load_news(struct db *db, struct mirror *mirror, struct load *load, struct arena *arena,
              struct error *err);
