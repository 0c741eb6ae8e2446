// SPDX-License-Identifier: GPL-3.0-or-later
// All jobs of an evaluation as a field of small squares. The list below it says the same,
// and is what there is without this script.
//
// <form id="filter"><input name="name">...</form>
// <div id="matrix" data-matrix="/evaluations/7/matrix?against=" data-show="" hidden></div>
// <div id="list">...</div>
//
// Typing narrows the field at once and, after a pause, the list.

const PAUSE_MS = 300; // after the last key, before the list is asked for
const STATES_MS = 3000; // between two looks at the states
const STATE_WORDS = {
  s: "succeeded", f: "failed", d: "dependency-failed", r: "running", w: "waiting",
  c: "cancelled", "-": "removed",
};
const CHANGE_WORDS = { b: "broken", x: "fixed", f: "still failing", a: "new" };
const PAPERS = { s: "good", f: "bad", d: "bad", r: "busy", w: "", c: "warn", "-": "" };
const LEGEND = [["s", "."], ["x", "x"], ["f", "b"], ["f", "."], ["d", "."], ["r", "."], ["w", "."],
  ["c", "."], ["s", "a"]];
// What the page's `show` means: letters of changes, letters of states.
const SHOWS = {
  "": ["", "sfdrwc"], broken: ["b", ""], fixed: ["x", ""], failing: ["f", ""], added: ["a", ""],
  removed: ["r", ""], changed: ["bxar", ""], unfinished: ["", "wr"], waiting: ["", "w"],
  running: ["", "r"], succeeded: ["", "s"], failed: ["", "f"], "dependency-failed": ["", "d"],
  cancelled: ["", "c"],
};

const holder = document.getElementById("matrix");
const filter = document.getElementById("filter");

// ---- squares ----

function colours() {
  const style = getComputedStyle(document.documentElement);
  return (role) => style.getPropertyValue(`--${role}`).trim();
}

// State by pattern: what succeeded is plain and pale, the others have an edge and a cross,
// a stroke, half a square, nothing, a bar. What changed is inverted, what is new has a corner.
function drawSquare(context, state, change, x, y, size, colour) {
  const role = PAPERS[state];
  const strong = change === "b" || change === "x";
  const ink = colour(role || "quiet");
  const line = Math.max(1, Math.round(size / 7));
  const end = size - line / 2;
  context.save();
  context.translate(x, y);
  context.lineWidth = line;
  const plain = state === "s" && !strong;
  context.fillStyle = strong || plain ? ink : colour(role ? `${role}-paper` : "paper");
  context.strokeStyle = ink;
  context.globalAlpha = plain ? 0.35 : 1;
  context.fillRect(0, 0, size, size);
  context.globalAlpha = 1;
  if (state === "w") context.strokeStyle = colour("edge");
  if (!plain) context.strokeRect(line / 2, line / 2, size - line, size - line);
  context.strokeStyle = strong ? colour("paper") : ink;
  context.fillStyle = context.strokeStyle;
  context.beginPath();
  if (state === "f" || state === "d") { context.moveTo(line, end - line / 2); context.lineTo(end - line / 2, line); }
  if (state === "f") { context.moveTo(line, line); context.lineTo(end - line / 2, end - line / 2); }
  if (state === "c" || state === "-") { context.moveTo(0, size / 2); context.lineTo(size, size / 2); }
  context.stroke();
  if (state === "r") context.fillRect(0, 0, size / 2, size);
  if (change === "x") context.fillRect(size / 3, size / 3, size / 3, size / 3);
  if (change === "a") {
    context.fillStyle = colour("quiet");
    context.beginPath();
    context.moveTo(size * 0.6, 0);
    context.lineTo(size, 0);
    context.lineTo(size, size * 0.4);
    context.fill();
  }
  context.restore();
}

// The kind of a square is one number; its pixels, with the gap beside it, are made once for
// a size and copied, for ten thousand calls of drawImage take longer than a key stroke may.
const STATES = Object.keys(STATE_WORDS);
const CHANGES = [".", "b", "x", "a"];

function kindOf(state, change) {
  return STATES.indexOf(state) * CHANGES.length + Math.max(0, CHANGES.indexOf(change));
}

