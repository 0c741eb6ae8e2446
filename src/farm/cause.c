/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "farm/cause.h"

#include <errno.h>

struct cause_policy
{
  const char *name;
  bool propagates;
  bool retried;
  bool reportable;
};

static const struct cause_policy policies[FARM_CAUSE_MAX] = {
  [FARM_CAUSE_NONE] = { "none", false, false, false },
  [FARM_CAUSE_BUILD] = { "build", true, false, true },
  [FARM_CAUSE_TIMEOUT] = { "timeout", false, false, true },
  [FARM_CAUSE_SILENCE] = { "silence", false, false, true },
  [FARM_CAUSE_OUT_OF_MEMORY] = { "out-of-memory", false, true, true },
  [FARM_CAUSE_DISK_FULL] = { "disk-full", false, true, true },
  [FARM_CAUSE_MISSING_INPUT] = { "missing-input", false, true, true },
  [FARM_CAUSE_AGENT_LOST] = { "agent-lost", false, true, false },
  [FARM_CAUSE_CANCELLED] = { "cancelled", false, true, true },
  [FARM_CAUSE_DAEMON] = { "daemon", false, true, true },
  [FARM_CAUSE_HASH_MISMATCH] = { "hash-mismatch", true, false, true },
  [FARM_CAUSE_UPLOAD] = { "upload", false, true, true },
};

static const char *const state_names[FARM_BUILD_STATE_MAX] = {
  [FARM_BUILD_WAITING] = "waiting",
  [FARM_BUILD_RUNNING] = "running",
  [FARM_BUILD_SUCCEEDED] = "succeeded",
  [FARM_BUILD_FAILED] = "failed",
  [FARM_BUILD_DEPENDENCY_FAILED] = "dependency-failed",
  [FARM_BUILD_CANCELLED] = "cancelled",
};

const char *
farm_build_state_name(enum farm_build_state state)
{
  return (unsigned) state < FARM_BUILD_STATE_MAX ? state_names[state] : "unknown";
}

const char *
farm_cause_name(enum farm_cause cause)
{
  return (unsigned) cause < FARM_CAUSE_MAX ? policies[cause].name : "unknown";
}

int
farm_cause_parse(struct str name)
{
  for (int cause = 0; cause < FARM_CAUSE_MAX; cause++)
    if (str_equal(name, str_of(policies[cause].name)))
      return cause;
  return -EINVAL;
}

bool
cause_propagates(enum farm_cause cause)
{
  return policies[cause].propagates;
}

bool
cause_is_retried(enum farm_cause cause)
{
  return policies[cause].retried;
}

bool
cause_is_reportable(enum farm_cause cause)
{
  return policies[cause].reportable;
}
