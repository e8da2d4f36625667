// The Run page: what an order would touch, while it is being written. The form works without any of this.
// Longer than 400 lines because all of it is about one form.
import { items, madeOf, sure } from "./blast.js";
import { api, byId, copy, el, fetchInto, throttled } from "./dom.js";
import { createEditor } from "./editor.js";
import { commandLine, complete, paint, tokens } from "./expr.js";
import { FIELDS, forApi, how, steps, waveSizes, wavesHead } from "./how.js";
import { carried, named, row, uploads } from "./files.js";
import { keys, localTime, localTimes } from "./page.js";
import { curlLine, FIELDS as OF_WHAT, what } from "./order.js";
import { about, duration, number, plural, t } from "./texts.js";

const WAIT_MS = 150;
const SAVE_EVERY_MS = 500;
const NEVER = "password hidden file submit button fieldset";

const PLAN_WITHIN_MS = 60_000;
/** Of longer lists a conflict does not name who came and went (pages/run.py). */
const MOST_EXPECTED = 50_000;
const MOST_ADDED = 2000;
/** Fields of the order whose faults are shown as they are typed, and where they stand when not under their own name. */
const ASKED = ["targets", "exclude", "command", "canary", ...FIELDS, ...OF_WHAT, "push", "pull", "make_folders"];
/** @type {Record<string, string>} */
const PLACE = { canary: "canary_of", order: "order-by" };
const form = /** @type {HTMLFormElement} */ (byId("order"));
const box = byId("targets");
const layer = byId("targets-layer");
const button = byId("go");
/** @type {AbortController | null} */
let asking = null;
/** @type {any} */
let seen = null;
let timer = 0;
/** Whether a reason has to be given. */
let reasoned = byId("reason").required;
// The browser would refuse an empty one where nobody sees it: in a dialog that is closed.
byId("reason").required = false;
const goAhead = el("button", { class: "btn pri", id: "sure-go" });
const dialog = el("dialog", { class: "card dialog", "aria-labelledby": "sure-head" }, el("div", {}, el("div", { id: "sure" }), byId("confirm-area"),
  el("div", { class: "row" }, el("button", { class: "btn", type: "button", text: t("Try on 1 host"), on: { click: () => form.requestSubmit(byId("try")) } }), el("span", { class: "sp" }),
    el("button", { class: "btn", type: "button", autofocus: true, text: t("Go back"), on: { click: () => dialog.close() } }), goAhead)));
dialog.addEventListener("close", () => {
  byId("confirm").value = "";
  lock();
});
form.append(dialog);

/** Asks for what the order wants typed. */
function askFirst() {
  if (!seen?.risk) return;
  const said = named(carried(new FormData(form)));
  const files = [...(said.push ?? []).map((/** @type {any} */ one) => `${one.name} → ${one.to}`), ...(said.pull ?? [])];
  sure(dialog, seen, { lines: value("kind") === "files" ? files : value("command").trim().split("\n"), user: value("run_as") || value("user") || byId("user").placeholder,
    credential: byId("credential").selectedOptions[0].text, gate: value("canary_gate") });
}

/** The command, which is none where files are carried. */
const written = () => (value("kind") === "files" ? "" : value("command"));

/** @param {string} name */
const value = (name) => String(new FormData(form).get(name) ?? "");

function ask() {
  // A dry run of another order is shown as such.
  byId("plan")?.classList.add("old");
  clearTimeout(timer);
  asking?.abort();
  timer = setTimeout(resolve, WAIT_MS);
  seen = null;
  lock();
}

async function resolve() {
  if (!value("targets").trim()) return nothing();
  const control = new AbortController();
  asking = control;
  const started = performance.now();
  const body = { ...forApi(how(chosen())), ...what(typed(OF_WHAT)), targets: value("targets"), exclude: value("exclude"), skip_unknown: byId("skip_unknown").checked, command: written(), ...carried(new FormData(form)) };
  try {
    const found = await api("/api/v1/resolve", { method: "POST", body, signal: control.signal });
    seen = found;
    show(found, Math.round(performance.now() - started));
  } catch (error) {
    if (!control.signal.aborted) refused(/** @type {any} */ (error));
  }
  return undefined;
}

