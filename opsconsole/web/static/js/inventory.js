// The Hosts page: finds while one types, draws only the rows that are looked at, keeps what is ticked.
import { address, api, byId, el, glyph } from "./dom.js";
import { complete, paint, tokens } from "./expr.js";
import { localTime } from "./page.js";
import { number, plural, reasonName, t } from "./texts.js";
import { blank, virtualList } from "./vlist.js";

const WAIT_MS = 150;
const PAGE = 200;
const ROW = 32;

/** @typedef {{state: string, reason: string | null, recent: string, seen_at: string | null}} Health */
/** @typedef {{name: string, address: string | null, port: number | null, user: string | null, tags: Record<string, string>,
 *   groups: string[], frozen: boolean, frozen_reason: string | null, health: Health | null}} Host */

/** What became of a host's last contact, and the signs of the last ten. @param {Health | null} known */
function dots(known) {
  if (!known) return el("span", { class: "dots", role: "img", "aria-label": t("never met") });
  /** @type {Record<string, string>} */
  const words = {
    ok: t("it let us in"),
    lost: t("it let us in, and the connection broke"),
    refused: t("it answered and did not let us in"),
    unreached: t("it could not be reached"),
  };
  const title = known.state === "ok" || !known.reason ? words[known.state] : `${words[known.state]}: ${reasonName(known.reason)}`;
  return el("span", { class: "dots", role: "img", title, "aria-label": t("last contacts, the newest last: {states}", { states: known.recent }) }, ...[...known.recent].map(glyph));
}

const box = byId("q");
if (box) start();

function start() {
  const layer = byId("q-layer");
  const root = byId("rows");
  const form = /** @type {HTMLFormElement} */ (byId("hosts"));
  const everything = byId("everything");
  const mayTick = Boolean(root.dataset.tick);
  /** @type {Set<string>} */
  const ticked = new Set();
  /** @type {Host[]} */
  let rows = [];
  let total = 0;
  /** @type {string | null} */
  let next = null;
  /** @type {AbortController | null} */
  let asking = null;
  let timer = 0;
  let fetching = false;

  const list = virtualList(root, root.parentElement, { height: ROW, row: draw, need });

  /** @param {number} index */
  function draw(index) {
    const host = rows[index];
    if (!host) return blank(ROW);
    const place = `${host.user ? `${host.user}@` : ""}${host.address ?? ""}${host.port ? `:${host.port}` : ""}`;
    const tick = el("span");
    if (mayTick) {
      const mark = el("input", { type: "checkbox", "aria-label": host.name, on: { change: () => toggle(host.name, mark.checked) } });
      mark.checked = ticked.has(host.name);
      tick.append(mark);
    }
    return el("div", { class: "invrow" }, tick,
      el("a", { class: "mono cut", href: `/hosts/${encodeURIComponent(host.name)}`, text: host.name }),
      el("span", { class: "mono cut sub", text: place }),
      el("span", { class: "tags" }, ...Object.entries(host.tags).map(([key, value]) => el("span", { class: "tag", text: `${key}=${value}` }))),
      el("span", { class: "mono cut sub", text: host.groups.map((name) => `@${name}`).join(" ") }),
      dots(host.health),
      el("span", { class: "sub num nowrap" }, ...(host.health?.seen_at ? [localTime(host.health.seen_at)] : [])),
      el("span", {}, ...(host.frozen ? [el("span", { class: "pill frozen", title: host.frozen_reason, text: t("frozen") })] : [])));
  }

  /** @param {string} name @param {boolean} on */
  function toggle(name, on) {
    if (on) ticked.add(name);
    else ticked.delete(name);
    count();
  }

  function count() {
    if (mayTick) byId("picked").textContent = ticked.size ? plural(ticked.size, "{n} ticked", "{n} ticked") : "";
  }

  /** @param {number} last */
  function need(last) {
    if (next !== null && !fetching && last >= rows.length - 20) more();
  }

  /** @param {string} after @param {AbortSignal} [signal] */
  const ask = (after, signal) =>
    api(`/api/v1/inventory/hosts?${new URLSearchParams({ find: box.value, after, limit: String(PAGE), health: "1" })}`, { signal });

  async function more() {
    fetching = true;
    try {
      const page = await ask(next ?? "", asking?.signal);
      const first = rows.length;
      rows = rows.concat(page.hosts);
      next = page.next;
      for (let index = first; index < rows.length; index++) list.refresh(index);
    } catch {
      // The next look at the rows asks again.
    } finally {
      fetching = false;
      list.draw();
    }
  }

  async function find() {
    asking?.abort();
    const control = new AbortController();
    asking = control;
    try {
      const page = await ask("", control.signal);
      rows = page.hosts;
      total = page.total;
      next = page.next;
      fault(null);
      show(page.unknown);
    } catch (error) {
      if (!control.signal.aborted) fault(/** @type {any} */ (error));
    }
  }

  /** @param {string[]} unknown */
  function show(unknown) {
    paint(layer, tokens(box.value, new Set(unknown.map((name) => name.toLowerCase()))));
    list.clear();
    // Only now, so that what the server drew stands until there is something newer.
    root.replaceChildren(...(total ? [] : [el("p", { class: "empty", text: t("No host matches.") })]));
    list.size(total);
    byId("total").textContent = t("{n} of {all}", { n: number(total), all: number(Number(byId("total").dataset.inventory)) });
    if (mayTick) byId("all-label").textContent = plural(total, "the {n} host found", "all {n} hosts found");
    address({ q: box.value.trim() || null, after: null, changed: null });
  }

  /** @param {any} error */
  function fault(error) {
    const node = byId("q-error");
    const first = error?.problem?.errors?.[0];
    node.hidden = !error;
    box.setAttribute("aria-invalid", String(Boolean(error)));
    node.textContent = error ? [first?.column ? t("column {n}: ", { n: first.column }) : "", first?.message ?? error.message, first?.hint ? ` ${first.hint}` : ""].join("") : "";
  }

  box.addEventListener("input", () => {
    paint(layer, tokens(box.value));
    ticked.clear();
    count();
    clearTimeout(timer);
    timer = setTimeout(find, WAIT_MS);
  });
  box.addEventListener("keydown", (/** @type {KeyboardEvent} */ event) => {
    if (event.key !== "Enter") return;
    event.preventDefault();
    clearTimeout(timer);
    find();
  });
  form.addEventListener("submit", () => {
    // The rows that are not drawn have no box of their own to send.
    for (const old of form.querySelectorAll("input.kept")) old.remove();
    if (!everything?.checked) form.append(...[...ticked].map((name) => el("input", { type: "hidden", class: "kept", name: "host", value: name })));
    /** @type {HTMLInputElement} */ (form.elements.namedItem("q")).value = box.value;
  });
  box.closest(".expr").classList.add("painted");
  box.addEventListener("input", () => complete(box), { once: true });
  paint(layer, tokens(box.value));
  find();
}
