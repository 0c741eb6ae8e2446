// SPDX-License-Identifier: GPL-3.0-or-later
// Open pages follow what happens: a new build comes into the list, its log grows line by line,
// its end is shown, and nothing is loaded anew.

import { SECONDS, api, ask, check, farm, newContext, run, same, steering, watch } from "./browser.mjs";

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

// A list is empty, has something, and is empty again.
async function openRunning(context) {
  const tab = await open(context, "/builds?state=running");
  same(await tab.locator("#builds table").count(), 0, "lists of what runs");
  return tab;
}

// Pages that say what was typed wrongly.
async function openWrong(context, id) {
  const { jobs } = await api(`/builds/${id}`);
  const tabs = [];
  for (const path of [`/evaluations/${jobs[0].evaluation}?against=99999`, `/builds/${id}/log?line=odd`]) {
    const tab = await context.newPage();
    same((await tab.goto(path)).status(), 400, path);
    tabs.push(tab);
  }
  return tabs;
}

async function followElsewhere(context, running, id) {
  const [evaluation, log] = await openWrong(context, id);
  await running.locator(`#builds a[href="/builds/${id}"]`).waitFor();
  await running.locator("#builds .empty").waitFor({ timeout: 60 * SECONDS });
  await evaluation.locator("#list tr", { has: evaluation.locator(`a[href="/builds/${id}"]`) })
    .locator("[data-state=succeeded]").first().waitFor();
  await log.locator("#head [data-state=succeeded]").waitFor();
}

// The lines of a log's own page, and its phases as far as they can be the same.
function readLog() {
  const all = (selector) => [...document.querySelectorAll(selector)];
  return {
    lines: all(".folds pre > span").map((line) => line.outerHTML),
    phases: all(".folds details").map((phase) =>
      [phase.querySelector("summary .state").title, /^\s*(\S+)/.exec(phase.querySelector("summary").textContent)[1],
        phase.querySelectorAll("pre > span").length].join(" ")),
  };
}

// What came line by line looks as what the server shows of a log that has ended.
async function checkLogPage(tab, path) {
  await tab.locator("#head [data-state=succeeded]").waitFor();
  await tab.getByText("plain").last().waitFor();
  const live = await tab.evaluate(readLog);
  await tab.goto(`${path}?from=1&unfold=yes`);
  const shown = await tab.evaluate(readLog);
  check(shown.lines.length > 100, `only ${shown.lines.length} lines`);
  shown.lines.forEach((line, at) => same(live.lines[at], line, `line ${at + 1} as it came`));
  same(live.phases.join(), shown.phases.join(), "phases");
  same(shown.phases.length, 2, "number of phases");
  await tab.goto(`${path}?from=1`);
  same(await tab.locator(".folds details[open]").count(), 0, "phases that succeeded and are open");
  const line = tab.locator("#L5");
  check(!await line.isVisible(), "a line of a fold is visible");
  await tab.goto(`${path}?from=1#L5`);
  await line.waitFor();
  await tab.goto(`${path}?line=5#L5`);
  await line.waitFor();
}

await run(async (browser) => {
  const context = await newContext(browser);
  const list = await open(context, "/builds");
  const other = await newContext(browser); // six connections are all that one has
  const running = await openRunning(other);
  const id = await ask("start_ticking");
  const tab = await open(context, `/builds/${id}`);
  const log = await open(context, `/builds/${id}/log`);
  await Promise.all([followBuild(tab, list, id), followElsewhere(other, running, id)]);
  for (const it of [tab, list, log, running]) await checkSame(it);
  await checkLogPage(log, `/builds/${id}/log`);
  for (const it of [tab, list, log, running]) it.removeAllListeners();
  await context.close();
  await other.close();
});
