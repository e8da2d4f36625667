// What may be done with a job now, where it is among its waves, and its forms, which go through the API with script.
import { api, byId, el } from "./dom.js";
import { waveName } from "./how.js";
import { ended } from "./store.js";
import { duration, mark, number, plural, t } from "./texts.js";

const SHOWN = 8;
const BEFORE = 2;
const WAITS_AFTER_MS = 15_000;
const COUNT_EVERY_MS = 100;
/** What the page tells elsewhere: its pill, its strip of waves, the banner of the console. */
const ELSEWHERE = new Set(["paused", "wave_pause", "countdown", "console_held", "limit"]);

/** @typedef {import("./store.js").Status} Status */

/**
 * Returns what may be done with a job now, as the server's page says it (words.py).
 * @param {Pick<Status, "state" | "pause" | "waves">} job
 */
export function phase(job) {
  if (ended(job.state)) return "over";
  if (job.state === "stopping") return "stopping";
  if (job.state === "paused") return job.pause?.reason === "operator" ? "paused" : "waits";
  return job.waves?.hold_ms ? "held" : "runs";
}

/** Why a job stopped before its end or stands still, in words. @param {Status} job */
export function reasonOf(job) {
  if (job.stop_reason === "operator") return job.stopped_by ? t("cancelled by {name}", { name: job.stopped_by }) : t("cancelled");
  if (job.stop_reason === "threshold") return t("too many hosts failed");
  if (job.stop_detail) return job.stop_detail.replace(/\.$/, "");
  if (job.stop_reason === "canary") return t("the canary failed");
  if (job.stop_reason === "deadline") return t("the job's time was up");
  if (job.state !== "paused" || !job.pause) return "";
  if (job.pause.reason === "operator") return job.pause.by ? t("paused by {name}", { name: job.pause.by }) : t("paused");
  if (job.pause.reason === "wave_failed") return t("a host of this wave failed: it waits for you");
  return job.pause.reason === "canary" ? t("the canary is done: it waits for you") : t("waits for you before the next wave");
}

/**
 * Returns what the verdict of a job does not say by itself, as the server's page does (words.py).
 * @param {Status} job
 */
export function headline(job) {
  const { counts } = job;
  const shutdown = job.worker_shutdown ?? 0;
  // What a cancelled job cancelled is what its verdict says.
  const cancelled = job.state === "cancelled" ? 0 : counts.x - shutdown;
  /** @type {[number, string][]} */
  const told = [[shutdown, mark("{n} ended by a worker's shutdown")], [counts.l, mark("{n} lost")], [cancelled, mark("{n} cancelled")], [counts.s, mark("{n} skipped")]];
  const parts = ended(job.state) ? told.filter(([count]) => count).map(([count, text]) => t(text, { n: number(count) })) : [];
  return [reasonOf(job), parts.join(", ")].filter(Boolean).join("; ");
}

/**
 * Returns the waves around the present one; what is left out at either side is counted.
 * @param {Status} job
 * @returns {{name: string, size: number | null, place: string}[]}
 */
export function waveWindow(job) {
  const { list, now } = /** @type {import("./store.js").Waves} */ (job.waves);
  const begun = job.counts.q < job.targets.count;
  const over = ended(job.state);
  const first = Math.max(0, Math.min(now - BEFORE, list.length - SHOWN));
  const last = Math.min(first + SHOWN, list.length);
  const place = (/** @type {number} */ at) => (at < now || (at === now && over && begun) ? "done" : at === now && !over ? "now" : "later");
  /** @type {{name: string, size: number | null, place: string}[]} */
  const marks = [];
  if (first) marks.push({ name: t("{n} before", { n: number(first) }), size: null, place: "done" });
  for (let at = first; at < last; at++) marks.push({ name: waveName(list, at), size: list[at].size, place: place(at) });
  if (last < list.length) marks.push({ name: t("{n} more", { n: number(list.length - last) }), size: null, place: "later" });
  return marks;
}

/** Where a job is among its waves and what it waits for there. @param {Status} job @param {number | null} hold what is left of the pause, in ms */
export function waveNote(job, hold) {
  const { list, now } = /** @type {import("./store.js").Waves} */ (job.waves);
  const state = phase(job);
  if (state === "waits") return t("waits for you: Continue");
  if (state === "held") {
    const seconds = Math.max(1, Math.round((hold ?? 0) / 1000));
    return t("{wave} starts in {time}", { wave: waveName(list, now), time: duration(seconds * 1000) });
  }
  const canaries = list[0].kind === "canary" ? 1 : 0;
  return state === "runs" && now >= canaries ? t("{n} of {all}", { n: number(now - canaries + 1), all: number(list.length - canaries) }) : "";
}

/** Why the next host does not start, as far as it is not told elsewhere on the page. @param {Status["waiting"]} waiting */
export function waitingText(waiting) {
  if (!waiting || ELSEWHERE.has(waiting.code)) return "";
  if (waiting.code === "no_workers") return t("No worker is connected, so the job waits. Start one:");
  if (waiting.code === "workers_drained") return t("No worker takes runs: those connected are drained.");
  if (waiting.code !== "no_slot" && waiting.code !== "turn") return waiting.text;
  if (waiting.code === "turn" && !waiting.ahead) return t("Waiting for a worker to take it up.");
  const jobs = waiting.ahead ? plural(waiting.ahead, "{n} job", "{n} jobs") : t("no jobs");
  const busy = t("{busy} of {slots} slots busy", { busy: number(waiting.busy ?? 0), slots: number(waiting.slots ?? 0) });
  return t(waiting.code === "turn" ? mark("Waiting for its turn: {jobs} ahead, {busy}") : mark("Waiting for a free slot: {jobs} ahead, {busy}"), { jobs, busy });
}

