/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What follows from a cause of failure. */
#pragma once

#include "farm/farm.h"

/* The fault is the derivation's own: what needs the build fails with it. */
bool cause_propagates(enum farm_cause cause);

/* Another try may help (another agent, another moment). Time-outs and silence
   are not tried again: a second try would cost as many hours. */
bool cause_is_retried(enum farm_cause cause);

/* An agent may report it. */
bool cause_is_reportable(enum farm_cause cause);
