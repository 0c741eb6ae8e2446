// SPDX-License-Identifier: GPL-3.0-or-later
// What is added to a log, for as long as the page is shown. A hidden page holds no connection,
// as browsers allow six to a host.

import { Silence, retryAfter, within } from "./patience.js";

const SILENCE_MS = 60_000; // logs have no heartbeat: the connection may be dead, and is made again
const PASSING = [408, 429]; // refusals that are none for ever

// What steers a terminal or turns the direction of what follows, as src/ui/html.c says.
export const STEERING = /[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f\u202a-\u202e\u2066-\u2069]/g;

class Refusal extends Error {}

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

async function open(url, signal) {
  const reply = await within(SILENCE_MS, fetch(url, { signal, cache: "no-store" })); // two tabs may follow the same
  const { ok, status } = reply;
  if (status >= 400 && status < 500 && !PASSING.includes(status)) throw new Refusal(status);
  if (!ok) throw new Error(`the log's status is ${status}`);
  return reply.body.getReader();
}

function tellRefusal(place, status) {
  const note = document.createElement("p");
  note.className = "problem";
  note.textContent = `The server sends no more of this log (status ${status}).`;
  place.append(note);
}

// Feeds the log at ADDRESS to FEED(text, from), from byte FROM on, until it ends or STOPPED is
// aborted; what feed is told last is the byte behind the text. That the server refuses it is told
// at the end of PLACE.
export async function tail(place, address, from, feed, stopped = undefined) {
  const decoder = new TextDecoder(); // kept, as a character may come in two replies
  const url = new URL(address, location.href);
  let failures = 0;
  const read = async (signal) => {
    url.searchParams.set("from", from);
    const reader = await open(url, signal);
    for (;;) {
      const { done, value } = await within(SILENCE_MS, reader.read());
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
    } catch (error) {
      if (error instanceof Refusal) return tellRefusal(place, error.message);
      if (abort.signal.aborted || error instanceof Silence) continue;
      await new Promise((resolve) => setTimeout(resolve, retryAfter(failures++)));
    } finally {
      abort.abort(); // its listeners go, and a connection that is silent
    }
  }
}
