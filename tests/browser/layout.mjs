// SPDX-License-Identifier: GPL-3.0-or-later
// Every page loads without a fault, is small, and is no wider than the window: at each width, in
// light and dark, with and without scripts, for visitors; and for who is signed in.

import { SCHEMES, WIDTHS, check, eachPage, farm, look, newContext, run, source } from "./browser.mjs";
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

// How many rows the head of the page takes.
function headRows() {
  const parts = [...document.querySelectorAll(".bar > .name, .bar nav a, .bar input, .bar button")];
  const middles = parts.map((part) => part.getBoundingClientRect())
    .filter((box) => box.height > 0).map((box) => box.top + box.height / 2);
  return middles.sort((a, b) => a - b).filter((it, at, all) => at === 0 || it - all[at - 1] > 8).length;
}

const tablesThatAreNone = () => [...document.querySelectorAll("main table")].filter(
  (table) => getComputedStyle(table).display !== "table").length;

// A narrow head has three rows; in the middle tables are tables; where they are not, what sorts
// them is seen.
async function checkMiddle(browser) {
  const context = await newContext(browser, { width: 390, signedIn: true });
  const tab = await context.newPage();
  for (const path of ["/", "/builds", "/agents", `/evaluations/${farm.evaluation}`]) {
    await look(tab, { width: 390 });
    await tab.goto(path);
    const rows = await tab.evaluate(headRows);
    check(rows <= 3, `${path}: the head has ${rows} rows at 390 px`);
    const sorts = tab.locator("thead.sorts a").first();
    if (path !== "/") check(await sorts.isVisible(), `${path}: nothing sorts the list at 390 px`);
    await look(tab, { width: 768 });
    const blocks = await tab.evaluate(tablesThatAreNone);
    check(blocks === 0, `${path}: ${blocks} tables are none at 768 px`);
  }
  await context.close();
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
  await checkMiddle(browser);
  for (const signedIn of [false, true])
    for (const page of pagesFor(signedIn)) await checkSize(page, signedIn);
});