function makeSquares(step, gap) {
  const canvas = document.createElement("canvas");
  const colour = colours();
  canvas.width = canvas.height = step;
  const context = canvas.getContext("2d", { willReadFrequently: true });
  return STATES.flatMap((state) => CHANGES.map((change) => {
    context.clearRect(0, 0, step, step);
    drawSquare(context, state, change, 0, 0, step - gap, colour);
    return new Uint32Array(context.getImageData(0, 0, step, step).data.buffer);
  }));
}

// ---- the field ----

class Matrix {
  constructor(element) {
    this.element = element;
    this.show = SHOWS[element.dataset.show] ?? SHOWS[""];
    this.text = "";
    this.at = 0; // among those shown
    this.shown = new Int32Array(0);
    this.made = new Map(); // squares by their size: making them takes longer than a frame
    this.view = this.make("div", "matrix-view", element);
    this.canvas = this.make("canvas", "", this.view);
    this.room = this.make("div", "matrix-room", this.view);
    this.line = this.make("p", "matrix-line", element);
    this.legend = this.make("ul", "matrix-legend", element);
    this.view.tabIndex = 0;
    this.view.setAttribute("role", "application");
    this.view.setAttribute("aria-label", "All jobs: arrow keys move, Enter opens the build");
    this.view.setAttribute("aria-describedby", "matrix-line");
    this.canvas.setAttribute("aria-hidden", "true");
    this.line.id = "matrix-line";
    this.line.setAttribute("role", "status");
    this.view.hidden = true; // until there are jobs to move among
    this.listen();
  }

  make(tag, name, parent) {
    const element = document.createElement(tag);
    if (name) element.className = name;
    parent.append(element);
    return element;
  }

