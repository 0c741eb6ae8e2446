/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Shared by mirror.c (builds) and fleet.c (agents and attempts). */
#pragma once

#include "farm/mirror.h"

struct system *mirror_system(struct mirror *mirror, struct str name);

/* Its row has to be written. */
void node_touch(struct mirror *mirror, struct node *node);

/* The only way into and out of queues: puts a node where its state, its needs
   and its rest say. */
void node_settle(struct mirror *mirror, struct node *node);

/* Its attempt ended: what becomes of the build. AGENT: whose it was; data NULL = there was none. */
void node_succeed(struct mirror *mirror, struct node *node, int64_t attempt_id, struct str agent);
void node_fail(struct mirror *mirror, struct node *node, enum farm_cause cause,
               const struct attempt *attempt, struct str message);
void node_rest(struct mirror *mirror, struct node *node, int64_t pause_ms);

/* Takes the attempt from its agent and its build and frees it; notes its end. */
struct change_end *attempt_end(struct mirror *mirror, struct attempt *attempt,
                               enum farm_cause cause, struct str message);
