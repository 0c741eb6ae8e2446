// SPDX-License-Identifier: GPL-3.0-or-later
// Names, messages and logs that mean harm are shown as the text that they are.

import { check, eachPage, newContext, run, same } from "./browser.mjs";
import { pagesFor } from "./pages.mjs";

// What the data brought into the page, beside text.
function intruders() {
  // matrix.js gives sizes to what it draws on.
  const ours = (element) =>
    element.matches("script[src^='/static/'], #matrix canvas[style], #matrix .matrix-room[style]");
  const elements = [...document.querySelectorAll("script, b, img, iframe, object, embed, base, style, [style]")];
  const handlers = [...document.querySelectorAll("*")].filter((element) =>
    [...element.attributes].some(({ name, value }) => name.startsWith("on") || /^\s*javascript:/i.test(value)));
  return [...elements.filter((element) => !ours(element)), ...handlers].map((it) => it.outerHTML.slice(0, 200));
}

async function examine(tab, page) {
  const found = await tab.evaluate(intruders);
  check(found.length === 0, `${page.name}: made from data: ${found.join("  ")}`);
  const text = await tab.evaluate(() =>
    [document.documentElement.textContent, ...[...document.forms].flatMap((form) =>
      [...form.elements].map((it) => it.value))].join("\n"));
  check(text.includes(page.hostile), `${page.name} does not show ${page.hostile}`);
  const characters = text.match(/[\u0000-\u0008\u000b-\u001f\u007f\u202a-\u202e\u2066-\u2069]/g) ?? [];
  same(characters.length, 0, `${page.name}: characters that steer`);
  const { width, room } = await tab.evaluate(() => ({
    width: document.documentElement.scrollWidth, room: document.documentElement.clientWidth }));
  check(width <= room, `${page.name}: ${width} px wide`);
}

await run(async (browser) => {
  for (const signedIn of [false, true]) {
    const context = await newContext(browser, { width: 390, signedIn });
    const pages = pagesFor(signedIn).filter((page) => page.hostile);
    check(pages.length >= 5, `only ${pages.length} pages`);
    await eachPage(context, pages, examine);
    await context.close();
  }
});
