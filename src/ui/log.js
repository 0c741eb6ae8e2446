// SPDX-License-Identifier: GPL-3.0-or-later
// Logs: marks the lines that the address names, and shows what a live one is told next.
// Logs are whole pages without this.
//
// <div data-keep="log-77" data-lines-at="/builds/7/log?attempt=77">, which holds the log:
//   the numbers of its lines lead to that address. On a page of its own it is `folds`: the numbers
//   mark lines there.
// <pre class="log lines" data-log="URL" data-from="BYTE" data-line="12" data-begun="yes" data-style="c1">
//   goes on with line 12, which begins at that byte of the log; begun: a part of it is shown.
// <span data-tells="size">, "lines" or "range": how much of it there is, kept true as it grows.
//
// What terminals are told is read as src/serve/ansi.c does; the two must agree.

import { STEERING, tail } from "./tail.js";

const LINES_MAX = 20000; // shown; older ones are dropped
const LINE_MAX = 64 * 1024; // characters of one; what follows them is not shown
const GREY = 8;

// ---- colours ----

const LEVELS = [0, 95, 135, 175, 215, 255];

function basic(index) {
  if (index === 8) return GREY;
  return index % 8 === 7 ? 0 : index % 8;
}

function mixed(red, green, blue) {
  const high = Math.max(red, green, blue);
  const low = Math.min(red, green, blue);
  const middle = Math.floor((high + low) / 2);
  if (high - low < 48) return middle > 64 && middle < 180 ? GREY : 0;
  return (red > middle) | ((green > middle) << 1) | ((blue > middle) << 2);
}

function palette(index) {
  if (index > 255) return 0;
  if (index < 16) return basic(index);
  if (index >= 232) return mixed(...Array(3).fill((index - 232) * 10 + 8));
  const at = index - 16;
  return mixed(LEVELS[Math.floor(at / 36)], LEVELS[Math.floor(at / 6) % 6], LEVELS[at % 6]);
}

const PLAIN = { ink: 0, paper: 0, bold: false, italic: false, underlined: false, inverse: false };

// 38 or 48 at AT; returns the colour and where it ends.
function extended(numbers, at) {
  const left = numbers.length - at - 1;
  if (left >= 2 && numbers[at + 1] === 5) return [palette(numbers[at + 2]), at + 2];
  if (left >= 4 && numbers[at + 1] === 2)
    return [mixed(...numbers.slice(at + 2, at + 5).map((number) => number & 255)), at + 4];
  return [undefined, numbers.length];
}

const SIMPLE = {
  0: PLAIN,
  1: { bold: true },
  2: { ink: GREY },
  3: { italic: true },
  4: { underlined: true },
  7: { inverse: true },
  22: { bold: false },
  23: { italic: false },
  24: { underlined: false },
  27: { inverse: false },
  39: { ink: 0 },
  49: { paper: 0 },
};

function applyOne(style, number) {
  if (number in SIMPLE) Object.assign(style, SIMPLE[number]);
  else if (number >= 30 && number <= 37) style.ink = basic(number - 30);
  else if (number >= 40 && number <= 47) style.paper = basic(number - 40);
  else if (number >= 90 && number <= 97) style.ink = basic(number - 82);
  else if (number >= 100 && number <= 107) style.paper = basic(number - 92);
}

function apply(style, numbers) {
  for (let i = 0; i < numbers.length; i++) {
    if (numbers[i] !== 38 && numbers[i] !== 48) {
      applyOne(style, numbers[i]);
      continue;
    }
    const [colour, end] = extended(numbers, i);
    if (colour !== undefined) style[numbers[i] === 38 ? "ink" : "paper"] = colour;
    i = end;
  }
}

function classesOf(style) {
  const paper = style.inverse ? style.ink || GREY : style.paper;
  const colour = paper ? `p${paper}` : style.ink ? `c${style.ink}` : "";
  return [colour, style.bold && "bold", style.italic && "italic", style.underlined && "underlined"]
    .filter(Boolean)
    .join(" ");
}

