// SPDX-License-Identifier: GPL-3.0-or-later
// What the field of an evaluation's jobs costs the browser's main thread (evaluation-page runs
// this): processor time of the thread from an event until its frame is drawn, so that what runs
// beside it does not count, and the time by the clock. "Nothing" is what measuring costs. With
// more pixels a frame may take twice the bound: there is no graphics card here to help.
// Arguments: FARM.json (as tests/browser has it), path of the evaluation, bound in milliseconds.

import { check, newContext, run, watch } from "../tests/browser/browser.mjs";

const [path, bound] = process.argv.slice(3);
const ROUNDS = 40;
const TEXT = "a1-2";

// In the page: does an action, and waits until its frame is drawn: for a task of its own behind
// style, layout and paint. Returns what handler and frame took by the clock.
function install() {
  const task = () => new Promise((resolve) => {
    const channel = new MessageChannel();
    channel.port1.onmessage = resolve;
    channel.port2.postMessage(null);
  });
  globalThis.perform = async (act) => {
    let frameStart = 0;
    const start = performance.now();
    act();
    const handled = performance.now();
    requestAnimationFrame(() => { frameStart = frameStart || performance.now(); });
    await new Promise(requestAnimationFrame);
    await task();
    return handled - start + performance.now() - frameStart;
  };
}

const actions = {
  "nothing": () => {},
  "a key stroke in the filter": (round, text) => {
    const field = document.querySelector("#filter [name=name]");
    const size = round % (2 * text.length);
    field.value = text.slice(0, size <= text.length ? size : 2 * text.length - size);
    field.dispatchEvent(new InputEvent("input", { bubbles: true }));
  },
  "an arrow key": (round) => {
    document.querySelector(".matrix-view").dispatchEvent(new KeyboardEvent("keydown",
      { key: round % 10 === 9 ? "PageDown" : "ArrowDown", bubbles: true, cancelable: true }));
  },
  "scrolling by a third": (round) => {
    const view = document.querySelector(".matrix-view");
    view.scrollTop = (view.scrollTop + view.clientHeight / 3) % (view.scrollHeight - view.clientHeight);
  },
};

await run(async (browser) => {
  for (const [what, deviceScaleFactor] of [["", 1], [", 4 times the pixels", 2]]) {
    const context = await newContext(browser, { deviceScaleFactor });
    const tab = await context.newPage();
    watch(tab, "matrix");
    await tab.goto(path);
    await tab.waitForSelector(".matrix-view canvas");
    await tab.evaluate(install);
    const session = await context.newCDPSession(tab);
    await session.send("Performance.enable", { timeDomain: "threadTicks" });
    const busy = async () => (await session.send("Performance.getMetrics")).metrics
      .find((it) => it.name === "TaskDuration").value * 1000;
    for (const [name, act] of Object.entries(actions)) {
      const spent = [], clock = [];
      for (let round = 0; round < ROUNDS; round++) {
        const before = await busy();
        clock.push(await tab.evaluate(([source, round, text]) => {
          const action = eval(source);
          return globalThis.perform(() => action(round, text));
        }, [`(${act})`, round, TEXT]));
        spent.push(await busy() - before);
      }
      const middle = (values) => [...values].sort((a, b) => a - b)[ROUNDS / 2];
      console.log(`| ${name}${what} | ${middle(spent).toFixed(1)} | ${Math.max(...spent).toFixed(1)} `
        + `| ${middle(clock).toFixed(1)} | ${Math.max(...clock).toFixed(1)} |`);
      check(middle(spent) < bound * deviceScaleFactor, `${name}${what}: ${middle(spent).toFixed(1)} ms`);
    }
    await context.close();
  }
});
