// SPDX-License-Identifier: GPL-3.0-or-later
// Small pieces of pages: store paths that are short and can be copied whole, buttons that copy,
// times that stay true, folded phases.

import { check, farm, newContext, run, same, watch } from "./browser.mjs";

const STORE_PATH = /^\/gnu\/store\/[0-9a-z]{32}-\S+$/;

async function checkStorePaths(context) {
  const tab = await context.newPage();
  watch(tab, "store paths");
  await tab.goto(`/builds/${farm.builds.almanac}`);
  const path = tab.locator(".store-path").first();
  check(STORE_PATH.test(await path.textContent()), `the whole path: ${await path.textContent()}`);
  const { width } = await path.boundingBox();
  check(width < 400, `a short path is ${width} px wide`);
  const selected = await path.evaluate((element) => {
    getSelection().selectAllChildren(element);
    return getSelection().toString();
  });
  check(STORE_PATH.test(selected), `selected: ${selected}`);
  return tab;
}

async function checkButtons(tab) {
  const path = tab.locator(".facts .store-path");
  const button = tab.locator(".facts button.copy");
  await button.click();
  await tab.getByText("Copied").waitFor();
  same(await tab.evaluate(() => navigator.clipboard.readText()), await path.textContent(), "copied");
  const command = tab.locator("pre.copied").first();
  await command.locator("button.copy").click();
  check((await tab.evaluate(() => navigator.clipboard.readText())).startsWith("guix build /gnu/store/"),
    "the command is copied without its button");
}

async function checkTimes(context) {
  const tab = await context.newPage();
  await tab.route("**/events", (route) => route.abort());
  await tab.clock.install();
  await tab.goto("/specifications/example");
  const time = tab.locator("main time").first();
  const minutes = async () => Number(/^(\d+) minutes? ago$/.exec(await time.textContent())?.[1] ?? 0);
  const before = await minutes();
  await tab.clock.runFor(20 * 60 * 1000);
  check([before + 20, before + 21].includes(await minutes()), `20 minutes later: ${await time.textContent()}`);
  // The server's clock counts, where it can be heard.
  await tab.unroute("**/events");
  const heard = tab.waitForResponse(/events/);
  await tab.clock.runFor(60 * 1000);
  await heard;
  await tab.clock.runFor(10 * 1000);
  check([before, before + 1].includes(await minutes()), `by the server's clock: ${await time.textContent()}`);
}

await run(async (browser) => {
  const context = await newContext(browser);
  await context.grantPermissions(["clipboard-read", "clipboard-write"]);
  const tab = await checkStorePaths(context);
  await checkButtons(tab);
  await checkTimes(context);
  await context.close();
  const without = await newContext(browser, { javaScriptEnabled: false });
  const plain = await without.newPage();
  await plain.goto(`/builds/${farm.builds.almanac}`);
  check(STORE_PATH.test(await plain.locator(".store-path").first().textContent()),
    "without scripts the path is not whole");
  same(await plain.locator("button.copy").count(), 0, "buttons that need scripts");
  await without.close();
});
