// SPDX-License-Identifier: GPL-3.0-or-later
// Keeps what a page shows up to date. An element with data-live="build. agent."
// is fetched again when an event of these kinds happens; one with data-log="URL"
// is filled with the log behind URL as it grows. Without this script, pages show
// the same facts and are reloaded by hand.

const GATHER_MS = 300; // several events, one fetch
const LOG_KEPT = 500000; // characters of a followed log on the page

function say(text) {
  const place = document.getElementById("live");
  place.textContent = text;
  place.hidden = text === "";
}

async function refresh() {
  const reply = await fetch(location.href, { headers: { Accept: "text/html" } });
  if (!reply.ok) return;
  const page = new DOMParser().parseFromString(await reply.text(), "text/html");
  const fresh = page.querySelectorAll("[data-live]");
  document.querySelectorAll("[data-live]").forEach((old, index) => {
    if (fresh[index] && fresh[index].innerHTML !== old.innerHTML) old.innerHTML = fresh[index].innerHTML;
  });
}

function watchEvents() {
  const kinds = new Set();
  for (const element of document.querySelectorAll("[data-live]"))
    for (const kind of element.dataset.live.split(" ")) kinds.add(kind);
  if (kinds.size === 0) return;

  let timer = null;
  const feed = new EventSource("/api/panoply/v1/events");
  const happened = (event) => {
    const kind = JSON.parse(event.data).kind ?? event.type;
    if (timer !== null || ![...kinds].some((start) => kind.startsWith(start))) return;
    timer = setTimeout(() => {
      timer = null;
      refresh();
    }, GATHER_MS);
  };
  feed.onmessage = happened;
  feed.onopen = () => say("live");
  feed.onerror = () => say("connection lost, trying again");
}

async function followLog(element) {
  const reply = await fetch(element.dataset.log);
  if (!reply.ok || !reply.body) return;
  element.textContent = "";
  const reader = reply.body.pipeThrough(new TextDecoderStream()).getReader();
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    const atEnd = element.scrollHeight - element.scrollTop - element.clientHeight < 40;
    element.append(value);
    if (element.textContent.length > LOG_KEPT) element.textContent = element.textContent.slice(-LOG_KEPT);
    if (atEnd) element.scrollTop = element.scrollHeight;
  }
}

watchEvents();
for (const element of document.querySelectorAll("[data-log]")) followLog(element);
