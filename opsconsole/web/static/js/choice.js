// The hosts a person has chosen, in the grid, in the table or by key, and the bar that says what to do with them.
import { byId, copy } from "./dom.js";
import { send } from "./control.js";
import { plural, t } from "./texts.js";

/**
 * @param {{job: number, name: (i: number) => string, onChange: (places: number[]) => void,
 *   onStatus: (status: import("./store.js").Status) => void}} options
 */
export function createChoice({ job, name, onChange, onStatus }) {
  /** @type {Set<number>} */
  const chosen = new Set();
  const bar = byId("chosen");
  let last = -1;
  // Without script the bar stands there for the ticked boxes.
  if (bar) bar.hidden = true;
  const names = () => [...chosen].sort((a, b) => a - b).map(name);

  /** @param {number[]} places */
  function changed(places) {
    bar.hidden = !chosen.size;
    byId("chosen-count").textContent = plural(chosen.size, "{n} host chosen", "{n} hosts chosen");
    onChange(places);
  }

  bar?.addEventListener("submit", (/** @type {SubmitEvent} */ event) => {
    const verb = event.submitter?.getAttribute("data-verb");
    event.preventDefault();
    if (verb === "rerun") return again();
    bar.querySelector("details[open]")?.removeAttribute("open");
    return send(`/api/v1/jobs/${job}/${verb}`, { hosts: names() }, onStatus, /** @type {any} */ (event.submitter));
  });

  /** Goes to the Run page with the chosen hosts; many of them are carried by their names as targets. */
  function again() {
    const address = new URL("/run", location.href);
    address.searchParams.set("from", String(job));
    address.searchParams.set("state", "qcrofkuxsl");
    for (const host of names()) address.searchParams.append("host", host);
    if (address.href.length > MOST_ADDRESS) byId("again").requestSubmit();
    else location.assign(address);
  }

  // What is chosen travels with the form when an address would not hold it.
  byId("again")?.addEventListener("formdata", (/** @type {FormDataEvent} */ event) => {
    for (const host of names()) event.formData.append("host", host);
  });

  byId("copy-chosen")?.addEventListener("click", () => copy(byId("copy-chosen"), names().join("\n"), t("Copied")));
  byId("choose-none")?.addEventListener("click", () => set([...chosen], false));

  /** @param {number[]} places @param {boolean} on */
  function set(places, on) {
    for (const i of places) if (on) chosen.add(i);
      else chosen.delete(i);
    changed(places);
  }

  return {
    has: (/** @type {number} */ i) => chosen.has(i),
    set,
    /** Chooses a host or takes it out; with `range` all from the one before to it. @param {number} i @param {boolean} [range] */
    toggle(i, range = false) {
      if (!bar || i < 0) return;
      const on = !chosen.has(i);
      const from = range && last >= 0 ? Math.min(last, i) : i;
      const to = range && last >= 0 ? Math.max(last, i) : i;
      set(Array.from({ length: to - from + 1 }, (_, step) => from + step), on);
      last = i;
    },
  };
}

const MOST_ADDRESS = 6000;
