// What every page shares: keys, what a person chooses, times in the reader's zone, menus that close, forms that are sent once.
import { byId, copy, el, fetchInto, pageAt, renew } from "./dom.js";
import { language, t } from "./texts.js";

const TYPING_PAUSE_MS = 120;
const FOUND_WITHIN_MS = 10_000;
const TYPED_INTO = "textarea, select, input:not([type=checkbox], [type=radio])";

// Single keys never fire while somebody types or a dialog asks, and can be turned off (WCAG 2.1.4).

/**
 * Binds keys such as "f", "ctrl+enter" or "g h" (one after the other) to actions.
 * @param {Record<string, (event: KeyboardEvent) => void>} bindings
 */
export function keys(bindings) {
  let before = "";
  let at = 0;
  document.addEventListener("keydown", (event) => {
    if (event.isComposing) return;
    const control = event.ctrlKey || event.metaKey || event.altKey;
    // With Alt some layouts type another sign than the key's; digits are meant by their place.
    const name = event.altKey ? `alt+${event.code.replace("Digit", "")}` : (control ? "ctrl+" : "") + event.key.toLowerCase();
    if (!control && (/** @type {any} */ (event.target).matches?.(TYPED_INTO) || document.documentElement.dataset.keys === "off" || document.querySelector("dialog:modal"))) return;
    const pair = performance.now() - at < 1200 ? `${before} ${name}` : "";
    const action = bindings[pair] ?? bindings[name];
    before = name;
    at = performance.now();
    if (!action) return;
    event.preventDefault();
    action(event);
  });
}

// What somebody chooses is shown at once and kept with them; only another language needs the page anew.
document.addEventListener("change", (event) => {
  const form = /** @type {HTMLInputElement} */ (event.target).form;
  if (form?.matches("[data-choices]")) form.requestSubmit();
});
document.addEventListener("submit", (event) => {
  const form = /** @type {HTMLFormElement} */ (event.target);
  const button = /** @type {HTMLButtonElement | null} */ (event.submitter);
  if (!form.matches("[data-choices]") || button?.name === "language") return;
  event.preventDefault();
  const said = new FormData(form, button);
  const shown = document.documentElement.dataset;
  for (const [name, word] of said) if (name in shown) shown[name] = String(word);
  fetch(form.action, { method: "POST", body: said, redirect: "manual", keepalive: true });
  document.dispatchEvent(new CustomEvent("themechange"));
  form.closest("details")?.removeAttribute("open");
});

const searchLink = byId("search-link");
if (searchLink) {
  const search = () => openSearch(searchLink.getAttribute("href"));
  keys({ "ctrl+k": search, "?": () => byId("keys-link").click() });
  document.addEventListener("click", (event) => {
    if (!(/** @type {HTMLElement} */ (event.target).closest?.("a[data-search]")) || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    search();
  });
}

/** Shows each `<time>` in the reader's own zone; the UTC text stays in its title. @param {ParentNode} [root] */
export function localTimes(root = document) {
  const today = new Date().toDateString();
  for (const node of root.querySelectorAll("time[datetime]")) {
    const when = new Date(node.getAttribute("datetime") ?? "");
    node.setAttribute("title", node.getAttribute("title") || (node.textContent ?? "").trim());
    const clock = when.toLocaleTimeString(language(), { hour: "2-digit", minute: "2-digit", second: "2-digit", hour12: false });
    const day = when.toLocaleDateString(language(), { day: "numeric", month: "short" });
    node.textContent = when.toDateString() === today ? clock : `${day} ${clock.slice(0, 5)}`;
  }
}
localTimes();

/** Returns a moment in the reader's own zone. @param {string} iso */
export function localTime(iso) {
  const node = el("span", {}, el("time", { datetime: iso, text: `${iso.slice(0, 19).replace("T", " ")} UTC` }));
  localTimes(/** @type {any} */ (node));
  return node;
}

document.addEventListener("click", (event) => {
  for (const menu of document.querySelectorAll("details.menu[open]")) {
    if (!menu.contains(/** @type {Node} */ (event.target))) menu.removeAttribute("open");
  }
});
document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape") return;
  for (const menu of document.querySelectorAll("details.menu[open]")) {
    menu.removeAttribute("open");
    menu.querySelector("summary")?.focus();
  }
});

document.addEventListener("submit", (event) => {
  const form = /** @type {HTMLFormElement} */ (event.target);
  if (form.method !== "post" || event.defaultPrevented) return;
  if (form.dataset.sent) event.preventDefault();
  form.dataset.sent = "yes";
  const button = /** @type {HTMLElement | null} */ (event.submitter);
  if (button && !button.querySelector("kbd")) button.textContent = t("Sending…");
});
addEventListener("pageshow", () => {
  for (const form of document.querySelectorAll("form[data-sent]")) form.removeAttribute("data-sent");
});