/** @param {any} found @param {number} ms */
function show(found, ms) {
  faults([]);
  const unknown = new Set((found.unknown ?? []).map((/** @type {string} */ name) => name.toLowerCase()));
  paint(layer, tokens(box.value, found.unknown_blocks ? unknown : new Set()));
  byId("below").replaceChildren(
    ...(found.table ? [el("span", { text: t("column “{name}” of a table", { name: found.table }) })] : []),
    ...(found.lines > 1 ? [fact(found.lines, t("lines"))] : []),
    fact(found.count, found.count === 1 ? t("host matches") : t("hosts match")),
    ...(found.unknown_count ? [fact(found.unknown_count, found.unknown_blocks ? (found.unknown_count === 1 ? t("unknown name") : t("unknown names")) : t("outside the inventory"))] : []),
    ...(found.excluded_count ? [fact(found.excluded_count, t("excluded"))] : []),
    ...(found.duplicates ? [fact(found.duplicates, t("named twice, run once"))] : []),
    el("span", { class: "sp" }),
    el("span", { class: "sub", text: t("resolved in {n} ms", { n: ms }) }),
  );
  const files = value("kind") === "files";
  const role = files ? (found.count === 1 ? t("host takes part") : t("hosts take part")) : found.count === 1 ? t("host will run this command") : t("hosts will run this command");
  byId("n").replaceChildren(number(found.count), el("small", { text: role }));
  share(found);
  fold(found.folded);
  byId("items").replaceChildren(...items(found, { leaveOut, useInstead }));
  offers(found);
  byId("est").hidden = !found.count;
  estimate("est-time", found.eta_ms ? about(found.eta_ms) : "–", found.eta_ms ? earlierRuns(found) : files ? t("depends on the size of the files") : value("command").trim() ? t("no run of this command has succeeded yet") : t("no command yet"));
  const allowed = found.allowed_failures;
  estimate("est-failures", allowed === null ? t("any number") : number(allowed), allowed === null ? t("of failures: it never stops early") : allowed === 1 ? t("failure allowed, one more stops it") : t("failures allowed, one more stops it"));
  const worst = found.worst_case ?? found.count;
  if (allowed === null) estimate("est-worst", number(worst), worst === 1 ? t("host could fail") : t("hosts could fail"));
  else estimate("est-worst", number(worst), worst === 1 ? t("host could fail before it stops") : t("hosts could fail before it stops"));
  waves(found.waves ?? []);
  example(found.example);
  byId("tag-names").replaceChildren(...Object.keys(found.by ?? {}).map((name) => el("option", { value: name })));
  risk(found.risk);
  form.querySelector("[name=expect_count]")?.setAttribute("value", String(found.count));
  form.querySelector("[name=expect_digest]")?.setAttribute("value", found.digest);
  form.querySelector("[name=expect_hosts]")?.setAttribute("value", found.folded.length <= MOST_EXPECTED ? found.folded : "");
  lock();
}

/** @param {any} found */
const earlierRuns = ({ eta_runs, eta_host_ms }) => (eta_runs === 1 ? t("{time} a host, by one earlier run", { time: duration(eta_host_ms) }) : t("{time} a host, by {n} earlier runs", { time: duration(eta_host_ms), n: eta_runs }));

/** The waves of the order: as steps beside their fields, with their sizes in the panel. @param {import("./how.js").Wave[]} list */
function waves(list) {
  byId("steps").replaceChildren(...steps(list, chosen()).map(({ link, head, text }) =>
    el("li", {}, ...(link ? [el("span", { class: "arr" }, el("span", { text: link }))] : []),
      el("span", { class: "step" }, el("b", { class: "num", text: head }), el("span", { text })))));
  byId("waves-panel").hidden = !list.length;
  byId("waves-head").textContent = list.length ? wavesHead(list) : "";
  byId("waves-sizes").textContent = list.length > 1 ? waveSizes(list) : "";
}

