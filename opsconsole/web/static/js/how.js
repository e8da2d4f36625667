// How a job goes through its hosts, as the Run form says it: in the names of an order, and its waves in words.
import { number, plural, t } from "./texts.js";

/** @typedef {{kind: string, size: number}} Wave */

/** The form's fields that this module reads. */
export const FIELDS = [
  "pace", "concurrency", "max_failures", "ignore_unreachable", "at_stop", "waves", "wave_pause", "wave_jitter", "wave_gate", "canary_mode",
  "canary_of", "canary_match", "canary_gate", "order", "spread", "limit_per", "jump", "retries", "retry_pause", "idle_timeout", "job_timeout",
  "priority", "durable", "executor", "simulation",
];
const OF_WAVES = ["waves", "wave_pause", "wave_jitter", "wave_gate", "canary_match", "canary_gate"];
/** What an order means when nothing is said. @type {Record<string, string>} */
const PLAIN = { at_stop: "finish", wave_gate: "auto", canary_gate: "auto", order: "given", priority: "normal", retries: "0", wave_pause: "0", wave_jitter: "0" };

/**
 * Returns what the fields mean, all as text; what is not said, or is what happens anyway, is left out.
 * @param {Record<string, string>} form
 * @returns {Record<string, string>}
 */
export function how(form) {
  const said = { ...form };
  const of = (form.canary_of ?? "").trim();
  said.canary = form.canary_mode ? [form.canary_mode === "first" ? "" : form.canary_mode, of].filter(Boolean).join(" ") : "";
  if (form.order === "spread") said.order = `spread ${(form.spread ?? "").trim()}`;
  if (form.pace !== "waves") for (const name of [...OF_WAVES, "canary"]) said[name] = "";
  if (!said.canary) said.canary_gate = "";
  if (form.pace === "one") said.concurrency = "1";
  for (const name of ["pace", "canary_mode", "canary_of", "spread"]) delete said[name];
  return Object.fromEntries(
    Object.entries(said).map(([name, text]) => [name, (text ?? "").trim()]).filter(([name, text]) => text && text !== PLAIN[name]),
  );
}

const NUMBERS = ["concurrency", "wave_pause", "wave_jitter", "retries", "retry_pause"];

/** Returns the same for the preview of the API, where counts and seconds are numbers. @param {Record<string, string>} said @returns {Record<string, any>} */
export function forApi({ idle_timeout: _idle, job_timeout: _job, priority: _priority, ignore_unreachable, ...said }) {
  const numbers = NUMBERS.filter((name) => said[name]).map((name) => [name, Number.isFinite(Number(said[name])) ? Number(said[name]) : undefined]);
  return { ...said, ...Object.fromEntries(numbers), ...(ignore_unreachable && { count_unreachable: false }) };
}

/** `Canary of 1, then 10 waves`, as the server says it (words.py). @param {Wave[]} waves */
export function wavesHead(waves) {
  const batches = waves.filter((wave) => wave.kind !== "canary").length;
  if (!batches) return waves[0].size === 1 ? t("The canary is the only host: nothing follows it") : t("The canary takes all {n} hosts: nothing follows it", { n: number(waves[0].size) });
  const told = plural(batches, "{n} wave", "{n} waves");
  return batches === waves.length ? told : t("Canary of {n}, then {waves}", { n: number(waves[0].size), waves: told });
}

/** The sizes in their order, equal neighbours folded: `1, 50 ×9, 47`. @param {Wave[]} waves */
export function waveSizes(waves) {
  /** @type {[number, number][]} */
  const runs = [];
  for (const { size } of waves) {
    const last = runs[runs.length - 1];
    if (last?.[0] === size) last[1]++;
    else runs.push([size, 1]);
  }
  return runs.map(([size, times]) => (times === 1 ? number(size) : `${number(size)} ×${number(times)}`)).join(", ");
}

/** What a wave is called; the canary is not counted among them. @param {Wave[]} waves @param {number} at */
export function waveName(waves, at) {
  if (!waves[at]) return "";
  return waves[at].kind === "canary" ? t("Canary") : t("Wave {n}", { n: number(at + (waves[0].kind === "canary" ? 0 : 1)) });
}

/**
 * Returns what the steps of the Run page show: at most three, with what leads from one to the next.
 * @param {Wave[]} waves
 * @param {Record<string, string>} form
 * @returns {{link: string, head: string, text: string}[]}
 */
export function steps(waves, form) {
  const shown = waves.slice(0, waves.length > 3 ? 2 : 3).map((wave, at) => ({
    link: at ? between(waves[at - 1], form) : "",
    head: number(wave.size),
    text: wave.kind === "canary" ? (wave.size === 1 ? t("host first") : t("hosts first")) : wave.size === 1 ? t("host") : t("hosts"),
  }));
  const rest = waves.slice(shown.length);
  if (rest.length) {
    const hosts = plural(rest.reduce((sum, wave) => sum + wave.size, 0), "{n} host", "{n} hosts");
    shown.push({ link: between(waves[shown.length - 1], form), head: number(rest.length), text: t("more waves, {hosts}", { hosts }) });
  }
  return shown;
}

/** @param {Wave} wave @param {Record<string, string>} form */
function between(wave, form) {
  if (wave.kind === "canary") return form.canary_gate === "manual" ? t("if it succeeds, waits for you") : t("if it succeeds");
  if (form.wave_gate === "manual") return t("waits for you");
  const pause = Number(form.wave_pause) ? t("after {n} s", { n: form.wave_pause }) : "";
  return form.wave_gate === "on_failure" ? t("if none fails") : pause || t("then");
}
