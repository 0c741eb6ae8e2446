// SPDX-License-Identifier: GPL-3.0-or-later
// What the scripts of this folder share: the farm under test, the browser, its tabs, and what is
// found wrong. A script is `await run(async (browser) => ...)`.

import { readFileSync } from "node:fs";
import { createInterface } from "node:readline";
import { chromium } from "playwright-core";

// What browser_test.py wrote.
export const farm = JSON.parse(readFileSync(process.argv[2], "utf8"));

export const WIDTHS = [390, 768, 1280];
export const SCHEMES = ["light", "dark"];
const HEIGHT = 900;
const TABS = 3; // at once: the machine has two cores
export const SECONDS = 1000 * farm.time_factor; // of waiting, in milliseconds

// ---- what is wrong ----

const problems = [];

export function check(holds, problem) {
  if (!holds) problems.push(problem);
  return Boolean(holds);
}

export function same(value, expected, what) {
  check(value === expected, `${what}: ${JSON.stringify(value)}, not ${JSON.stringify(expected)}`);
}

// Runs TEST with a browser and tells all problems; the exit status says whether there are any.
export async function run(test) {
  let browser = null;
  try {
    browser = await chromium.launch({
      executablePath: farm.chromium,
      args: ["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu", "--no-first-run"],
    });
    await test(browser);
  } catch (error) {
    problems.push(error.stack ?? String(error));
  }
  await browser?.close();
  farmAnswers.close();
  for (const problem of problems) console.log(`- ${problem}`);
  console.log(problems.length === 0 ? "all is well" : `${problems.length} problems`);
  process.exitCode = problems.length === 0 ? 0 : 1;
}

// ---- the farm ----

const farmAnswers = createInterface({ input: process.stdin, terminal: false });
const farmLines = farmAnswers[Symbol.asyncIterator]();

// Has browser_test.py do one of its ACTIONS; returns what that returned.
export async function ask(action) {
  console.log(`ask ${action}`);
  const { value, done } = await farmLines.next();
  if (done) throw new Error(`nobody answered to ${action}`);
  return JSON.parse(value);
}

export function address(path) {
  return new URL(path, farm.base).href;
}

// The API as the administrator sees it.
export async function api(path) {
  const reply = await fetch(address(`/api/panoply/v1${path}`), {
    headers: { Authorization: `Bearer ${farm.token}` },
  });
  if (!reply.ok) throw new Error(`${path}: ${reply.status} ${await reply.text()}`);
  return reply.json();
}

let session = null;

// The cookie of a session of the administrator, one for the whole script.
export async function signIn() {
  if (session !== null) return session;
  const reply = await fetch(address("/sign-in"), {
    method: "POST",
    body: new URLSearchParams({ token: farm.token, then: "/" }),
    redirect: "manual",
  });
  const cookie = reply.headers.get("Set-Cookie")?.match(/panoply_session=[0-9a-f]+/);
  if (!cookie) throw new Error(`signing in: ${reply.status} ${await reply.text()}`);
  session = cookie[0];
  return session;
}

async function request(path, signedIn, fields = null) {
  const headers = { Accept: "text/html", ...(signedIn && { Cookie: await signIn() }) };
  const form = fields && { method: "POST", body: new URLSearchParams(fields) };
  const reply = await fetch(address(path), { headers, ...form });
  return { status: reply.status, text: await reply.text() };
}

// The HTML of PAGE as it is sent, after its form was sent where it sends one.
export async function source(page, signedIn = false) {
  const asked = await request(page.path, signedIn);
  if (!page.sends) return asked;
  const form = asked.text.match(/<main.*?<form[^>]*? action="([^"]*)".*?<\/form>/s);
  const hidden = [...form[0].matchAll(/type="hidden" name="([^"]*)" value="([^"]*)"/g)];
  return request(form[1], signedIn, { ...Object.fromEntries(hidden.map((it) => it.slice(1))), ...page.sends });
}

// ---- harm ----

// Characters that steer a terminal or turn the direction of what follows.
export function steering(text) {
  return text.match(/[\u0000-\u0008\u000b-\u001f\u007f\u202a-\u202e\u2066-\u2069]/g) ?? [];
}

// ---- tabs ----

export async function newContext(browser, { width = 1280, signedIn = false, ...options } = {}) {
  const context = await browser.newContext({
    baseURL: farm.base,
    viewport: { width, height: HEIGHT },
    ...options,
  });
  context.setDefaultTimeout(15 * SECONDS);
  context.setDefaultNavigationTimeout(60 * SECONDS);
  if (signedIn) {
    const [name, value] = (await signIn()).split("=");
    await context.addCookies([{ name, value, url: farm.base, httpOnly: true, sameSite: "Lax" }]);
  }
  return context;
}

export async function look(tab, { width, scheme }) {
  if (width) await tab.setViewportSize({ width, height: HEIGHT });
  if (scheme) await tab.emulateMedia({ colorScheme: scheme });
}

// Notes what goes wrong in a tab: what the console shows, what fails to load, what opens.
const STATEMENTS_MAX = 8; // that a page may have the database run

export function watch(tab, name, { status = 200, sends = null } = {}) {
  tab.on("pageerror", (error) => check(false, `${name}: ${error.stack}`));
  tab.on("requestfailed", (request) => {
    const { errorText } = request.failure();
    // A page that is left cuts off what it follows.
    check(errorText === "net::ERR_ABORTED", `${name}: ${request.url()}: ${errorText}`);
  });
  tab.on("response", (reply) => {
    const expected = reply.request().isNavigationRequest() && !isFirstOfTwo(reply, sends) ? status : 200;
    check(reply.status() === expected || reply.status() === 304 || isRedirection(reply),
      `${name}: ${reply.url()}: status ${reply.status()}`);
    const { "content-type": type = "", "server-timing": timing = "" } = reply.headers();
    const statements = Number(timing.match(/statements;desc=(\d+)/)?.[1]);
    check(!type.startsWith("text/html") || statements <= STATEMENTS_MAX,
      `${name}: ${reply.url()}: ${statements} statements`);
  });
  tab.on("console", (message) => {
    // Chromium tells of each status of 400 and more: the line above has judged it.
    const isStatus = message.text().startsWith("Failed to load resource: the server responded");
    check(!["error", "warning"].includes(message.type()) || isStatus,
      `${name}: console: ${message.text()}`);
  });
  tab.on("dialog", (dialog) => {
    check(false, `${name}: a dialog opens: ${dialog.message()}`);
    dialog.dismiss();
  });
}

// The page with the form; what its sending gives comes second.
function isFirstOfTwo(reply, sends) {
  return sends !== null && reply.request().method() === "GET";
}

function isRedirection(reply) {
  return reply.status() >= 300 && reply.status() < 400;
}

async function send(tab, fields) {
  for (const [name, value] of Object.entries(fields)) await tab.fill(`main [name="${name}"]`, value);
  await Promise.all([tab.waitForEvent("load"), tab.click("main form button")]);
}

// Opens each of PAGES in CONTEXT, a few at a time, and gives the tab to WORK(tab, page).
export async function eachPage(context, pages, work) {
  const waiting = [...pages];
  const worker = async () => {
    for (let page = waiting.shift(); page; page = waiting.shift()) {
      const tab = await context.newPage();
      watch(tab, page.name, page);
      try {
        await tab.goto(page.path);
        if (page.sends) await send(tab, page.sends);
        await work(tab, page);
      } catch (error) {
        check(false, `${page.name} (${page.path}): ${error.stack}`);
      }
      await tab.close();
    }
  };
  await Promise.all(Array.from({ length: TABS }, worker));
}