/** What the first host would be given. @param {{host: string, command: string, values: string} | null | undefined} one */
function example(one) {
  byId("example").hidden = !one;
  byId("example-host").textContent = one ? t("On {host}", { host: one.host }) : "";
  byId("example-values").textContent = one?.values ?? "";
  byId("example-command").textContent = one?.command ?? "";
}

/** @param {any} found */
function share(found) {
  madeOf(byId("mix"), byId("mix-text"), found.production);
  const percent = 100 * found.inventory_share;
  byId("share").textContent = percent ? t("{n}% of the inventory", { n: percent < 1 ? percent.toPrecision(1) : Math.round(percent) }) : "";
}

/** @param {number} count @param {string} label */
const fact = (count, label) => el("span", {}, el("b", { class: "num", text: number(count) }), ` ${label}`);

/** @param {string} id @param {string} head @param {string} note */
function estimate(id, head, note) {
  byId(id).replaceChildren(el("b", { text: head }), el("span", { text: note }));
}

/** @param {string} folded */
function fold(folded) {
  const node = byId("fold");
  node.hidden = !folded;
  const short = folded.length > 400 && !node.dataset.all;
  node.replaceChildren(short ? `${folded.slice(0, 400)}… ` : folded);
  if (short) {
    node.append(el("button", { class: "linkish", type: "button", text: t("Show all"), on: {
      click: () => {
        node.dataset.all = "yes";
        fold(folded);
      },
    } }));
  }
}

/** @param {string} folded */
function leaveOut(folded) {
  const field = byId("exclude");
  field.value = [field.value.trim(), folded].filter(Boolean).join(",");
  ask();
}

/** @param {string} names */
function add(names) {
  box.value = [box.value.trim().replace(/,$/, ""), names].filter(Boolean).join(",");
  box.dispatchEvent(new Event("input", { bubbles: true }));
  box.focus();
}

/** Writes known names where unknown ones stand, or beside what is written when they are not to be found in it. @param {string} unknown @param {string} instead */
function useInstead(unknown, instead) {
  const before = box.value;
  box.value = before.replace(unknown, instead);
  add(box.value === before ? instead : "");
}

/** What may be done about names that the inventory does not know. @param {any} found */
function offers(found) {
  byId("skip-field").hidden = !found.unknown_blocks && !found.unknown_skipped && !byId("skip_unknown").checked;
  const link = byId("add-these");
  if (!link) return;
  const address = new URL(link.href);
  if (found.unknown_folded.length < MOST_ADDED) address.searchParams.set("text", found.unknown_folded);
  link.href = address.href;
}

/** @param {{tier: number, reasons: string[], confirm: string | null, reason_required: boolean}} what */
function risk(what) {
  const area = byId("confirm-area");
  const needed = what.tier >= 2 && what.confirm;
  area.hidden = byId("risk-text").hidden = !needed;
  area.dataset.wanted = needed ? what.confirm ?? "" : "";
  byId("reason-field").hidden = !what.reason_required;
  reasoned = what.reason_required;
  if (needed) {
    byId("risk-text").textContent = t("This is large or dangerous: {reasons}. You will be asked to type {word}.", { reasons: what.reasons.join(", "), word: what.confirm ?? "" });
    byId("confirm-label").textContent = t("Type {word} to confirm", { word: what.confirm ?? "" });
  }
}

function confirmed() {
  const wanted = byId("confirm-area").dataset.wanted;
  const said = !reasoned || value("reason").trim();
  return !wanted || (Boolean(said) && value("confirm").trim().toUpperCase() === wanted);
}

