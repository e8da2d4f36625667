// The live job page: one store, fed by the stream, shown by the head, the grid, the groups, the table and the pane.
// It is longer than 400 lines because it alone knows all of them: each is told of the others here.
import { createChoice } from "./choice.js";
import { standing, verbForms } from "./control.js";
import { address, api, byId, fetchInto, put, renew } from "./dom.js";
import { createGrid } from "./grid.js";
import { groupList } from "./groups.js";
import { columnsAsked, foundPlaces, hostsTable, outcomeOf } from "./hosts.js";
import { cover, keys, localTimes, notices } from "./page.js";
import { mount } from "./pane.js";
import { follow } from "./sse.js";
import { createStatus } from "./status.js";
import { changed, ended, reduce, start, told, TROUBLE } from "./store.js";
import { carriedFiles, doubtfulRuns, offeredKeys } from "./strips.js";
import { duration, number, plural, STATES, t } from "./texts.js";

const STALE_MS = 10_000;
/** How long nothing was heard when a connection counts as lost (sse.js). */
const SILENT_MS = 3000;
const LOOK_WHILE_IDLE_MS = 5000;
const TELL_AFTER_MS = 1000;
/** The states that a rerun may be of. */
const OVER = "qofkuxsl";
const main = byId("job");
const id = Number(main.dataset.id);
// Sent to here by the form of an order (run.js): it was accepted, so what was written of it has served.
const sent = sessionStorage.getItem("sent");
if (sent && /** @type {any} */ (performance.getEntriesByType("navigation")[0])?.redirectCount) {
  localStorage.removeItem(sent);
  sessionStorage.removeItem("sent");
  const tell = sessionStorage.getItem("tell");
  if (tell) sessionStorage.setItem(`tell${id}`, tell);
}
const parameters = new URLSearchParams(location.search);
const first = JSON.parse(main.dataset.status);
const status = createStatus(main.dataset.title, (i) => view.grid[i]);
const offered = offeredKeys(id, byId("offered"), first.counts.u);
/** @type {import("./store.js").View} */
let view = start(first);
let shown = main.dataset.view;
let filter = parameters.get("state")?.replace(/[^qcrofkuxsl]/g, "") ?? "";
/** @type {string[]} */
let hosts = [];
let chosen = -1;
let grid = /** @type {import("./grid.js").Grid | null} */ (null);
/** @type {ReturnType<typeof mount> | null} */
let pane = byId("pane")?.querySelector(".log") ? mount(byId("pane"), { line: lineOf(location.hash) }) : null;
let fetching = new AbortController();

/** Which hosts by what they wrote: empty for all. */
const asked = new URLSearchParams(main.dataset.found);
/** Their places, once they are known. @type {Set<number> | null} */
let found = null;
/** With it an output opens at the first hit. */
const atHit = asked.get("found") === "with" ? `?${asked}` : "";
const hrefOf = (/** @type {string} */ host) => `/jobs/${id}/h/${encodeURIComponent(host)}${atHit}`;
const fitting = (/** @type {number} */ i) => (!filter || filter.includes(view.grid[i])) && (found?.has(i) ?? true);
const groupOptions = { job: id, ver: () => view.ver, onPick: pick, onGroup: (/** @type {number[] | null} */ places) => grid?.only(places ?? (found && [...found])) };
const overviewGroups = groupList({ ...groupOptions, root: byId("groups-top"), note: byId("groups-note"), few: true });
const allGroups = groupList({ ...groupOptions, root: byId("groups-all"), note: null, few: false });
const choice = createChoice({ job: id, name: (i) => hosts[i], onChange: ticked, onStatus: take });
const table = hostsTable({
  job: id, root: byId("hosts-table"), asked, sort: main.dataset.sort, href: hrefOf, onPick: pick, ticked: choice.has, onTick: choice.toggle,
});
const doubts = doubtfulRuns(id, byId("doubts"), () => chosen >= 0 && headOnly(chosen));
verbForms(take);
carriedFiles(id, byId("carried"));

