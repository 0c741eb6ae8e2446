// SPDX-License-Identifier: GPL-3.0-or-later
// The text browser w3m shows each page's main facts; states are words.

import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { address, check, run } from "./browser.mjs";
import { pagesFor } from "./pages.mjs";

// Lines are broken anywhere, so spaces do not count.
function squeezed(text) {
  return text.replaceAll(/\s+/g, "");
}

await run(async () => {
  const home = mkdtempSync(join(tmpdir(), "panoply-w3m-"));
  for (const page of pagesFor(false)) {
    const text = execFileSync("w3m", ["-dump", "-cols", "100", address(page.path)],
      { encoding: "utf8", env: { ...process.env, HOME: home } });
    for (const fact of page.says ?? [])
      check(squeezed(text).includes(squeezed(fact)), `${page.name} does not say "${fact}":\n${text.slice(0, 3000)}`);
  }
  rmSync(home, { recursive: true });
});
