// SPDX-License-Identifier: GPL-3.0-or-later
// Pages that follow what happens. They work without this.
//
// <section id="builds" data-live="/builds" data-live-kinds="build. agent.">
//   is replaced by the element with its id in the page /builds whenever an event
//   comes whose kind begins with one of the words; without kinds, at any event. While
//   something in it has data-live-often, every other second too: progress has no events.
//
// <pre class="log" data-follow="/api/panoply/v1/builds/7/log?follow=yes" data-follow-from="1024">
//   has the log's first 1024 bytes; the rest is added as it is written.

import { followEvents } from "./events.js";
import { STEERING, tail } from "./tail.js";

const QUIET_MS = 400; // after an event, others are awaited this long
const SHARED_MS = 50; // what was asked for so long ago is still new
const PAUSE_MS = 2000; // between two refreshes of an element
const LOG_LIMIT = 4 * 1024 * 1024; // characters shown; older ones are dropped

// ---- live elements ----

const asked = new Map(); // by address: when, and the promise of the page

async function fetchPage(address) {
  const reply = await fetch(address, { headers: { Accept: "text/html" } });
  return reply.ok ? new DOMParser().parseFromString(await reply.text(), "text/html") : null;
}

// Elements that one event concerns ask at the same time: they share the answer.
function getPage(address) {
  const now = Date.now();
  const last = asked.get(address);
  if (last && now - last.when < SHARED_MS) return last.page;
  const page = fetchPage(address);
  asked.set(address, { when: now, page });
  return page;
}

const addressOf = (element) => new URL(element.dataset.live || location.href, location.href).href;

async function refresh(element) {
  element.setAttribute("aria-busy", "true");
  try {
    let address, page;
    do { // a filter may change the page's address meanwhile, and what it shows
      address = addressOf(element);
      page = await getPage(address);
    } while (address !== addressOf(element));
    const fresh = page?.getElementById(element.id);
    if (fresh && !isSame(element, fresh)) replaceContents(element, fresh);
  } catch {
    // The server is away: the next event or the next look at the page tries again.
  } finally {
    element.removeAttribute("aria-busy");
  }
}

// Times and buttons are kept by times.js and copy.js.
function isSame(element, fresh) {
  const plain = (part) => part.innerHTML.replace(/<button type="button" class="copy".*?<\/button>/gs, "")
    .replaceAll(' data-copies="yes"', "").replace(/(<time[^>]*>)[^<]*/g, "$1");
  return plain(fresh) === plain(element);
}

// Whoever stands on a link or button with the keyboard stays there.
function replaceContents(element, fresh) {
  const active = element.contains(document.activeElement) ? document.activeElement : null;
  const open = [...element.querySelectorAll("details[open][id]")].map((details) => details.id);
  const place = active && placeOf(active);
  element.replaceChildren(...fresh.cloneNode(true).childNodes); // others may want them, too
  for (const id of open) document.getElementById(id)?.setAttribute("open", "");
  if (place) element.querySelector(place)?.focus({ preventScroll: true });
  document.dispatchEvent(new CustomEvent("panoply:shown", { detail: element }));
}

function placeOf(element) {
  if (element.id) return `#${CSS.escape(element.id)}`;
  const href = element.getAttribute("href");
  return href === null ? null : `a[href="${CSS.escape(href)}"]`;
}

// At most one refresh runs, and at most one more waits for its turn.
function schedule(state) {
  state.due = true;
  if (state.busy) return;
  state.busy = true;
  const wait = Math.max(QUIET_MS, state.last + PAUSE_MS - Date.now());
  setTimeout(async () => {
    state.due = false;
    await refresh(state.element);
    state.last = Date.now();
    state.busy = false;
    if (state.due) schedule(state);
  }, wait);
}

function wants(state, kind) {
  return state.kinds.length === 0 || state.kinds.some((begin) => kind.startsWith(begin));
}

function followAll(elements) {
  const states = elements.map((element) => ({
    element,
    kinds: (element.dataset.liveKinds ?? "").split(" ").filter(Boolean),
    due: false,
    busy: false,
    last: 0,
  }));
  followEvents({
    receive: ({ kind }) => states.filter((state) => wants(state, kind)).forEach(schedule),
    catchUp: () => states.forEach(schedule),
  });
  setInterval(() => {
    if (!document.hidden)
      states.filter((state) => state.element.querySelector("[data-live-often]")).forEach(schedule);
  }, PAUSE_MS);
}

// ---- logs ----

function append(element, added) {
  const text = added.replace(STEERING, "\ufffd");
  const atEnd = element.scrollHeight - element.scrollTop - element.clientHeight < 40;
  element.append(text);
  let size = Number(element.dataset.size ?? 0) + text.length;
  while (size > LOG_LIMIT && element.childNodes.length > 1) {
    size -= element.firstChild.textContent.length;
    element.firstChild.remove();
  }
  element.dataset.size = size;
  if (atEnd) element.scrollTop = element.scrollHeight;
}

// ---- start ----

const live = [...document.querySelectorAll("[data-live][id]")];
if (live.length > 0) followAll(live);
for (const element of document.querySelectorAll("[data-follow]"))
  tail(element.dataset.follow, Number(element.dataset.followFrom), (text) => append(element, text));
