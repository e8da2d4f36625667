// The Hosts table of a job page: sorted and filtered by the server, drawn only where it is looked at.
import { address, api, byId, el, glyph, renew } from "./dom.js";
import { LETTER_OF } from "./store.js";
import { bytes, duration, reasonName, STATES, t } from "./texts.js";
import { blank, virtualList } from "./vlist.js";

const PAGE = 200;
const ROW = 28;

/** @typedef {{i: number, host: string, state: string, reason: string | null, exit: number | null, signal: string | null,
 *   ms: number | null, attempt: number, worker: string | null, bytes: number, held?: boolean, last_line: string | null, done_bytes?: number | null, total_bytes?: number | null, values?: Record<string, string | null>}} Row */

/** @typedef {{state: string, exit: number | null, ms: number | null, reason: string | null}} News */

/**
 * @param {{job: number, root: HTMLElement, asked: URLSearchParams, sort: string, href: (host: string) => string, onPick: (i: number) => void,
 *   ticked: (i: number) => boolean, onTick: (i: number, range: boolean) => void}} options
 */
export function hostsTable({ job, root, asked: found, sort, href, onPick, ticked, onTick }) {
  const body = el("div", { class: "rows", role: "list" });
  const scroller = /** @type {HTMLElement} */ (root.closest(".body"));
  const head = root.querySelector(".hrow.head");
  const columns = columnsAsked();
  const names = [...(head?.querySelectorAll(".cells a") ?? [])].map((link) => link.getAttribute("data-sort") ?? "");
  const empty = el("p", { class: "empty", hidden: true });
  /** By their place in the order shown; where nobody has looked yet there are none. @type {Row[]} */
  let rows = [];
  /** @type {Map<number, number>} */
  let at = new Map();
  let total = 0;
  let filter = "";
  let query = "";
  let looked = [0, 0];
  /** Where the pages begin that were asked for. @type {Set<number>} */
  let asked = new Set();
  let chosen = -1;
  /** @type {AbortController | null} */
  let loading = null;
  /** What deltas said while rows were on the way: an answer may be older than they are. @type {Map<number, {ver: number, news: News}>} */
  let overtaking = new Map();
  root.replaceChildren(...(head ? [head] : []), body, empty);
  const list = virtualList(body, scroller, { height: ROW, row: draw, need });

  /** @param {number} index */
  function draw(index) {
    const row = rows[index];
    if (!row) return blank(ROW);
    const outcome = outcomeOf(row);
    const link = el("a", { class: `hrow${row.i === chosen ? " on" : ""}`, href: href(row.host), "data-i": row.i }, glyph(row.state));
    if (names.length) link.append(
      el("span", { class: "mono cut", text: row.host }, el("span", { class: "vh", text: ` ${t(STATES[row.state])}` })),
      el("span", { class: "cut" }, el("span", outcome)),
      el("span", { class: "cells" }, ...names.map((name) => el("span", { class: "mono cut", text: row.values?.[name], title: row.values?.[name] }))));
    else link.append(
      el("span", { text: t(STATES[row.state]) + (row.held && row.state === "q" ? ` ${t("(held)")}` : "") }),
      el("span", { class: "mono cut", text: row.host }),
      el("span", { class: "cut" }, el("span", outcome)),
      el("span", { class: "num sub", text: duration(row.ms) }),
      el("span", { class: "num sub", text: row.bytes ? bytes(row.bytes) : "" }),
      el("span", { class: "mono cut sub", text: row.total_bytes && row.state === "running" ? `${bytes(row.done_bytes ?? 0)} ${t("of")} ${bytes(row.total_bytes)}` : row.last_line ?? "" }));
    link.addEventListener("click", (/** @type {MouseEvent} */ event) => {
      if (event.ctrlKey || event.metaKey || event.shiftKey) return;
      event.preventDefault();
      onPick(row.i);
    });
    // Of a list that is drawn in part a reader of screens has to be told how long it is.
    const item = el("div", { class: "hsel", role: "listitem", "aria-posinset": index + 1, "aria-setsize": total }, link);
    if (!("choose" in root.dataset)) return item;
    const box = el("input", { type: "checkbox", "aria-label": row.host, checked: ticked(row.i) });
    box.addEventListener("click", (/** @type {MouseEvent} */ event) => onTick(row.i, event.shiftKey));
    item.prepend(box);
    return item;
  }

  /** @param {number} last @param {number} first */
  function need(last, first) {
    looked = [first, last];
    if (!loading) load();
  }

  /** Where the first page begins that is looked at, or soon will be, and was not asked for. */
  function lacking() {
    for (let start = looked[0] - (looked[0] % PAGE); start < Math.min(looked[1] + PAGE / 4, total); start += PAGE) {
      if (!asked.has(start)) return start;
    }
    return null;
  }

  async function load() {
    const begin = lacking();
    if (begin === null) return;
    asked.add(begin);
    const control = new AbortController();
    loading = control;
    const search = new URLSearchParams({ sort, limit: String(PAGE), ...Object.fromEntries(found) });
    if (filter) search.set("state", [...filter].join(","));
    if (query) search.set("q", query);
    for (const text of columns) search.append("column", text);
    if (!begin && columns.length) renew(byId("columns"), `/jobs/${job}/columns?${search}`).catch(() => {});
    if (begin) search.set("cursor", String(begin));
    try {
      const page = await api(`/api/v1/jobs/${job}/hosts?${search}`, { signal: control.signal });
      for (const [offset, row] of page.rows.entries()) {
        const index = begin + offset;
        at.set(row.i, index);
        const { ver = -1, news } = overtaking.get(row.i) ?? {};
        rows[index] = { ...row, state: LETTER_OF[row.state] ?? row.state, ...(ver > page.ver ? news : {}) };
        list.refresh(index);
      }
      total = page.total;
      list.size(total);
      // That no host is in the states of the filter stands above all views.
      empty.hidden = total > 0 || (!query && !found.size);
      empty.textContent = t("No host fits this filter.");
    } catch (error) {
      if (control.signal.aborted) return;
      empty.hidden = !columns.length;
      empty.textContent = /** @type {any} */ (error).problem?.detail ?? "";
      asked.delete(begin);
      loading = null;
      return;
    }
    loading = null;
    overtaking.clear();
    load();
  }

  function restart() {
    loading?.abort();
    loading = null;
    rows = [];
    at = new Map();
    overtaking = new Map();
    asked = new Set();
    total = Infinity;
    list.clear();
    load();
  }

  for (const link of head?.querySelectorAll("a[data-sort]") ?? []) {
    link.addEventListener("click", (event) => {
      event.preventDefault();
      const key = link.getAttribute("data-sort") ?? "i";
      sort = sort === key ? `-${key}` : key;
      for (const other of head?.querySelectorAll("a[data-sort]") ?? []) other.ariaCurrent = null;
      link.ariaCurrent = "true";
      address({ sort: sort === "i" ? null : sort });
      // Whoever sorts wants to see what comes first now.
      scroller.scrollTop = 0;
      restart();
    });
  }

  return {
    /** Shows the hosts in the states of `letters` whose name holds `text`. @param {string} letters @param {string} text */
    show(letters, text) {
      if (rows.length && letters === filter && text === query) return list.draw();
      filter = letters;
      query = text;
      restart();
    },
    /** Takes in what an event said of some hosts. @param {number[]} places @param {import("./store.js").View} view */
    patch(places, view) {
      let unknown = false;
      for (const i of places) {
        const facts = view.facts.get(i);
        const news = { state: view.grid[i], exit: facts?.exit ?? null, ms: facts?.ms ?? null, reason: facts?.reason ?? null };
        if (loading && facts) overtaking.set(i, { ver: view.ver, news });
        const row = rows[at.get(i) ?? -1];
        // A snapshot tells states alone: a row in that state already knows more, one that is not has to be asked for.
        if (!row || (!facts && row.state === news.state)) continue;
        unknown ||= !facts && !"qcr".includes(news.state);
        Object.assign(row, news);
        list.refresh(/** @type {number} */ (at.get(i)));
      }
      if (unknown) restart();
    },
    /** @param {number} i */
    select(i) {
      const before = chosen;
      chosen = i;
      this.tick([before, i]);
    },
    /** Shows anew which hosts are chosen. @param {number[]} places */
    tick(places) {
      for (const i of places) list.refresh(at.get(i) ?? -1);
    },
    /** Fetches again what is shown, for the facts that deltas do not carry. */
    reload: restart,
    get sort() {
      return sort;
    },
    /** The next host after `i` in this table's order. @param {number} i @param {number} step */
    beside(i, step) {
      const index = at.get(i);
      return index === undefined ? undefined : rows[index + step]?.i;
    },
  };
}

