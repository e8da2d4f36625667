// Search in one host's output: over every kept line, not only those on the page, with true totals.
import { byId } from "./dom.js";
import { number, t } from "./texts.js";

/**
 * @param {{input: HTMLInputElement, root: HTMLElement, log: () => ReturnType<typeof import("./log.js").createLog> | null}} options
 */
export function search({ input, root, log }) {
  /** @type {{n: number, count: number}[]} */
  let found = [];
  let total = 0;
  let at = -1;
  let run = 0;
  const hits = byId("hits");

  async function start() {
    const mine = ++run;
    const wanted = input.value.toLowerCase();
    found = [];
    total = 0;
    at = -1;
    say(wanted);
    mark(wanted);
    const source = log();
    if (!wanted || !source) return;
    for await (const page of source.all()) {
      if (mine !== run) return;
      for (const { n, text } of page) {
        const count = text.toLowerCase().split(wanted).length - 1;
        if (count) found.push({ n, count });
        total += count;
      }
      say(wanted);
    }
    if (found.length) step(1);
  }

  /** @param {string} wanted */
  function say(wanted) {
    if (!hits) return;
    const line = found[at] ? t("line {n}, ", { n: number(found[at].n) }) : "";
    hits.textContent = wanted ? line + t("{n} found", { n: number(total) }) : "";
  }

  /** @param {number} by */
  async function step(by) {
    if (!found.length) return;
    at = (at + by + found.length) % found.length;
    await log()?.goTo(found[at].n);
    say(input.value);
    mark(input.value.toLowerCase());
  }

  /** Highlights the matches among the lines on the page, without touching their nodes. @param {string} wanted */
  function mark(wanted) {
    if (!globalThis.Highlight) return;
    /** @type {Range[]} */
    const ranges = [];
    const walker = document.createTreeWalker(root, NodeFilter.SHOW_TEXT);
    for (let node = walker.nextNode(); wanted && node && ranges.length < 2000; node = walker.nextNode()) {
      const text = (node.nodeValue ?? "").toLowerCase();
      for (let from = text.indexOf(wanted); from >= 0; from = text.indexOf(wanted, from + wanted.length)) {
        const range = new Range();
        range.setStart(node, from);
        range.setEnd(node, from + wanted.length);
        ranges.push(range);
      }
    }
    CSS.highlights.set("found", new Highlight(...ranges));
  }

  let timer = 0;
  input.addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(() => start().catch(() => {}), 200);
  });
  input.addEventListener("keydown", (event) => {
    if (event.key === "Enter") step(event.shiftKey ? -1 : 1);
    if (event.key === "Escape") root.focus();
  });
  return { step, again: () => input.value && start().catch(() => {}) };
}
