// What is written into a form outlives the page: a reload, a server that fails, a browser that is closed. Passwords and
// what confirms an order are never kept, nor is anything that is not seen.
import { byId, el, throttled } from "./dom.js";
import { localTime } from "./page.js";
import { t } from "./texts.js";

const SAVE_EVERY_MS = 500;
const NEVER = "password hidden file submit button fieldset";

/**
 * Keeps what is typed into the order and brings it back into a form that is empty. Its `data-draft` names the person:
 * others use the same browser.
 * @param {HTMLFormElement} form
 */
export function keepDraft(form) {
  const key = form.dataset.draft ?? "";
  const box = byId("targets");
  const fields = /** @type {any[]} */ ([...form.elements]).filter(({ type, name }) => name && name !== "confirm" && !NEVER.includes(type));
  const read = () => fields.map(({ name, value, checked }) => [name, value, checked]);
  const empty = () => !box.value.trim() && !byId("command").value.trim();
  /** Lets the page see it as if it had been typed. */
  const changed = () => box.dispatchEvent(new Event("input", { bubbles: true }));

  /** @param {any[][]} kept */
  function restore(kept) {
    for (const field of fields) {
      const ticks = "radio checkbox".includes(field.type);
      const at = kept.findIndex(([name, value]) => name === field.name && (!ticks || value === field.value));
      if (at < 0) continue;
      const [[, value, checked]] = kept.splice(at, 1);
      if (ticks ? field.checked === checked : field.value === value) continue;
      if (ticks) field.checked = checked;
      else if (!field.options || [...field.options].some((one) => one.value === value)) field.value = value;
      // What differs from a new form is to be seen.
      field.closest("details")?.setAttribute("open", "");
    }
  }

  const draft = JSON.parse(localStorage.getItem(key) ?? "null");
  if (draft && !location.search && empty()) {
    restore(draft.fields);
    const time = localTime(draft.at).textContent.replace(/(:\d\d):\d\d$/, "$1");
    const discard = () => {
      form.reset();
      line.remove();
      changed();
      box.focus();
    };
    const line = el("p", { class: "note withdismiss", role: "status" }, el("span", { text: t("Your draft from {time} is here.", { time }) }),
      el("button", { class: "linkish", type: "button", text: t("Discard"), on: { click: discard } }));
    form.querySelector("h1")?.after(line);
    changed();
  }

  let last = JSON.stringify(read());
  function save() {
    const now = JSON.stringify(read());
    // A page that only showed a draft does not bring it back after another one sent it.
    if (now === last) return;
    last = now;
    if (empty()) localStorage.removeItem(key);
    else localStorage.setItem(key, JSON.stringify({ at: new Date(), fields: read() }));
  }
  form.addEventListener("input", throttled(save, SAVE_EVERY_MS));
  addEventListener("pagehide", save);
  sessionStorage.removeItem("sent");
  form.addEventListener("submit", (event) => {
    save();
    // The page of the job takes the draft away: until then nobody knows that the order was accepted.
    if (!event.defaultPrevented && event.submitter?.getAttribute("name") !== "action") sessionStorage.setItem("sent", key);
  });
}