  listen() {
    this.view.addEventListener("scroll", () => this.paint(), { passive: true });
    this.view.addEventListener("keydown", (event) => this.press(event));
    this.view.addEventListener("focus", () => { this.tell(); this.paint(); });
    this.view.addEventListener("blur", () => this.paint());
    this.view.addEventListener("pointermove", (event) => this.point(event));
    this.view.addEventListener("click", (event) => { if (this.point(event)) this.open(); });
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
      this.squares = null;
      this.made.clear();
      this.legend.replaceChildren();
      this.lay();
    });
    new ResizeObserver(() => this.measure()).observe(this.element);
  }

  take(data) {
    if (data.names) {
      this.names = data.names;
      this.ending = data.ending;
      this.builds = data.builds;
      this.folded = data.names.map((name) => (name + data.ending).toLowerCase());
    }
    this.states = data.states;
    this.changes = data.changes;
    this.kinds = Uint8Array.from(data.states, (state, i) => kindOf(state, data.changes[i]));
    this.wanted = this.pick();
    this.element.hidden = this.names.length === 0;
    this.view.hidden = false;
    this.sift();
  }

  // ---- what is shown ----

  // The jobs that the page's `show` means, whatever their names.
  pick() {
    const [changes, states] = this.show;
    const picked = new Int32Array(this.names.length);
    let count = 0;
    for (let i = 0; i < picked.length; i++)
      if (states.includes(this.states[i]) || changes.includes(this.changes[i])) picked[count++] = i;
    return picked.subarray(0, count);
  }

  // FROM: what holds all that can be shown.
  sift(from = this.wanted) {
    const { folded, text } = this;
    this.shown = text === "" ? from : from.filter((job) => folded[job].includes(text));
    this.at = Math.min(this.at, Math.max(0, this.shown.length - 1));
    this.lay();
  }

  narrow(text) {
    const before = this.text;
    this.text = text.toLowerCase();
    this.at = 0;
    this.view.scrollTop = 0;
    this.sift(this.text.includes(before) ? this.shown : this.wanted);
    this.count();
  }

  count() {
    const count = this.shown.length;
    this.line.textContent = count === 0 ? "No job is like that."
      : `${count.toLocaleString("en")} ${count === 1 ? "job" : "jobs"}: point at one, or move with the arrow keys`;
  }

  // ---- drawing ----

  measure() {
    const width = this.element.clientWidth - 12; // a scroll bar
    const most = Math.round(innerHeight * 0.6); // as panoply.css has it
    if (width === this.width && most === this.most && devicePixelRatio === this.ratio) return;
    this.width = width;
    this.most = most;
    this.lay();
  }

  lay() {
    const count = this.shown.length;
    if (!(this.width > 0) || !this.names) return;
    const size = count > 8000 ? 8 : count > 3000 ? 10 : count > 600 ? 14 : 18;
    const ratio = devicePixelRatio || 1;
    const step = Math.round(size * ratio); // device pixels
    if (!this.squares || step !== this.step || ratio !== this.ratio) {
      const made = this.made.get(`${step}/${ratio}`) ?? makeSquares(step, Math.max(1, Math.round(ratio)));
      this.made.set(`${step}/${ratio}`, made);
      this.squares = made;
      this.ink = colours()("ink");
    }
    this.step = step;
    this.ratio = ratio;
    if (this.legend.childElementCount === 0) this.explain();
    this.columns = Math.max(1, Math.floor(this.width * ratio / step));
    this.rows = Math.ceil(count / this.columns);
    const whole = this.rows * step / ratio;
    this.fit(this.columns * step, Math.round(Math.min(whole, this.most) * ratio));
    this.room.style.height = `${whole}px`;
    this.drawn = null;
    this.paint();
  }

  fit(width, height) {
    if (this.canvas.width === width && this.canvas.height === height) return;
    this.canvas.width = width;
    this.canvas.height = height;
    this.canvas.style.width = `${width / this.ratio}px`;
    this.canvas.style.height = `${height / this.ratio}px`;
    this.pixels = null;
  }

  // At the next frame, however often it is asked for.
  paint() {
    if (this.painting) return;
    this.painting = true;
    requestAnimationFrame(() => {
      this.painting = false;
      if (this.squares && this.canvas.width > 0 && this.canvas.height > 0) this.draw();
    });
  }

  draw() {
    const { step, columns, shown, kinds, squares } = this;
    const { width, height } = this.canvas;
    const context = this.canvas.getContext("2d");
    const top = Math.round(this.view.scrollTop * this.ratio);
    if (this.drawn === top) { // only the mark can be elsewhere
      this.erase(context);
      if (document.activeElement === this.view || this.pointed) this.mark(context, top);
      return;
    }
    this.drawn = top;
    this.marked = null;
    this.pixels ??= context.createImageData(width, height);
    const out = new Uint32Array(this.pixels.data.buffer);
    const firstRow = Math.floor(top / step);
    out.fill(0);
    for (let row = firstRow; row * step < top + height && row < this.rows; row++) {
      const from = Math.max(0, top - row * step);
      const to = Math.min(step, top + height - row * step);
      const end = Math.min(columns, shown.length - row * columns);
      for (let column = 0; column < end; column++) {
        const square = squares[kinds[shown[row * columns + column]]];
        for (let y = from; y < to; y++) {
          const place = (row * step - top + y) * width + column * step;
          for (let x = 0; x < step; x++) out[place + x] = square[y * step + x];
        }
      }
    }
    context.putImageData(this.pixels, 0, 0);
    if (document.activeElement === this.view || this.pointed) this.mark(context, top);
  }

  mark(context, top) {
    const { step, columns, at } = this;
    const line = Math.max(2, Math.round(2 * this.ratio));
    const [x, y] = [at % columns * step, Math.floor(at / columns) * step - top];
    context.strokeStyle = this.ink;
    context.lineWidth = line;
    context.strokeRect(x - line / 2, y - line / 2, step + line / 2, step + line / 2);
    this.marked = [x - 2 * line, y - 2 * line, step + 4 * line, step + 4 * line];
  }

  // Takes the mark away.
  erase(context) {
    if (this.marked) context.putImageData(this.pixels, 0, 0, ...this.marked);
    this.marked = null;
  }

  explain() {
    const colour = colours();
    const size = Math.round(14 * this.ratio);
    this.legend.replaceChildren(...LEGEND.map(([state, change]) => {
      const item = document.createElement("li");
      const canvas = this.make("canvas", "", item);
      canvas.width = canvas.height = size;
      canvas.style.width = canvas.style.height = "14px";
      canvas.setAttribute("aria-hidden", "true");
      const real = state === "x" ? "s" : state;
      drawSquare(canvas.getContext("2d"), real, change, 0, 0, size, colour);
      item.append(CHANGE_WORDS[change] ?? STATE_WORDS[real]);
      return item;
    }));
  }

  // ---- moving ----

  tell() {
    const job = this.shown[this.at];
    if (job === undefined) {
      this.line.textContent = "No job is like that.";
      return;
    }
    const change = CHANGE_WORDS[this.changes[job]];
    // What steers the direction of text would mix up the line.
    const name = (this.names[job] + this.ending).replace(/[\p{Cc}\u202a-\u202e\u2066-\u2069]/gu, "\ufffd");
    this.line.textContent =
      `${name}: ${STATE_WORDS[this.states[job]]}${change ? `, ${change}` : ""}`;
  }

  move(to) {
    this.at = Math.max(0, Math.min(to, this.shown.length - 1));
    const y = Math.floor(this.at / this.columns) * this.step / this.ratio;
    const height = this.canvas.height / this.ratio;
    if (y < this.view.scrollTop) this.view.scrollTop = y;
    else if (y + this.step / this.ratio > this.view.scrollTop + height)
      this.view.scrollTop = y + this.step / this.ratio - height;
    this.pointed = false;
    this.tell();
    this.paint();
  }

  press(event) {
    const page = Math.max(1, Math.floor(this.canvas.height / this.step)) * this.columns;
    const moves = {
      ArrowLeft: -1, ArrowRight: 1, ArrowUp: -this.columns, ArrowDown: this.columns,
      PageUp: -page, PageDown: page, Home: -Infinity, End: Infinity,
    };
    if (event.ctrlKey || event.altKey || event.metaKey) return;
    if (event.key === "Enter") this.open();
    else if (event.key in moves) this.move(this.at + moves[event.key]);
    else return;
    event.preventDefault();
  }

  // Whether a job is there.
  point(event) {
    const box = this.view.getBoundingClientRect();
    const column = Math.floor((event.clientX - box.left - this.view.clientLeft) * this.ratio / this.step);
    const row = Math.floor((event.clientY - box.top - this.view.clientTop + this.view.scrollTop)
      * this.ratio / this.step);
    const at = row * this.columns + column;
    const there = column >= 0 && column < this.columns && at >= 0 && at < this.shown.length;
    this.view.classList.toggle("on-job", there);
    if (there && (at !== this.at || !this.pointed)) {
      this.at = at;
      this.pointed = true;
      this.tell();
      this.paint();
    }
    return there;
  }

  open() {
    const job = this.shown[this.at];
    if (job !== undefined) location.href = `/builds/${this.builds[job]}`;
  }
}

