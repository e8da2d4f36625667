// The dialog in which a large or dangerous order is confirmed. What is typed there are fields of the form itself.
import { byId, el } from "./dom.js";
import { wavesHead } from "./how.js";
import { number, plural, t } from "./texts.js";

const LINES = 2;

/**
 * Asks once more, with what the order would do.
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