/** The columns from output that the page was asked for. */
export const columnsAsked = () => [...document.querySelectorAll("input[type=hidden][name=column]")].map((input) => /** @type {HTMLInputElement} */ (input).value);

/** What the outcome column says. @param {{state: string, exit?: number | null, signal?: string | null, reason?: string | null}} row */
export function outcomeOf(row) {
  const tone = { f: "x-f", k: "x-k", u: "x-u", r: "x-r" }[row.state] ?? "";
  if (row.signal) return { class: `ex ${tone}`, text: t("signal {name}", { name: row.signal }) };
  if (row.exit !== null && row.exit !== undefined) return { class: `ex ${tone}`, text: t("exit {n}", { n: row.exit }) };
  if ("uklx".includes(row.state) && row.reason) return { class: `ex cut ${tone}`, text: reasonName(row.reason) };
  return { class: "", text: "" };
}

/**
 * Returns the places of the hosts with a hit, or of those without one. An answer may come before all hosts were searched:
 * then the question is asked again for as long as that gets further.
 * @param {number} job
 * @param {URLSearchParams} asked what the API takes: find, re, case, found
 * @param {number} size how many hosts the job has
 */
export async function foundPlaces(job, asked, size) {
  const search = new URLSearchParams({ q: asked.get("find") ?? "", limit: "1" });
  for (const name of ["re", "case"]) if (asked.has(name)) search.set(name, "1");
  for (let searched = -1; ; ) {
    const answer = await api(`/api/v1/jobs/${job}/search?${search}`);
    if (answer.complete) {
      /** @type {Set<number>} */
      const hit = new Set(answer.totals.map((/** @type {[number, number]} */ [i]) => i));
      return asked.get("found") === "without" ? new Set([...Array(size).keys()].filter((i) => !hit.has(i))) : hit;
    }
    if (answer.searched <= searched) throw new Error(t("Not all hosts could be searched in the time."));
    searched = answer.searched;
  }
}
