// What every page shares: the theme menu, times in the reader's zone, menus that close, forms that are sent once.
import { byId } from "./dom.js";
import { t } from "./texts.js";

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

const keysBox = byId("single-keys");
if (keysBox) {
  keysBox.checked = localStorage.getItem("keys") !== "off";
  keysBox.addEventListener("change", () => localStorage.setItem("keys", keysBox.checked ? "on" : "off"));
}

/** Shows each `<time>` in the reader's own zone; the UTC text stays in its title. */
export function localTimes(root = document) {
  const today = new Date().toDateString();
  for (const node of root.querySelectorAll("time[datetime]")) {
    const when = new Date(node.getAttribute("datetime") ?? "");
    if (Number.isNaN(when.getTime())) continue;
    node.setAttribute("title", node.getAttribute("title") || (node.textContent ?? "").trim());
    const clock = when.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", second: "2-digit", hour12: false });
    const day = when.toLocaleDateString([], { day: "numeric", month: "short" });
    node.textContent = when.toDateString() === today ? clock : `${day} ${clock.slice(0, 5)}`;
  }
}
localTimes();

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