for (const button of /** @type {NodeListOf<HTMLElement>} */ (document.querySelectorAll("[data-copy]"))) {
  button.addEventListener("click", () => copy(button, byId(button.dataset.copy ?? "").textContent, t("Copied")));
}

const LISTEN_AFTER_MS = 500;
const LISTEN_AGAIN_MS = 30_000;
const NOTICES_EVERY_MS = 5000;
const ANSWER_WITHIN_MS = 10_000;

/** What everybody should know: by a stream, else by asking. */
const board = byId("notices");
/** @type {EventSource | null} */
let source = null;
let listenTimer = 0;
/** The stream has spoken: something on the way may swallow it. */
let hearing = false;
/** Another stream of this page tells it. */
let covered = false;

/** @param {{code: string, text: string}[]} told */
export function notices(told) {
  const shown = [...board.querySelectorAll("[data-code]")].map((node) => `${node.getAttribute("data-code")} ${node.getAttribute("data-text")}`);
  if (JSON.stringify(shown) !== JSON.stringify(told.map(({ code, text }) => `${code} ${text}`))) renew(board, "/notices").catch(() => {});
}

/** @param {boolean} on */
export function cover(on) {
  if (on === covered) return;
  covered = on;
  if (on) deaf();
  else listen();
}

function deaf() {
  source?.close();
  source = null;
  hearing = false;
  clearTimeout(listenTimer);
}

function listen() {
  deaf();
  if (!board || covered || document.hidden) return;
  const opened = new EventSource("/api/v1/events?jobs=false");
  source = opened;
  const again = (/** @type {number} */ ms) => {
    deaf();
    listenTimer = setTimeout(listen, ms);
  };
  opened.addEventListener("notices", (message) => {
    hearing = true;
    notices(JSON.parse(message.data).notices);
  });
  opened.addEventListener("bye", (message) => again(JSON.parse(message.data).retry_ms));
  // A refusal closes it for good.
  opened.addEventListener("error", () => {
    hearing = false;
    if (source === opened && opened.readyState === EventSource.CLOSED) again(LISTEN_AGAIN_MS);
  });
}

async function ask() {
  if (!document.hidden && !covered && !hearing) await renew(board, "/notices").catch(() => {});
  setTimeout(ask, NOTICES_EVERY_MS);
}

if (board) {
  // A page with a stream of its own says so first.
  listenTimer = setTimeout(listen, LISTEN_AFTER_MS);
  setTimeout(ask, NOTICES_EVERY_MS);
  document.addEventListener("visibilitychange", listen);
  addEventListener("pagehide", deaf);
  addEventListener("pageshow", (event) => event.persisted && listen());
}

/** The emergency stop and the list of keys are dialogs where there is script; their pages say the same. */
document.addEventListener("click", async (event) => {
  const link = /** @type {HTMLElement} */ (event.target).closest?.("a[data-dialog]");
  if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  const href = /** @type {HTMLAnchorElement} */ (link).href;
  const sheet = await pageAt(href, AbortSignal.timeout(ANSWER_WITHIN_MS)).then((page) => page.querySelector(".sheet")).catch(() => null);
  if (!sheet) return location.assign(href);
  sheet.classList.remove("card", "sheet");
  const head = /** @type {HTMLElement} */ (sheet.querySelector("h1"));
  const dialog = el("dialog", { class: "card dialog", "aria-label": head.textContent }, sheet);
  document.body.append(dialog);
  dialog.addEventListener("close", () => dialog.remove());
  sheet.querySelector("[data-close-dialog]")?.addEventListener("click", (back) => {
    back.preventDefault();
    dialog.close();
  });
  link.closest("details")?.removeAttribute("open");
  dialog.showModal();
  return undefined;
});

// A one-time link shows a form, so that a mail scanner's GET does not use it up; a person's browser sends it at once.
/** @type {HTMLFormElement | null} */ (document.querySelector("form[data-auto]"))?.requestSubmit();

// --- the global search in a dialog (Ctrl+K), by keyboard alone: type, go down and up, Enter. Its page does the same. ---

/** @param {string} href the page of the search, which `/found` under it answers for the dialog */
function openSearch(href) {
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
    const signal = AbortSignal.any([asked.signal, AbortSignal.timeout(FOUND_WITHIN_MS)]);
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
    timer = setTimeout(lookNow, TYPING_PAUSE_MS);
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
