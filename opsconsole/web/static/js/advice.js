// What is worth a second look in a command before it goes to many hosts. Advice: it never holds anything back.
import { t } from "./texts.js";
import { words } from "./order.js";

/** Options of sudo; some have a value of their own. */
const OPTIONS = String.raw`(?:-[ughp]\s+\S+\s+|-\S+\s+)*`;
/** Where a command begins: at the start of a line, behind a separator, or behind sudo. */
const BEGIN = String.raw`(?:^\s*|[;&|(]\s*|\bsudo\s+${OPTIONS})`;
const command = (/** @type {string} */ names) => new RegExp(`${BEGIN}(?:${names})(?=$|[\\s;&|)])`);
const QUIET = new RegExp(String.raw`\bsudo\s+${OPTIONS.replace(/\*$/, "*?")}-\w*n`);
const INTERACTIVE = command(String.raw`vim?|nano|emacs|less|more|man|htop|passwd|top(?!\s+-\S*b)`);
const RESTARTS = command(String.raw`(?:systemctl|service|rc-service)\s(?=.*\b(?:restart|reload|stop)\b)\S+|service\s+\S+\s+restart`);
const REBOOTS = command("reboot|shutdown|poweroff|halt|init [06]");

/** @type {[RegExp | ((line: string) => boolean), () => string][]} */
const RULES = [
  [/[\u2013\u2014\u2018\u2019\u201c\u201d\u00a0]/, () => t("has a dash, quote or space that no shell reads as one")],
  [(line) => /\bsudo\s/.test(line) && !QUIET.test(line), () => t("calls sudo without -n, which may ask for a password that nobody types")],
  [/\{\{(?:host|dc)\}\}|\{\{ \w[\w.]* \}\}/, () => t("has doubled braces, which stay as they are: a variable is {host.name}, {tag.dc}")],
  [INTERACTIVE, () => t("starts a program that waits for a person")],
  [REBOOTS, () => t("takes the host down, and its result with it")],
  [RESTARTS, () => t("stops or restarts a service: batches keep the others serving")],
];

/**
 * Returns what to say of a text for a shell, the most one sentence a line, at most three.
 * @param {string} text
 * @returns {{line: number, text: string}[]}
 */
export function advice(text) {
  const found = text.split("\n").flatMap((line, at) => {
    if (/^\s*#/.test(line)) return [];
    const rule = RULES.find(([test]) => (test instanceof RegExp ? test.test(line) : test(line)));
    return rule ? [{ line: at + 1, text: rule[1]() }] : [];
  });
  // A here-document may hold whatever it likes.
  if (!text.includes("<<") && words(text.replace(/(^|\s)#.*$/gm, "")) === null) found.unshift({ line: 0, text: t("A quote is opened and not closed.") });
  return found.slice(0, 3);
}
