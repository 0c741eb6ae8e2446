// SPDX-License-Identifier: GPL-3.0-or-later
// Open pages follow what happens: a new build comes into the list, its log grows line by line,
// its end is shown, and nothing is loaded anew.

import { SECONDS, ask, check, farm, newContext, run, same, steering, watch } from "./browser.mjs";

const LINES = 10; // that must come while the page is open, at least
const LIMIT_MS = 250; // from the builder to the page, in the middle of all lines

// Notes, in window.ticks, when each line "tick N at SECONDS MICROSECONDS" came into the page.
function noteTicks() {
  const started = Date.now();
  const seen = new Set();
  window.ticks = [];
  const note = () => {
    const now = Date.now();
    for (const [, number, seconds, microseconds] of document.querySelector("main").textContent.matchAll(
      /tick (\d+) at (\d+) (\d+)\n/g)) {
      if (seen.has(number)) continue;
      seen.add(number);
      const written = seconds * 1000 + microseconds / 1000;
      if (written > started) window.ticks.push(Math.round(now - written));
    }
  };
  note();
  new MutationObserver(note).observe(document.querySelector("main"),
    { childList: true, subtree: true, characterData: true });
}

async function open(context, path) {
  const tab = await context.newPage();
  watch(tab, path);
  await tab.goto(path);
  await tab.evaluate(() => (window.isSame = true));
  return tab;
}

async function checkSame(tab) {
  check(await tab.evaluate(() => window.isSame === true), `${tab.url()} was loaded anew`);
}

function median(numbers) {
  return [...numbers].sort((a, b) => a - b)[Math.floor(numbers.length / 2)];
}

async function followBuild(tab, list, id) {
  await tab.evaluate(noteTicks);
  await tab.locator("main [data-state=running]").first().waitFor();
  await list.locator(`a[href="/builds/${id}"]`).first().waitFor();
  await tab.locator("main [data-state=succeeded]").first().waitFor({ timeout: 40 * SECONDS });
  const ticks = await tab.evaluate(() => window.ticks);
  const text = await tab.locator("main").textContent();
  check(text.includes("<b>\ufffddrawkcab"), "the page does not show what means harm");
  same(steering(text).length, 0, "characters that steer");
  console.log(`lines took ${ticks.join(" ")} ms`);
  check(ticks.length >= LINES, `only ${ticks.length} lines came while the page was open`);
  const limit = LIMIT_MS * farm.time_factor;
  check(median(ticks) < limit, `half of the lines take ${median(ticks)} ms and more, not ${limit}: ${ticks.join(" ")}`);
  await list.locator("tr, li", { has: list.locator(`a[href="/builds/${id}"]`) })
    .locator("[data-state=succeeded]").first().waitFor();
}

await run(async (browser) => {
  const context = await newContext(browser);
  const list = await open(context, "/builds");
  const id = await ask("start_ticking");
  const tab = await open(context, `/builds/${id}`);
  await followBuild(tab, list, id);
  await checkSame(tab);
  await checkSame(list);
  for (const it of [tab, list]) it.removeAllListeners();
  await context.close();
});
