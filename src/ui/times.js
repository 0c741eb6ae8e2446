// SPDX-License-Identifier: GPL-3.0-or-later
// Keeps "3 minutes ago" true while a page is open. The words are those of src/ui/filters.c.

const LOOK_MS = 10_000;
const UNITS = [["year", 365 * 86400], ["month", 30 * 86400], ["day", 86400], ["hour", 3600],
  ["minute", 60], ["second", 1]];

let ahead = 0; // the clock here is before the server's, in milliseconds

// DATE: of a reply's head.
export function noteServerTime(date) {
  const time = Date.parse(date ?? "");
  if (!Number.isNaN(time)) ahead = Date.now() - time;
}

// IS_AGE: how long it has lasted, not when it was.
function words(time, isAge) {
  const span = (Date.now() - ahead - time) / 1000;
  for (const [name, size] of UNITS) {
    if (Math.abs(span) < size) continue;
    const number = span < 0 ? Math.round(-span / size) : Math.floor(span / size);
    const count = `${number} ${name}${number === 1 ? "" : "s"}`;
    if (isAge) return span < 0 ? "a moment" : count;
    return span < 0 ? `in ${count}` : `${count} ago`;
  }
  return isAge ? "a moment" : "now";
}

function look() {
  if (document.hidden) return;
  for (const element of document.querySelectorAll("time[datetime]")) {
    const text = words(Date.parse(element.dateTime), "age" in element.dataset);
    if (element.textContent !== text) element.textContent = text;
  }
}

setInterval(look, LOOK_MS);
document.addEventListener("visibilitychange", look);
