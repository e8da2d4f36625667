// The timeline of a job: how many hosts ended when, and below it a bar for every attempt, in rows of a fixed height. Only
// the rows that are seen are asked for and drawn, on a canvas. Longer than 400 lines because all of it draws one picture.
import { address, api, el } from "./dom.js";
import { hint, outline, palette } from "./grid.js";
import { TROUBLE } from "./store.js";
import { duration, mark, number, plural, STATES, t } from "./texts.js";

const EDGE = 8;
const NAMES = 168;
const COUNTS = 72;
const AXIS = 22;
const BINS_AT_MOST = 60;
const SPARE = 30;
const REFRESH_MS = 2000;
const STEPS = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1e3, 2e3, 5e3, 1e4, 15e3, 3e4, 6e4, 12e4, 3e5, 6e5, 9e5, 18e5, 36e5, 72e5, 216e5, 864e5];
/** What divided the job, as it stands beside its line. @type {Record<string, string>} */
const MARKS = {
  canary: mark("canary passed"), wave: mark("next wave"), waits: mark("waits for a person"), continued: mark("continued"),
  paused: mark("paused"), resumed: mark("resumed"), stopped: mark("stopped"), cancelled: mark("cancelled"),
  held: mark("console stopped"), lifted: mark("stop lifted"),
};

/** The shortest of the usual stretches of time that is not under `least` ms. @param {number} least */
export const step = (least) => STEPS.find((ms) => ms >= least) ?? Math.ceil(least / 864e5) * 864e5;

/**
 * @typedef {[i: number, letter: string, from: number, to: number | null, attempt: number]} Bar times in ms since the job began
 * @typedef {{ver: number, until: number, ended: boolean, from: number, to: number, total: number, first: number, bars: Bar[][],
 *   finishes: Record<string, number>[], marks: {at: number, kind: string}[]}} Told as `GET /jobs/{id}/timeline/bars` says
 * @typedef {{view: import("./store.js").View, filter: string, found: Set<number> | null}} Seen
 */

/**
 * @param {HTMLElement} root
 * @param {{job: number, hosts: string[], seen: () => Seen, onPick: (i: number) => void}} options
 */
