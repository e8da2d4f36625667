// The grid of hosts, one tile each in the order of the roster: elements up to a thousand hosts, one canvas above.
// Longer than 400 lines because the canvas draws the glyphs of states itself.
import { el } from "./dom.js";
import { TROUBLE } from "./store.js";
import { number, plural, STATES, t } from "./texts.js";

export const CANVAS_ABOVE = 1000;
const SIZES = [15, 11, 8, 6];

/**
 * @typedef {{hosts: string[], href: (i: number) => string, onPick: (i: number) => void,
 *   ticked: (i: number) => boolean, onTick: (i: number) => void, tip: (i: number) => string, more?: (i: number) => Promise<string>}} GridOptions
 * @typedef {{update: (grid: string, filter: string) => void, select: (i: number) => void, tick: (places: number[]) => void,
 *   only: (places: number[] | null) => void, order: (troubleFirst: boolean) => void, split: (parts: Part[]) => void,
 *   focus: () => void}} Grid
 * @typedef {{name: string, all: number[]}} Part some hosts under a heading; one without a name has none
 */
const HEADING = 24;
const REST_MS = 250;
let resting = 0;

/**
 * Returns a grid inside `root`, which is emptied.
 * @param {HTMLElement} root
 * @param {GridOptions} options
 * @returns {Grid}
 */
export function createGrid(root, options) {
  const tip = el("div", { class: "tip", hidden: true });
  document.body.append(tip);
  const shared = { root, options, tip: (/** @type {number} */ i, /** @type {MouseEvent | null} */ event) => hint(tip, options, i, event) };
  return options.hosts.length > CANVAS_ABOVE ? canvasGrid(shared) : tileGrid(shared);
}

/** Shows what there is to tell of `i` beside the pointer, and more once that rests; nothing for -1. @param {HTMLElement} tip @param {Pick<GridOptions, "tip" | "more">} options @param {number} i @param {MouseEvent | null} event */
export function hint(tip, options, i, event) {
  tip.hidden = i < 0 || !event;
  clearTimeout(resting);
  if (tip.hidden || !event) return;
  const told = options.tip(i);
  tip.textContent = told;
  resting = setTimeout(() => options.more?.(i).then((line) => line && tip.textContent === told && tip.append(el("br"), line), () => {}), REST_MS);
  tip.style.left = `${Math.min(event.clientX + 12, innerWidth - tip.offsetWidth - 8)}px`;
  tip.style.top = `${Math.min(event.clientY + 16, innerHeight - tip.offsetHeight - 8)}px`;
}

/** The largest tile that keeps the grid under 60 % of the height around it. @param {HTMLElement} root @param {Part[]} parts */
function tileSize(root, parts) {
  const width = root.clientWidth || 800;
  const room = 0.6 * Math.min(root.closest(".body")?.clientHeight || innerHeight, innerHeight) - HEADING * parts.filter((part) => part.name).length;
  for (const size of SIZES) {
    const gap = size > 8 ? 3 : 1;
    const columns = Math.max(1, Math.floor((width + gap) / (size + gap)));
    const rows = parts.reduce((all, part) => all + Math.ceil(part.all.length / columns), 0);
    if (rows * (size + gap) <= room) return { size, gap };
  }
  return { size: SIZES[SIZES.length - 1], gap: 1 };
}

/** @param {number} count @returns {Part[]} */
const undivided = (count) => [{ name: "", all: Array.from({ length: count }, (_, i) => i) }];

/** The places of a part in their order: the roster's, or trouble before all else. @param {Part} part @param {string} grid @param {boolean} troubleFirst */
function places({ all }, grid, troubleFirst) {
  if (!troubleFirst) return all;
  const rank = (/** @type {number} */ i) => (TROUBLE.includes(grid[i]) ? 0 : "xs".includes(grid[i]) ? 1 : 2);
  return [...all].sort((a, b) => rank(a) - rank(b) || a - b);
}

