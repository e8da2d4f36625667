// The list of identical outputs. Sorted by the server; redrawn at most every other second and never under the pointer.
import { api, el, glyph } from "./dom.js";
import { outcomeOf } from "./hosts.js";
import { number, t } from "./texts.js";

/**
 * @param {{job: number, root: HTMLElement, note: HTMLElement | null, limit: number, href: (host: string) => string,
 *   onPick: (i: number) => void}} options
 */
export function groupList({ job, root, note, limit, href, onPick }) {
  let busy = false;
  let again = false;
  let filter = "";
  /** @type {any[]} */
  let groups = [];

  /** @param {any} group */
  function draw(group) {
    const outcome = outcomeOf(group);
    const node = el("a", { class: "grp", href: href(group.hosts?.[0] ?? "") },
      glyph(group.state),
      el("span", { class: "c", text: number(group.count) }),
      el("span", { class: "cut" },
        el("span", { class: "h1 cut", text: group.head || t("(no output)") }),
        el("br"),
        el("span", { class: "hs cut", text: group.folded })),
      el("span", { class: outcome.class || "ex", text: outcome.text || t("no exit status") }));
    node.addEventListener("click", (/** @type {MouseEvent} */ event) => {
      if (event.ctrlKey || event.metaKey || event.shiftKey) return;
      event.preventDefault();
      onPick(group.i);
    });
    return node;
  }

  function show() {
    const fitting = groups.filter((group) => !filter || filter.includes(group.state));
    root.replaceChildren(...fitting.slice(0, limit).map(draw));
    if (!fitting.length) root.append(el("p", { class: "empty", text: filter ? t("No group fits this filter.") : t("Nothing has finished yet.") }));
    if (fitting.length > limit) root.append(el("p", { class: "foot", text: t("{n} more groups in Output groups", { n: number(fitting.length - limit) }) }));
    const hosts = groups.reduce((sum, group) => sum + group.count, 0);
    if (note) note.textContent = t("{n} groups from {hosts} finished hosts", { n: number(groups.length), hosts: number(hosts) });
  }

  return {
    /** @param {string} letters */
    filter(letters) {
      filter = letters;
      show();
    },
    async refresh() {
      if (busy || root.matches(":hover")) {
        again = true;
        return;
      }
      busy = true;
      again = false;
      try {
        groups = (await api(`/api/v1/jobs/${job}/groups`)).groups;
        show();
      } catch {
        // The next change asks again; what is shown stays.
      }
      busy = false;
    },
    /** True when a refresh was put off. */
    get late() {
      return again;
    },
    get count() {
      return groups.length;
    },
  };
}
