// What is run besides the command's text, as the Run form says it: in the names of an order.

/** The form's fields that this module reads. */
export const FIELDS = ["kind", "interpreter", "args", "stdin", "cwd", "umask", "env"];

/** @typedef {{interpreter?: string, args?: string[], stdin?: string, cwd?: string, umask?: string, env?: Record<string, string>}} What */

/**
 * Returns what the fields mean; what is not said is left out. The server reads the form by the same rules (run_what.py).
 * @param {Record<string, string>} form
 * @returns {What}
 */
export function what(form) {
  const said = {
    interpreter: form.kind === "script" ? (form.interpreter ?? "").trim() : "",
    args: words(form.args ?? "") ?? [],
    stdin: (form.stdin ?? "").replaceAll("\r\n", "\n"),
    cwd: (form.cwd ?? "").trim(),
    umask: (form.umask ?? "").trim(),
    env: variables(form.env ?? ""),
  };
  return Object.fromEntries(Object.entries(said).filter(([, value]) => (typeof value === "object" ? Object.keys(value).length : value)));
}

/** Returns the words of a text as a shell splits them, null while a quote is open. @param {string} text @returns {string[] | null} */
export function words(text) {
  /** @type {string[]} */
  const found = [];
  let word = "";
  let open = "";
  let begun = false;
  for (let at = 0; at < text.length; at++) {
    const one = text[at];
    if (open) {
      if (one === open) open = "";
      else if (one === "\\" && open === '"' && "\\\"".includes(text[at + 1] ?? " ")) word += text[++at];
      else word += one;
    } else if (one === "'" || one === '"') {
      open = one;
      begun = true;
    } else if (/\s/.test(one)) {
      if (begun) found.push(word);
      word = "";
      begun = false;
    } else {
      word += one === "\\" ? (text[++at] ?? "") : one;
      begun = true;
    }
  }
  if (begun) found.push(word);
  return open ? null : found;
}

/** Returns the variables that lines of `NAME=value` say. @param {string} text @returns {Record<string, string>} */
export function variables(text) {
  /** @type {Record<string, string>} */
  const found = {};
  const lines = text.replaceAll("\r\n", "\n").split("\n");
  for (let line = lines.shift(); line !== undefined; line = lines.shift()) {
    const at = line.indexOf("=");
    if (at < 0) continue;
    let value = line.slice(at + 1);
    if (/^['"]/.test(value)) {
      while (words(value) === null && lines.length) value += `\n${lines.shift()}`;
      value = (words(value) ?? [value]).join("");
    }
    found[line.slice(0, at).trim()] = value;
  }
  return found;
}
