// SPDX-License-Identifier: GPL-3.0-or-later
// A page says that it has lost the server, finds it again, and goes on with the event behind the
// last one that it had; or, where the server knows that one no more, looks at everything again.

import { SECONDS, ask, check, farm, newContext, run, same } from "./browser.mjs";

// Having seen the second change, the page has had an event, and not only looked again at its start.
async function checkFollows(tab) {
  const paused = tab.locator("main [data-state=paused]").first();
  await ask("pause");
  await paused.waitFor();
  await ask("resume");
  await paused.waitFor({ state: "detached" });
}

// A page that does not come is asked for again: after half a minute, or when this one is shown anew.
async function checkHungPage(context) {
  const tab = await context.newPage();
  const path = `/agents/${farm.agent}`;
  let hangs = false;
  await tab.clock.install();
  await tab.route(`**${path}`, (route) => hangs || route.continue());
  await tab.goto(path);
  const paused = tab.locator("#head [data-state=paused]");
  const hang = async (action) => {
    hangs = true;
    const asked = tab.waitForRequest(`**${path}`);
    await ask(action);
    await asked;
    hangs = false;
  };
  await hang("pause");
  for (let times = 0; times < 40 && !await paused.isVisible(); times++) {
    await tab.clock.fastForward(31_000);
    await new Promise((resolve) => setTimeout(resolve, 500));
  }
  await paused.waitFor();
  await hang("resume");
  await tab.evaluate(() => {
    for (const hidden of [true, false]) {
      Object.defineProperty(document, "hidden", { value: hidden, configurable: true });
      document.dispatchEvent(new Event("visibilitychange"));
    }
  });
  await paused.waitFor({ state: "detached" });
  await tab.close();
}

await run(async (browser) => {
  const context = await newContext(browser);
  await checkHungPage(context);
  const tab = await context.newPage();
  const lastIds = [];
  tab.on("request", (request) => {
    if (request.url().includes("/api/panoply/v1/events")) lastIds.push(request.headers()["last-event-id"]);
  });
  await tab.goto(`/agents/${farm.agent}`);
  await tab.evaluate(() => (window.isSame = true));
  const place = tab.locator("#connection");
  await checkFollows(tab);
  same(await place.isVisible(), false, "the page says that the connection is lost");

  await ask("stop");
  await place.waitFor({ state: "visible" });
  check(/^No connection to the server since .*\d/.test(await place.innerText()), await place.innerText());
  check((await tab.locator("main").innerText()).includes(farm.agent), "the page lost what it showed");

  await ask("start");
  await place.waitFor({ state: "hidden", timeout: 30 * SECONDS });
  same(await place.textContent(), "", "the page still says");
  await checkFollows(tab);
  check(await tab.evaluate(() => window.isSame === true), "the page was loaded anew");

  same(lastIds[0], undefined, "the first Last-Event-ID");
  check(lastIds.length > 1 && lastIds.slice(1).every((id) => /^\d+-\d+$/.test(id ?? "")),
    `Last-Event-ID of all connections: ${JSON.stringify(lastIds)}`);

  // A server whose database was replaced knows no event of before. What changed meanwhile is shown
  // all the same, though no event tells of it.
  let isAway = true;
  await tab.route("**/api/panoply/v1/events", (route) => {
    const headers = route.request().headers();
    if (headers["last-event-id"]) headers["last-event-id"] = "99999999-5";
    return isAway ? route.abort() : route.continue({ headers });
  });
  await ask("stop");
  await place.waitFor({ state: "visible" });
  await ask("start");
  await ask("pause");
  isAway = false;
  await tab.locator("main [data-state=paused]").first().waitFor({ timeout: 30 * SECONDS });
  await ask("resume");
  await tab.locator("main [data-state=paused]").first().waitFor({ state: "detached" });
  await context.close();
});
