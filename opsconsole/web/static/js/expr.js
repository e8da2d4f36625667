// Paints a target expression behind its text box: groups bold, operators grey, unknown names underlined.

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
