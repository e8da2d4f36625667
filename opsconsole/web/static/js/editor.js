// The editor of the command: numbered lines, advice below, earlier commands by Alt+Up and Alt+Down or from a menu, and
// the variables that a host has.
import { advice } from "./advice.js";
import { byId, el } from "./dom.js";
import { plural, t } from "./texts.js";

const VARIABLES = ["{host.name}", "{host.address}", "{host.port}", "{n}"];

/**
 * Fills a menu whenever it is opened.
 * @param {HTMLElement} menu
 * @param {() => string[]} texts
 * @param {(text: string) => void} pick
 */
function fill(menu, texts, pick) {
  menu.addEventListener("toggle", () =>
    menu.lastElementChild?.replaceChildren(...texts().map((text) => {
      const [line, ...more] = text.trim().split("\n");
      const click = () => {
        menu.removeAttribute("open");
        pick(text);
      };
      return el("button", { class: "item mono", type: "button", title: text, text: more.length ? `${line} …` : line, on: { click } });
    })));
}

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
  /** @param {string} text @param {number} from @param {number} to what it stands for */
  const put = (text, from, to) => {
    area.setRangeText(text, from, to, "end");
    area.dispatchEvent(new Event("input", { bubbles: true }));
    area.focus();
  };
  // The tags are those of the hosts that were named (run.js).
  const tags = () => [.../** @type {any} */ (byId("tag-names")).options].map(({ value }) => `{tag.${value}}`);
  fill(byId("variables"), () => [...VARIABLES, ...tags()], (text) => put(text, area.selectionStart, area.selectionEnd));
  fill(byId("history"), () => earlier, (text) => put(text, 0, area.value.length));
  byId("history").hidden = !earlier.length;
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
