/* SPDX-License-Identifier: GPL-3.0-or-later */
/* For unit tests: a mirror without a scheduler around it. */
#pragma once

#include "farm/mirror.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define LINUX "x86_64-linux"
#define ARM "aarch64-linux"
#define SESSION_BASE 1000 /* agent N's first session is number 1000 + N */

struct farmyard
{
  struct mirror *mirror;
  struct changes changes; /* of the last step */
};

/* For cmocka: STATE is a farmyard. */
int set_up(void **state);
int tear_down(void **state);
struct node *add_build(struct farmyard *yard, int64_t id, int32_t priority);
struct node *node_of(struct farmyard *yard, int64_t id);
void need(struct farmyard *yard, int64_t from, int64_t needs);
struct mirror_agent agent_facts(int64_t id, int jobs);
void connect_agent(struct farmyard *yard, int64_t id, int jobs);
struct agent *agent_of(struct farmyard *yard, int64_t id);
/* Gives out work; the changes since the last step are in yard->changes. */
void step(struct farmyard *yard);
/* What the last step wrote of a build, once at most; NULL = nothing. */
const struct change_build *row_of(struct farmyard *yard, int64_t id);
void assert_row(struct farmyard *yard, int64_t id, enum farm_build_state state);
size_t count_events(struct farmyard *yard, enum change_event_kind kind);
void succeed(struct farmyard *yard, int64_t build);
void fails(struct farmyard *yard, int64_t build, enum farm_cause cause);
bool runs(struct farmyard *yard, int64_t build);

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
