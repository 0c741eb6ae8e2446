// SPDX-License-Identifier: GPL-3.0-or-later
// The pictures of README.md: node readme.mjs FARM.json FOLDER

import { join } from "node:path";
import { SCHEMES, api, eachPage, look, newContext, run } from "./browser.mjs";

const folder = process.argv[3];
const width = 1280;

async function idOf(name) {
  const { items } = await api(`/builds?name=${name}&limit=1`);
  return items[0].id;
}

async function pages() {
  const evaluation = (await api("/specifications/harbour")).newest_evaluation.id;
  const failed = await idOf("chart-dogger");
  return [
    { name: "overview", path: "/", height: 800 },
    { name: "evaluation", path: `/evaluations/${evaluation}`, height: 1120 }, // down to the field of jobs
    { name: "log", path: `/builds/${failed}/log`, height: 800 },
  ];
}

async function pictures(tab, page) {
  await tab.setViewportSize({ width, height: page.height });
  for (const scheme of SCHEMES) {
    await look(tab, { scheme });
    // The first picture of a page that is taller may repeat its beginning at the window's old height.
    await tab.screenshot();
    await tab.screenshot({ path: join(folder, `${page.name}-${scheme}.png`), animations: "disabled" });
  }
}

await run(async (browser) => {
  const context = await newContext(browser, { width });
  await eachPage(context, await pages(), pictures);
  await context.close();
});