/** Shows all this on the page of a job. */
export function createControl() {
  const list = byId("wave-list");
  /** @type {Status | null} */
  let job = null;
  let drawn = "";
  let heldUntil = 0;

  function tick() {
    if (!job) return;
    if (list && job.waves) byId("wave-note").textContent = waveNote(job, heldUntil - performance.now());
    waiting(job);
  }

  /** @param {Status} next */
  function waves(next) {
    if (!list || !next.waves) return;
    const marks = waveWindow(next);
    const key = JSON.stringify(marks);
    if (key === drawn) return;
    drawn = key;
    list.replaceChildren(...marks.map(({ name, size, place }) =>
      el("li", { class: place, "aria-current": place === "now" && "step" }, name, ...(size === null ? [] : [" ", el("span", { class: "num", text: number(size) })]))));
    for (const field of document.querySelectorAll("[data-wave-now]")) /** @type {HTMLInputElement} */ (field).value = String(next.waves.now);
    for (const option of byId("wave")?.options ?? []) option.hidden = option.disabled = Number(option.value) < next.waves.now;
    const picked = byId("wave")?.selectedOptions[0];
    if (picked?.disabled) byId("wave").value = String(next.waves.now);
  }

  /** @param {Status} next */
  function waiting(next) {
    const node = byId("waiting");
    if (!node) return;
    const idle = !next.counts.c && !next.counts.r && Date.now() - sinceIdle > WAITS_AFTER_MS;
    const text = idle || /workers/.test(next.waiting?.code ?? "") ? waitingText(next.waiting) : "";
    node.hidden = !text || ended(next.state);
    // A text that stays is not said again to those who listen.
    if (node.firstElementChild.textContent !== text && text) node.firstElementChild.textContent = text;
    node.lastElementChild.hidden = next.waiting?.code !== "no_workers";
  }
  let sinceIdle = 0;

  setInterval(tick, 1000);
  return {
    /** @param {Status} next */
    show(next) {
      const moving = next.counts.c + next.counts.r > 0;
      if (moving || !sinceIdle) sinceIdle = moving ? Date.now() : Date.parse(next.started_at ?? next.created_at);
      if (next.waves?.hold_ms && next.waves !== job?.waves) heldUntil = performance.now() + next.waves.hold_ms;
      job = next;
      const now = phase(next);
      for (const form of document.querySelectorAll("form[data-when]")) {
        /** @type {HTMLElement} */ (form).hidden = !(form.getAttribute("data-when") ?? "").split(" ").includes(now);
      }
      waves(next);
      tick();
    },
  };
}

/** Shows the bar of the moment before a job of medium size starts, and lets Esc stop it there, before anything has run. */
export function createCountdown() {
  const root = byId("countdown");
  /** @type {number | null} */
  let told = null;
  let startsAt = 0;
  let timer = 0;

  function tick() {
    const left = Math.max(0, startsAt - performance.now());
    // The leader looks once a second, so it may start a little later than told, and never earlier.
    byId("countdown-left").textContent = String(Math.max(1, Math.ceil(left / 1000)));
    byId("countdown-bar").value = left;
  }

  document.addEventListener("keydown", (event) => {
    if (!root || root.hidden || event.key !== "Escape" || event.isComposing || document.querySelector("dialog[open]")) return;
    event.preventDefault();
    byId("countdown-stop").requestSubmit();
  });

  return {
    /** @param {import("./store.js").Status} job */
    show(job) {
      if (!root) return;
      // Without a worker, or while the console is held, nothing starts however long it counts.
      const left = !ended(job.state) && job.waiting?.code === "countdown" ? (job.starts_in_ms ?? null) : null;
      root.hidden = left === null;
      if (left !== told && left !== null) startsAt = performance.now() + left;
      told = left;
      clearInterval(timer);
      if (left === null) return;
      tick();
      timer = setInterval(tick, COUNT_EVERY_MS);
    },
  };
}

/**
 * Sends the forms of a job's verbs through the API, so that the page stays where it is.
 * @param {(status: Status) => void} onStatus
 */
export function verbForms(onStatus) {
  document.addEventListener("submit", async (event) => {
    const form = /** @type {HTMLFormElement} */ (event.target);
    const path = form.dataset.api;
    if (!path) return;
    event.preventDefault();
    const button = /** @type {HTMLButtonElement | null} */ (event.submitter);
    const wave = new FormData(form).get("wave");
    await send(path + (button?.dataset.verb ?? ""), wave === null || wave === "" ? {} : { wave: Number(wave) }, onStatus, button);
    for (const menu of document.querySelectorAll("details.menu[open]")) menu.removeAttribute("open");
  }, { capture: true });
}

/**
 * Asks for a verb and shows the answer, or why it was refused.
 * @param {string} path
 * @param {object} body
 * @param {(status: Status) => void} onStatus
 * @param {HTMLButtonElement | null} [button] what was pressed; it rests while the answer is on its way
 */
export async function send(path, body, onStatus, button) {
  const refused = byId("refused");
  refused.hidden = true;
  if (button) button.disabled = true;
  try {
    onStatus(await api(path, { method: "POST", body }));
  } catch (error) {
    refused.textContent = /** @type {Error} */ (error).message;
    refused.hidden = false;
  }
  if (button) button.disabled = false;
}

/** Returns what of a job changes when somebody steers it or it comes to another wave. @param {Status} job */
export const standing = ({ state, stop_reason, pause, waves }) => [state, stop_reason, pause?.reason, waves?.now].join(" ");
