// SPDX-License-Identifier: GPL-3.0-or-later
// Everything can be reached and done with the keyboard alone.

import { check, eachPage, farm, newContext, run, same, watch } from "./browser.mjs";
import { pagesFor } from "./pages.mjs";

const STOPS = 60; // of the Tab key, at most, until something must have been reached
const STOPS_LOOKED_AT = 25; // of each page

// Where the keyboard is, and whether one sees that.
function focused() {
  const element = document.activeElement;
  const style = getComputedStyle(element);
  const box = element.getBoundingClientRect();
  return {
    text: (element.innerText || element.id || element.name || "").trim(),
    isBody: element === document.body,
    isOutlined: style.outlineStyle !== "none" && parseFloat(style.outlineWidth) > 0,
    isInView: box.width > 0 && box.right > 0 && box.left < innerWidth && box.bottom > 0 && box.top < innerHeight,
  };
}

// Tabs on until the keyboard is on what is called TEXT.
async function tabTo(tab, text) {
  for (let i = 0; i < STOPS; i++) {
    await tab.keyboard.press("Tab");
    if ((await tab.evaluate(focused)).text === text) return;
  }
  throw new Error(`${tab.url()}: ${STOPS} times Tab do not reach "${text}"`);
}

async function enter(tab) {
  await Promise.all([tab.waitForEvent("domcontentloaded"), tab.keyboard.press("Enter")]);
}

async function checkSkipLink(tab) {
  await tab.goto("/");
  await tab.keyboard.press("Tab");
  const first = await tab.evaluate(focused);
  same(first.text, "Skip to the content", "the first stop");
  check(first.isInView, "the skip link does not show itself");
  await tab.keyboard.press("Enter");
  same(await tab.evaluate(() => document.activeElement.id), "main", "the skip link leads to");
}

async function checkNavigation(tab) {
  await tab.goto("/");
  for (const name of ["Specifications", "Builds", "Agents", "Overview"]) {
    await tabTo(tab, name);
    await enter(tab);
    same(await tab.locator("nav [aria-current=page]").innerText(), name, "the nav says that we are in");
  }
}

// Each stop of the page shows where the keyboard is.
async function checkStops(tab, page) {
  for (let i = 0; i < STOPS_LOOKED_AT; i++) {
    await tab.keyboard.press("Tab");
    const stop = await tab.evaluate(focused);
    if (stop.isBody) return;
    check(stop.isOutlined && stop.isInView, `${page.name}: nobody sees the keyboard on ${JSON.stringify(stop)}`);
  }
}

async function signInWith(tab, token) {
  await tabTo(tab, "token");
  await tab.keyboard.type(token);
  await enter(tab);
}

async function checkWrongToken(tab) {
  await tab.goto("/sign-in");
  await signInWith(tab, "panoply_admin_wrong");
  const field = tab.locator("#token");
  same(await field.getAttribute("aria-invalid"), "true", "aria-invalid of a wrong token's field");
  const problem = await field.getAttribute("aria-describedby");
  check(problem && (await tab.locator(`#${problem}`).innerText()).includes("token"),
    "a wrong token's field is not described by what is wrong");
  same(await field.inputValue(), "", "a wrong token's field holds");
}

async function checkSigningIn(tab) {
  await tab.goto("/builds");
  await tabTo(tab, "Sign in");
  await enter(tab);
  await signInWith(tab, farm.token);
  same(await tab.locator(".said").innerText(), "You are signed in.", "the page says");
  same(new URL(tab.url()).pathname, "/builds", "after signing in we are at");
  await tab.reload();
  same(await tab.locator(".said").count(), 0, "what is said twice");
}

async function checkAction(tab) {
  await tab.goto(`/agents/${farm.agent}`);
  await tabTo(tab, "Pause");
  await enter(tab);
  check((await tab.locator(".said").innerText()).includes("paused"), "nobody says that the agent is paused");
  await tabTo(tab, "Resume");
  await enter(tab);
  same(await tab.locator("button", { hasText: "Pause" }).count(), 1, "buttons that pause again");
}

// All lines of a log are one stop; arrow keys go from line to line, with Shift they mark a range.
async function checkLines(tab) {
  const path = `/builds/${farm.builds["sounding-log"]}/log`;
  await tab.goto(`${path}?from=1`);
  const stops = () => tab.locator('.folds a[href*="#L"][tabindex="0"]').count();
  same(await stops(), 1, "stops among the lines");
  for (let i = 0; i < STOPS && !/^\d+$/.test((await tab.evaluate(focused)).text); i++) await tab.keyboard.press("Tab");
  same((await tab.evaluate(focused)).text, "1", "the line that Tab reaches");
  await tab.keyboard.press("ArrowDown");
  await tab.keyboard.press("ArrowDown");
  await tab.keyboard.press("Enter");
  check(/\?attempt=\d+&line=3#L3$/.test(tab.url()), `line 3 is marked at ${tab.url()}`);
  for (let i = 0; i < 4; i++) await tab.keyboard.press("Shift+ArrowDown");
  check(/\?attempt=\d+&line=3-7#L3-L7$/.test(tab.url()), `lines 3 to 7 are marked at ${tab.url()}`);
  same(await tab.locator(".folds .marked").count(), 5, "lines marked");
  const stop = await tab.evaluate(focused);
  check(stop.text === "7" && stop.isInView && stop.isOutlined, `nobody sees line 7: ${JSON.stringify(stop)}`);
  same(await stops(), 1, "stops among the lines after that");
  await tab.goto(`${path}?from=1#L15000-L15002`); // not in the window
  await tab.locator("#L15001.marked").waitFor();
  check(/\?attempt=\d+&line=15000-15002#L15000-L15002$/.test(tab.url()), `what is beyond is at ${tab.url()}`);
}

async function checkSigningOut(tab) {
  await tabTo(tab, "Sign out");
  await enter(tab);
  same(await tab.locator(".said").innerText(), "You are signed out.", "the page says");
  same(await tab.locator("a", { hasText: "Sign in" }).count(), 1, "links to sign in");
}

// After a refusal the keyboard is on the field that was wrong.
async function checkWrongFields(context) {
  for (const [path, name] of [[`/evaluations/${farm.evaluation}`, "against"],
    [`/builds/${farm.builds.sextant}/log`, "line"]]) {
    const tab = await context.newPage();
    await tab.goto(path);
    await tab.fill(`main [name="${name}"]`, "abc");
    await Promise.all([tab.waitForEvent("load"), tab.press(`main [name="${name}"]`, "Enter")]);
    const field = tab.locator(`main [name="${name}"]`);
    same(await field.getAttribute("aria-invalid"), "true", `${path}: the wrong field`);
    await tab.waitForFunction((it) => document.activeElement?.name === it, name);
    same(await field.inputValue(), "abc", `${path}: what was typed`);
    await tab.close();
  }
}

await run(async (browser) => {
  const context = await newContext(browser);
  const tab = await context.newPage();
  await checkWrongToken(tab);
  watch(tab, "keyboard");
  await checkSkipLink(tab);
  await checkNavigation(tab);
  await checkSigningIn(tab);
  await checkAction(tab);
  await checkLines(tab);
  tab.removeAllListeners();
  await checkWrongFields(context);
  await eachPage(context, pagesFor(true), checkStops);
  await checkSigningOut(tab);
  await context.close();
});
