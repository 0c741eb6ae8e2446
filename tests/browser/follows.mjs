// SPDX-License-Identifier: GPL-3.0-or-later
// The pages of a build that waits, begins, loses its agent, is begun again and fails: its log comes
// to open pages by itself, is that of the new attempt then, and whole at the end. And what a reader
// does meanwhile is left alone: scrolling, selecting; a thing that is deleted is told.

import { SECONDS, ask, check, farm, newContext, run, same, watch } from "./browser.mjs";

const LINES = 60; // as in browser_test.py
const HALF = 30; // of them come by themselves

async function open(context, path) {
  const tab = await context.newPage();
  watch(tab, path);
  await tab.goto(path);
  await tab.evaluate(() => (window.isSame = true));
  return tab;
}

// The ticks that stand there, and numbers of lines.
const ticks = (tab, place) => tab.locator(`${place} pre.lines > span`).evaluateAll((lines) =>
  lines.map((line) => line.textContent.trim()));

async function untilTick(tab, place, number) {
  await tab.locator(`${place} pre.lines > span`, { hasText: new RegExp(`tick ${number}$`, "m") })
    .waitFor({ timeout: 60 * SECONDS, state: "attached" })
    .catch(async (error) => {
      throw new Error(`no tick ${number}: ${(await tab.locator(place).innerHTML()).slice(0, 3000)}`, { cause: error });
    });
}

async function checkWaits(log, build) {
  for (const tab of [log, build])
    check((await tab.locator("main").innerText()).includes("to be resumed: builder-1 (paused)"),
      `${tab.url()} does not say why it waits: ${await tab.locator("main").innerText()}`);
  same(await build.locator("#log pre").count(), 0, "logs of what has not begun");
}

// The text that somebody reads stays where it is when the log comes above it.
async function checkScroll(build, action) {
  await build.setViewportSize({ width: 1280, height: 300 });
  const place = build.locator("#again-title");
  await place.evaluate((element) => element.scrollIntoView({ block: "start" }));
  const before = (await place.boundingBox()).y;
  await action();
  const after = (await place.boundingBox()).y;
  await build.setViewportSize({ width: 1280, height: 900 });
  check(Math.abs(after - before) < 3, `what is read has moved from ${before} to ${after}`);
  const log = build.locator("#log pre");
  await log.evaluate((element) => element.scrollTo(0, 0));
  await untilTick(build, "#log", 25);
  same(await log.evaluate((element) => element.scrollTop), 0, "the log was read at its beginning and is now at");
}

async function checkSizes(log) {
  const [told, range, count] = await log.evaluate(() => [
    document.querySelector("[data-tells=size]").textContent,
    document.querySelector("[data-tells=range]").textContent,
    document.querySelectorAll(".folds pre > span").length,
  ]);
  check(told.startsWith(`${count} lines, `), `${count} lines stand there, and it says ${told}`);
  same(range, `1 to ${count}`, "the pager");
}

async function checkWhole(tab, place) {
  await untilTick(tab, place, LINES - 1);
  const shown = await ticks(tab, place);
  const expected = Array.from({ length: LINES }, (_, at) => `tick ${at}`);
  const found = shown.filter((line) => /tick \d/.test(line)).map((line) => line.replace(/^\d+ /, ""));
  same(found.join(), expected.join(), `the whole log at ${tab.url()}`);
  await tab.locator("main [data-state=failed]").first().waitFor();
  check(await tab.evaluate(() => window.isSame === true), `${tab.url()} was loaded anew`);
}

// Opens a page whose log's stream is ANSWERed by us, one of which the clock can be turned on.
async function openAnswered(context, path, answer) {
  const tab = await context.newPage();
  await tab.clock.install();
  await tab.route(/follow=yes/, answer);
  const asked = tab.waitForRequest(/follow=yes/);
  await tab.goto(path);
  await asked;
  return tab;
}

// A connection on which nothing comes is given up for another one.
async function checkSilence(context, path) {
  let asked = 0;
  const tab = await openAnswered(context, path, (route) => asked++ === 0 || route.fulfill({ body: "went on\n" }));
  await tab.clock.fastForward(61_000);
  await tab.locator(".folds").getByText("went on").waitFor();
  await tab.close();
}

// What the server will not send is asked for once, and this told.
async function checkRefusal(context, path) {
  let asked = 0;
  const tab = await openAnswered(context, path, (route) => {
    asked++;
    return route.fulfill({ status: 410 });
  });
  await tab.getByText("no more of this log (status 410)").waitFor();
  for (let times = 0; times < 4; times++) await tab.clock.fastForward(20_000);
  same(asked, 1, "requests for a log that is refused");
  await tab.close();
}

// A line that never ends costs no more than it shows.
async function checkEndlessLine(context, path) {
  const body = `${"bar\r".repeat(1000)}${"x".repeat(300_000)}`;
  const tab = await openAnswered(context, path, (route) => route.fulfill({ body }));
  const line = tab.locator(".folds pre > span", { hasText: "xxx" });
  await line.getByText("…").waitFor();
  const text = await line.innerText();
  check(text.length < 100_000 && !text.includes("bar"), `an endless line has ${text.length} characters`);
  await tab.close();
}

