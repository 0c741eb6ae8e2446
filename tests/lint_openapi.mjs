// SPDX-License-Identifier: GPL-3.0-or-later
// Reads an OpenAPI document from standard input, and prints what Redocly's strictest set of rules
// finds wrong with it, a line each.
import { readFileSync } from "node:fs";
import core from "@redocly/openapi-core";

const config = await core.createConfig({ extends: ["recommended-strict"], telemetry: "off" });
const problems = await core.lintFromString(
  { source: readFileSync(0, "utf8"), absoluteRef: "openapi.json", config });
for (const problem of problems)
  console.log(`${problem.ruleId}: ${problem.message} (${problem.location[0]?.pointer})`);
