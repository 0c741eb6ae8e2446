/* SPDX-License-Identifier: GPL-3.0-or-later */
/* For tests: a fake agent that speaks doc/agent-protocol.md over real HTTP and
   builds nothing; its outputs are made up. */
#pragma once

#include "farm/test_yard.h"

struct test_agent;

struct test_build
{
  int64_t attempt;
  char fence[24];
  int64_t n; /* of the yard's derivation */
};

/* Enrols. */
struct test_agent *test_agent_new(struct yard *yard, const char *name, int jobs);
/* The same agent once more, with a session of its own; perhaps at another server. */
struct test_agent *test_agent_twin(const struct test_agent *agent);
struct test_agent *test_agent_twin_at(const struct test_agent *agent, struct yard *yard);
const char *test_agent_token(const struct test_agent *agent);
/* A bare call of the route; the status. */
int test_agent_enrol(struct yard *yard, const char *join_token, const char *body,
                     json_t **ret_json);
void test_agent_free(struct test_agent *agent); /* hangs up */

/* Dials and waits for the welcome; CLAIMS: running attempts. */
void test_agent_dial(struct test_agent *agent, const struct test_build *claims, size_t count);
void test_agent_hang_up(struct test_agent *agent);
/* Waits until the server has ended the session. */
void test_agent_await_end(struct test_agent *agent);

/* The next message but pings: "build" fills RET; "cancel" its attempt. */
void test_agent_expect(struct test_agent *agent, const char *type, struct test_build *ret);
/* False when none comes within MILLISECONDS. */
bool test_agent_next(struct test_agent *agent, int milliseconds, const char *type,
                     struct test_build *ret);

/* A call; returns the status; *RET_JSON (may be NULL) is the caller's. */
int test_agent_call(struct test_agent *agent, const char *method, const char *path,
                    const char *fence, const char *type, struct str body, json_t **ret_json);

/* The same for a reply of bytes. */
int test_agent_fetch(struct test_agent *agent, const char *path, const char *fence, struct str body,
                     struct buf *ret);

/* POST of an attempt's route. */
int test_agent_post(struct test_agent *agent, const struct test_build *build, const char *what,
                    const char *body, json_t **ret_json);

/* The whole of a success: log, upload, result. Returns the result's status. */
int test_agent_succeed(struct test_agent *agent, const struct test_build *build);
int test_agent_upload(struct test_agent *agent, const struct test_build *build);
/* Only the result. REFERENCE: a basename, or NULL. */
int test_agent_report(struct test_agent *agent, const struct test_build *build,
                      const char *reference, json_t **ret_json);
/* Uploads its output, and the same as BASENAME, and reports both. */
int test_agent_bring(struct test_agent *agent, const struct test_build *build, struct str basename,
                     json_t **ret_json);
int test_agent_fail(struct test_agent *agent, const struct test_build *build, const char *cause);

/* Starts the farm, with one agent ("a") whose session is open. */
struct test_agent *start_with_agent(struct yard *yard, int jobs);

/* A member of JSON, which is taken over: a number, a list's length. */
int64_t number_of(json_t *json, const char *name);
size_t length_of(json_t *json, const char *name);