// The other way, for the style in which the page has ended.
function styleOf(classes) {
  const style = { ...PLAIN };
  for (const word of classes.split(" ")) {
    if (/^c\d$/.test(word)) style.ink = Number(word[1]);
    else if (/^p\d$/.test(word)) style.paper = Number(word[1]);
    else if (word in style) style[word] = true;
  }
  return style;
}

// ---- lines ----

// An escape: with parameters and a final byte, with a text, or short.
const ESCAPE =
  /\x1b(?:\[([\x30-\x3f]*)([\x20-\x2f]*)([\x40-\x7e]?)|[\]P_^X](?:[^\x07\x1b]*)(?:\x07|\x1b\\)?|[\x20-\x2f]*[\x30-\x7e]?)/g;

function put(element, text, style) {
  if (text === "") return;
  const shown = text.replace(STEERING, "\ufffd");
  const classes = classesOf(style);
  if (classes === "") {
    element.append(shown);
    return;
  }
  const span = document.createElement("span");
  span.className = classes;
  span.textContent = shown;
  element.append(span);
}

function putText(element, line, style) {
  const text = line.replace(/\r+$/, "").replace(/^.*\r/s, "");
  let end = 0;
  for (const found of text.matchAll(ESCAPE)) {
    put(element, text.slice(end, found.index), style);
    end = found.index + found[0].length;
    const [, parameters, between, final] = found;
    if (final === "m" && between === "" && /^[\d;:]*$/.test(parameters))
      apply(style, parameters.split(/[;:]/).slice(0, 32).map(Number));
  }
  put(element, text.slice(end), style);
}

function addressOfLines(log, first, last = first) {
  const [line, fragment] = first === last ? [first, `L${first}`] : [`${first}-${last}`, `L${first}-L${last}`];
  return `${log.dataset.linesAt}&line=${line}#${fragment}`;
}

function makeLine(log, number, text, style) {
  const line = document.createElement("span");
  const link = document.createElement("a");
  line.id = `L${number}`;
  link.href = addressOfLines(log, number);
  link.tabIndex = -1;
  link.textContent = number;
  line.append(link, " ");
  putText(line, text, style);
  line.append(text.length < LINE_MAX ? "\n" : " …\n");
  return line;
}

// ---- following ----

