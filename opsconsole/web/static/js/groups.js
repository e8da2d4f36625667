// The list of identical outputs. Sorted by the server; redrawn at most every other second and never under the pointer.
import { text as readable } from "./ansi.js";
import { api, el, glyph } from "./dom.js";
import { outcomeOf } from "./hosts.js";
import { number, plural, t } from "./texts.js";

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

  /** What a group with the majority's first line says differently, by the place of its first host; outputs of ended
   * hosts never change, so each pair is asked for once. @type {Map<string, string[]>} */
  const differences = new Map();

  /** The group all others are compared with: the one that is larger than any other that went well. */
  function reference() {
    const [most, next] = groups.filter((group) => group.state === "o").sort((a, b) => b.count - a.count);
    return most && most.count > (next?.count ?? 1) ? most : undefined;
  }

  /** What the reference may be called. @param {any} most */
  function rank(most) {
    const well = groups.reduce((sum, group) => sum + (group.state === "o" ? group.count : 0), 0);
    return most.count * 2 > well ? t("majority, others are compared with it") : t("largest group, others are compared with it");
  }

  async function compare() {
    const most = reference();
    if (!most) return;
    const alike = groups.filter((group) => group !== most && "of".includes(group.state) && group.head === most.head);
    for (const group of alike.slice(0, limit)) {
      const pair = `${most.i}:${group.i}`;
      if (differences.has(pair)) continue;
      differences.set(pair, []);
      const [ours, theirs] = await Promise.all([most.i, group.i].map(linesOf));
      const at = theirs.findIndex((line, index) => line !== ours[index]);
      const from = at < 0 ? theirs.length : at;
      differences.set(pair, [ours[from] ?? "", theirs[from] ?? ""]);
      show();
    }
  }

  /** @param {number} i @returns {Promise<string[]>} */
  async function linesOf(i) {
    const answer = await api(`/api/v1/jobs/${job}/hosts/${i}/output?limit=500`).catch(() => ({ lines: [] }));
    return answer.lines.map((/** @type {[number, number, number, string]} */ line) => readable(line[3]).slice(0, 300));
  }

  /** The line that stands for a group: its first, or how it departs from the majority. @param {any} group */
  function headOf(group) {
    const most = reference();
    const [ours, theirs] = differences.get(`${most?.i}:${group.i}`) ?? [];
    if (!ours && !theirs) {
      const line = el("span", { class: "h1 cut", text: group.head || t("(no output)") });
      if (group === most && groups.length > 1) line.append(el("span", { class: "sub majority", text: rank(most) }));
      return line;
    }
    return el("span", { class: "h1 cut df" },
      ...(ours ? [el("del", { text: `- ${ours}` }), " "] : []), ...(theirs ? [el("ins", { text: `+ ${theirs}` })] : []));
  }

  /** @param {any} group */
  function draw(group) {
    const outcome = outcomeOf(group);
    const node = el("a", { class: "grp", href: href(group.hosts?.[0] ?? "") },
      glyph(group.state),
      el("span", { class: "c", text: number(group.count) }),
      el("span", { class: "cut" },
        headOf(group),
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
    if (fitting.length > limit) root.append(el("p", { class: "foot", text: plural(fitting.length - limit, "{n} more group in Output groups", "{n} more groups in Output groups") }));
    const hosts = groups.reduce((sum, group) => sum + group.count, 0);
    if (note) {
      const text = plural(groups.length, "{n} group from {hosts}", "{n} groups from {hosts}");
      note.textContent = hosts ? text.replace("{hosts}", plural(hosts, "{n} host", "{n} hosts")) : "";
    }
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
        compare();
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