export function createTimeline(root, { job, hosts, seen, onPick }) {
  const find = (/** @type {string} */ part) => /** @type {HTMLElement} */ (root.querySelector(part));
  const parameters = new URLSearchParams(location.search);
  const links = [...root.querySelectorAll("[data-rows]")];
  const whole = find("[data-whole]");
  const head = el("canvas");
  const body = el("canvas", { tabindex: 0, role: "img" });
  const tall = el("div", {}, body);
  const scroller = el("div", {}, tall);
  const tip = el("div", { class: "tip", hidden: true });
  const spoken = el("p", { class: "vh", "aria-live": "polite" });
  scroller.style.cssText = "overflow-y:auto;overflow-x:hidden;max-height:max(240px,58vh)";
  body.style.cssText = "position:sticky;top:0";
  // Never wider than its place, not even until it is laid out anew.
  for (const canvas of [head, body]) Object.assign(canvas.style, { display: "block", width: "100%" });
  document.body.append(tip);
  find("[data-chart]").replaceChildren(head, scroller, spoken);

  let rows = parameters.get("rows") ?? "slots";
  /** The part of time that is looked at; null for the whole. @type {[number, number] | null} */
  let zoom = null;
  const asked = /^(\d+)-(\d+)$/.exec(parameters.get("t") ?? "");
  if (asked && Number(asked[1]) < Number(asked[2])) zoom = [Number(asked[1]), Number(asked[2])];
  /** @type {Told | null} */
  let told = null;
  let toldAt = 0;
  /** @type {Map<number, Bar[]>} */
  const known = new Map();
  /** The bar under the keyboard: its row, and its place in that. @type {[number, number]} */
  let cursor = [0, 0];
  /** Where a stretch of time is being chosen, in ms. @type {[number, number] | null} */
  let drag = null;
  /** Whether the pointer was drawn over some time: what it is let go over is not chosen. */
  let drawn = false;
  let shown = false;
  let asking = new AbortController();
  let due = false;
  let colours = palette();
  let fills = patterns(colours);

  const height = () => (rows === "slots" ? 10 : 20);
  const left = () => (rows === "slots" ? EDGE : NAMES);
  const until = () => (told ? told.until + (told.ended ? 0 : performance.now() - toldAt) : 1);
  /** @returns {[number, number]} */
  const span = () => {
    if (zoom) return zoom;
    // What is still to come has its place: the guess of the head, or a little.
    const left = told?.ended ? 0 : (seen().view.job.eta_ms ?? until() / 10);
    return [0, Math.max(until() + left, 1)];
  };
  const x = (/** @type {number} */ ms) => {
    const [from, to] = span();
    return left() + ((ms - from) / (to - from)) * (head.clientWidth - left() - EDGE);
  };
  const time = (/** @type {number} */ px) => {
    const [from, to] = span();
    return Math.round(Math.min(Math.max(from + ((px - left()) / (head.clientWidth - left() - EDGE)) * (to - from), from), to));
  };

  async function ask() {
    asking.abort();
    asking = new AbortController();
    const first = !told;
    const from = Math.max(0, Math.floor(scroller.scrollTop / height()) - SPARE);
    const count = Math.min(200, Math.ceil(scroller.clientHeight / height()) + 2 * SPARE || 120);
    const [start, end] = span();
    const width = step((end - start) / BINS_AT_MOST);
    const bins = Math.max(1, Math.ceil((end - start) / width));
    const search = new URLSearchParams({ rows, first: String(from), count: String(count), from_ms: String(start), to_ms: String(start + bins * width), bins: String(bins) });
    const answer = await api(`/api/v1/jobs/${job}/timeline/bars?${search}`, { signal: asking.signal }).catch((error) => {
      // Asked again while the view is open; until then nobody looks at an empty card for no reason.
      if (error.name !== "AbortError" && !told) find("[data-note]").textContent = t("The timeline could not be fetched.");
    });
    if (!answer) return undefined;
    told = answer;
    toldAt = performance.now();
    known.clear();
    for (const [at, row] of answer.bars.entries()) known.set(from + at, row);
    tall.style.height = `${Math.max(answer.total * height(), 1)}px`;
    // How long it is in all is known only now.
    if (first && !zoom) return ask();
    find("[data-bin]").textContent = t("Ended per {time}", { time: duration(width) });
    find("[data-note]").textContent = note(answer);
    body.setAttribute("aria-label", t("{n} rows of bars. The arrow keys go from bar to bar, Enter shows the output.", { n: number(answer.total) }));
    return lay();
  }

  /** @param {Told} answer */
  function note(answer) {
    if (rows === "slots") return plural(answer.total, "and below, one row per slot: {n} row holds every host", "and below, one row per slot: {n} rows hold every host");
    if (!answer.total) return rows === "failures" ? t("and no host in trouble") : "";
    return rows === "failures" ? plural(answer.total, "and below, the host in trouble", "and below, the {n} hosts in trouble") : t("and below, what took longest");
  }

  function lay() {
    const ratio = devicePixelRatio || 1;
    const width = find("[data-chart]").clientWidth;
    for (const [canvas, tallness] of [[head, COUNTS + AXIS], [body, Math.min(scroller.clientHeight || 240, tall.clientHeight)]]) {
      canvas.width = width * ratio;
      canvas.height = tallness * ratio;
      canvas.style.height = `${tallness}px`;
    }
    soon();
  }

  function soon() {
    if (due) return;
    due = true;
    requestAnimationFrame(draw);
  }

  function draw() {
    due = false;
    if (!told || !shown) return;
    const { filter, found } = seen();
    const first = Math.floor(scroller.scrollTop / height());
    const last = Math.min(told.total - 1, Math.ceil((scroller.scrollTop + scroller.clientHeight) / height()));
    const above = context(head);
    lines(above, head.clientHeight, true);
    counts(above, filter);
    const below = context(body);
    lines(below, body.clientHeight, false);
    let missing = false;
    for (let row = first; row <= last; row++) {
      const bars = known.get(row);
      missing ||= !bars;
      if (bars?.length && rows !== "slots") name(below, hosts[bars[0][0]], row * height() - scroller.scrollTop);
      for (const bar of bars ?? []) one(below, bar, row, (Boolean(filter) && !filter.includes(bar[1])) || (found !== null && !found.has(bar[0])));
    }
    if (missing) ask();
    const here = known.get(cursor[0])?.[cursor[1]];
    if (here && document.activeElement === body) {
      const [from, to] = ends(here);
      const top = cursor[0] * height() - scroller.scrollTop;
      outline(below, from, top + 1, 0, colours.focus);
      below.strokeRect(from - 1, top, to - from + 2, height() - 1);
    }
    if (!drag) return;
    for (const [canvas, tallness] of /** @type {[CanvasRenderingContext2D, number][]} */ ([[above, head.clientHeight], [below, body.clientHeight]])) {
      canvas.globalAlpha = 0.18;
      canvas.fillStyle = colours.focus;
      canvas.fillRect(x(Math.min(...drag)), 0, Math.abs(x(drag[1]) - x(drag[0])), tallness);
    }
  }

  /** @param {HTMLCanvasElement} canvas */
  function context(canvas) {
    const made = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
    const ratio = devicePixelRatio || 1;
    made.setTransform(ratio, 0, 0, ratio, 0, 0);
    made.clearRect(0, 0, canvas.width, canvas.height);
    made.font = `11px ${getComputedStyle(document.body).fontFamily}`;
    return made;
  }

  /** The ticks of the time, what divided the job, and now. @param {CanvasRenderingContext2D} c @param {number} tallness @param {boolean} words */
  function lines(c, tallness, words) {
    const [from, to] = span();
    const gap = step(((to - from) * 90) / Math.max(head.clientWidth - left(), 90));
    const line = (/** @type {number} */ ms, /** @type {string} */ ink, /** @type {number[]} */ dash) => {
      c.strokeStyle = ink;
      c.setLineDash(dash);
      c.beginPath();
      c.moveTo(Math.round(x(ms)) + 0.5, 0);
      c.lineTo(Math.round(x(ms)) + 0.5, tallness);
      c.stroke();
      c.setLineDash([]);
    };
    c.lineWidth = 1;
    for (let ms = Math.ceil(from / gap) * gap; ms <= to; ms += gap) {
      c.globalAlpha = 0.5;
      line(ms, colours.que, []);
      c.fillStyle = colours.ink;
      c.globalAlpha = 0.7;
      const text = ms ? duration(ms) : t("start");
      if (words && x(ms) + 5 + c.measureText(text).width < head.clientWidth) c.fillText(text, x(ms) + 5, COUNTS + 15);
      c.globalAlpha = 1;
    }
    const marks = (told?.marks ?? []).filter(({ at }) => at >= from && at <= to).map(({ at, kind }) => ({ at, text: t(MARKS[kind]), dash: [3, 3] }));
    const { q } = seen().view.job.counts;
    if (!told?.ended && until() <= to) marks.push({ at: until(), text: q ? plural(q, "now, {n} host waits", "now, {n} hosts wait") : t("now"), dash: [] });
    for (const { at, dash } of marks) line(at, colours.ink, dash);
    if (!words) return;
    // In two rows, clear of each other and of all lines, on the side of its own where there is room.
    const taken = [-Infinity, -Infinity];
    c.fillStyle = colours.ink;
    for (const { at, text } of marks) {
      const { width } = c.measureText(text);
      const start = x(at) + width + 6 > head.clientWidth ? x(at) - width - 4 : x(at) + 4;
      const row = taken.findIndex((end) => start > end);
      if (row < 0) continue;
      c.clearRect(start - 2, 12 * row, width + 4, 14);
      c.fillText(text, start, 12 * row + 11);
      taken[row] = start + width + 6;
    }
  }

  /** The hosts that ended in each stretch, those in trouble on top. @param {CanvasRenderingContext2D} c @param {string} filter */
  function counts(c, filter) {
    const { finishes, from, to } = /** @type {Told} */ (told);
    const of = (/** @type {Record<string, number>} */ bin, /** @type {(letter: string) => boolean} */ fits) =>
      Object.entries(bin).reduce((all, [letter, count]) => all + (fits(letter) && (!filter || filter.includes(letter)) ? count : 0), 0);
    const most = Math.max(1, ...finishes.map((bin) => of(bin, () => true)));
    finishes.forEach((bin, at) => {
      const start = x(from + (at * (to - from)) / finishes.length);
      const width = Math.max(1, x(from + ((at + 1) * (to - from)) / finishes.length) - start - 1);
      let foot = COUNTS;
      for (const [fill, fits] of /** @type {[string, (letter: string) => boolean][]} */ ([
        [colours.ok, (letter) => letter === "o"], [colours.can, (letter) => "xs".includes(letter)], [colours.fail, (letter) => TROUBLE.includes(letter)],
      ])) {
        const count = of(bin, fits);
        if (!count) continue;
        // One among thousands is seen.
        const tallness = Math.max(2, (count / most) * (COUNTS - 30));
        c.fillStyle = fill;
        c.fillRect(start, foot - tallness, width, tallness);
        foot -= tallness;
      }
    });
  }

  /** @param {Bar} bar @returns {[number, number]} */
  function ends([, , from, to]) {
    const start = Math.max(x(from), left());
    return [start, Math.max(start + 2, Math.min(x(to ?? until()), head.clientWidth) - 1)];
  }

  /** @param {CanvasRenderingContext2D} c @param {Bar} bar @param {number} row @param {boolean} dim */
  function one(c, bar, row, dim) {
    const [from, to] = ends(bar);
    const top = row * height() - scroller.scrollTop + 1;
    const tallness = height() - 2;
    c.globalAlpha = dim ? 0.16 : 1;
    c.fillStyle = fills[bar[1]] ?? colours.que;
    c.fillRect(from, top, to - from, tallness);
    if (bar[1] === "f" && to - from > 7) {
      const [middle, level] = [(from + to) / 2, top + tallness / 2];
      c.strokeStyle = colours.cross;
      c.lineWidth = 1.5;
      c.beginPath();
      for (const side of [-2, 2]) {
        c.moveTo(middle - 2, level - side);
        c.lineTo(middle + 2, level + side);
      }
      c.stroke();
    }
    c.globalAlpha = 1;
  }

  /** @param {CanvasRenderingContext2D} c @param {string} host @param {number} top */
  function name(c, host, top) {
    c.fillStyle = colours.ink;
    c.fillText(host.length > 24 ? `${host.slice(0, 23)}…` : host, EDGE, top + 14);
  }

  /** @param {MouseEvent} event @returns {[number, number]} row and place of the bar there, -1 for none */
  function hit(event) {
    const box = body.getBoundingClientRect();
    const row = Math.floor((event.clientY - box.top + scroller.scrollTop) / height());
    const bars = known.get(row) ?? [];
    const at = event.clientX - box.left;
    // Of a row of one host its name stands for the bar.
    if (at < left() && rows !== "slots") return [row, bars.length - 1];
    return [row, bars.findIndex((bar) => ends(bar)[0] <= at + 1 && at - 1 <= ends(bar)[1])];
  }

  /** What is told of a bar. @param {Bar} bar */
  const words = ([i, letter, from, to, attempt]) =>
    [hosts[i], t(STATES[letter]), duration((to ?? until()) - from), attempt > 1 && t("attempt {n}", { n: attempt })].filter(Boolean).join("  ");

  /** @param {[number, number] | null} next */
  function look(next) {
    zoom = next;
    whole.hidden = !zoom;
    address({ t: zoom?.join("-") ?? null });
    ask();
  }

  /** Makes the stretch of time so many times as long, around its middle. @param {number} times */
  function scale(times) {
    const [from, to] = span();
    const half = Math.max(((to - from) / 2) * times, 5);
    const middle = (from + to) / 2;
    if (2 * half >= until()) return look(null);
    return look([Math.max(0, Math.round(middle - half)), Math.round(middle + half)]);
  }

  for (const canvas of [head, body]) {
    canvas.addEventListener("pointerdown", (/** @type {PointerEvent} */ event) => {
      // With a finger one scrolls.
      if (event.button || event.pointerType === "touch") return;
      const start = time(event.offsetX);
      drawn = false;
      canvas.setPointerCapture(event.pointerId);
      const move = (/** @type {PointerEvent} */ next) => {
        drag = [start, time(next.clientX - canvas.getBoundingClientRect().left)];
        soon();
      };
      canvas.addEventListener("pointermove", move);
      const end = () => {
        canvas.removeEventListener("pointermove", move);
        const [from, to] = [Math.min(...(drag ?? [0])), Math.max(...(drag ?? [0]))];
        drag = null;
        soon();
        drawn = x(to) - x(from) > 6;
        if (drawn) look([from, Math.max(to, from + 10)]);
      };
      canvas.addEventListener("pointerup", end, { once: true });
      canvas.addEventListener("pointercancel", () => {
        drag = null;
        end();
      }, { once: true });
    });
    canvas.addEventListener("dblclick", () => look(null));
  }
  body.addEventListener("click", (/** @type {MouseEvent} */ event) => {
    const [row, place] = hit(event);
    if (place < 0 || drawn) return;
    cursor = [row, place];
    onPick(/** @type {Bar[]} */ (known.get(row))[place][0]);
  });
  body.addEventListener("mousemove", (/** @type {MouseEvent} */ event) => {
    const [row, place] = hit(event);
    const bar = known.get(row)?.[place];
    body.style.cursor = bar ? "pointer" : "";
    hint(tip, { tip: () => (bar ? words(bar) : "") }, bar && !drag ? 0 : -1, event);
  });
  body.addEventListener("mouseleave", () => hint(tip, { tip: () => "" }, -1, null));
  body.addEventListener("keydown", (/** @type {KeyboardEvent} */ event) => {
    const [row, place] = cursor;
    const step = /** @type {Record<string, [number, number]>} */ ({ ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] })[event.key];
    if (step) {
      const next = Math.min(Math.max(row + step[0], 0), (told?.total ?? 1) - 1);
      cursor = [next, Math.min(Math.max(place + step[1], 0), Math.max((known.get(next)?.length ?? 1) - 1, 0))];
      const top = next * height();
      if (top < scroller.scrollTop) scroller.scrollTop = top;
      else if (top + height() > scroller.scrollTop + scroller.clientHeight) scroller.scrollTop = top + height() - scroller.clientHeight;
    } else if (event.key === "Enter") {
      const bar = known.get(row)?.[place];
      if (bar) onPick(bar[0]);
    } else if (event.key === "+") scale(0.5);
    else if (event.key === "-") scale(2);
    else if (event.key === "0") look(null);
    else return;
    event.preventDefault();
    event.stopPropagation();
    const bar = known.get(cursor[0])?.[cursor[1]];
    spoken.textContent = bar ? words(bar) : "";
    soon();
  });
  for (const event of ["focus", "blur"]) body.addEventListener(event, soon);
  scroller.addEventListener("scroll", soon, { passive: true });
  whole.addEventListener("click", () => look(null));
  for (const link of links) {
    link.addEventListener("click", (event) => {
      event.preventDefault();
      choose(link.getAttribute("data-rows") ?? "slots");
    });
  }
  new ResizeObserver(() => told && lay()).observe(find("[data-chart]"));
  const repaint = () => {
    colours = palette();
    fills = patterns(colours);
    soon();
  };
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", repaint);
  new MutationObserver(repaint).observe(document.documentElement, { attributeFilter: ["data-theme", "data-contrast"] });
  setInterval(() => {
    if (!shown || document.hidden || told?.ended) return;
    if (seen().view.ver !== told?.ver) ask();
    else soon();
  }, REFRESH_MS);

  /** @param {string} kind */
  function choose(kind) {
    rows = links.some((link) => link.getAttribute("data-rows") === kind) ? kind : "slots";
    cursor = [0, 0];
    scroller.scrollTop = 0;
    for (const link of links) {
      link.ariaCurrent = link.getAttribute("data-rows") === rows ? "true" : null;
    }
    address({ rows: rows === "slots" ? null : rows });
    whole.hidden = !zoom;
    known.clear();
    ask();
  }

  return {
    /** @param {boolean} on */
    show(on) {
      shown = on;
      if (on) choose(rows);
    },
    /** Draws what is known anew: a filter has changed. */
    draw: soon,
  };
}

/** What fills the bars of each state: its colour, and the pattern that it has everywhere. @param {Record<string, string>} c @returns {Record<string, string | CanvasPattern>} */
function patterns(c) {
  const hatched = (/** @type {string} */ ink, /** @type {string} */ ground, /** @type {boolean} */ slanted) => {
    const canvas = el("canvas", { width: 6, height: 6 });
    const context = canvas.getContext("2d");
    context.fillStyle = ground;
    context.fillRect(0, 0, 6, 6);
    context.strokeStyle = ink;
    context.lineWidth = slanted ? 2.6 : 2.4;
    context.beginPath();
    for (const at of slanted ? [-6, 0, 6] : [1.5, 4.5]) {
      context.moveTo(at, slanted ? 7 : 0);
      context.lineTo(slanted ? at + 7 : at, slanted ? 0 : 6);
    }
    if (!slanted) context.lineWidth = 1.6;
    context.stroke();
    return context.createPattern(canvas, "repeat");
  };
  return {
    o: c.ok, r: c.run, f: c.fail, x: c.can, l: c.ink, s: c.que,
    k: hatched(c.time, c["time-bg"], true), u: hatched(c.unr, c.surface, false), c: hatched(c.run, c.surface, true),
  };
}
