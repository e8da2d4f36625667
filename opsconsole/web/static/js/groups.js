// The list of output groups, as the server draws it: renewed at most every other second and never under the pointer.
import { address, api, renew } from "./dom.js";

/**
 * @param {{job: number, root: HTMLElement, note: HTMLElement | null, few: boolean, ver: () => number,
 *   onPick: (i: number) => void, onGroup: (places: number[] | null) => void}} options
 */
export function groupList({ job, root, note, few, ver, onPick, onGroup }) {
  let busy = false;
  let again = false;
  /** Somebody asked for another list while one was on its way. */
  let pressed = false;
  let filter = "";
  const asked = () => new URLSearchParams(location.search);
  const list = () => /** @type {HTMLElement | null} */ (root.querySelector(".modes"))?.dataset ?? {};

  /** Marks the group of the address, whose hosts alone are not dimmed. */
  function mark() {
    const picked = asked().get("group");
    for (const row of root.querySelectorAll(".grp")) row.classList.toggle("on", row.getAttribute("data-g") === picked);
  }

  /** @param {string | null} g */
  async function only(g) {
    address({ group: g });
    mark();
    const found = g && (await api(`/api/v1/jobs/${job}/groups/${g}?limit=1&mode=${asked().get("mode") ?? "similar"}`).catch(() => null));
    if (asked().get("group") === g) onGroup(found ? found.members.map((/** @type {[number, string]} */ [i]) => i) : null);
  }

  root.addEventListener("click", (event) => {
    const row = /** @type {HTMLElement} */ (event.target).closest("[data-g], [data-mode]");
    if (!row || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    const { g = null, i, mode } = /** @type {HTMLElement} */ (row).dataset;
    if (mode) {
      address({ mode: mode === "similar" ? null : mode });
      only(null);
      refresh(true);
      return;
    }
    only(asked().get("group") === g ? null : g);
    onPick(Number(i));
  });

  /** @param {boolean} [now] also under the pointer */
  async function refresh(now = false) {
    if (busy || (root.matches(":hover") && !now)) {
      again = true;
      pressed ||= now;
      return;
    }
    busy = true;
    const search = new URLSearchParams({ mode: asked().get("mode") ?? "", state: [...filter].join(","), few: few ? "1" : "" });
    for (const name of ["find", "hits", "re", "case"]) if (asked().has(name)) search.set(name, asked().get(name) ?? "");
    try {
      await renew(root, `/jobs/${job}/grouped?${search}`);
      mark();
      if (note) note.textContent = list().note ?? "";
    } catch {
      // The next change asks again; what is shown stays.
    }
    // A list that is made for many viewers may be of a moment ago.
    again = Number(list().ver) < ver();
    busy = false;
    if (!pressed) return;
    pressed = false;
    await refresh(true);
  }

  return {
    /** @param {string} letters */
    filter(letters) {
      filter = letters;
      if (root.offsetParent) refresh(true);
    },
    refresh,
    only,
    /** True when a refresh was put off. */
    get late() {
      return again;
    },
    get count() {
      return Number(list().n ?? 0);
    },
  };
}
