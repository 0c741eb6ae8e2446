// SPDX-License-Identifier: GPL-3.0-or-later
// What is added to a log, for as long as the page is shown. A hidden page holds no connection,
// as browsers allow six to a host.

const RETRY_MS = [1000, 2000, 5000, 15000];

// What steers a terminal or turns the direction of what follows, as src/ui/html.c says.
export const STEERING = /[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f\u202a-\u202e\u2066-\u2069]/g;

function untilHidden(stopped) {
  const abort = new AbortController();
  const { signal } = abort;
  const look = () => { if (document.hidden) abort.abort(); };
  document.addEventListener("visibilitychange", look, { signal });
  addEventListener("pagehide", () => abort.abort(), { signal });
  stopped?.addEventListener("abort", () => abort.abort(), { signal });
  look();
  return abort;
}

function shown() {
  if (!document.hidden) return Promise.resolve();
  return new Promise((resolve) => {
    document.addEventListener("visibilitychange", resolve, { once: true });
  });
}

// Feeds the log at ADDRESS to FEED(text, from), from byte FROM on, until it ends or STOPPED is
// aborted; what feed is told last is the byte behind the text.
export async function tail(address, from, feed, stopped = undefined) {
  const decoder = new TextDecoder(); // kept, as a character may come in two replies
  const url = new URL(address, location.href);
  let failures = 0;
  const read = async (signal) => {
    url.searchParams.set("from", from);
    const reply = await fetch(url, { signal, cache: "no-store" }); // two tabs may follow the same
    if (!reply.ok) throw new Error(`the log's status is ${reply.status}`);
    const reader = reply.body.getReader();
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      failures = 0;
      from += value.byteLength;
      feed(decoder.decode(value, { stream: true }), from);
    }
  };
  while (!stopped?.aborted) {
    await shown();
    const abort = untilHidden(stopped);
    try {
      return await read(abort.signal);
    } catch {
      if (abort.signal.aborted) continue;
      const wait = RETRY_MS[Math.min(failures++, RETRY_MS.length - 1)];
      await new Promise((resolve) => setTimeout(resolve, wait));
    } finally {
      abort.abort(); // its listeners go
    }
  }
}
