// The box of a target expression: painted behind its text (groups bold, operators grey, unknown names underlined), and
// completed under it while one types.
import { api, el } from "./dom.js";
import { plural } from "./texts.js";

/** @typedef {{text: string, kind: "gp" | "op" | "no" | "un" | ""}} Token */

const OPERATOR = /[,;&!^()\s]/;
// One piece although there are operators in it.
const CALL = /^(?:state\([^()\r\n]*\)|same\([^()\r\n]*\)|matched\(\/(?:\\.|[^\\\r\n])*?\/\)):/;

/**
 * Returns the pieces of an expression with what each is. It only paints; the server decides what it means.
 * @param {string} expression
 * @param {Set<string>} [unknown] names that the server did not know
 * @returns {Token[]}
 */
export function tokens(expression, unknown = new Set()) {
  /** @type {Token[]} */
  const found = [];
  let name = "";
  let depth = 0;
  let away = false;
  const flush = () => {
    if (!name) return;
    const kind = unknown.has(name.toLowerCase()) ? "un" : away ? "no" : name.startsWith("@") ? "gp" : "";
    found.push({ text: name, kind });
    name = "";
    away = false;
  };
  let inside = 0;
  let at = 0;
  for (const char of expression) {
    if (!name) inside = at + (CALL.exec(expression.slice(at, at + 420))?.[0].length ?? 0);
    at += char.length;
    if (at <= inside) {
      name += char;
      continue;
    }
    if (char === "[") depth++;
    if (char === "]") depth = Math.max(0, depth - 1);
    if (depth === 0 && OPERATOR.test(char)) {
      flush();
      if (char === "!") away = true;
      found.push({ text: char, kind: "op" });
    } else name += char;
  }
  flush();
  return found;
}

/**
 * Draws the tokens into the layer behind the box.
 * @param {HTMLElement} layer
 * @param {Token[]} pieces
 */
export function paint(layer, pieces) {
  layer.replaceChildren(
    ...pieces.map(({ text, kind }) => {
      if (!kind) return document.createTextNode(text);
      const span = document.createElement("span");
      span.className = kind;
      span.textContent = text;
      return span;
    }),
    // A last empty line has height in a text box but not in a block.
    document.createTextNode("\n"),
  );
}

