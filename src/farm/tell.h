/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the world is told: events, and messages to agents. */
#pragma once

#include "farm/batch.h"

/* Appends the batch's events, inside its transaction. */
int tell_events(const struct batch *batch, struct db *db, struct error *err);

/* Messages of a session, each one line with its LF, appended to OUT. */
void tell_welcome(struct buf *out, struct str agent, struct str key, int64_t grace_s);
void tell_build(struct buf *out, const struct change_start *start, const struct batch_facts *facts,
                const struct batch_outputs *outputs);
void tell_cancel(struct buf *out, int64_t attempt_id);
void tell_ping(struct buf *out);