// As guix's build systems say, and src/serve/log_scan.c reads.
const BEGINS = /^starting phase `([^']{1,63})'/;
const PHASES_MAX = 100; // as there
const ENDS = /^phase `([^']{1,63})' (succeeded|failed) after (\d+(?:\.\d)?)/;

function makeMark(state) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  const use = document.createElementNS("http://www.w3.org/2000/svg", "use");
  const place = document.createElement("span");
  svg.setAttribute("class", "mark");
  svg.setAttribute("aria-hidden", "true");
  use.setAttribute("href", `/static/marks.svg#${state}`);
  svg.append(use);
  place.className = "state";
  place.dataset.state = place.title = state;
  place.append(svg);
  return place;
}

function tellPhase(summary, name, state, seconds) {
  const more = document.createElement("span");
  more.className = "quiet";
  more.textContent = seconds === undefined ? "" : `${seconds} s`;
  summary.replaceChildren(makeMark(state), ` ${name.replace(STEERING, "\ufffd")} `, more);
}

// The element for what comes after LINE, when that begins a phase.
function beginPhase(element, line) {
  const name = BEGINS.exec(line)?.[1];
  const folds = element.closest(".folds");
  if (!name || !folds || folds.querySelectorAll(".phase").length >= PHASES_MAX) return element;
  const details = document.createElement("details");
  const summary = document.createElement("summary");
  const lines = document.createElement("pre");
  details.className = "phase";
  details.open = true;
  tellPhase(summary, name, "running");
  lines.className = element.className;
  lines.tabIndex = 0;
  details.append(summary, lines);
  folds.append(details);
  return lines;
}

function endPhase(element, line) {
  const [, name, state, seconds] = ENDS.exec(line) ?? [];
  const summary = name && element.closest(".phase")?.querySelector("summary");
  if (summary) tellPhase(summary, name, state, seconds);
}

const number = (value) => value.toLocaleString("en");
const count = (value, one, many) => `${number(value)} ${value === 1 ? one : many}`;

// As ui_filter_bytes of src/ui/filters.c.
function bytes(size) {
  if (size < 1024) return count(size, "byte", "bytes");
  let value = size / 1024;
  let unit = 0;
  for (; value >= 1023.95 && unit < 5; unit++) value /= 1024;
  return `${value.toFixed(value < 9.95 ? 1 : 0)} ${["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"][unit]}`;
}

// How much there is, wherever the page tells it.
function tellSize(log, lines, size) {
  const first = log.querySelector("pre > [id]")?.id.slice(1);
  const words = {
    size: `${count(lines, "line", "lines")}, ${bytes(size)}`,
    lines: number(lines),
    range: first ? `${number(Number(first))} to ${number(lines)}` : "",
  };
  for (const place of document.querySelectorAll("[data-tells]")) {
    const text = words[place.dataset.tells];
    if (place.textContent !== text) place.textContent = text;
  }
}

// What there is to know of a line that is drawn anew again and again: from the last return on that
// is not its end. That one stays, for a phase begins where a line does.
function lastWriting(line) {
  let end = line.length;
  while (end > 0 && line[end - 1] === "\r") end--;
  const last = line.slice(Math.max(0, line.lastIndexOf("\r", end - 1)));
  return last.length <= LINE_MAX ? last : last.slice(0, LINE_MAX) + (end < line.length ? "\r" : "");
}

// Feeds the text of a log, in any pieces, into its element.
function follower(log, first) {
  let element = first; // the last one
  let line = Number(element.dataset.line);
  let style = styleOf(element.dataset.style ?? "");
  let rest = ""; // of a line that is not whole, shown all the same
  let shown = element.dataset.begun === "yes" ? element.lastElementChild : null;
  const show = (text, after) => {
    shown?.remove();
    shown = makeLine(log, line, text, after);
    element.append(shown);
  };
  return (added, from) => {
    const atEnd = isAtEnd(element);
    const before = rest;
    const lines = (rest + added).split("\n").map(lastWriting);
    rest = lines.pop();
    for (const text of lines) {
      element = beginPhase(element, text);
      show(text, style);
      endPhase(element, text);
      shown = null;
      line += 1;
    }
    if (rest !== "" && (shown === null || rest !== before)) show(rest, { ...style });
    while (element.childElementCount > LINES_MAX) element.firstElementChild.remove();
    ensureStop(log);
    tellSize(log, rest === "" ? line - 1 : line, from);
    if (atEnd) goToEnd(element);
  };
}

// A log of its own page is as long as the page; others scroll in themselves.
function isWhole(element) {
  return element.classList.contains("whole");
}

function isAtEnd(element) {
  const box = isWhole(element) ? document.documentElement : element;
  return box.scrollHeight - box.scrollTop - box.clientHeight < (isWhole(element) ? 200 : 40);
}

function goToEnd(element) {
  const box = isWhole(element) ? document.documentElement : element;
  box.scrollTop = box.scrollHeight;
}

// ---- marking: #L12, #L12-L20 ----

function markedByAddress() {
  const found = /^#L(\d+)(?:-L(\d+))?$/.exec(location.hash);
  return found && [Number(found[1]), Number(found[2] ?? found[1])];
}

const lineOf = (link) => Number(link.parentElement.id.slice(1));
const linkOf = (line) => line.firstElementChild;
const LINE_LINK = "pre.lines > span > a:first-child";

function mark(log, scrolls) {
  const range = markedByAddress();
  if (range === null) return;
  for (const line of log.querySelectorAll(".marked")) line.classList.remove("marked");
  const [first, last] = range;
  for (let number = first; number <= Math.min(last, first + LINES_MAX); number++)
    log.querySelector(`#L${number}`)?.classList.add("marked");
  const line = log.querySelector(`#L${first}`);
  line?.closest("details")?.setAttribute("open", "");
  if (line) makeStop(log, linkOf(line));
  if (scrolls) line?.scrollIntoView({ block: "center" });
}

// A line that is not in the window is asked for; one that there is not, once.
function goBeyond(log) {
  const [first, last] = markedByAddress() ?? [];
  if (!first || log.querySelector(`#L${first}`)) return;
  const address = new URL(addressOfLines(log, first, last), location.href);
  if (new URLSearchParams(location.search).get("line") !== address.searchParams.get("line"))
    location.replace(address);
}

let start = markedByAddress()?.[0]; // of a range

function markTo(log, number, isRange) {
  const other = isRange && start ? start : number;
  if (!isRange) start = number;
  history.replaceState(null, "", addressOfLines(log, Math.min(other, number), Math.max(other, number)));
  mark(log, false);
}

const folds = () => document.querySelector(".folds");

// A click marks a line, one with Shift a range from the line marked before.
document.addEventListener("click", (event) => {
  const link = event.target.closest(LINE_LINK);
  const log = link?.closest(".folds");
  if (!log || event.ctrlKey || event.metaKey) return;
  event.preventDefault();
  markTo(log, lineOf(link), event.shiftKey);
});

addEventListener("hashchange", () => {
  const log = folds();
  if (!log) return;
  mark(log, true);
  goBeyond(log);
});

// ---- the keyboard: one stop for all lines, arrow keys from line to line ----

function makeStop(log, link) {
  for (const other of log.querySelectorAll(`${LINE_LINK}[tabindex="0"]`)) other.tabIndex = -1;
  link.tabIndex = 0;
}

function ensureStop(log) {
  const link = log.querySelector(`${LINE_LINK}[tabindex="0"]`) ? null : log.querySelector(LINE_LINK);
  if (link) makeStop(log, link);
}

// The line that is STEP lines on, over folds that are closed; else the last before.
function lineFrom(log, line, step) {
  const shown = [...log.querySelectorAll("pre.lines")].filter((pre) => !pre.closest("details:not([open])"));
  const lines = shown.flatMap((pre) => [...pre.children]).filter((child) => child.id);
  const at = lines.indexOf(line) + step;
  return lines[Math.max(0, Math.min(lines.length - 1, at))];
}

const STEPS = { ArrowDown: 1, ArrowUp: -1, PageDown: 25, PageUp: -25, Home: -Infinity, End: Infinity };

document.addEventListener("keydown", (event) => {
  const step = STEPS[event.key];
  const link = event.target.closest?.(LINE_LINK);
  const log = link?.closest("[data-lines-at]");
  if (!log || step === undefined || event.ctrlKey || event.metaKey || event.altKey) return;
  event.preventDefault();
  const line = lineFrom(log, link.parentElement, step);
  if (event.shiftKey && log.matches(".folds")) {
    start ??= lineOf(link);
    markTo(log, Number(line.id.slice(1)), true);
  }
  makeStop(log, linkOf(line));
  linkOf(line).focus({ preventScroll: true });
  line.scrollIntoView({ block: "nearest" });
});

// ---- start ----

const taken = new Map(); // logs that are followed: what ends that

function follow(log, element) {
  const abort = new AbortController();
  taken.set(log, abort);
  if (!markedByAddress()) goToEnd(element);
  tail(log, element.dataset.log, Number(element.dataset.from), follower(log, element), abort.signal);
}

// Logs come and go with what live.js shows.
function look() {
  for (const [log, abort] of taken) {
    if (log.isConnected) continue;
    abort.abort();
    taken.delete(log);
  }
  for (const log of document.querySelectorAll("[data-lines-at]")) {
    ensureStop(log);
    for (const part of document.querySelectorAll(`[data-keep="${log.dataset.keep}"]`)) part.dataset.taken = "yes";
    const element = log.querySelector("pre[data-log]");
    if (element && !taken.has(log)) follow(log, element);
  }
}

for (const element of document.querySelectorAll("pre.lines")) if (!isWhole(element)) goToEnd(element);
look();
document.addEventListener("panoply:shown", look);
if (folds()) {
  mark(folds(), true);
  goBeyond(folds());
}
