// What the page knows of a job: a pure reducer over the events of the stream. Deltas are state, not history, so a
// missed one costs nothing as long as a later one since the last seen version is applied.

/**
 * @typedef {{code: string, text: string, ahead: number | null, slots: number | null, busy: number | null}} Waiting
 * @typedef {{now: number, hold_ms: number | null, list: {kind: string, size: number}[]}} Waves
 * @typedef {{id: number, ver: number, state: string, counts: Record<string, number>, done: number, progress: number,
 *   stop_reason: string | null, stop_detail?: string | null, stopped_by?: string | null, worker_shutdown?: number, budget: {used: number, allowed: number} | null, rate_per_s: number | null,
 *   pause?: {reason: string, by: string | null} | null, waiting?: Waiting | null, waves?: Waves | null,
 *   steps?: {barrier: string, now: string | null, list: {step: string, counts: Record<string, number>}[]} | null, starts_in_ms?: number | null,
 *   eta_ms: number | null, created_at: string, started_at: string | null, finished_at: string | null,
 *   targets: {count: number}, slowest?: {i: number, host: string, started_at: string}[]}} Status
 * @typedef {{exit?: number | null, ms?: number | null, reason?: string | null}} Facts
 * @typedef {{ver: number, job: Status, grid: string, facts: Map<number, Facts>}} View
 */

/** Trouble first, as in the bar. */
export const BAR_ORDER = "fkulxsorcq";
export const TROUBLE = "fkul";
const ENDED = new Set(["succeeded", "partial", "failed", "cancelled"]);

/** State letters by the names that host rows carry. @type {Record<string, string>} */
export const LETTER_OF = {
  pending: "q", queued: "q", connecting: "c", running: "r", succeeded: "o", failed: "f", timed_out: "k",
  unreachable: "u", cancelled: "x", skipped: "s", lost: "l",
};

/**
 * Returns how long a job has been going, or went, in ms; null while it waits for its start. One that ended before
 * anything started is counted from its order on.
 * @param {{created_at: string, started_at: string | null, finished_at: string | null}} job
 * @param {number} now the server's time
 */
export function elapsed(job, now) {
  const begin = job.started_at ?? (job.finished_at && job.created_at);
  if (!begin) return null;
  const ms = Math.max(0, (job.finished_at ? Date.parse(job.finished_at) : now) - Date.parse(begin));
  // What still goes on is told in whole seconds.
  return job.finished_at ? ms : Math.floor(ms / 1000) * 1000;
}

/** @param {string} state */
export const ended = (state) => ENDED.has(state);

/** @param {Status} job @returns {View} */
export function start(job) {
  return { ver: -1, job, grid: "q".repeat(job.targets.count), facts: new Map() };
}

/**
 * Returns the view after an event; the same object when the event says nothing new.
 * @param {View} view
 * @param {string} event
 * @param {any} data
 * @returns {View}
 */
export function reduce(view, event, data) {
  if (event === "snapshot") return snapshot(view, data);
  if (event === "delta") return delta(view, data);
  if (event === "job" || event === "done") return lifecycle(view, data);
  return view;
}

/** @param {View} view @param {any} data @returns {View} */
function snapshot(view, data) {
  if (data.ver < view.ver) return view;
  const facts = new Map(view.facts);
  // A host that went back (requeued before it started) has no facts any more.
  for (const i of facts.keys()) if (data.grid[i] !== view.grid[i]) facts.delete(i);
  return { ver: data.ver, job: { ...view.job, ...data.job }, grid: data.grid, facts };
}

/** @param {View} view @param {any} data @returns {View} */
function delta(view, data) {
  if (data.ver <= view.ver) return view;
  const grid = view.grid.split("");
  const facts = new Map(view.facts);
  for (const [i, state, exit, ms, reason] of data.h ?? []) {
    grid[i] = state;
    facts.set(i, { exit, ms, reason });
  }
  const counts = data.counts ?? view.job.counts;
  const job = {
    ...view.job,
    ver: data.ver,
    state: data.state ?? view.job.state,
    started_at: data.started_at ?? view.job.started_at,
    counts,
    ...progress(counts),
    ...control(data),
    budget: data.budget === undefined ? view.job.budget : data.budget,
    rate_per_s: data.rate ?? null,
    eta_ms: data.eta_ms ?? null,
  };
  return { ver: data.ver, job, grid: grid.join(""), facts };
}

/** @param {View} view @param {any} data @returns {View} */
function lifecycle(view, data) {
  if (data.ver < view.ver) return view;
  const { state = view.job.state, stop_reason = view.job.stop_reason, finished_at = view.job.finished_at } = data;
  const counts = data.counts ?? view.job.counts;
  const started_at = data.started_at ?? view.job.started_at;
  const stopped_by = data.stopped_by ?? view.job.stopped_by;
  const stop_detail = data.stop_detail ?? view.job.stop_detail;
  const worker_shutdown = data.worker_shutdown ?? view.job.worker_shutdown;
  const job = { ...view.job, ...control(data), state, stop_reason, stop_detail, stopped_by, worker_shutdown, started_at, finished_at, counts, ...progress(counts) };
  // The version stays that of the grid: this may come just before the delta that tells the hosts of the same version.
  return { ...view, job };
}

/** What holds a job back, of an event that tells it: each is `null` when it does not. @param {any} data */
function control(data) {
  const told = ["pause", "waves", "steps", "waiting", "starts_in_ms"].filter((name) => data[name] !== undefined);
  return Object.fromEntries(told.map((name) => [name, data[name]]));
}

/**
 * Returns the view after an answer that tells the whole status; it knows nothing of single hosts, so the version of
 * what is shown stays as it is.
 * @param {View} view
 * @param {Status} status
 * @returns {View}
 */
export function told(view, status) {
  return status.ver < view.ver ? view : { ...view, job: { ...view.job, ...status } };
}

/** @param {Record<string, number>} counts */
function progress(counts) {
  const total = Object.values(counts).reduce((sum, count) => sum + count, 0);
  const done = total - counts.q - counts.c - counts.r;
  return { done, progress: total ? done / total : 0 };
}

/**
 * Returns the indexes whose letter differs between two grids of the same job.
 * @param {string} before
 * @param {string} after
 */
export function changed(before, after) {
  const places = [];
  for (let i = 0; i < after.length; i++) if (before[i] !== after[i]) places.push(i);
  return places;
}