function lock() {
  const blocked = seen && (!seen.count || seen.unknown_blocks);
  button.disabled = byId("try").disabled = blocked;
  goAhead.disabled = !confirmed();
  for (const name of ["plan-button", "copy-cli", "copy-curl"]) byId(name).disabled = seen?.count === 0;
  goAhead.textContent = seen?.count ? plural(seen.count, "Run on {n} host", "Run on {n} hosts") : t("Run");
  byId("go-label").textContent = goAhead.textContent + (byId("confirm-area").dataset.wanted ? "…" : "");
}

/** Empties the panel but for its head. */
function blank() {
  for (const id of ["fold", "est"]) byId(id).hidden = true;
  share({ production: [] });
  risk({ tier: 0, reasons: [], confirm: null, reason_required: false });
  byId("items").replaceChildren();
  waves([]);
  example(null);
}

function nothing() {
  seen = { count: 0 };
  faults([]);
  paint(layer, []);
  byId("below").replaceChildren(el("span", { class: "sub", text: box.dataset.hint ?? "" }));
  byId("n").replaceChildren("0", el("small", { text: t("hosts yet") }));
  blank();
  lock();
}

/** @param {any} error */
function refused(error) {
  seen = { count: 0 };
  paint(layer, tokens(box.value));
  byId("n").replaceChildren("–", el("small", { text: t("cannot be run as it is written") }));
  blank();
  byId("below").replaceChildren();
  faults(error.problem?.errors?.length ? error.problem.errors : [{ field: "targets", message: error.message }]);
  lock();
}

/** Shows what is wrong at the field it is wrong in. @param {{field: string, message: string, column?: number, hint?: string}[]} errors */
function faults(errors) {
  for (const name of ASKED) {
    const mine = errors.filter((one) => one.field === name);
    const node = byId(`${name}-error`);
    const field = byId(PLACE[name] ?? name);
    field?.setAttribute("aria-invalid", String(mine.length > 0));
    if (!node) continue;
    node.hidden = !mine.length;
    if (mine.length) field?.closest("details")?.setAttribute("open", "");
    node.textContent = mine.map((one) => [one.column ? t("column {n}: ", { n: one.column }) : "", one.message, one.hint ? ` ${one.hint}` : ""].join("")).join(" ");
  }
}

/** What was typed, by the names of the form. @param {string[]} names @returns {any} */
const typed = (names) => Object.fromEntries(names.map((name) => [name, value(name)]));
const chosen = () => typed(FIELDS);

/** The order as the command line takes it. */
const current = () => ({ ...typed(["targets", "exclude", "skip_unknown", "command", "connect_timeout", "command_timeout", "user", "credential", "reason"]), ...how(chosen()), ...what(typed(OF_WHAT)), command: written(), ...named(carried(new FormData(form))) });

/** What the page opened with and what the console uses when nothing is said. @type {Record<string, string>} */
const usual = JSON.parse(form.dataset.usual ?? "{}");

const earlier = [...document.querySelectorAll(".er code")].map((node) => /** @type {HTMLElement} */ (node).dataset.command ?? "");
const commandChanged = createEditor(byId("command"), {
  earlier: [...new Set(earlier)],
  shell: () => value("kind") !== "files" && (value("kind") !== "script" || /^(ba|da|k|z)?sh$/.test(value("interpreter") || "sh")),
});

function editor() {
  commandChanged();
  const password = value("credential") === "password";
  byId("password-field").hidden = !password;
  byId("password").disabled = !password;
}