async function followBuild(context) {
  const id = await ask("prepare");
  const build = await open(context, `/builds/${id}`);
  const log = await open(context, `/builds/${id}/log`);
  await checkWaits(log, build);
  await checkScroll(build, async () => {
    await ask("resume");
    await untilTick(build, "#log", 3);
  });
  await untilTick(log, ".folds", 5);
  await checkSizes(log);
  const first = await build.locator("#log [data-keep]").getAttribute("data-keep");
  const lost = await ask("kill");
  await build.locator("#now", { hasText: "this agent is away" }).waitFor({ timeout: 30 * SECONDS });
  await build.locator(`#log [data-keep]:not([data-keep="${first}"])`).waitFor({ timeout: 90 * SECONDS });
  await log.locator(`.folds:not([data-keep="${first}"])`).waitFor({ timeout: 30 * SECONDS });
  check(!(await build.locator("#now").innerText()).includes(lost), `the page still tells of ${lost}`);
  await untilTick(build, "#log", HALF - 1);
  await checkSilence(context, `/builds/${id}/log`);
  await checkRefusal(context, `/builds/${id}/log`);
  await checkEndlessLine(context, `/builds/${id}/log`);
  await ask("go_on");
  same(await log.locator(".tabs a").count(), 2, "attempts on the log's page");
  await checkWhole(build, "#log");
  await checkWhole(log, ".folds");
  await checkSizes(log);
  await ask("start");
  for (const tab of [build, log]) await tab.close();
  return id;
}

const select = (tab, selector) => tab.evaluate((wanted) =>
  getSelection().selectAllChildren(document.querySelector(wanted)), selector);
const selected = (tab) => tab.evaluate(() => getSelection().toString());

async function checkSelection(context) {
  const tab = await open(context, "/agents");
  const row = (name) => tab.locator("tbody tr", { has: tab.locator(`a[href="/agents/${name}"]`) });
  await row("builder-1").locator("[data-state=connected]").waitFor();
  await row("builder-2").locator("[data-state=connected]").waitFor();
  await select(tab, 'a[href="/agents/builder-1"]');
  await ask("pause_second");
  await row("builder-2").locator("[data-state=paused]").waitFor();
  same(await selected(tab), "builder-1", "selected while another row changes");
  await select(tab, 'a[href="/agents/builder-2"]');
  const shown = tab.waitForResponse((reply) => reply.url().endsWith("/agents"));
  await ask("resume_second");
  await shown;
  await tab.waitForTimeout(500);
  same(await selected(tab), "builder-2", "selected while the row changes");
  check(await row("builder-2").locator("[data-state=paused]").isVisible(), "the row changed under the selection");
  await tab.evaluate(() => getSelection().removeAllRanges());
  await row("builder-2").locator("[data-state=paused]").waitFor({ state: "detached" });
  await tab.close();
}

// An evaluation that waits has no log; it comes when it begins, and stays when it ends.
async function checkEvaluation(context) {
  const [, waiting] = await ask("evaluate_slowly");
  const tab = await open(context, `/evaluations/${waiting}`);
  await tab.locator("#log", { hasText: "It comes when the evaluation begins" }).waitFor();
  await ask("cancel_first");
  const log = tab.locator("#log pre");
  await log.waitFor({ timeout: 60 * SECONDS });
  same(await log.getAttribute("data-taken"), "yes", "the log of what begins is followed");
  await ask("cancel_second");
  await tab.locator("#summary [data-state=cancelled]").waitFor({ timeout: 30 * SECONDS });
  await tab.locator("#log [data-keep]").waitFor();
  same(await log.count(), 1, "logs of what has ended");
  check(await tab.evaluate(() => window.isSame === true), `${tab.url()} was loaded anew`);
  await tab.close();
}

// What an action has said goes when it is no longer so.
async function checkSaid(browser, id) {
  const context = await newContext(browser, { signedIn: true });
  const tab = await open(context, `/builds/${id}`);
  await tab.getByRole("button", { name: "Restart", exact: true }).click();
  await tab.locator(".said").waitFor();
  await ask("go_on");
  await tab.locator("#head [data-state=failed]").waitFor({ timeout: 60 * SECONDS });
  await tab.locator(".said").waitFor({ state: "detached" });
  tab.removeAllListeners();
  await context.close();
}

async function checkDeleted(context) {
  const tab = await open(context, "/specifications/example");
  tab.removeAllListeners(); // a page that is gone is a 404
  same(await tab.locator("#gone").count(), 0, "pages that are gone too early");
  await ask("delete");
  await tab.locator("#gone").waitFor();
  check((await tab.locator("#gone").innerText()).includes("deleted"), "nobody says that it was deleted");
  await tab.close();
}

await run(async (browser) => {
  const context = await newContext(browser);
  const id = await followBuild(context);
  await checkSelection(context);
  await checkSaid(browser, id);
  await checkEvaluation(context);
  await checkDeleted(context);
  await context.close();
});
