// What every page shares: the theme menu, times in the reader's zone, menus that close, forms that are sent once.
import { byId, el, pageAt, renew } from "./dom.js";
import { keys } from "./keys.js";
import { openSearch } from "./palette.js";
import { language, t } from "./texts.js";

for (const button of document.querySelectorAll("[data-theme-choice]")) {
  button.addEventListener("click", () => {
    const choice = button.getAttribute("data-theme-choice") ?? "";
    if (choice) {
      localStorage.setItem("theme", choice);
      document.documentElement.dataset.theme = choice;
    } else {
      localStorage.removeItem("theme");
      delete document.documentElement.dataset.theme;
    }
    document.dispatchEvent(new CustomEvent("themechange"));
    button.closest("details")?.removeAttribute("open");
  });
}

/** Lets the boxes in `root` show and change whether single keys are shortcuts. @param {ParentNode} root */
function singleKeys(root) {
  for (const box of /** @type {NodeListOf<HTMLInputElement>} */ (root.querySelectorAll("[data-single-keys]"))) {
    box.checked = localStorage.getItem("keys") !== "off";
    box.addEventListener("change", () => localStorage.setItem("keys", box.checked ? "on" : "off"));
  }
}
singleKeys(document);

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

const contrastBox = byId("high-contrast");
if (contrastBox) {
  contrastBox.checked = localStorage.getItem("contrast") === "high";
  contrastBox.addEventListener("change", () => {
    localStorage.setItem("contrast", contrastBox.checked ? "high" : "");
    if (contrastBox.checked) document.documentElement.dataset.contrast = "high";
    else delete document.documentElement.dataset.contrast;
  });
}

/** Shows each `<time>` in the reader's own zone; the UTC text stays in its title. @param {ParentNode} [root] */
export function localTimes(root = document) {
  const today = new Date().toDateString();
  for (const node of root.querySelectorAll("time[datetime]")) {
    const when = new Date(node.getAttribute("datetime") ?? "");
    if (Number.isNaN(when.getTime())) continue;
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
window.addEventListener("pageshow", () => {
  for (const form of document.querySelectorAll("form[data-sent]")) form.removeAttribute("data-sent");
});

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
  const shown = [...board.querySelectorAll("[data-code]")].map((node) => `${node.getAttribute("data-code")} ${node.querySelector("span").textContent}`);
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
  window.addEventListener("pagehide", deaf);
  window.addEventListener("pageshow", (event) => event.persisted && listen());
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
  singleKeys(sheet);
  sheet.querySelector("[data-close-dialog]")?.addEventListener("click", (back) => {
    back.preventDefault();
    dialog.close();
  });
  link.closest("details")?.removeAttribute("open");
  dialog.showModal();
  return undefined;
});
