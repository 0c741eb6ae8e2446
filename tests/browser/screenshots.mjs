// SPDX-License-Identifier: GPL-3.0-or-later
// Pictures of all pages for people to look at: node screenshots.mjs FARM.json [FOLDER]

import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { SCHEMES, eachPage, look, newContext, run } from "./browser.mjs";
import { pagesFor } from "./pages.mjs";

const LOOKS = [390, 1280].flatMap((width) => SCHEMES.map((scheme) => ({ width, scheme })));
const TALLEST = 3000; // px: what lies below shows nothing new
const folder = process.argv[3] ?? "build/screenshots";

async function picture(tab, page, suffix, looks) {
  for (const { width, scheme } of looks) {
    await look(tab, { width, scheme });
    const height = await tab.evaluate(() => document.documentElement.scrollHeight);
    await tab.screenshot({
      path: join(folder, `${page.name}${suffix}-${width}-${scheme}.png`),
      fullPage: true,
      animations: "disabled",
      clip: { x: 0, y: 0, width, height: Math.min(height, TALLEST) },
    });
  }
}

async function pictures(browser, signedIn, suffix, looks) {
  const context = await newContext(browser, { signedIn });
  await eachPage(context, pagesFor(signedIn), (tab, page) => picture(tab, page, suffix, looks));
  await context.close();
}

await run(async (browser) => {
  mkdirSync(folder, { recursive: true });
  await pictures(browser, false, "", LOOKS);
  await pictures(browser, true, "-signed-in", LOOKS.slice(2, 3)); // wide, light
});