/** What stands beside a part's name. @param {Part} part @param {string} grid */
function standing({ all }, grid) {
  let trouble = 0;
  let open = 0;
  for (const i of all) {
    if (TROUBLE.includes(grid[i])) trouble++;
    else if ("qcr".includes(grid[i])) open++;
  }
  return [plural(all.length, "{n} host", "{n} hosts"), trouble && plural(trouble, "{n} needs attention", "{n} need attention"),
    open && t("{n} to go", { n: number(open) })].filter(Boolean).join(", ");
}

/** @param {{root: HTMLElement, options: GridOptions, tip: Function}} shared @returns {Grid} */
function tileGrid({ root, options, tip }) {
  const tiles = options.hosts.map((_host, i) => el("a", { href: options.href(i), "data-i": i, tabindex: -1 }));
  let grid = "";
  let filter = "";
  /** @type {Set<number> | null} */
  let among = null;
  let chosen = -1;
  let first = false;
  let parts = undivided(tiles.length);
  /** @type {HTMLElement[]} */
  let headings = [];
  root.replaceChildren(...tiles);
  const size = () => {
    const fit = tileSize(root, parts);
    root.style.setProperty("--s", `${fit.size}px`);
    root.style.setProperty("--g", `${fit.gap}px`);
  };
  new ResizeObserver(size).observe(root.closest(".body") ?? root);
  root.addEventListener("click", (event) => {
    const tile = /** @type {HTMLElement} */ (event.target).closest("a");
    if (!tile || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    if (event.shiftKey) options.onTick(Number(tile.dataset.i));
    else options.onPick(Number(tile.dataset.i));
  });
  root.addEventListener("mousemove", (event) => {
    const tile = /** @type {HTMLElement} */ (event.target).closest("a");
    tip(tile ? Number(tile.dataset.i) : -1, event);
  });
  root.addEventListener("mouseleave", () => tip(-1, null));
  root.addEventListener("focusin", (event) => {
    for (const tile of root.querySelectorAll("a[tabindex='0']")) tile.setAttribute("tabindex", "-1");
    /** @type {HTMLElement} */ (event.target).tabIndex = 0;
  });
  root.addEventListener("keydown", (event) => {
    const all = /** @type {HTMLElement[]} */ ([...root.querySelectorAll("a")]);
    const at = all.indexOf(/** @type {HTMLElement} */ (document.activeElement));
    if (at < 0) return;
    const next = { ArrowRight: all[at + 1], ArrowLeft: all[at - 1], ArrowDown: inNextRow(all.slice(at)),
      ArrowUp: inNextRow(all.slice(0, at + 1).reverse()), Home: all[0], End: all[all.length - 1] }[event.key];
    if (!next) return;
    event.preventDefault();
    next.focus();
  });
  const paint = (/** @type {number} */ i) => {
    const letter = grid[i];
    const dim = (filter && !filter.includes(letter)) || (among && !among.has(i)) ? " dim" : "";
    const ticked = options.ticked(i);
    const name = `t ${letter}${dim}${i === chosen ? " sel" : ""}${ticked ? " tick" : ""}`;
    if (tiles[i].className !== name) {
      tiles[i].className = name;
      const said = `${options.hosts[i]}: ${t(STATES[letter])}`;
      tiles[i].setAttribute("aria-label", ticked ? `${said}, ${t("chosen")}` : said);
    }
  };
  const arrange = () => {
    const wanted = parts.flatMap((part, at) => [...(headings[at] ? [headings[at]] : []), ...places(part, grid, first).map((i) => tiles[i])]);
    if (wanted.some((tile, at) => root.children[at] !== tile)) root.replaceChildren(...wanted);
  };
  const count = () => {
    for (const [at, heading] of headings.entries()) heading.lastElementChild?.replaceChildren(standing(parts[at], grid));
  };
  return {
    update(next, letters) {
      const all = letters !== filter || grid.length !== next.length;
      const before = grid;
      grid = next;
      filter = letters;
      for (let i = 0; i < next.length; i++) if (all || before[i] !== next[i]) paint(i);
      if (first) arrange();
      count();
      if (!root.querySelector("a[tabindex='0']") && tiles[0]) tiles[0].tabIndex = 0;
      if (all) size();
    },
    select(i) {
      const before = chosen;
      chosen = i;
      for (const place of [before, chosen]) if (place >= 0) paint(place);
    },
    tick: (changed) => changed.forEach(paint),
    only(places) {
      among = places && new Set(places);
      for (let i = 0; i < tiles.length; i++) paint(i);
    },
    order(troubleFirst) {
      first = troubleFirst;
      arrange();
    },
    split(next) {
      parts = next.length ? next : undivided(tiles.length);
      headings = next.map((part) => el("h3", {}, part.name, " ", el("span")));
      arrange();
      count();
      size();
    },
    focus: () => tiles[Math.max(chosen, 0)]?.focus(),
  };
}

/** The tile of the next row that stands under, or over, the first of `tiles`. @param {HTMLElement[]} tiles */
function inNextRow([here, ...rest]) {
  const row = rest.find((tile) => tile.offsetTop !== here.offsetTop)?.offsetTop;
  const fits = rest.filter((tile) => tile.offsetTop === row && tile.offsetLeft <= here.offsetLeft);
  return fits.sort((a, b) => b.offsetLeft - a.offsetLeft)[0];
}

/** @param {{root: HTMLElement, options: GridOptions, tip: Function}} shared @returns {Grid} */
function canvasGrid({ root, options, tip }) {
  const count = options.hosts.length;
  const about = t("{n} hosts. The Hosts tab lists them.", { n: count });
  const canvas = el("canvas", { tabindex: 0, role: "img", "aria-label": about });
  root.replaceChildren(canvas);
  let grid = "";
  let filter = "";
  /** @type {Set<number> | null} */
  let among = null;
  let chosen = -1;
  let first = false;
  /** @type {number[]} */
  let order = [];
  let parts = undivided(count);
  let shape = { size: 8, gap: 1, columns: 1 };
  /** Where each part begins: its first place in the order, and its first row from the top. @type {{from: number, top: number}[]} */
  let begins = [];
  let colours = palette();
  let due = false;
  const lay = () => {
    const fit = tileSize(root, parts);
    const step = fit.size + fit.gap;
    const columns = Math.max(1, Math.floor((root.clientWidth + fit.gap) / step));
    shape = { ...fit, columns };
    let from = 0;
    let height = 1;
    begins = parts.map((part) => {
      const top = height + (part.name ? HEADING : 0);
      const begin = { from, top };
      from += part.all.length;
      height = top + Math.ceil(part.all.length / columns) * step;
      return begin;
    });
    height += 1;
    const ratio = devicePixelRatio || 1;
    const width = columns * step;
    canvas.width = width * ratio;
    canvas.height = height * ratio;
    canvas.style.width = `${width}px`;
    canvas.style.height = `${height}px`;
    soon();
  };
  const draw = () => {
    due = false;
    const context = canvas.getContext("2d");
    const ratio = devicePixelRatio || 1;
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.clearRect(0, 0, canvas.width, canvas.height);
    order = [];
    parts.forEach((part, at) => {
      if (part.name) heading(context, part, grid, begins[at].top - 7, colours.ink);
      order.push(...places(part, grid, first));
    });
    order.forEach((i, at) => {
      const [x, y] = spot(at);
      context.globalAlpha = (filter && !filter.includes(grid[i])) || (among && !among.has(i)) ? 0.16 : 1;
      tile(context, grid[i], x, y, shape.size, colours);
      if (options.ticked(i)) outline(context, x, y, shape.size, colours.focus);
      if (i === chosen) outline(context, x, y, shape.size, colours.ink);
    });
  };
  const soon = () => {
    if (due) return;
    due = true;
    requestAnimationFrame(draw);
  };
  const part = (/** @type {number} */ at) => begins.findLastIndex((begin) => begin.from <= at);
  const spot = (/** @type {number} */ at) => {
    const { from, top } = begins[part(at)];
    const step = shape.size + shape.gap;
    return [((at - from) % shape.columns) * step, top + Math.floor((at - from) / shape.columns) * step];
  };
  const hit = (/** @type {MouseEvent} */ event) => {
    const step = shape.size + shape.gap;
    const column = Math.floor(event.offsetX / step);
    const inside = begins.findLastIndex((begin) => begin.top <= event.offsetY);
    if (inside < 0 || column >= shape.columns) return -1;
    const at = Math.floor((event.offsetY - begins[inside].top) / step) * shape.columns + column;
    return at < parts[inside].all.length ? order[begins[inside].from + at] : -1;
  };
  /** The place over or under one, in the same column where its row is long enough. @param {number} at @param {number} rows */
  const beside = (at, rows) => {
    const mine = part(at);
    const place = at - begins[mine].from;
    const column = place % shape.columns;
    const last = (/** @type {number} */ which) => parts[which].all.length - 1;
    const row = Math.floor(place / shape.columns) + rows;
    if (row < 0) return mine && begins[mine - 1].from + Math.min(last(mine - 1), last(mine - 1) - (last(mine - 1) % shape.columns) + column);
    if (row <= Math.floor(last(mine) / shape.columns)) return begins[mine].from + Math.min(row * shape.columns + column, last(mine));
    return mine + 1 < parts.length ? begins[mine + 1].from + Math.min(column, last(mine + 1)) : at;
  };
  const repaint = () => {
    colours = palette();
    soon();
  };
  new ResizeObserver(lay).observe(root.closest(".body") ?? root);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", repaint);
  document.addEventListener("themechange", repaint);
  canvas.addEventListener("click", (/** @type {MouseEvent} */ event) => {
    const i = hit(event);
    if (i >= 0) (event.shiftKey ? options.onTick : options.onPick)(i);
  });
  canvas.addEventListener("mousemove", (/** @type {MouseEvent} */ event) => tip(hit(event), event));
  canvas.addEventListener("mouseleave", () => tip(-1, null));
  canvas.addEventListener("keydown", (/** @type {KeyboardEvent} */ event) => {
    const at = order.indexOf(chosen);
    if (at < 0) return;
    const next = { ArrowRight: at + 1, ArrowLeft: at - 1, ArrowDown: beside(at, 1), ArrowUp: beside(at, -1), Home: 0, End: count - 1 }[event.key];
    if (next === undefined || order[next] === undefined) return;
    event.preventDefault();
    options.onPick(order[next]);
  });
  return {
    update(next, letters) {
      const fresh = !grid;
      grid = next;
      filter = letters;
      if (fresh) lay();
      soon();
    },
    select(i) {
      chosen = i;
      canvas.ariaLabel = chosen < 0 ? about : `${options.tip(chosen)}. ${about}`;
      soon();
    },
    tick: soon,
    only(places) {
      among = places && new Set(places);
      soon();
    },
    order(troubleFirst) {
      first = troubleFirst;
      soon();
    },
    split(next) {
      parts = next.length ? next : undivided(count);
      lay();
    },
    focus: () => canvas.focus(),
  };
}

/** @param {CanvasRenderingContext2D} context @param {Part} part @param {string} grid @param {number} y @param {string} ink */
function heading(context, part, grid, y, ink) {
  context.globalAlpha = 1;
  context.fillStyle = ink;
  context.font = `600 12px ${getComputedStyle(document.body).fontFamily}`;
  context.fillText(part.name, 0, y);
  const width = context.measureText(part.name).width;
  context.globalAlpha = 0.7;
  context.font = context.font.replace("600 ", "");
  context.fillText(standing(part, grid), width + 8, y);
}

// --- the glyphs of states on a canvas, which the style sheet draws everywhere else ------------------------------------

/** Reads the theme's colours; a canvas does not follow custom properties by itself. @returns {Record<string, string>} */
export function palette() {
  const probe = el("i", { class: "t", hidden: true });
  document.body.append(probe);
  /** @type {Record<string, string>} */
  const found = {};
  for (const name of ["ok", "run", "fail", "cross", "time", "time-bg", "unr", "can", "que", "ink", "surface", "focus"]) {
    probe.style.color = `var(--${name})`;
    found[name] = getComputedStyle(probe).color;
  }
  probe.remove();
  return found;
}

/** @param {CanvasRenderingContext2D} context @param {number} x @param {number} y @param {number} s @param {string} ink */
export function outline(context, x, y, s, ink) {
  context.globalAlpha = 1;
  context.strokeStyle = ink;
  context.lineWidth = 2;
  context.strokeRect(x - 1, y - 1, s + 2, s + 2);
}

/**
 * Draws one glyph; below 8 px only hollow, solid, half and dashed remain.
 * @param {CanvasRenderingContext2D} context
 * @param {string} letter
 * @param {number} x
 * @param {number} y
 * @param {number} s
 * @param {Record<string, string>} c
 */
export function tile(context, letter, x, y, s, c) {
  const solid = { o: c.ok, r: c.run, f: c.fail, x: c.can, l: c.ink, k: c.time }[letter];
  if (solid) {
    context.fillStyle = solid;
    context.fillRect(x, y, s, s);
  } else if (letter === "s") {
    context.fillStyle = c.can;
    context.fillRect(x + s / 2 - 1, y + s / 2 - 1, 2, 2);
  } else {
    context.strokeStyle = { c: c.run, u: c.unr }[letter] ?? c.que;
    context.lineWidth = letter === "c" ? Math.min(2, s / 4) : 1;
    context.setLineDash(letter === "u" ? [2, 1] : []);
    const inset = context.lineWidth / 2;
    context.strokeRect(x + inset, y + inset, s - 2 * inset, s - 2 * inset);
    context.setLineDash([]);
  }
  if (letter === "r") dot(context, x, y, s, "#fff");
  if (letter === "k") half(context, x, y, s, c["time-bg"]);
  if (letter === "u") stroke(context, c.unr, [[x + s, y, x, y + s]]);
  if (s < 8) return;
  if (letter === "f") stroke(context, c.cross, [[x + 2, y + 2, x + s - 2, y + s - 2], [x + s - 2, y + 2, x + 2, y + s - 2]]);
  if (letter === "l") {
    context.fillStyle = c.surface;
    context.font = `700 ${Math.round(s * 0.8)}px sans-serif`;
    context.textAlign = "center";
    context.fillText("?", x + s / 2, y + s * 0.8);
    context.textAlign = "start";
  }
  if (letter === "x") stroke(context, c.surface, [[x + 2, y + s / 2, x + s - 2, y + s / 2]]);
}

/** @param {CanvasRenderingContext2D} context @param {number} x @param {number} y @param {number} s @param {string} fill */
function dot(context, x, y, s, fill) {
  const d = Math.max(2, Math.round(s / 3));
  context.fillStyle = fill;
  context.fillRect(x + (s - d) / 2, y + (s - d) / 2, d, d);
}

/** @param {CanvasRenderingContext2D} context @param {number} x @param {number} y @param {number} s @param {string} fill */
function half(context, x, y, s, fill) {
  context.fillStyle = fill;
  context.beginPath();
  context.moveTo(x + 1, y + 1);
  context.lineTo(x + s - 2, y + 1);
  context.lineTo(x + 1, y + s - 2);
  context.fill();
}

/** @param {CanvasRenderingContext2D} context @param {string} ink @param {number[][]} lines */
function stroke(context, ink, lines) {
  context.strokeStyle = ink;
  context.lineWidth = 1.5;
  context.beginPath();
  for (const [x1, y1, x2, y2] of lines) {
    context.moveTo(x1, y1);
    context.lineTo(x2, y2);
  }
  context.stroke();
}