/** @param {string} hash */
function lineOf(hash) {
  const match = /^#L(\d{1,9})/.exec(hash);
  return match ? Number(match[1]) : null;
}

// --- from the stream to the page ------------------------------------------------------------------------------------

let newGroups = false;
let oldTimer = 0;

cover(true);
const stream = follow(id, {
  onEvent(event, data) {
    if (event === "hello") return status.clock(data.server_time);
    if (event === "out") return pane?.log?.out(data);
    if (event === "notices") return notices(data.notices);
    const before = view;
    view = reduce(view, event, data);
    if (view !== before) show(before);
    chooseFirst();
    if (event === "done") finish();
    return undefined;
  },
  onLink(link) {
    cover(link === "live");
    const node = byId("link");
    if (link === "retry" && node.dataset.link === link) return;
    clearInterval(oldTimer);
    document.body.classList.remove("stale");
    node.hidden = link === "done";
    node.dataset.link = link;
    node.textContent = { live: t("Live"), retry: t("Reconnecting"), poll: t("Polling"), done: "" }[link] ?? "";
    if (link !== "retry") return;
    const since = performance.now() - SILENT_MS;
    oldTimer = setInterval(() => {
      const ms = performance.now() - since;
      // What nobody has confirmed for a while is shown as such.
      document.body.classList.toggle("stale", ms > STALE_MS);
      if (ms > STALE_MS) node.textContent = t("Reconnecting, counts {time} old", { time: duration(Math.floor(ms / 1000) * 1000) });
    }, 1000);
  },
});

/** Takes in an answer that tells the whole status. @param {import("./store.js").Status} body */
function take(body) {
  const before = view;
  view = told(view, body);
  if (view !== before) status.show(view.job);
  // Hosts that are held back, or not any more, are told by their rows alone.
  if (shown === "hosts") table.reload();
}

/** What a job waits for changes with other jobs, and who is late with time: of both its own stream tells nothing. */
setInterval(async () => {
  const { counts, state } = view.job;
  if (document.hidden || ended(state) || (counts.q && (counts.c || counts.r))) return;
  const body = await api(`/api/v1/jobs/${id}`).catch(() => null);
  if (!body) return;
  view = told(view, body);
  status.show(view.job);
}, LOOK_WHILE_IDLE_MS);

/** @param {number[]} places */
function ticked(places) {
  grid?.tick(places);
  table.tick(places);
}

/** @param {import("./store.js").View} before */
function show(before) {
  status.show(view.job);
  nobody();
  doubts(view);
  offered(view.job.counts.u);
  grid?.update(view.grid, filter);
  const places = changed(before.grid, view.grid);
  table.patch(places, view);
  if (places.some((i) => !"qcr".includes(view.grid[i]))) newGroups = true;
  if (chosen >= 0 && places.includes(chosen)) paneChanged();
  if (shown === "details" && standing(before.job) !== standing(view.job)) details();
}

function finish() {
  newGroups = true;
  arrangeAnew();
  refreshGroups();
  search();
  // How many others said the same is known only now.
  if (chosen >= 0) headOnly(chosen);
  if (shown === "hosts") table.reload();
}

function refreshGroups() {
  const list = shown === "groups" ? allGroups : overviewGroups;
  if ((!newGroups && !list.late) || !"overview groups".includes(shown) || document.hidden) return;
  newGroups = false;
  list.refresh().then(() => {
    if (byId("groups-count") && !filter) byId("groups-count").textContent = number(list.count);
  });
}
setInterval(refreshGroups, 2000);

// --- the pane -------------------------------------------------------------------------------------------------------

/** Marks a host in the grid and in the table; none for -1. @param {number} i */
function choose(i) {
  chosen = i;
  grid?.select(i);
  table.select(i);
}

/** Shows the output of a host. @param {number} i */
function pick(i) {
  if (i < 0 || i >= hosts.length) return;
  choose(i);
  // On a phone the output covers the page: the way back uncovers it.
  address({ host: hosts[i] }, innerWidth <= 720);
  openPane(i);
}

