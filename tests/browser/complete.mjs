// SPDX-License-Identifier: GPL-3.0-or-later
// pages.mjs has every page that can be reached from the overview by who is signed in, so that
// nobody adds a page that all other scripts leave out.

import { address, check, run, signIn } from "./browser.mjs";
import { pages } from "./pages.mjs";

const MOST = 400; // addresses asked for

// What a page is, whichever build, agent or specification it shows.
function kindOf(path) {
  return new URL(path, address("/")).pathname.replace(
    /^\/(agents|builds|evaluations|specifications)\/[^/]+/, "/$1/*");
}

async function linksOf(path) {
  const reply = await fetch(address(path), {
    headers: { Accept: "text/html", Cookie: await signIn() }, redirect: "manual" });
  const isPage = reply.headers.get("Content-Type")?.startsWith("text/html");
  if (!isPage) {
    await reply.body?.cancel();
    return null;
  }
  const links = (await reply.text()).matchAll(/<a [^>]*?href="(\/[^"#]*)/g);
  return [...links].map(([, link]) => link.replaceAll("&amp;", "&"));
}

await run(async () => {
  const known = new Set(pages.map((page) => kindOf(page.path)));
  const waiting = ["/"];
  const seen = new Set(waiting);
  while (waiting.length > 0 && seen.size < MOST) {
    const path = waiting.shift();
    const links = await linksOf(path);
    if (links === null) continue;
    check(known.has(kindOf(path)), `pages.mjs has no page like ${path}`);
    known.add(kindOf(path)); // once is enough
    for (const link of links.filter((it) => !seen.has(it))) {
      seen.add(link);
      waiting.push(link);
    }
  }
  check(seen.size > 30, `only ${seen.size} addresses are reached`);
});
