// What of an order's hosts needs a look before it is given: unknown, unreachable, frozen, excluded, and how it is made up.
import { byId, el, glyph } from "./dom.js";
import { wavesHead } from "./how.js";
import { number, plural, t } from "./texts.js";

const MOST_VALUES = 8;
const MOST_TAGS = 4;
const LINES = 2;

/**
 * Returns the lines of the panel, by the answer of `/resolve`.
 * @param {any} found
 * @param {{leaveOut: (folded: string) => void, useInstead: (unknown: string, instead: string) => void}} on
 */
export function items(found, { leaveOut, useInstead }) {
  const parts = [];
  if (found.unknown_count) parts.push(unknown(found, useInstead));
  if (found.recent_unreachable.length) {
    const folded = found.recent_unreachable_folded;
    const part = item("u", plural(found.recent_unreachable.length, "{n} was unreachable last time", "{n} were unreachable last time"), folded, "");
    const line = /** @type {HTMLElement} */ (part.querySelector(".w"));
    line.classList.add("cut");
    line.title = folded;
    part.insertBefore(el("button", { class: "linkish", type: "button", text: t("Leave out"), on: { click: () => leaveOut(folded) } }), line);
    parts.push(part);
  }
  if (found.key_changed_count) {
    const part = item("u", plural(found.key_changed_count, "Host key changed on {n} host", "Host key changed on {n} hosts"), found.key_changed_folded, t("Nothing connects until an administrator decides."), true);
    part.querySelector(".w")?.append(" ", el("a", { href: "/host-keys", text: t("Host keys") }));
    parts.push(part);
  }
  if (found.frozen_count) parts.push(item("s", t("{n} frozen, left out", { n: number(found.frozen_count) }), found.frozen_folded, ""));
  if (found.excluded_count) parts.push(item("x", t("{n} excluded", { n: number(found.excluded_count) }), found.excluded, ""));
  parts.push(...through(found.jumps ?? {}), ...madeUp(found.by ?? {}));
  return parts;
}

/** @param {any} found @param {(unknown: string, instead: string) => void} useInstead */
function unknown(found, useInstead) {
  const count = number(found.unknown_count);
  if (!found.unknown_blocks && !found.unknown_skipped) return item("c", t("{n} outside the inventory", { n: count }), "", t("Dialled by the name as written."));
  const note = found.unknown_skipped ? t("Left out.") : t("Not in the inventory, so nothing runs.");
  const part = item("l", t("{n} unknown", { n: count }), found.unknown_folded, note, !found.unknown_skipped);
  for (const one of found.unknown_suggestions ?? []) {
    part.querySelector(".w")?.append(el("div", {}, el("span", { class: "mono", text: one.unknown }), ": ", t("did you mean"), " ",
      el("button", { class: "linkish mono", type: "button", text: one.use, on: { click: () => useInstead(one.unknown, one.use) } }), "?"));
  }
  return part;
}

/**
 * Shows how the hosts divide by what is in production.
 * @param {HTMLElement} bar @param {HTMLElement} text @param {{name: string, count: number, protected: boolean}[]} parts
 */
export function madeOf(bar, text, parts) {
  bar.hidden = !parts.length;
  bar.replaceChildren(...parts.map((part) => {
    const node = el("i", { class: part.protected ? "l" : "x" });
    node.style.flexGrow = part.count;
    return node;
  }));
  text.replaceChildren(...parts.slice(0, 4).flatMap(({ name, count }, at) => [at ? ", " : "", el("b", { class: "num", text: number(count) }), ` ${name || t("others")}`]));
}

/** How many hosts are reached by each way that is not the direct one. @param {Record<string, number>} jumps */
function through(jumps) {
  const lines = Object.entries(jumps).filter(([way]) => way !== "none").map(([way, count]) =>
    el("div", { class: "num" }, el("span", { class: "mono wrap-any", text: way }), ` ${number(count)}`));
  return lines.length ? [el("div", { class: "it" }, el("span"), el("b", { text: t("Through jump hosts") }), el("div", { class: "w" }, ...lines))] : [];
}

/** How many hosts each value of a tag has, of tags that have few values. @param {Record<string, Record<string, number>>} by */
function madeUp(by) {
  const told = Object.entries(by).filter(([, counts]) => Object.keys(counts).length <= MOST_VALUES).slice(0, MOST_TAGS);
  if (!told.length) return [];
  const lines = told.map(([tag, counts]) => {
    const values = Object.entries(counts).sort((a, b) => b[1] - a[1]).map(([value, count]) => `${value} ${number(count)}`);
    return el("div", { class: "num" }, el("span", { class: "mono sub", text: tag }), ` ${values.join(", ")}`);
  });
  return [el("div", { class: "it" }, el("span"), el("b", { text: t("Made up of") }), el("div", { class: "w" }, ...lines))];
}

/** @param {string} letter @param {string} head @param {string} names @param {string} note @param {boolean} [bad] */
function item(letter, head, names, note, bad = false) {
  const text = el("div", { class: "w" });
  if (note) text.append(el("div", { class: bad ? "err" : "", text: note }));
  if (names) text.append(el("span", { class: "mono", text: names.length > 300 ? `${names.slice(0, 300)}…` : names }));
  return el("div", { class: "it" }, glyph(letter), el("b", { text: head }), text);
}

/**
 * Asks once more, in the dialog in which a large or dangerous order is confirmed, with what it would do. What is typed there
 * are fields of the form itself.
 * @param {HTMLDialogElement} dialog holds the fields of the confirmation
 * @param {any} found the answer of `/resolve`
 * @param {{lines: string[], user: string, credential: string, gate: string}} order
 */
export function sure(dialog, found, { lines, user, credential, gate }) {
  const hosts = plural(found.count, "{n} host", "{n} hosts");
  const head = found.protected_count ? t("Run on {hosts}, {n} of them in production?", { hosts, n: number(found.protected_count) }) : t("Run on {hosts}?", { hosts });
  const more = lines.length - LINES;
  byId("sure").replaceChildren(
    el("h2", { id: "sure-head", text: head }),
    el("p", { class: "mono cut", text: found.folded }),
    el("p", { class: "err", text: found.risk.reasons.join(", ") }),
    el("p", { text: t("as {user} with: {credential}", { user, credential }) }),
    el("div", { class: "ed" }, el("div", { class: "mono wrap-any" }, el("pre", { text: lines.slice(0, LINES).join("\n") }),
      ...(more > 0 ? [el("p", { class: "sub", text: plural(more, "+ {n} more line", "+ {n} more lines") })] : []))),
    el("ul", {}, ...promises(found, gate).map((text) => el("li", { text }))),
  );
  if (!dialog.open) dialog.showModal();
}

/** @param {any} found @param {string} gate */
function promises(found, gate) {
  const [first] = found.waves ?? [];
  const canary = first?.kind === "canary" && plural(first.size, "{n} host", "{n} hosts");
  const starts = canary
    ? gate === "manual" ? t("Starts with {hosts} alone and waits for you before it goes on", { hosts: canary }) : t("Starts with {hosts} alone and goes on if all are OK", { hosts: canary })
    : first ? wavesHead(found.waves) : t("{n} at the same time", { n: number(Math.min(found.concurrency, found.count)) });
  const stops = found.allowed_failures === null
    ? t("Never stops by itself: all could fail")
    : t("Stops by itself at failure {n}; at worst {worst} fail before that", { n: number(found.allowed_failures + 1), worst: number(found.worst_case) });
  return [starts, stops, t("The list is fixed now. If the inventory changes before you confirm, nothing runs")];
}
