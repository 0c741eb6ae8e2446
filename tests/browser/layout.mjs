// SPDX-License-Identifier: GPL-3.0-or-later
// Every page loads without a fault, is small, and is no wider than the window: at each width, in
// light and dark, with and without scripts, for visitors; and for who is signed in.

import { SCHEMES, WIDTHS, check, eachPage, look, newContext, run, source } from "./browser.mjs";
import { pagesFor } from "./pages.mjs";

const PAGE_LIMIT = 150_000; // bytes of HTML

// What reaches beyond the window, of the innermost elements.
function tooWide() {
  const width = document.documentElement.clientWidth;
  if (document.documentElement.scrollWidth <= width) return null;
  const wide = [...document.querySelectorAll("body *")].filter(
    (element) => element.getBoundingClientRect().right > width + 0.5);
  const inner = wide.filter((element) => !wide.some((it) => it !== element && element.contains(it)));
  return `${document.documentElement.scrollWidth} px: ${inner.slice(0, 3).map((it) => it.outerHTML.slice(0, 200)).join("  ")}`;
}

async function checkWidths(tab, page, how) {
  for (const [index, width] of WIDTHS.entries()) {
    await look(tab, { width, scheme: SCHEMES[index % SCHEMES.length] });
    const found = await tab.evaluate(tooWide);
    check(found === null, `${page.name}, ${how}: wider than ${width} px: ${found}`);
  }
}

async function checkSize(page, signedIn) {
  const { text } = await source(page, signedIn);
  const size = Buffer.byteLength(text);
  check(page.isLog || size <= PAGE_LIMIT, `${page.name}: ${size} bytes of HTML`);
}

async function checkAll(browser, signedIn, javaScriptEnabled) {
  const how = `${signedIn ? "signed in" : "visitor"}, ${javaScriptEnabled ? "with" : "without"} scripts`;
  const context = await newContext(browser, { width: WIDTHS[0], signedIn, javaScriptEnabled });
  await eachPage(context, pagesFor(signedIn), (tab, page) => checkWidths(tab, page, how));
  await context.close();
}

await run(async (browser) => {
  await checkAll(browser, false, true);
  await checkAll(browser, false, false);
  await checkAll(browser, true, true);
  for (const signedIn of [false, true])
    for (const page of pagesFor(signedIn)) await checkSize(page, signedIn);
});
