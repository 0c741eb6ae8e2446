// SPDX-License-Identifier: GPL-3.0-or-later
// The field of all jobs of an evaluation: keyboard, pointer, filter as you type; and nothing of
// it without scripts.

import { check, farm, newContext, run, same, watch } from "./browser.mjs";

const path = `/evaluations/${farm.evaluation}`;
const line = (tab) => tab.textContent("#matrix-line");

async function checkKeyboard(tab) {
  await tab.goto(path);
  await tab.waitForSelector(".matrix-view canvas");
  await tab.focus(".matrix-view");
  check(/^almanac\.x86_64-linux: succeeded/.test(await line(tab)), `first: ${await line(tab)}`);
  await tab.keyboard.press("End");
  check(/^tide-tables\.x86_64-linux: succeeded/.test(await line(tab)), `last: ${await line(tab)}`);
  await tab.keyboard.press("Home");
  await tab.keyboard.press("ArrowRight");
  check(!(await line(tab)).startsWith("almanac"), `second: ${await line(tab)}`);
  await tab.keyboard.press("ArrowLeft");
  await Promise.all([tab.waitForURL(/builds/), tab.keyboard.press("Enter")]);
  same(new URL(tab.url()).pathname, `/builds/${farm.builds.almanac}`, "Enter opens");
}

async function checkPointer(tab) {
  await tab.goto(path);
  const canvas = tab.locator(".matrix-view canvas");
  await canvas.hover({ position: { x: 5, y: 5 } });
  check(/^almanac/.test(await line(tab)), `pointed at: ${await line(tab)}`);
  await Promise.all([tab.waitForURL(/builds/), canvas.click({ position: { x: 5, y: 5 } })]);
  same(new URL(tab.url()).pathname, `/builds/${farm.builds.almanac}`, "a click opens");
}

async function checkFilter(tab) {
  await tab.goto(path);
  await tab.waitForSelector(".matrix-view canvas");
  await tab.type("#filter [name=name]", "TIDE");
  await tab.waitForURL(/name=TIDE/);
  const names = await tab.locator("#list tbody tr td:first-child").allInnerTexts();
  check(names.length >= 3 && names.every((name) => name.includes("tide")), `filtered: ${names}`);
  check((await line(tab)).startsWith(`${names.length} jobs`), `counted: ${await line(tab)}`);
  await tab.reload();
  same(await tab.inputValue("#filter [name=name]"), "TIDE", "the filter after a reload");
  await tab.fill("#filter [name=name]", "no such job");
  await tab.waitForSelector("#list .empty");
}

async function checkShow(tab) {
  await tab.goto(`${path}?show=failed`);
  await tab.waitForSelector(".matrix-view canvas");
  await tab.focus(".matrix-view");
  await tab.keyboard.press("End");
  check(/: failed/.test(await line(tab)), `of what failed: ${await line(tab)}`);
}

await run(async (browser) => {
  for (const width of [390, 1280]) {
    const context = await newContext(browser, { width });
    for (const part of [checkKeyboard, checkPointer, checkFilter, checkShow]) {
      const tab = await context.newPage();
      watch(tab, `${part.name}, ${width} px`);
      await part(tab);
      await tab.close();
    }
    await context.close();
  }
  const without = await newContext(browser, { javaScriptEnabled: false });
  const tab = await without.newPage();
  await tab.goto(path);
  check(await tab.locator("#matrix").isHidden(), "without scripts there is an empty field");
  check(await tab.locator("#filter").isVisible(), "without scripts there is no filter");
  await tab.fill("#filter [name=name]", "almanac");
  await Promise.all([tab.waitForURL(/name=almanac/), tab.click("#filter button")]);
  same(await tab.locator("#list tbody tr").count(), 1, "jobs with that name");
  await without.close();
});