const HARMLESS = new Set(["save_name", "save_notes", "save_static", "title", "confirm", "reason", "user", "password", "run_as_password", "credential", "connect_timeout", "command_timeout"]);
form.addEventListener("input", (event) => {
  editor();
  if (HARMLESS.has(/** @type {HTMLInputElement} */ (event.target).name)) lock();
  else ask();
});
box.addEventListener("scroll", () => (layer.scrollTop = box.scrollTop));
box.addEventListener("input", () => paint(layer, tokens(box.value)));
// Enter in a field saves where the name of what is kept is written, goes ahead where that was asked, else does nothing.
form.addEventListener("keydown", (event) => {
  const { id, tagName } = /** @type {HTMLElement} */ (event.target);
  if (event.key !== "Enter" || event.ctrlKey || tagName !== "INPUT") return;
  event.preventDefault();
  if (/^save_/.test(id)) keep();
  else if (/^(confirm|reason)$/.test(id) && confirmed()) form.requestSubmit(button);
});
byId("copy-cli").addEventListener("click", () => copy(byId("copy-cli"), commandLine(current(), usual), t("Copied")));
byId("copy-curl").addEventListener("click", () => {
  const { targets, exclude, skip_unknown, user, credential, reason, connect_timeout, command_timeout } = current();
  const rest = { targets, exclude, skip_unknown: Boolean(skip_unknown), command: written(), user, credential, reason, confirm: value("confirm"),
    expect: seen?.digest && { count: seen.count, digest: seen.digest }, ...carried(new FormData(form)) };
  const order = { how: { ...how(chosen()), connect_timeout, command_timeout }, what: what(typed(OF_WHAT)), rest };
  copy(byId("copy-curl"), curlLine(location.origin, order, usual), t("Copied"));
});
uploads(ask);
for (const tag of document.querySelectorAll("[data-add]")) {
  tag.addEventListener("click", () => {
    tag.closest("details")?.removeAttribute("open");
    add(tag.getAttribute("data-add") ?? "");
  });
}
// The picker is a page of its own that is shown in a dialog (page.js).
document.addEventListener("submit", (event) => {
  const picker = /** @type {HTMLFormElement} */ (event.target);
  if (picker.id !== "pick") return;
  event.preventDefault();
  const said = new FormData(picker, event.submitter);
  if (said.has("add")) {
    picker.closest("dialog")?.close();
    add(said.getAll("host").join(","));
  } else fetchInto(byId("pick-list"), `${picker.action}?q=${encodeURIComponent(String(said.get("q")))}`, AbortSignal.timeout(PLAN_WITHIN_MS), { part: "#pick-list" });
});

form.addEventListener("submit", (event) => {
  if (event.submitter?.getAttribute("name") === "action" || confirmed()) return;
  event.preventDefault();
  askFirst();
});
/** Saves what is written, once it has a name. */
function keep() {
  byId("save").querySelector("details").open = true;
  if (value("save_name").trim()) form.requestSubmit(byId("save-button"));
  else byId("save_name").focus();
}
keys({
  "ctrl+s": keep,
  "alt+1": () => box.focus(),
  "alt+2": () => byId(value("kind") === "files" ? "upload" : "command").focus(),
  "alt+3": () => /** @type {HTMLElement | null} */ (form.querySelector("[name=pace]:checked"))?.focus(),
  "ctrl+enter": (event) => (event.shiftKey ? form.requestSubmit(byId("try")) : !button.disabled && form.requestSubmit(button)),
});
// With script the dry run appears below the form, and a typed password stays where it is.
byId("plan-button").addEventListener("click", async (/** @type {MouseEvent} */ event) => {
  event.preventDefault();
  const body = new FormData(form);
  body.delete("password");
  body.delete("run_as_password");
  body.set("action", "plan");
  const place = byId("plan-place");
  const plan = byId("plan-button");
  plan.setAttribute("aria-busy", "true");
  await fetchInto(place, form.getAttribute("action") ?? "/run", AbortSignal.timeout(PLAN_WITHIN_MS), { body, part: "#plan-place" }).catch(() => {
    place.replaceChildren(el("p", { class: "note bad", role: "alert", text: t("The dry run could not be fetched.") }));
  });
  plan.removeAttribute("aria-busy");
  place.querySelector("#plan, [role=alert]")?.scrollIntoView({ block: "nearest" });
  byId("plan")?.focus();
});
// Earlier runs like this follow once where or what is written.
for (const field of [box, byId("command")]) {
  field.addEventListener("change", () => {
    const body = new FormData();
    for (const name of ["csrf_token", "targets", "command"]) body.set(name, value(name));
    body.set("action", "preview");
    fetchInto(byId("earlier"), "/run", AbortSignal.timeout(PLAN_WITHIN_MS), { body, part: "#earlier" }).then(() => localTimes(byId("earlier")), () => {});
  });
}
box.closest(".expr").classList.add("painted");
box.addEventListener("input", () => complete(box), { once: true });
editor();
if (box.value.trim()) {
  paint(layer, tokens(box.value));
  resolve();
} else nothing();
keepDraft(form);
sessionStorage.removeItem("tell");
import("./tell.js").then(({ choices }) => choices(byId("tell"), "tell"));

