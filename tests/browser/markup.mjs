// SPDX-License-Identifier: GPL-3.0-or-later
// html-validate has nothing against the HTML of any page.

import { readFileSync } from "node:fs";
import { HtmlValidate } from "html-validate";
import { check, run, source } from "./browser.mjs";
import { pagesFor } from "./pages.mjs";

const rules = readFileSync(new URL("htmlvalidate.json", import.meta.url), "utf8");
const validator = new HtmlValidate(JSON.parse(rules));

async function validate(page, signedIn) {
  const { status, text } = await source(page, signedIn);
  const who = signedIn ? "signed in" : "visitor";
  check(status === (page.status ?? 200), `${page.name}, ${who}: status ${status}`);
  const report = await validator.validateString(text, page.path);
  const lines = text.split("\n");
  for (const message of report.results.flatMap((result) => result.messages))
    check(false, `${page.name}, ${who}: line ${message.line}: ${message.message} (${message.ruleId})\n` +
      `    ${lines[message.line - 1].slice(0, 200)}`);
}

await run(async () => {
  for (const signedIn of [false, true])
    for (const page of pagesFor(signedIn)) await validate(page, signedIn);
});
