// SPDX-License-Identifier: GPL-3.0-or-later
// The server's stream of events, kept open while the page is shown: a connection that breaks is
// made again and goes on behind the last event that came. EventSource does not serve: it gives up
// for good on some errors, and hears nothing of heartbeats, so that it takes a dead connection for
// a quiet one.

import { retryAfter, within } from "./patience.js";
import { noteServerTime } from "./times.js";

const EVENTS = "/api/panoply/v1/events";
const SILENCE_MS = 40_000; // the server writes at least every 15 seconds
const UNTOLD_MS = 2000; // a break so short is not worth a word

// ---- reading ----

function parse(block) {
  const message = {};
  for (const line of block.split("\n")) {
    const colon = line.indexOf(": ");
    if (colon > 0) message[line.slice(0, colon)] = line.slice(colon + 2);
  }
  return message;
}

// What comes, as { id, data }; a heartbeat has only an id.
async function* messages(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  try {
    for (let rest = ""; ; ) {
      const { done, value } = await within(SILENCE_MS, reader.read());
      if (done) return;
      const blocks = (rest + value).split("\n\n");
      rest = blocks.pop();
      yield* blocks.map(parse);
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}

// ---- telling that the connection is lost ----

const place = document.getElementById("connection");
let telling = null; // a timer

function tellLost() {
  const since = new Date().toLocaleTimeString();
  telling ??= setTimeout(() => {
    place.dataset.connection = "lost";
    place.textContent = `No connection to the server since ${since}. What you see may be out of date.`;
  }, UNTOLD_MS);
}

function tellFound() {
  clearTimeout(telling);
  telling = null;
  delete place.dataset.connection;
  place.textContent = "";
}

// ---- following ----

// Ends early when SIGNAL is aborted, and when the browser has a network again.
function pause(milliseconds, signal) {
  const over = new AbortController();
  return new Promise((resolve) => {
    setTimeout(resolve, milliseconds);
    signal.addEventListener("abort", resolve, { signal: over.signal });
    addEventListener("online", resolve, { signal: over.signal });
  }).finally(() => over.abort());
}

// One connection: it is given up with SIGNAL, or alone.
function attemptUnder(signal) {
  const attempt = new AbortController();
  signal.addEventListener("abort", () => attempt.abort(), { signal: attempt.signal });
  return attempt;
}

// Follows until SIGNAL is aborted.
async function follow({ receive, catchUp }, signal) {
  let lastId = ""; // none: begin with what happens now
  let failures = 0;
  const listen = async (attempt) => {
    const headers = lastId === "" ? {} : { "Last-Event-ID": lastId };
    const reply = await within(SILENCE_MS, fetch(EVENTS, { headers, signal: attempt.signal, cache: "no-store" }));
    if (reply.status === 410) lastId = ""; // the server has another past: begin anew
    if (!reply.ok) throw new Error(`the status of the events is ${reply.status}`);
    failures = 0;
    noteServerTime(reply.headers.get("Date"));
    tellFound();
    if (lastId === "") catchUp();
    for await (const { id, data } of messages(reply.body)) {
      lastId = id ?? lastId;
      if (data !== undefined) receive(JSON.parse(data));
    }
  };
  while (!signal.aborted) {
    const attempt = attemptUnder(signal);
    await listen(attempt).catch(() => {});
    attempt.abort();
    if (signal.aborted) return;
    tellLost();
    await pause(retryAfter(failures++), signal);
  }
}

// Gives each event to receive(event), and calls catchUp() when something may have happened that
// it was not told of: at the start, since the page was made a moment before, when the page is
// shown again, and when the server does not know the last event any more. A hidden one holds no connection, as browsers allow six to a host.
export function followEvents(listener) {
  let connection = null;
  const update = () => {
    if (document.hidden) {
      connection?.abort();
      connection = null;
    } else if (connection === null) {
      connection = new AbortController();
      follow(listener, connection.signal);
    }
  };
  document.addEventListener("visibilitychange", update);
  update();
}
