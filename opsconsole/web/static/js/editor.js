// The editor of the command: numbered lines, advice below, and earlier commands by Alt+Up and Alt+Down.
import { advice } from "./advice.js";
import { byId, el } from "./dom.js";
import { plural, t } from "./texts.js";

/**
 * Takes over the text box of the command; returns what is to be called when its text may have changed.
 * @param {HTMLTextAreaElement} area
 * @param {{earlier: string[], shell: () => boolean}} options `shell`: whether a shell reads the text
 */
export function createEditor(area, { earlier, shell }) {
  const numbers = el("pre", { class: "nums num", "aria-hidden": "true" });
  area.before(numbers);
  area.wrap = "off";
  let written = "";
  let at = -1;
  area.addEventListener("scroll", () => (numbers.scrollTop = area.scrollTop));
  area.addEventListener("keydown", (event) => {
    const step = event.altKey ? { ArrowUp: 1, ArrowDown: -1 }[event.key] : undefined;
    if (!step || at + step < -1 || at + step >= earlier.length) return;
    event.preventDefault();
    if (at < 0) written = area.value;
    at += step;
    area.value = at < 0 ? written : earlier[at];
    area.dispatchEvent(new Event("input", { bubbles: true }));
  });
  return () => {
    const lines = area.value.split("\n").length;
    numbers.textContent = Array.from({ length: lines }, (_, line) => line + 1).join("\n");
    numbers.scrollTop = area.scrollTop;
    const said = shell() ? advice(area.value) : [];
    byId("line-count").textContent = area.value.trim() ? plural(lines, "{n} line", "{n} lines") : t("no command yet");
    byId("advice").textContent = said.map(({ line, text }) => (line ? t("Line {n} {what}.", { n: line, what: text }) : text)).join(" ");
  };
}