/** @param {number} i */
async function openPane(i) {
  fetching.abort();
  fetching = new AbortController();
  const { signal } = fetching;
  const root = byId("pane");
  try {
    await fetchInto(root, `/jobs/${id}/pane/${i}${atHit}`, signal);
  } catch {
    if (!signal.aborted) root.textContent = t("This host's output could not be fetched.");
    return;
  }
  pane?.log?.close();
  root.classList.add("open");
  pane = mount(root);
  await pane.log?.ready.catch(() => {});
  if (signal.aborted) return;
  watch();
  // It may have ended while its pane was on the way.
  if (pane.running && !"qcr".includes(view.grid[i])) paneChanged();
}

function watch() {
  stream.watch(pane?.log && pane.running && chosen >= 0 ? { i: chosen, offset: pane.offset() } : null);
}

/** The chosen host changed its state: a started one gets its log, an ended one its exit. */
function paneChanged() {
  const letter = view.grid[chosen];
  if (letter === pane?.letter) return;
  if (letter === "r" || !pane?.log || !pane.running) {
    openPane(chosen);
    return;
  }
  if ("qc".includes(letter)) return;
  pane.letter = letter;
  pane.log.finished();
  headOnly(chosen);
}

/** Renews the head and the foot without touching the lines somebody may be reading. @param {number} i */
async function headOnly(i) {
  const next = document.createElement("div");
  try {
    await fetchInto(next, `/jobs/${id}/pane/${i}`, fetching.signal);
  } catch {
    return;
  }
  if (i !== chosen) return;
  byId("follow")?.remove();
  for (const part of [".oh", ".of"]) {
    const fresh = next.querySelector(part);
    if (fresh) byId("pane").querySelector(part)?.replaceWith(fresh);
  }
  pane?.log?.empty(/** @type {HTMLElement | null} */ (next.querySelector(".log"))?.dataset.empty ?? "");
  localTimes(byId("pane"));
  watch();
}

byId("pane").addEventListener("click", (/** @type {MouseEvent} */ event) => {
  const button = /** @type {HTMLElement} */ (event.target).closest("[data-go]");
  if (button) go(Number(button.getAttribute("data-go")), event.shiftKey);
  if (/** @type {HTMLElement} */ (event.target).closest("[data-close]")) {
    event.preventDefault();
    byId("pane").classList.remove("open");
    grid?.focus();
    putAway();
  }
});

/** Nothing is chosen any more: nothing is fetched or followed for it, and no change of its state brings it back. */
function putAway() {
  fetching.abort();
  pane?.log?.close();
  pane = null;
  choose(-1);
  address({ host: null });
  watch();
}

/** Goes to the host beside the chosen one; with `trouble` to the next that needs attention. @param {number} step @param {boolean} [trouble] */
function go(step, trouble = false) {
  const beside = shown === "hosts" && !trouble ? table.beside(chosen, step) : undefined;
  if (beside !== undefined) return pick(beside);
  for (let i = chosen + step; i >= 0 && i < hosts.length; i += step) {
    if (trouble ? TROUBLE.includes(view.grid[i]) : fitting(i)) return pick(i);
  }
  return undefined;
}

/** Something to look at from the start: the first host that needs attention, else one that runs, else the first. */
function chooseFirst() {
  if (chosen >= 0 || !grid || view.ver < 0 || innerWidth <= 720) return;
  const place = (/** @type {string} */ letters) => [...view.grid].findIndex((letter) => letters.includes(letter));
  const found = [TROUBLE, "r"].map(place).find((i) => i >= 0);
  choose(found ?? 0);
  openPane(chosen);
}

// --- views and filters ----------------------------------------------------------------------------------------------

/** @param {string} name */
function tab(name) {
  shown = name;
  for (const link of document.querySelectorAll(".tabs > a[data-view]")) link.ariaCurrent = link.getAttribute("data-view") === name ? "page" : null;
  for (const part of document.querySelectorAll("[data-in]")) {
    /** @type {HTMLElement} */ (part).hidden = part.getAttribute("data-in") !== name;
  }
  address({ view: name === "overview" ? null : name }, true);
  if (name === "hosts") table.show(filter, query());
  if (name === "details") details();
  timeline();
  newGroups = true;
  refreshGroups();
}

