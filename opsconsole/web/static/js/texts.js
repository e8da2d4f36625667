// The page's texts: English in the code, the reader's language from the server's catalogue.

/** @type {Record<string, string | Record<string, string>>} */
let catalogue;

function load() {
  const holder = globalThis.document?.getElementById("texts");
  return holder ? JSON.parse(holder.textContent || "{}") : {};
}

/**
 * Returns the text in the reader's language with `{name}` filled in.
 * @param {string} english
 * @param {Record<string, string | number>} [values]
 */
export function t(english, values = {}) {
  catalogue ??= load();
  const told = catalogue[english] ?? english;
  return filled(typeof told === "string" ? told : told.other, values);
}

/** @param {string} text @param {Record<string, string | number>} values */
const filled = (text, values) => text.replace(/\{(\w+)\}/g, (whole, name) => String(values[name] ?? whole));

/** Returns the text as it is: it will be given to `t` later, and has to be in the catalogue. @param {string} english */
export const mark = (english) => english;

/** The language of the page, for dates and numbers. */
export const language = () => globalThis.document?.documentElement.lang || "en";

/** Names of the state letters, in English; `t` translates them. @type {Record<string, string>} */
export const STATES = {
  q: mark("Queued"), c: mark("Connecting"), r: mark("Running"), o: mark("OK"), f: mark("Failed"), k: mark("Timed out"),
  u: mark("Unreachable"), x: mark("Cancelled"), s: mark("Skipped"), l: mark("Lost"),
};

/** What the code of a reason is called. @param {string} code */
export const reasonName = (code) => t(code.replaceAll("_", " "));

/**
 * Returns the text for a count, which becomes `{n}` with its thousands apart.
 * @param {number} count
 * @param {string} one
 * @param {string} many
 */
export function plural(count, one, many) {
  catalogue ??= load();
  const told = catalogue[one];
  if (!told || typeof told === "string") return t(count === 1 ? one : many, { n: number(count) });
  return filled(told[new Intl.PluralRules(language()).select(count)] ?? told.other, { n: number(count) });
}

/** @param {number} value */
export const number = (value) => value.toLocaleString(language());

/** @param {number} value */
const padded = (value) => String(value).padStart(2, "0");

/**
 * Returns a duration as people say it: cut, never rounded up, as the server's pages do (view_models.py).
 * @param {number | null | undefined} ms
 */
export function duration(ms) {
  if (ms === null || ms === undefined) return "";
  if (ms < 100) return t("{n} ms", { n: Math.floor(ms) });
  if (ms < 10_000) return t("{n} s", { n: Math.floor(ms / 10) / 100 });
  if (ms < 60_000) return t("{n} s", { n: Math.floor(ms / 100) / 10 });
  const whole = Math.floor(ms / 1000);
  if (whole < 3600) return t("{min} min {s} s", { min: Math.floor(whole / 60), s: padded(whole % 60) });
  return t("{h} h {min} min", { h: Math.floor(whole / 3600), min: padded(Math.floor((whole % 3600) / 60)) });
}

/**
 * Returns a guess, rounded so that it does not pretend.
 * @param {number} ms
 */
export function about(ms) {
  const seconds = ms / 1000;
  if (seconds < 8) return t("a few seconds");
  if (seconds < 55) return t("about {n} s", { n: Math.ceil(seconds / 10) * 10 });
  if (seconds < 5400) return t("about {n} min", { n: Math.max(1, Math.round(seconds / 60)) });
  return t("about {n} h", { n: Math.round(seconds / 3600) });
}

/** @param {number} count */
export function bytes(count) {
  if (count < 1000) return `${count} B`;
  if (count < 1e6) return `${(count / 1e3).toFixed(1)} kB`;
  return `${(count / 1e6).toFixed(1)} MB`;
}
