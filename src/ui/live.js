// SPDX-License-Identifier: GPL-3.0-or-later
// Pages that follow what happens. They work without this.
//
// <section id="builds" data-live="/builds" data-live-kinds="build. agent.">
//   becomes as the element with its id in the page /builds (patch.js) whenever an event
//   comes whose kind begins with one of the words; without kinds, at any event. Of events that
//   tell of a build, data-live-build="7" takes those of build 7 alone, and of those that tell of an
//   agent, data-live-agent="NAME" takes that agent's. While something in it has
//   data-live-often, every other second too: progress has no events.
//
// <pre class="log" data-follow="/api/panoply/v1/builds/7/log?follow=yes" data-follow-from="1024">
//   has the log's first 1024 bytes; the rest is added as it is written. In a live element it
//   stands in one with data-keep (patch.js).

import { followEvents } from "./events.js";
import { isSelected, patch } from "./patch.js";
import { STEERING, tail } from "./tail.js";

const QUIET_MS = 400; // after an event, others are awaited this long
const SHARED_MS = 50; // what was asked for so long ago is still new
const PAUSE_MS = 2000; // between two refreshes of an element
const PAGE_MS = 30_000; // a page that takes longer does not come
const AGAIN_MS = 15_000; // after one that did not come
const SAID_MS = 5000; // so long it takes to read what an action has said
const GONE = "gone";
const LOG_LIMIT = 4 * 1024 * 1024; // characters shown; older ones are dropped

// ---- live elements ----

const asked = new Map(); // by address: when, and the promise of the page

const underway = new Set(); // requests for pages

// null: the server cannot tell at present. A page that says what was typed wrongly (400) is whole.
async function fetchPage(address) {
  const abort = new AbortController();
  const timer = setTimeout(() => abort.abort(), PAGE_MS);
  underway.add(abort);
  try {
    const reply = await fetch(address, { headers: { Accept: "text/html" }, signal: abort.signal });
    if (reply.status === 404 || reply.status === 410) return GONE;
    if (!reply.ok && reply.status !== 400) return null;
    return new DOMParser().parseFromString(await reply.text(), "text/html");
  } finally {
    clearTimeout(timer);
    underway.delete(abort);
  }
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

// Whether the server has told.
async function refresh(state) {
  const { element } = state;
  element.setAttribute("aria-busy", "true");
  try {
    let address, page;
    do { // a filter may change the page's address meanwhile, and what it shows
      address = addressOf(element);
      page = await getPage(address);
    } while (address !== addressOf(element));
    if (page === null) return false;
    if (new URL(address).pathname === location.pathname) tellGone(page === GONE);
    if (page !== GONE) take(state, page);
    return true;
  } catch {
    return false; // it is away, or too slow
  } finally {
    element.removeAttribute("aria-busy");
  }
}

function take(state, page) {
  const fresh = page.getElementById(state.element.id);
  if (fresh) show(state, fresh);
  else tell("lacking", "A part of this page is not kept up to date any more: load it again.");
}

function show(state, fresh) {
  const { changed, held } = patch(state.element, fresh);
  state.held = held;
  if (!changed) return;
  document.dispatchEvent(new CustomEvent("panoply:shown", { detail: state.element }));
  if (state.element.id === "head") forgetSaid();
}

// ---- what is told ----

function tell(id, words) {
  if (document.getElementById(id)) return;
  const note = document.createElement("p");
  note.id = id;
  note.className = "what-happened";
  note.setAttribute("role", "alert");
  note.textContent = words;
  document.getElementById("main").prepend(note);
}

function tellGone(isGone) {
  if (!isGone) document.getElementById("gone")?.remove();
  else tell("gone", "This is gone: it was deleted while the page was open. What stands here is how it was last.");
}

// What an action has said is old when the state that it speaks of has changed.
function forgetSaid() {
  setTimeout(() => document.querySelector(".said")?.remove(), Math.max(0, SAID_MS - performance.now()));
}

// ---- when ----

// At most one refresh runs, and at most one more waits for its turn.
function schedule(state) {
  state.due = true;
  clearTimeout(state.again);
  if (state.busy) return;
  state.busy = true;
  const wait = Math.max(QUIET_MS, state.last + PAUSE_MS - Date.now());
  setTimeout(async () => {
    state.due = false;
    const hasCome = await refresh(state);
    state.last = Date.now();
    state.busy = false;
    if (state.due) schedule(state);
    else if (!hasCome) state.again = setTimeout(() => document.hidden || schedule(state), AGAIN_MS);
  }, wait);
}

// What is underway may be so on a connection that is dead.
function scheduleAll(states) {
  for (const abort of underway) abort.abort();
  states.forEach(schedule);
}

function wants(state, { kind, facts }) {
  const { liveBuild, liveAgent } = state.element.dataset;
  if (liveBuild && facts?.build !== undefined && String(facts.build) !== liveBuild) return false;
  if (liveAgent && facts?.agent !== undefined && facts.agent !== liveAgent) return false;
  return state.kinds.length === 0 || state.kinds.some((begin) => kind.startsWith(begin));
}

function followAll(elements) {
  const states = elements.map((element) => ({
    element,
    kinds: (element.dataset.liveKinds ?? "").split(" ").filter(Boolean),
    due: false,
    busy: false,
    held: false, // something in it is selected, and stays as it is meanwhile
    last: 0,
    again: 0, // a timer, after a refresh that failed
  }));
  followEvents({
    receive: (event) => states.filter((state) => wants(state, event)).forEach(schedule),
    catchUp: () => scheduleAll(states),
  });
  document.addEventListener("selectionchange", () => {
    states.filter((state) => state.held && !isSelected(state.element)).forEach(schedule);
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

// They may come with a live element.
function followLogs() {
  for (const log of document.querySelectorAll("[data-follow]:not([data-taken])")) {
    for (const taken of [log, log.closest("[data-keep]")]) if (taken) taken.dataset.taken = "yes";
    tail(log.parentElement, log.dataset.follow, Number(log.dataset.followFrom), (text) => append(log, text));
  }
}

// ---- start ----

const live = [...document.querySelectorAll("[data-live][id]")];
if (live.length > 0) followAll(live);
followLogs();
document.addEventListener("panoply:shown", followLogs);