// ---- data ----

async function read(address) {
  const reply = await fetch(address);
  if (!reply.ok) throw new Error(`the status is ${reply.status}`);
  return reply.json();
}

// The states again when the page's counts have changed; all when jobs have come.
function follow(matrix, address) {
  let last = Date.now();
  let due = false;
  const look = async () => {
    due = false;
    last = Date.now();
    const states = new URL(address);
    states.searchParams.set("part", "states");
    try {
      const data = await read(states);
      matrix.take(data.states.length === matrix.names.length ? data : await read(address));
      filter.hidden = matrix.names.length === 0;
    } catch {
      // The server is away: the next change tries again.
    }
  };
  document.addEventListener("panoply:shown", ({ detail }) => {
    if (due || detail.id !== "summary") return;
    due = true;
    setTimeout(look, Math.max(0, last + STATES_MS - Date.now()));
  });
}

// ---- the list ----

let asking = null;

async function refreshList() {
  const address = new URL(filter.action);
  address.search = new URLSearchParams(new FormData(filter));
  address.hash = "";
  asking?.abort();
  asking = new AbortController();
  try {
    const reply = await fetch(address, { headers: { Accept: "text/html" }, signal: asking.signal });
    if (!reply.ok) return;
    const page = new DOMParser().parseFromString(await reply.text(), "text/html");
    for (const id of ["states", "list"])
      document.getElementById(id)?.replaceChildren(...(page.getElementById(id)?.childNodes ?? []));
    history.replaceState(null, "", address);
  } catch {
    // Another key came, or the server is away: the form itself still works.
  }
}

async function start() {
  const address = new URL(holder.dataset.matrix, location.href);
  const matrix = new Matrix(holder);
  holder.hidden = false; // so that it has a width
  try {
    matrix.take(await read(address));
  } catch {
    holder.hidden = true;
    return;
  }
  const field = filter.elements.name;
  let timer = 0;
  const narrow = () => {
    matrix.narrow(field.value);
    clearTimeout(timer);
    timer = setTimeout(refreshList, PAUSE_MS);
  };
  field.addEventListener("input", narrow);
  if (field.value === field.defaultValue) matrix.narrow(field.value);
  else narrow(); // it was typed before this script was ready
  follow(matrix, address);
}

if (holder && filter) start();