/** @type {Promise<ReturnType<typeof import("./timeline.js").createTimeline>> | null} */
let chart = null;

/** The timeline comes with its own script, which is fetched when somebody looks at it. */
function timeline() {
  if (shown === "timeline" && hosts.length) {
    const seen = () => ({ view, filter, found });
    chart ??= import("./timeline.js").then(({ createTimeline }) => createTimeline(byId("chart"), { job: id, hosts, seen, onPick: pick }));
  }
  chart?.then((made) => made.show(shown === "timeline"));
}

function details() {
  for (const part of ["timeline", "lineage"]) renew(byId(part), `/jobs/${id}/${part}`).then(() => localTimes(byId(part))).catch(() => {});
}

for (const link of document.querySelectorAll(".tabs > a[data-view]")) {
  link.addEventListener("click", (event) => {
    event.preventDefault();
    tab(link.getAttribute("data-view") ?? "overview");
  });
}

/** @param {string} letter @param {boolean} add */
function setFilter(letter, add) {
  if (!letter) filter = "";
  else if (add) filter = filter.includes(letter) ? filter.replace(letter, "") : filter + letter;
  else filter = filter === letter ? "" : letter;
  for (const chip of document.querySelectorAll(".chip")) {
    const mine = chip.getAttribute("data-state") ?? "";
    const on = mine ? filter.includes(mine) : !filter;
    chip.classList.toggle("on", on);
    chip.ariaCurrent = on ? "true" : null;
  }
  address({ state: [...filter].join(",") || null }, true);
  nobody();
  tick(filter || byId("rerun")?.dataset.usual);
  grid?.update(view.grid, filter);
  overviewGroups.filter(filter);
  allGroups.filter(filter);
  chart?.then((made) => made.draw());
  if (shown === "hosts") table.show(filter, query());
}

/** Says so when no host is in the states of the filter: good news only once the job has ended. */
function nobody() {
  const node = byId("nobody");
  node.hidden = !filter || [...filter].some((letter) => view.job.counts[letter]);
  node.className = ended(view.job.state) ? "strip note good" : "strip";
  const only = filter.length === 1 && document.querySelector(`.chip[data-state=${filter}]`);
  node.firstElementChild.textContent = only ? only.getAttribute("data-none") : t("No host fits this filter.");
}
byId("nobody").addEventListener("click", (/** @type {MouseEvent} */ event) => {
  if (/** @type {HTMLElement} */ (event.target).dataset.state === undefined) return;
  event.preventDefault();
  setFilter("", false);
});

byId("chips").addEventListener("click", (/** @type {MouseEvent} */ event) => {
  const chip = /** @type {HTMLElement} */ (event.target).closest(".chip");
  if (!chip || event.ctrlKey || event.metaKey) return;
  event.preventDefault();
  setFilter(chip.getAttribute("data-state") ?? "", event.shiftKey);
});

/** What the names of the hosts are asked for, where that can be seen. */
const query = () => (shown === "hosts" && byId("host-query")?.value.trim()) || "";
let typing = 0;
byId("host-query")?.addEventListener("input", () => {
  clearTimeout(typing);
  typing = setTimeout(() => {
    address({ q: query() || null });
    table.show(filter, query());
  }, 200);
});

