// What a job runs, from the Run form to the names of an order, and the whole order as a call of the API.
import { quote } from "./expr.js";
import { forApi } from "./how.js";

export const FIELDS = ["kind", "interpreter", "args", "stdin", "cwd", "umask", "env", "run_as", "run_as_method", "run_as_credential", "check", "verify", "step_barrier", "raw", "raw_typed"];

/**
 * Returns what the fields mean, without what is not said.
 * @param {Record<string, string>} form
 * @returns {Record<string, any>}
 */
export function what({ kind, stdin, ...form }) {
  /** @type {Record<string, any>} */
  const said = Object.fromEntries(FIELDS.map((name) => [name, (form[name] ?? "").trim()]));
  said.stdin = (stdin ?? "").replaceAll("\r\n", "\n");
  if (kind !== "script") said.interpreter = "";
  if (!said.run_as) said.run_as_method = said.run_as_credential = "";
  if (!said.check && !said.verify) said.step_barrier = "";
  if (!said.raw) said.raw_typed = "";
  said.args = words(said.args) ?? [];
  said.env = variables(said.env);
  return Object.fromEntries(Object.entries(said).filter(([, value]) => (value.trim ? value : Object.keys(value).length)));
}

const WORD = /(?:[^\s'"\\]|\\[\s\S]|'[^']*'|"(?:[^"\\]|\\[\s\S])*")+/g;

/** Returns the words of a text as a shell splits them, null while a quote is open. @param {string} text @returns {string[] | null} */
export function words(text) {
  if (text.replace(WORD, "").trim()) return null;
  return (text.match(WORD) ?? []).map((word) => word.replace(/'([^']*)'|"((?:[^"\\]|\\[\s\S])*)"|\\([\s\S])/g,
    (_all, one, two, three) => one ?? two?.replace(/\\(["\\])/g, "$1") ?? three));
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

/** @type {[string, string][]} */
const TIMEOUTS = [["connect_ms", "connect_timeout"], ["command_ms", "command_timeout"], ["idle_ms", "idle_timeout"], ["job_ms", "job_timeout"]];

/**
 * Returns the call that launches an order; who pastes it has a token in OPSCONSOLE_TOKEN. No password is in it.
 * @param {string} origin
 * @param {{how: Record<string, string>, what: Record<string, any>, rest: Record<string, any>}} order as `how` and `what` tell it; `rest`
 *   are fields by their names in the API
 * @param {Record<string, string>} usual values that need not be said
 */
export function curlLine(origin, { how, what, rest }, usual) {
  const said = Object.fromEntries(Object.entries(how).filter(([name, text]) => text !== usual[name]));
  const timeouts = TIMEOUTS.filter(([, name]) => Number(said[name]) >= 0).map(([name, field]) => [name, Math.round(1000 * Number(said[field]))]);
  const { connect_timeout: _connect, command_timeout: _command, ...options } = said;
  const body = {
    ...Object.fromEntries(Object.entries(rest).filter(([name, value]) => value && value !== usual[name])),
    ...forApi(options), ...(said.priority && { priority: said.priority }), ...what,
    ...(timeouts.length && { timeouts: Object.fromEntries(timeouts) }),
  };
  return ["curl", "--fail-with-body", "-H", '"Authorization: Bearer $OPSCONSOLE_TOKEN"', "--json", quote(JSON.stringify(body)), quote(`${origin}/api/v1/jobs`)].join(" ");
}
