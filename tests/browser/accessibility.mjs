// SPDX-License-Identifier: GPL-3.0-or-later
// axe-core has nothing against any page: narrow and dark, wide and light; with "all" as second
// argument also narrow and light, wide and dark.

import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { SCHEMES, check, eachPage, look, newContext, run } from "./browser.mjs";
import { pagesFor } from "./pages.mjs";

const EVERY_LOOK = [390, 1280].flatMap((width) => SCHEMES.map((scheme) => ({ width, scheme })));
const OPPOSITES = [{ width: 390, scheme: "dark" }, { width: 1280, scheme: "light" }];
const LOOKS = process.argv[3] === "all" ? EVERY_LOOK : OPPOSITES;
const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

function told(violation) {
  const nodes = violation.nodes.slice(0, 3).map((node) =>
    `    ${node.html.slice(0, 200)}\n      ${node.failureSummary.replaceAll("\n", " ")}`);
  return `${violation.id}: ${violation.help}, ${violation.nodes.length} times\n${nodes.join("\n")}`;
}

async function examine(tab, page, how, looks) {
  await tab.evaluate(axe); // the debugger's: the page's policy does not hear of it
  for (const { width, scheme } of looks) {
    await look(tab, { width, scheme });
    const { violations } = await tab.evaluate(() =>
      window.axe.run(document, { resultTypes: ["violations"] }));
    for (const violation of violations)
      check(false, `${page.name}, ${how}, ${width} px, ${scheme}: ${told(violation)}`);
  }
}

async function examineAll(browser, signedIn, looks) {
  const context = await newContext(browser, { signedIn });
  const how = signedIn ? "signed in" : "visitor";
  await eachPage(context, pagesFor(signedIn), (tab, page) => examine(tab, page, how, looks));
  await context.close();
}

await run(async (browser) => {
  await examineAll(browser, true, LOOKS);
  await examineAll(browser, false, LOOKS.slice(0, 1)); // visitors see less of the same
});