byId("choose-shown")?.addEventListener("click", async () => {
  const text = query().toLowerCase();
  if (/[[*?]/.test(text) || (asked.size && !found)) return choice.set(await named(text), true);
  return choice.set(hosts.flatMap((host, i) => (fitting(i) && host.toLowerCase().includes(text) ? [i] : [])), true);
});

/** The places of the hosts in the filtered states that a range or pattern names, as the server reads it. @param {string} text */
async function named(text) {
  return (await rowsOf({ q: text, ...Object.fromEntries(asked), ...(filter ? { state: [...filter].join(",") } : {}) })).map(({ i }) => i);
}

/** All rows of the job that the server finds. @param {Record<string, string>} wanted @returns {Promise<import("./hosts.js").Row[]>} */
async function rowsOf(wanted) {
  const rows = [];
  for (let next = "0"; next; ) {
    const page = await api(`/api/v1/jobs/${id}/hosts?${new URLSearchParams({ ...wanted, limit: "1000", cursor: next })}`);
    rows.push(...page.rows);
    next = page.next;
  }
  return rows;
}

byId("trouble-first")?.addEventListener("click", (/** @type {MouseEvent} */ event) => {
  const button = /** @type {HTMLElement} */ (event.currentTarget);
  const on = button.ariaPressed !== "true";
  button.ariaPressed = String(on);
  grid?.order(on);
  address({ first: on ? "1" : null });
});

const arrangeBox = /** @type {HTMLSelectElement} */ (byId("arrange"));
/** Divides the grid by a tag that the hosts had when the job was launched, by wave, or by the worker that has them now. */
async function arrange() {
  const by = arrangeBox.value;
  const { values = [], of = [] } = roster.tags[by] ?? (by ? await byWorker() : {});
  if (by !== arrangeBox.value) return;
  const parts = [...values, t("without it")].map((name) => ({ name, all: /** @type {number[]} */ ([]) }));
  for (const [i, value] of of.entries()) parts.at(value)?.all.push(i);
  grid?.split(parts.filter((part) => part.all.length));
  address({ by: arrangeBox.value || null });
}
arrangeBox.addEventListener("change", arrange);

async function byWorker() {
  const workers = (await rowsOf({ sort: "i" })).map(({ worker }) => worker ?? "");
  const values = [...new Set(workers)].filter(Boolean).sort();
  return { values, of: workers.map((worker) => values.indexOf(worker)) };
}

/** Which worker has a host is not in the stream. Of thousands of hosts it is asked once more at the end alone. */
function arrangeAnew() {
  if (arrangeBox.value === "worker" && !roster.tags.worker) arrange().catch(() => {});
}
setInterval(() => !document.hidden && !ended(view.job.state) && hosts.length <= 1000 && arrangeAnew(), LOOK_WHILE_IDLE_MS);

byId("rerun")?.addEventListener("toggle", rerunCount);
byId("rerun")?.addEventListener("change", rerunCount);
byId("rerun-all")?.addEventListener("change", (/** @type {{target: HTMLInputElement}} */ { target }) => tick(target.checked ? OVER : ""));

/** Ticks these states in the rerun menu, those that no host is in yet included. @param {string} letters */
function tick(letters) {
  for (const box of document.querySelectorAll("#rerun input[name=state]")) /** @type {any} */ (box).checked = letters.includes(/** @type {any} */ (box).value);
}

let counting = 0;
async function rerunCount() {
  const mine = ++counting;
  const form = byId("rerun-go").form;
  form.elements.q.value = query();
  const picked = new FormData(form).getAll("state").join("");
  byId("rerun-all").checked = picked.length === OVER.length;
  let sum = [...picked].reduce((all, letter) => all + view.job.counts[letter], 0);
  if (sum && (asked.size || query())) {
    // Where not all hosts are shown, the server knows which are. What it cannot search for is in none.
    const { total } = await api(`/api/v1/jobs/${id}/hosts?${new URLSearchParams({ q: query(), ...Object.fromEntries(asked), state: picked, limit: "1" })}`).catch(() => ({}));
    if (mine !== counting) return;
    sum = total ?? 0;
  }
  byId("rerun-go").textContent = plural(sum, "Rerun on {n} host…", "Rerun on {n} hosts…");
  for (const name of ["rerun-go", "rerun-now"]) byId(name).disabled = !sum;
}

// What is exported is what the filters show.
byId("export")?.addEventListener("toggle", () => {
  for (const link of byId("export").querySelectorAll("a")) {
    const search = new URLSearchParams({ format: new URLSearchParams(link.search).get("format") ?? "", state: filter, q: query(), sort: table.sort, ...Object.fromEntries(asked) });
    for (const text of columnsAsked()) search.append("column", text);
    link.search = String(search);
  }
});

/** Dims the hosts that do not fit; those of a running job are looked at again when it has ended. */
async function search() {
  if (!asked.size) return;
  try {
    found = await foundPlaces(id, asked, hosts.length);
    byId("found-count").textContent = plural(found.size, "{n} host", "{n} hosts");
    chart?.then((made) => made.draw());
    if (!new URLSearchParams(location.search).has("group")) grid?.only([...found]);
  } catch (error) {
    byId("refused").textContent = /** @type {Error} */ (error).message;
    byId("refused").hidden = false;
  }
}

keys({
  // In the order of the counters, of which the first is of all hosts.
  .../** @type {any} */ ([...document.querySelectorAll(".chip")].map((chip) => () => /** @type {HTMLElement} */ (chip).click())),
  "/": () => (byId("find") ?? byId("host-query"))?.focus(),
  f: () => pane?.log?.follow(!pane.log.following),
  n: (event) => pane?.finder?.step(event.shiftKey ? -1 : 1),
  j: () => go(1),
  k: () => go(-1),
  "]": () => go(1, true),
  "[": () => go(-1, true),
  ...Object.fromEntries(["overview", "hosts", "groups", "timeline", "details"].map((name) => [`g ${name[0]}`, () => turnTo(name)])),
  x: () => choice.toggle(chosen),
  e: () => menu("export"),
  r: () => menu("rerun"),
});

/** Shows a view and goes on from its tab, so that its contents are the next stops. @param {string} name */
function turnTo(name) {
  tab(name);
  /** @type {HTMLElement | null} */ (document.querySelector(".tabs > [aria-current]"))?.focus();
}

/** Opens or closes a menu and goes on from its button. @param {string} name */
function menu(name) {
  byId(name)?.toggleAttribute("open");
  byId(name)?.querySelector("summary").focus();
}

// --- start ----------------------------------------------------------------------------------------------------------

status.show(first);
const roster = await api(`/api/v1/jobs/${id}/roster`);
const anew = () => put === location.search || location.reload();
// What follows writes into the address, which would keep a view from being loaded that somebody has gone back to meanwhile.
if (!anew()) await new Promise(() => {});
addEventListener("popstate", anew);
hosts = roster.hosts;
grid = createGrid(byId("grid"), {
  hosts,
  href: (i) => hrefOf(hosts[i]),
  onPick: pick,
  ticked: choice.has,
  onTick: (i) => choice.toggle(i, true),
  tip(i) {
    const facts = view.facts.get(i) ?? {};
    const outcome = outcomeOf({ state: view.grid[i], exit: facts.exit, reason: facts.reason }).text;
    return [hosts[i], t(STATES[view.grid[i]]), outcome, duration(facts.ms)].filter(Boolean).join("  ");
  },
  more: async (i) => (await api(`/api/v1/jobs/${id}/hosts/${i}`)).last_line ?? "",
});
grid.update(view.grid, filter);
if (parameters.has("first")) byId("trouble-first")?.click();
for (const name of Object.keys(roster.tags)) arrangeBox.append(new Option(name === "wave" ? t("wave") : name, name));
if (!roster.tags.worker) arrangeBox.append(new Option(t("worker"), "worker"));
/** @type {HTMLElement} */ (arrangeBox.parentElement).hidden = false;
arrangeBox.value = parameters.get("by") ?? "";
if (arrangeBox.value) arrange().catch(() => {});
else arrangeBox.value = "";
chosen = hosts.indexOf(parameters.get("host") ?? "");
if (chosen >= 0) {
  choose(chosen);
  watch();
}
chooseFirst();
search();
if (parameters.get("group")) overviewGroups.only(parameters.get("group"));
tab(shown);
// The counters may have been used while the roster was on its way.
const wanted = filter;
if (wanted) setFilter("", false);
for (const letter of wanted) setFilter(letter, true);
const boxes = byId("tell");
// After the grid, and not when its menu is opened: that may have been before this script was here.
if (boxes) setTimeout(() => import("./tell.js").then(({ tell }) => tell(boxes, () => view.job, take)), TELL_AFTER_MS);
