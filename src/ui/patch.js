// SPDX-License-Identifier: GPL-3.0-or-later
// Makes a part of the page be as a fresh one, touching only what differs: rows that stay keep
// their focus, their place and what is selected in them. What is selected is not changed under the
// reader's hand: it is held as it is, and the caller told.
//
// <div data-keep="KEY">: once a script has taken it (data-taken), it is the script's for as long as
// the fresh page has the same key there.

const UNITS = "tr, li, p, dt, dd, h1, h2, h3, pre, figure, summary, nav, form"; // held whole
const OF_READER = new Set(["open", "data-copies", "data-taken", "aria-busy"]); // attributes

const LISTS = "table, thead, tbody, tr, ul, ol, dl"; // where space between children means nothing

// Made by copy.js.
const isExtra = (node) => node.nodeType === Node.ELEMENT_NODE && node.matches("button.copy");

function childrenOf(parent) {
  const isList = parent.matches(LISTS);
  return [...parent.childNodes].filter((node) =>
    !isExtra(node) && !(isList && node.nodeType === Node.TEXT_NODE && node.data.trim() === ""));
}

// What a node looks like, but for what scripts and readers do to it: times.js, copy.js, folds.
function looks(node) {
  if (node.nodeType !== Node.ELEMENT_NODE) return node.data ?? "";
  return node.outerHTML.replace(/<button type="button" class="copy".*?<\/button>/gs, "")
    .replaceAll(' data-copies="yes"', "").replace(/(<time[^>]*>)[^<]*/g, "$1")
    .replace(/(<details[^>]*?) open=""/g, "$1");
}

// By what a node is known again when it has changed.
function keyOf(node) {
  if (node.nodeType !== Node.ELEMENT_NODE) return "";
  if (node.dataset.keep) return `keep ${node.dataset.keep}`; // another key, another thing
  if (node.id) return `#${node.id}`;
  return node.matches("tr, li") ? (node.querySelector("a[href]")?.getAttribute("href") ?? "") : "";
}

export function isSelected(node) {
  const selection = getSelection();
  return !selection.isCollapsed && selection.rangeCount > 0 && selection.getRangeAt(0).intersectsNode(node);
}

function syncAttributes(old, fresh) {
  for (const { name } of [...old.attributes])
    if (!fresh.hasAttribute(name) && !OF_READER.has(name)) old.removeAttribute(name);
  for (const { name, value } of fresh.attributes)
    if (old.getAttribute(name) !== value && !OF_READER.has(name)) old.setAttribute(name, value);
}

// Pairs fresh nodes with old ones: those that look the same, then those with the same key, then
// what is of the same kind and has no key, in their order.
function pair(olds, news) {
  const pairs = new Map();
  const left = new Set(olds);
  const take = (fresh, old) => {
    if (!old) return;
    pairs.set(fresh, old);
    left.delete(old);
  };
  const pairBy = (word) => {
    const known = new Map(); // by word: a list in order
    for (const old of left) {
      const named = word(old);
      if (named === null) continue;
      if (!known.has(named)) known.set(named, []);
      known.get(named).push(old);
    }
    for (const fresh of news) if (!pairs.has(fresh)) take(fresh, known.get(word(fresh))?.shift());
  };
  pairBy((node) => `${node.nodeName} ${looks(node)}`);
  pairBy((node) => (keyOf(node) === "" ? null : `${node.nodeName} ${keyOf(node)}`));
  pairBy((node) => (keyOf(node) === "" ? node.nodeName : null));
  return pairs;
}

function patchNode(old, fresh, found) {
  if (looks(old) === looks(fresh)) return;
  const isElement = old.nodeType === Node.ELEMENT_NODE;
  if (isElement && old.dataset.taken && old.dataset.keep === fresh.dataset.keep) return;
  if ((!isElement || old.matches(UNITS)) && isSelected(old)) {
    found.held = true;
    return;
  }
  found.changed = true;
  if (!isElement) {
    old.data = fresh.data;
    return;
  }
  syncAttributes(old, fresh);
  patchChildren(old, fresh, found);
}

function patchChildren(parent, fresh, found) {
  const olds = childrenOf(parent);
  const news = childrenOf(fresh);
  const pairs = pair(olds, news);
  const staying = new Set(pairs.values());
  for (const old of olds) {
    if (staying.has(old)) continue;
    if (isSelected(old)) {
      found.held = true;
      continue;
    }
    found.changed = true;
    if (old.nextSibling && isExtra(old.nextSibling)) old.nextSibling.remove();
    old.remove();
  }
  let cursor = parent.firstChild;
  for (const node of news) {
    const old = pairs.get(node);
    while (cursor && cursor !== old && !staying.has(cursor)) cursor = cursor.nextSibling;
    if (!old) {
      found.changed = true;
      parent.insertBefore(document.importNode(node, true), cursor);
      continue;
    }
    if (old === cursor) cursor = cursor.nextSibling;
    else if (isSelected(old)) found.held = true;
    else parent.insertBefore(old, cursor);
    patchNode(old, node, found);
  }
}

// Whoever stands on a link or button that goes with the keyboard is led to the one in its place.
function placeOf(element) {
  if (element.id) return `#${CSS.escape(element.id)}`;
  const href = element.getAttribute("href");
  return href === null ? null : `a[href="${CSS.escape(href)}"]`;
}

// ELEMENT's children become those of FRESH. Returns whether any CHANGED, and whether some are HELD.
export function patch(element, fresh) {
  const found = { changed: false, held: false };
  const active = element.contains(document.activeElement) ? document.activeElement : null;
  const place = active && placeOf(active);
  patchChildren(element, fresh, found);
  if (place && !active.isConnected) element.querySelector(place)?.focus({ preventScroll: true });
  return found;
}
