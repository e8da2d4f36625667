// The output pane of one host. Its head comes from the server as markup of our own; the output is drawn by log.js.
import { address, byId } from "./dom.js";
import { createLog, search } from "./log.js";
import { localTimes } from "./page.js";
import { bytes, plural, t } from "./texts.js";

/**
 * Brings a pane that is in the page to life: the log, its buttons and its search.
 * @param {HTMLElement} pane
 * @param {{line?: number | null}} [options]
 */
export function mount(pane, { line = null } = {}) {
  const root = /** @type {HTMLElement} */ (pane.querySelector(".log"));
  const facts = /** @type {DOMStringMap} */ (root.dataset);
  const count = pane.querySelector("[data-count]");
  /** @type {ReturnType<typeof createLog> | null} */
  let log = null;
  let size = Number(facts.bytes);
  // Hosts that print GBK are seldom alone: the choice stays in the address while one goes from host to host.
  const encoding = new URLSearchParams(location.search).get("encoding") ?? "";
  if (facts.url) {
    log = createLog({
      root, url: facts.url, step: facts.step, encoding, lines: Number(facts.lines), running: facts.running === "yes", line,
      onCount({ total, bytes: all, stderr }) {
        size = all;
        const sizes = [bytes(all), ...(stderr ? [t("{size} on stderr", { size: bytes(stderr) })] : [])];
        if (count) count.textContent = [plural(total, "{n} line", "{n} lines"), ...sizes].join(", ");
      },
    });
  }
  for (const button of pane.querySelectorAll("[data-toggle]")) {
    const name = button.getAttribute("data-toggle") ?? "";
    const on = localStorage.getItem(`log-${name}`);
    if (on && name !== "errors") apply(button, name, on === "yes");
    button.addEventListener("click", () => {
      const next = button.ariaPressed !== "true";
      apply(button, name, next);
      if (name === "errors") log?.read(undefined, next ? 1 : undefined).catch(() => {});
      else localStorage.setItem(`log-${name}`, next ? "yes" : "no");
    });
  }
  /** @param {Element} button @param {string} name @param {boolean} on */
  function apply(button, name, on) {
    button.ariaPressed = String(on);
    root.classList.toggle(name === "wrap" ? "nowrap" : name, name === "wrap" ? !on : on);
  }
  const follow = byId("follow");
  follow?.setAttribute("aria-pressed", String(Boolean(log?.following)));
  follow?.addEventListener("click", () => log?.follow(!log.following));
  byId("to-last")?.addEventListener("click", () => log?.toLast());
  const gbk = byId("gbk");
  gbk?.setAttribute("aria-pressed", String(encoding === "gbk"));
  gbk?.addEventListener("click", () => {
    const on = gbk.ariaPressed !== "true";
    gbk.ariaPressed = String(on);
    address({ encoding: on ? "gbk" : null });
    log?.read(on ? "gbk" : "").then(() => finder?.again(), () => {});
  });
  const input = /** @type {HTMLInputElement | null} */ (byId("find"));
  const finder = input && search({ input, root, log: () => log });
  // The browser's own search sees a window of the output only; asked for a second time, it comes.
  root.addEventListener("keydown", (event) => {
    if (!input || event.key !== "f" || !(event.ctrlKey || event.metaKey)) return;
    event.preventDefault();
    input.focus();
  });
  localTimes(/** @type {any} */ (pane));
  return { log, finder, offset: () => size, running: facts.running === "yes", letter: facts.letter };
}