// --- drafts: what is written into the form outlives the page; passwords, what confirms and what is not seen are never kept

/**
 * Keeps what is typed into the order and brings it back into a form that is empty. Its `data-draft` names the person:
 * others use the same browser.
 * @param {HTMLFormElement} form
 */
function keepDraft(form) {
  const key = form.dataset.draft ?? "";
  const fields = () => /** @type {any[]} */ ([...form.elements]).filter(({ type, name }) => name && name !== "confirm" && !NEVER.includes(type));
  const read = () => fields().map(({ name, value, checked }) => [name, value, checked]);
  const empty = () => !box.value.trim() && !byId("command").value.trim();
  /** Lets the page see it as if it had been typed. */
  const changed = () => box.dispatchEvent(new Event("input", { bubbles: true }));

  /** @param {any[][]} kept */
  function restore(kept) {
    // The form begins with fewer rows than there may have been files.
    for (const [name, value] of kept) if (name === "push_file" && value) row();
    for (const field of fields()) {
      const ticks = "radio checkbox".includes(field.type);
      const at = kept.findIndex(([name, value]) => name === field.name && (!ticks || value === field.value));
      if (at < 0) continue;
      const [[, value, checked]] = kept.splice(at, 1);
      if (ticks ? field.checked === checked : field.value === value) continue;
      if (ticks) field.checked = checked;
      else if (!field.options || [...field.options].some((one) => one.value === value)) field.value = value;
      // What differs from a new form is to be seen.
      field.closest("details")?.setAttribute("open", "");
    }
  }

  const draft = JSON.parse(localStorage.getItem(key) ?? "null");
  if (draft && !/=[^&]/.test(location.search) && empty()) {
    restore(draft.fields);
    const time = localTime(draft.at).textContent.replace(/(:\d\d):\d\d$/, "$1");
    const discard = () => {
      form.reset();
      line.remove();
      changed();
      box.focus();
    };
    const line = el("p", { class: "note withdismiss", role: "status" }, el("span", { text: t("Your draft from {time} is here.", { time }) }),
      el("button", { class: "linkish", type: "button", text: t("Discard"), on: { click: discard } }));
    form.querySelector("h1")?.after(line);
    changed();
  }

  let last = JSON.stringify(read());
  function save() {
    const now = JSON.stringify(read());
    // A page that only showed a draft does not bring it back after another one sent it.
    if (now === last) return;
    last = now;
    if (empty()) localStorage.removeItem(key);
    else localStorage.setItem(key, JSON.stringify({ at: new Date(), fields: read() }));
  }
  form.addEventListener("input", throttled(save, SAVE_EVERY_MS));
  addEventListener("pagehide", save);
  sessionStorage.removeItem("sent");
  form.addEventListener("submit", (event) => {
    save();
    // The page of the job takes the draft away: until then nobody knows that the order was accepted.
    if (!event.defaultPrevented && event.submitter?.getAttribute("name") !== "action") sessionStorage.setItem("sent", key);
  });
}