/** Quotes a word for a POSIX shell. @param {string} word */
export function quote(word) {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`;
}

/** The options of the command line, by the names of an order. @type {[string, string][]} */
const FLAGS = [
  ["--skip-unknown", "skip_unknown"], ["-f", "concurrency"], ["--connect-timeout", "connect_timeout"], ["--timeout", "command_timeout"], ["--idle-timeout", "idle_timeout"],
  ["--job-timeout", "job_timeout"], ["--max-failures", "max_failures"], ["--ignore-unreachable", "ignore_unreachable"],
  ["--at-stop", "at_stop"], ["--canary", "canary"], ["--canary-match", "canary_match"], ["--canary-gate", "canary_gate"],
  ["--waves", "waves"], ["--wave-pause", "wave_pause"], ["--wave-jitter", "wave_jitter"], ["--wave-gate", "wave_gate"],
  ["--order", "order"], ["--limit-per", "limit_per"], ["--jump", "jump"], ["--retries", "retries"], ["--retry-pause", "retry_pause"],
  ["--priority", "priority"], ["--durable", "durable"], ["--executor", "executor"], ["--simulation", "simulation"], ["--user", "user"], ["--reason", "reason"],
  ["--interpreter", "interpreter"], ["--cwd", "cwd"], ["--umask", "umask"], ["--stdin", "stdin"], ["--run-as", "run_as"], ["--raw", "raw"], ["--raw-typed", "raw_typed"],
  ["--check", "check"], ["--verify", "verify"], ["--step-barrier", "step_barrier"],
];
const SWITCHES = new Set(["skip_unknown", "ignore_unreachable", "durable", "raw", "raw_typed"]);

/**
 * Returns the command line that does what an order says.
 * @param {Record<string, any>} order as `how` and `what` tell it, with where and who
 * @param {Record<string, string>} usual values that need not be said
 */
export function commandLine(order, usual) {
  const words = ["opsconsole", "run", "-w", quote(order.targets.trim().replace(/\s*\n\s*/g, ","))];
  if (order.exclude.trim()) words.push("-x", quote(order.exclude.trim().replace(/\s*\n\s*/g, ",")));
  for (const [flag, name] of FLAGS) {
    if (!order[name] || order[name] === usual[name]) continue;
    words.push(flag);
    if (!SWITCHES.has(name)) words.push(quote(order[name]));
  }
  for (const word of order.args ?? []) words.push("--arg", quote(word));
  for (const [name, value] of Object.entries(order.env ?? {})) words.push("--env", quote(`${name}=${value}`));
  if (order.run_as_method === "su") words.push("--run-as-method", "su");
  if (order.run_as_credential === "password") words.push("--ask-run-as-password");
  else if (order.run_as_credential) words.push("--run-as-credential", quote(order.run_as_credential));
  if (order.credential === "password") words.push("--ask-password");
  else if (order.credential && order.credential !== usual.credential) words.push("--credential", quote(order.credential));
  if (order.pull) return [...words.with(1, "pull"), ...order.pull.map(quote), "."].join(" ");
  if (order.push) return order.push.map((/** @type {any} */ one) => pushLine(words.with(1, "push"), one, order.make_folders)).join("\n");
  return [...words, "--", quote(order.command)].join(" ");
}

/** The command line that puts one file there. @param {string[]} words @param {any} one @param {boolean} folders */
function pushLine(words, one, folders) {
  const how = [...(one.mode ? ["--mode", quote(one.mode)] : []), ...(one.owner ? ["--owner", quote(one.owner)] : []), ...(folders ? ["--make-folders"] : [])];
  return [...words, ...how, quote(one.name), quote(one.to)].join(" ");
}

// --- completing ------------------------------------------------------------------------------------------------------

const PAUSE_MS = 150;

/**
 * Returns the name that is being typed before the caret, empty for none: not within brackets or a pattern.
 * @param {string} before what stands before the caret
 */
export function begun(before) {
  const name = /[^,;&!^()\s]*$/.exec(before)?.[0] ?? "";
  return /[[\]~*?#]/.test(name) ? "" : name;
}

/** @param {HTMLTextAreaElement} box the targets, inside of an element that is positioned */
export function complete(box) {
  const list = el("div", { role: "listbox", id: "completions", "aria-label": box.labels?.[0]?.textContent ?? "" });
  const place = el("div", { class: "menu", hidden: true }, list);
  const said = el("p", { class: "vh", role: "status" });
  list.style.cssText = "left:0;right:auto;max-height:40vh;overflow:auto";
  box.after(place, said);
  box.setAttribute("aria-autocomplete", "list");
  box.setAttribute("aria-controls", "completions");
  let asking = new AbortController();
  let timer = 0;
  let at = -1;

  function close() {
    clearTimeout(timer);
    asking.abort();
    place.hidden = true;
    at = -1;
    box.removeAttribute("aria-activedescendant");
  }

  async function ask() {
    const name = begun(box.value.slice(0, box.selectionStart));
    if (!name) return close();
    asking.abort();
    asking = new AbortController();
    const { signal } = asking;
    const answer = await api(`/api/v1/complete?${new URLSearchParams({ q: name, limit: "12" })}`, { signal }).catch(() => null);
    if (signal.aborted || document.activeElement !== box) return undefined;
    const found = (answer?.found ?? []).filter((/** @type {{text: string}} */ one) => one.text !== name);
    at = -1;
    box.removeAttribute("aria-activedescendant");
    list.replaceChildren(...found.map((/** @type {{text: string}} */ { text }, /** @type {number} */ i) => {
      const item = el("div", { class: "item mono", role: "option", id: `completion-${i}`, "aria-selected": "false", text });
      // The box keeps the focus.
      item.addEventListener("pointerdown", (/** @type {Event} */ event) => event.preventDefault());
      item.addEventListener("click", () => take(i));
      return item;
    }));
    place.hidden = !found.length;
    said.textContent = found.length ? plural(found.length, "{n} suggestion, Tab takes it", "{n} suggestions, Tab takes the first") : "";
    return undefined;
  }

  /** @param {number} i */
  function take(i) {
    const text = list.children[i].textContent;
    const name = begun(box.value.slice(0, box.selectionStart));
    // Like typing, so that Ctrl+Z takes it back and the preview follows.
    box.setRangeText(text, box.selectionStart - name.length, box.selectionStart, "end");
    close();
    box.dispatchEvent(new InputEvent("input", { bubbles: true }));
  }

  /** @param {number} next */
  function choose(next) {
    list.children[at]?.setAttribute("aria-selected", "false");
    at = (next + list.children.length) % list.children.length;
    const item = list.children[at];
    item.setAttribute("aria-selected", "true");
    item.scrollIntoView({ block: "nearest" });
    box.setAttribute("aria-activedescendant", item.id);
  }

  const later = () => {
    clearTimeout(timer);
    timer = setTimeout(ask, PAUSE_MS);
  };
  box.addEventListener("input", later);
  box.addEventListener("blur", close);
  box.addEventListener("keydown", (event) => {
    if (place.hidden || event.isComposing || event.ctrlKey || event.metaKey || event.altKey) return;
    const { key } = event;
    if (key === "ArrowDown") choose(at + 1);
    else if (key === "ArrowUp") choose(at < 0 ? -1 : at - 1);
    else if (key === "Tab" && !event.shiftKey) take(Math.max(at, 0));
    else if (key === "Enter" && at >= 0) take(at);
    else if (key === "Escape") close();
    else return;
    event.preventDefault();
  });
  later();
}
