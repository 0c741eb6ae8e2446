// SPDX-License-Identifier: GPL-3.0-or-later
// Only our own pages, in the browser of who is signed in, can send forms; others change nothing.

import { createServer, request } from "node:http";
import { address, api, check, farm, newContext, run, same, signIn, source } from "./browser.mjs";
import { pagesFor } from "./pages.mjs";

const PAUSE = `/agents/${farm.agent}/pause`;
const RESUME = `/agents/${farm.agent}/resume`;

// The status of a form that is sent with whatever headers.
function post(path, fields, headers = {}) {
  return new Promise((resolve, reject) => {
    const sent = request(address(path), {
      method: "POST",
      headers: { "Content-Type": "application/x-www-form-urlencoded", ...headers },
    }, (reply) => {
      reply.resume();
      reply.on("end", () => resolve(reply.statusCode));
    });
    sent.on("error", reject);
    sent.end(new URLSearchParams(fields).toString());
  });
}

async function isPaused() {
  return (await api(`/agents/${farm.agent}`)).paused;
}

async function csrfToken() {
  const { text } = await source({ path: "/" }, true);
  return text.match(/name="csrf" value="([0-9a-f]+)"/)[1];
}

async function checkOneForm() {
  const cookie = { Cookie: await signIn() };
  const csrf = await csrfToken();
  const refused = [
    ["without anything", {}, {}, 401],
    ["without a session", { csrf }, {}, 401],
    ["with a session that is none", { csrf }, { Cookie: `panoply_session=${"0".repeat(64)}` }, 401],
    ["without the token", {}, cookie, 403],
    ["with an empty token", { csrf: "" }, cookie, 403],
    ["with a wrong token", { csrf: csrf.replace(/^./, (c) => (c === "0" ? "1" : "0")) }, cookie, 403],
    ["with the session for a token", { csrf: cookie.Cookie.split("=")[1] }, cookie, 403],
    ["from another site", { csrf }, { ...cookie, "Sec-Fetch-Site": "cross-site" }, 403],
    ["from a neighbour", { csrf }, { ...cookie, "Sec-Fetch-Site": "same-site" }, 403],
    ["with the administrator's token in its head", {}, { Authorization: `Bearer ${farm.token}` }, 401],
  ];
  for (const [how, fields, headers, status] of refused)
    same(await post(PAUSE, fields, headers), status, `a form ${how}`);
  same(await isPaused(), false, "the agent is paused");
  same(await post(PAUSE, { csrf }, { ...cookie, "Sec-Fetch-Site": "same-origin" }), 303, "our own form");
  same(await isPaused(), true, "the agent is paused");
  same(await post(RESUME, { csrf }, cookie), 303, "our own form, by an old browser");
  same(await isPaused(), false, "the agent is paused");
}

// Every form of every page, without its token.
async function checkEveryForm(context) {
  const headers = { Cookie: await signIn() };
  const seen = new Set();
  const tab = await context.newPage();
  for (const page of pagesFor(true)) {
    await tab.goto(page.path);
    const forms = await tab.evaluate(() =>
      [...document.querySelectorAll("form[method=post]")].map((form) => ({
        path: new URL(form.action).pathname,
        fields: [...new FormData(form)].filter(([name]) => name !== "csrf"),
        isGuarded: form.elements.csrf?.value.length === 64,
      })));
    for (const { path, fields, isGuarded } of forms) {
      if (path === "/sign-in" || seen.has(path)) continue;
      seen.add(path);
      check(isGuarded, `${page.name}: the form to ${path} has no token`);
      same(await post(path, fields, headers), 403, `${page.name}: a form to ${path} without its token`);
    }
  }
  check(seen.has("/sign-out") && seen.has(PAUSE), `forms: ${[...seen].join(" ")}`);
  await tab.close();
}

// A page of another origin on the same host, so that the browser sends the cookie along.
async function withNeighbour(html, work) {
  const server = createServer((_, reply) => {
    reply.setHeader("Content-Type", "text/html");
    reply.end(html);
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  try {
    await work(`http://127.0.0.1:${server.address().port}/`);
  } finally {
    server.closeAllConnections();
    server.close();
  }
}

async function checkNeighbour(context) {
  const csrf = await csrfToken();
  const form = `<form method="post" action="${address(PAUSE)}"><input name="csrf" value="${csrf}"><button>Win</button></form>`;
  await withNeighbour(form, async (url) => {
    const tab = await context.newPage();
    await tab.goto(url);
    const [reply] = await Promise.all([
      tab.waitForResponse((it) => it.url() === address(PAUSE)),
      tab.click("button"),
    ]);
    same(reply.status(), 403, "a form of another origin, with the right token");
    await tab.close();
  });
  same(await isPaused(), false, "the agent is paused");
}

async function checkSigningInFromElsewhere(context) {
  const form = `<form method="post" action="${address("/sign-in")}"><input name="token" value="${farm.token}"><button>Win</button></form>`;
  await withNeighbour(form, async (url) => {
    const tab = await context.newPage();
    await tab.goto(url);
    const [reply] = await Promise.all([
      tab.waitForResponse((it) => it.url() === address("/sign-in")),
      tab.click("button"),
    ]);
    same(reply.status(), 403, "signing in from another origin");
    same((await context.cookies()).length, 0, "cookies after it");
    await tab.close();
  });
}

async function checkCookie(context) {
  const tab = await context.newPage();
  await tab.goto("/sign-in");
  await tab.fill("#token", farm.token);
  await tab.click("main button");
  await tab.locator(".said").waitFor();
  const cookie = (await context.cookies()).find(({ name }) => name === "panoply_session");
  same(cookie.httpOnly, true, "HttpOnly of the session");
  same(cookie.sameSite, "Lax", "SameSite of the session");
  check(!(await tab.evaluate(() => document.cookie)).includes("session"), "a script can read the session");
  const headers = { Cookie: `${cookie.name}=${cookie.value}` };
  await tab.click("text=Sign out");
  await tab.locator(".said").waitFor();
  same(await post(PAUSE, {}, headers), 401, "a session after signing out");
  check(!(await context.cookies()).some(({ name }) => name === "panoply_session"), "the cookie stays");
  await tab.close();
}

await run(async (browser) => {
  await checkOneForm();
  const signedIn = await newContext(browser, { signedIn: true });
  await checkEveryForm(signedIn);
  await checkNeighbour(signedIn);
  await signedIn.close();
  const visitor = await newContext(browser);
  await checkSigningInFromElsewhere(visitor);
  await checkCookie(visitor);
  await visitor.close();
});
