// Paints a target expression behind its text box: groups bold, operators grey, unknown names underlined.

/** @typedef {{text: string, kind: "gp" | "op" | "no" | "un" | ""}} Token */

const OPERATOR = /[,;&!^()\s]/;

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
  for (const char of expression) {
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

/**
 * Returns the command line that does what a form says.
 * @param {{targets: string, exclude: string, command: string, concurrency: string, connect_timeout: string,
 *   command_timeout: string, max_failures: string, user: string, credential: string, reason?: string}} form
 * @param {Record<string, string>} usual values that need not be said
 */
export function commandLine(form, usual) {
  const words = ["opsconsole", "run", "-w", quote(form.targets.trim().replace(/\s*\n\s*/g, ","))];
  const add = (/** @type {string} */ flag, /** @type {keyof typeof form} */ name) => {
    if (form[name] && form[name] !== usual[name]) words.push(flag, quote(form[name]));
  };
  if (form.exclude.trim()) words.push("-x", quote(form.exclude.trim().replace(/\s*\n\s*/g, ",")));
  add("-f", "concurrency");
  add("--connect-timeout", "connect_timeout");
  add("--timeout", "command_timeout");
  add("--max-failures", "max_failures");
  add("--user", "user");
  add("--reason", "reason");
  if (form.credential === "password") words.push("--ask-password");
  else add("--credential", "credential");
  return [...words, "--", quote(form.command)].join(" ");
}
