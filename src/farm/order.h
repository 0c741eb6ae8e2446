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
  ORDER_LIMITS = 6,   /* what has failed, and stays so, is wished for with larger limits */
  ORDER_RELEASE = 7,  /* an agent's token was revoked: its session ends */
  ORDER_WITHDRAW = 8, /* nobody wants it for itself any more */
};

/* NOTIFY channel of the scheduler. */
#define FARM_CHANNEL "panoply_farm"

/* Limits are seconds; 0 is none, which is larger than any. */
static inline bool
limit_is_larger(int64_t limit, int64_t than)
{
  return than != 0 && (limit == 0 || limit > than);
}

/* Makes the missing builds below a derivation whose own build exists: what it
   needs was offered when it was wished for, and is no more. Inside the caller's
   transaction. */
int wish_below(struct db *db, int64_t derivation_id, struct error *err);
