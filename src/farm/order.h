/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Orders: rows that any process adds and the active scheduler carries out. */
#pragma once

#include "farm/farm.h"

/* Numbers stand in the database: never change them. */
enum farm_order_kind
{
  ORDER_WISH = 0,              /* wanted, at least at that priority */
  ORDER_RESTART = 1,           /* again, and with it whatever failed below it */
  ORDER_RESTART_DEPENDENT = 2, /* again, as what it needs is restarted */
  ORDER_CANCEL = 3,
  ORDER_PAUSE = 4, /* these two of an agent */
  ORDER_RESUME = 5,
};

/* NOTIFY channel of the scheduler. */
#define FARM_CHANNEL "panoply_farm"

/* Makes the missing builds below a derivation whose own build exists: what it
   needs was offered when it was wished for, and is no more. Inside the caller's
   transaction. */
int wish_below(struct db *db, int64_t derivation_id, struct error *err);
