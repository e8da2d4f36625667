// The global search in a dialog (Ctrl+K), by keyboard alone: type, go down and up, Enter. Its page does the same.
import { el, fetchInto } from "./dom.js";
import { t } from "./texts.js";

const PAUSE_MS = 120;
const ANSWER_WITHIN_MS = 10_000;

/** @param {string} href the page of the search, which `/found` under it answers for the dialog */
export function openSearch(href) {
  if (document.querySelector("dialog:modal")) return;
  const label = t("Jobs, hosts, groups, saved commands, pages");
  // Of type "search" it would take the first Escape for itself.
  const box = el("input", {
    class: "in", role: "searchbox", "aria-label": label, placeholder: label, maxlength: 200,
    autocapitalize: "none", autocomplete: "off", spellcheck: "false",
  });
  const hits = el("div", { class: "found" });
  const said = el("p", { class: "vh", role: "status" });
  const dialog = el("dialog", { class: "card dialog", "aria-label": t("Search") }, el("div", {}, box, hits, said));
  const links = () => [...hits.querySelectorAll("a")];
  let asked = new AbortController();
  let timer = 0;
  /** What was looked for last, and the promise of its answer. */
  let latest = Promise.resolve();

  async function look() {
    asked.abort();
    asked = new AbortController();
    const signal = AbortSignal.any([asked.signal, AbortSignal.timeout(ANSWER_WITHIN_MS)]);
    const url = `${href}/found?${new URLSearchParams({ q: box.value })}`;
    try {
      await fetchInto(hits, url, signal);
      said.textContent = t("{n} found", { n: links().length });
    } catch {
      if (!asked.signal.aborted || signal.reason?.name === "TimeoutError") said.textContent = t("No answer.");
    }
  }

  const lookNow = () => {
    clearTimeout(timer);
    timer = 0;
    latest = look();
  };

  box.addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(lookNow, PAUSE_MS);
  });

  dialog.addEventListener("keydown", async (/** @type {KeyboardEvent} */ event) => {
    if (event.isComposing) return;
    const stops = [box, ...links()];
    const at = stops.indexOf(document.activeElement);
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step) {
      event.preventDefault();
      stops[(at + step + stops.length) % stops.length].focus();
    } else if (event.key === "Enter" && at === 0) {
      event.preventDefault();
      // Whoever types fast means the first of what they typed, not of what is shown yet.
      if (timer) lookNow();
      await latest;
      links()[0]?.click();
    } else if (at > 0 && event.key.length === 1 && !event.ctrlKey && !event.metaKey && event.key !== " ") box.focus();
  });

  dialog.addEventListener("close", () => {
    clearTimeout(timer);
    asked.abort();
    dialog.remove();
  });
  document.body.append(dialog);
  dialog.showModal();
  lookNow();
}
