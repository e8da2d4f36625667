// Search in one host's output: the server looks through every kept line, and tells true totals and pages of hits.
import { byId } from "./dom.js";
import { number, t } from "./texts.js";

const PAGE = 200;

/** @typedef {{n: number, text: string, from_char: number, spans: [number, number][]}} Hit */

/**
 * @param {{input: HTMLInputElement, root: HTMLElement, log: () => ReturnType<typeof import("./log.js").createLog> | null}} options
 */
export function search({ input, root, log }) {
  /** Pages of hits by their number. @type {Map<number, Hit[]>} */
  let pages = new Map();
  let total = 0;
  let at = -1;
  let asking = new AbortController();
  const hits = byId("hits");
  const regex = byId("find-re");
  const cased = byId("find-case");

  /** @param {number} index */
  async function hit(index) {
    const page = Math.floor(index / PAGE);
    if (!pages.has(page)) {
      const asked = new URLSearchParams({ q: input.value, skip: String(page * PAGE), hits: String(PAGE) });
      for (const [name, button] of Object.entries({ re: regex, case: cased })) if (button?.getAttribute("aria-pressed") === "true") asked.set(name, "1");
      const answer = await log()?.find(asked, asking.signal);
      total = answer?.lines ?? 0;
      pages.set(page, answer?.rows[0]?.hits ?? []);
    }
    return pages.get(page)?.[index % PAGE];
  }

  async function start() {
    asking.abort();
    asking = new AbortController();
    const { signal } = asking;
    pages = new Map();
    total = 0;
    at = -1;
    say("");
    mark();
    if (!input.value || !log()) return;
    say(t("Searching…"));
    try {
      await hit(0);
    } catch (error) {
      if (!signal.aborted) say(/** @type {any} */ (error).problem?.detail ?? t("The search failed."));
      return;
    }
    if (signal.aborted) return;
    say();
    if (total) step(1);
  }

  /** @param {string} [text] */
  function say(text) {
    if (hits) hits.textContent = text ?? (total ? t("{n} of {total}", { n: number(at + 1), total: number(total) }) : t("Not found"));
  }

  /** @param {number} by */
  async function step(by) {
    if (!total) return;
    const { signal } = asking;
    at = (at + by + total) % total;
    say();
    const found = await hit(at).catch(() => undefined);
    if (!found || signal.aborted) return;
    await log()?.goTo(found.n);
    mark();
  }

  /** Highlights the places that are known among the lines on the page, without touching their nodes. */
  function mark() {
    if (!globalThis.Highlight) return;
    /** @type {Range[]} */
    const ranges = [];
    for (const one of [...pages.values()].flat()) {
      const line = root.querySelector(`#L${one.n} > span`);
      if (line) for (const span of one.spans) ranges.push(...place(line, one, span));
    }
    CSS.highlights.set("found", new Highlight(...ranges));
  }

  let timer = 0;
  const later = () => {
    clearTimeout(timer);
    timer = setTimeout(start, 200);
  };
  input.addEventListener("input", later);
  for (const button of [regex, cased]) {
    button?.addEventListener("click", () => {
      button.setAttribute("aria-pressed", String(button.getAttribute("aria-pressed") !== "true"));
      later();
    });
  }
  input.addEventListener("keydown", (event) => {
    if (event.key === "Enter") step(event.shiftKey ? -1 : 1);
    if (event.key === "Escape") root.focus();
  });
  if (input.value) start();
  return { step, again: start };
}

/** Returns where a place of a hit is among the text nodes of its line. @param {Element} line @param {Hit} hit @param {[number, number]} span */
function place(line, { text, from_char }, [from, to]) {
  const nodes = [];
  const walker = document.createTreeWalker(line, NodeFilter.SHOW_TEXT);
  for (let node = walker.nextNode(); node; node = walker.nextNode()) if (!node.parentElement?.matches("time")) nodes.push(node);
  // The server counts characters, a page counts UTF-16 units; and the page does not show what was overwritten.
  const chars = [...nodes.map((node) => node.nodeValue).join("")];
  if (!chars.slice(from_char).join("").startsWith([...text].slice(0, to).join(""))) return [];
  const units = (/** @type {number} */ n) => chars.slice(0, from_char + n).join("").length;
  const [start, end] = [units(from), units(to)];
  let before = 0;
  /** @type {Range[]} */
  const ranges = [];
  for (const node of nodes) {
    const size = node.nodeValue?.length ?? 0;
    if (before < end && before + size > start) {
      const range = new Range();
      range.setStart(node, Math.max(start - before, 0));
      range.setEnd(node, Math.min(end - before, size));
      ranges.push(range);
    }
    before += size;
  }
  return ranges;
}
